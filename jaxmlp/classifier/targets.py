"""What a network is to learn, from the labels or numbers that a person gives: rows of numbers and an output."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from jaxmlp.checks import InputError
from jaxmlp.lecture.data import one_hot

__all__ = ["Targets", "as_rows", "class_targets", "number_targets"]


class Targets(NamedTuple):
    """What to learn.

    Attributes:
        values: ``[n, n_L]`` float64: one-hot rows, zeros and ones, or numbers.
        output: of `jaxmlp.OUTPUTS`: "softmax" for one class of several, "sigmoid" for any number of labels at once,
            "identity" for numbers.
        classes: ``[n_L]``, the labels of the outputs; None for numbers.
        labels: ``[n]``, each sample's index in ``classes``; None unless it has exactly one.
        column: whether ``y`` was ``[n]``.
    """

    values: NDArray[Any]
    output: str
    classes: NDArray[Any] | None = None
    labels: NDArray[Any] | None = None
    column: bool = True


def as_rows(y: Any) -> NDArray[Any]:
    """``y [n]`` or ``[n, K]``, dense; a column ``[n, 1]`` as ``[n]``, with scikit-learn's warning."""
    y = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
    return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y


def class_targets(y: NDArray[Any], classes: Any = None) -> Targets:
    """Of a classifier: of labels ``[n]``, or of zeros and ones ``[n, K]``, K labels of which a sample may have many.

    Args:
        y: from `as_rows`.
        classes: all labels there are, if ``y`` may lack some; None: those in it.

    Raises:
        InputError: a label that is not among the classes; another number of columns than of classes.
        ValueError: targets of a kind that is not for classification (scikit-learn's own).
    """
    check_classification_targets(y)
    if type_of_target(y) == "multilabel-indicator":
        known = np.arange(y.shape[1]) if classes is None else np.unique(np.asarray(classes))
        if len(known) != y.shape[1]:
            raise InputError(f"y has {y.shape[1]} columns, expected {len(known)}, one for each of the classes")
        return Targets((y != 0).astype(np.float64), "sigmoid", known, column=False)
    if y.ndim != 1:
        raise InputError(f"y has shape {y.shape}, expected one label per sample, or zeros and ones")
    known = np.unique(y) if classes is None else np.unique(np.asarray(classes))
    unknown = np.setdiff1d(y, known)
    if len(unknown):
        raise InputError(f"label {unknown.tolist()[0]!r} is not one of the classes {known.tolist()}")
    labels = np.searchsorted(known, y)
    return Targets(np.asarray(one_hot(labels, len(known), "float64")), "softmax", known, labels)


def number_targets(y: NDArray[Any]) -> Targets:
    """Of a regressor, of numbers ``[n]`` or ``[n, K]``."""
    values = y.astype(np.float64)
    return Targets(values if values.ndim == 2 else values[:, None], "identity", column=y.ndim == 1)
