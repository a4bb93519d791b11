"""The gradient derived by hand, one numbered equation per line (lecture, step 2, backward).

For a batch of B samples the loss is L = -(1/B) sum over samples of sum_k y_k log(h_L,k). With delta_l = dL/dg_l:

    (1)  g_l       = W_l h_(l-1) + b_l                  h_0 = x
    (2)  h_l       = phi(g_l)                           h_L = softmax(g_L)
    (3)  delta_L   = (h_L - y) / B                      softmax and cross-entropy together; the same for each of OUTPUTS
    (4)  dL/dW_l   = sum over samples of outer(delta_l, h_(l-1))
    (5)  dL/db_l   = sum over samples of delta_l
    (6)  delta_l   = (delta_(l+1) W_(l+1)) * phi'(g_l)  phi' written in terms of h_l

Nothing here differentiates automatically. Otherwise the comparison with `jaxmlp.gradients` would be no evidence.
"""

import functools

import jax.numpy as jnp
from jax import Array

from jaxmlp.losses import GradientFunction, made_for
from jaxmlp.network import ActivationName, Layer, Params, forward_trace, hidden_activations, output_of

__all__ = ["hand_derived_gradient"]


@functools.cache  # one object per network: training compiles again for every new function
def hand_derived_gradient(activation: ActivationName = "sigmoid", output: str = "softmax") -> GradientFunction:
    """The hand-derived `GradientFunction` of a network with this activation (one name, or one per hidden layer).

    The function takes one sample ``x [n_0], y [n_L]`` or a batch ``[B, n_0], [B, n_L]`` and returns the mean loss,
    a scalar, and the gradient, a pytree like the parameters. Both have the parameters' dtype.

    Raises:
        InputError: (when called) an unknown activation or output, a wrong number of activations.

    Source: equations (1) to (6) above.
    """

    def loss_and_gradient(params: Params, x: Array, y: Array) -> tuple[Array, Params]:
        phi = hidden_activations(activation, len(params) - 1)
        g, h = forward_trace(params, x, activation, output)  # (1), (2)
        samples = tuple(range(x.ndim - 1))  # the axes to sum over: none for one sample
        delta = (h[-1] - y) / (y.size // y.shape[-1])  # (3)
        gradient: list[Layer] = []
        for layer in reversed(range(len(params))):  # the lecture's layer l is params[l - 1], fed by h[l - 1]
            dw = jnp.tensordot(delta, h[layer], (samples, samples))  # (4)
            db = jnp.sum(delta, axis=samples)  # (5)
            gradient.append(Layer(dw, db))
            if layer > 0:
                delta = (delta @ params[layer].weights) * phi[layer - 1].derivative(h[layer])  # (6)
        return jnp.mean(output_of(output).loss(g[-1], y)), tuple(reversed(gradient))

    return made_for(activation, output, loss_and_gradient)
