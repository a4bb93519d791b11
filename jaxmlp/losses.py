"""Softmax cross-entropy on logits, and accuracy (lecture, steps 2 and 3)."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["GradientFunction", "HessianVectorProduct", "accuracy", "cross_entropy"]

GradientFunction: TypeAlias = Callable[[Any, Array, Array], tuple[Array, Any]]
"""``(params, x [..., n_in], y [..., n_classes]) -> (loss, gradient)``: the mean loss over the samples and its
gradient, a pytree like params. Hand-derived, automatic and numerical gradients all have this type."""
HessianVectorProduct: TypeAlias = Callable[[Any, Any, Array, Array], Any]
"""``(params, direction, x, y) -> H direction``: the second derivative of the mean loss along a direction; direction
and result are pytrees like params."""


def cross_entropy(logits: Array, y: Array) -> Array:
    """Mean over samples of ``-sum_k y_k log softmax(logits)_k``, computed without ever taking the log of a zero.

    Args:
        logits: ``[..., n_classes]``.
        y: ``[..., n_classes]``, one-hot or any distribution.

    Returns:
        A scalar of the logits' dtype.

    Source: lecture, step 2, loss; log-softmax is shifted by the largest logit.
    """
    return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(logits), axis=-1))


def accuracy(logits: Array, labels: Array) -> Array:
    """Share of rows ``logits [n, n_classes]`` whose largest is at ``labels [n]``: a scalar of the logits' dtype.

    Where several are largest, the first counts. A row with a NaN is wrong.
    """
    # As argmax, which on a CPU takes more than the logits themselves: NumPy's rule, told by comparisons.
    own = jnp.take_along_axis(logits, labels[:, None], axis=-1)
    earlier = jax.lax.broadcasted_iota(labels.dtype, logits.shape, 1) < labels[:, None]
    right = jnp.all((own > logits) | ((own == logits) & ~earlier), axis=-1)
    return jnp.mean(right, dtype=logits.dtype)
