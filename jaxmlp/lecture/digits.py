"""The handwritten digits of the lecture, flattened, standardised and split as in the lecture (step 1).

    (c)  the first 300 rows of the file are the test set, the other 1,497 the training set

Each column is standardised over all 1,797 rows, before the split.
"""

from typing import Any

import numpy as np

from jaxmlp import bundled
from jaxmlp.checks import Floats, InputError, Integers
from jaxmlp.lecture.data import Dataset, make_dataset, standardise

__all__ = ["load_digits", "load_images"]


def load_images() -> tuple[Floats, Integers]:
    """The digits, unprepared: images ``[1797, 8, 8]`` with grey values 0..16, float64, and labels ``[1797]``, int32.

    They come from scikit-learn, or from the copy that an earlier program kept (see `jaxmlp.runtime.configure`).
    """
    return bundled.read_digits()


def load_digits(dtype: str | np.dtype[Any] | type = "float32", n_test: int = 300) -> Dataset:
    """scikit-learn's 8x8 digits as the lecture prepares them.

    Args:
        dtype: float32 or float64; the arithmetic before the cast is float64.
        n_test: number of test rows, 1..1796. They are the first rows of the file.

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
    training, test = slice(n_test, None), slice(n_test)  # (c)
    return make_dataset(x[training], labels[training], x[test], labels[test], n_classes=10, dtype=dtype)
