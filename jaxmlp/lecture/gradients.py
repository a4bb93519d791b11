"""The gradient that JAX derives; independent of the formulas in `backprop.py`."""

import dataclasses

import jax
from jax import Array

from jaxmlp.lecture.losses import GradientFunction, output_of
from jaxmlp.lecture.network import ActivationName, Params, hashable, network_loss

__all__ = ["AutomaticGradient", "automatic_gradient"]


@dataclasses.dataclass(frozen=True)
class AutomaticGradient:
    """The `GradientFunction` of a network by ``jax.value_and_grad`` of its loss.

    Two objects for the same network are equal, so training is compiled once for both.

    Attributes:
        activation: of the hidden layers, one name, or a tuple of one per hidden layer.
        output: of the last layer, with its loss.
    """

    activation: ActivationName = "sigmoid"
    output: str = "softmax"

    def __post_init__(self) -> None:
        output_of(self.output)
        object.__setattr__(self, "activation", hashable(self.activation))

    def __call__(self, params: Params, x: Array, y: Array) -> tuple[Array, Params]:
        """The mean loss, and its gradient by the parameters; arguments and results as `HandDerivedGradient`."""
        return jax.value_and_grad(network_loss(self.activation, self.output))(params, x, y)


def automatic_gradient(activation: ActivationName = "sigmoid", output: str = "softmax") -> GradientFunction:
    """The gradient that JAX derives, for a network with this activation (one name, or one per hidden layer).

    Shapes, dtypes and errors as `jaxmlp.hand_derived_gradient`.

    Source: ``jax.value_and_grad`` of the forward pass and the loss.
    """
    return AutomaticGradient(activation, output)
