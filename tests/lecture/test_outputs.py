"""Outputs and their losses: one table, one delta for all, and every gradient knows them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

from jaxmlp import (
    OUTPUTS,
    TrainingConfig,
    automatic_gradient,
    check_gradient,
    compare_gradients,
    forward_trace,
    hand_derived_gradient,
    numerical_gradient,
    train,
)
from jaxmlp.gradient_check import (
    automatic_deltas,
    automatic_hessian_vector,
    compare_backward,
    hand_derived_hessian_vector,
)
from jaxmlp.lecture.losses import output_of
from jaxmlp.lecture.network import network_loss
from tests.helpers import assert_agree, random_batch, random_dataset, random_params, rejects

SIZES = (4, 5, 3)
NAMES = list(OUTPUTS)


def targets(output: str, n: int = 6) -> Any:
    rng = np.random.default_rng(2)
    if output == "softmax":
        return np.eye(3)[rng.integers(0, 3, n)]
    return rng.integers(0, 2, (n, 3)).astype(float) if output == "sigmoid" else rng.normal(0, 2, (n, 3))


def by_numpy(output: str, g: Any, y: Any) -> tuple[float, Any]:
    """The mean loss and h_L, from the definitions."""
    if output == "softmax":
        return float(-np.mean(np.sum(y * log_softmax(g, axis=1), axis=1))), softmax(g, axis=1)
    if output == "identity":
        return float(np.mean(np.sum((g - y) ** 2, axis=1)) / 2), g
    h = expit(g)
    return float(-np.mean(np.sum(y * np.log(h) + (1 - y) * np.log(1 - h), axis=1))), h


@pytest.mark.parametrize("output", NAMES)
def test_values_losses_and_deltas_are_those_of_the_definitions(output: str) -> None:
    params, (x, _) = random_params(0, SIZES), random_batch(1, SIZES, (6,))
    y = jnp.asarray(targets(output))
    trace = jax.jit(forward_trace, static_argnums=(2, 3))(params, x, "tanh", output)
    loss, h = by_numpy(output, np.asarray(trace.pre_activations[-1]), np.asarray(y))
    np.testing.assert_allclose(trace.activations[-1], h, rtol=1e-12)
    assert float(jax.jit(network_loss("tanh", output))(params, x, y)) == pytest.approx(loss, rel=1e-12)
    deltas = jax.jit(automatic_deltas, static_argnums=(3, 4))(params, x, y, "tanh", output)
    np.testing.assert_allclose(deltas[-1], (h - np.asarray(y)) / 6, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("output", NAMES)
@pytest.mark.parametrize("batch", [(), (6,)])
def test_gradients_by_hand_automatic_and_numerical_agree(output: str, batch: tuple[int, ...]) -> None:
    params, (x, _) = random_params(3, SIZES), random_batch(1, SIZES, batch)
    y = jnp.asarray(targets(output)) if batch else jnp.asarray(targets(output)[0])
    report = compare_gradients(
        {
            "hand": hand_derived_gradient("sigmoid", output), "automatic": automatic_gradient("sigmoid", output),
            "numerical": numerical_gradient("sigmoid", output=output),
        }, params, x, y,
    )  # fmt: skip
    assert report.ok
    other = NAMES[NAMES.index(output) - 1]
    wrong = {"right": automatic_gradient("sigmoid", output), "other": hand_derived_gradient("sigmoid", other)}
    assert not compare_gradients(wrong, params, x, y).ok


@pytest.mark.parametrize("output", NAMES)
def test_hessian_products_by_hand_are_the_automatic_ones(output: str) -> None:
    params, direction = random_params(0, SIZES), random_params(1, SIZES)
    x, y = random_batch(1, SIZES, (6,))[0], jnp.asarray(targets(output))
    pair = [
        jax.jit(make("tanh", output))(params, direction, x, y)
        for make in (hand_derived_hessian_vector, automatic_hessian_vector)
    ]
    assert_agree(pair[0], pair[1], 1e-12)


@pytest.mark.parametrize("output", NAMES)
def test_a_backward_pass_for_it_is_recognised_and_its_mistakes_are_named(output: str) -> None:
    params = jax.tree.map(np.asarray, random_params(0, SIZES))
    x: Any = np.asarray(random_batch(1, SIZES, (6,))[0])
    y = targets(output)
    right = hand_derived_gradient("tanh", output)
    assert compare_backward(right, params, x, y).findings == ()

    def scaled(params: Any, x: Any, y: Any) -> Any:
        loss, (first, last) = right(params, x, y)
        return loss, (first, last._replace(weights=2 * last.weights))

    assert "dL/dW of layer 2 is scaled by 2" in str(compare_backward(scaled, params, x, y))
    found = check_gradient(lambda p: right(p, x, y)[0], lambda p: right(p, x, y)[1], params, data=(x, y))
    assert found.ok, str(found)
    head = {"softmax": "softmax and cross-entropy", "sigmoid": "sigmoid and binary", "identity": "identity and squares"}
    assert head[output] in found.recognised


@pytest.mark.parametrize("output", NAMES)
def test_training_takes_every_output_and_only_a_gradient_made_for_it(output: str) -> None:
    dataset, params, orders = random_dataset(0), random_params(0, (4, 5, 3)), jnp.asarray([np.arange(12)] * 3)
    config = TrainingConfig("tanh", 4, output=output)
    found = [
        train(params, dataset, orders, None, config, gradient)
        for gradient in (None, hand_derived_gradient("tanh", output))
    ]
    assert_agree(found[0], found[1], 1e-12)
    assert np.all(np.diff(np.asarray(found[0][1].loss)) < 0)
    other = NAMES[NAMES.index(output) - 1]
    with rejects(f"made for ('tanh', '{other}'), expected ('tanh', '{output}')"):
        train(params, dataset, orders, None, config, hand_derived_gradient("tanh", other))


def test_an_unknown_output_is_told() -> None:
    params, (x, y) = random_params(0, SIZES), random_batch(1, SIZES, (6,))
    said = "output is 'logits', expected one of softmax, sigmoid, identity"
    for call in (
        lambda: forward_trace(params, x, "tanh", "logits"),
        lambda: hand_derived_gradient("tanh", "logits")(params, x, y),
        lambda: automatic_gradient("tanh", "logits"),
        lambda: train(
            params, random_dataset(0), jnp.asarray([np.arange(12)]), None, TrainingConfig("tanh", output="logits")
        ),
    ):
        with rejects(said):
            call()
    assert output_of("softmax") is OUTPUTS["softmax"]


def test_losses_overflow_nowhere() -> None:
    g = jnp.array([[1000.0, -1000.0]])
    for y, loss in (([[0.0, 0.0]], 1000.0), ([[1.0, 0.0]], 0.0), ([[1.0, 1.0]], 1000.0)):
        assert OUTPUTS["sigmoid"].loss(g, jnp.asarray(y)).tolist() == [loss]
