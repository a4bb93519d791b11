"""The lecture's arithmetic in plain NumPy, one sample at a time, knowing nothing of jaxmlp.

Written from the lecture's formulas (steps 1 to 3), for any depth and activation. `Layers` is a list of (W, b).
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Layers = list[tuple[Vector, Vector]]


class Data(NamedTuple):
    x_train: Vector
    labels_train: NDArray[Any]
    x_test: Vector
    labels_test: NDArray[Any]
    n_classes: int


class Trained(NamedTuple):
    params: Layers
    loss: Vector
    train_accuracy: Vector
    test_accuracy: Vector
    snapshots: dict[int, Layers]


def activate(name: str, g: Vector) -> Vector:
    if name == "sigmoid":
        return 1 / (1 + np.exp(-g))
    if name == "tanh":
        return np.tanh(g)
    return np.where(g > 0, g, 0.0) if name == "relu" else g


def slope(name: str, g: Vector) -> Vector:
    """dh/dg, in terms of g: the library has it in terms of h."""
    if name == "sigmoid":
        return np.exp(-g) / (1 + np.exp(-g)) ** 2
    if name == "tanh":
        return 1 / np.cosh(g) ** 2
    return np.where(g > 0, 1.0, 0.0) if name == "relu" else np.ones_like(g)


def forward(params: Layers, x: Vector, names: Sequence[str]) -> tuple[list[Vector], list[Vector]]:
    """Every g_l and every h_l (h_0 = x) of one sample."""
    g: list[Vector] = []
    h = [x]
    for index, (weights, biases) in enumerate(params):
        g.append(weights.dot(h[-1]) + biases)
        if index < len(params) - 1:
            h.append(activate(names[index], g[-1]))
        else:
            exponentials = np.exp(g[-1] - g[-1].max())
            h.append(exponentials / exponentials.sum())
    return g, h


def sample_gradient(params: Layers, x: Vector, y: Vector, names: Sequence[str]) -> tuple[float, Layers]:
    """Loss and gradient of one sample."""
    g, h = forward(params, x, names)
    gradient: Layers = []
    delta = h[-1] - y
    for index in range(len(params) - 1, -1, -1):
        gradient.insert(0, (np.outer(delta, h[index]), delta))
        if index > 0:
            delta = delta.dot(params[index][0]) * slope(names[index - 1], g[index - 1])
    return -float(np.sum(y * np.log(h[-1]))), gradient


def batch_gradient(params: Layers, x: Vector, y: Vector, names: Sequence[str]) -> tuple[float, Layers]:
    """Means over the samples ``x [B, n_0]``, ``y [B, n_L]``."""
    losses: list[float] = []
    total = [(np.zeros_like(weights), np.zeros_like(biases)) for weights, biases in params]
    for x_sample, y_sample in zip(x, y, strict=True):
        loss, gradient = sample_gradient(params, x_sample, y_sample, names)
        losses.append(loss)
        total = [(tw + w, tb + b) for (tw, tb), (w, b) in zip(total, gradient, strict=True)]
    return float(np.mean(losses)), [(w / len(x), b / len(x)) for w, b in total]


def accuracy(params: Layers, x: Vector, labels: NDArray[Any], names: Sequence[str]) -> float:
    right = [forward(params, sample, names)[1][-1].argmax() == label for sample, label in zip(x, labels, strict=True)]
    return sum(right) / len(right)


def initial(random: np.random.RandomState, sizes: Sequence[int]) -> Layers:
    return [
        (random.normal(0, 1 / np.sqrt(n_in), (n_out, n_in)), np.zeros(n_out))
        for n_in, n_out in itertools.pairwise(sizes)
    ]


def train(
    data: Data,
    sizes: Sequence[int],
    seed: int,
    learning_rate: float,
    epochs: int,
    batch_size: int = 1,
    activation: str = "sigmoid",
    snapshots_after: Sequence[int] = (),
) -> Trained:
    """Train as the lecture does, weights and orders from one RandomState; keep the parameters after some updates."""
    random, names, n = np.random.RandomState(seed), [activation] * (len(sizes) - 2), len(data.x_train)
    params, targets = initial(random, sizes), np.eye(data.n_classes)[data.labels_train]
    history: list[tuple[float, float, float]] = []
    snapshots: dict[int, Layers] = {}
    updates = 0
    for _ in range(epochs):
        order, total = random.permutation(np.arange(n)), 0.0
        for start in range(0, n, batch_size):
            rows = order[start : start + batch_size]
            loss, gradient = batch_gradient(params, data.x_train[rows], targets[rows], names)
            total += loss * len(rows)
            params = [
                (w - learning_rate * dw, b - learning_rate * db)
                for (w, b), (dw, db) in zip(params, gradient, strict=True)
            ]
            updates += 1
            if updates in snapshots_after:
                snapshots[updates] = params
        train_accuracy = accuracy(params, data.x_train, data.labels_train, names)
        history.append((total / n, train_accuracy, accuracy(params, data.x_test, data.labels_test, names)))
    loss, train_accuracy, test_accuracy = np.array(history).T
    return Trained(params, loss, train_accuracy, test_accuracy, snapshots)
