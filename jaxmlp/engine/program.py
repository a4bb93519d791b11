"""Many networks in one program: the groups of a block, on all devices, one after the other.

A block is laid out as in `layout.py`. Each device trains its groups in turn, the lanes of a group together: by
`lecture.training.train_epoch`, the epoch that trains a single network, under `jax.vmap`, or, for one sample per update
on a CPU, as in `interleaved.py`. What a group does besides training is the caller's `Job`. In a sweep B is fixed for a
kind of device and padded widths depend on the trial alone: the arithmetic of a trial, and so its bits, never depends
on the trials beside it. Its calls train one epoch each, so that no number of epochs costs a compilation.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
from jax import Array
from jax.sharding import Mesh, PartitionSpec

from jaxmlp.engine.interleaved import epoch_interleaved
from jaxmlp.engine.layout import masked
from jaxmlp.engine.penalty import penalised_gradient
from jaxmlp.lecture.data import Dataset
from jaxmlp.lecture.optimizers import Hyperparameters, TrainingConfig
from jaxmlp.lecture.training import TrainingState, train_epoch

__all__ = ["Job", "LaneHyperparameters", "Step", "run_block", "train_group"]

Step = Callable[[Array, Any, Any, Array], tuple[Any, Any]]
"""``(number, lanes, given, order) -> (lanes, seen)``: the epochs of one group, leaves ``[B, ...]`` and ``[...]``."""


class Job(Protocol):
    """What is done with each group: static, so a frozen dataclass; a new value costs a compilation."""

    def begin(self, lanes: Any, given: Any, orders: Array, shared: Any, on_cpu: bool) -> tuple[Step, Any]:
        """From one device's share: the Step of a group, and what is seen of groups without a network ``[G, ...]``."""
        ...


@functools.partial(jax.jit, static_argnames=("job", "mesh"), donate_argnames=("lanes",))
def run_block(lanes: Any, given: Any, orders: Any, groups: Array, shared: Any, job: Job, mesh: Mesh) -> tuple[Any, Any]:
    """Do a job with every group of a block on the devices of ``mesh``, D in number.

    Args:
        lanes: what changes, leaves ``[G, B, ...]``, G a multiple of D; consumed.
        given: what does not, leaves ``[G, ...]``.
        orders: integers ``[G, ..., n]``: rows of the data, in the form that the job takes; None where it takes none.
        groups: integers ``[D]``: how many of its G / D groups each device trains.
        shared: on every device.
        job: static.
        mesh: static.

    Returns:
        The lanes afterwards, and what was seen, leaves ``[G, ...]``.
    """

    def body(lanes: Any, given: Any, orders: Array, groups: Array, shared: Any) -> tuple[Any, Any]:
        step, blank = job.begin(lanes, given, orders, shared, mesh.devices.flat[0].platform == "cpu")

        def group(number: Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
            own = jax.tree.map(functools.partial(_part, number), (carry[0], given, orders))
            return jax.tree.map(functools.partial(_with_part, number), carry, step(number, *own))

        # A bound that is traced: groups without a network cost nothing, and no loop is unrolled for being short.
        return jax.lax.fori_loop(0, groups[0], group, (lanes, blank))

    split, whole = PartitionSpec("devices"), PartitionSpec()
    sharded = jax.shard_map(
        body, mesh=mesh, in_specs=(split, split, split, split, whole), out_specs=(split, split), check_vma=False
    )
    return sharded(lanes, given, orders, groups, shared)


# Indexing with brackets would check the bounds and compile a scatter: a third of the small kernels around a loop.
def _part(number: Array, whole: Array) -> Array:
    return jax.lax.dynamic_index_in_dim(whole, number, keepdims=False)


def _with_part(number: Array, whole: Array, part: Array) -> Array:
    return jax.lax.dynamic_update_index_in_dim(whole, part, number, 0)


class LaneHyperparameters(NamedTuple):
    """What a lane trains with: hyperparameters ``[B]`` each, and ``masks``, one ``[B, n_l]`` per hidden layer, or none.

    ``alpha [B]``: of an L2 penalty, see `penalised_gradient`; None leaves it out.
    """

    hyperparameters: Hyperparameters
    masks: tuple[Array, ...]
    alpha: Array | None = None


def train_group(
    state: TrainingState,
    settings: LaneHyperparameters,
    order: Array,
    dataset: Dataset,
    config: TrainingConfig,
    interleaved: bool,
    weighted: bool = False,
    padded: bool = False,
) -> tuple[TrainingState, Array]:
    """One epoch of the B lanes of a group: the new state, and the mean losses ``[B]``; to be traced.

    Args:
        state: leaves ``[B, ...]``.
        settings: see `LaneHyperparameters`.
        order: ``[n]`` for all lanes, or ``[B, n]``.
        dataset: for all lanes.
        config: static.
        interleaved: whether to take the interleaved pass: for one sample per update, on a CPU with whole loops.
            It puts the networks in the last axis of every array, where optimisers outside `OPTIMIZERS` might mix them.
        weighted: whether the rows of ``dataset.y_train`` have one more column, the samples' weights.
        padded: whether some of these are zero.
    """
    if interleaved:
        return epoch_interleaved(
            state, settings.hyperparameters, settings.masks, order, dataset, config, settings.alpha, weighted
        )

    def lane(state: TrainingState, settings: LaneHyperparameters, order: Array) -> tuple[TrainingState, Array]:
        phi = masked(config.activation, settings.masks) if settings.masks else config.activation
        gradient = penalised_gradient(phi, settings.alpha, weighted, padded, config.output)
        return train_epoch(state, dataset, order, settings.hyperparameters, config, gradient)

    return jax.vmap(lane, (0, 0, None if order.ndim == 1 else 0))(state, settings, order)
