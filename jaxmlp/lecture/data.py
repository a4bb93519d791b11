"""The data: samples and classes, standardised and one-hot encoded (lecture, step 1).

    (a)  x <- (x - mean(x)) / (std(x) + 1e-7)           for each column, over all rows
    (b)  y_k = 1 if k is the label, else 0

std is the population standard deviation: it divides by the number of rows, not by one less.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from jaxmlp.checks import Floats, Integers, check_labels
from jaxmlp.entrance import check_dataset, check_dtype
from jaxmlp.showing import dataset_line, dataset_page, shown

__all__ = ["Dataset", "make_dataset", "one_hot", "standardise"]


@shown(dataset_line, dataset_page)
class Dataset(NamedTuple):
    """Samples and their classes, split into training and test rows: a pytree of arrays.

    Attributes:
        x_train: ``[n_train, n_in]``, float32 or float64.
        y_train: ``[n_train, n_classes]``, one-hot, the dtype of ``x_train``.
        labels_train: ``[n_train]``, int32 in ``0..n_classes-1``.
        x_test: ``[n_test, n_in]``.
        y_test: ``[n_test, n_classes]``.
        labels_test: ``[n_test]``.
    """

    x_train: Array
    y_train: Array
    labels_train: Array
    x_test: Array
    y_test: Array
    labels_test: Array


def standardise(x: Floats) -> Floats:
    """``(x - mean) / (std + 1e-7)`` for each column of ``x [n, n_in]``, population standard deviation: (a)."""
    return (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-7)  # (a)


def one_hot(labels: Integers, n_classes: int, dtype: str | np.dtype[Any] | type) -> Floats:
    """Rows of zeros with a one at each label: ``labels [n]`` to ``[n, n_classes]`` of ``dtype``: (b)."""
    return (labels[:, None] == np.arange(n_classes)).astype(dtype)  # (b)


def make_dataset(
    x_train: ArrayLike,
    labels_train: ArrayLike,
    x_test: ArrayLike,
    labels_test: ArrayLike,
    n_classes: int,
    dtype: str | np.dtype[Any] | type = "float32",
) -> Dataset:
    """A checked Dataset from samples ``[n, n_in]`` and integer labels ``[n]``; errors as `check_dataset`."""
    dtype = check_dtype(dtype)
    arrays: list[Array] = []
    for x, labels in ((x_train, labels_train), (x_test, labels_test)):
        labels = np.asarray(labels)
        check_labels(labels, n_classes)
        y = one_hot(labels, n_classes, dtype)
        # Copies, since JAX may use its arguments' memory. `jax.numpy.asarray` would compile one program per array.
        arrays += jax.device_put([np.array(x, dtype), y, labels.astype(np.int32)])
    dataset = Dataset(*arrays)
    check_dataset(dataset)
    return dataset
