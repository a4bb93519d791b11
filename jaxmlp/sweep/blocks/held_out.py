"""Rows held out of training, for choosing between networks; the test rows are used only after the choice."""

import hashlib
from typing import Any, NamedTuple, cast

import jax
import numpy as np
from jax import Array

from jaxmlp.checks import InputError
from jaxmlp.lecture.data import Dataset

__all__ = ["Data", "Rows", "data_hash", "hold_out"]


class Rows(NamedTuple):
    """Samples ``x [n, n_in]``, one-hot ``y [n, n_classes]`` and ``labels [n]``."""

    x: Array
    y: Array
    labels: Array


class Data(NamedTuple):
    """What a sweep trains and chooses on: a dataset without the validation rows, and these rows, possibly none."""

    dataset: Dataset
    validation: Rows


def hold_out(dataset: Dataset, n_validation: int = 300) -> Data:
    """Hold out the last ``n_validation`` training rows.

    Raises:
        InputError: ``n_validation`` outside ``0..n_train - 1``.
    """
    n = len(dataset.labels_train) - n_validation
    if not 0 < n <= len(dataset.labels_train):
        raise InputError(f"validation rows are {n_validation}, expected 0..{len(dataset.labels_train) - 1}")
    # A plain Dataset, also of a Table: its names are nothing that a compiled program is given. Of NumPy: JAX would
    # compile a program for each slice.
    x, y, labels, *test = cast(Any, map(np.asarray, dataset))
    training = Dataset(x[:n], y[:n], labels[:n], *test)
    return Data(training, Rows(x[n:], y[n:], labels[n:]))


def data_hash(data: Data) -> str:
    """16 hexadecimal digits that tell data apart: values, shapes, dtypes and which rows validate."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(data):
        array = np.asarray(leaf)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
