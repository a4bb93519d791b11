"""The fused kernel: one GPU program trains one network for whole epochs, its weights on chip all the while.

On a GPU each operation of `jaxmlp.training.train_epoch` is a launch of its own, some ten an update, and a launch takes
longer than the arithmetic of one sample. Here an epoch of any number of networks is one launch: Pallas (its Triton
backend) gives each network a program, which reads the parameters once, makes every update of the epoch with the
gradient derived by hand, and writes them back. Triton's arrays have powers of two as sides: what lies beyond a
network's own sides is read as 0, stays 0, and is never written.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

# Experimental by name, documented, and JAX's only way to write a kernel.
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from jaxmlp.data import Dataset
from jaxmlp.errors import InputError
from jaxmlp.network import Activation, Layer, Params, hidden_activations, sizes_of
from jaxmlp.optimizers import Hyperparameters, momentum, nesterov, sgd
from jaxmlp.training import Config, TrainingState

__all__ = ["fused_epochs", "fused_refusal"]

Ref: TypeAlias = Any  # memory that a program reads or writes: no public type
Weights: TypeAlias = tuple[Params, Params | None]  # parameters and, where the optimiser has one, their velocity

VALUES_A_THREAD = 80
"""How many numbers of 4 bytes a thread keeps of a network's weights. It has 255 registers, and as many as that again
hold products on their way. Compiled for an H100, 200 random networks stayed within them; with more, some did not."""
WARPS = (4, 8)
"""Warps of 32 threads a program may have; 8 of 255 registers a thread are all that a multiprocessor has."""


class Given(NamedTuple):
    """What a program reads; leaves are `Ref`."""

    weights: Any
    hyperparameters: Hyperparameters
    masks: Any
    alive: Any
    orders: Any
    x: Any
    y: Any


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


def _inside(shape: tuple[int, ...], own: tuple[int, ...]) -> Array:
    """True where an element of a padded array of ``shape`` lies within the network's ``own`` sides."""
    sides = [jax.lax.broadcasted_iota(jnp.int32, shape, axis) < side for axis, side in enumerate(own)]
    return functools.reduce(jnp.logical_and, sides)


def _read(ref: Ref, own: Any) -> Array:
    return triton.load(ref, mask=_inside(ref.shape, own.shape), other=0.0)


def _write(refs: Any, weights: Weights, own: Any) -> None:
    def store(ref: Ref, values: Array, own: Any) -> None:
        triton.store(ref, values, mask=_inside(values.shape, own.shape))

    jax.tree.map(store, refs, weights, own)


def _finite(tree: Any) -> Array:
    """Whether every number is finite; as a count in floats, which Triton reduces."""
    infinite = [jnp.sum(jnp.where(jnp.abs(leaf) < jnp.inf, 0.0, 1.0)) for leaf in jax.tree.leaves(tree)]
    return functools.reduce(jnp.add, infinite) == 0.0


def _sample(
    params: Params, masks: list[Array], x: Array, y: Array, share: Any, phi: tuple[Activation, ...], n_classes: int
) -> tuple[Array, Params]:
    """Loss and gradient of one sample, by the equations of `jaxmlp.backprop`; ``share`` is 1 / B.

    Products are multiplied and summed: Triton's matrix product takes no vectors, and would use TF32.
    """
    g, h = jnp.zeros(()), [x]
    for number, layer in enumerate(params):
        g = jnp.sum(layer.weights * h[number][None, :], axis=1) + layer.biases  # (1)
        if number < len(phi):
            value = phi[number].value(g)  # (2)
            h.append(jnp.where(g == g, value, g) * masks[number])  # Triton's maximum of NaN and 0 is 0, XLA's is NaN
    classes = _inside(g.shape, (n_classes,))
    shifted = g - jnp.max(jnp.where(classes, g, -jnp.inf))
    exponentials = jnp.where(classes, jnp.exp(shifted), 0.0)
    total = jnp.sum(exponentials)
    loss = jnp.sum(jnp.where(classes, y * (jnp.log(total) - shifted), 0.0))
    delta = (exponentials / total - y) * share  # (3)
    gradient: list[Layer] = []
    for number in reversed(range(len(params))):
        gradient.append(Layer(delta[:, None] * h[number][None, :], delta))  # (4), (5)
        if number > 0:
            back = jnp.sum(delta[:, None] * params[number].weights, axis=0)
            delta = back * masks[number - 1] * phi[number - 1].derivative(h[number])  # (6)
    return loss, tuple(reversed(gradient))


def _step(weights: Weights, gradient: Params, given: Hyperparameters, config: Config) -> Weights:
    """The update, as optax makes it; ``given`` holds scalars."""
    params, velocity = weights
    if given.weight_decay is not None:
        gradient = jax.tree.map(lambda g, w: g + given.weight_decay * w, gradient, params)
    if velocity is not None:
        velocity = jax.tree.map(lambda g, v: g + given.momentum * v, gradient, velocity)
        ahead = config.optimizer is nesterov
        gradient = jax.tree.map(lambda g, v: g + given.momentum * v, gradient, velocity) if ahead else velocity
    return jax.tree.map(lambda w, g: w - given.learning_rate * g, params, gradient), velocity


def _kernel(given: Given, made: Any, losses: Ref, lives: Ref, *, own: Given, config: Config) -> None:
    """The program of one network; ``own`` has the leaves' shapes without padding."""
    epochs, n = given.orders.shape
    size, dtype, n_classes = config.batch_size, given.x.dtype, own.y.shape[1]
    masks = jax.tree.map(_read, list(given.masks), list(own.masks))
    hyperparameters = jax.tree.map(lambda ref: ref[...], given.hyperparameters)
    phi = hidden_activations(config.activation, len(masks))

    def sample(params: Params, row: Array, share: Any) -> tuple[Array, Params]:
        x, y = (
            triton.load(ref.at[row], mask=_inside(ref.shape[1:], array.shape[1:]), other=0.0)
            for ref, array in ((given.x, own.x), (given.y, own.y))
        )
        return _sample(params, masks, x, y, share, phi, n_classes)

    def epoch(number: Array, carry: tuple[Weights, Array]) -> tuple[Weights, Array]:
        weights, alive = carry

        def update(turn: Array, carry: tuple[Weights, Array]) -> tuple[Weights, Array]:
            weights, total = carry
            if size == 1:
                loss, gradient = sample(weights[0], given.orders[number, turn], 1.0)
                return _step(weights, gradient, hyperparameters, config), total + loss
            first = turn * size
            last = jnp.minimum(first + size, n)
            share = 1 / (last - first).astype(dtype)

            def add(at: Array, carry: tuple[Array, Params]) -> tuple[Array, Params]:
                return jax.tree.map(jnp.add, carry, sample(weights[0], given.orders[number, at], share))

            total, gradient = jax.lax.fori_loop(first, last, add, (total, jax.tree.map(jnp.zeros_like, weights[0])))
            return _step(weights, gradient, hyperparameters, config), total

        updates = alive.astype(jnp.int32) * -(-n // size)  # none for the dead
        weights, total = jax.lax.fori_loop(jnp.int32(0), updates, update, (weights, jnp.zeros((), dtype)))
        alive = alive & _finite(weights) & (jnp.abs(total) < jnp.inf)
        losses[number], lives[number] = total / n, alive
        # What diverges in this epoch is left as it was written after the epoch before.
        pl.when(alive)(lambda: _write(made, weights, own.weights))
        return weights, alive

    weights = jax.tree.map(_read, given.weights, own.weights)
    _write(made, weights, own.weights)
    jax.lax.fori_loop(jnp.int32(0), jnp.int32(epochs), epoch, (weights, given.alive[...]))


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
    specs = Given(
        *jax.tree.map(block, given[:4]),
        pl.BlockSpec((None, *orders.shape[1:]), lambda program: (program // shared, 0, 0)),
        *map(table, given[5:]),
    )
    own = Given(*shapes(given[:4], 1), *shapes(given[4:]))
    each = pl.BlockSpec((None, epochs), lambda program: (program, 0))
    dtype = dataset.x_train.dtype
    enough = _values(sizes, config, dtype.itemsize) <= 32 * WARPS[0] * VALUES_A_THREAD
    (params, moved), losses, lives = pl.pallas_call(
        functools.partial(_kernel, own=own, config=config),
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
