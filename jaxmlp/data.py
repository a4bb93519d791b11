"""The data: handwritten digits, flattened, standardised, one-hot encoded and split (lecture, step 1)."""

from typing import Any, NamedTuple, cast

import jax.numpy as jnp
import numpy as np
import sklearn.datasets
from jax import Array
from numpy.typing import ArrayLike

from jaxmlp.checks import Floats, InputError, Integers, check_dataset, check_dtype, check_labels
from jaxmlp.showing import dataset_line, dataset_page, shown

__all__ = ["Dataset", "load_digits", "load_images", "make_dataset", "one_hot", "standardise"]


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
    """``(x - mean) / (std + 1e-7)`` for each column of ``x [n, n_in]``, population standard deviation (step 1)."""
    return (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-7)


def one_hot(labels: Integers, n_classes: int, dtype: str | np.dtype[Any] | type) -> Floats:
    """Rows of zeros with a one at each label: ``labels [n]`` to ``[n, n_classes]`` of ``dtype``."""
    return (labels[:, None] == np.arange(n_classes)).astype(dtype)


def load_images() -> tuple[Floats, Integers]:
    """The digits as they come: images ``[1797, 8, 8]`` with grey values 0..16, labels ``[1797]``."""
    bunch = cast(Any, sklearn.datasets.load_digits())
    return np.asarray(bunch.images, np.float64), np.asarray(bunch.target, np.int32)


def load_digits(dtype: str | np.dtype[Any] | type = "float32", n_test: int = 300) -> Dataset:
    """scikit-learn's 8x8 digits as the lecture prepares them.

    Args:
        dtype: float32 or float64; the arithmetic before the cast is float64.
        n_test: how many rows, the first of the file, are the test set; 1..1796.

    Returns:
        A Dataset with ``n_in = 64``, ``n_classes = 10``; by default 1,497 training and 300 test rows.

    Raises:
        InputError: an unsupported dtype or ``n_test`` out of range.

    Source: lecture, step 1.
    """
    images, labels = load_images()
    n = len(labels)
    if not 1 <= n_test < n:
        raise InputError(f"n_test is {n_test}, expected 1..{n - 1}")
    x = standardise(images.reshape(n, -1))
    return make_dataset(
        x_train=x[n_test:], labels_train=labels[n_test:], x_test=x[:n_test], labels_test=labels[:n_test],
        n_classes=10, dtype=dtype,
    )  # fmt: skip


def make_dataset(
    x_train: ArrayLike, labels_train: ArrayLike, x_test: ArrayLike, labels_test: ArrayLike, n_classes: int,
    dtype: str | np.dtype[Any] | type = "float32",
) -> Dataset:  # fmt: skip
    """A checked Dataset from samples ``[n, n_in]`` and integer labels ``[n]``; errors as `check_dataset`."""
    dtype = check_dtype(dtype)
    arrays: list[Array] = []
    for x, labels in ((x_train, labels_train), (x_test, labels_test)):
        labels = np.asarray(labels)
        check_labels(labels, n_classes)
        y = one_hot(labels, n_classes, dtype)
        arrays += [jnp.asarray(np.asarray(x, dtype)), jnp.asarray(y), jnp.asarray(labels.astype(np.int32))]
    dataset = Dataset(*arrays)
    check_dataset(dataset)
    return dataset
