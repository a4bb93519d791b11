"""Common networks in plain NumPy: recognition tries them, and diagnosis computes with them.

    g_l = W_l h_(l-1) + b_l,   h_l = phi_l(g_l),   loss = scale * sum(cost(h_L, y)) + weight_penalty sum |W_l|^2
                                                          + bias_penalty sum |b_l|^2 + offset

Everything is float64, weights are ``[n_out, n_in]``, one row is one sample. Nothing here differentiates
automatically and nothing is taken from `jaxmlp.lecture.backprop`: the formulas are written a second time.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ACTIVATIONS",
    "HEADS",
    "Floats",
    "Form",
    "Pass",
    "cost",
    "forward",
    "leaf_gradients",
    "output_delta",
    "with_output",
]

Floats: TypeAlias = NDArray[Any]


class Activation(NamedTuple):
    """``value`` is phi(g); ``slope`` is its derivative, written in terms of h.

    ``curved``: whether the derivative varies within a piece of the function; false if the pieces are straight.
    """

    value: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]
    curved: bool = True


def _leaky(a: float) -> Activation:
    return Activation(lambda g: np.where(g > 0, g, a * g), lambda h: np.where(h > 0, 1.0, a), False)


ACTIVATIONS: dict[str, Activation] = {
    "sigmoid": Activation(lambda g: 0.5 * (1 + np.tanh(g / 2)), lambda h: h * (1 - h)),
    "tanh": Activation(np.tanh, lambda h: 1 - h * h),
    "relu": Activation(lambda g: np.maximum(g, 0), lambda h: np.where(h > 0, 1.0, 0.0), False),
    "identity": Activation(lambda g: g, np.ones_like, False),
    **{f"leaky relu {a:g}": _leaky(a) for a in (0.01, 0.1, 0.2)},
}
# The possible ends of a network: an activation, and the cost that is summed over outputs and samples.
HEADS = (
    ("softmax", "cross-entropy"), ("sigmoid", "binary cross-entropy"), ("sigmoid", "squares"), ("identity", "squares"),
    ("softmax", "squares"), ("tanh", "squares"), ("relu", "squares"), ("sigmoid", "cross-entropy"),
)  # fmt: skip


class Form(NamedTuple):
    """A network and its loss, without its parameters.

    Attributes:
        hidden: the activation of each hidden layer, of `ACTIVATIONS`.
        output: "softmax" or one of `ACTIVATIONS`.
        loss: "cross-entropy", "binary cross-entropy" or "squares".
        epsilon: added to the argument of each logarithm.
        scale: factor of the sum over samples and outputs; 1/N for a mean over N samples.
        weight_penalty: factor of the sum of the squared weights.
        bias_penalty: the same for the biases.
        offset: a constant.
    """

    hidden: tuple[str, ...]
    output: str
    loss: str
    epsilon: float = 0.0
    scale: float = 1.0
    weight_penalty: float = 0.0
    bias_penalty: float = 0.0
    offset: float = 0.0


class Pass(NamedTuple):
    """A forward pass of L layers on N samples: ``g_1 .. g_L`` and ``h_0 .. h_L``, each ``[N, n_l]``."""

    g: list[Floats]
    h: list[Floats]


def softmax(g: Floats) -> Floats:
    """Softmax over the last axis, shifted by its maximum."""
    shares = np.exp(g - g.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


def forward(form: Form, weights: list[Floats], biases: list[Floats], x: Floats) -> Pass:
    """The forward pass of ``x [N, n_0]``."""
    g: list[Floats] = []
    h = [x]
    for w, b, name in zip(weights, biases, [*form.hidden, form.output], strict=True):
        g.append(h[-1] @ w.T + b)
        h.append(softmax(g[-1]) if name == "softmax" else ACTIVATIONS[name].value(g[-1]))
    return Pass(g, h)


def with_output(form: Form, passed: Pass) -> Pass:
    """``passed`` with this form's activation at the output instead of another's."""
    g = passed.g[-1]
    output = softmax(g) if form.output == "softmax" else ACTIVATIONS[form.output].value(g)
    return passed._replace(h=[*passed.h[:-1], output])


def cost(form: Form, passed: Pass, y: Floats) -> float:
    """The loss before its scale and penalties: a sum over samples and outputs; ``y [N, n_L]``."""
    g, h, e = passed.g[-1], passed.h[-1], form.epsilon
    if form.loss == "squares":
        return float(np.sum((h - y) ** 2))
    if form.loss == "cross-entropy":
        if e or form.output != "softmax":
            return -float(np.sum(y * np.log(h + e)))
        shifted = g - g.max(axis=-1, keepdims=True)
        return float(np.sum(y * (np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True)) - shifted)))
    if e:
        return -float(np.sum(y * np.log(h + e) + (1 - y) * np.log(1 - h + e)))
    return float(np.sum(y * np.logaddexp(0, -g) + (1 - y) * np.logaddexp(0, g)))


def slope(form: Form, layer: int, h: Floats) -> Floats:
    """Phi' of layer ``layer`` (1..L; not of softmax) at any ``h``."""
    return ACTIVATIONS[[*form.hidden, form.output][layer - 1]].slope(h)


def output_delta(form: Form, passed: Pass, y: Floats) -> Floats:
    """delta_L = dL/dg_L ``[N, n_L]``, with the scale."""
    h, e = passed.h[-1], form.epsilon
    if not e and (form.output, form.loss) == ("softmax", "cross-entropy"):
        return form.scale * (h * y.sum(axis=-1, keepdims=True) - y)
    if not e and form.loss == "binary cross-entropy":
        return form.scale * (h - y)
    return form.scale * through_output(form, h, cost_by_output(form, h, y))


def cost_by_output(form: Form, h: Floats, y: Floats) -> Floats:
    """The derivative of `cost` by h_L."""
    e = form.epsilon
    with np.errstate(divide="ignore", invalid="ignore"):
        if form.loss == "squares":
            return 2 * (h - y)
        both = (1 - y) / (1 - h + e) if form.loss == "binary cross-entropy" else 0.0
        return np.asarray(both - y / (h + e))


def through_output(form: Form, h: Floats, by_output: Floats) -> Floats:
    """From a derivative by h_L to the derivative by g_L."""
    if form.output == "softmax":
        return h * (by_output - np.sum(h * by_output, axis=-1, keepdims=True))
    return by_output * ACTIVATIONS[form.output].slope(h)


def leaf_gradients(
    form: Form, weights: list[Floats], biases: list[Floats], passed: Pass, y: Floats
) -> tuple[list[Floats], list[tuple[Floats, Floats]]]:
    """Backpropagation: ``delta_1 .. delta_L``, and dL/dW, dL/db of each layer."""
    deltas = [output_delta(form, passed, y)]
    for layer in reversed(range(1, len(weights))):
        deltas.insert(0, (deltas[0] @ weights[layer]) * slope(form, layer, passed.h[layer]))
    return deltas, [
        (
            delta.T @ passed.h[layer] + 2 * form.weight_penalty * weights[layer],
            delta.sum(axis=0) + 2 * form.bias_penalty * biases[layer],
        )
        for layer, delta in enumerate(deltas)
    ]
