"""The fused engine: whole epochs of many networks in one launch, instead of some ten launches per update.

On a GPU each operation of `lecture.training.train_epoch` is a launch of its own, and a launch takes longer than the
arithmetic of one sample. Here each network is one block of threads of `kernel.py`, which makes every update of the
epochs with the gradient derived by hand. NVIDIA Warp, the extra ``fused``, is imported when first needed.
"""

import itertools
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmlp.checks import InputError, sizes_of
from jaxmlp.engine.fused.shares import COPIES, KINDS, Division, divide, thread_size, warps
from jaxmlp.lecture.data import Dataset
from jaxmlp.lecture.network import ACTIVATIONS, hidden_activations
from jaxmlp.lecture.optimizers import OPTIMIZERS, Hyperparameters, TrainingConfig, adam
from jaxmlp.lecture.training import TrainingState
from jaxmlp.runtime import install_command

__all__ = ["fused_epochs", "fused_refusal", "load_kernel"]

THREADS = 1024
"""The most threads of a GPU's block."""
VALUES = 512
"""How many numbers of 4 bytes a GPU's thread may keep: up to 255 in registers, the others in its local memory."""
STACK = 2**18
"""The same for a CPU's thread, whose stack has 8 MiB on Linux."""


def load_kernel() -> ModuleType:
    """The module `jaxmlp.engine.fused.kernel`; raises InputError, naming the extra, where Warp is missing or fails."""
    try:
        if "warp" not in sys.modules:  # who imported it before has set its messages
            import warp

            warp.config.log_level = warp.LOG_ERROR
        from jaxmlp.engine.fused import kernel

        kernel.wp.init()
        _ = kernel.wp.jax_kernel, kernel.wp.ref  # missing in versions that are too old
    except Exception as error:  # any failure of a broken or older installation
        missing = isinstance(error, ModuleNotFoundError) and error.name == "warp"
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        told = "which is not installed" if missing else f"which fails ({reason})"
        raise InputError(f"the fused engine needs NVIDIA Warp, {told}, expected: {install_command('fused')}") from None
    return kernel


def _optimizer(config: TrainingConfig) -> str | None:
    return next((name for name, make in OPTIMIZERS.items() if make is config.optimizer), None)


def _activations(config: TrainingConfig, n_hidden: int) -> tuple[str, ...] | None:
    """Names of the hidden layers' activations, or None where the kernel does not have one of them."""
    names = {id(row): name for name, row in ACTIVATIONS.items() if name in KINDS}
    known = tuple(names.get(id(phi), "") for phi in hidden_activations(config.activation, n_hidden))
    return known if all(known) else None


def fused_refusal(sizes: Sequence[int], config: TrainingConfig, dtype: Any, threads: int | None = None) -> str | None:
    """Why `fused_epochs` cannot train this network, in words, or None if it can.

    Args:
        sizes: ``(n_0, .., n_L)``, padded or not.
        config: activation, batch size, optimiser and output matter.
        dtype: of the parameters.
        threads: as in `fused_epochs`.
    """
    optimizer, block = _optimizer(config), threads or warps(sizes)
    if optimizer is None:
        return f"the fused kernel has no optimiser {getattr(config.optimizer, '__name__', config.optimizer)!r}"
    if _activations(config, len(sizes) - 2) is None:
        return f"the fused kernel has no activation but {', '.join(KINDS)}"
    if config.output != "softmax":
        return f"the fused kernel has no output but softmax, not {config.output!r}"
    name = "-".join(map(str, sizes))
    if block > THREADS:
        return f"{name} takes {block:,} threads of a fused program, expected at most {THREADS:,}"
    copies = COPIES[optimizer] + (config.batch_size > 1)
    values = copies * thread_size(sizes, block) * np.dtype(dtype).itemsize // 4
    most = STACK if block == 1 else VALUES
    if values > most:
        return f"{name} takes {values:,} numbers of 4 bytes in a thread of a fused program, expected at most {most:,}"
    return None


def _check(
    state: TrainingState,
    dataset: Dataset,
    orders: Array,
    hyperparameters: Hyperparameters,
    masks: tuple[Array, ...],
    alive: Array,
    config: TrainingConfig,
    threads: int | None,
) -> tuple[int, ...]:
    """The sizes of the networks; raises InputError as `fused_epochs`."""
    if not len(alive):
        raise InputError("there are 0 networks, expected 1 or more: one for each block of the kernel")
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (state.params, masks))
    sizes, dtype = sizes_of(one[0]), dataset.x_train.dtype
    if refusal := fused_refusal(sizes, config, dtype, threads):
        raise InputError(refusal)
    moments = [leaf for leaf in jax.tree.leaves(state.optimizer_state) if leaf.ndim > 1]  # not Adam's count
    for leaf in jax.tree.leaves((state.params, moments, hyperparameters, masks, dataset.y_train)):
        if leaf.dtype != dtype:
            raise InputError(f"an array of the fused kernel is {leaf.dtype}, expected {dtype} as the data")
    if (sizes[0], sizes[-1]) != (dataset.x_train.shape[1], dataset.y_train.shape[1]):
        raise InputError(f"networks {sizes} for data {dataset.x_train.shape} and {dataset.y_train.shape}")
    if [mask.shape for mask in one[1]] != [(width,) for width in sizes[1:-1]]:
        raise InputError(f"masks are {[mask.shape for mask in masks]}, expected one per hidden layer of {sizes}")
    if orders.ndim != 3 or orders.dtype != jnp.int32 or not len(orders) or len(alive) % len(orders):
        raise InputError(
            f"orders are {orders.dtype}{orders.shape}, expected int32 [O, epochs, n], O a divisor of {len(alive)}"
        )
    return sizes


def _flat(leaves: Sequence[Array]) -> Array:
    """Leaves ``[T, ...]`` side by side as ``[T, P + 1]``; the last column is 0."""
    count = len(leaves[0])
    return jnp.concatenate([*(leaf.reshape(count, -1) for leaf in leaves), jnp.zeros((count, 1), leaves[0].dtype)], 1)


def _divided(copies: Sequence[Sequence[Array]], division: Division) -> Array:
    """Parameters and what the optimiser keeps of them, by threads: ``[T, threads, copies * size]``."""
    return jnp.concatenate([_flat(leaves)[:, division.parameters] for leaves in copies], 2)


def _whole(divided: Array, division: Division, like: Sequence[Array]) -> list[list[Array]]:
    """The way back: leaves shaped as ``like``, for each copy."""
    size, ends = division.parameters.shape[1], np.cumsum([leaf[0].size for leaf in like])[:-1]
    copies: list[list[Array]] = []
    for first in range(0, divided.shape[2], size):
        flat = divided[:, :, first : first + size].reshape(len(divided), -1)[:, division.owners]
        parts = jnp.split(flat, ends, 1)
        copies.append([part.reshape(leaf.shape) for part, leaf in zip(parts, like, strict=True)])
    return copies


def fused_epochs(
    state: TrainingState,
    dataset: Dataset,
    orders: Array,
    hyperparameters: Hyperparameters,
    config: TrainingConfig,
    masks: tuple[Array, ...],
    alive: Array,
    *,
    threads: int | None = None,
) -> tuple[TrainingState, Array, Array]:
    """Train T networks of one shape, each in a block of threads of its own, in one launch. To be traced.

    Agrees with `train_epochs` up to rounding. A network whose loss or parameters are not finite at an epoch's end
    keeps the parameters and the optimiser's state from before this epoch, and is not trained further.

    Args:
        state: of `initial_state`; leaves ``[T, ...]`` of one dtype.
        dataset: ``x_train [n, n_0]``, ``y_train [n, n_L]`` of that dtype are read.
        orders: int32 ``[O, epochs, n]``, O a divisor of T: the first T / O networks share the first order, and so on.
        hyperparameters: leaves ``[T]``.
        config: static; the activations of `ACTIVATIONS`, the optimisers of `OPTIMIZERS`.
        masks: one per hidden layer, ``[T, n_l]``, see `jaxmlp.engine.layout`.
        alive: booleans ``[T]``: False for networks that are not to be trained.
        threads: of a block: 1 where it is to run on a CPU; None, a thread for each unit, on a GPU.

    Returns:
        The state after the last epoch; each epoch's mean loss over the samples, before their updates, ``[T, epochs]``
        (without meaning for networks not alive before); and whether each network is alive after it, ``[T, epochs]``.

    Raises:
        InputError: no network, dtypes or shapes that disagree, what `fused_refusal` says, or no Warp to run it.

    Source: equations (1) to (6) of `jaxmlp.lecture.backprop`; lecture, step 3.
    """
    sizes = _check(state, dataset, orders, hyperparameters, masks, alive, config, threads)
    kernel, block, dtype = load_kernel(), threads or warps(sizes), dataset.x_train.dtype
    optimizer, decays, count = str(_optimizer(config)), hyperparameters.weight_decay is not None, len(alive)
    division, leaves = divide(sizes, block), jax.tree.leaves(state.params)
    made, *kept = (
        jax.tree.leaves(state.optimizer_state)
        if config.optimizer is adam
        else [jnp.zeros(count, jnp.int32), *jax.tree.leaves(state.optimizer_state)]
    )
    copies = [leaves, *(kept[first : first + len(leaves)] for first in range(0, len(kept), len(leaves)))]
    rate, momentum, decay = hyperparameters
    given = jnp.stack([rate, momentum, jnp.zeros_like(rate) if decay is None else decay], 1)
    program = kernel.epochs_kernel(
        sizes, _activations(config, len(sizes) - 2), optimizer, decays, config.batch_size > 1, dtype.name, block
    )
    # Public, though Warp still calls it experimental: its only way into a compiled program of JAX.
    call = kernel.wp.jax_kernel(program, num_outputs=3, in_out_argnames=["parameters"], block_dim=block)
    epochs = orders.shape[1]
    divided, losses, lives = call(
        given,
        _flat([jnp.zeros((count, 0), dtype), *masks])[:, division.hidden],
        made,
        alive,
        orders,
        dataset.x_train,
        dataset.y_train,
        config.batch_size,
        _divided(copies, division),
        launch_dims=(count, block),
        output_dims={"losses": (count, epochs), "lives": (count, epochs)},
    )
    params, *moments = _whole(divided, division, leaves)
    updates = -(-orders.shape[2] // config.batch_size) * lives.sum(1, dtype=jnp.int32)
    state_leaves = [*([made + updates] if config.optimizer is adam else []), *itertools.chain(*moments)]
    optimizer_state = jax.tree.unflatten(jax.tree.structure(state.optimizer_state), state_leaves)
    return TrainingState(jax.tree.unflatten(jax.tree.structure(state.params), params), optimizer_state), losses, lives
