"""Blocks: the trials that one compiled call trains together, whatever their widths, on all local devices.

A block is laid out as ``[G, B]``: G groups of B lanes, one trial a lane. Each device trains its share of the groups
one after the other, the lanes of a group together: by `jaxmlp.training.train_epoch`, the same epoch that trains a
single network, under `jax.vmap` or, for one sample an update on a CPU, as in `side_by_side.py`. B is fixed for a kind
of device, hidden layers are padded to widths that depend on the trial alone, and short groups are filled with inert
lanes: the arithmetic of a trial, and so its bits, never depends on its company. One call trains one epoch, so that no
number of epochs costs a compilation.
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
from jaxmlp.engine.fused import fused_epochs
from jaxmlp.engine.held_out import Data
from jaxmlp.engine.interleaved import epoch_side_by_side
from jaxmlp.engine.measures import Measures, columns, measure
from jaxmlp.losses import cross_entropy
from jaxmlp.network import Params, forward
from jaxmlp.optimizers import OPTIMIZERS, Hyperparameters
from jaxmlp.training import Config, TrainingState, train_epoch

__all__ = ["Lanes", "Program", "block_epoch", "device_mesh", "lanes_of"]

LANES = {"cpu": 16}
"""B by platform: as many networks as a CPU's instruction takes float32 numbers."""
LANES_ELSEWHERE = 1024


@dataclasses.dataclass(frozen=True)
class Program:
    """What a compilation serves: trials that agree in all of this share blocks.

    Attributes:
        widths: of the hidden layers, padded.
        activation: of the hidden layers.
        batch_size: samples an update.
        optimizer: a name of `OPTIMIZERS`.
        decays: whether there is weight decay.
        engine: "scan", or "fused": by `jaxmlp.engine`, all groups at once.
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
        state: parameters, padded, and the optimiser's state.
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


def _finite(tree: Any) -> Array:
    """Whether every number in the tree is finite."""
    return functools.reduce(jnp.logical_and, [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)])


def _group_epoch(
    lanes: Lanes, orders: Array, dataset: Dataset, config: Config, on_cpu: bool
) -> tuple[TrainingState, Array]:
    """The state and the losses ``[B]`` of one group, leaves ``[B, ...]``; ``orders [B, n]``, or ``[1, n]`` for all."""
    state, hyperparameters, masks, alive = lanes
    if on_cpu and config.batch_size == 1:
        order = orders[0] if len(orders) == 1 else orders
        return epoch_side_by_side(state, hyperparameters, masks, order, dataset, config)

    def lane(
        state: TrainingState, hyperparameters: Hyperparameters, masks: tuple[Array, ...], order: Array
    ) -> tuple[TrainingState, Array]:
        def loss(params: Params, x: Array, y: Array) -> Array:
            return cross_entropy(forward(params, x, config.activation, masks), y)

        return train_epoch(state, dataset, order, hyperparameters, config, jax.value_and_grad(loss))

    return jax.vmap(lane)(state, hyperparameters, masks, jnp.broadcast_to(orders, (len(alive), orders.shape[1])))


def _config(program: Program) -> Config:
    return Config(program.activation, program.batch_size, OPTIMIZERS[program.optimizer])


def _fused_share(
    state: TrainingState,
    hyperparameters: Hyperparameters,
    masks: tuple[Array, ...],
    alive: Array,
    orders: Array,
    dataset: Dataset,
    config: Config,
    on_cpu: bool,
) -> tuple[TrainingState, Array, Array]:
    """Train all lanes of a device for an epoch: the new state, the losses and who is alive, leaves ``[G, B, ...]``.

    Args:
        state: as `Lanes` has it.
        hyperparameters: leaves ``[G, B]``.
        masks: leaves ``[G, B, n_l]``.
        alive: ``[G, B]``.
        orders: ``[G, B, n]``, or ``[G, 1, n]`` where a group shares one.
        dataset: for all of them.
        config: static.
        on_cpu: whether the device is a CPU.
    """
    groups = alive.shape
    flat: Any = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), (state, hyperparameters, masks, alive))
    order, threads = orders.reshape(-1, 1, orders.shape[2]), 1 if on_cpu else None
    new, losses, lives = fused_epochs(flat[0], dataset, order, flat[1], config, flat[2], flat[3], threads=threads)
    whole = jax.tree.map(lambda leaf: leaf.reshape(*groups, *leaf.shape[1:]), new)
    return whole, losses.reshape(groups), lives.reshape(groups)


def _device_epoch(
    lanes: Lanes, orders: Array, groups: Array, data: Data, last: Array, program: Program, on_cpu: bool
) -> tuple[Lanes, Measures]:
    """One device's share of an epoch: the first ``groups[0]`` of its groups, one after the other."""
    samples, config, fused = columns(data), _config(program), None
    if program.engine == "fused":
        fused = _fused_share(*lanes, orders, data.dataset, config, on_cpu=on_cpu)

    def group(number: Array, carry: tuple[Lanes, Measures]) -> tuple[Lanes, Measures]:
        lanes, measures = carry
        own = jax.tree.map(lambda leaf: leaf[number], lanes)
        if fused:
            new, loss, alive = jax.tree.map(lambda leaf: leaf[number], fused)
        else:
            new, loss = _group_epoch(own, orders[number], data.dataset, config, on_cpu)
            alive = own.alive & jnp.isfinite(loss) & jax.vmap(_finite)(new)
            new = jax.tree.map(lambda a, b: jnp.where(alive.reshape(-1, *[1] * (a.ndim - 1)), a, b), new, own.state)
        measured = measure(new.params, own.masks, loss, alive, samples, last, program.activation)
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
        orders: integers ``[G, B, n]``: each lane's sequence of training rows; or, with one sample an update,
            ``[G, 1, n]``, one for all lanes of a group, which takes less time and gives the same bits.
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
