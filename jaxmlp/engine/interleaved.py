"""One sample an update on a CPU: the lanes of a group side by side, in the last axis of every array.

Each vector of the processor then holds one and the same weight of 16 networks. Nothing is ever summed along a vector
and no width leaves a rest, which is where networks of 20 units lose most of their time otherwise. What is left is
reading the first layer's weights and writing them back, as they don't fit the first cache. Plain gradient descent can
do that once for several updates: after the updates of samples ``m < k`` a layer has the weights
``W_k = W - rate sum_m delta_m h_m^T``, so that without ever writing ``W_k`` down

    W_k h + b_k = W h + b - rate sum_m (h_m . h + 1) delta_m        (forward)
    delta W_k = delta W - rate sum_m (delta_m . delta) h_m          (backward)

The loop over updates is `jaxmlp.training.train_epoch`'s; the gradient is by hand, as in `jaxmlp.backprop`, since
products are loops here and JAX would store every turn of a loop that it differentiates.
"""

import dataclasses
import functools
import operator
from collections.abc import Iterable

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.data import Dataset
from jaxmlp.engine.interleaved_sums import cross_entropy, dot, product, product_back
from jaxmlp.losses import GradientFunction
from jaxmlp.network import ActivationName, Layer, Params, hidden_activations
from jaxmlp.optimizers import Hyperparameters, sgd
from jaxmlp.training import Config, TrainingState, train_epoch

__all__ = ["TOGETHER", "epoch_side_by_side", "lanes_gradient"]

TOGETHER = 3
"""Updates that share one reading and writing of the weights."""

Past = list[tuple[Array, Array]]
"""Of a layer, for each update that its weights lack: what went in, ``h [n_in, B or 1]``, and ``delta [n_out, B]``."""


def epoch_side_by_side(
    state: TrainingState,
    hyperparameters: Hyperparameters,
    masks: tuple[Array, ...],
    order: Array,
    dataset: Dataset,
    config: Config,
) -> tuple[TrainingState, Array]:
    """`train_epoch` for the B lanes of a group, batch size 1; to be traced.

    Args:
        state: leaves ``[B, ...]``.
        hyperparameters: ``[B]`` each.
        masks: one a hidden layer, ``[B, n_l]``: 1 for a lane's units, 0 for padding.
        order: ``[n]``, or ``[B, n]``: to the same bits, lane by lane.
        dataset: for all lanes.
        config: static.

    Returns:
        The state after the epoch, and the mean losses ``[B]``.
    """
    *inner, (last, _) = state.params
    most = max(last.shape[1:] + tuple(layer.weights.shape[2] for layer in inner))
    ones = jax.lax.optimization_barrier(jnp.ones((most, len(last)), last.dtype))
    rate = hyperparameters.learning_rate
    gradient = lanes_gradient(tuple(mask.T for mask in masks), config.activation, jnp.asarray(rate), ones)
    turned = jax.tree.map(jnp.transpose, state)  # [B, n_out, n_in] to [n_in, n_out, B]
    # Only updates by plain gradients add up to one update by the sum of the gradients.
    together = TOGETHER if config.optimizer is sgd and hyperparameters.weight_decay is None else 1
    if together == 1:
        gradient = functools.partial(_of_one_sample, gradient)
    config = dataclasses.replace(config, batch_size=together)
    turned, loss = train_epoch(turned, dataset, order.T, hyperparameters, config, gradient)
    return jax.tree.map(jnp.transpose, turned), loss


def _of_one_sample(gradient: GradientFunction, params: Params, x: Array, y: Array) -> tuple[Array, Params]:
    return gradient(params, x[None], y[None])


def lanes_gradient(masks: tuple[Array, ...], activation: ActivationName, rate: Array, ones: Array) -> GradientFunction:
    """The gradients by hand of K updates one after the other, `jaxmlp.backprop`'s equations (3) to (6), of B networks.

    Args:
        masks: one a hidden layer, ``[n_l, B]``.
        activation: of the hidden layers.
        rate: learning rates ``[B]`` of the updates.
        ones: ``[n, B]``, n the largest width; 1 each, which XLA must not know.

    Returns:
        A function of parameters with weights ``[n_in, n_out, B]`` and biases ``[n_out, B]``, of samples ``x [K, n_0]``
        and ``y [K, n_L]`` for all networks or ``[K, B, ...]`` for each. It gives ``[B]``, the means of the losses
        before each update, and the sums of the gradients, like params.
    """
    phi = hidden_activations(activation, len(masks))

    def once(value: Array) -> Array:
        # XLA repeats cheap arithmetic wherever a result is read. What is read for every weight is divided by ones
        # that it cannot see through: a division it does once.
        return value / ones[: value.shape[-2]]

    def corrected(value: Array, new: Array, past: Iterable[tuple[Array, Array]], bias: int) -> Array:
        for seen, moved in past:
            value = value - rate * (dot(seen, new) + bias) * moved
        return value

    def gradient(params: Params, x: Array, y: Array) -> tuple[Array, Params]:
        x, y = (v[..., None] if v.ndim == 2 else once(jnp.moveaxis(v, 1, 2)) for v in (x, y))
        past: list[Past] = [[] for _ in params]
        losses: list[Array] = []
        for number, first in enumerate(product(params[0].weights, x)):  # all samples while the weights are at hand
            h = [x[number]]
            g = corrected(first + params[0].biases, h[0], past[0], 1)
            for layer, (row, mask) in enumerate(zip(phi, masks, strict=True), 1):
                h.append(row.value(g) * mask)
                g = corrected(product(params[layer].weights, h[-1]) + params[layer].biases, h[-1], past[layer], 1)
            loss, delta = cross_entropy(g, y[number])
            losses.append(loss)
            for layer in reversed(range(1, len(params))):
                delta = once(delta)
                back = product_back(params[layer].weights, delta)
                # Zeros are added, for which XLA must wait. Otherwise it may change the weights, in a copy, before they
                # have been read here.
                waited = delta + 0 * back[0]
                back = corrected(back, delta, ((moved, seen) for seen, moved in past[layer]), 0)
                past[layer].append((h[layer], waited))
                delta = back * phi[layer - 1].derivative(h[layer])  # (6)
            past[0].append((h[0], once(delta)))
        return _sum(losses) / len(losses), tuple(map(_gradient_sum, past))

    return gradient


def _gradient_sum(past: Past) -> Layer:
    """The sum of the updates' gradients of a layer (4), (5)."""
    return Layer(_sum([h[:, None] * delta for h, delta in past]), _sum([delta for _, delta in past]))


def _sum(terms: list[Array]) -> Array:
    return functools.reduce(operator.add, terms)
