"""Mistakes as they are made in tutorials, each named; and right gradients in the forms that courses give them."""

from typing import Any

import numpy as np
import pytest

from jaxmlp import check_gradient
from jaxmlp.gradient_check import GradientCheck
from tests.helpers import rejects

RANDOM = np.random.default_rng(0)
N, D, H, C = 9, 6, 5, 3
X, LABELS = RANDOM.normal(size=(N, D)), RANDOM.integers(0, C, N)
Y, TARGETS, SIGNS = np.eye(C)[LABELS], RANDOM.normal(size=(N, 2)), np.where(RANDOM.random(N) > 0.5, 1, -1)
V, B = RANDOM.normal(size=(D, 2)), RANDOM.normal(size=2)
W1, W2 = RANDOM.normal(size=(D, H)), RANDOM.normal(size=(H, C))


def words(check: GradientCheck) -> str:
    return " ".join(str(check).split())


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def squares(w: Any, b: Any) -> Any:
    return 0.5 * np.sum((X @ w + b - TARGETS) ** 2)


def error(w: Any, b: Any) -> Any:
    return X @ w + b - TARGETS


@pytest.mark.parametrize(
    ("loss", "gradient", "said"),
    [
        (lambda w, b: np.mean(error(w, b) ** 2), lambda w, b: (X.T @ error(w, b) / N / 2, error(w, b).mean(axis=0) / 2),
         "misses the factor 2 of the derivative of a square"),
        (squares, lambda w, b: (2 * X.T @ error(w, b), 2 * error(w, b).sum(axis=0)),
         "half the sum, weights [in, out] first mistake: delta of layer 1 is scaled by 2"),
        (lambda w, b: squares(w, b) / N, lambda w, b: (X.T @ error(w, b) / N, error(w, b).mean(axis=0) / N),
         "dL/db of layer 1 is divided by the batch size twice"),
        (squares, lambda w, b: (X.T @ error(w, b), error(w, b).mean(axis=0)),
         "dL/db of layer 1 is divided by 9, the batch size: a mean over the samples, not their sum"),
    ],
)  # fmt: skip
def test_a_factor_in_a_regression_is_that_of_the_square_or_of_the_mean(loss: Any, gradient: Any, said: str) -> None:
    check = check_gradient(loss, gradient, V, B, data=(X, TARGETS))
    assert not check
    assert said in words(check)
    assert "number of classes" not in words(check)


def backward(kind: str) -> Any:
    """Of two layers of sigmoids and squares, with one mistake."""

    def gradient(W1: Any, W2: Any) -> Any:
        h = sigmoid(X @ W1)
        out = sigmoid(h @ W2)
        e = 2 * (out - Y)
        slope2 = {"output at h": sigmoid(out) * (1 - sigmoid(out)), "tanh": 1 - out**2}.get(kind, out * (1 - out))
        slope1 = {"at h": sigmoid(h) * (1 - sigmoid(h))}.get(kind, h * (1 - h))
        delta2 = e * slope2
        delta1 = ((e if kind == "error" else delta2) @ W2.T) * slope1
        return X.T @ delta1, h.T @ delta2

    return gradient


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("", "RIGHT"), ("error", "delta of layer 1 is made of the error h_2 - y, not of delta of layer 2"),
        ("at h", "delta of layer 1 takes phi' at h_1 instead of g_1"),
        ("output at h", "delta of layer 2 takes the derivative of sigmoid at h instead of g"),
        ("tanh", "delta of layer 2 takes the derivative of tanh for that of sigmoid, the output's activation"),
    ],
)  # fmt: skip
def test_mistakes_in_a_network_of_sigmoids_are_named(kind: str, said: str) -> None:
    def loss(W1: Any, W2: Any) -> Any:
        return np.sum((sigmoid(sigmoid(X @ W1) @ W2) - Y) ** 2)

    assert said in words(check_gradient(loss, backward(kind), W1, W2, data=(X, Y)))


COURSE = {"W1": W1.T.copy(), "b1": np.zeros((H, 1)), "W2": W2.T.copy(), "b2": np.zeros((C, 1))}


def course(p: Any) -> Any:
    z1 = p["W1"] @ X.T + p["b1"]
    z2 = p["W2"] @ np.maximum(z1, 0) + p["b2"]
    return z1, np.exp(z2) / np.exp(z2).sum(axis=0)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (lambda passed, z: passed * (z > 0), "RIGHT: all 4 gradients"),
        (lambda passed, _: np.maximum(passed, 0), "delta of layer 1 is masked where it is negative itself, not by"),
        (lambda passed, z: passed * (z <= 0), "delta of layer 1 is masked where relu is on, not where it is off"),
    ],
)  # fmt: skip
def test_masks_of_relu_are_named_and_gradients_keyed_dw1_are_those_of_w1(mask: Any, said: str) -> None:
    def gradient(p: Any) -> Any:
        z1, q = course(p)
        delta = (q - Y.T) / N
        below = mask(p["W2"].T @ delta, z1)
        return {"dW1": below @ X, "db1": below.sum(axis=1, keepdims=True),
                "dW2": delta @ np.maximum(z1, 0).T, "db2": delta.sum(axis=1, keepdims=True)}  # fmt: skip

    check = check_gradient(lambda p: -np.sum(Y.T * np.log(course(p)[1])) / N, gradient, COURSE, data=(X.T, Y.T))
    assert said in words(check)
    assert [row.leaf for row in check.rows] == [f"p['{name}']" for name in COURSE]


def test_a_sum_over_the_wrong_axis_is_not_taken_for_one_number() -> None:
    x, y = X[:C], Y[:C]

    def shares(w: Any, b: Any) -> Any:
        return np.exp(x @ w + b) / np.exp(x @ w + b).sum(axis=1, keepdims=True)

    def gradient(w: Any, b: Any) -> Any:
        delta = (shares(w, b) - y) / C
        return x.T @ delta, delta.sum(axis=1)

    def loss(w: Any, b: Any) -> Any:
        return -np.sum(y * np.log(shares(w, b))) / C

    check = check_gradient(loss, gradient, RANDOM.normal(size=(D, C)), RANDOM.normal(size=C), data=(x, y))
    assert "dL/db of layer 1 is summed over the units, not over the samples" in words(check)


def test_forms_of_a_right_gradient_that_update_alike_are_right() -> None:
    def named(w: Any, b: Any) -> Any:
        return {"dw": X.T @ error(w, b), "db": error(w, b).sum(axis=0)}

    def row(w: Any, b: Any) -> Any:
        return X.T @ error(w, b), error(w, b).sum(axis=0, keepdims=True)

    for gradient in (named, row):
        assert check_gradient(squares, gradient, V, B)
    assert check_gradient(squares, lambda w, b: tuple(named(w, b).values()), V, B[None, :])
    with rejects("gradient gave an array of shape [14], expected one for each of w, b"):
        check_gradient(squares, lambda w, b: np.concatenate([np.ravel(each) for each in row(w, b)]), V, B)


def test_labels_of_minus_1_and_1_samples_with_their_column_of_ones_and_columns_for_samples_are_recognised() -> None:
    w, b = RANDOM.normal(size=D), 0.3

    def logistic(w: Any, b: Any) -> Any:
        return np.mean(np.log1p(np.exp(-SIGNS * (X @ w + b))))

    def gradient(w: Any, b: Any) -> Any:
        delta = -SIGNS / (1 + np.exp(SIGNS * (X @ w + b))) / N
        return X.T @ delta, np.sum(delta)

    assert "sigmoid and binary cross-entropy, mean of 9" in check_gradient(
        logistic, gradient, w, b, data=(X, SIGNS)
    ).recognised  # fmt: skip
    ones = np.column_stack([np.ones(N), X])
    thetas = RANDOM.normal(size=(H, D + 1)), RANDOM.normal(size=(2, H + 1))

    def unrolled(t1: Any, t2: Any) -> Any:
        h = np.tanh(ones @ t1.T)
        return h, np.column_stack([np.ones(N), h]) @ t2.T - TARGETS

    def both(t1: Any, t2: Any) -> Any:
        h, delta = unrolled(t1, t2)
        return ((delta @ t2[:, 1:]) * (1 - h * h)).T @ ones, delta.T @ np.column_stack([np.ones(N), h])

    check = check_gradient(lambda *t: 0.5 * np.sum(unrolled(*t)[1] ** 2), both, *thetas, data=(ones, TARGETS))
    assert check
    assert check.recognised == "6-5-2, tanh, identity and squares, half the sum, biases first in W"
    columns = [x[:, None] for x in X], [y[:, None] for y in TARGETS]
    recognised = check_gradient(squares, lambda w, b: (X.T @ error(w, b), error(w, b).sum(axis=0)), V, B, data=columns)
    assert recognised.recognised == "6-2, identity and squares, half the sum, weights [in, out]"


def test_a_dead_network_has_a_gradient_of_zero_and_a_coarse_loss_hides_it() -> None:
    def loss(w: Any) -> Any:
        return np.sum((np.maximum(X @ w - 50, 0) - 1) ** 2) + np.sum(np.maximum(np.abs(w) - 1.02, 0))

    assert check_gradient(loss, lambda w: np.zeros_like(w), np.sign(V))
    assert not check_gradient(loss, lambda w: np.full_like(w, 1e-3), np.sign(V))
