"""The fused engine: a device's share of an epoch by `jaxmlp.kernels`, one launch on a GPU, instead of by the scan."""

import dataclasses
from typing import Any

import jax
from jax import Array

from jaxmlp.data import Dataset
from jaxmlp.errors import InputError
from jaxmlp.kernels import fused_epochs, fused_refusal
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
        state: as `jaxmlp.sweep.blocks.Lanes` has it.
        hyperparameters: leaves ``[G, B]``.
        masks: leaves ``[G, B, n_l]``.
        alive: ``[G, B]``.
        orders: ``[G, B, n]``, or ``[G, 1, n]`` where a group shares one.
        dataset: for all of them.
        config: static.
        interpret: as in `jaxmlp.kernels.fused_epochs`.
    """
    groups = alive.shape
    flat: Any = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), (state, hyperparameters, masks, alive))
    order = orders.reshape(-1, 1, orders.shape[2])
    new, losses, lives = fused_epochs(flat[0], dataset, order, flat[1], config, flat[2], flat[3], interpret=interpret)
    whole = jax.tree.map(lambda leaf: leaf.reshape(*groups, *leaf.shape[1:]), new)
    return whole, losses.reshape(groups), lives.reshape(groups)
