"""From blocks to outcomes: each trial is placed in its lane, trained, and read."""

import concurrent.futures
import functools
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from jaxmlp import engine
from jaxmlp.engine import layout
from jaxmlp.lecture.network import Params
from jaxmlp.lecture.optimizers import Hyperparameters
from jaxmlp.lecture.training import TrainingState, initial_state
from jaxmlp.sweep.blocks.checkpoints import Checkpoint, checkpoint_of, restore
from jaxmlp.sweep.blocks.held_out import Data
from jaxmlp.sweep.blocks.job import Lanes, number_of
from jaxmlp.sweep.blocks.measures import Measures
from jaxmlp.sweep.blocks.packing import Block, config_of, lanes_for, sizes_of_block, with_engine
from jaxmlp.sweep.blocks.programs import programs_for
from jaxmlp.sweep.trial import Outcome, Trial, initial_weights, order_streams

__all__ = ["Trained", "Watch", "compile_block", "train_block", "train_trial", "train_watched"]

_HANDING = threading.Lock()
"""Held while a block is handed to this process's devices: two threads, of which one places the next block while the
other's trains."""

_DRAWING = concurrent.futures.ThreadPoolExecutor(os.cpu_count(), "jaxmlp-draws")


class _Busy:
    """Seconds in which devices trained: the next block is handed to them while one trains, and waits there."""

    def __init__(self) -> None:
        self._end, self._lock = 0.0, threading.Lock()

    def since(self, start: float) -> float:
        """Seconds of the block that was handed over at ``start`` and is done now, without its wait for other blocks."""
        with self._lock:
            now = time.perf_counter()
            seconds, self._end = now - max(start, min(self._end, now)), now
        return seconds


_BUSY = _Busy()

Watch = Callable[[int], bool]
"""Called during training with the number of epochs that are done, those before this call included; False ends it after
the epoch that is being trained."""


def place(block: Block, data: Data, laid_out: layout.Layout) -> tuple[Lanes, engine.LaneHyperparameters]:
    """The block's trials as NumPy arrays ``[G, B, ...]``, each group in its slot; the rest is inert."""
    shape, dtype, sizes = laid_out.shape, data.dataset.x_train.dtype, sizes_of_block(block.config, data)
    params, masks = layout.empty_block(shape, sizes, dtype)
    rate, momentum, decay = (layout.zeros(shape, dtype) for _ in range(3))
    alive = layout.zeros(shape, bool)

    def group(slot: int, trials_of_group: Sequence[Trial]) -> None:
        lane = 0
        # Neighbours that differ in their rates alone are placed together: placing trials one at a time would cost a
        # tenth of the training time.
        for _, alike in itertools.groupby(trials_of_group, lambda trial: (trial.hidden, trial.seed, trial.init_scale)):
            trials = list(alike)
            at = slot, slice(lane, lane := lane + len(trials))
            layout.put_network(params, masks, at, initial_weights(trials[0], sizes[0], sizes[-1]))
            rate[at] = [trial.learning_rate for trial in trials]
            momentum[at] = [trial.momentum or 0 for trial in trials]
            decay[at] = [trial.weight_decay for trial in trials]
            alive[at] = True

    # NumPy lets other threads run while it draws.
    list(_DRAWING.map(group, laid_out.slots, block.groups))
    hyperparameters = Hyperparameters(rate, momentum, decay if block.config.decays else None)
    # Every optimiser of the table starts from zeros: only their shapes are asked for, which compiles nothing.
    start = functools.partial(initial_state, config=block.config.config())
    leaves = jax.eval_shape(jax.vmap(jax.vmap(start)), params, hyperparameters).optimizer_state
    optimizer_state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), leaves)
    state = TrainingState(params, optimizer_state)
    for at, checkpoint in zip(_places(block, laid_out.slots), block.checkpoints, strict=False):
        restore(state, at, checkpoint)
        alive[at] = checkpoint.alive
    return Lanes(state, alive), engine.LaneHyperparameters(hyperparameters, masks)


def _places(block: Block, slots: Sequence[int]) -> list[tuple[int, int]]:
    """The group and lane of each of ``block.trials``."""
    return [(slot, lane) for slot, group in zip(slots, block.groups, strict=True) for lane in range(len(group))]


def train_block(block: Block, epochs: int, data: Data) -> list[Outcome]:
    """An Outcome for each of ``block.trials``, in their order: `train_watched` to the end, a pure function."""
    return train_watched(block, epochs, data, None).outcomes


class Trained(NamedTuple):
    """A block after training.

    Attributes:
        epochs: how many are done; fewer than requested if a `Watch` ended the training.
        outcomes: of each of its trials, in their sequence, so far.
        checkpoints: one for each trial; none unless a `Watch` ended the training or they were requested.
        seconds: in which the devices trained it, compiling and placing apart.
    """

    epochs: int
    outcomes: list[Outcome]
    checkpoints: list[Checkpoint]
    seconds: float = 0.0


def train_watched(block: Block, epochs: int, data: Data, watch: Watch | None, continues: bool = False) -> Trained:
    """Train a block's trials, from their initial weights or their checkpoints, on all devices.

    Args:
        block: from `pack`.
        epochs: more than ``block.start``.
        data: arrays of NumPy or JAX.
        watch: see `Watch`.
        continues: whether training may continue later, beyond ``epochs``; then the block gives checkpoints.
    """
    lanes, measures, slots, seconds = _train(block, epochs, data, watch)
    places = _places(block, slots)
    earlier = [checkpoint.curves for checkpoint in block.checkpoints] or [np.empty((3, 0))] * len(places)
    outcomes = [_outcome(measures, *each) for each in zip(places, earlier, strict=True)]
    done = block.start + measures.alive.shape[-1]
    if done == epochs and not continues:
        return Trained(done, outcomes, [], seconds)
    state = jax.tree.map(layout.fetched, lanes.state)
    checkpoints = [checkpoint_of(state, at, done, each.curves) for at, each in zip(places, outcomes, strict=True)]
    return Trained(done, outcomes, checkpoints, seconds)


def train_trial(trial: Trial, epochs: int, data: Data, engine: str = "scan") -> tuple[Params, Outcome]:
    """Train one trial again, as a sweep does and to the same bits: its parameters, without padding, and its Outcome."""
    config = with_engine(config_of(trial), data, engine)
    lanes = lanes_for(config, data, layout.lanes_of(layout.device_mesh()))
    block = Block(config, ((trial,),), trial.batch_size == 1, lanes=lanes)
    lanes, measures, slots, _ = _train(block, epochs, data, None)
    sizes = (data.dataset.x_train.shape[1], *trial.hidden, data.dataset.y_train.shape[1])
    at = slots[0], 0
    return layout.unpad_params(lanes.state.params, at, sizes), _outcome(measures, at, np.empty((3, 0)))


def _train(block: Block, epochs: int, data: Data, watch: Watch | None) -> tuple[Lanes, Measures, list[int], float]:
    """The lanes after the last epoch, the measures ``[G, B, epochs]``, each group's slot, and the devices' seconds."""
    mesh = layout.device_mesh()
    split, whole = layout.shardings(mesh)
    laid_out = laid_out_of(block, mesh)
    placed, shape = place(block, data, laid_out), (*laid_out.shape, len(data.dataset.x_train))
    train, evaluate = programs_for(block.config, placed, _shape(block, shape), data, block.mixed)
    measures: list[Measures] = []
    with _HANDING:
        start = time.perf_counter()
        number = np.int32(number_of(str(block.config.activation)))
        (state, given), counts, (on_devices, number) = jax.device_put(
            (placed, laid_out.counts, (data, number)), (split, split, whole)
        )
        for epoch, orders in enumerate(_orders(block, epochs, laid_out.slots, shape), block.start):
            orders, last = jax.device_put((orders, np.bool_(epoch == epochs - 1)), (split, whole))
            state, loss = train(state, given, orders, counts, (on_devices.dataset, number))
            trained = state.state.params, given.masks, loss, state.alive
            measures.append(evaluate((), trained, None, counts, (on_devices, last, number))[1])
            if watch and len(measures) > 1:  # the epoch before, so that the device never waits
                jax.block_until_ready(measures[-2])
                if not watch(epoch):
                    break
    jax.block_until_ready(measures[-1])
    seconds = _BUSY.since(start)
    seen = [jax.tree.map(layout.fetched, measured) for measured in measures]
    return state, jax.tree.map(lambda *epochs: np.stack(epochs, -1), *seen), laid_out.slots, seconds


def laid_out_of(block: Block, mesh: Mesh) -> layout.Layout:
    """Where its groups lie: in one shape for all blocks of a program, full or not."""
    return layout.lay_out(len(block.groups), block.capacity, block.lanes, mesh)


def compile_block(block: Block, data: Data) -> None:
    """Compile what trains blocks of this kind."""
    blank = block._replace(groups=(), checkpoints=())
    laid_out = laid_out_of(blank, layout.device_mesh())
    shape = (*laid_out.shape, len(data.dataset.x_train))
    programs_for(block.config, place(blank, data, laid_out), _shape(block, shape), data, block.mixed)


def _shape(block: Block, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Of an epoch's orders, for groups, lanes and rows of ``shape``."""
    return (shape[0], 1, shape[2]) if block.shared else shape


def _orders(
    block: Block, epochs: int, slots: Sequence[int], shape: tuple[int, int, int]
) -> Iterator[NDArray[np.int32]]:
    """For each epoch to come the sample orders ``[G, B, n]`` of ``shape``, ``[G, 1, n]`` where groups share them."""
    n = shape[2]
    streams = order_streams({trial.seed for trial in block.trials})
    for stream in streams.values():
        for _ in range(block.start):
            stream.permutation(n)
    for _ in range(block.start, epochs):
        drawn = {seed: stream.permutation(n) for seed, stream in streams.items()}
        orders = np.zeros(_shape(block, shape), np.int32)
        for slot, group in zip(slots, block.groups, strict=True):
            for lane, trial in enumerate(group[:1] if block.shared else group):
                orders[slot, lane] = drawn[trial.seed]
        yield orders


def _outcome(measures: Measures, at: tuple[int, int], earlier: NDArray[np.float64]) -> Outcome:
    """The outcome of the lane ``at`` group and number from measures ``[G, B, epochs]`` and the epochs before them."""
    *curves, train_accuracy, test_accuracy, alive = (np.asarray(column[at]) for column in measures)
    done = int(np.count_nonzero(alive))
    loss, validation_loss, validation_accuracy = (
        np.concatenate([before, curve[:done].astype(np.float64)]) for before, curve in zip(earlier, curves, strict=True)
    )
    status = "done" if done == len(alive) else "diverged"
    return Outcome(
        status, loss, validation_loss, validation_accuracy, float(train_accuracy[-1]), float(test_accuracy[-1])
    )
