"""Blocks in a stream through an executor: a failure affects its own block only, Ctrl-C loses nothing."""

import concurrent.futures
import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import jax

from jaxmlp import runtime
from jaxmlp.checks import InputError
from jaxmlp.engine import Data
from jaxmlp.sweep.blocks.block_training import Trained, Watch, train_watched
from jaxmlp.sweep.blocks.packing import Block

__all__ = ["ATTEMPTS", "IN_FLIGHT", "Progress", "run_blocks", "seen", "train_task"]

ATTEMPTS = 3
IN_FLIGHT = 2  # blocks, and threads of a local executor: one is trained while the next one is placed

POLL = 0.2
"""Seconds between two looks at the epochs that blocks have done, where that can be seen."""

Progress = Callable[[float], None]
"""Called with a number of trials: of their share when an epoch of a block is done, where that can be seen, and of the
rest when outcomes have been written; a block that fails takes its share back."""


def train_task(
    block: Block, epochs: int, data: Data, keep: bool = False, watch: Watch | None = None
) -> tuple[Trained, float, dict[str, Any]]:
    """A task, wherever it runs: what became of a block, the seconds it took, and the environment.

    Args:
        block: the trials.
        epochs: for each.
        data: NumPy arrays.
        keep: as in `train_watched`.
        watch: as in `train_watched`.
    """
    runtime.configure_sweep(str(data.dataset.x_train.dtype))
    start = time.perf_counter()
    trained = train_watched(block, epochs, data, watch, keep)
    return trained, time.perf_counter() - start, _environment()


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
        """The share of the block's trials that is new since the last call; ``finished``: the share done in all."""
        share = self._trials * self.done / self._epochs if finished is None else finished
        news, self.told = share - self.told, share
        return news


def run_blocks(
    blocks: Iterator[Block],
    epochs: int,
    data: Data,
    executor: concurrent.futures.Executor,
    written: Callable[[Block, Trained, float, dict[str, Any]], None],
    failed: Callable[[Block, str], None],
    in_flight: int = IN_FLIGHT,
    attempts: int = ATTEMPTS,
    progress: Progress = lambda _: None,
    keep: bool = False,
) -> None:
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
    watches = seen(executor)

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
                extra = [watched] if watches else []
                running[executor.submit(train_task, task[0], epochs, data, keep, *extra)] = (*task, watched)
            if not running:
                return
            finished, _ = concurrent.futures.wait(
                running, POLL if watches else None, concurrent.futures.FIRST_COMPLETED
            )
            for future in finished:
                collect(future)
            for *_, watched in running.values() if watches else ():
                tell(watched.news())
    except concurrent.futures.BrokenExecutor as error:
        raise InputError(f"the executor is broken, expected one that runs: {error}") from None
    except KeyboardInterrupt:
        stop.set()
        if watches:
            for future in list(running):
                if not future.cancel():
                    concurrent.futures.wait([future])
                    collect(future)
        raise
    finally:
        for future in running:
            future.cancel()


def seen(executor: concurrent.futures.Executor) -> bool:
    """Whether threads of this process train, and it alone: several could not agree on when to end a block."""
    return isinstance(executor, concurrent.futures.ThreadPoolExecutor) and jax.process_count() == 1
