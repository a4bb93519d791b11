"""The gradient derived by hand, one numbered equation per line (lecture, step 2, backward).

For a batch of B samples the loss is L = -(1/B) sum over samples of sum_k y_k log(h_L,k). With delta_l = dL/dg_l:

    (1)  g_l       = W_l h_(l-1) + b_l                  h_0 = x
    (2)  h_l       = phi(g_l)                           h_L = softmax(g_L)
    (3)  delta_L   = (h_L - y) / B                      softmax and cross-entropy together; the same for each of OUTPUTS
    (4)  dL/dW_l   = sum over samples of outer(delta_l, h_(l-1))
    (5)  dL/db_l   = sum over samples of delta_l
    (6)  delta_l   = (delta_(l+1) W_(l+1)) * phi'(g_l)  phi' written in terms of h_l

Nothing here differentiates automatically. Otherwise the comparison with `gradients.py` would be no evidence.
"""

import dataclasses

import jax.numpy as jnp
from jax import Array

from jaxmlp.lecture.losses import GradientFunction, output_of
from jaxmlp.lecture.network import ActivationName, Layer, Params, forward_trace, hashable, hidden_activations

__all__ = ["HandDerivedGradient", "hand_derived_gradient"]


@dataclasses.dataclass(frozen=True)
class HandDerivedGradient:
    """The hand-derived `GradientFunction` of a network.

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
        """The mean loss, and its gradient by the parameters.

        Args:
            params: L layers of widths ``n_0 .. n_L``.
            x: one sample ``[n_0]``, or a batch ``[B, n_0]``.
            y: ``[n_L]``, or ``[B, n_L]``.

        Returns:
            The loss, a scalar, and the gradient, a pytree like the parameters; both have the parameters' dtype.

        Raises:
            InputError: an unknown activation, a wrong number of activations.

        Source: equations (1) to (6) above.
        """
        g, h = forward_trace(params, x, self.activation, self.output)  # (1), (2); h[l] is h_l
        # The keys are the lecture's numbers of the layers, 1 .. L.
        W = {l: layer.weights for l, layer in enumerate(params, 1)}
        phi = dict(enumerate(hidden_activations(self.activation, len(params) - 1), 1))
        samples = tuple(range(x.ndim - 1))  # the axes to sum over: none for one sample
        B = y.size // y.shape[-1]
        delta = (h[-1] - y) / B  # (3)
        gradient: list[Layer] = []
        for l in range(len(params), 0, -1):
            dw = jnp.tensordot(delta, h[l - 1], (samples, samples))  # (4)
            db = jnp.sum(delta, axis=samples)  # (5)
            gradient.append(Layer(dw, db))
            if l > 1:
                delta = (delta @ W[l]) * phi[l - 1].derivative(h[l - 1])  # (6)
        return jnp.mean(output_of(self.output).loss(g[-1], y)), tuple(reversed(gradient))


def hand_derived_gradient(activation: ActivationName = "sigmoid", output: str = "softmax") -> GradientFunction:
    """The gradient derived by hand, for a network with this activation (one name, or one per hidden layer).

    The function takes parameters, and one sample ``x [n_0], y [n_L]`` or a batch ``[B, n_0], [B, n_L]``. It returns the
    mean loss, a scalar, and the gradient, a pytree like the parameters. Both have the parameters' dtype.

    Raises:
        InputError: an unknown output; when the function is called, an unknown activation or a wrong number of
            activations.

    Source: equations (1) to (6) above.
    """
    return HandDerivedGradient(activation, output)
