"""The network: parameters as a pytree, the table of activations, the forward pass and its loss (lecture, step 2).

    (1)  g_l = W_l h_(l-1) + b_l          h_0 = x, for the layers l = 1 .. L
    (2)  h_l = phi(g_l)                   h_L = softmax(g_L), or another of OUTPUTS

phi is the activation of the layer, a row of ACTIVATIONS.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.checks import InputError, check_kind, check_one_of
from jaxmlp.lecture.losses import output_of
from jaxmlp.showing import fields, params_page, shown

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "ActivationName",
    "Activations",
    "Layer",
    "Loss",
    "Params",
    "Trace",
    "forward",
    "forward_trace",
    "hashable",
    "hidden_activations",
    "network_loss",
    "pre_activation",
]


@shown(fields, lambda layer: params_page((layer,)))
class Layer(NamedTuple):
    """One layer: ``weights [n_out, n_in]`` and ``biases [n_out]``, of one dtype."""

    weights: Array
    biases: Array


Params: TypeAlias = tuple[Layer, ...]
Loss: TypeAlias = Callable[[Params, Array, Array], Array]
"""``(params, x [..., n_in], y [..., n_classes]) -> loss``, a scalar."""
ActivationName: TypeAlias = str | tuple[str, ...]
"""One name for all hidden layers, or one per hidden layer."""


class Activation(NamedTuple):
    """``value(g)`` gives h; ``derivative(h)`` and ``second_derivative(h)`` give dh/dg and d2h/dg2 in terms of h."""

    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    second_derivative: Callable[[Array], Array]


Activations: TypeAlias = ActivationName | Activation | tuple[Activation, ...]  # by name, or rows of the table

ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(lambda g: g, jnp.ones_like, jnp.zeros_like),
    "sigmoid": Activation(jax.nn.sigmoid, lambda h: h * (1 - h), lambda h: h * (1 - h) * (1 - 2 * h)),
    "tanh": Activation(jnp.tanh, lambda h: 1 - h * h, lambda h: -2 * h * (1 - h * h)),
    # At the kink the derivative is 0, as in jax.nn.relu.
    "relu": Activation(jax.nn.relu, lambda h: (h > 0).astype(h.dtype), jnp.zeros_like),
}


@shown(fields)
class Trace(NamedTuple):
    """Every quantity of a forward pass; ``[...]`` is the batch shape of ``x``.

    Attributes:
        pre_activations: ``g_1 .. g_L``, each ``[..., n_l]``; the last are the logits.
        activations: ``h_0 .. h_L``, each ``[..., n_l]``; ``h_0`` is ``x``, ``h_L`` is the output: probabilities.
    """

    pre_activations: tuple[Array, ...]
    activations: tuple[Array, ...]


def hashable(activation: ActivationName | list[str]) -> ActivationName:
    """``activation``; a list of names becomes a tuple, since what a program is compiled for must be hashable."""
    return tuple(activation) if isinstance(activation, list) else activation


def hidden_activations(activation: Activations, n_hidden: int) -> tuple[Activation, ...]:
    """The rows of the activation table for ``n_hidden`` hidden layers, from one name or row, or one per hidden layer.

    Raises:
        InputError: an unknown name, or a number of names other than the number of hidden layers.
    """
    one = isinstance(activation, (str, Activation))
    check_kind("activation", activation, (str, tuple, list), f"one of {', '.join(ACTIVATIONS)}, or one per layer")
    rows: list[Activation] = []
    for row in (activation,) if one else activation:
        rows.append(row if isinstance(row, Activation) else ACTIVATIONS[check_one_of("activation", row, ACTIVATIONS)])
    rows *= n_hidden if one else 1
    if len(rows) != n_hidden:
        raise InputError(f"{len(rows)} activations given, expected one, or one for each of {n_hidden} hidden layers")
    return tuple(rows)


def pre_activation(layer: Layer, h: Array) -> Array:
    """``g = W h + b`` for ``h [..., n_in]``; returns ``[..., n_out]``."""
    return jnp.einsum("oi,...i->...o", layer.weights, h) + layer.biases  # (1)


def forward(params: Params, x: Array, activation: Activations = "sigmoid") -> Array:
    """The logits of the network, for one sample or any batch of samples; a pure function.

    Args:
        params: L layers of widths ``n_0 .. n_L``.
        x: ``[..., n_0]``, the dtype of the parameters.
        activation: of the hidden layers: a name of `ACTIVATIONS`, an `Activation`, or a tuple of one per hidden layer.

    Returns:
        Logits ``g_L [..., n_L]``.

    Raises:
        InputError: an unknown activation, or a wrong number of activations.

    Source: lecture, step 2, forward.
    """
    return forward_trace(params, x, activation).pre_activations[-1]


def forward_trace(params: Params, x: Array, activation: Activations = "sigmoid", output: str = "softmax") -> Trace:
    """Every layer's pre-activation g and activation h; arguments and errors as `forward`; ``output``: of `OUTPUTS`.

    Source: equations (1) and (2) above; lecture, step 2.
    """
    values = [phi.value for phi in hidden_activations(activation, len(params) - 1)]
    g: list[Array] = []
    h: list[Array] = [x]
    for layer, phi in zip(params, [*values, output_of(output).value], strict=True):
        g.append(pre_activation(layer, h[-1]))  # (1)
        h.append(phi(g[-1]))  # (2)
    return Trace(tuple(g), tuple(h))


def network_loss(activation: Activations = "sigmoid", output: str = "softmax") -> Loss:
    """The mean loss (e) as a function of the parameters: the logits of `forward`, then the output's loss."""
    each = output_of(output).loss

    def loss(params: Params, x: Array, y: Array) -> Array:
        return jnp.mean(each(forward(params, x, activation), y))

    return loss
