"""What one program of the fused kernel does: read a network, train it sample after sample, write it back.

Written for Pallas's Triton backend, whose arrays have powers of two as sides: what lies beyond a network's own sides is
read as 0, stays 0, and is never written. `jaxmlp.kernels` launches it.
"""

import functools
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array

# Experimental by name, documented, and JAX's only way to write a kernel.
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from jaxmlp.network import Activation, Layer, Params, hidden_activations
from jaxmlp.optimizers import Hyperparameters, nesterov
from jaxmlp.training import Config

__all__ = ["Given", "Weights", "train_one"]

Ref: TypeAlias = Any  # memory that a program reads or writes: no public type
Weights: TypeAlias = tuple[Params, Params | None]  # parameters and, where the optimiser has one, their velocity


class Given(NamedTuple):
    """What a program reads; leaves are `Ref`."""

    weights: Any
    hyperparameters: Hyperparameters
    masks: Any
    alive: Any
    orders: Any
    x: Any
    y: Any


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


def train_one(given: Given, made: Any, losses: Ref, lives: Ref, *, own: Given, config: Config) -> None:
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
