"""A sweep in one call: data and a space of networks in, a database and its `Results` out."""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from jaxmlp import runtime
from jaxmlp.checks import check_held, check_whole
from jaxmlp.data import Dataset, check_dataset
from jaxmlp.engine import Data, data_hash, device_mesh, hold_out, lanes_of, load_kernel
from jaxmlp.errors import InputError
from jaxmlp.sweep import store
from jaxmlp.sweep.blocks.packing import ENGINES, pack, refusal
from jaxmlp.sweep.findings import Results
from jaxmlp.sweep.runner import ATTEMPTS, IN_FLIGHT, run_sweep, rungs
from jaxmlp.sweep.space import Space, make_space
from jaxmlp.sweep.store import reading
from jaxmlp.tables import Table

__all__ = ["SweepConfig", "announced", "choose_engine", "prepared", "run", "values_of"]

VALIDATION = 0.2
DIGITS_VALIDATION = 300

Say = Callable[[str], None]
Pool = tuple[concurrent.futures.Executor, dict[str, int]]


class SweepConfig(NamedTuple):
    """How the trials of a sweep are trained.

    Attributes:
        epochs: of each.
        validation: the last training rows, held out to choose by; None: a fifth of them, of the lecture's digits 300.
        halving: keep the best share, 1/halving, at epochs/halving^2, epochs/halving, ..; 0: train all to the end.
        engine: one of `ENGINES`, or "auto".
    """

    epochs: int = 20
    validation: int | None = None
    halving: int = 0
    engine: str = "auto"


def run(
    dataset: Dataset, space: Space | Mapping[str, Any], database: str | os.PathLike[str], epochs: int = 20,
    validation: int | None = None, halving: int = 0, engine: str = "auto", pool: Pool | None = None,
    progress: Callable[[float, float], None] | None = None, say: Say = lambda _: None, git_commit: str | None = None,
) -> Results:  # fmt: skip
    """Run a sweep, or resume it: the same data, space, epochs and halving in the same file go on where they ended.

    It sets JAX up for many networks on a CPU. Where JAX has computed before, as in a notebook, that is too late, and a
    warning says so: call `jaxmlp.runtime.configure_sweep` first.

    Args:
        dataset: from `jaxmlp.load_table`, whose names go into the exported model; or any Dataset.
        space: a `Space`, or lists of values by axis as `make_space` takes them:
            ``{"hidden": [8, (20, 10)], "learning_rate": [0.1, 0.2], "seeds": ["0:8"]}``.
        database: the file, made if it is missing; several sweeps may stand in it.
        epochs: see `SweepConfig`, as the next three.
        validation: how many rows.
        halving: 0 or 2 and more.
        engine: "scan", "fused" or "auto", the faster one.
        pool: where to train instead of here: an executor and further arguments of `run_sweep`.
        progress: called with the number of trials done, possibly a fraction, and of all.
        say: called with lines for a person: whether the sweep is new or resumed, and what to know of it.
        git_commit: kept in the database.

    Returns:
        The `Results`.

    Raises:
        InputError: a value that cannot be used, before anything is written; a database that cannot.
        KeyboardInterrupt: Ctrl-C. The database has all that is done, trials in training included: run it again.
    """
    config = SweepConfig(epochs, validation, halving, engine)
    space = space if isinstance(space, Space) else make_space(values_of(space))
    data, trials, engine = prepared(dataset, space, config, pool is None, say)
    n_validation = len(data.validation.labels)
    text = json.dumps(dataclasses.asdict(space), sort_keys=True)
    identity = store.Identity(text, data_hash(data), epochs, halving)
    manifest = {
        **runtime.environment(), "dtype": str(data.dataset.x_train.dtype), "validation": n_validation,
        "engine": engine, "data": dataset.source if isinstance(dataset, Table) else None,
    }  # fmt: skip
    path = Path(database)
    with _pool(pool) as (executor, how), store.opened(path, write=True) as connection:
        others = store.find_sweeps(connection)
        sweep, resumed = store.begin(connection, identity, trials, manifest, git_commit)
        counts = reading.status_counts(connection, sweep.number)
        for line in announced(sweep, resumed, others, counts, manifest):
            say(line)
        total, done = _all(len(trials), epochs, halving), float(counts.get("done", 0) + counts.get("diverged", 0))

        def more(count: float) -> None:
            nonlocal done
            done += count
            if progress:
                progress(done, total)

        more(0)
        with store.claimed(path, sweep.number):
            run_sweep(connection, sweep, data, executor, more, engine=engine, trials=trials, **how)
        rows = reading.rows_of(connection, sweep.number)
    return Results(path, sweep, rows, dataset)


def prepared(
    dataset: Dataset, space: Space, config: SweepConfig, local: bool = True, say: Say = lambda _: None
) -> tuple[Data, list[Any], str]:
    """Data with the validation rows held out, the trials, and the engine; raises InputError for what can't be trained.

    Configures JAX for many networks, as far as it has not started yet. ``local``: whether this process trains.
    """
    check_whole("epochs", config.epochs, 1)
    if config.validation is not None:
        check_whole("validation", config.validation, 0)
    if check_whole("halving", config.halving, 0) == 1:
        raise InputError("halving is 1, expected 0 for none or a factor of 2 or more")
    check_dataset(dataset)
    dtype = str(dataset.x_train.dtype)
    runtime.configure_sweep(dtype)
    if device_mesh().devices.flat[0].platform == "cpu" and not runtime.compiles_whole_loops():
        said = "JAX already runs without its settings for many networks: training takes several times as long"
        warnings.warn(f"{said}; call jaxmlp.runtime.configure_sweep({dtype!r}) before it computes", stacklevel=3)
    data = hold_out(Dataset(*dataset), _validation(dataset, config.validation))
    if config.halving and not len(data.validation.labels):
        raise InputError(f"validation is 0, expected rows for halving {config.halving} to choose by")
    engine, notes = choose_engine(config.engine, local)
    trials = space.trials()
    for name in ("learning_rate", "weight_decay", "init_scale"):
        for value in {getattr(trial, name) for trial in trials}:
            check_held(name, value, data.dataset.x_train.dtype)
    configs = {block.config for block in pack(trials, data, lanes_of(device_mesh()), engine)}
    if engine == "fused":
        notes += [
            f"the scan trains some networks instead: {refusal(each, data)}" for each in configs if each.engine == "scan"
        ]
    for note in dict.fromkeys(notes):
        say(f"note: {note}")
    return data, trials, engine


def _validation(dataset: Dataset, given: int | None) -> int:
    if given is not None:
        return given
    digits = not isinstance(dataset, Table) or dataset.source["data"] == "digits"
    n = len(dataset.labels_train)
    return DIGITS_VALIDATION if digits and n > 2 * DIGITS_VALIDATION else round(VALIDATION * n)


def choose_engine(engine: str, local: bool = True) -> tuple[str, list[str]]:
    """The engine that "auto" means, the fused one on a GPU, else the scan; and notes on that choice.

    On a GPU the fused engine was measured faster with 64 to 16,384 networks. With an executor it is the scan, since
    nobody knows the devices of its workers. It is also the scan where NVIDIA Warp is missing.
    """
    if engine not in (*ENGINES, "auto"):
        raise InputError(f"engine is {engine!r}, expected one of {', '.join(ENGINES)}, auto")
    on_cpu = device_mesh().devices.flat[0].platform == "cpu"
    if engine == "fused" and on_cpu:
        return engine, ["on a CPU the scan is faster than the fused engine, which is made for GPUs"]
    if engine != "auto" or not local or on_cpu:
        return ("scan" if engine == "auto" else engine), []
    try:
        load_kernel()
    except InputError as reason:
        return "scan", [f"the scan trains, slower on a GPU: {reason}"]
    return "fused", []


@contextlib.contextmanager
def _pool(given: Pool | None) -> Generator[Pool]:
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
        if name not in ("data", "dtype", "validation") and manifest[name] != sweep.environment.get(name, "scan")
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


def _all(trials: int, epochs: int, halving: int) -> int:
    """How many trainings a sweep has: with halving, those of each rung."""
    return sum(trials // halving**rung for rung in range(len(rungs(epochs, halving)))) if halving else trials


def values_of(space: Mapping[str, Any]) -> dict[str, Any]:
    """The values as `make_space` takes them, from tuples, ranges and arrays; ``hidden: (20, 10)`` is one network."""
    values: dict[str, Any] = {}
    for name, given in space.items():
        found = given.tolist() if isinstance(given, np.ndarray) else given
        if name == "hidden" and isinstance(found, tuple) and all(isinstance(width, int) for width in found):
            found = [found]
        if isinstance(found, (list, tuple, range)):
            found = [list(cast(Any, value)) if isinstance(value, tuple) else value for value in cast(Any, found)]
        values[name] = found
    return values
