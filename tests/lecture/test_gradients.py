"""What holds for every gradient function; `test_backprop` compares them with each other."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import ACTIVATIONS, TrainingConfig, automatic_gradient, forward, hand_derived_gradient
from jaxmlp.lecture import GradientFunction, cross_entropy
from jaxmlp.lecture.network import ActivationName
from tests import oracle
from tests.helpers import DEPTHS, as_params, assert_agree, random_batch, random_params, rejects, worked_by_hand

Maker = Callable[[ActivationName], GradientFunction]
both = pytest.mark.parametrize("make", [automatic_gradient, hand_derived_gradient])


@both
def test_gradient_worked_by_hand(make: Maker) -> None:
    worked = worked_by_hand()
    assert_agree(make("sigmoid")(worked.params, worked.x, worked.y), (worked.loss, worked.gradient), 1e-15)


@both
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_loss_and_gradient_are_the_oracles(make: Maker, activation: str, depth: int) -> None:
    params, (x, y) = random_params(depth, DEPTHS[depth]), random_batch(depth + 1, DEPTHS[depth], (6,))
    pairs = [(np.asarray(w), np.asarray(b)) for w, b in params]
    loss, gradient = oracle.batch_gradient(pairs, np.asarray(x), np.asarray(y), [activation] * depth)
    assert_agree(make(activation)(params, x, y), (np.float64(loss), as_params(gradient)), 1e-12)


@both
def test_gradient_is_the_slope_of_the_loss(make: Maker) -> None:
    params, (x, y) = random_params(0, DEPTHS[2]), random_batch(1, DEPTHS[2], (6,))
    direction, step = random_params(2, DEPTHS[2]), 1e-5

    def loss_at(t: float) -> float:
        moved = jax.tree.map(lambda p, d: jnp.asarray(np.asarray(p) + t * np.asarray(d)), params, direction)
        return float(cross_entropy(forward(moved, x, "tanh"), y))

    _, gradient = make("tanh")(params, x, y)
    slope = sum(
        float(np.vdot(g, d)) for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True)
    )
    # A central difference errs by step^2 (1e-10) and by rounding over step (1e-11).
    assert slope == pytest.approx((loss_at(step) - loss_at(-step)) / (2 * step), rel=1e-8)


@both
def test_gradient_of_a_batch_is_the_mean_of_its_samples(make: Maker) -> None:
    params, (x, y) = random_params(0, DEPTHS[1]), random_batch(1, DEPTHS[1], (6,))
    gradient_function = jax.jit(make("tanh"))
    rows = list(zip(np.asarray(x), np.asarray(y), strict=True))
    samples = [gradient_function(params, jnp.asarray(x_row), jnp.asarray(y_row)) for x_row, y_row in rows]
    mean = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *samples)
    assert_agree(gradient_function(params, x, y), mean, 1e-13)
    x_row, y_row = rows[0]
    assert_agree(gradient_function(params, jnp.asarray(x_row[None]), jnp.asarray(y_row[None])), samples[0], 1e-13)


@both
def test_a_batch_of_two_axes_is_a_batch(make: Maker) -> None:
    params, (x, y) = random_params(0, DEPTHS[1]), random_batch(1, DEPTHS[1], (6,))
    x_two, y_two = (jnp.asarray(np.asarray(array)[None]) for array in (x, y))
    gradient_function = jax.jit(make("tanh"))
    assert_agree(gradient_function(params, x_two, y_two), gradient_function(params, x, y), 1e-13)


@both
def test_vmap_over_samples_and_compilation_change_nothing(make: Maker) -> None:
    params, (x, y) = random_params(0, DEPTHS[1]), random_batch(1, DEPTHS[1], (6,))
    gradient_function = make("sigmoid")
    lanes = jax.jit(jax.vmap(gradient_function, (None, 0, 0)))(params, x, y)
    for row in range(6):
        lane = jax.tree.map(lambda leaf: np.asarray(leaf)[row], lanes)  # noqa: B023
        alone = gradient_function(params, jnp.asarray(np.asarray(x)[row]), jnp.asarray(np.asarray(y)[row]))
        assert_agree(lane, alone, 1e-13)


@both
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_float32_in_gives_float32_out_though_64_bits_are_on(make: Maker, activation: str) -> None:
    single, double = (
        make(activation)(random_params(0, DEPTHS[1], dtype), *random_batch(1, DEPTHS[1], (6,), dtype))
        for dtype in ("float32", "float64")
    )
    assert_agree(single, jax.tree.map(lambda leaf: np.asarray(leaf, "float32"), double), 1e-5)


@both
def test_unusable_activations_are_rejected_when_the_gradient_is_called(make: Maker) -> None:
    params, (x, y) = random_params(0, DEPTHS[2]), random_batch(1, DEPTHS[2])
    with rejects("activation is 'swish', expected one of"):
        make("swish")(params, x, y)
    with rejects("3 activations given, expected one, or one for each of 2 hidden layers"):
        make(("tanh", "relu", "tanh"))(params, x, y)


@both
def test_one_activation_has_one_gradient_function_so_that_training_compiles_once(make: Maker) -> None:
    assert make("tanh") == make("tanh")
    assert hash(make("tanh")) == hash(make("tanh"))
    assert make("tanh") != make("relu")
    assert hand_derived_gradient("tanh") != automatic_gradient("tanh")


@both
def test_a_list_of_activations_is_taken_as_a_tuple(make: Any) -> None:
    names: Any = ["tanh", "relu"]
    assert make(names) == make(("tanh", "relu"))
    assert hash(make(names)) == hash(make(("tanh", "relu")))
    assert TrainingConfig(names) == TrainingConfig(("tanh", "relu"))
    with rejects("output is 'logits', expected one of softmax"):
        make("tanh", "logits")
