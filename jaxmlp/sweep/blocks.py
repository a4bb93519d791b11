"""Blocks: the trials that one compiled call trains together, whatever their widths, on all local devices.

A block is laid out as ``[G, B]``: G groups of B lanes, one trial a lane. Each device trains its share of the groups
one after the other, the lanes of a group side by side (`jax.vmap` of `jaxmlp.training.train_epoch`, the same epoch
that trains a single network). B is fixed for a kind of device, hidden layers are padded to widths that depend on the
trial alone, and short groups are filled with inert lanes: the arithmetic of a trial, and so its bits, never depends
on its company. One call trains one epoch, so that no number of epochs costs a compilation.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import AxisType, Mesh, PartitionSpec

from jaxmlp.data import Dataset
from jaxmlp.losses import cross_entropy
from jaxmlp.network import Layer, Params, forward
from jaxmlp.optimizers import OPTIMIZERS, Hyperparameters
from jaxmlp.sweep.flat import flat
from jaxmlp.sweep.fused import fused_share
from jaxmlp.sweep.measures import Measures, columns, measure
from jaxmlp.sweep.validation import Data
from jaxmlp.training import Config, TrainingState, train_epoch

__all__ = ["Lanes", "Program", "block_epoch", "device_mesh", "lanes_of", "outputs"]

LANES = {"cpu": 8}
"""B by platform: a CPU's core gains nothing from more than 8 networks of the lecture's size: its first cache's fill."""
LANES_ELSEWHERE = 1024
VECTOR = 16
"""The output layer's units are padded to a multiple of this, the most float32 numbers a CPU's instruction takes."""


@dataclasses.dataclass(frozen=True)
class Program:
    """What a compilation serves: trials that agree in all of this share blocks.

    Attributes:
        widths: of the hidden layers, padded.
        activation: of the hidden layers.
        batch_size: samples an update.
        optimizer: a name of `OPTIMIZERS`.
        decays: whether there is weight decay.
        engine: "scan", or "fused": by the kernel of `jaxmlp.kernels`, all groups at once; interpreted on a CPU.
    """

    widths: tuple[int, ...]
    activation: str
    batch_size: int
    optimizer: str
    decays: bool
    engine: str = "scan"


class Lanes(NamedTuple):
    """A block's trials; every leaf is ``[G, B, ...]``.

    Attributes:
        state: parameters (padded, the output layer's weights as ``[n_(L-1), n_L]``) and the optimiser's state.
        hyperparameters: ``[G, B]`` each.
        masks: one a hidden layer, ``[G, B, n_l]``: 1 for the trial's units, 0 for padding.
        alive: ``[G, B]``: False for inert lanes and for trials whose loss is no longer finite; these stay as they are.
    """

    state: TrainingState
    hyperparameters: Hyperparameters
    masks: tuple[Array, ...]
    alive: Array


def device_mesh() -> Mesh:
    """All devices in a row, with `jax.distributed` those of all processes."""
    devices = np.asarray(jax.devices())
    return Mesh(devices, ("devices",), axis_types=(AxisType.Auto,))


def lanes_of(mesh: Mesh) -> int:
    """B on the devices of ``mesh``."""
    return LANES.get(mesh.devices.flat[0].platform, LANES_ELSEWHERE)


def outputs(n_out: int) -> int:
    """How many units a lane's output layer has for ``n_out`` classes."""
    return -(-n_out // VECTOR) * VECTOR


def _finite(tree: Any) -> Array:
    """Whether every number in the tree is finite."""
    return functools.reduce(jnp.logical_and, [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)])


def _logits(params: Params, masks: tuple[Array, ...], one: Array, x: Array, n_out: int, program: Program) -> Array:
    """A lane's logits ``[..., outputs(n_out)]``, those of absent classes so low that their probability is 0.

    The output layer is kept the other way round: the loops over its ten times twenty weights then run over whole
    vectors of outputs, which takes a quarter off the time of an update.
    """
    *hidden, (weights, biases) = params
    absent = jnp.where(jnp.arange(outputs(n_out)) < n_out, 0, -1e9).astype(x.dtype)
    return forward((*hidden, Layer(weights.T, biases + absent)), x, flat(program.activation, one), masks)


def _lane_epoch(
    state: TrainingState, hyperparameters: Hyperparameters, masks: tuple[Array, ...], one: Array, order: Array,
    dataset: Dataset, n_out: int, program: Program,
) -> tuple[TrainingState, Array]:  # fmt: skip
    def loss(params: Params, x: Array, y: Array) -> Array:
        return cross_entropy(_logits(params, masks, one, x, n_out, program), y)

    start, hyperparameters = _rate_first(hyperparameters, program)

    def of_own_copy(params: Params, x: Array, y: Array) -> tuple[Array, Params]:
        # The product gives each lane its own copy of a shared sample: with one copy, XLA would multiply all lanes'
        # weights by it as one matrix, and round differently from lanes whose samples differ.
        value, pullback = jax.vjp(lambda params: loss(params, x * one, y), params)
        return value, pullback(jnp.asarray(start, value.dtype))[0]

    return train_epoch(state, dataset, order, hyperparameters, _config(program), of_own_copy)


def _rate_first(hyperparameters: Hyperparameters, program: Program) -> tuple[float | Array, Hyperparameters]:
    """What the backward pass starts from, and what is left to the optimiser.

    Plain gradient descent is linear in the gradient: its rate is multiplied with the loss's derivative, and so with the
    ten deltas of the output layer, instead of with every weight's gradient.
    """
    rate, decay = hyperparameters.learning_rate, hyperparameters.weight_decay
    if program.optimizer != "sgd":
        return 1.0, hyperparameters
    return rate, Hyperparameters(1.0, hyperparameters.momentum, None if decay is None else rate * decay)


def _networks(params: Params, n_out: int) -> Params:
    """A group's parameters as `Params` has them: the output layer the usual way round, without units to spare."""
    *hidden, (weights, biases) = params
    return (*hidden, Layer(jnp.swapaxes(weights, -1, -2)[:, :n_out], biases[:, :n_out]))


def _config(program: Program) -> Config:
    return Config(program.activation, program.batch_size, OPTIMIZERS[program.optimizer])


def _device_epoch(
    lanes: Lanes, orders: Array, groups: Array, data: Data, last: Array, program: Program, interpret: bool
) -> tuple[Lanes, Measures]:
    """One device's share of an epoch: the first ``groups[0]`` of its groups, one after the other."""
    n_out = data.dataset.y_train.shape[1]
    y_train = jnp.pad(data.dataset.y_train, ((0, 0), (0, outputs(n_out) - n_out)))
    dataset = data.dataset._replace(y_train=y_train)
    samples, fused = columns(data), None
    if program.engine == "fused":
        fused = fused_share(*lanes, orders, data.dataset, _config(program), interpret)

    def group(number: Array, carry: tuple[Lanes, Measures]) -> tuple[Lanes, Measures]:
        lanes, measures = carry
        state, hyperparameters, masks, alive = jax.tree.map(lambda leaf: leaf[number], lanes)

        def step(
            state: TrainingState, hyperparameters: Hyperparameters, masks: tuple[Array, ...], one: Array, order: Array
        ) -> tuple[TrainingState, Array]:
            return _lane_epoch(state, hyperparameters, masks, one, order, dataset, n_out, program)

        one = jax.lax.optimization_barrier(jnp.ones(alive.shape, data.dataset.x_train.dtype))
        shared = orders.shape[1] == 1
        order = orders[number, 0] if shared else orders[number]
        if fused:
            new, loss, alive = jax.tree.map(lambda leaf: leaf[number], fused)
        else:
            new, loss = jax.vmap(step, (0, 0, 0, 0, None if shared else 0))(state, hyperparameters, masks, one, order)
            alive = alive & jnp.isfinite(loss) & jax.vmap(_finite)(new)
            new = jax.tree.map(lambda a, b: jnp.where(alive.reshape(-1, *[1] * (a.ndim - 1)), a, b), new, state)
        measured = measure(_networks(new.params, n_out), masks, loss, alive, samples, last, program.activation)
        put = functools.partial(jax.tree.map, lambda whole, part: whole.at[number].set(part))
        return lanes._replace(state=put(lanes.state, new), alive=put(lanes.alive, alive)), put(measures, measured)

    empty = jnp.full(lanes.alive.shape, jnp.nan, data.dataset.x_train.dtype)
    measures = Measures(empty, empty, empty, empty, empty, lanes.alive)
    # A bound that is traced: groups without a trial cost nothing, and no loop is unrolled for being short.
    return jax.lax.fori_loop(0, groups[0], group, (lanes, measures))


@functools.partial(jax.jit, static_argnames=("program", "mesh"), donate_argnames=("lanes",))
def block_epoch(
    lanes: Lanes, orders: Array, groups: Array, data: Data, last: Array, program: Program, mesh: Mesh
) -> tuple[Lanes, Measures]:
    """Train a block for one epoch on the devices of ``mesh``, D in number.

    Args:
        lanes: G groups of B lanes, G a multiple of D; consumed.
        orders: integers ``[G, B, n]``: each lane's sequence of training rows; or ``[G, 1, n]``, one for all lanes of
            a group, which takes less time and gives the same bits.
        groups: integers ``[D]``: how many of its G / D groups each device trains.
        data: on every device.
        last: a boolean scalar: whether to measure training and test accuracy.
        program: static.
        mesh: static.

    Returns:
        The lanes after the epoch and their Measures.
    """
    shared, split = PartitionSpec(), PartitionSpec("devices")

    def body(lanes: Lanes, orders: Array, groups: Array, data: Data, last: Array) -> tuple[Lanes, Measures]:
        return _device_epoch(lanes, orders, groups, data, last, program, mesh.devices.flat[0].platform == "cpu")

    sharded = jax.shard_map(
        body, mesh=mesh, in_specs=(split, split, split, shared, shared), out_specs=(split, split), check_vma=False
    )
    return sharded(lanes, orders, groups, data, last)
