"""Classic mistakes in a backward pass, planted one at a time in a correct one: what a gradient check has to catch."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxmlp import ACTIVATIONS, Layer, Params, forward_trace
from jaxmlp.lecture import GradientFunction, cross_entropy

__all__ = ["MISTAKES", "Backward", "Mistake", "applies", "expected_layer", "planted_gradient"]


class Backward(NamedTuple):
    """The state of a backward pass at the lecture's layer ``l`` (``params[l - 1]``); all arrays have a batch axis."""

    l: int  # noqa: E741 - the lecture's letter
    params: Params
    g: tuple[Array, ...]
    h: tuple[Array, ...]
    y: Array
    delta: Array
    names: tuple[str, ...]

    def slope(self, h: Array, name: str | None = None) -> Array:
        """Phi' of layer l, computed from h."""
        return ACTIVATIONS[name or self.names[self.l - 1]].derivative(h)


Step = Callable[[Backward], Any]


class Mistake(NamedTuple):
    """A mistake: what it replaces in the backward pass, where it applies, and what a diagnosis should say of it.

    Attributes:
        words: what is wrong.
        layer: the first wrong layer, counted back from the last: 0 is layer L, 1 is layer L-1; -1 is layer 1.
        quantity: the first wrong quantity: "delta", "dL/dW" or "dL/db".
        says: words that the diagnosis must contain.
        output: replaces delta_L; gets the right one.
        hidden: replaces delta_l of a hidden layer l; gets delta_(l+1).
        dw: replaces dL/dW_l.
        db: replaces dL/db_l.
        square: whether it can only be made where all layers have the same width.
        activations: the hidden layers' activations for which it changes the gradient.
        hidden_layers: the least number of hidden layers that it needs.
    """

    words: str
    layer: int
    quantity: str
    says: str
    output: Step | None = None
    hidden: Step | None = None
    dw: Step | None = None
    db: Step | None = None
    square: bool = False
    activations: tuple[str, ...] = tuple(ACTIVATIONS)
    hidden_layers: int = 1


def _n(at: Backward) -> int:
    return len(at.y)


def _passed(at: Backward) -> Array:
    return at.delta @ at.params[at.l].weights


def _dw(at: Backward) -> Array:
    return at.delta.T @ at.h[at.l - 1]


def _one_off(at: Backward) -> Array:
    dw = _dw(at)
    return dw.at[-1, 0].multiply(1.001) if at.l == 1 else dw


def _half(at: Backward) -> Array:
    return (_passed(at) * at.slope(at.h[at.l])).astype(jnp.float16).astype(at.y.dtype)


def _updated(at: Backward) -> Array:
    """delta_l through weights that are already updated, with the lecture's learning rate."""
    return (at.delta @ (at.params[at.l].weights - 0.2 * at.delta.T @ at.h[at.l])) * at.slope(at.h[at.l])


def _jacobian_again(at: Backward) -> Array:
    return at.h[-1] * (at.delta - jnp.sum(at.h[-1] * at.delta, axis=-1, keepdims=True))


CURVED = tuple(name for name, phi in ACTIVATIONS.items() if phi.second_derivative is not jnp.zeros_like)
BENT = tuple(name for name in ACTIVATIONS if name != "identity")
MISTAKES: dict[str, Mistake] = {
    "missing-derivative": Mistake("delta without phi'", 1, "delta", "misses the derivative", hidden=_passed,
                                  activations=BENT),
    "derivative-at-g": Mistake("phi' at g, with the formula written for h", 1, "delta", "phi' at g",
                               hidden=lambda at: _passed(at) * at.slope(at.g[at.l - 1]), activations=CURVED),
    "derivative-wrong-layer": Mistake("phi' at the layer below", 1, "delta", "the layer below", square=True,
                                      hidden=lambda at: _passed(at) * at.slope(at.h[at.l - 1]), activations=BENT),
    "derivative-twice": Mistake("phi' applied twice", 1, "delta", "applied twice", activations=CURVED,
                                hidden=lambda at: _passed(at) * at.slope(at.h[at.l]) ** 2),
    "derivative-of-sigmoid": Mistake("phi' of sigmoid, the network has tanh", 1, "delta", "derivative of sigmoid",
                                     hidden=lambda at: _passed(at) * at.slope(at.h[at.l], "sigmoid"),
                                     activations=("tanh",)),
    "transposed-weights": Mistake("delta through W transposed", 1, "delta", "transposed", square=True,
                                  hidden=lambda at: (at.delta @ at.params[at.l].weights.T) * at.slope(at.h[at.l])),
    "updated-weights": Mistake("W updated before delta passes through it", 1, "delta", "after its update",
                               hidden=_updated),
    "delta-not-passed-on": Mistake("hidden layers get no delta", 1, "delta", "not passed on",
                                   hidden=lambda at: jnp.zeros_like(at.h[at.l])),
    "weights-left-out": Mistake("delta is not multiplied by W", 1, "delta", "not passed through W", square=True,
                                hidden=lambda at: at.delta * at.slope(at.h[at.l])),
    "half-precision": Mistake("delta cast to float16 in the middle", 1, "delta", "float16", hidden=_half),
    "sign-flipped": Mistake("y - h instead of h - y", 0, "delta", "sign flipped", output=lambda at: -at.delta),
    "softmax-twice": Mistake("delta_L times h(1-h)", 0, "delta", "softmax applied twice",
                             output=lambda at: at.delta * at.h[-1] * (1 - at.h[-1])),
    "softmax-jacobian-twice": Mistake("delta_L times the Jacobian of softmax", 0, "delta", "softmax applied twice",
                                      output=_jacobian_again),
    "sum-not-mean": Mistake("a sum over the batch instead of the mean", 0, "delta", "the batch size",
                            output=lambda at: at.delta * _n(at)),
    "labels-shifted": Mistake("labels shifted by one", 0, "delta", "labels shifted by +1",
                              output=lambda at: (at.h[-1] - jnp.roll(at.y, 1, axis=-1)) / _n(at)),
    "samples-shifted": Mistake("each sample has the label of the one before", 0, "delta", "shifted by +1 (samples)",
                               output=lambda at: (at.h[-1] - jnp.roll(at.y, 1, axis=0)) / _n(at)),
    "logits-for-probabilities": Mistake("g - y instead of softmax(g) - y", 0, "delta", "instead of softmax",
                                        output=lambda at: (at.g[-1] - at.y) / _n(at)),
    "biases-forgotten": Mistake("biases get no gradient", 0, "dL/db", "forgotten",
                                db=lambda at: jnp.zeros_like(at.delta[0])),
    "wrong-activation": Mistake("dL/dW_l with h_l instead of h_(l-1)", 0, "dL/dW", "uses the activation", square=True,
                                dw=lambda at: at.delta.T @ at.h[at.l]),
    "wrong-previous-activation": Mistake("dL/dW_l with h_(l-2) instead of h_(l-1)", 0, "dL/dW", "uses the activation",
                                         dw=lambda at: at.delta.T @ at.h[max(at.l - 2, 0)], square=True),
    "pre-activation": Mistake("dL/dW_l with g_(l-1) instead of h_(l-1)", 0, "dL/dW", "pre-activation", activations=BENT,
                              dw=lambda at: at.delta.T @ (at.h[0] if at.l == 1 else at.g[at.l - 2])),
    "transposed-gradient": Mistake("dL/dW transposed", 0, "dL/dW", "transposed", dw=lambda at: _dw(at).T, square=True),
    "last-sample-missing": Mistake("the sum over the batch ends one sample early", 0, "dL/dW", "misses the last sample",
                                   dw=lambda at: at.delta[:-1].T @ at.h[at.l - 1][:-1]),
    "one-element": Mistake("one element of dL/dW_1 off by 0.1 %", -1, "dL/dW", "1.001 times", dw=_one_off),
}  # fmt: skip


def applies(name: str, sizes: tuple[int, ...], activation: tuple[str, ...]) -> bool:
    """Whether this mistake can be made in a network of these sizes and activations, and changes its gradient."""
    mistake = MISTAKES[name]
    square = all(a == b for a, b in itertools.pairwise(sizes))
    known = all(phi in mistake.activations for phi in activation)
    return len(activation) >= mistake.hidden_layers and known and (square or not mistake.square)


def expected_layer(name: str, n_layers: int) -> int:
    """The number of the first wrong layer, as the lecture counts: from 1 to L."""
    back = MISTAKES[name].layer
    return 1 if back < 0 else n_layers - back


def planted_gradient(name: str | None, activation: tuple[str, ...]) -> GradientFunction:
    """A `GradientFunction` with the mistake ``name`` of `MISTAKES` in it; with None, a correct one.

    ``activation`` names one for each hidden layer; the function takes a batch ``x [B, n_0], y [B, n_L]``.
    """
    mistake = MISTAKES[name] if name else Mistake("", 0, "", "")
    output = mistake.output or (lambda at: at.delta)
    hidden = mistake.hidden or (lambda at: _passed(at) * at.slope(at.h[at.l]))
    weights, biases = mistake.dw or _dw, mistake.db or (lambda at: jnp.sum(at.delta, axis=0))

    def loss_and_gradient(params: Params, x: Array, y: Array) -> tuple[Array, Params]:
        g, h = forward_trace(params, x, activation)
        at = Backward(len(params), params, g, h, y, (h[-1] - y) / len(y), activation)
        at = at._replace(delta=output(at))
        gradient = [Layer(weights(at), biases(at))]
        for layer in reversed(range(1, len(params))):
            at = at._replace(l=layer)
            at = at._replace(delta=hidden(at))
            gradient.append(Layer(weights(at), biases(at)))
        return cross_entropy(g[-1], y), tuple(reversed(gradient))

    return loss_and_gradient
