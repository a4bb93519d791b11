"""A sweep in one call: data and a space of networks in, a database and its `Results` out."""

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
from jaxmlp.data import Dataset
from jaxmlp.engine import Data, data_hash
from jaxmlp.sweep import store
from jaxmlp.sweep.findings import Results
from jaxmlp.sweep.halving import planned
from jaxmlp.sweep.preparation import Say, SweepConfig, prepared_data, prepared_engine
from jaxmlp.sweep.runner import ATTEMPTS, IN_FLIGHT, run_sweep
from jaxmlp.sweep.space import Space
from jaxmlp.sweep.space_text import make_space
from jaxmlp.sweep.store import reading
from jaxmlp.tables import Table

__all__ = ["Pool", "announced", "executor_of", "manifest_of", "run"]

Pool = tuple[concurrent.futures.Executor, dict[str, int]]


def run(
    dataset: Dataset, space: Space | Mapping[str, Any], database: str | os.PathLike[str], epochs: int = 20,
    validation: int | None = None, halving: int = 0, engine: str = "auto", pool: Pool | None = None,
    progress: Callable[[float, float], None] | None = None, say: Say = lambda _: None, git_commit: str | None = None,
    by: str = "loss",
) -> Results:  # fmt: skip
    """Run a sweep, or resume it: the same data, space, epochs and halving in the same file go on where they ended.

    It sets JAX up for many networks on a CPU. Where JAX has computed before, as in a notebook, that is too late, and a
    warning says so: call `jaxmlp.runtime.configure_sweep` first.

    Args:
        dataset: from `jaxmlp.load_table`, whose names go into the exported model; or any Dataset.
        space: a `Space`, or its values by axis: ``{"hidden": [8, (20, 10)], "learning_rate": 0.1, "seeds": range(8)}``.
            Text is read as `make_space` reads it.
        database: the file, made if it is missing; several sweeps may stand in it.
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
    data, trials = prepared_data(dataset, config), space.trials()
    engine = prepared_engine(trials, data, config, pool is None, say)
    # Only what changes the training makes another sweep.
    chosen = {"by": by} if halving and by != "loss" else {}
    text = json.dumps({**dataclasses.asdict(space), **chosen}, sort_keys=True)
    identity = store.Identity(text, data_hash(data), epochs, halving)
    manifest = manifest_of(dataset, data, engine, by)
    path = Path(database)
    with executor_of(pool) as (executor, how), store.opened(path, write=True) as connection:
        others = store.find_sweeps(connection)
        sweep, resumed = store.begin(connection, identity, trials, manifest, git_commit)
        counts = reading.status_counts(connection, sweep.number)
        for line in announced(sweep, resumed, others, counts, manifest):
            say(line)
        total, done = _counts(connection, sweep, space)

        def more(count: float) -> None:
            nonlocal done
            done += count
            if progress:
                progress(done, total)

        more(0)
        with store.claimed(path, sweep.number):
            run_sweep(connection, sweep, data, executor, more, engine=engine, trials=trials, by=by, **how)
        rows = reading.rows_of(connection, sweep.number)
    return Results(path, sweep, rows, dataset, by)


def manifest_of(dataset: Dataset, data: Data, engine: str, by: str) -> dict[str, Any]:
    """What is kept of how a sweep was begun, beside its identity."""
    return {
        **runtime.environment(), "dtype": str(data.dataset.x_train.dtype), "validation": len(data.validation.labels),
        "engine": engine, "by": by, "data": dataset.source if isinstance(dataset, Table) else None,
    }  # fmt: skip


@contextlib.contextmanager
def executor_of(given: Pool | None) -> Generator[Pool]:
    """The executor that was given, or threads of this process."""
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
        yield f"  (not sweep {others[-1].number} resumed: another {_compare(others[-1], sweep.identity)})"
    changed = [
        name for name in manifest
        if name not in ("by", "data", "dtype", "validation") and manifest[name] != sweep.environment.get(name, "scan")
    ]  # fmt: skip
    if resumed and changed:
        yield f"  (since it began, {', '.join(changed)} changed: further trials may differ in their last bits)"


def _compare(found: store.Sweep, identity: store.Identity) -> str:
    """In what a new sweep differs from one in the database."""
    old, new = json.loads(found.identity.space), json.loads(identity.space)
    parts = [name for name in new if new[name] != old.get(name)]
    parts += [
        name for name in ("dataset", "epochs", "halving") if getattr(found.identity, name) != getattr(identity, name)
    ]
    return ", ".join(parts)


def _counts(connection: sqlite3.Connection, sweep: store.Sweep, space: Space) -> tuple[int, float]:
    """How many trainings a sweep has, with halving those of each rung, and how many are there."""
    counts, (_, _, epochs, halving) = reading.status_counts(connection, sweep.number), sweep.identity
    seeds, there = len(space.seeds), counts.get("done", 0) + counts.get("diverged", 0)
    if not halving:
        return sum(counts.values()), float(there)
    steps = planned(sum(counts.values()) // seeds, epochs, halving)
    known = [min(len(reading.scores_at(connection, sweep.number, step)), count * seeds) for step, count in steps]
    return sum(count for _, count in steps) * seeds, float(sum(known))
