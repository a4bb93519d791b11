"""scikit-learn's public loaders of the data sets that it bundles."""

from typing import Any, NamedTuple, cast

import numpy as np
import sklearn.datasets
from numpy.typing import NDArray

__all__ = ["Bundle", "load_bundle", "load_digits_images"]


class Bundle(NamedTuple):
    """A bundled data set.

    Attributes:
        x: ``[n, n_in]``, float64.
        labels: name of each row's class ``[n]``.
        names: names of the columns.
    """

    x: NDArray[np.float64]
    labels: NDArray[Any]
    names: tuple[str, ...]


def load_bundle(name: str) -> Bundle:
    """The data set "wine", "iris" or "breast_cancer"."""
    bunch: Any = getattr(sklearn.datasets, f"load_{name}")()
    labels = np.asarray(bunch.target_names[bunch.target])
    return Bundle(np.asarray(bunch.data, np.float64), labels, tuple(map(str, bunch.feature_names)))


def load_digits_images() -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The digits: images ``[1797, 8, 8]`` with grey values 0..16, float64, and labels ``[1797]``, int32."""
    bunch = cast(Any, sklearn.datasets.load_digits())
    return np.asarray(bunch.images, np.float64), np.asarray(bunch.target, np.int32)
