"""The search's compiled program: many fits side by side on all local devices, in groups as a sweep's blocks have them.

A group is up to B fits that share their samples' order: same fold, same seed, same widths. Its lanes run side by side
(`jax.vmap` of `stopping.one_epoch`, what a single fit runs too), a device's groups one after the other. Hidden layers
are padded to the widest, masked as in a sweep, and orders to the longest fold, with rows that count for nothing.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, PartitionSpec
from numpy.typing import NDArray

from jaxmlp.classifier.stopping import Numbers, Program, Progress, one_epoch, run_epochs, start
from jaxmlp.data import Dataset
from jaxmlp.network import Layer, Params, forward

__all__ = ["Groups", "Table", "accuracies", "group_epochs", "pad_params", "start_groups", "unpad_params"]


class Table(NamedTuple):
    """The data of all fits, once on each device: ``x [n + 1, n_in]``, ``labels [n + 1]``; the last row is padding."""

    x: Array
    labels: Array


class Groups(NamedTuple):
    """What the lanes of a group share; every leaf is ``[G, ...]``.

    Attributes:
        weights: ``[n + 1]``, of the samples, 0 where a fold trains not.
        validation: rows for early stopping, filled up with n.
        samples: how many rows of an order are samples.
        masks: one a hidden layer, ``[n_l]``, 0 for padding; none where all widths are the same.
    """

    weights: Any
    validation: Any
    samples: Any
    masks: tuple[Any, ...]


def pad_params(params: Params, sizes: Sequence[int]) -> list[NDArray[Any]]:
    """The leaves of ``params``, filled up with zeros to the widths ``sizes``."""
    leaves: list[NDArray[Any]] = []
    for layer, (n_in, n_out) in zip(params, itertools.pairwise(sizes), strict=True):
        weights, biases = np.asarray(layer.weights), np.asarray(layer.biases)
        more = n_out - len(biases)
        leaves += [np.pad(weights, ((0, more), (0, n_in - weights.shape[1]))), np.pad(biases, (0, more))]
    return leaves


def unpad_params(params: Any, at: tuple[int, int], sizes: Sequence[int]) -> Params:
    """One lane's parameters of widths ``sizes``, out of leaves ``[G, B, ...]``."""
    return tuple(
        Layer(layer.weights[at][:n_out, :n_in], layer.biases[at][:n_out])
        for layer, (n_in, n_out) in zip(params, itertools.pairwise(sizes), strict=True)
    )


def _group(
    progress: Progress, orders: Array, group: Groups, numbers: Numbers, table: Table, program: Program, classes: int
) -> tuple[Progress, Array, Array]:
    """Epochs of one group: leaves of progress and numbers ``[B]``."""
    y = jax.nn.one_hot(table.labels, classes, dtype=table.x.dtype) * group.weights[:, None]
    none: Any = (table.x[:0], y[:0], table.labels[:0])
    data = Dataset(table.x, y, table.labels, *none)

    def step(progress: Progress, order: Array) -> tuple[Progress, Array, Array]:
        def lane(progress: Progress, numbers: Numbers) -> tuple[Progress, Array, Array]:
            masks = group.masks or None
            return one_epoch(progress, order, data, group.validation, numbers, group.samples, masks, program)

        return jax.vmap(lane)(progress, numbers)

    return run_epochs(progress, orders, step)


@functools.partial(jax.jit, static_argnames=("program", "mesh"))
def start_groups(params: Params, numbers: Numbers, running: Array, program: Program, mesh: Mesh) -> Progress:
    """Before the first epoch: leaves ``[G, B, ...]``; lanes that are not ``running`` are there to fill a group."""

    def body(params: Params, numbers: Numbers, running: Array) -> Progress:
        first = functools.partial(start, program=program)
        return jax.vmap(jax.vmap(first))(params, numbers)._replace(running=running)

    split = PartitionSpec("devices")
    sharded = jax.shard_map(body, mesh=mesh, in_specs=split, out_specs=split, check_vma=False)
    return sharded(params, numbers, running)


@functools.partial(jax.jit, static_argnames=("program", "classes", "mesh"), donate_argnames=("progress",))
def group_epochs(
    progress: Progress, orders: Array, groups: Groups, numbers: Numbers, table: Table, program: Program, classes: int,
    mesh: Mesh,
) -> tuple[Progress, Array, Array]:  # fmt: skip
    """Train all groups for up to K epochs, on the devices of ``mesh``.

    Args:
        progress: leaves ``[G, B, ...]``, G a multiple of the devices; consumed.
        orders: ``[G, K, n]``, rows of the table.
        groups: leaves ``[G, ...]``.
        numbers: ``[G, B]`` each.
        table: on every device.
        program: static.
        classes: static.
        mesh: static.

    Returns:
        Progress, losses and validation accuracies ``[G, K, B]``.
    """

    def body(progress: Progress, orders: Array, groups: Groups, numbers: Numbers, table: Table) -> Any:
        def one(part: tuple[Progress, Array, Groups, Numbers]) -> tuple[Progress, Array, Array]:
            return _group(*part, table, program, classes)

        return jax.lax.map(one, (progress, orders, groups, numbers))

    split, whole = PartitionSpec("devices"), PartitionSpec()
    sharded = jax.shard_map(
        body, mesh=mesh, in_specs=(split, split, split, split, whole), out_specs=split, check_vma=False
    )
    return sharded(progress, orders, groups, numbers, table)


@functools.partial(jax.jit, static_argnames=("program", "mesh"))
def accuracies(params: Params, rows: Array, table: Table, program: Program, mesh: Mesh) -> Array:
    """Share of each group's ``rows [G, R]`` (n: none) that its lanes classify correctly: ``[G, B]``."""

    def body(params: Params, rows: Array, table: Table) -> Array:
        def one(part: tuple[Params, Array]) -> Array:
            params, rows = part
            x, labels = table.x[rows], table.labels[rows]
            there = rows < len(table.labels) - 1

            def lane(params: Params) -> Array:
                # Padded hidden units feed weights of zero: no mask is needed.
                right = jnp.argmax(forward(params, x, program.config.activation), axis=-1) == labels
                return jnp.sum(right & there, dtype=x.dtype) / jnp.sum(there, dtype=x.dtype)

            return jax.vmap(lane)(params)

        return jax.lax.map(one, (params, rows))

    split, whole = PartitionSpec("devices"), PartitionSpec()
    sharded = jax.shard_map(body, mesh=mesh, in_specs=(split, split, whole), out_specs=split, check_vma=False)
    return sharded(params, rows, table)
