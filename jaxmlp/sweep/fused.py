"""The fused engine in a sweep: a device's share of an epoch in one launch, instead of by the scan."""

import dataclasses
from typing import Any

import jax
from jax import Array

from jaxmlp.data import Dataset
from jaxmlp.engine import fused_epochs, fused_refusal, load_kernel
from jaxmlp.errors import InputError
from jaxmlp.optimizers import OPTIMIZERS, Hyperparameters
from jaxmlp.sweep.validation import Data
from jaxmlp.training import Config, TrainingState

__all__ = ["ENGINES", "fused_share", "refusal", "with_engine"]

ENGINES = ("scan", "fused")


def refusal(program: Any, data: Data) -> str | None:
    """Why the fused engine cannot train a `jaxmlp.sweep.blocks.Program`, in words, or None if it can."""
    sizes = (data.dataset.x_train.shape[1], *program.widths, data.dataset.y_train.shape[1])
    config = Config(program.activation, program.batch_size, OPTIMIZERS[program.optimizer])
    return fused_refusal(sizes, config, data.dataset.x_train.dtype)


def with_engine(program: Any, data: Data, engine: str) -> Any:
    """The same Program, with the fused engine where that is wanted and not refused.

    Raises:
        InputError: another engine, or the fused one where NVIDIA Warp is not installed.
    """
    if engine not in ENGINES:
        raise InputError(f"engine is {engine!r}, expected one of {', '.join(ENGINES)}")
    if engine == "scan":
        return program
    load_kernel()
    return program if refusal(program, data) else dataclasses.replace(program, engine=engine)


def fused_share(
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
        state: as `jaxmlp.sweep.blocks.Lanes` has it.
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
