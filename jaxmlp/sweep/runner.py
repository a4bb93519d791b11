"""Running a sweep: blocks go to an executor, outcomes into the store; a failure affects its own block only."""

import concurrent.futures
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxmlp import runtime
from jaxmlp.engine import Data, device_mesh, lanes_of
from jaxmlp.errors import InputError
from jaxmlp.sweep import reading, store
from jaxmlp.sweep.block_training import Outcome, train_block
from jaxmlp.sweep.packing import Block, pack
from jaxmlp.sweep.trial import Trial

__all__ = ["ATTEMPTS", "Progress", "run_sweep", "rungs", "train_task"]

ATTEMPTS = 3
IN_FLIGHT = 2  # blocks, and threads of a local executor: one is trained while the next one is placed

Progress = Callable[[int], None]
"""Called with the number of trials whenever outcomes have been written."""


def train_task(block: Block, epochs: int, data: Data) -> tuple[list[Outcome], float]:
    """A task, wherever it runs: the outcomes of a block, and the seconds it took.

    Args:
        block: the trials.
        epochs: for each.
        data: NumPy arrays.
    """
    runtime.configure_sweep(str(data.dataset.x_train.dtype))
    start = time.perf_counter()
    outcomes = train_block(block, epochs, data)
    return outcomes, time.perf_counter() - start


def run_blocks(
    blocks: Iterator[Block], epochs: int, data: Data, executor: concurrent.futures.Executor,
    written: Callable[[Block, list[Outcome], float], None], failed: Callable[[Block, str], None],
    in_flight: int = IN_FLIGHT, attempts: int = ATTEMPTS,
) -> None:  # fmt: skip
    """Stream blocks through the executor, at most ``in_flight`` at a time; a block that fails goes again.

    Raises:
        InputError: the executor itself is broken.
    """
    again: deque[tuple[Block, int]] = deque()
    running: dict[concurrent.futures.Future[Any], tuple[Block, int]] = {}
    fresh = ((block, 1) for block in blocks)
    try:
        while True:
            while len(running) < in_flight and (task := again.popleft() if again else next(fresh, None)):
                running[executor.submit(train_task, task[0], epochs, data)] = task
            if not running:
                return
            finished, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in finished:
                block, attempt = running.pop(future)
                error = future.exception()
                if error is None:
                    written(block, *future.result())
                elif isinstance(error, InputError):
                    raise error
                elif attempt < attempts:
                    again.append((block, attempt + 1))
                else:
                    failed(block, f"{type(error).__name__}: {error}".splitlines()[0])
    except concurrent.futures.BrokenExecutor as error:
        raise InputError(f"the executor is broken, expected one that runs: {error}") from None
    finally:
        for future in running:
            future.cancel()


def rungs(epochs: int, halving: int) -> list[int]:
    """Epochs at which successive halving chooses, the last being ``epochs``: by factors of ``halving``, 0 for none."""
    found = [epochs]
    while halving and found[0] // halving >= 1:
        found.insert(0, found[0] // halving)
    return found


def survivors(alive: Sequence[Trial], losses: Sequence[float | None], halving: int) -> list[Trial]:
    """The best share of ``alive`` by validation loss, at least one, in their old order; a loss of None is left out."""
    ranked = sorted((loss, number) for number, loss in enumerate(losses) if loss is not None)
    kept = {number for _, number in ranked[: max(1, len(alive) // halving)]}
    return [trial for number, trial in enumerate(alive) if number in kept]


def run_sweep(
    connection: sqlite3.Connection, sweep: store.Sweep, data: Data, executor: concurrent.futures.Executor,
    progress: Progress = lambda _: None, lanes: int | None = None, in_flight: int = IN_FLIGHT,
    attempts: int = ATTEMPTS, engine: str = "scan", trials: Iterable[Trial] = (),
) -> None:  # fmt: skip
    """Train the trials of a sweep that are not done yet, and write them to the store.

    With several processes (`jax.distributed`) each calls this with the same sweep in a store of its own: they train
    every block together, on the devices of all, and their stores end up the same.

    Args:
        connection: writable, from `store.opened`.
        sweep: from `store.begin` or `store.find_sweeps`.
        data: whose hash is the sweep's.
        executor: of `concurrent.futures`; its workers must be able to import jaxmlp. Several processes that train
            together need one worker each, since all must take the blocks in the same order.
        progress: see `Progress`.
        lanes: B on the machines that train; by default this machine's.
        in_flight: blocks handed to the executor at a time: twice its workers.
        attempts: how often a block is tried before its trials are marked failed.
        engine: as in `pack`.
        trials: the sweep's, where they are at hand; they are read from the store otherwise, which takes longer.

    Raises:
        InputError: of the store or the executor. What was written before stays.
    """
    data = jax.tree.map(np.asarray, data)
    lanes = lanes or lanes_of(device_mesh())
    _, _, epochs, halving = sweep.identity
    steps = rungs(epochs, halving)
    entries = store.pending(connection, sweep.number, () if halving else ("done", "diverged"), trials)
    alive = list(entries)
    for step in steps:
        out: set[int] = set()
        if halving:
            out = {*reading.losses_at(connection, sweep.number, step), *reading.stopped(connection, sweep.number)}
        missing = [trial for trial in alive if entries[trial].number not in out]

        def written(block: Block, outcomes: list[Outcome], seconds: float, step: int = step) -> None:
            pairs = zip((entries[trial] for trial in block.trials), outcomes, strict=True)
            store.record(connection, pairs, seconds / len(outcomes), "done" if step == epochs else "pruned")
            progress(len(outcomes))

        def failed(block: Block, reason: str) -> None:
            store.fail(connection, [entries[trial] for trial in block.trials], reason)
            progress(len(block.trials))

        run_blocks(pack(missing, data, lanes, engine), step, data, executor, written, failed, in_flight, attempts)
        if step < epochs:
            losses = reading.losses_at(connection, sweep.number, step)
            alive = survivors(alive, [losses.get(entries[trial].number) for trial in alive], halving)
