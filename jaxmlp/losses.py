"""Softmax cross-entropy on logits, a network's loss, and accuracy (lecture, steps 2 and 3)."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.network import OUTPUTS, Activations, Params, forward, output_of

__all__ = ["GradientFunction", "Loss", "accuracy", "cross_entropy", "made_for", "network_loss"]

GradientFunction: TypeAlias = Callable[[Any, Array, Array], tuple[Array, Any]]
"""``(params, x [..., n_in], y [..., n_classes]) -> (loss, gradient)``: the mean loss over the samples and its
gradient, a pytree like params. Hand-derived, automatic and numerical gradients all have this type."""
Loss: TypeAlias = Callable[[Params, Array, Array], Array]
"""``(params, x [..., n_in], y [..., n_classes]) -> loss``, a scalar."""


def cross_entropy(logits: Array, y: Array) -> Array:
    """Mean over samples of ``-sum_k y_k log softmax(logits)_k``, computed without taking the logarithm of zero.

    Args:
        logits: ``[..., n_classes]``.
        y: ``[..., n_classes]``, one-hot or any distribution.

    Returns:
        A scalar of the logits' dtype.

    Source: lecture, step 2, loss; log-softmax is shifted by the largest logit.
    """
    return jnp.mean(OUTPUTS["softmax"].loss(logits, y))


def made_for(activation: Activations, output: str, function: Any) -> Any:
    """``function``, marked with its network: training refuses the gradient function of another network."""
    function.network = activation, output
    return function


def network_loss(activation: Activations = "sigmoid", output: str = "softmax") -> Loss:
    """The mean loss as a function of the parameters: the logits of `jaxmlp.forward`, then the output's loss."""
    each = output_of(output).loss

    def loss(params: Params, x: Array, y: Array) -> Array:
        return jnp.mean(each(forward(params, x, activation), y))

    return loss


def accuracy(logits: Array, labels: Array) -> Array:
    """Share of rows of ``logits [n, n_classes]`` with the largest at ``labels [n]``: a scalar of the logits' dtype.

    Among equal largest logits, the first counts. A row with a NaN counts as wrong.
    """
    # Same result as argmax(logits) == labels. On a CPU, XLA's argmax would take longer than computing the logits.
    own = jnp.take_along_axis(logits, labels[:, None], axis=-1)
    earlier = jax.lax.broadcasted_iota(labels.dtype, logits.shape, 1) < labels[:, None]
    right = jnp.all((own > logits) | ((own == logits) & ~earlier), axis=-1)
    return jnp.mean(right, dtype=logits.dtype)
