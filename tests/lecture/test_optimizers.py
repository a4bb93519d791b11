"""Each optimiser's updates by its formula in NumPy: what every hyperparameter does, and that no other does it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from jaxmlp.lecture.optimizers import OPTIMIZERS, Hyperparameters, check_hyperparameters
from tests.helpers import rejects

Vector = NDArray[np.float64]
START = np.array([0.5, -2.0])
GRADIENTS = [np.array([1.0, -0.5]), np.array([-3.0, 0.25]), np.array([0.5, 2.0])]


def sgd(p: Vector, gradients: list[Vector], rate: float, _: float, decay: float) -> Vector:
    for gradient in gradients:
        p = p - rate * (gradient + decay * p)
    return p


def momentum(p: Vector, gradients: list[Vector], rate: float, momentum: float, decay: float) -> Vector:
    v = np.zeros_like(p)
    for gradient in gradients:
        v = momentum * v + gradient + decay * p
        p = p - rate * v
    return p


def nesterov(p: Vector, gradients: list[Vector], rate: float, momentum: float, decay: float) -> Vector:
    v = np.zeros_like(p)
    for gradient in gradients:
        slope = gradient + decay * p
        v = momentum * v + slope
        p = p - rate * (momentum * v + slope)
    return p


def adam(p: Vector, gradients: list[Vector], rate: float, _: float, decay: float) -> Vector:
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, gradient in enumerate(gradients, 1):
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        scaled = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        p = p - rate * (scaled + decay * p)
    return p


FORMULAS: dict[str, Callable[[Vector, list[Vector], float, float, float], Vector]] = {
    "sgd": sgd, "momentum": momentum, "nesterov": nesterov, "adam": adam,
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_three_updates_are_those_of_the_formula_with_and_without_decay(name: str) -> None:
    def after(hyperparameters: Hyperparameters) -> Any:
        optimizer, params = OPTIMIZERS[name](hyperparameters), jnp.asarray(START)
        updates: Any
        state = optimizer.init(params)
        for gradient in GRADIENTS:
            updates, state = optimizer.update(jnp.asarray(gradient), state, params)
            params = params + updates
        return params

    compiled = jax.jit(after)
    for given in (Hyperparameters(0.25, 0.5), Hyperparameters(0.125, 0.75, 0.1), Hyperparameters(0.125, 0.75, 0.0)):
        rate, momentum, decay = (float(value or 0) for value in given)
        expected = FORMULAS[name](START, GRADIENTS, rate, momentum, decay)
        with jax.numpy_dtype_promotion("standard"):  # optax's adam raises a float to its count of updates
            np.testing.assert_allclose(compiled(given), expected, rtol=1e-12)


def test_by_default_the_numbers_are_the_lectures_rate_the_usual_momentum_and_no_decay() -> None:
    assert Hyperparameters() == (0.2, 0.9, None)


def test_momentum_and_decay_have_a_lowest_value_that_is_allowed_and_a_highest_that_is_not() -> None:
    for usable in (Hyperparameters(1e-9, 0.0, 0.0), Hyperparameters(1e9, 0.999, 1e9), Hyperparameters(momentum=0.0)):
        check_hyperparameters(usable)
    for unusable, message in (
        (Hyperparameters(momentum=1.0), "momentum is 1.0, expected 0 <= momentum < 1"),
        (Hyperparameters(momentum=-1e-9), "momentum is -1e-09, expected"),
        (Hyperparameters(momentum=float("nan")), "momentum is nan, expected"),
        (Hyperparameters(momentum=jnp.zeros(2)), "momentum is [0. 0.], expected"),
        (Hyperparameters(weight_decay=-1e-9), "weight decay is -1e-09, expected a finite number, 0 or more"),
        (Hyperparameters(weight_decay=float("inf")), "weight decay is inf, expected"),
        (Hyperparameters(weight_decay=float("nan")), "weight decay is nan, expected"),
        (Hyperparameters(weight_decay=jnp.zeros(2)), "weight decay is [0. 0.], expected"),
    ):
        with rejects(message):
            check_hyperparameters(unusable)
