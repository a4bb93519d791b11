"""From blocks to outcomes: placing each trial in its lane, training, reading what became of it."""

import functools
import itertools
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax.experimental import multihost_utils  # public, documented, and the only way to collect from processes
from jax.sharding import NamedSharding, PartitionSpec
from numpy.typing import NDArray

from jaxmlp.engine import Data, Lanes, Measures, block_epoch, device_mesh, lanes_of
from jaxmlp.network import Layer, Params
from jaxmlp.optimizers import OPTIMIZERS, Hyperparameters
from jaxmlp.sweep.packing import Block, groups_a_block, program_of, with_engine
from jaxmlp.sweep.trial import Trial, initial_weights, order_streams
from jaxmlp.training import Config, TrainingState, initial_state

__all__ = ["Outcome", "train_block", "train_trial"]

_HANDING = threading.Lock()
"""Held while a block is handed to this process's devices: two threads, of which one places the next block while the
other's trains, must not compile a program twice."""


class Outcome(NamedTuple):
    """What became of a trial.

    Attributes:
        status: "done", or "diverged": a loss or parameter was no longer finite in the epoch after the last one here.
        loss: ``[epochs done]``, float64, like the next two.
        validation_loss: NaN without validation rows.
        validation_accuracy: a share, 0..1, like the next two.
        train_accuracy: after the last finite epoch.
        test_accuracy: the same.
    """

    status: str
    loss: NDArray[Any]
    validation_loss: NDArray[Any]
    validation_accuracy: NDArray[Any]
    train_accuracy: float
    test_accuracy: float


def place(block: Block, data: Data, shape: tuple[int, int], slots: Sequence[int]) -> Lanes:
    """The block's Lanes as NumPy arrays of ``shape`` [G, B]; group i goes into slot ``slots[i]``, the rest is inert."""
    x, y = data.dataset.x_train, data.dataset.y_train
    dtype = x.dtype
    widths = (x.shape[1], *block.program.widths, y.shape[1])
    layers = [(np.zeros((*shape, to, n), dtype), np.zeros((*shape, to), dtype)) for n, to in itertools.pairwise(widths)]
    masks = [np.zeros((*shape, width), dtype) for width in widths[1:-1]]
    rate, momentum, decay = (np.zeros(shape, dtype) for _ in range(3))
    alive = np.zeros(shape, bool)
    for slot, group in zip(slots, block.groups, strict=True):
        lane = 0
        # Neighbours that differ in their rates alone are placed together: one by one takes a tenth of training's time.
        for _, alike in itertools.groupby(group, lambda trial: (trial.hidden, trial.seed, trial.init_scale)):
            trials = list(alike)
            at = slot, slice(lane, lane := lane + len(trials))
            for (weights, _), values in zip(layers, initial_weights(trials[0], widths[0], widths[-1]), strict=True):
                weights[at][:, : values.shape[0], : values.shape[1]] = values
            for mask, width in zip(masks, trials[0].hidden, strict=True):
                mask[at][:, :width] = 1
            rate[at] = [trial.learning_rate for trial in trials]
            momentum[at] = [trial.momentum or 0 for trial in trials]
            decay[at] = [trial.weight_decay for trial in trials]
            alive[at] = True
    params = tuple(Layer(_array(weights), _array(biases)) for weights, biases in layers)
    decays = _array(decay) if block.program.decays else None
    hyperparameters = Hyperparameters(_array(rate), _array(momentum), decays)
    # Every optimiser of the table starts from zeros: only their shapes are asked for, which compiles nothing.
    start = functools.partial(initial_state, config=Config(optimizer=OPTIMIZERS[block.program.optimizer]))
    leaves = jax.eval_shape(jax.vmap(jax.vmap(start)), params, hyperparameters).optimizer_state
    optimizer_state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), leaves)
    return Lanes(TrainingState(params, optimizer_state), hyperparameters, tuple(map(_array, masks)), _array(alive))


def _array(values: NDArray[Any]) -> Any:
    """NumPy's array where the types promise JAX's: what it becomes when placed on devices."""
    return values


def train_block(block: Block, epochs: int, data: Data) -> list[Outcome]:
    """Train a block's trials from their initial weights: a pure function of its arguments, on all devices.

    Args:
        block: from `pack`, with this platform's number of lanes.
        epochs: 1 or more.
        data: arrays of NumPy or JAX.

    Returns:
        An Outcome for each of ``block.trials``, in their order.
    """
    _, measures, slots = _train(block, epochs, data)
    return [
        _outcome(measures, (slot, lane))
        for slot, group in zip(slots, block.groups, strict=True)
        for lane in range(len(group))
    ]


def train_trial(trial: Trial, epochs: int, data: Data, engine: str = "scan") -> tuple[Params, Outcome]:
    """Train one trial again, as a sweep does and to the same bits: its parameters, without padding, and its Outcome."""
    block = Block(with_engine(program_of(trial), data, engine), ((trial,),), shared=trial.batch_size == 1)
    lanes, measures, slots = _train(block, epochs, data)
    sizes = (data.dataset.x_train.shape[1], *trial.hidden, data.dataset.y_train.shape[1])
    at = slots[0], 0
    params = tuple(
        Layer(layer.weights[at][:to, :n], layer.biases[at][:to])
        for layer, (n, to) in zip(lanes.state.params, itertools.pairwise(sizes), strict=True)
    )
    return params, _outcome(measures, (slots[0], 0))


def _train(block: Block, epochs: int, data: Data) -> tuple[Lanes, Measures, list[int]]:
    """The lanes after the last epoch, the measures as NumPy arrays ``[G, B, epochs]``, and each group's slot."""
    mesh = device_mesh()
    lanes, devices = lanes_of(mesh), mesh.devices.size
    x, y = data.dataset.x_train, data.dataset.y_train
    # One shape for all blocks of a program, full or not, and no more than their memory allows.
    fitting = groups_a_block(block.program, x.shape[1], y.shape[1], lanes, x.dtype.itemsize)
    each = -(-max(fitting, len(block.groups)) // devices)
    slots = [each * (group % devices) + group // devices for group in range(len(block.groups))]
    counts = np.bincount(np.arange(len(block.groups)) % devices, minlength=devices).astype(np.int32)
    laid_out = place(block, data, (each * devices, lanes), slots)
    split, whole = NamedSharding(mesh, PartitionSpec("devices")), NamedSharding(mesh, PartitionSpec())
    measures: list[Measures] = []
    with _HANDING:
        state, groups, on_devices = jax.device_put((laid_out, counts, data), (split, split, whole))
        for epoch, orders in enumerate(_orders(block, epochs, slots, (each * devices, lanes, len(x)))):
            placed = jax.device_put((orders, np.bool_(epoch == epochs - 1)), (split, whole))
            state, measured = block_epoch(state, placed[0], groups, on_devices, placed[1], block.program, mesh)
            measures.append(measured)
    fetched = [jax.tree.map(_fetched, measured) for measured in measures]
    return state, jax.tree.map(lambda *epochs: np.stack(epochs, -1), *fetched), slots


def _orders(
    block: Block, epochs: int, slots: Sequence[int], shape: tuple[int, int, int]
) -> Iterator[NDArray[np.int32]]:
    """For each epoch the sample orders ``[G, B, n]`` of ``shape``, ``[G, 1, n]`` where groups share them."""
    groups, lanes, n = shape
    streams = order_streams({trial.seed for trial in block.trials})
    for _ in range(epochs):
        drawn = {seed: stream.permutation(n) for seed, stream in streams.items()}
        orders = np.zeros((groups, 1 if block.shared else lanes, n), np.int32)
        for slot, group in zip(slots, block.groups, strict=True):
            for lane, trial in enumerate(group[:1] if block.shared else group):
                orders[slot, lane] = drawn[trial.seed]
        yield orders


def _fetched(array: Array) -> NDArray[Any]:
    """The array here, also where other processes hold parts of it."""
    return np.asarray(array if array.is_fully_addressable else multihost_utils.process_allgather(array, tiled=True))


def _outcome(measures: Measures, at: tuple[int, int]) -> Outcome:
    """The outcome of the lane ``at`` group and number from measures ``[G, B, epochs]``."""
    *curves, train_accuracy, test_accuracy, alive = (np.asarray(column[at]) for column in measures)
    done = int(np.count_nonzero(alive))
    loss, validation_loss, validation_accuracy = (curve[:done].astype(np.float64) for curve in curves)
    status = "done" if done == len(alive) else "diverged"
    return Outcome(
        status, loss, validation_loss, validation_accuracy, float(train_accuracy[-1]), float(test_accuracy[-1])
    )
