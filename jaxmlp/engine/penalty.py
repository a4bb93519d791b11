"""The loss with what scikit-learn's networks have and the lecture's lack: sample weights and an L2 penalty."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.lecture.losses import GradientFunction, output_of
from jaxmlp.lecture.network import Activations, Params, forward, network_loss

__all__ = ["penalised_gradient"]


def penalised_gradient(
    activation: Activations,
    alpha: Any = None,
    weighted: bool = False,
    padded: bool = False,
    output: str = "softmax",
    count: Any = None,
) -> GradientFunction:
    """The gradient of a weighted loss with an L2 penalty: ``(sum_i w_i L_i + alpha/2 |W|^2) / B``.

    B is the number of samples in the batch, |W|^2 the sum of all squared weights (not biases): scikit-learn's scaling.

    Args:
        activation: of the hidden layers.
        alpha: of the penalty, traced; None leaves it out of the program.
        weighted: whether ``y`` is ``[B, n_L + 1]``, each row the target and, last, the sample's weight w.
        padded: whether weights may be 0 (padding); such rows are left out of the loss and of B. The loss that is
            returned, though not its gradient, is then divided by the number of all rows.
        output: of the last layer.
        count: B, traced, where it is known which rows are padding; the loss is then what the gradient is of.

    Returns:
        A `GradientFunction` for use inside a trace.
    """
    if alpha is None and not weighted:
        return jax.value_and_grad(network_loss(activation, output))
    each = output_of(output).loss

    def loss(params: Params, x: Array, y: Array) -> tuple[Array, Array]:
        rows: Any = y.size // y.shape[-1]
        samples = present = rows
        weights = y[..., -1] if weighted else 1
        losses = each(forward(params, x, activation), y[..., :-1] if weighted else y)
        if count is not None:
            samples = count.astype(losses.dtype)
        elif padded:
            present = jnp.sum(weights > 0, dtype=losses.dtype)
            samples = jnp.maximum(present, 1)
        value = jnp.sum(weights * losses) / samples
        if alpha is not None:
            squares = sum(jnp.vdot(layer.weights, layer.weights) for layer in params)
            scale = jnp.minimum(present, 1) * alpha if padded else alpha
            value = value + (0.5 / samples) * scale * squares
        return value, value * (present / rows) if padded else value

    def gradient(params: Params, x: Array, y: Array) -> tuple[Array, Params]:
        (_, reported), slopes = jax.value_and_grad(loss, has_aux=True)(params, x, y)
        return reported, slopes

    return gradient
