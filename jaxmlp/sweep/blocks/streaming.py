"""Blocks in a stream through an executor: a failure affects its own block only, Ctrl-C loses nothing."""

import concurrent.futures
import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple

import jax

from jaxmlp import runtime
from jaxmlp.checks import InputError
from jaxmlp.sweep.blocks.block_training import Trained, Watch, train_watched
from jaxmlp.sweep.blocks.held_out import Data
from jaxmlp.sweep.blocks.packing import Block

__all__ = ["ATTEMPTS", "IN_FLIGHT", "Finished", "Progress", "each_finished", "finished_blocks", "seen", "train_task"]

ATTEMPTS = 3
IN_FLIGHT = 2  # blocks, and threads of a local executor: one is trained while the next one is placed

POLL = 0.2
"""Seconds between two looks at the epochs that blocks have done, where that can be seen."""

Progress = Callable[[float], None]
"""Called with a number of trials: of their share when an epoch of a block is done, where that can be seen, and of the
rest when outcomes have been written; a block that fails takes its share back."""


def train_task(
    block: Block, epochs: int, data: Data, continues: bool = False, watch: Watch | None = None
) -> tuple[Trained, float, dict[str, Any]]:
    """A task, wherever it runs: what became of a block, the seconds it took, and the environment.

    Args:
        block: the trials.
        epochs: for each.
        data: NumPy arrays.
        continues: as in `train_watched`.
        watch: as in `train_watched`.
    """
    runtime.configure_sweep(str(data.dataset.x_train.dtype))
    start = time.perf_counter()
    trained = train_watched(block, epochs, data, watch, continues)
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


class Finished(NamedTuple):
    """A block whose training has ended.

    Attributes:
        block: the block.
        trained: its outcomes; None if it failed.
        seconds: that the task took where it ran.
        environment: of the process that trained it.
        error: the last error in one line; "" unless it failed.
    """

    block: Block
    trained: Trained | None
    seconds: float
    environment: dict[str, Any]
    error: str = ""


def finished_blocks(
    blocks: Iterable[Block],
    epochs: int,
    data: Data,
    executor: concurrent.futures.Executor,
    in_flight: int = IN_FLIGHT,
    attempts: int = ATTEMPTS,
    progress: Progress = lambda _: None,
    continues: bool = False,
) -> Generator[Finished]:
    """Train blocks in the executor, at most ``in_flight`` at a time, and yield each when it has ended.

    A block that fails is tried again, ``attempts`` times in all. Ctrl-C ends the blocks that threads of this process
    train, after their current epoch. They are yielded too, with the checkpoints of their trials; then
    KeyboardInterrupt is raised. A second Ctrl-C ends everything at once. `each_finished` does the same for Ctrl-C that
    comes while the caller works with a block.

    Args:
        blocks: from `pack`.
        epochs: as in `train_watched`.
        data: NumPy arrays.
        executor: of `concurrent.futures`.
        in_flight: how many blocks the executor has at a time.
        attempts: how often a block is tried.
        progress: see `Progress`.
        continues: as in `train_watched`.

    Raises:
        InputError: the executor is broken, or a block raised it.
        KeyboardInterrupt: Ctrl-C, after the last block was yielded.
    """
    again: deque[tuple[Block, int]] = deque()
    running: dict[concurrent.futures.Future[Any], tuple[Block, int, Watched]] = {}
    fresh, stop = ((block, 1) for block in blocks), threading.Event()
    watches = seen(executor)

    def report(news: float) -> None:
        if news:
            progress(news)

    def collect(future: concurrent.futures.Future[Any]) -> Generator[Finished]:
        block, attempt, watched = running[future]
        error = future.exception()
        if isinstance(error, InputError):
            raise error
        if error is not None and attempt < attempts:
            again.append((block, attempt + 1))
            report(watched.news(0))
        else:
            if error is None:
                yield Finished(block, *future.result())
            else:
                yield Finished(block, None, 0.0, {}, f"{type(error).__name__}: {error}".splitlines()[0])
            report(watched.news(len(block.trials)))
        del running[future]  # not before: after Ctrl-C in the caller the block is yielded again

    try:
        while True:
            while len(running) < in_flight and (task := again.popleft() if again else next(fresh, None)):
                watched = Watched(task[0], epochs, stop)
                extra = [watched] if watches else []
                running[executor.submit(train_task, task[0], epochs, data, continues, *extra)] = (*task, watched)
            if not running:
                return
            ended, _ = concurrent.futures.wait(running, POLL if watches else None, concurrent.futures.FIRST_COMPLETED)
            for future in ended:
                yield from collect(future)
            for *_, watched in running.values() if watches else ():
                report(watched.news())
    except concurrent.futures.BrokenExecutor as error:
        raise InputError(f"the executor is broken, expected one that runs: {error}") from None
    except KeyboardInterrupt:
        stop.set()
        for future in list(running) if watches else ():
            if not future.cancel():
                concurrent.futures.wait([future])
                yield from collect(future)
        raise
    finally:
        for future in running:
            future.cancel()


def each_finished(finished: Generator[Finished], work: Callable[[Finished], None]) -> None:
    """Do ``work`` with each finished block.

    If Ctrl-C comes during ``work``, it is done again with that block, and then with the blocks that are still running.
    So ``work`` must do all or nothing, as a transaction of a database does.

    Raises:
        KeyboardInterrupt: Ctrl-C, when the blocks that were running are done.
    """
    try:
        for each in finished:
            work(each)
    except KeyboardInterrupt as interrupt:
        # If Ctrl-C came during `work`, the generator does not know of it yet. If it came in the generator, the
        # generator has ended, and `throw` raises the interrupt again.
        work(finished.throw(interrupt))
        for each in finished:
            work(each)
        raise
    finally:
        finished.close()


def seen(executor: concurrent.futures.Executor) -> bool:
    """Whether threads of this process train, and it alone: several could not agree on when to end a block."""
    return isinstance(executor, concurrent.futures.ThreadPoolExecutor) and jax.process_count() == 1
