"""The Hessian-vector product derived by hand: Pearlmutter's R-operator on the equations of `jaxmlp.lecture.backprop`.

R{q} is the derivative of a quantity q when the parameters move along a direction: W_l by V_l, b_l by c_l. It obeys
the product and chain rules. Each equation (1) to (6) of `jaxmlp.lecture.backprop` gives one here:

    (8)  R{g_l}     = V_l h_(l-1) + W_l R{h_(l-1)} + c_l           R{h_0} = 0
    (9)  R{h_l}     = phi'(g_l) R{g_l}
    (10) R{delta_L} = R{h_L} / B, the derivative of the output along R{g_L}:
                      h_L * (R{g_L} - sum_k h_L,k R{g_L,k}) for softmax, h_L (1 - h_L) * R{g_L} for sigmoid,
                      R{g_L} for identity
    (11) R{dL/dW_l} = sum over samples of outer(R{delta_l}, h_(l-1)) + outer(delta_l, R{h_(l-1)})
    (12) R{dL/db_l} = sum over samples of R{delta_l}
    (13) R{delta_l} = (R{delta_(l+1)} W_(l+1) + delta_(l+1) V_(l+1)) * phi'(g_l)
                      + (delta_(l+1) W_(l+1)) * phi''(g_l) R{g_l}  phi', phi'' written in terms of h_l

R{dL/dW} and R{dL/db} are the product of the Hessian and the direction. Nothing here differentiates automatically.
"""

import functools

import jax.numpy as jnp
from jax import Array

from jaxmlp.gradient_check.functions.report import HessianVectorProduct
from jaxmlp.lecture.network import ActivationName, Layer, Params, forward_trace, hidden_activations

__all__ = ["hand_derived_hessian_vector"]

ALONG = {
    "softmax": lambda h, r_g: h * (r_g - jnp.sum(h * r_g, axis=-1, keepdims=True)),
    "sigmoid": lambda h, r_g: h * (1 - h) * r_g,
    "identity": lambda _, r_g: r_g,
}


@functools.cache
def hand_derived_hessian_vector(
    activation: ActivationName = "sigmoid", output: str = "softmax"
) -> HessianVectorProduct:
    """The hand-derived `HessianVectorProduct` of a network with this activation (one name, or one per hidden layer).

    The function takes parameters, a direction like them and one sample ``x [n_0], y [n_L]`` or a batch
    ``[B, n_0], [B, n_L]``, and returns the product, a pytree like the parameters, in their dtype. The second
    derivative of relu is taken as 0 everywhere, also at its kink.

    Raises:
        InputError: (when called) an unknown activation or output, a wrong number of activations.

    Source: equations (8) to (13) above; B. A. Pearlmutter, Fast exact multiplication by the Hessian, 1994.
    """

    def product(params: Params, direction: Params, x: Array, y: Array) -> Params:
        phi = hidden_activations(activation, len(params) - 1)
        _, h = forward_trace(params, x, activation, output)
        n_samples = y.size // y.shape[-1]
        samples = tuple(range(x.ndim - 1))  # the axes to sum over: none for one sample

        r_g: list[Array] = []
        r_h: list[Array] = [jnp.zeros_like(x)]
        for layer, (w, along) in enumerate(zip(params, direction, strict=True)):
            r_g.append(h[layer] @ along.weights.T + r_h[layer] @ w.weights.T + along.biases)  # (8)
            if layer < len(phi):
                r_h.append(phi[layer].derivative(h[layer + 1]) * r_g[layer])  # (9)

        delta = (h[-1] - y) / n_samples
        r_delta = ALONG[output](h[-1], r_g[-1]) / n_samples  # (10)
        result: list[Layer] = []
        for layer in reversed(range(len(params))):  # layer l is params[l - 1], fed by h[l - 1]
            r_dw = jnp.tensordot(r_delta, h[layer], (samples, samples))
            r_dw = r_dw + jnp.tensordot(delta, r_h[layer], (samples, samples))  # (11)
            result.append(Layer(r_dw, jnp.sum(r_delta, axis=samples)))  # (12)
            if layer > 0:
                w, v = params[layer].weights, direction[layer].weights
                slope, curvature = phi[layer - 1].derivative(h[layer]), phi[layer - 1].second_derivative(h[layer])
                r_delta = (r_delta @ w + delta @ v) * slope + (delta @ w) * curvature * r_g[layer - 1]  # (13)
                delta = (delta @ w) * slope
        return tuple(reversed(result))

    return product
