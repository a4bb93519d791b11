"""What the benchmarks train: the lecture's digits or synthetic images, initial parameters and sample orders.

Does not import JAX, so that it adds nothing to the cold start of the other contenders.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
import sklearn.datasets
from numpy.typing import NDArray

Floats = NDArray[Any]
LEARNING_RATE = 0.2


class Workload(NamedTuple):
    """A network of ``sizes``, sigmoid; 64 inputs are the digits, others synthetic images.

    Attributes:
        sizes: ``(n_0, .., n_L)``.
        batch_size: samples per update; the last batch of an epoch may be smaller.
        dtype: float32 or float64.
        epochs: each followed by an evaluation.
    """

    sizes: tuple[int, ...]
    batch_size: int
    dtype: str
    epochs: int

    @property
    def name(self) -> str:
        """As 64-20-10, batch 1, float64."""
        return f"{'-'.join(map(str, self.sizes))}, batch {self.batch_size}, {self.dtype}"

    @property
    def small(self) -> bool:
        """Whether a second thread only slows its products down."""
        return max(self.sizes) * self.batch_size < 10_000

    @property
    def updates(self) -> int:
        """Updates in all epochs."""
        return self.epochs * -(-N_TRAIN[self.sizes[0]] // self.batch_size)


N_TRAIN = {64: 1497, 784: 4096}
"""Training samples by number of inputs."""


class Task(NamedTuple):
    """A workload as NumPy arrays, the fields of `jaxmlp.Dataset` among them; orders ``[epochs, n_train]``."""

    weights: list[Floats]
    biases: list[Floats]
    x_train: Floats
    y_train: Floats
    labels_train: NDArray[Any]
    x_test: Floats
    y_test: Floats
    labels_test: NDArray[Any]
    orders: NDArray[Any]


def digits() -> tuple[Floats, NDArray[Any]]:
    """The lecture's rows, test set first: ``x [1797, 64]``, labels (lecture, step 1)."""
    loaded: Any = sklearn.datasets.load_digits(return_X_y=True)
    x, labels = loaded
    return (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-7), labels


def synthetic(n: int, n_in: int) -> tuple[Floats, NDArray[Any]]:
    """Ten overlapping clouds of points: ``x [n, n_in]`` of the digits' scale, labels ``[n]``."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, n)
    return random.normal(0, 0.2, (10, n_in))[labels] + random.normal(0, 1, (n, n_in)), labels


def make(workload: Workload) -> Task:
    """The arrays of ``workload``, in its dtype; the same at every call.

    Source: lecture, steps 1 to 3: weights, then an order per epoch, from one RandomState stream.
    """
    n_in, n_train = workload.sizes[0], N_TRAIN[workload.sizes[0]]
    x, labels = digits() if n_in == 64 else synthetic(n_train + 1024, n_in)
    x, y, n_test = x.astype(workload.dtype), np.eye(10, dtype=workload.dtype)[labels], len(x) - n_train
    stream = np.random.RandomState(0)
    weights = [
        stream.normal(0, 1 / np.sqrt(columns), (rows, columns)).astype(workload.dtype)
        for columns, rows in itertools.pairwise(workload.sizes)
    ]
    biases = [np.zeros(rows, workload.dtype) for rows in workload.sizes[1:]]
    orders = np.asarray([stream.permutation(n_train) for _ in range(workload.epochs)], np.int32)
    data = (x[n_test:], y[n_test:], labels[n_test:], x[:n_test], y[:n_test], labels[:n_test])
    return Task(weights, biases, *data, orders)
