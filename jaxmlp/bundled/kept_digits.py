"""A copy of the digits, beside the compiled programs: importing scikit-learn takes longer than training on them."""

import importlib.metadata
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jaxmlp import bundled, runtime
from jaxmlp.files import whole_file

__all__ = ["read_digits"]

SHAPE = (1797, 8, 8)


def read_digits() -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Images ``[1797, 8, 8]`` with grey values 0..16, float64, and labels ``[1797]``, int32.

    They come from scikit-learn's loader, unless an earlier process kept a copy from the same version of scikit-learn.
    This process keeps a copy if it keeps compiled programs in `jaxmlp.runtime.cache_folder`.
    """
    path = runtime.cache_folder() / f"digits-{importlib.metadata.version('scikit-learn')}.npz"
    kept = _read(path)
    if kept is not None:
        return kept
    images, labels = bundled.load_digits_images()
    if runtime.caching():
        _keep(path, images, labels)
    return images, labels


def _read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int32]] | None:
    """The kept copy; None if there is none or it is not intact. A zip file contains checksums of its parts."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as found:
            images, labels = found["images"], found["labels"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if (images.shape, images.dtype, labels.shape, labels.dtype) != (SHAPE, np.uint8, SHAPE[:1], np.uint8):
        return None
    return images.astype(np.float64), labels.astype(np.int32)


def _keep(path: Path, images: NDArray[np.float64], labels: NDArray[np.int32]) -> None:
    """Write the copy if that is possible; grey values and labels are whole numbers below 256."""
    try:
        with whole_file(path) as file:
            np.savez(file, images=images.astype(np.uint8), labels=labels.astype(np.uint8))
    except OSError:
        return  # the next process loads them from scikit-learn again
