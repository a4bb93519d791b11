"""Where a check could be fooled: losses that end or bend near by, float32 at size, empty leaves, data that is none."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import check_gradient
from tests.helpers import rejects

RANDOM = np.random.default_rng(0)
W = RANDOM.normal(size=(3, 4))


SMALL = 40  # numbers that are compared one by one, where a test is of what is done beyond


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxmlp.gradient_check.measurement.comparing.MOST", SMALL)


def words(check: Any) -> str:
    return " ".join(str(check).split())


@pytest.mark.parametrize("function", ["log", "sqrt"])
def test_a_small_number_beside_large_ones_is_compared_where_the_loss_ends_near_by(function: str) -> None:
    small = np.array([1e-9, 1.0, 2.0])
    slope: Any = {"log": lambda w: 1 / w, "sqrt": lambda w: 0.5 / np.sqrt(w)}[function]

    def loss(w: Any) -> float:
        return float(np.sum(getattr(np, function)(w)))

    assert check_gradient(loss, slope, small), words(check_gradient(loss, slope, small))
    wrong = check_gradient(loss, lambda w: slope(w) * np.array([1.01, 1, 1]), small)
    assert (wrong.rows[0].verdict, wrong.rows[0].worst) == ("wrong", (0,))


def test_a_number_at_the_end_of_the_loss_is_not_called_right() -> None:
    check = check_gradient(lambda w: float(np.sum(np.sqrt(w))), lambda w: np.ones_like(w), np.array([0.0, 0.25]))
    assert not check
    assert "beside 1 of its numbers the loss is not finite" in words(check)


def test_a_loss_that_ends_within_a_tenth_of_the_parameters_changes_all_the_same() -> None:
    at = np.array([1.0002])

    def loss(w: Any) -> float:
        return float(np.sqrt(1e-6 - (w[0] - 1) ** 2))

    assert check_gradient(loss, lambda w: -(w - 1) / np.sqrt(1e-6 - (w - 1) ** 2), at)
    assert not check_gradient(loss, lambda w: 0 * w, at)


@pytest.mark.usefixtures("sampled")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_gradients_are_compared_to_their_own_digits(dtype: str) -> None:
    at = RANDOM.normal(size=600).astype(dtype)

    def gradient(w: Any) -> Any:
        return np.cos(w).astype(dtype)

    def loss(w: Any) -> float:
        return float(np.sum(np.sin(w)))

    assert check_gradient(loss, gradient, at), words(check_gradient(loss, gradient, at))
    wrong = check_gradient(loss, lambda w: 2 * gradient(w), at)
    assert wrong.rows[0].verdict == "wrong"
    assert "random directions" not in words(wrong)  # none was needed


@pytest.mark.usefixtures("sampled")
def test_a_large_network_of_jax_in_float32_is_right_with_data_and_without() -> None:
    x, y = RANDOM.normal(size=(16, 80)), np.eye(10)[RANDOM.integers(0, 10, 16)]
    given = [RANDOM.normal(0, 0.1, shape) for shape in ((60, 80), (60,), (10, 60), (10,))]
    with jax.enable_x64(False):
        x, y, *params = (jnp.asarray(each, jnp.float32) for each in (x, y, *given))

        def loss(*p: Any) -> Any:
            return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(jnp.tanh(x @ p[0].T + p[1]) @ p[2].T + p[3]), axis=1))

        gradient = jax.jit(jax.grad(loss, (0, 1, 2, 3)))
        for data in (None, (x, y)):
            check = check_gradient(jax.jit(loss), gradient, *params, data=data)
            assert check, words(check)


def relu_network(sign: Any, factor: float = 1.0, sizes: Any = (7, 6, 4)) -> Any:
    """A right gradient that takes another derivative at relu's kink, which a sample of zeros is at; dW2 by a factor."""
    x, y = RANDOM.normal(size=(12, sizes[0])), np.eye(sizes[2])[RANDOM.integers(0, sizes[2], 12)]
    x[0] = 0

    def forward(w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
        g = x @ w1.T + b1
        e = np.exp(np.maximum(g, 0) @ w2.T + b2)
        return g, e / e.sum(axis=1, keepdims=True)

    def gradient(w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
        g, p = forward(w1, b1, w2, b2)
        delta = (p - y) / 12
        below = (delta @ w2) * sign(g)
        return below.T @ x, below.sum(axis=0), factor * delta.T @ np.maximum(g, 0), delta.sum(axis=0)

    weights = [RANDOM.normal(0, n_in**-0.5, (n_out, n_in)) for n_in, n_out in itertools.pairwise(sizes)]
    params = weights[0], np.zeros(sizes[1]), weights[1], np.zeros(sizes[2])
    return check_gradient(
        lambda *p: -np.sum(y * np.log(forward(*p)[1])) / 12, gradient, *params,
        data=None if factor == 1 else (x, y),
    )  # fmt: skip


@pytest.mark.usefixtures("sampled")
@pytest.mark.parametrize("sign", [lambda g: g > 0, lambda g: g >= 0])
def test_nobodys_derivative_at_a_kink_is_condemned(sign: Any) -> None:
    for sizes in ((3, 4, 2), (20, 12, 10)):  # compared one by one, and sampled
        assert [row.verdict for row in relu_network(sign, sizes=sizes).rows] == ["right", "unknown", "right", "right"]
    check = relu_network(sign, factor=2.0)
    assert [row.verdict for row in check.rows] == ["right", "unknown", "wrong", "right"]
    assert check.diagnosis[0] == "dL/dW of layer 2 is scaled by 2"
    assert "layer 1" not in " ".join(check.diagnosis)


def test_jax_grads_half_at_a_kink_condemns_nobody() -> None:
    check = check_gradient(lambda w: jnp.sum(jnp.maximum(w, 0)), lambda w: (w > 0) * 1.0, np.array([0.0, 1.0, -1.0]))
    assert check, words(check)
    assert check.rows[0].kinks == 1


def test_on_a_flat_loss_a_gradient_of_zeros_is_right_only_in_the_right_shape() -> None:
    assert check_gradient(lambda p: 1.0, lambda p: 0 * p, W)
    assert not check_gradient(lambda p: 1.0, lambda p: 0 * p.T, W)
    assert not check_gradient(lambda p: 1.0, lambda p: {"a": 0 * W, "z": W}, {"a": W})


def test_an_empty_leaf_is_right() -> None:
    check = check_gradient(lambda v, e: np.sum(v**2) + np.sum(e), lambda v, e: (2 * v, e), W, np.zeros(0))
    assert [row.verdict for row in check.rows] == ["right", "right"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (([[1, 2], [3]], W), "x of data has rows of different lengths, expected an array"),
        ((np.zeros((0, 5)), W), "x of data contains no values, expected numbers"),
        ((W, np.array(list("abc"))), "y of data contains <U1 values, expected numbers"),
        ((W + 1j, W), "x of data contains complex128 values, expected numbers"),
        ((None, None), "x of data contains object values, expected numbers"),
    ],
)
def test_data_that_is_no_numbers_is_refused(data: Any, said: str) -> None:
    with rejects(said):
        check_gradient(lambda w: np.sum(w**2), lambda w: 2 * w, W, data=data)


def test_activations_that_no_unit_tells_apart_are_all_named() -> None:
    x, targets = np.abs(RANDOM.normal(size=(6, 4))) + 1, RANDOM.normal(size=(6, 2))
    w1, w2 = np.abs(RANDOM.normal(size=(5, 4))) + 1, RANDOM.normal(size=(2, 5))

    def loss(w1: Any, w2: Any) -> Any:
        return np.sum((np.maximum(x @ w1.T, 0) @ w2.T - targets) ** 2)

    def gradient(w1: Any, w2: Any) -> Any:
        h = x @ w1.T
        delta = 2 * (h @ w2.T - targets)
        return (delta @ w2).T @ x, delta.T @ h

    recognised = check_gradient(loss, gradient, w1, w2, data=(x, targets)).recognised
    assert recognised.startswith("4-5-2, relu (or identity, leaky relu 0.01, leaky relu 0.1, leaky relu 0.2: no unit")


def test_only_the_leaf_that_was_taken_out_is_said_to_be_changed() -> None:
    check = check_gradient(
        lambda p: float(np.sum(p.pop("W") ** 2) + p["b"] @ p["b"]), lambda p: {"W": 2 * p["W"], "b": 2 * p["b"]},
        {"W": W, "b": np.ones(2)},
    )  # fmt: skip
    assert check.findings == ("loss changes its parameters in place: p['W']",)


def test_a_constant_error_beside_constant_biases_is_no_l2_part() -> None:
    x, targets, b = RANDOM.normal(size=(6, 4)), RANDOM.normal(size=(6, 3)), np.ones(3)
    v = RANDOM.normal(size=(3, 4))

    def gradient(v: Any, b: Any) -> Any:
        delta = 2 * (x @ v.T + b - targets)
        return delta.T @ x, delta.sum(axis=0) + 0.1

    check = check_gradient(lambda v, b: np.sum((x @ v.T + b - targets) ** 2), gradient, v, b, data=(x, targets))
    assert "L2" not in words(check)
    assert not check


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("sign", [lambda g: g > 0, lambda g: g >= 0])
def test_a_leaf_of_zeros_at_kinks_is_not_condemned_whatever_the_numbers(
    seed: int, sign: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In some of these, slope and curvature cancel out along one direction.
    for sizes in ((3, 4, 2), (20, 12, 10)):
        monkeypatch.setattr(f"{__name__}.RANDOM", np.random.default_rng(seed))
        check = relu_network(sign, sizes=sizes)
        assert [row.verdict for row in check.rows] == ["right", "unknown", "right", "right"]
