"""The gradient that JAX derives; independent of the formulas in `jaxmlp.backprop` and `jaxmlp.second_order`."""

import functools

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.losses import GradientFunction, HessianVectorProduct, cross_entropy
from jaxmlp.network import ActivationName, Params, forward, hidden_activations, pre_activation

__all__ = ["automatic_deltas", "automatic_gradient", "automatic_hessian_vector"]


@functools.cache  # one object for one activation: training compiles anew for every new gradient function
def automatic_gradient(activation: ActivationName = "sigmoid") -> GradientFunction:
    """The `GradientFunction` that ``jax.value_and_grad`` makes of the forward pass and the loss.

    Shapes, dtypes and errors as `jaxmlp.hand_derived_gradient`.
    """

    def loss(params: Params, x: Array, y: Array) -> Array:
        return cross_entropy(forward(params, x, activation), y)

    return jax.value_and_grad(loss)


@functools.cache
def automatic_hessian_vector(activation: ActivationName = "sigmoid") -> HessianVectorProduct:
    """The `HessianVectorProduct` that JAX makes: the forward-mode derivative of the reverse-mode gradient.

    Shapes, dtypes and errors as `jaxmlp.hand_derived_hessian_vector`.
    """

    def loss(params: Params, x: Array, y: Array) -> Array:
        return cross_entropy(forward(params, x, activation), y)

    def product(params: Params, direction: Params, x: Array, y: Array) -> Params:
        return jax.jvp(lambda at: jax.grad(loss)(at, x, y), (params,), (direction,))[1]

    return product


def automatic_deltas(params: Params, x: Array, y: Array, activation: ActivationName = "sigmoid") -> tuple[Array, ...]:
    """Every layer's delta = dL/dg by automatic differentiation, through offsets of zero added to each g.

    Args:
        params: L layers of widths ``n_0 .. n_L``.
        x: ``[..., n_0]``.
        y: ``[..., n_L]``.
        activation: as in `jaxmlp.forward`.

    Returns:
        ``delta_1 .. delta_L``, each ``[..., n_l]``.

    Raises:
        InputError: an unknown activation or a wrong number of them.

    Source: the definition of delta, `jaxmlp.backprop`; none of its formulas.
    """
    values = [phi.value for phi in hidden_activations(activation, len(params) - 1)]

    def loss(offsets: tuple[Array, ...]) -> Array:
        h, logits = x, x
        for layer, (parameters, offset) in enumerate(zip(params, offsets, strict=True)):
            logits = pre_activation(parameters, h) + offset
            h = values[layer](logits) if layer < len(values) else logits
        return cross_entropy(logits, y)

    return jax.grad(loss)(tuple(jnp.zeros((*x.shape[:-1], len(layer.biases)), x.dtype) for layer in params))
