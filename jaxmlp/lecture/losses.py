"""Outputs with their losses, the mean loss, and accuracy (lecture, steps 2 and 3).

    (e)  L = (1/B) sum over samples of -sum_k y_k log h_L,k      B: the number of samples
    (h)  accuracy = share of samples whose largest logit is that of their label

Cross-entropy is computed from the logits: log h_L = g_L - log sum_k exp(g_L,k). So the logarithm of zero is never
taken.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.checks import check_one_of

__all__ = ["OUTPUTS", "GradientFunction", "Output", "accuracy", "cross_entropy", "output_of"]

GradientFunction: TypeAlias = Callable[[Any, Array, Array], tuple[Array, Any]]
"""``(params, x [..., n_in], y [..., n_classes]) -> (loss, gradient)``: the mean loss over the samples and its
gradient, a pytree like params. Hand-derived, automatic and numerical gradients all have this type."""


class Output(NamedTuple):
    """``value(g_L)`` is h_L. ``loss(g_L, y)`` is each sample's loss ``[...]``; its derivative by g_L is h_L - y."""

    value: Callable[[Array], Array]
    loss: Callable[[Array, Array], Array]


OUTPUTS: dict[str, Output] = {
    # The lecture's cross-entropy (e): one class of several; y is one-hot or any distribution.
    "softmax": Output(jax.nn.softmax, lambda g, y: -jnp.sum(y * jax.nn.log_softmax(g), axis=-1)),
    # Binary cross-entropy, -sum_k (y_k log h_k + (1 - y_k) log(1 - h_k)): several labels at once; y_k is 0 or 1.
    "sigmoid": Output(jax.nn.sigmoid, lambda g, y: jnp.sum(jax.nn.softplus(g) - y * g, axis=-1)),
    "identity": Output(lambda g: g, lambda g, y: jnp.sum((g - y) ** 2, axis=-1) / 2),  # squares; y: any numbers
}


def output_of(name: str) -> Output:
    """The row of the table of outputs; raises InputError for an unknown name."""
    return OUTPUTS[check_one_of("output", name, OUTPUTS)]


def cross_entropy(logits: Array, y: Array) -> Array:
    """Mean over samples of ``-sum_k y_k log softmax(logits)_k``, computed without taking the logarithm of zero.

    Args:
        logits: ``[..., n_classes]``.
        y: ``[..., n_classes]``, one-hot or any distribution.

    Returns:
        A scalar of the logits' dtype.

    Source: (e); lecture, step 2, loss.
    """
    return jnp.mean(OUTPUTS["softmax"].loss(logits, y))


def accuracy(logits: Array, labels: Array) -> Array:
    """Share of rows of ``logits [n, n_classes]`` with the largest at ``labels [n]``: a scalar of the logits' dtype.

    Among equal largest logits, the first counts. A row with a NaN counts as wrong.

    Source: (h); lecture, step 3.
    """
    # The same as argmax(logits) == labels (h). On a CPU, XLA's argmax would take longer than computing the logits.
    own = jnp.take_along_axis(logits, labels[:, None], axis=-1)
    earlier = jax.lax.broadcasted_iota(labels.dtype, logits.shape, 1) < labels[:, None]
    right = jnp.all((own > logits) | ((own == logits) & ~earlier), axis=-1)
    return jnp.mean(right, dtype=logits.dtype)
