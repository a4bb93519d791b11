"""The fused engine: a device's share of an epoch by `jaxmlp.kernels`, one launch on a GPU, instead of by the scan."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.data import Dataset
from jaxmlp.errors import InputError
from jaxmlp.kernels import fused_epochs, fused_refusal
from jaxmlp.network import Layer, Params
from jaxmlp.optimizers import OPTIMIZERS, Hyperparameters
from jaxmlp.sweep.validation import Data
from jaxmlp.training import Config, TrainingState

__all__ = ["ENGINES", "fused_share", "refusal", "with_engine"]

ENGINES = ("scan", "fused")


def refusal(program: Any, data: Data) -> str | None:
    """Why the fused engine cannot train a `jaxmlp.sweep.blocks.Program`, in words, or None if it can."""
    sizes = (data.dataset.x_train.shape[1], *program.widths, data.dataset.y_train.shape[1])
    config = Config(batch_size=program.batch_size, optimizer=OPTIMIZERS[program.optimizer])
    return fused_refusal(sizes, config, data.dataset.x_train.dtype)


def with_engine(program: Any, data: Data, engine: str) -> Any:
    """The same Program, with the fused engine where that is wanted and not refused; raises InputError for others."""
    if engine not in ENGINES:
        raise InputError(f"engine is {engine!r}, expected one of {', '.join(ENGINES)}")
    return program if engine == "scan" or refusal(program, data) else dataclasses.replace(program, engine=engine)


def _output_layer(params: Params, change: Callable[[Layer], Layer]) -> Params:
    return (*params[:-1], change(params[-1]))


def _of_state(state: TrainingState, change: Callable[[Layer], Layer]) -> TrainingState:
    """The output layer changed in the parameters and, where there is one, in the velocity, which is laid out alike."""
    leaves, layout = jax.tree.flatten(state.optimizer_state)
    if leaves:
        velocity = jax.tree.unflatten(jax.tree.structure(state.params), leaves)
        leaves = jax.tree.leaves(_output_layer(velocity, change))
    return TrainingState(_output_layer(state.params, change), jax.tree.unflatten(layout, leaves))


def fused_share(
    state: TrainingState,
    hyperparameters: Hyperparameters,
    masks: tuple[Array, ...],
    alive: Array,
    orders: Array,
    dataset: Dataset,
    config: Config,
    interpret: bool,
) -> tuple[TrainingState, Array, Array]:
    """Train all lanes of a device for an epoch: the new state, the losses and who is alive, leaves ``[G, B, ...]``.

    Args:
        state: as `jaxmlp.sweep.blocks.Lanes` has it: the output layer the other way round, with units to spare.
        hyperparameters: leaves ``[G, B]``.
        masks: leaves ``[G, B, n_l]``.
        alive: ``[G, B]``.
        orders: ``[G, B, n]``, or ``[G, 1, n]`` where a group shares one.
        dataset: without spare outputs.
        config: static.
        interpret: as in `jaxmlp.kernels.fused_epochs`.
    """
    groups, n_out = alive.shape, dataset.y_train.shape[1]
    spare = state.params[-1].biases.shape[-1] - n_out
    flat: Any = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), (state, hyperparameters, masks, alive))
    own = _of_state(flat[0], lambda layer: Layer(jnp.swapaxes(layer[0], 1, 2)[:, :n_out], layer[1][:, :n_out]))
    order = orders.reshape(-1, 1, orders.shape[2])
    new, losses, lives = fused_epochs(own, dataset, order, flat[1], config, flat[2], flat[3], interpret=interpret)

    def back(layer: Layer) -> Layer:
        weights = jnp.pad(jnp.swapaxes(layer.weights, 1, 2), ((0, 0), (0, 0), (0, spare)))
        return Layer(weights, jnp.pad(layer.biases, ((0, 0), (0, spare))))

    whole = jax.tree.map(lambda leaf: leaf.reshape(*groups, *leaf.shape[1:]), _of_state(new, back))
    return whole, losses.reshape(groups), lives.reshape(groups)
