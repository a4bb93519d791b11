"""The Hessian-vector product and the deltas that JAX derives; independent of the hand-derived formulas."""

import functools

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.gradient_check.functions.report import HessianVectorProduct
from jaxmlp.lecture.losses import output_of
from jaxmlp.lecture.network import ActivationName, Params, hidden_activations, network_loss, pre_activation

__all__ = ["automatic_deltas", "automatic_hessian_vector"]


@functools.cache
def automatic_hessian_vector(activation: ActivationName = "sigmoid", output: str = "softmax") -> HessianVectorProduct:
    """The `HessianVectorProduct` that JAX makes: the forward-mode derivative of the reverse-mode gradient.

    Shapes, dtypes and errors as `jaxmlp.gradient_check.hand_derived_hessian_vector`.
    """
    loss = network_loss(activation, output)

    def product(params: Params, direction: Params, x: Array, y: Array) -> Params:
        return jax.jvp(lambda at: jax.grad(loss)(at, x, y), (params,), (direction,))[1]

    return product


def automatic_deltas(
    params: Params, x: Array, y: Array, activation: ActivationName = "sigmoid", output: str = "softmax"
) -> tuple[Array, ...]:
    """Every layer's delta = dL/dg by automatic differentiation with respect to a zero that is added to each g.

    Args:
        params: L layers of widths ``n_0 .. n_L``.
        x: ``[..., n_0]``.
        y: ``[..., n_L]``.
        activation: as in `jaxmlp.forward`.
        output: a name of `jaxmlp.OUTPUTS`.

    Returns:
        ``delta_1 .. delta_L``, each ``[..., n_l]``.

    Raises:
        InputError: an unknown activation or output, a wrong number of activations.

    Source: the definition of delta, `jaxmlp.lecture.backprop`; none of its formulas.
    """
    values = [phi.value for phi in hidden_activations(activation, len(params) - 1)]

    def loss(offsets: tuple[Array, ...]) -> Array:
        h, logits = x, x
        for layer, (parameters, offset) in enumerate(zip(params, offsets, strict=True)):
            logits = pre_activation(parameters, h) + offset
            h = values[layer](logits) if layer < len(values) else logits
        return jnp.mean(output_of(output).loss(logits, y))

    return jax.grad(loss)(tuple(jnp.zeros((*x.shape[:-1], len(layer.biases)), x.dtype) for layer in params))
