"""Planted mistakes are caught, and named; correct backward passes are left in peace."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from experiments.gradient_cases.planted_check import diagnosed, mistaken_network, planted
from experiments.gradient_cases.planted_mistakes import MISTAKES, planted_gradient
from experiments.gradient_cases.random_networks import random_network
from jaxmlp import ACTIVATIONS, Layer, automatic_gradient, compare_gradients, forward_trace, hand_derived_gradient
from jaxmlp.gradient_check import automatic_deltas, compare_backward  # fmt: skip
from tests.helpers import assert_agree, random_batch, random_params, rejects

SIZES = (5, 4, 6, 3)
NETWORK = random_params(0, SIZES), *random_batch(1, SIZES, (7,))


def changed(layer: int, **leaves: Any) -> Any:
    """A gradient function: the automatic one of tanh with leaves of one layer, 1..L, put through functions."""

    def function(params: Any, x: Any, y: Any) -> Any:
        loss, gradient = automatic_gradient("tanh")(params, x, y)
        new = Layer(
            *(leaves.get(name, lambda leaf: leaf)(leaf) for name, leaf in gradient[layer - 1]._asdict().items())
        )
        return loss, (*gradient[: layer - 1], new, *gradient[layer:])

    return function


@pytest.mark.parametrize("name", MISTAKES)
def test_each_planted_mistake_is_caught_and_named(name: str) -> None:
    for seed in (0, 1):
        network = mistaken_network(name, seed)
        report, diagnosis = planted(name, network)
        assert not report.ok
        assert diagnosed(name, network, diagnosis), str(diagnosis)


@pytest.mark.slow
@pytest.mark.parametrize("name", MISTAKES)
def test_each_planted_mistake_is_caught_and_named_on_20_networks(name: str) -> None:
    networks = [mistaken_network(name, seed) for seed in range(20)]
    found = [planted(name, network) for network in networks]
    assert sum(not report.ok for report, _ in found) == 20
    assert sum(diagnosed(name, network, words) for network, (_, words) in zip(networks, found, strict=True)) == 20


def test_without_a_mistake_the_planted_backward_pass_is_right() -> None:
    network = random_network(0, depths=(3, 3), widths=(2, 9), batches=(4, 4))
    functions = {"planted": planted_gradient(None, network.activation), "auto": automatic_gradient(network.activation)}
    report = compare_gradients(functions, network.params, network.x, network.y)
    assert report.ok, str(report)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_no_mistake_is_seen_in_a_correct_backward_pass(activation: str, dtype: str) -> None:
    hand = hand_derived_gradient(activation)
    for seed in range(10):
        network = random_network(seed, dtype, (2, 2), (1, 9), (1, 6), (activation,), alike=10)
        assert compare_backward(hand, network.params, network.x, network.y, activation).ok


def test_one_sample_without_a_batch_axis_is_diagnosed_too() -> None:
    params, x, y = NETWORK
    diagnosis = compare_backward(hand_derived_gradient("tanh"), params, x[0], y[0], "tanh")
    assert str(diagnosis) == "every delta, dL/dW and dL/db is right"


def test_a_network_without_hidden_layers_is_diagnosed_too() -> None:
    params, x, y = NETWORK[0][2:], *random_batch(1, SIZES[2:], (7,))
    assert compare_backward(automatic_gradient("tanh"), params, x, y, "tanh").ok
    (finding,) = compare_backward(changed(1, weights=lambda w: -w), params, x, y, "tanh").findings
    assert finding == (1, "dL/dW", "has its sign flipped")


def test_deltas_by_jax_are_the_derivatives_by_the_pre_activations() -> None:
    params, x, y = NETWORK
    deltas = automatic_deltas(params, x, y, "tanh")
    _, gradient = automatic_gradient("tanh")(params, x, y)
    h = forward_trace(params, x, "tanh").activations
    for delta, layer, below in zip(deltas, gradient, h[:-1], strict=True):
        assert_agree(jnp.sum(delta, axis=0), layer.biases, 1e-14)
        assert_agree(delta.T @ below, layer.weights, 1e-14)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (changed(2, weights=lambda w: -w), "dL/dW of layer 2 has its sign flipped\ndelta of layer 2 is right"),
        (changed(2, weights=lambda w: 7 * w), "dL/dW of layer 2 is scaled by 7, the batch size"),
        (changed(2, weights=lambda w: 3 * w), "dL/dW of layer 2 is scaled by 3, the number of classes"),
        (changed(1, weights=lambda w: w / 7), "dL/dW of layer 1 is divided by the batch size twice"),
        (changed(1, weights=jnp.transpose), "dL/dW of layer 1 has shape [5, 4], expected [4, 5], it is transposed"),
        (changed(3, biases=lambda b: b * 1.25), "dL/db of layer 3 is scaled by 1.25"),
        (changed(3, biases=lambda b: b.at[1].set(jnp.nan)), "dL/db of layer 3 is not finite, first at [1]"),
        (changed(1, weights=lambda w: w + jnp.sin(w)), "dL/dW of layer 1 is wrong, relative error 1"),
        (changed(2, weights=lambda w: w.at[1, 2].add(1)), "dL/dW of layer 2 is wrong in one element, [1, 2]"),
        (changed(1, weights=lambda w: w.astype("bfloat16").astype(w.dtype)), "a cast to low precision on the way?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_words(function: Any, words: str) -> None:
    diagnosis = compare_backward(function, *NETWORK, "tanh")
    assert len(diagnosis.findings) == 1
    assert words in str(diagnosis)


def test_what_follows_from_a_wrong_delta_is_not_another_mistake() -> None:
    def flipped_from_layer_2_down(params: Any, x: Any, y: Any) -> Any:
        loss, gradient = automatic_gradient("tanh")(params, x, y)
        return loss, (*jax.tree.map(jnp.negative, gradient[:2]), gradient[2])

    diagnosis = compare_backward(flipped_from_layer_2_down, *NETWORK, "tanh")
    assert str(diagnosis) == "delta of layer 2 has its sign flipped\neverything down to layer 3 is right"


def test_a_network_of_another_activation_is_not_taken_for_right() -> None:
    with rejects("the loss that the function returns, 1."):
        compare_backward(hand_derived_gradient("sigmoid"), *NETWORK, "tanh")
    sigmoids = hand_derived_gradient("sigmoid")
    assert compare_backward(sigmoids, *NETWORK).ok  # recognised

    def wrong(params: Any, x: Any, y: Any) -> Any:  # the loss of one, the gradient of another
        return automatic_gradient("tanh")(params, x, y)[0], sigmoids(params, x, y)[1]

    assert not compare_backward(wrong, *NETWORK, "tanh").ok


def test_a_gradient_of_another_structure_is_an_error() -> None:
    with rejects("the gradient has no params[0].weights, expected the structure of the parameters"):
        compare_backward(lambda params, *_: (jnp.zeros(()), {"w": params}), *NETWORK, "tanh")
