"""Running a sweep: blocks go to an executor, outcomes into the store; a failure affects its own block only."""

import concurrent.futures
import contextlib
import functools
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxmlp import runtime
from jaxmlp.engine import Data, device_mesh, lanes_of
from jaxmlp.errors import InputError
from jaxmlp.sweep import store
from jaxmlp.sweep.blocks.block_training import Outcome, Watch, prepare, train_watched
from jaxmlp.sweep.blocks.continuing import Kept, freeze, thaw
from jaxmlp.sweep.blocks.packing import Block, pack
from jaxmlp.sweep.blocks.programs import compile_ahead
from jaxmlp.sweep.trial import Trial

__all__ = ["ATTEMPTS", "Progress", "run_sweep", "rungs", "train_task"]

ATTEMPTS = 3
IN_FLIGHT = 2  # blocks, and threads of a local executor: one is trained while the next one is placed

POLL = 0.2
"""Seconds between two looks at the epochs that blocks have done, where that can be seen."""

Progress = Callable[[float], None]
"""Called with a number of trials: of their share when an epoch of a block is done, where that can be seen, and of the
rest when outcomes have been written; a block that fails takes its share back."""


def train_task(
    block: Block, epochs: int, data: Data, watch: Watch | None = None
) -> tuple[list[Outcome] | list[Kept], float, dict[str, Any]]:
    """A task, wherever it runs: the outcomes of a block, the seconds it took, and the environment.

    Args:
        block: the trials.
        epochs: for each.
        data: NumPy arrays.
        watch: as in `train_watched`.
    """
    runtime.configure_sweep(str(data.dataset.x_train.dtype))
    start = time.perf_counter()
    outcomes = train_watched(block, epochs, data, watch)
    return outcomes, time.perf_counter() - start, _environment()


@functools.cache
def _environment() -> dict[str, Any]:
    return runtime.environment()


class Watched:
    """What is seen of a block while a thread of this process trains it; called after each epoch, see `Watch`."""

    def __init__(self, block: Block, epochs: int, stop: threading.Event) -> None:
        self.done, self.told = block.start, 0.0
        self._trials, self._epochs, self._stop = len(block.trials), epochs, stop

    def __call__(self, done: int) -> bool:
        self.done = done
        return not self._stop.is_set()

    def news(self, finished: float | None = None) -> float:
        """The share of the block's trials since it was asked for last; ``finished``: the share that is done in all."""
        share = self._trials * self.done / self._epochs if finished is None else finished
        news, self.told = share - self.told, share
        return news


def run_blocks(
    blocks: Iterator[Block], epochs: int, data: Data, executor: concurrent.futures.Executor,
    written: Callable[[Block, list[Any], float, dict[str, Any]], None], failed: Callable[[Block, str], None],
    in_flight: int = IN_FLIGHT, attempts: int = ATTEMPTS, progress: Progress = lambda _: None,
) -> None:  # fmt: skip
    """Stream blocks through the executor, at most ``in_flight`` at a time; a block that fails goes again.

    Ctrl-C ends the blocks that threads of this process train after the epoch that runs, so that ``written`` gets where
    their trials stand; a second Ctrl-C leaves at once.

    Raises:
        InputError: the executor itself is broken.
        KeyboardInterrupt: Ctrl-C, when what could be kept has been written.
    """
    again: deque[tuple[Block, int]] = deque()
    running: dict[concurrent.futures.Future[Any], tuple[Block, int, Watched]] = {}
    fresh, stop = ((block, 1) for block in blocks), threading.Event()
    seen = _seen(executor)

    def tell(news: float) -> None:
        if news:
            progress(news)

    def collect(future: concurrent.futures.Future[Any]) -> None:
        block, attempt, watched = running[future]
        error = future.exception()
        if error is None:
            written(block, *future.result())
            tell(watched.news(len(block.trials)))
        elif isinstance(error, InputError):
            raise error
        elif attempt < attempts:
            again.append((block, attempt + 1))
            tell(watched.news(0))
        else:
            failed(block, f"{type(error).__name__}: {error}".splitlines()[0])
            tell(watched.news(len(block.trials)))
        del running[future]  # not before: Ctrl-C may come while it is written

    try:
        while True:
            while len(running) < in_flight and (task := again.popleft() if again else next(fresh, None)):
                watched = Watched(task[0], epochs, stop)
                extra = [watched] if seen else []
                running[executor.submit(train_task, task[0], epochs, data, *extra)] = (*task, watched)
            if not running:
                return
            finished, _ = concurrent.futures.wait(
                running, POLL if seen else None, concurrent.futures.FIRST_COMPLETED
            )  # fmt: skip
            for future in finished:
                collect(future)
            for *_, watched in running.values() if seen else ():
                tell(watched.news())
    except concurrent.futures.BrokenExecutor as error:
        raise InputError(f"the executor is broken, expected one that runs: {error}") from None
    except KeyboardInterrupt:
        stop.set()
        if seen:
            for future in list(running):
                if not future.cancel():
                    concurrent.futures.wait([future])
                    collect(future)
        raise
    finally:
        for future in running:
            future.cancel()


def _seen(executor: concurrent.futures.Executor) -> bool:
    """Whether threads of this process train, and it alone: several could not agree on when to end a block."""
    return isinstance(executor, concurrent.futures.ThreadPoolExecutor) and jax.process_count() == 1


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

    Ctrl-C keeps where the trials in training stand, and the next run goes on from there, to the same bits.

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
        KeyboardInterrupt: as `run_blocks`.
    """
    data = jax.tree.map(np.asarray, data)
    lanes = lanes or lanes_of(device_mesh())
    _, _, epochs, halving = sweep.identity
    steps = rungs(epochs, halving)
    entries = store.pending(connection, sweep.number, () if halving else ("done", "diverged"), trials)
    alive = list(entries)
    numbers = {entry.number: trial for trial, entry in entries.items()}
    kept = {
        numbers[number]: state
        for number, (_, blob) in store.kept(connection, sweep.number).items()
        if number in numbers and (state := thaw(blob))
    }
    for step in steps:
        out: set[int] = set()
        if halving:
            out = {
                *store.reading.losses_at(connection, sweep.number, step),
                *store.reading.stopped(connection, sweep.number),
            }
        missing = [trial for trial in alive if entries[trial].number not in out]

        def written(
            block: Block, outcomes: list[Any], seconds: float, environment: dict[str, Any], step: int = step
        ) -> None:  # fmt: skip
            pairs = list(zip((entries[trial] for trial in block.trials), outcomes, strict=True))
            if isinstance(outcomes[0], Kept):
                store.keep(connection, [(entry, state.epochs, freeze(state)) for entry, state in pairs])
            else:
                done = "done" if step == epochs else "pruned"
                store.record(connection, pairs, seconds / len(outcomes), done, {**environment, "engine": engine})

        def failed(block: Block, reason: str) -> None:
            store.fail(connection, [entries[trial] for trial in block.trials], reason)

        begun = {trial: state for trial, state in kept.items() if state.epochs < step}
        blocks = list(pack(missing, data, lanes, engine, begun))
        with contextlib.ExitStack() as stack:
            if _seen(executor):
                kinds = {(block.config, block.shared): block for block in blocks}.values()
                pool = compile_ahead(functools.partial(prepare, block, data) for block in kinds)
                stack.callback(pool.shutdown, wait=False, cancel_futures=True)
            run_blocks(iter(blocks), step, data, executor, written, failed, in_flight, attempts, progress)
        if step < epochs:
            losses = store.reading.losses_at(connection, sweep.number, step)
            alive = survivors(alive, [losses.get(entries[trial].number) for trial in alive], halving)
