"""What people would otherwise use, trained on the same samples in the same sequence with the same evaluation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]


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

    def accuracy(x: Floats, labels: NDArray[Any]) -> float:
        h = x.T  # one column a sample
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            h = 1 / (1 + np.exp(-(w @ h + b[:, None])))
        return float(np.mean(np.argmax(weights[-1] @ h + biases[-1][:, None], axis=0) == labels))

    rows: list[tuple[float, float, float]] = []
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
        rows.append((total / len(order), accuracy(x_train, labels_train), accuracy(x_test, labels_test)))
    return np.asarray(rows)
