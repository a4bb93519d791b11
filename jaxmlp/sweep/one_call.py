"""A sweep in one call: data and a space of networks in, a database and its `Results` out."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from jaxmlp.lecture.data import Dataset
from jaxmlp.sweep.findings import Results
from jaxmlp.sweep.halving import planned
from jaxmlp.sweep.preparation import Say, SweepConfig
from jaxmlp.sweep.session import Pool, Session, opened_session
from jaxmlp.sweep.space import Space
from jaxmlp.sweep.space_text import make_space
from jaxmlp.sweep.store import reading

__all__ = ["run"]


def run(
    dataset: Dataset,
    space: Space | Mapping[str, Any],
    database: str | os.PathLike[str],
    epochs: int = 20,
    validation: int | None = None,
    halving: int = 0,
    engine: str = "auto",
    pool: Pool | None = None,
    progress: Callable[[float, float], None] | None = None,
    say: Say = lambda _: None,
    git_commit: str | None = None,
    by: str = "loss",
) -> Results:
    """Run a sweep, or resume it: a call with the same data, space, epochs, halving and file continues where it ended.

    It sets JAX up for many networks on a CPU. Where JAX has computed before, as in a notebook, that is too late, and a
    warning says so: call `jaxmlp.runtime.configure_sweep` first.

    Args:
        dataset: from `jaxmlp.load_table`, whose names go into the exported model; or any Dataset.
        space: a `Space`, or its values by axis: ``{"hidden": [8, (20, 10)], "learning_rate": 0.1, "seeds": range(8)}``.
            Text is read as `make_space` reads it.
        database: the file, made if it is missing; it may contain several sweeps.
        epochs: see `SweepConfig`, as the next three.
        validation: how many rows.
        halving: 0 or 2 and more.
        engine: "scan", "fused" or "auto", the faster one.
        pool: where to train instead of here: an executor and further arguments of `run_sweep`.
        progress: called with the number of trials done, possibly a fraction, and of all.
        say: called with lines for a person: whether the sweep is new or resumed, and what to know of it.
        git_commit: kept in the database.
        by: see `SweepConfig`.

    Returns:
        The `Results`.

    Raises:
        InputError: a value that cannot be used, before anything is written; a database that cannot.
        KeyboardInterrupt: Ctrl-C. The database has all that is done, trials in training included: run it again.
    """
    config = SweepConfig(epochs, validation, halving, engine, by)
    space = space if isinstance(space, Space) else make_space(space)
    with opened_session(dataset, space, config, database, pool=pool, say=say, git_commit=git_commit) as session:
        total, done = _counts(session, space)

        def more(count: float) -> None:
            nonlocal done
            done += count
            if progress:
                progress(done, total)

        more(0)
        session.train(more)
        return session.results()


def _counts(session: Session, space: Space) -> tuple[int, float]:
    """How many trainings a sweep has, with halving those of each rung, and how many are there."""
    connection, sweep = session.connection, session.sweep
    counts, (_, _, epochs, halving) = reading.status_counts(connection, sweep.number), sweep.identity
    seeds, there = len(space.seeds), counts.get("done", 0) + counts.get("diverged", 0)
    if not halving:
        return sum(counts.values()), float(there)
    steps = planned(sum(counts.values()) // seeds, epochs, halving)
    known = [min(len(reading.scores_at(connection, sweep.number, step)), count * seeds) for step, count in steps]
    return sum(count for _, count in steps) * seeds, float(sum(known))
