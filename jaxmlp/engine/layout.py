"""How networks lie in a block: ``[G, B]``, G groups of B lanes, one network per lane; and which device has which group.

Hidden layers are padded with zeros to a common width. A padded unit's activation is multiplied by a mask of 0, and the
weights into it and out of it are 0: its gradients are 0, and it changes nothing. Lanes without a network are inert.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax.experimental import multihost_utils  # public, documented, and the only way to collect from processes
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from jaxmlp.lecture.network import Activation, Activations, Layer, Params, hidden_activations

__all__ = [
    "GROUPS", "MAX_BYTES", "Layout", "device_mesh", "empty_block", "fetched", "finite", "group_bytes", "groups_within",
    "lanes_of", "lay_out", "masked", "put_network", "shardings", "unpad_params", "zeros",
]  # fmt: skip

LANES = {"cpu": 16}
"""B by platform: as many networks as a CPU's instruction takes float32 numbers."""
LANES_ELSEWHERE = 1024
GROUPS = 32
"""Groups per block, where memory allows: what a crash can lose, against the time that a call costs beside training."""
MAX_BYTES = 2**29
"""Of a block's parameters, gradients and optimiser states together, about."""


class Layout(NamedTuple):
    """Where the groups of a block lie.

    Attributes:
        shape: [G, B], G a multiple of the devices.
        slots: the place of each group, in 0..G-1.
        counts: ``[D]``, int32: how many of its G / D groups each device trains.
    """

    shape: tuple[int, int]
    slots: list[int]
    counts: NDArray[np.int32]


def device_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """These devices in a row, by default all: with `jax.distributed` those of all processes."""
    return Mesh(np.asarray(devices or jax.devices()), ("devices",), axis_types=(AxisType.Auto,))


def shardings(mesh: Mesh) -> tuple[NamedSharding, NamedSharding]:
    """What is split over the devices by its first axis, and what each of them has whole."""
    return NamedSharding(mesh, PartitionSpec("devices")), NamedSharding(mesh, PartitionSpec())


def lanes_of(mesh: Mesh) -> int:
    """B on the devices of ``mesh``."""
    return LANES.get(mesh.devices.flat[0].platform, LANES_ELSEWHERE)


def lay_out(groups: int, capacity: int, lanes: int, mesh: Mesh) -> Layout:
    """The Layout of so many groups, dealt to the devices in turn, in a block with room for ``capacity`` or more."""
    devices = mesh.devices.size
    each = -(-max(capacity, groups) // devices)
    slots = [each * (group % devices) + group // devices for group in range(groups)]
    counts = np.bincount(np.arange(groups) % devices, minlength=devices).astype(np.int32)
    return Layout((each * devices, lanes), slots, counts)


def group_bytes(sizes: Sequence[int], copies: int, lanes: int, itemsize: int) -> int:
    """The memory of a group, about, where each parameter takes ``copies`` numbers of ``itemsize`` bytes."""
    return sum(n_out * (n_in + 1) for n_in, n_out in itertools.pairwise(sizes)) * copies * lanes * itemsize


def groups_within(size: int) -> int:
    """How many groups of ``size`` bytes make a block: up to `GROUPS` within `MAX_BYTES`, at least one."""
    return max(1, min(GROUPS, MAX_BYTES // size))


def empty_block(shape: tuple[int, int], sizes: Sequence[int], dtype: Any) -> tuple[Params, tuple[Array, ...]]:
    """Zeros: parameters ``[G, B, ...]`` of padded ``sizes`` and masks ``[G, B, n_l]`` of the hidden layers; NumPy's."""
    layers = [
        Layer(zeros((*shape, n_out, n_in), dtype), zeros((*shape, n_out), dtype))
        for n_in, n_out in itertools.pairwise(sizes)
    ]
    return tuple(layers), tuple(zeros((*shape, width), dtype) for width in sizes[1:-1])


def put_network(
    params: Any, masks: Any, at: tuple[int, slice], weights: Sequence[NDArray[Any]], biases: Sequence[Any] = ()
) -> None:
    """Write a network with these ``W_l [n_l, n_(l-1)]`` and ``b_l [n_l]`` into the lanes ``at`` of an `empty_block`.

    Without ``biases`` they are zero.
    """
    for layer, values in zip(params, biases, strict=False):
        layer.biases[at][:, : len(values)] = values
    for layer, values in zip(params, weights, strict=True):
        layer.weights[at][:, : values.shape[0], : values.shape[1]] = values
    for mask, values in zip(masks, weights, strict=False):
        mask[at][:, : len(values)] = 1


def unpad_params(params: Params, at: tuple[int, int], sizes: Sequence[int]) -> Params:
    """The parameters of the lane ``at`` [group, lane], of widths ``sizes``, out of leaves ``[G, B, ...]``."""
    return tuple(
        Layer(layer.weights[at][:n_out, :n_in], layer.biases[at][:n_out])
        for layer, (n_in, n_out) in zip(params, itertools.pairwise(sizes), strict=True)
    )


def finite(params: Params) -> NDArray[np.bool_]:
    """``[G, B]``: whether all parameters of a lane are finite, of leaves ``[G, B, ...]``."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(params)]
    return np.all([np.all(np.isfinite(leaf), axis=tuple(range(2, leaf.ndim))) for leaf in leaves], axis=0)


def masked(activation: Activations, masks: Sequence[Array]) -> tuple[Activation, ...]:
    """Rows of the activation table whose values are multiplied by ``masks``, one per hidden layer."""

    def row(phi: Activation, mask: Array) -> Activation:
        return phi._replace(value=lambda g: phi.value(g) * mask)

    return tuple(map(row, hidden_activations(activation, len(masks)), masks))


def zeros(shape: Sequence[int], dtype: Any) -> Any:
    """NumPy's zeros where the types promise JAX's: what they become when placed on devices."""
    return np.zeros(shape, dtype)


def fetched(array: Array) -> NDArray[Any]:
    """The array here, also where other processes hold parts of it."""
    return np.asarray(array if array.is_fully_addressable else multihost_utils.process_allgather(array, tiled=True))
