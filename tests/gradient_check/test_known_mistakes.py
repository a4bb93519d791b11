"""A wrong backward pass, made by NumPy's formulas: what the diagnosis says of each quantity that can be wrong in it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from jaxmlp import Layer, Params
from jaxmlp.gradient_check import Finding, compare_backward
from jaxmlp.gradient_check.diagnosis.looks import close
from jaxmlp.lecture.network import network_loss
from tests.helpers import random_batch, random_params, rejects

Floats = NDArray[Any]
SIZES = (3, 4, 4, 4, 2)
PARAMS, (X, Y) = random_params(0, SIZES), random_batch(1, SIZES, (5,))
W = [np.asarray(layer.weights) for layer in PARAMS]


class At(NamedTuple):
    """The backward pass at a layer: everything as the lecture numbers it, ``w[l]`` and ``g[l]`` of layer l."""

    w: list[Floats]
    g: list[Floats]
    h: list[Floats]
    y: Floats
    above: Floats
    right: Floats


Wrong = Callable[[At], Floats]


def backward(activation: str, layer: int, quantity: str, wrong: Wrong) -> Any:
    """A gradient function whose ``quantity`` of ``layer`` is wrong, and what follows from it below."""
    g, h = [np.zeros(0)], [np.asarray(X)]
    for weights, biases in PARAMS:
        g.append(h[-1] @ np.asarray(weights).T + np.asarray(biases))
        h.append(np.tanh(g[-1]) if activation == "tanh" else 1 / (1 + np.exp(-g[-1])))
    shares = np.exp(g[-1])
    h[-1] = shares / shares.sum(axis=1, keepdims=True)
    y, w, gradient = np.asarray(Y), [np.zeros(0), *W], list[Layer]()
    above = delta = np.zeros(0)
    for l in (4, 3, 2, 1):  # noqa: E741 - the lecture's letter
        slope = 1 - h[l] ** 2 if activation == "tanh" else h[l] * (1 - h[l])
        delta = (h[4] - y) / 5 if l == 4 else (above @ w[l + 1]) * slope
        if (l, quantity) == (layer, "delta"):
            delta = wrong(At(w, g, h, y, above, delta))
        made = {"dL/dW": delta.T @ h[l - 1], "dL/db": delta.sum(axis=0)}
        if l == layer and quantity in made:
            made[quantity] = wrong(At(w, g, h, y, above, delta))
        gradient.insert(0, Layer(*map(jnp.asarray, made.values())))
        above = delta
    return returning(tuple(gradient), activation)


def returning(gradient: Any, activation: str = "tanh") -> Any:
    """A gradient function of the right loss and of ``gradient``, whatever the parameters."""
    loss = network_loss(activation)
    return lambda params, x, y: (loss(params, x, y), gradient)


def without(sample: int, delta: Floats) -> Floats:
    left = delta.copy()
    left[sample] = 0
    return left


def single_precision(gradient: Params) -> Params:
    return jax.tree.map(lambda leaf: leaf.astype("float32"), gradient)


def slope(h: Floats) -> Floats:
    return 1 - h**2


OUTPUT: dict[str, Wrong] = {
    "does not subtract the labels": lambda at: at.h[4] / 5,
    "misses the derivative of softmax": lambda at: -at.y / at.h[4] / 5,
    "is zero": lambda at: 0 * at.right,
    "leaves out the first sample": lambda at: without(0, at.right),
    "leaves out the last sample": lambda at: without(-1, at.right),
    "uses the labels shifted by -1 (samples)": lambda at: (at.h[4] - np.roll(at.y, -1, axis=0)) / 5,
    "is divided by the batch size twice": lambda at: at.right / 5,
    "is scaled by 2, the number of classes": lambda at: at.right * 2,
    "is scaled by 0.75": lambda at: at.right * 0.75,
}
HIDDEN: dict[str, Wrong] = {
    "misses the derivative of the activation, phi'(g_2)": lambda at: at.above @ at.w[3],
    "takes phi' at g_2 with the formula written for h_2": lambda at: (at.above @ at.w[3]) * slope(at.g[2]),
    "takes for phi' h(1-h), the derivative of sigmoid": lambda at: (at.above @ at.w[3]) * at.h[2] * (1 - at.h[2]),
    "has phi'(g_2) applied twice": lambda at: (at.above @ at.w[3]) * slope(at.h[2]) ** 2,
    "is zero: delta of layer 3 is not passed on": lambda at: 0 * at.right,
    "is not passed through W of layer 3": lambda at: at.above * slope(at.h[2]),
    "takes phi' at h_3, the layer above, instead of h_2": lambda at: (at.above @ at.w[3]) * slope(at.h[3]),
    "takes phi' at h_1, the layer below, instead of h_2": lambda at: (at.above @ at.w[3]) * slope(at.h[1]),
    "takes for phi' that of relu": lambda at: (at.above @ at.w[3]) * (at.h[2] > 0),
    "takes for phi' h_2 itself": lambda at: (at.above @ at.w[3]) * at.h[2],
    "is that of layer 3, not passed through W and phi'": lambda at: at.above,
    "goes through W of layer 2 instead of layer 3": lambda at: (at.above @ at.w[2]) * slope(at.h[2]),
    "goes through W of layer 3 transposed": lambda at: (at.above @ at.w[3].T) * slope(at.h[2]),
    "is cast to float32 on the way": lambda at: at.right.astype("float32").astype("float64"),
    "is cast to bfloat16 on the way": lambda at: np.asarray(jnp.asarray(at.right, "bfloat16").astype("float64")),
    "is scaled by 0.75": lambda at: at.right * 0.75,
    "goes through W of layer 3 after its update (learning rate 0.3)": lambda at: (
        (at.above @ (at.w[3] - 0.3 * at.above.T @ at.h[2])) * slope(at.h[2])
    ),
}
WEIGHTS: dict[str, Wrong] = {
    "is zero": lambda at: 0 * at.w[2],
    "is transposed": lambda at: (at.right.T @ at.h[1]).T,
    "uses the activation of layer 2 instead of layer 1": lambda at: at.right.T @ at.h[2],
    "uses the activation of layer 3 instead of layer 1": lambda at: at.right.T @ at.h[3],
    "uses the pre-activation g of layer 1 instead of its activation h": lambda at: at.right.T @ at.g[1],
    "misses the first sample": lambda at: at.right[1:].T @ at.h[1][1:],
    "misses the last sample": lambda at: at.right[:-1].T @ at.h[1][:-1],
}
BIASES: dict[str, Wrong] = {
    "is zero: the biases are forgotten": lambda at: 0 * at.right[0],
    "misses the first sample": lambda at: at.right[1:].sum(axis=0),
    "misses the last sample": lambda at: at.right[:-1].sum(axis=0),
    "is that of the first sample alone": lambda at: at.right[0],
}
PLACES = [(4, "delta", OUTPUT), (2, "delta", HIDDEN), (2, "dL/dW", WEIGHTS), (2, "dL/db", BIASES)]


def found(function: Any, activation: str = "tanh", tolerance: float | None = None) -> tuple[Finding, ...]:
    return compare_backward(function, PARAMS, X, Y, activation, tolerance).findings


@pytest.mark.parametrize(("layer", "quantity", "mistakes"), PLACES, ids=["output", "hidden", "weights", "biases"])
def test_one_mistake_is_one_finding_with_its_layer_its_quantity_and_its_words(
    layer: int, quantity: str, mistakes: dict[str, Wrong]
) -> None:
    for words, wrong in mistakes.items():
        assert found(backward("tanh", layer, quantity, wrong)) == (Finding(layer, quantity, words),)


def test_the_derivative_of_another_activation_is_named() -> None:
    def tanh_in_sigmoid(at: At) -> Floats:
        return (at.above @ at.w[3]) * slope(at.h[2])

    words = "takes for phi' 1-h^2, the derivative of tanh"
    assert found(backward("sigmoid", 2, "delta", tanh_in_sigmoid), "sigmoid") == (Finding(2, "delta", words),)


def test_a_right_backward_pass_and_one_that_is_right_within_the_tolerance_have_no_finding() -> None:
    def scaled(factor: float) -> Any:
        return backward("tanh", 2, "dL/dW", lambda at: at.right.T @ at.h[1] * factor)

    assert found(scaled(1)) == ()
    assert found(scaled(1 + 0.5e-11)) == ()  # the default is 1e-11
    assert len(found(scaled(1 + 5e-11))) == 1
    assert found(scaled(1 + 0.5e-3), tolerance=1e-3) == ()
    assert len(found(scaled(1 + 5e-3), tolerance=1e-3)) == 1


def test_a_leaf_may_differ_by_the_limit_and_by_noise() -> None:
    zero = np.zeros(2)
    for difference, same in ((0.08, True), (0.159, True), (0.161, False), (0.8, False)):
        assert close(np.array([0.0, difference]), zero, 0.0, 0.16) == same
    # And by the limit times the larger leaf's norm: 0.1 * 10 more.
    for difference, same in ((1.15, True), (1.3, False)):
        assert close(np.array([10.0, 0.0]), np.array([10 - difference, 0.0]), 0.1, 0.16) == same
    assert not close(zero, np.zeros((2, 1)), 1.0)
    assert not close(np.array([np.inf, 0.0]), zero, 1e9)


def test_in_float32_leaves_may_differ_by_3e_minus_5() -> None:
    single = random_params(0, SIZES, "float32"), *random_batch(1, SIZES, (5,), "float32")

    def findings(factor: float) -> tuple[Finding, ...]:
        _, gradient = backward("tanh", 2, "dL/dW", lambda at: at.right.T @ at.h[1] * factor)(PARAMS, X, Y)
        return compare_backward(returning(single_precision(gradient)), *single, "tanh").findings

    assert findings(1 + 1e-5) == ()
    assert findings(1 + 1.5e-4) != ()


def test_each_layer_of_two_mistakes_has_its_finding_the_upper_one_first() -> None:
    _, upper = backward("tanh", 3, "dL/db", lambda at: 0 * at.right[0])(PARAMS, X, Y)
    _, lower = backward("tanh", 1, "dL/dW", lambda at: 0 * at.w[1])(PARAMS, X, Y)
    both = (lower[0], upper[1], upper[2], upper[3])
    assert [(each.layer, each.quantity) for each in found(returning(both))] == [(3, "dL/db"), (1, "dL/dW")]


def test_a_gradient_of_too_few_layers_is_an_error_and_tuples_stand_for_layers() -> None:
    _, right = backward("tanh", 0, "", lambda at: at.right)(PARAMS, X, Y)
    with rejects("the gradient has no params[3].weights, expected the structure of the parameters"):
        found(returning(right[:3]))
    assert found(returning((*right[:3], tuple(right[3])))) == ()
