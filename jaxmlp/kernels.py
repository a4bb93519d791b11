"""The fused kernel: one GPU program trains one network for whole epochs, its weights on chip all the while.

On a GPU each operation of `jaxmlp.training.train_epoch` is a launch of its own, some ten an update, and a launch takes
longer than the arithmetic of one sample. Here an epoch of any number of networks is one launch: Pallas (its Triton
backend) gives each network a program, `jaxmlp.fused.train_one`, which reads the parameters once, makes every update of
the epoch with the gradient derived by hand, and writes them back.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental import pallas as pl  # as in `jaxmlp.fused`
from jax.experimental.pallas import triton

from jaxmlp.data import Dataset
from jaxmlp.errors import InputError
from jaxmlp.fused import Given, train_one
from jaxmlp.network import sizes_of
from jaxmlp.optimizers import Hyperparameters, momentum, nesterov, sgd
from jaxmlp.training import Config, TrainingState

__all__ = ["fused_epochs", "fused_refusal"]

VALUES_A_THREAD = 80
"""How many numbers of 4 bytes a thread keeps of a network's weights; products on their way take as many of its 255
registers again. Of some 150 random networks compiled for an H100, none within this ran out of them (a few spilled up to
80 bytes where the assembler preferred more blocks a multiprocessor to more registers); beyond, some did."""
WARPS = (4, 8)
"""Warps of 32 threads a program may have; 8 of 255 registers a thread are all that a multiprocessor has."""


def padded(width: int) -> int:
    """The next power of two."""
    return 1 << (width - 1).bit_length()


def _values(sizes: Sequence[int], config: Config, itemsize: int) -> int:
    """How many registers of 4 bytes the program's weights take, those of all its threads together."""
    copies = 1 + (config.optimizer is not sgd) + (config.batch_size > 1)
    # An array smaller than the threads are many is on each of them; biases lie along one side of the weights.
    layers = [max(128, padded(to) * (padded(fan_in) + 16)) for fan_in, to in itertools.pairwise(sizes)]
    return sum(layers) * copies * itemsize // 4


def fused_refusal(sizes: Sequence[int], config: Config, dtype: Any, unlimited: bool = False) -> str | None:
    """Why `fused_epochs` cannot train this network, in words, or None if it can.

    Args:
        sizes: ``(n_0, .., n_L)``, padded or not.
        config: batch size and optimiser count.
        dtype: of the parameters.
        unlimited: whether any size will do.
    """
    if config.optimizer not in (sgd, momentum, nesterov):
        return f"the fused kernel has no optimiser {getattr(config.optimizer, '__name__', config.optimizer)!r}"
    values, most = _values(sizes, config, np.dtype(dtype).itemsize), 32 * WARPS[-1] * VALUES_A_THREAD
    if values > most and not unlimited:
        name = "-".join(map(str, sizes))
        return f"{name} takes {values:,} registers of a fused program, expected at most {most:,}"
    return None


def _check(
    state: TrainingState, dataset: Dataset, orders: Array, hyperparameters: Hyperparameters, masks: tuple[Array, ...],
    alive: Array, config: Config, interpret: bool,
) -> tuple[int, ...]:  # fmt: skip
    """The sizes of the networks; raises InputError as `fused_epochs`."""
    if not len(alive):
        raise InputError("there are 0 networks, expected 1 or more: one for each program of the kernel")
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (state.params, masks))
    sizes, dtype = sizes_of(one[0]), dataset.x_train.dtype
    if refusal := fused_refusal(sizes, config, dtype, unlimited=interpret):
        raise InputError(refusal)
    for leaf in jax.tree.leaves((state, hyperparameters, masks, dataset.y_train)):
        if leaf.dtype != dtype:
            raise InputError(f"an array of the fused kernel is {leaf.dtype}, expected {dtype} as the data")
    if (sizes[0], sizes[-1]) != (dataset.x_train.shape[1], dataset.y_train.shape[1]):
        raise InputError(f"networks {sizes} for data {dataset.x_train.shape} and {dataset.y_train.shape}")
    if [mask.shape for mask in one[1]] != [(width,) for width in sizes[1:-1]]:
        raise InputError(f"masks are {[mask.shape for mask in masks]}, expected one a hidden layer of {sizes}")
    if orders.ndim != 3 or orders.dtype != jnp.int32 or not len(orders) or len(alive) % len(orders):
        raise InputError(
            f"orders are {orders.dtype}{orders.shape}, expected int32 [O, epochs, n], O a divisor of {len(alive)}"
        )
    return sizes


def fused_epochs(
    state: TrainingState,
    dataset: Dataset,
    orders: Array,
    hyperparameters: Hyperparameters,
    config: Config,
    masks: tuple[Array, ...],
    alive: Array,
    *,
    interpret: bool = False,
) -> tuple[TrainingState, Array, Array]:
    """Train T networks of one shape, each in a program of its own: one launch on a GPU. To be traced, as `train_epoch`.

    Agrees with `train_epochs` up to rounding. A network whose loss or parameters are not finite at an epoch's end
    keeps the parameters and the velocity from before this epoch, and is not trained further.

    Args:
        state: of `initial_state`; leaves ``[T, ...]`` of one dtype.
        dataset: ``x_train [n, n_0]``, ``y_train [n, n_L]`` of that dtype are read.
        orders: int32 ``[O, epochs, n]``, O a divisor of T: the first T / O networks share the first order, and so on.
        hyperparameters: leaves ``[T]``.
        config: static; the optimisers sgd, momentum and nesterov.
        masks: one a hidden layer, ``[T, n_l]``, as in `jaxmlp.forward`.
        alive: booleans ``[T]``: False for networks that are not to be trained.
        interpret: run as ordinary JAX on any device, networks of any size: to check the kernel where there is no GPU.

    Returns:
        The state after the last epoch; each epoch's mean loss over the samples, before their updates, ``[T, epochs]``
        (without meaning for networks not alive before); and whether each network is alive after it, ``[T, epochs]``.

    Raises:
        InputError: no network, dtypes or shapes that disagree, or what `fused_refusal` says.

    Source: equations (1) to (6) of `jaxmlp.backprop`; lecture, step 3.
    """
    sizes = _check(state, dataset, orders, hyperparameters, masks, alive, config, interpret)
    trials, epochs, shared = len(alive), orders.shape[1], len(alive) // len(orders)
    velocity = jax.tree.leaves(state.optimizer_state)  # of these optimisers: nothing, or one array a parameter
    layout = jax.tree.structure(state.params)
    weights = state.params, jax.tree.unflatten(layout, velocity) if velocity else None

    def block(leaf: Array) -> pl.BlockSpec:
        """Each program's own part of a leaf ``[T, ...]``, padded."""
        own = leaf.shape[1:]
        return pl.BlockSpec((None, *map(padded, own)), lambda program: (program, *(0 for _ in own)))

    def table(leaf: Array) -> pl.BlockSpec:
        return pl.BlockSpec((len(leaf), padded(leaf.shape[1])), lambda _: (0, 0))

    def shapes(tree: Any, first: int = 0) -> Any:
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[first:], leaf.dtype), tree)

    given = Given(weights, hyperparameters, masks, alive, orders, dataset.x_train, dataset.y_train)
    names = "weights", "hyperparameters", "masks", "alive"
    parts = {name: jax.tree.map(block, getattr(given, name)) for name in names}
    order = pl.BlockSpec((None, *orders.shape[1:]), lambda program: (program // shared, 0, 0))
    specs = given._replace(**parts, orders=order, x=table(given.x), y=table(given.y))
    own = Given(*shapes(given[:4], 1), *shapes(given[4:]))
    each = pl.BlockSpec((None, epochs), lambda program: (program, 0))
    dtype = dataset.x_train.dtype
    enough = _values(sizes, config, dtype.itemsize) <= 32 * WARPS[0] * VALUES_A_THREAD
    (params, moved), losses, lives = pl.pallas_call(
        functools.partial(train_one, own=own, config=config),
        grid=(trials,),
        in_specs=(specs,),
        out_specs=(specs.weights, each, each),
        out_shape=(
            shapes(weights),
            jax.ShapeDtypeStruct((trials, epochs), dtype),
            jax.ShapeDtypeStruct((trials, epochs), jnp.bool_),
        ),
        compiler_params=triton.CompilerParams(num_warps=WARPS[not enough], num_stages=1),
        interpret=interpret,
        name="fused_epochs",
    )(given)
    optimizer_state = jax.tree.unflatten(jax.tree.structure(state.optimizer_state), jax.tree.leaves(moved))
    return TrainingState(params, optimizer_state), losses, lives
