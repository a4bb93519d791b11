"""The loss with what scikit-learn's networks have and the lecture's lack: sample weights and an L2 penalty."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.losses import GradientFunction, network_loss
from jaxmlp.network import Activations, Params

__all__ = ["penalised_gradient"]


def penalised_gradient(activation: Activations, alpha: Any = None, padded: bool = False) -> GradientFunction:
    """The gradient of the weighted cross-entropy with an L2 penalty: ``(sum_i w_i L_i + alpha/2 |W|^2) / B``.

    B is the number of samples in the batch, |W|^2 the sum of all squared weights (not biases): scikit-learn's scaling.

    Args:
        activation: of the hidden layers.
        alpha: of the penalty, traced; None leaves it out of the program.
        padded: whether rows of ``y`` may be all zero (padding); such rows are left out of the loss and of B. The loss
            that is returned, though not its gradient, is then divided by the number of all rows.

    Returns:
        A `GradientFunction` for use inside a trace; its ``y [B, n_L]`` has ``w_i`` in the place of the one.
    """
    unpenalised = network_loss(activation)
    if alpha is None and not padded:
        return jax.value_and_grad(unpenalised)

    def loss(params: Params, x: Array, y: Array) -> tuple[Array, Array]:
        value = unpenalised(params, x, y)
        samples: Any = y.size // y.shape[-1]
        rows = present = samples
        if padded:
            present = jnp.sum(jnp.any(y > 0, axis=-1), dtype=value.dtype)
            samples = jnp.maximum(present, 1)
            value = value * (rows / samples)
        if alpha is not None:
            squares = sum(jnp.vdot(layer.weights, layer.weights) for layer in params)
            scale = jnp.minimum(present, 1) * alpha if padded else alpha
            value = value + (0.5 / samples) * scale * squares
        return value, value * (present / rows) if padded else value

    def gradient(params: Params, x: Array, y: Array) -> tuple[Array, Params]:
        (_, reported), slopes = jax.value_and_grad(loss, has_aux=True)(params, x, y)
        return reported, slopes

    return gradient
