"""The gradient that JAX derives; independent of the formulas in `jaxmlp.backprop`."""

import functools

import jax
from jax import Array

from jaxmlp.losses import GradientFunction, cross_entropy
from jaxmlp.network import ActivationName, Params, forward

__all__ = ["automatic_gradient"]


@functools.cache  # one object for one activation: training compiles anew for every new gradient function
def automatic_gradient(activation: ActivationName = "sigmoid") -> GradientFunction:
    """The `GradientFunction` that ``jax.value_and_grad`` makes of the forward pass and the loss.

    Shapes, dtypes and errors as `jaxmlp.hand_derived_gradient`; a fourth argument, the masks of
    `jaxmlp.forward`, may follow.
    """

    def loss(params: Params, x: Array, y: Array, masks: tuple[Array, ...] | None = None) -> Array:
        return cross_entropy(forward(params, x, activation, masks), y)

    return jax.value_and_grad(loss)
