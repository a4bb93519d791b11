"""Numerical gradients: right on functions whose derivative is known, right about their own limits."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxmlp import Dataset, LectureStream, automatic_gradient, numerical_gradient
from jaxmlp.checks import sizes_of
from jaxmlp.gradient_check import NumericalGradient
from jaxmlp.gradient_check.functions import numerical
from jaxmlp.gradient_check.functions.numerical import relu_pre_activations
from jaxmlp.lecture.network import forward_trace
from tests.helpers import assert_agree, random_batch, random_params, rejects

X, Y = jnp.zeros(1), jnp.zeros(1)
PARAMS = {"a": jnp.asarray([0.5, -2.0]), "b": {"c": jnp.asarray(3.0)}}


def cubic(params: Any, x: Array, y: Array) -> Array:
    """a0^3 + a1^2 c: its derivatives are 3 a0^2, 2 a1 c, a1^2."""
    del x, y
    (a0, a1), c = params["a"], params["b"]["c"]
    return a0**3 + a1**2 * c


@pytest.mark.parametrize("step", ["auto", "sweep", 1e-4])
@pytest.mark.parametrize("order", [2, 4])
def test_any_pytree_of_parameters_has_a_numerical_gradient(step: float | str, order: int) -> None:
    loss, gradient = NumericalGradient(cubic, step, order)(PARAMS, X, Y)
    assert loss == cubic(PARAMS, X, Y)
    assert_agree(gradient, {"a": jnp.asarray([0.75, -12.0]), "b": {"c": jnp.asarray(4.0)}}, 1e-8)


def test_the_error_shrinks_with_the_order_that_is_claimed() -> None:
    def sine(params: Any, x: Array, y: Array) -> Array:
        del x, y
        return jnp.sin(params)

    at = jnp.asarray(0.7)
    for order in (2, 4):
        errors = [abs(NumericalGradient(sine, h, order)(at, X, Y)[1] - jnp.cos(at)) for h in (0.2, 0.1)]
        assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.02)


def test_a_large_parameter_gets_a_larger_step() -> None:
    # eps^(1/3) for order 2, eps^(1/5) for order 4, times the parameter's magnitude but at least 1; or the one given.
    params, eps = {"a": jnp.asarray([0.5, -2e3]), "b": {"c": jnp.asarray(3.0)}}, 2.0**-52
    for gradient, expected in (
        (NumericalGradient(cubic), eps ** (1 / 3) * np.array([1, 2e3, 3])),
        (NumericalGradient(cubic, order=4), eps ** (1 / 5) * np.array([1, 2e3, 3])),
        (NumericalGradient(cubic, 1e-4), [1e-4] * 3),
    ):
        found = gradient.result(params, X, Y)
        np.testing.assert_allclose([*found.steps["a"], found.steps["b"]["c"]], expected, rtol=1e-13)
        assert found.sweep is None
        assert not any(mask.any() for mask in jax.tree.leaves(found.kinks))


def test_parameters_that_do_not_fit_into_memory_at_once_give_the_same_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    def cubes(params: Any, x: Array, y: Array) -> Array:
        del x, y
        return jnp.sum(params**3)

    # 4 parameters in 2 shifts: 3 at once, the second chunk filled up. D(h) = 3 p^2 + h^2.
    monkeypatch.setattr(numerical, "CHUNK_ELEMENTS", 3 * 4 * 2)
    _, gradient = NumericalGradient(cubes, 0.5)(jnp.arange(4.0), X, Y)
    assert gradient.tolist() == [0.25, 3.25, 12.25, 27.25]


def test_a_sweep_goes_from_an_eighth_down_by_quarters_and_chooses_each_leafs_best_step() -> None:
    # The quotient of order 2 of p^3 is 3 p^2 + h^2: only rounding is left of its error. Linear ones have none.
    params = {"a": jnp.asarray([0.3, -1.7]), "b": {"c": jnp.asarray(2.9)}}
    found = NumericalGradient(cubic, "sweep").result(params, X, Y)
    assert found.sweep is not None
    steps = np.asarray(found.sweep.steps)
    np.testing.assert_array_equal(steps, 2.0 ** -np.arange(3, 36, 2))
    assert found.steps["a"][1] == pytest.approx(1.7 * found.steps["a"][0])
    assert float(found.steps["a"][0]) in steps
    # Distances by hand, of all three parameters together: from each step's neighbours, the larger one.
    gradients = np.column_stack([found.sweep.gradients["a"], found.sweep.gradients["b"]["c"]])
    gaps = np.linalg.norm(np.diff(gradients, axis=0), axis=1)
    both = np.maximum(np.concatenate([gaps[:1], gaps]), np.concatenate([gaps, gaps[-1:]]))
    np.testing.assert_allclose(found.sweep.errors, both / np.linalg.norm(gradients, axis=1), rtol=1e-9)
    small, large = np.asarray(found.sweep.plateau)
    near = found.sweep.errors <= 10 * found.sweep.errors.min()
    best = first = last = int(np.argmin(found.sweep.errors))
    while first > 0 and near[first - 1]:
        first -= 1
    while last < len(steps) - 1 and near[last + 1]:
        last += 1
    assert (small, large) == (steps[last], steps[first])
    assert small <= steps[best] <= large
    # The leaf c's derivative is a1^2 = 2.89 at every step, but for rounding: the best step's is the nearest to it.
    quotients = np.asarray(found.sweep.gradients["b"]["c"])
    chosen = int(np.argmin(abs(steps - float(found.steps["b"]["c"]) / 2.9)))
    assert abs(quotients[chosen] - 2.89) <= np.median(abs(quotients - 2.89))


@pytest.mark.slow
def test_a_sweep_finds_the_plateau_between_truncation_and_rounding() -> None:
    params, (x, y) = random_params(0, (5, 4, 3)), random_batch(1, (5, 4, 3), (6,))
    sweep = numerical_gradient("tanh", "sweep").result(params, x, y).sweep
    assert sweep is not None
    small, large = sweep.plateau
    assert 1e-7 < small <= 2.0 ** (-52 / 3) * 8
    assert small <= large < 1e-3
    assert sweep.errors.min() < 1e-4 * min(sweep.errors[0], sweep.errors[-1])
    best = jnp.argmin(sweep.errors)
    at_best = jax.tree.map(lambda leaf: leaf[best], sweep.gradients)
    assert_agree(at_best, automatic_gradient("tanh")(params, x, y)[1], 1e-8)


def test_elements_that_cross_a_kink_are_marked_and_no_others() -> None:
    def hinge(params: Any, x: Array, y: Array) -> Array:
        del x, y
        return jnp.sum(jnp.maximum(params, 0))

    params = jnp.asarray([1.0, 1e-9, -1.0, -1e-9, 0.0])
    found = NumericalGradient(hinge, kinks=lambda params, *_: params).result(params, X, Y)
    assert found.kinks.tolist() == [False, True, False, True, True]
    assert found.gradient[~found.kinks].tolist() == pytest.approx([1, 0])


def test_kinks_of_a_network_are_those_of_its_relu_layers() -> None:
    sizes = (4, 5, 3, 2)
    params, (x, y) = random_params(0, sizes), random_batch(1, sizes, (7,))
    assert relu_pre_activations("tanh") is None
    kinks = relu_pre_activations(("tanh", "relu"))
    assert kinks is not None
    g_1, g_2 = (np.ravel(g) for g in forward_trace(params, x, ("tanh", "relu")).pre_activations[:2])
    np.testing.assert_array_equal(kinks(params, x, y), g_2)
    one_name, other_way = relu_pre_activations("relu"), relu_pre_activations(("relu", "tanh"))
    assert one_name is not None
    assert other_way is not None
    assert len(one_name(params, x, y)) == 7 * (5 + 3)
    np.testing.assert_array_equal(other_way(params, x, y), g_1)
    assert numerical_gradient("relu").kinks is not None
    assert numerical_gradient("tanh").kinks is None
    assert numerical_gradient().loss(params, x, y) == numerical_gradient("sigmoid").loss(params, x, y)


@pytest.mark.slow
def test_a_wide_step_crosses_kinks_and_away_from_them_the_gradient_is_right() -> None:
    sizes = (4, 9, 8, 3)
    params, (x, y) = random_params(0, sizes), random_batch(1, sizes, (40,))
    found = numerical_gradient("relu", 0.01, 4).result(params, x, y)
    right = automatic_gradient("relu")(params, x, y)[1]
    wrong = 0
    for a, b, mask in zip(*map(jax.tree.leaves, (found.gradient, right, found.kinks)), strict=True):
        np.testing.assert_allclose(a[~mask], b[~mask], rtol=0, atol=1e-7)
        wrong += int(jnp.sum(jnp.abs(a - b) > 1e-5))
    assert 0 < wrong <= sum(int(mask.sum()) for mask in jax.tree.leaves(found.kinks))


def test_float32_is_warned_about_and_float64_is_not() -> None:
    params, (x, y) = random_params(0, (3, 2), "float32"), random_batch(1, (3, 2), (4,), "float32")
    with pytest.warns(UserWarning, match="expected float64"):
        _, gradient = numerical_gradient("tanh")(params, x, y)
    assert_agree(gradient, automatic_gradient("tanh")(params, x, y)[1], 2e-2)


def test_input_that_cannot_be_used_is_named() -> None:
    with rejects("step is 'small', expected 'auto', 'sweep' or a positive number"):
        numerical_gradient("tanh", "small")
    for step in (-1.0, 0.0, float("nan"), float("inf")):
        with rejects(f"step is {step}, expected"):
            NumericalGradient(cubic, step)
    with rejects("order is 3, expected 2 or 4"):
        NumericalGradient(cubic, order=3)
    with rejects("parameters have dtypes [], expected one floating dtype"):
        NumericalGradient(cubic)({}, X, Y)
    with rejects("parameters have dtypes ['int64'], expected one floating dtype"):
        NumericalGradient(cubic)([jnp.zeros(1, int)], X, Y)
    with rejects("parameters have dtypes ['float32', 'float64'], expected one"):
        NumericalGradient(cubic)([jnp.zeros(1), jnp.zeros(1, "float32")], X, Y)


def test_every_parameter_of_the_lectures_third_network_is_checked(digits: Dataset) -> None:
    params = LectureStream(0).params((64, 20, 20, 2, 10), "float64")
    assert sizes_of(params) == (64, 20, 20, 2, 10)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 1792
    x, y = digits.x_train[:32], digits.y_train[:32]
    loss_and_gradient = numerical_gradient("sigmoid", order=4)
    gradient = jax.block_until_ready(loss_and_gradient(params, x, y)[1])
    assert_agree(gradient, automatic_gradient("sigmoid")(params, x, y)[1], 1e-7)
