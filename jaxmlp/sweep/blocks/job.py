"""The job of a sweep's blocks: one epoch of every lane, by the scan, by the interleaved pass or by the fused kernel.

One program serves networks of all activations where the activation is a number that it gets as data.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.engine import LaneHyperparameters, Step, fused_epochs, train_group
from jaxmlp.lecture.data import Dataset
from jaxmlp.lecture.network import ACTIVATIONS, Activation
from jaxmlp.lecture.optimizers import OPTIMIZERS, TrainingConfig
from jaxmlp.lecture.training import TrainingState

__all__ = ["Lanes", "SweepJob", "number_of", "numbered"]


def number_of(activation: str) -> int:
    """The place of a name in `ACTIVATIONS`."""
    return list(ACTIVATIONS).index(activation)


def numbered(number: Array) -> Activation:
    """The row of `ACTIVATIONS` in place ``number``, a traced integer scalar: the same bits as by name.

    For a CPU, where the choice between the branches cannot be measured beside an update. A GPU would wait for the host.
    """

    def chosen(part: str) -> Callable[[Array], Array]:
        branches = [getattr(row, part) for row in ACTIVATIONS.values()]
        return lambda values: jax.lax.switch(number, branches, values)

    return Activation(chosen("value"), chosen("derivative"), chosen("second_derivative"))


class Lanes(NamedTuple):
    """What changes of a sweep's trials; every leaf is ``[G, B, ...]``.

    Attributes:
        state: parameters, padded, and the optimiser's state.
        alive: ``[G, B]``: False for inert lanes and for trials whose loss is no longer finite; these stay as they are.
    """

    state: TrainingState
    alive: Array


@dataclasses.dataclass(frozen=True)
class SweepJob:
    """What a sweep's program is compiled for: trials that agree in all of this share blocks. A `Job`.

    Lanes are `Lanes`, what is given are `LaneHyperparameters`. Orders are ``[G, B, n]``, or, with one sample per
    update, ``[G, 1, n]``: one for all lanes of a group, which takes less time and gives the same bits. Shared are a
    `Dataset` and the activation's number in `ACTIVATIONS`. What is seen are the mean losses of the epoch, ``[G, B]``.
    `Evaluation` measures in a program of its own. That program is compiled once, not again for each optimiser and batch
    size, so compiling takes half the time.

    Attributes:
        widths: of the hidden layers, padded.
        activation: of the hidden layers; None for the one whose number is shared: one program for all, on a CPU.
        batch_size: samples per update.
        optimizer: a name of `OPTIMIZERS`.
        decays: whether there is weight decay.
        engine: "scan", or "fused": all groups of a device in one launch of `jaxmlp.engine.fused`.
    """

    widths: tuple[int, ...]
    activation: str | None
    batch_size: int
    optimizer: str
    decays: bool
    engine: str = "scan"

    def config(self, number: Any = None) -> TrainingConfig:
        """For `train_epoch`; ``number``: of the activation, where it has no name here."""
        activation: Any = self.activation or (None if number is None else numbered(number))
        return TrainingConfig(activation, self.batch_size, OPTIMIZERS[self.optimizer])

    def begin(
        self, lanes: Lanes, given: LaneHyperparameters, orders: Array, shared: tuple[Dataset, Array], on_cpu: bool
    ) -> tuple[Step, Array]:
        """See `Job`."""
        dataset, number = shared
        # One network alone would fill one place of sixteen in a vector.
        config, interleaved = self.config(number), on_cpu and self.batch_size == 1 and lanes.alive.shape[1] > 1
        fused = _fused_share(lanes, given, orders, dataset, config, on_cpu) if self.engine == "fused" else None

        def step(number: Array, own: Lanes, given: LaneHyperparameters, order: Array) -> tuple[Lanes, Array]:
            if fused:
                new, loss, alive = jax.tree.map(lambda leaf: leaf[number], fused)
            else:
                one = jnp.broadcast_to(order, (len(own.alive), order.shape[1]))
                one = order[0] if interleaved and len(order) == 1 else one
                new, loss = train_group(own.state, given, one, dataset, config, interleaved)
                alive = own.alive & jnp.isfinite(loss) & jax.vmap(_finite)(new)
                new = jax.tree.map(lambda a, b: jnp.where(alive.reshape(-1, *[1] * (a.ndim - 1)), a, b), new, own.state)
            return Lanes(new, alive), loss

        return step, jnp.full(lanes.alive.shape, jnp.nan, dataset.x_train.dtype)


def _finite(tree: Any) -> Array:
    """Whether every number in the tree is finite."""
    return functools.reduce(jnp.logical_and, [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)])


def _fused_share(
    lanes: Lanes, given: LaneHyperparameters, orders: Array, dataset: Dataset, config: TrainingConfig, on_cpu: bool
) -> tuple[TrainingState, Array, Array]:
    """Train all lanes of a device for an epoch: the new state, the losses and who is alive, leaves ``[G, B, ...]``."""
    groups = lanes.alive.shape
    flat: Any = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), (lanes, given))
    (state, alive), (hyperparameters, masks, _) = flat
    order, threads = orders.reshape(-1, 1, orders.shape[2]), 1 if on_cpu else None
    new, losses, lives = fused_epochs(state, dataset, order, hyperparameters, config, masks, alive, threads=threads)
    whole = jax.tree.map(lambda leaf: leaf.reshape(*groups, *leaf.shape[1:]), new)
    return whole, losses.reshape(groups), lives.reshape(groups)
