"""The gradient that JAX derives; independent of the formulas in `jaxmlp.backprop` and `jaxmlp.checking`."""

import functools

import jax

from jaxmlp.losses import GradientFunction, made_for, network_loss
from jaxmlp.network import ActivationName

__all__ = ["automatic_gradient"]


@functools.cache  # one object per network: training compiles again for every new function
def automatic_gradient(activation: ActivationName = "sigmoid", output: str = "softmax") -> GradientFunction:
    """The `GradientFunction` that ``jax.value_and_grad`` makes of the forward pass and the loss.

    Shapes, dtypes and errors as `jaxmlp.hand_derived_gradient`.
    """
    return made_for(activation, output, jax.value_and_grad(network_loss(activation, output)))
