"""The gradient that JAX derives; independent of the formulas in `backprop.py`."""

import dataclasses

import jax
from jax import Array

from jaxmlp.lecture.losses import GradientFunction
from jaxmlp.lecture.network import ActivationName, Params, network_loss

__all__ = ["AutomaticGradient", "automatic_gradient"]


@dataclasses.dataclass(frozen=True)
class AutomaticGradient:
    """The `GradientFunction` that ``jax.value_and_grad`` makes of the forward pass and the loss.

    Two of one network are equal, so training is compiled once for both. Shapes, dtypes and errors as
    `jaxmlp.hand_derived_gradient`.

    Attributes:
        activation: of the hidden layers, one name, or a tuple of one per hidden layer.
        output: of the last layer, with its loss.
    """

    activation: ActivationName = "sigmoid"
    output: str = "softmax"

    def __post_init__(self) -> None:
        network_loss(self.activation, self.output)  # an unknown output is said here

    def __call__(self, params: Params, x: Array, y: Array) -> tuple[Array, Params]:
        """The mean loss, and its gradient by the parameters."""
        return jax.value_and_grad(network_loss(self.activation, self.output))(params, x, y)


def automatic_gradient(activation: ActivationName = "sigmoid", output: str = "softmax") -> GradientFunction:
    """The `AutomaticGradient` of a network; raises InputError for an unknown output."""
    return AutomaticGradient(activation, output)
