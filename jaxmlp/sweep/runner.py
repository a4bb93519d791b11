"""Running a sweep: its blocks are trained, outcomes go into the store, successive halving chooses in between."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import sqlite3
from collections.abc import Iterable, Sequence

import jax
import numpy as np

from jaxmlp.engine import device_mesh, lanes_of
from jaxmlp.sweep import store
from jaxmlp.sweep.blocks.block_training import compile_block
from jaxmlp.sweep.blocks.checkpoints import Checkpoints, checkpoint_from_bytes, checkpoint_to_bytes
from jaxmlp.sweep.blocks.held_out import Data
from jaxmlp.sweep.blocks.packing import pack
from jaxmlp.sweep.blocks.programs import compile_ahead
from jaxmlp.sweep.blocks.streaming import (
    ATTEMPTS,
    IN_FLIGHT,
    Finished,
    Progress,
    each_finished,
    finished_blocks,
    seen,
)
from jaxmlp.sweep.halving import rungs, survivors
from jaxmlp.sweep.store import reading
from jaxmlp.sweep.trial import Trial

__all__ = ["run_sweep"]


def run_sweep(
    connection: sqlite3.Connection,
    sweep: store.Sweep,
    data: Data,
    executor: concurrent.futures.Executor,
    progress: Progress = lambda _: None,
    lanes: int | None = None,
    in_flight: int = IN_FLIGHT,
    attempts: int = ATTEMPTS,
    engine: str = "scan",
    trials: Iterable[Trial] = (),
    by: str = "loss",
) -> float:
    """Train the trials of a sweep that are not done yet, and write them to the store.

    With several processes (`jax.distributed`) each calls this with the same sweep in a store of its own: they train
    every block together, on the devices of all, and their stores end up the same.

    Ctrl-C keeps a checkpoint of each trial in training. The next run continues from there, to the same bits.

    Args:
        connection: writable, from `store.opened`.
        sweep: from `store.begin` or `store.find_sweeps`.
        data: the sweep's; the database has its hash.
        executor: of `concurrent.futures`; its workers must be able to import jaxmlp. Several processes that train
            together need one worker each, since all must take the blocks in the same order.
        progress: see `Progress`.
        lanes: B on the machines that train; by default this machine's.
        in_flight: blocks handed to the executor at a time: twice its workers.
        attempts: how often a block is tried before its trials are marked failed.
        engine: as in `pack`.
        trials: the sweep's, where they are at hand; they are read from the store otherwise, which takes longer.
        by: what halving chooses by, see `survivors`.

    Returns:
        The seconds in which devices trained, compiling and everything around apart, summed over executors' workers.

    Raises:
        InputError: of the store or the executor. What was written before stays.
        KeyboardInterrupt: as `finished_blocks`.
    """
    data = jax.tree.map(np.asarray, data)
    lanes = lanes or lanes_of(device_mesh())
    epochs, halving = sweep.identity.epochs, sweep.identity.halving
    entries = store.pending(connection, sweep.number, () if halving else ("done", "diverged"), trials)
    numbers = {entry.number: trial for trial, entry in entries.items()}
    stored = store.checkpoints(connection, sweep.number)
    read = {
        numbers[number]: checkpoint_from_bytes(content) for number, (_, content) in stored.items() if number in numbers
    }
    checkpoints = Checkpoints({trial: checkpoint for trial, checkpoint in read.items() if checkpoint})
    run = _Run(connection, sweep, data, engine, entries, checkpoints)
    alive, before = list(entries), 0
    try:
        for step in rungs(epochs, halving):
            out = run.there(step) if halving else set[int]()
            missing = [trial for trial in alive if entries[trial].number not in out]
            run.train(missing, step, executor, lanes, (in_flight, attempts, progress))
            if step < epochs:
                alive = run.choose(alive, by, before, step)
            before = step
    except KeyboardInterrupt:
        store.write_checkpoints(connection, run.checkpoint_rows(alive))
        raise
    return run.seconds


@dataclasses.dataclass
class _Run:
    """A sweep that is being trained: the store for outcomes, and the checkpoints of its trials between two rungs."""

    connection: sqlite3.Connection
    sweep: store.Sweep
    data: Data
    engine: str
    entries: dict[Trial, store.Entry]
    checkpoints: Checkpoints
    seconds: float = 0.0

    def there(self, step: int) -> set[int]:
        """Numbers, as in `store.Entry`, of the trials that need no training for this rung."""
        return {
            *reading.scores_at(self.connection, self.sweep.number, step),
            *reading.stopped(self.connection, self.sweep.number),
        }

    def train(
        self,
        trials: Sequence[Trial],
        step: int,
        executor: concurrent.futures.Executor,
        lanes: int,
        options: tuple[int, int, Progress],
    ) -> None:
        """Train trials up to ``step``, from their checkpoints; ``options``: in_flight, attempts, progress."""
        begun = {trial: checkpoint for trial, checkpoint in self.checkpoints.items() if checkpoint.epochs < step}
        blocks = list(pack(trials, self.data, lanes, self.engine, begun))
        with contextlib.ExitStack() as stack:
            if seen(executor):
                kinds = {(block.config, block.shared): block for block in blocks}.values()
                pool = compile_ahead(functools.partial(compile_block, block, self.data) for block in kinds)
                stack.callback(pool.shutdown, wait=False, cancel_futures=True)
            continues = step < self.sweep.identity.epochs
            finished = finished_blocks(blocks, step, self.data, executor, *options, continues=continues)
            each_finished(finished, functools.partial(self._write, step))

    def _write(self, step: int, finished: Finished) -> None:
        """Write the outcomes of a block, or that it failed; after Ctrl-C remember its checkpoints."""
        block, trained = finished.block, finished.trained
        entries = [self.entries[trial] for trial in block.trials]
        if trained is None:
            store.fail(self.connection, entries, finished.error)
            return
        checkpoints = dict(zip(block.trials, trained.checkpoints, strict=False))
        if trained.epochs < step:  # Ctrl-C
            self.checkpoints.update(checkpoints)
            self.seconds += trained.seconds
            return
        done = "done" if step == self.sweep.identity.epochs else "pruned"
        pairs = list(zip(entries, trained.outcomes, strict=True))
        where = {**finished.environment, "engine": self.engine}
        store.record(self.connection, pairs, finished.seconds / len(pairs), done, where, block.start > 0)
        self.checkpoints.replace(block.trials, checkpoints)
        self.seconds += trained.seconds

    def choose(self, alive: Sequence[Trial], by: str, before: int, step: int) -> list[Trial]:
        """The trials that continue after a rung, ``before`` the epoch of the rung before; the others are pruned."""
        scores = reading.scores_at(self.connection, self.sweep.number, step)
        known = {trial: scores[number] for trial in alive if (number := self.entries[trial].number) in scores}
        chosen = survivors(alive, known, self.sweep.identity.halving, by)
        pruned = set(alive) - set(chosen)
        store.prune(self.connection, self.sweep.number, [self.entries[trial].number for trial in pruned], step, before)
        there = self.checkpoints
        self.checkpoints = Checkpoints({trial: there[trial] for trial in chosen if trial in there})
        return chosen

    def checkpoint_rows(self, trials: Iterable[Trial]) -> list[tuple[store.Entry, int, bytes]]:
        """The checkpoints of trials, in the form of `store.write_checkpoints`."""
        there = [(self.entries[trial], self.checkpoints[trial]) for trial in trials if trial in self.checkpoints]
        return [(entry, checkpoint.epochs, checkpoint_to_bytes(checkpoint)) for entry, checkpoint in there]
