"""Running a sweep: its blocks are trained, outcomes go into the store, successive halving chooses in between."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from jaxmlp.engine import Data, device_mesh, lanes_of
from jaxmlp.sweep import store
from jaxmlp.sweep.blocks.block_training import Trained, prepare
from jaxmlp.sweep.blocks.continuing import States, freeze, thaw
from jaxmlp.sweep.blocks.packing import Block, pack
from jaxmlp.sweep.blocks.programs import compile_ahead
from jaxmlp.sweep.blocks.streaming import ATTEMPTS, IN_FLIGHT, Progress, run_blocks, seen
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
        KeyboardInterrupt: as `run_blocks`.
    """
    data = jax.tree.map(np.asarray, data)
    lanes = lanes or lanes_of(device_mesh())
    _, _, epochs, halving = sweep.identity
    entries = store.pending(connection, sweep.number, () if halving else ("done", "diverged"), trials)
    numbers = {entry.number: trial for trial, entry in entries.items()}
    stored = {number: thaw(blob) for number, (_, blob) in store.kept(connection, sweep.number).items()}
    states = States({numbers[number]: state for number, state in stored.items() if number in numbers and state})
    run = _Run(connection, sweep, data, engine, entries, states)
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
        store.keep(connection, run.states_of(alive))
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
    states: States
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
        begun = {trial: state for trial, state in self.states.items() if state.epochs < step}
        blocks = list(pack(trials, self.data, lanes, self.engine, begun))
        with contextlib.ExitStack() as stack:
            if seen(executor):
                kinds = {(block.config, block.shared): block for block in blocks}.values()
                pool = compile_ahead(functools.partial(prepare, block, self.data) for block in kinds)
                stack.callback(pool.shutdown, wait=False, cancel_futures=True)
            written = functools.partial(self._written, step)
            run_blocks(
                iter(blocks),
                step,
                self.data,
                executor,
                written,
                self._failed,
                *options,
                keep=step < self.sweep.identity.epochs,
            )

    def _written(self, step: int, block: Block, trained: Trained, seconds: float, environment: dict[str, Any]) -> None:
        self.seconds += trained.seconds
        states = dict(zip(block.trials, trained.states, strict=False))
        if trained.epochs < step:  # Ctrl-C
            self.states.update(states)
            return
        done = "done" if step == self.sweep.identity.epochs else "pruned"
        pairs = [(self.entries[trial], outcome) for trial, outcome in zip(block.trials, trained.outcomes, strict=True)]
        where = {**environment, "engine": self.engine}
        store.record(self.connection, pairs, seconds / len(pairs), done, where, block.start > 0)
        self.states.replace(block.trials, states)

    def _failed(self, block: Block, reason: str) -> None:
        store.fail(self.connection, [self.entries[trial] for trial in block.trials], reason)

    def choose(self, alive: Sequence[Trial], by: str, before: int, step: int) -> list[Trial]:
        """The trials that continue after a rung, ``before`` the epoch of the rung before; the others are pruned."""
        scores = reading.scores_at(self.connection, self.sweep.number, step)
        known = {trial: scores[number] for trial in alive if (number := self.entries[trial].number) in scores}
        kept = survivors(alive, known, self.sweep.identity.halving, by)
        left = set(alive) - set(kept)
        store.prune(self.connection, self.sweep.number, [self.entries[trial].number for trial in left], step, before)
        self.states = States({trial: self.states[trial] for trial in kept if trial in self.states})
        return kept

    def states_of(self, trials: Iterable[Trial]) -> list[tuple[store.Entry, int, bytes]]:
        """The checkpoints of trials, in the form of `store.keep`."""
        there = [(self.entries[trial], self.states[trial]) for trial in trials if trial in self.states]
        return [(entry, state.epochs, freeze(state)) for entry, state in there]
