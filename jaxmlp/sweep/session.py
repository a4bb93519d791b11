"""A session: one sweep or search that this process runs, from data and a space to its open database and back."""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

from jaxmlp import runtime
from jaxmlp.lecture.data import Dataset
from jaxmlp.sweep import store
from jaxmlp.sweep.blocks.held_out import Data, data_hash
from jaxmlp.sweep.findings import Results
from jaxmlp.sweep.preparation import Say, SweepConfig, prepared
from jaxmlp.sweep.runner import ATTEMPTS, IN_FLIGHT, run_sweep
from jaxmlp.sweep.space import Space
from jaxmlp.sweep.store import reading
from jaxmlp.sweep.trial import Trial

__all__ = ["Pool", "Session", "announced", "opened_session"]

Pool = tuple[concurrent.futures.Executor, dict[str, int]]
"""Where to train: an executor, and further arguments of `run_sweep`."""


@dataclasses.dataclass(frozen=True)
class Session:
    """A sweep in its open database, which this process alone runs.

    Attributes:
        path: of the database.
        connection: to it, writable.
        sweep: as the database has it.
        dataset: as given.
        data: the same with the validation rows held out.
        trials: all of a sweep; none of a search, which has those that it asks for.
        engine: that trains.
        by: what chooses, "loss" or "accuracy".
        pool: where training runs.
    """

    path: Path
    connection: sqlite3.Connection
    sweep: store.Sweep
    dataset: Dataset
    data: Data
    trials: list[Trial]
    engine: str
    by: str
    pool: Pool

    def train(self, progress: Callable[[float], None]) -> float:
        """Train all trials of the database that are not done; arguments, errors and the seconds as `run_sweep`."""
        executor, options = self.pool
        how: dict[str, Any] = {"engine": self.engine, "trials": self.trials, "by": self.by, **options}
        return run_sweep(self.connection, self.sweep, self.data, executor, progress, **how)

    def rows(self) -> list[dict[str, Any]]:
        """A row per trial of the sweep, as the database has it now."""
        return reading.rows_of(self.connection, self.sweep.number)

    def results(self) -> Results:
        """The `Results` of what is there now."""
        return Results(self.path, self.sweep, self.rows(), self.dataset, self.by)


@contextlib.contextmanager
def opened_session(
    dataset: Dataset,
    space: Space,
    config: SweepConfig,
    database: str | os.PathLike[str],
    *,
    search: Mapping[str, Any] | None = None,
    pool: Pool | None = None,
    say: Say = lambda _: None,
    git_commit: str | None = None,
) -> Generator[Session]:
    """Begin a sweep in a database, or find it there, and claim it.

    Args:
        dataset: to train on.
        space: whose trials are the sweep's, or what a search chooses from.
        config: how they are trained.
        database: the file, made if it is missing.
        search: what tells a search apart, beside its space: its sampler, seed and batch. None for a sweep.
        pool: where to train; None for threads of this process.
        say: called with lines for a person.
        git_commit: kept in the database.

    Raises:
        InputError: a value that cannot be used, before anything is written; a database that cannot; a sweep that
            another process runs.
    """
    data, trials, engine = prepared(dataset, space, config, pool is None, say, search is not None)
    # Only what changes the training makes another sweep.
    chosen = {"by": config.by} if config.halving and config.by != "loss" else {}
    more = chosen if search is None else {"search": {**search, "by": config.by}}
    text = json.dumps({**dataclasses.asdict(space), **more}, sort_keys=True)
    identity = store.Identity(text, data_hash(data), config.epochs, config.halving)
    manifest: dict[str, Any] = {
        **runtime.environment(),
        "dtype": str(data.dataset.x_train.dtype),
        "validation": len(data.validation.labels),
        "engine": engine,
        "by": config.by,
        "data": getattr(dataset, "source", None),  # of a Table, whose package need not be opened for this
    }
    path = Path(database)
    with _pool_or_threads(pool) as used, store.opened(path, write=True) as connection:
        others = store.find_sweeps(connection)
        sweep, resumed = store.begin(connection, identity, trials, manifest, git_commit)
        for line in announced(sweep, resumed, others, reading.status_counts(connection, sweep.number), manifest):
            say(line)
        with store.claimed(path, sweep.number):
            yield Session(path, connection, sweep, dataset, data, trials, engine, config.by, used)


@contextlib.contextmanager
def _pool_or_threads(given: Pool | None) -> Generator[Pool]:
    if given is not None:
        yield given
        return
    # One thread trains a block, which JAX spreads over all devices; another prepares the next block meanwhile.
    local = concurrent.futures.ThreadPoolExecutor(IN_FLIGHT)
    try:
        yield local, {"in_flight": IN_FLIGHT, "attempts": ATTEMPTS}
    finally:  # only a second Ctrl-C leaves something running, and need not wait for it
        local.shutdown(wait=False, cancel_futures=True)


def announced(
    sweep: store.Sweep, resumed: bool, others: list[store.Sweep], counts: dict[str, int], manifest: dict[str, Any]
) -> Iterable[str]:
    """Whether the sweep is new or resumed, how many trials are there, and what has changed since it began."""
    total, there = sum(counts.values()), counts.get("done", 0) + counts.get("diverged", 0)
    yield f"sweep {sweep.number}, {'resumed' if resumed else 'new'}: {there:,} of {total:,} trials are there"
    if not resumed and others:
        yield f"  (not sweep {others[-1].number} resumed: another {_differences(others[-1], sweep.identity)})"
    unchanging = ("by", "data", "dtype", "validation")
    now = {name: value for name, value in manifest.items() if name not in unchanging}
    changed = [name for name, value in now.items() if value != sweep.environment.get(name, "scan")]
    if resumed and changed:
        yield f"  (since it began, {', '.join(changed)} changed: further trials may differ in their last bits)"


def _differences(other: store.Sweep, identity: store.Identity) -> str:
    """In what a new sweep differs from another one in the database."""
    old, new = json.loads(other.identity.space), json.loads(identity.space)
    parts = [name for name in new if new[name] != old.get(name)]
    parts += [
        name for name in ("dataset", "epochs", "halving") if getattr(other.identity, name) != getattr(identity, name)
    ]
    return ", ".join(parts)
