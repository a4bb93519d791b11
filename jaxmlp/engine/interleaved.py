"""One sample per update on a CPU: the networks of a group interleaved, in the last axis of every array.

Each vector of the processor then holds one and the same weight of 16 networks. Nothing is ever summed along a vector,
and every width fills whole vectors, where networks of 20 units lose most of their time otherwise. What is left is
reading the first layer's weights and writing them back, since they don't fit the first cache. Plain gradient descent
can do that once for several updates: after the updates of samples ``m < k`` a layer has the weights
``W_k = W - rate sum_m delta_m h_m^T``, so that without ever writing ``W_k`` down

    W_k h + b_k = W h + b - rate sum_m (h_m . h + 1) delta_m        (forward)
    delta W_k = delta W - rate sum_m (delta_m . delta) h_m          (backward)

An L2 penalty multiplies the weights by ``1 - rate alpha`` at each update. With a factor a and decayed deltas d_m,
``W_k = a W - rate sum_m d_m h_m^T``, and ``|W_k|^2``, which the loss needs, follows from that of the update before.

The update is `lecture.training.update`. The gradient is by hand, as in `lecture.backprop`: products are loops here,
and JAX would store every turn of a loop that it differentiates.
"""

import functools
import operator
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.engine.interleaved_sums import dot, output_loss, product, product_back, sum_of_squares
from jaxmlp.engine.layout import masked
from jaxmlp.lecture.data import Dataset
from jaxmlp.lecture.network import Activation, Layer, Params, hidden_activations
from jaxmlp.lecture.optimizers import Hyperparameters, TrainingConfig, sgd
from jaxmlp.lecture.training import TrainingState, typed, update

__all__ = ["TOGETHER", "epoch_interleaved", "interleaved_gradient"]

TOGETHER = 3
"""Updates that share one reading and writing of the weights."""

Past = list[tuple[Array, Array, Array]]
"""Of a layer, for each update that its weights lack: what went in, ``h [n_in, B or 1]``, delta, and delta decayed by
the penalties of the updates since, ``[n_out, B]`` each."""


def epoch_interleaved(
    state: TrainingState,
    hyperparameters: Hyperparameters,
    masks: tuple[Array, ...],
    order: Array,
    dataset: Dataset,
    config: TrainingConfig,
    alpha: Array | None = None,
    weighted: bool = False,
) -> tuple[TrainingState, Array]:
    """`jaxmlp.lecture.training.train_epoch` for the B networks of a group, batch size 1; to be traced.

    Args:
        state: leaves ``[B, ...]``.
        hyperparameters: ``[B]`` each.
        masks: one per hidden layer, ``[B, n_l]``: 1 for a network's units, 0 for padding; or none.
        order: ``[n]``, or ``[B, n]``: gives the same bits, network by network.
        dataset: for all networks.
        config: static.
        alpha: ``[B]``, of an L2 penalty.
        weighted: whether the rows of ``dataset.y_train`` have one more column, the samples' weights, 0 for padding.

    Returns:
        The state after the epoch, and the mean losses ``[B]``.
    """
    *inner, (last, _) = state.params
    most = max(last.shape[1:] + tuple(layer.weights.shape[2] for layer in inner))
    ones = jax.lax.optimization_barrier(jnp.ones((most, len(last)), last.dtype))
    phi = masked(config.activation, [mask.T for mask in masks]) if masks else None
    phi = phi or hidden_activations(config.activation, len(inner))
    rate = jnp.asarray(hyperparameters.learning_rate)
    gradient = interleaved_gradient(phi, rate, ones, alpha, weighted, config.output)
    optimizer = config.optimizer(typed(hyperparameters, state.params))
    # Only updates by plain gradients add up to one update by the sum of the gradients.
    size = TOGETHER if config.optimizer is sgd and hyperparameters.weight_decay is None else 1
    order, n = order.T, order.shape[-1]
    full = n - n % size

    def turn(carry: tuple[TrainingState, Array, Any], rows: Array) -> tuple[tuple[TrainingState, Array, Any], None]:
        state, total, squares = carry[0], carry[1], list(carry[2])
        given = functools.partial(gradient, squares=squares or None)
        state, loss = update(state, dataset.x_train[rows], dataset.y_train[rows], given, optimizer)
        return (state, total + (loss * len(rows) if size > 1 else loss), squares), None

    turned = jax.tree.map(jnp.transpose, state)  # [B, n_out, n_in] to [n_in, n_out, B]
    # Only with plain gradient descent |W|^2 can be updated instead of computed again.
    squares = [sum_of_squares(layer.weights) for layer in turned.params] if alpha is not None and size > 1 else []
    carry = turned, jnp.zeros_like(rate), squares
    carry, _ = jax.lax.scan(turn, carry, order[:full].reshape(-1, size, *order.shape[1:]))
    if full < n:
        carry, _ = turn(carry, order[full:])
    return jax.tree.map(jnp.transpose, carry[0]), carry[1] / n


def interleaved_gradient(
    phi: tuple[Activation, ...],
    rate: Array,
    ones: Array,
    alpha: Array | None = None,
    weighted: bool = False,
    output: str = "softmax",
) -> Callable[..., tuple[Array, Params]]:
    """The gradients by hand of K updates one after the other, `lecture.backprop`'s equations (3) to (6), of B networks.

    Args:
        phi: of the hidden layers, masked.
        rate: learning rates ``[B]`` of the updates.
        ones: ``[n, B]``, n the largest width; all 1, in a way that XLA cannot see.
        alpha: ``[B]``, of an L2 penalty ``alpha/2 |W|^2``, or None.
        weighted: whether ``y`` has one more column, the samples' weights; where one is 0, there is no penalty either.
        output: of the last layer.

    Returns:
        A function of parameters with weights ``[n_in, n_out, B]`` and biases ``[n_out, B]``, of samples ``x [K, n_0]``
        and ``y [K, n_L]`` for all networks or ``[K, B, ...]`` for each. It gives ``[B]``, the means of the losses
        before each update, and the sums of the gradients, like params. ``squares``, if given, are ``|W|^2`` of each
        layer, and are replaced by those after the updates.
    """

    def once(value: Array) -> Array:
        # XLA repeats cheap arithmetic wherever a result is read. What is read for every weight is divided by ones
        # that it cannot see through: a division it does once.
        return value / ones[: value.shape[-2]]

    def corrected(value: Array, new: Array, past: Iterable[tuple[Array, Array]], bias: int) -> Array:
        for seen, moved in past:
            value = value - rate * (dot(seen, new) + bias) * moved
        return value

    def gradient(params: Params, x: Array, y: Array, squares: list[Array] | None = None) -> tuple[Array, Params]:
        x, y = (v[..., None] if v.ndim == 2 else once(jnp.moveaxis(v, 1, 2)) for v in (x, y))
        past: list[Past] = [[] for _ in params]
        losses: list[Array] = []
        penalty = None if alpha is None else _Penalty(params, rate, alpha, squares)

        def forward(layer: int, passed: Array, h: Array) -> Array:  # g of the layer, from W h
            if penalty is None:
                return corrected(passed + params[layer].biases, h, [(seen, d) for seen, d, _ in past[layer]], 1)
            passed = corrected(penalty.kept * passed, h, [(seen, decayed) for seen, _, decayed in past[layer]], 0)
            penalty.passed[layer] = passed
            return passed + params[layer].biases - rate * _sum([delta for _, delta, _ in past[layer]])

        for number, first in enumerate(
            product(params[0].weights, x)
        ):  # all samples at once, while the weights are in the cache
            h = [x[number]]
            g = forward(0, first, h[0])
            for layer, row in enumerate(phi, 1):
                h.append(row.value(g))
                g = forward(layer, product(params[layer].weights, h[-1]), h[-1])
            loss, delta = output_loss(output, g, y[number][: len(g)])
            weight = y[number][-1] if weighted else None
            loss, delta = (loss, delta) if weight is None else (weight * loss, weight * delta)
            deltas: list[Array] = []
            for layer in reversed(range(1, len(params))):
                delta = once(delta)
                back = product_back(params[layer].weights, delta)
                # Zeros are added, for which XLA must wait. Otherwise it may change the weights, in a copy, before they
                # have been read here.
                deltas.insert(0, delta + 0 * back[0])
                back = back if penalty is None else penalty.kept * back
                back = corrected(back, delta, [(decayed, seen) for seen, _, decayed in past[layer]], 0)
                delta = back * phi[layer - 1].derivative(h[layer])  # (6)
            deltas.insert(0, once(delta))
            if penalty is not None:
                loss = loss + penalty.update(past, h, deltas, None if weight is None else weight > 0)
            losses.append(loss)
            for layer, (seen, delta) in enumerate(zip(h, deltas, strict=True)):
                past[layer].append((seen, delta, delta))
        gradients = map(_gradient_sum, past) if penalty is None else map(penalty.gradient_sum, params, past)
        return _sum(losses) / len(losses), tuple(gradients)

    return gradient


class _Penalty:
    """What an L2 penalty adds to K updates: ``W_k = kept W - ..``, where ``kept = 1 - rate lost``, ``[B]`` each."""

    def __init__(self, params: Params, rate: Array, alpha: Array, squares: list[Array] | None) -> None:
        self.rate, self.alpha = rate, alpha
        self.lost, self.kept = jnp.zeros_like(alpha), jnp.ones_like(alpha)
        self.squares = squares or [sum_of_squares(layer.weights) for layer in params]  # |W_k|^2 of each layer
        self.passed: list[Any] = [None] * len(params)  # W_k h of each layer

    def update(self, past: list[Past], h: list[Array], deltas: list[Array], present: Array | None) -> Array:
        """After one sample; returns the penalty of its loss. ``present [B or 1]``: False for padding."""
        alpha = self.alpha if present is None else jnp.where(present, self.alpha, 0)
        loss, factor = 0.5 * alpha * _sum(self.squares), 1 - self.rate * alpha
        for layer, (seen, delta) in enumerate(zip(h, deltas, strict=True)):
            moved = self.rate * dot(delta, delta) * self.rate * dot(seen, seen)
            crossed = 2 * factor * self.rate * dot(delta, self.passed[layer])
            self.squares[layer] = factor * factor * self.squares[layer] - crossed + moved
            past[layer][:] = [(seen, delta, factor * decayed) for seen, delta, decayed in past[layer]]
        self.lost = self.lost + self.kept * alpha
        self.kept = 1 - self.rate * self.lost
        return loss

    def gradient_sum(self, layer: Layer, past: Past) -> Layer:
        """The gradient whose one update equals all K updates."""
        weights = _sum([seen[:, None] * decayed for seen, _, decayed in past])
        return Layer(self.lost * layer.weights + weights, _sum([delta for _, delta, _ in past]))


def _gradient_sum(past: Past) -> Layer:
    """The sum of the updates' gradients of a layer (4), (5)."""
    return Layer(_sum([h[:, None] * delta for h, delta, _ in past]), _sum([delta for _, delta, _ in past]))


def _sum(terms: list[Array]) -> Any:
    return functools.reduce(operator.add, terms, *([] if terms else [0]))
