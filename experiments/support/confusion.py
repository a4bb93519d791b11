"""How often each class is taken for each."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["confusion_counts"]


def confusion_counts(labels: ArrayLike, predicted: ArrayLike, n_classes: int) -> NDArray[Any]:
    """Rows by label, columns by prediction: ``[n_classes, n_classes]`` from two ``[n]`` of 0..n_classes-1."""
    counts = np.zeros((n_classes, n_classes), int)
    np.add.at(counts, (np.asarray(labels), np.asarray(predicted)), 1)
    return counts
