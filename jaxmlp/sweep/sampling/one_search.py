"""A search in one call: batches of configurations are requested and trained in turn, in a database and a study."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxmlp.checks import InputError, check_one_of, check_seed, check_whole
from jaxmlp.choices import BY
from jaxmlp.lecture.data import Dataset
from jaxmlp.sweep import store
from jaxmlp.sweep.findings import Results, summary
from jaxmlp.sweep.preparation import Say, SweepConfig
from jaxmlp.sweep.sampling.samplers import load_optuna, make_sampler, new_study
from jaxmlp.sweep.sampling.studies import Final, ask, check_study, give_up, tell, token_of
from jaxmlp.sweep.sampling.suggesting import searched, trials_of
from jaxmlp.sweep.session import Pool, Session, opened_session
from jaxmlp.sweep.space import Space
from jaxmlp.sweep.space_text import make_space
from jaxmlp.sweep.store import Asked, reading

__all__ = ["Searched", "search"]


class Searched(NamedTuple):
    """What a search gives.

    Attributes:
        results: as of any sweep.
        study: Optuna's; the one that was given, if one was.
        seconds: of this call: "sampler" (asking and telling), "training" (of the devices), "other" (all the rest:
            database, packing, compiling).
    """

    results: Results
    study: Any
    seconds: dict[str, float]

    def __repr__(self) -> str:
        return f"Searched({self.results!r})"

    def _repr_html_(self) -> str:
        """The results in a notebook."""
        return summary.in_notebook(self.results.rows, by=self.results.by)


def search(
    study: Any,
    dataset: Dataset,
    space: Space | Mapping[str, Any],
    database: str | os.PathLike[str],
    trials: int = 1000,
    batch: int = 256,
    sampler: str | None = None,
    seed: int = 0,
    epochs: int = 20,
    validation: int | None = None,
    engine: str = "auto",
    by: str = "loss",
    pool: Pool | None = None,
    progress: Callable[[float, float], None] | None = None,
    say: Say = lambda _: None,
    git_commit: str | None = None,
) -> Searched:
    """Search a space with a sampler of Optuna, or continue a search: request batch after batch, and train each.

    A requested batch is in the database before it is trained. If the process is killed at any moment, the same call
    continues from there; with a sampler by name it ends with the same study as an uninterrupted search. More ``trials``
    continue a search too.

    Args:
        study: an ``optuna.Study`` of one's own, in any storage; its own sampler chooses unless ``sampler`` names
            one. It may have other trials, before or meanwhile. None: a new one in memory.
        dataset: as in `jaxmlp.sweep.run`.
        space: what is chosen from, as in `run`; lists are categories, ranges (``"log:0.001:1"``) numbers. A
            configuration is judged by the mean over all ``seeds``.
        database: the file, made if it is missing.
        trials: how many configurations to ask for in all.
        batch: how many at a time.
        sampler: one of `SAMPLERS`; with a study None for its own, else "tpe".
        seed: of the sampler by name.
        epochs: see `SweepConfig`, as ``validation``, ``engine`` and ``by``.
        validation: how many rows; at least 1.
        engine: "scan", "fused" or "auto".
        by: "loss", which a study has to minimize, or "accuracy", which it has to maximize.
        pool: as in `run`, as the next three.
        progress: called with the number of networks done and of all.
        say: called with lines for a person.
        git_commit: kept in the database.

    Raises:
        InputError: a value that cannot be used; Optuna, or a package that the sampler wants, is missing; trials failed.
        KeyboardInterrupt: Ctrl-C: run it again.
    """
    begin = time.perf_counter()
    check_whole("trials", trials, 1)
    check_whole("batch", batch, 1)
    check_seed(seed)
    load_optuna()
    space = space if isinstance(space, Space) else make_space(space, searched=True)
    space.check_search()
    if not searched(space):
        raise InputError("the space has one configuration, expected an axis with several values or a range")
    sampler = "tpe" if study is None and sampler is None else sampler
    if sampler:
        make_sampler(sampler, seed, 0, batch)  # before anything is written
    check_one_of("by", by, BY)
    study = new_study(by) if study is None else study
    check_study(study, by)
    config = SweepConfig(epochs, validation, 0, engine, by)
    name = sampler or f"{type(study.sampler).__name__} of {study.study_name}"
    known = {"sampler": name, "seed": seed, "batch": batch}
    with opened_session(
        dataset, space, config, database, search=known, pool=pool, say=say, git_commit=git_commit
    ) as session:
        asking = _Asking(session, study, space, batch, sampler, seed)
        asking.search(trials, progress)
        results = session.results()
    seconds = {**asking.seconds, "other": 0.0}
    seconds["other"] = max(0.0, time.perf_counter() - begin - sum(seconds.values()))
    return Searched(results, study, seconds)


class _Asking:
    """A search that runs: what its study knows, and what its database has."""

    def __init__(self, session: Session, study: Any, space: Space, batch: int, sampler: str | None, seed: int) -> None:
        self.session, self.study, self.space = session, study, space
        self.batch, self.sampler, self.seed = batch, sampler, seed
        self.token = token_of(session.connection, session.sweep)
        self.asked = store.asked_of(session.connection, session.sweep.number)
        self.seconds = {"sampler": 0.0, "training": 0.0}

    def search(self, trials: int, progress: Callable[[float, float], None] | None) -> None:
        """Train the requested configurations that are not trained, then request more, up to ``trials`` in all."""
        give_up(self.study, self.token, len(self.asked))
        seeds = len(self.space.seeds)

        def trained() -> None:
            at, new = float(sum(status != "pending" for status, *_ in self._finals().values())), 0.0

            def more(count: float) -> None:
                nonlocal new
                new += count
                if progress:
                    progress(at + new, max(trials, len(self.asked)) * seeds)

            more(0)
            self.seconds["training"] += self.session.train(more)
            finals = self._finals()
            self._check(finals)
            self._timed(lambda: tell(self.study, self.asked, finals, self.space, self.session.by, self.token))

        trained()
        while len(self.asked) < trials:
            new = self._timed(lambda: self._ask(min(self.batch, trials - len(self.asked))))
            made = [trial for each in new for trial in trials_of(each.params, self.space)]
            store.extend(self.session.connection, self.session.sweep, new, made)
            self.asked += new
            trained()

    def _finals(self) -> dict[str, Final]:
        return reading.finals(self.session.connection, self.session.sweep.number)

    def _ask(self, size: int) -> list[Asked]:
        number = self.asked[-1].batch + 1 if self.asked else 0
        if self.sampler:
            self.study.sampler = make_sampler(self.sampler, self.seed, number, self.batch)
        return ask(self.study, self.space, len(self.asked), size, number, self.token)

    def _timed(self, call: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        try:
            return call()
        finally:
            self.seconds["sampler"] += time.perf_counter() - start

    def _check(self, finals: Mapping[str, Final]) -> None:
        """Raise InputError where trials failed: a sampler cannot learn from them, and the next run tries them again."""
        failed = sum(status == "failed" for status, *_ in finals.values())
        if failed:
            row = next(row for row in self.session.rows() if row["reason"])
            raise InputError(f"{failed:,} trials failed ({row['reason']}), expected all to train: run it again")
