"""One sample an update on a CPU: the lanes of a group side by side, in the last axis of every array.

Each vector of the processor then holds one and the same weight of 16 networks. Nothing is ever summed along a vector
and no width leaves a rest, which is where networks of 20 units lose most of their time otherwise. The update is
`jaxmlp.training.train_epoch`'s; its gradient is by hand, as in `jaxmlp.backprop`, since products are loops here and JAX
would store every turn of a loop that it differentiates. XLA compiles the whole epoch into one kernel
(`jaxmlp.runtime.configure_sweep`), in which it repeats cheap arithmetic wherever a result is read; what is read for
every weight is therefore divided by ones that XLA cannot see through, for a division it does once.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.data import Dataset
from jaxmlp.losses import GradientFunction
from jaxmlp.network import ActivationName, Layer, Params, hidden_activations
from jaxmlp.optimizers import Hyperparameters
from jaxmlp.training import Config, TrainingState, train_epoch

__all__ = ["epoch_side_by_side", "lanes_gradient"]

TURN = 8
"""Terms that a turn of a product's loop adds: sums stay in registers that long."""


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
    gradient = lanes_gradient(tuple(mask.T for mask in masks), config.activation, ones)
    turned = jax.tree.map(jnp.transpose, state)  # [B, n_out, n_in] to [n_in, n_out, B]
    turned, loss = train_epoch(turned, dataset, order.T, hyperparameters, config, gradient)
    return jax.tree.map(jnp.transpose, turned), loss


def lanes_gradient(masks: tuple[Array, ...], activation: ActivationName, ones: Array) -> GradientFunction:
    """The gradient by hand, `jaxmlp.backprop`'s equations (3) to (6), for one sample and B networks.

    Args:
        masks: one a hidden layer, ``[n_l, B]``.
        activation: of the hidden layers.
        ones: ``[n, B]``, n the largest width; 1 each, which XLA must not know.

    Returns:
        A function of parameters with weights ``[n_in, n_out, B]`` and biases ``[n_out, B]``, of ``x [n_0]`` and
        ``y [n_L]`` for all networks or ``[B, ...]`` for each, that gives losses ``[B]`` and a gradient like params.
    """
    phi = hidden_activations(activation, len(masks))

    def once(value: Array) -> Array:
        return value / ones[: len(value)]

    def gradient(params: Params, x: Array, y: Array) -> tuple[Array, Params]:
        x, y = (v[:, None] if v.ndim == 1 else once(v.T) for v in (x, y))
        h = [x]
        for (weights, biases), row, mask in zip(params, phi, masks, strict=False):
            h.append(row.value(_product(weights, h[-1]) + biases) * mask)
        loss, delta = _cross_entropy(_product(params[-1].weights, h[-1]) + params[-1].biases, y)
        layers: list[Layer] = []
        for layer in reversed(range(len(params))):
            delta = once(delta)
            layers.insert(0, Layer(h[layer][:, None] * delta, delta))  # (4), (5)
            if layer:
                delta = _product_back(params[layer].weights, delta) * phi[layer - 1].derivative(h[layer])  # (6)
        return loss, tuple(layers)

    return gradient


def _product(weights: Array, h: Array) -> Array:
    """``W h`` of each lane: ``[n_in, n_out, B]`` and ``[n_in, B]`` or ``[n_in, 1]`` give ``[n_out, B]``."""
    return _sum_of(len(h), lambda i, k: _rows(weights, i, k, 0), lambda i, k: _rows(h, i, k, 0)[:, None], 0)


def _product_back(weights: Array, delta: Array) -> Array:
    """``delta W`` of each lane: ``[n_in, n_out, B]`` and ``[n_out, B]`` give ``[n_in, B]``."""
    return _sum_of(len(delta), lambda i, k: _rows(weights, i, k, 1), lambda i, k: _rows(delta, i, k, 0)[None], 1)


def _rows(values: Array, start: Any, count: int, axis: int) -> Array:
    return jax.lax.dynamic_slice_in_dim(values, start, count, axis)


def _sum_of(n: int, left: Callable[[Any, int], Array], right: Callable[[Any, int], Array], axis: int) -> Array:
    """The sum over ``axis`` of n products of slices, taken `TURN` at a time by a loop of two turns or more.

    XLA would undo a loop of one turn, and then repeat the sum in each place that reads it.
    """
    turn = max(1, min(TURN, n // 2))

    def add(total: Array | float, start: Any, count: int) -> Array:
        products = left(start, count) * right(start, count)
        for i in range(count):
            total = total + jax.lax.index_in_dim(products, i, axis, keepdims=False)
        return jnp.asarray(total)

    rest = n % turn
    total = add(0.0, 0, rest) if rest else jnp.zeros_like(jax.lax.index_in_dim(left(0, 1), 0, axis, keepdims=False))
    return jax.lax.fori_loop(0, n // turn, lambda i, total: add(total, rest + i * turn, turn), total)


def _cross_entropy(g: Array, y: Array) -> tuple[Array, Array]:
    """Losses ``[B]`` of logits ``[n_L, B]``, and their derivative ``delta_L = softmax(g) - y`` (3)."""
    top = jax.lax.fori_loop(1, len(g), lambda k, top: jnp.maximum(top, g[k]), g[0])
    shifted = g - top
    exponentials = jnp.exp(shifted)
    nothing = jnp.zeros_like(top)
    total, own = jax.lax.fori_loop(
        0, len(g), lambda k, sums: (sums[0] + exponentials[k], sums[1] + y[k] * shifted[k]), (nothing, nothing)
    )
    return jnp.log(total) - own, exponentials / total - y
