"""What people would otherwise use, trained on the same samples in the same sequence with the same evaluation.

Each contender is a function of a `Workload` that returns a call and the seconds that compiling took. The call trains
from the start and returns the `Outcome`.
"""

import importlib
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.workloads import LEARNING_RATE, Floats, Workload, make


class Outcome(NamedTuple):
    """The mean loss before each update, in the first and in the last epoch; accuracies at the end, shares 0..1."""

    first_loss: float
    final_loss: float
    train_accuracy: float
    test_accuracy: float


Prepared = tuple[Callable[[], Outcome], float]


def numpy_loop(
    weights: list[Floats], biases: list[Floats], data: tuple[Floats, ...], orders: NDArray[Any], learning_rate: float
) -> NDArray[Any]:
    """The lecture's algorithm as the lecture writes it: sigmoid layers, a Python loop over samples, plain NumPy.

    Args:
        weights: ``W_l [n_l, n_(l-1)]``, updated in place.
        biases: ``b_l [n_l]``, updated in place.
        data: x_train, y_train, labels_train, x_test, y_test, labels_test as in `jaxmlp.Dataset`.
        orders: ``[epochs, n_train]``.
        learning_rate: of the plain gradient descent.

    Returns:
        ``[epochs, 3]``: mean loss before each update, training and test accuracy after each epoch.

    Source: lecture, steps 2 and 3.
    """
    x_train, y_train, labels_train, x_test, _, labels_test = data

    def forward(x: Floats) -> list[Floats]:
        h = [x]
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            h.append(1 / (1 + np.exp(-(w @ h[-1] + b))))
        g = weights[-1] @ h[-1] + biases[-1]
        e = np.exp(g - np.max(g))
        h.append(e / np.sum(e))
        return h

    rows: list[tuple[float, ...]] = []
    for order in orders:
        total = 0.0
        for i in order:
            y, h = y_train[i], forward(x_train[i])
            total += -np.sum(y * np.log(h[-1]))
            delta = h[-1] - y
            for layer in reversed(range(len(weights))):
                dw, db = np.outer(delta, h[layer]), delta
                if layer > 0:
                    delta = (delta @ weights[layer]) * h[layer] * (1 - h[layer])
                weights[layer] -= learning_rate * dw
                biases[layer] -= learning_rate * db
        scores = (
            accuracy(weights, biases, x, labels) for x, labels in ((x_train, labels_train), (x_test, labels_test))
        )
        rows.append((total / len(order), *scores))
    return np.asarray(rows)


def accuracy(weights: list[Floats], biases: list[Floats], x: Floats, labels: NDArray[Any]) -> float:
    """Share of rows ``x [n, n_0]`` classified correctly, all rows at once."""
    h = x
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        h = 1 / (1 + np.exp(-(h @ w.T + b)))
    return float(np.mean(np.argmax(h @ weights[-1].T + biases[-1], axis=1) == labels))


def numpy_training(workload: Workload) -> Prepared:
    """`numpy_loop`; batch size 1 only."""
    task = make(workload)

    def call() -> Outcome:
        weights, biases = ([part.copy() for part in parts] for parts in task[:2])
        rows = numpy_loop(weights, biases, task[2:8], task.orders, LEARNING_RATE).tolist()
        return Outcome(rows[0][0], *rows[-1])

    return call, 0.0


def scikit_learn(workload: Workload) -> Prepared:
    """scikit-learn's MLPClassifier, plain SGD: our initial parameters put into it, one `partial_fit` per epoch.

    Shuffling is off and the rows come in our order, so that it makes the same updates.
    """
    from sklearn.neural_network import MLPClassifier

    task = make(workload)

    def call() -> Outcome:
        model: Any = MLPClassifier(
            workload.sizes[1:-1],
            activation="logistic",
            solver="sgd",
            alpha=0,
            momentum=0,
            shuffle=False,
            nesterovs_momentum=False,
            learning_rate_init=LEARNING_RATE,
            batch_size=cast(Any, workload.batch_size),
        )
        first = slice(0, workload.batch_size)  # makes the arrays, then filled with our parameters
        model.partial_fit(task.x_train[first], task.labels_train[first], classes=np.arange(10))
        for ours, theirs in ((task.weights, model.coefs_), (task.biases, model.intercepts_)):
            for source, target in zip(ours, theirs, strict=True):
                target[...] = source.T
        losses: list[float] = []
        scores: list[float] = []
        for order in task.orders:
            model.partial_fit(task.x_train[order], task.labels_train[order])
            losses.append(float(model.loss_))
            rows = ((task.x_train, task.labels_train), (task.x_test, task.labels_test))
            scores = [float(np.mean(model.predict(x) == labels)) for x, labels in rows]
        return Outcome(losses[0], losses[-1], *scores)

    return call, 0.0


def numba_loops(njit: Callable[..., Any]) -> Callable[..., float]:
    """A function compiled by Numba's ``njit`` that trains an epoch of one hidden layer and returns the mean loss."""

    def forward_loops(w1: Floats, b1: Floats, w2: Floats, b2: Floats, x: Floats, h: Floats, g: Floats) -> None:
        one = b1.dtype.type(1)  # an int would make Numba compute in float64
        for i in range(len(h)):
            s = b1[i]
            for j in range(len(x)):
                s += w1[i, j] * x[j]
            h[i] = one / (one + math.exp(-s))
        for k in range(len(g)):
            s = b2[k]
            for i in range(len(h)):
                s += w2[k, i] * h[i]
            g[k] = s

    forward: Any = njit(forward_loops)

    def epoch(
        w1: Floats, b1: Floats, w2: Floats, b2: Floats, x: Floats, y: Floats, order: NDArray[Any], rate: Any
    ) -> float:
        h, e, back, one = np.empty_like(b1), np.empty_like(b2), np.empty_like(b1), b1.dtype.type(1)
        total = 0.0
        for row in order:
            forward(w1, b1, w2, b2, x[row], h, e)
            largest = e.max()
            normaliser, right = rate - rate, rate - rate  # zeros of the parameters' dtype
            for k in range(len(e)):
                right += y[row, k] * (e[k] - largest)
                e[k] = math.exp(e[k] - largest)
                normaliser += e[k]
            total += math.log(normaliser) - right
            back[:] = 0
            for k in range(len(e)):
                delta = e[k] / normaliser - y[row, k]
                for i in range(len(h)):
                    back[i] += delta * w2[k, i]
                for i in range(len(h)):
                    w2[k, i] -= rate * delta * h[i]
                b2[k] -= rate * delta
            for i in range(len(h)):
                delta = rate * back[i] * h[i] * (one - h[i])
                for j in range(x.shape[1]):
                    w1[i, j] -= delta * x[row, j]
                b1[i] -= delta
        return total / len(order)

    return njit(epoch)


def numba_training(workload: Workload) -> Prepared:
    """Numba's loops, with fastmath; one hidden layer, batch size 1. NumPy evaluates, faster than loops would."""
    task, rate = make(workload), np.dtype(workload.dtype).type(LEARNING_RATE)
    start = time.perf_counter()
    epoch = numba_loops(importlib.import_module("numba").njit(fastmath=True))

    def train(orders: NDArray[Any]) -> Outcome:
        params = [part.copy() for pair in zip(task.weights, task.biases, strict=True) for part in pair]
        losses: list[float] = []
        scores: list[float] = []
        for order in orders:
            losses.append(epoch(*params, task.x_train, task.y_train, order, rate))
            rows = ((task.x_train, task.labels_train), (task.x_test, task.labels_test))
            scores = [accuracy(params[::2], params[1::2], x, labels) for x, labels in rows]
        return Outcome(losses[0], losses[-1], *scores)

    train(task.orders[:1, :1])
    return lambda: train(task.orders), time.perf_counter() - start
