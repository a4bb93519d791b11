"""`jaxmlp.save` and `jaxmlp.load`: trained networks in files that are safe to open."""

import dataclasses
import os
import stat
from pathlib import Path
from typing import Any

from jaxmlp import models
from jaxmlp.checks import InputError
from jaxmlp.files import whole_file
from jaxmlp.models.model import Model
from jaxmlp.models.model_format import MAX_HEADER, check_header, decode, encode
from jaxmlp.tables import Preparation

__all__ = ["load", "save"]


def save(
    path: str | os.PathLike[str],
    model: Any,
    overwrite: bool = False,
    preparation: Preparation | None = None,
) -> None:
    """Write a network to a safetensors file (format: `jaxmlp.models.model_format`). The file is whole or not there.

    Args:
        path: of the file, in a folder that exists.
        model: a `jaxmlp.Model`; or a fitted `MLPClassifier` or `MLPRegressor`, whose settings, classes and curves go
            with it, a Pipeline of scikit-learn's scalers (standard, min-max, max-abs, robust) and one of these, or a
            search, of which the best estimator is saved.
        overwrite: whether an existing file may be replaced.
        preparation: how raw samples become inputs, such as `Table.preparation`, for a model that has none. Without
            one, samples are used as inputs unchanged.

    Raises:
        InputError: a model that a file cannot hold, a path that cannot be written, a file that exists.
    """
    found = model if isinstance(model, Model) else models.model_of(model)
    content = encode(found if preparation is None else dataclasses.replace(found, preparation=preparation))
    target = Path(path)
    if not overwrite and target.exists():
        raise InputError(f"{str(path)!r} exists, expected a new name, or overwrite=True")
    try:
        with whole_file(target) as file:
            file.write(content)
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror}") from None


def load(path: str | os.PathLike[str]) -> Any:
    """Read a file that `save` wrote: the same bits, whether JAX's 64-bit mode is on or off.

    It runs nothing from the file. It checks the size of the header and of the file before it reads the file, then
    every shape, dtype, name and number, and the checksum of the contents.

    Args:
        path: of the file.

    Returns:
        A `Model`, or the fitted `MLPClassifier`, `MLPRegressor` or Pipeline, whichever was saved; parameters are NumPy
        arrays. An estimator has no optimiser state and no random numbers: `partial_fit` continues from the parameters
        and begins both again.

    Raises:
        InputError: a file that cannot be read, or that `save` did not write.
    """
    try:
        model = decode(_read(path))
        return model if model.classifier is None else models.estimator_of(model)
    except InputError as error:
        raise InputError(f"{str(path)!r} is no model that can be loaded: {error}") from None


def _read(path: str | os.PathLike[str]) -> bytes:
    """Read the whole file, if its header says that `save` wrote it."""
    try:
        # A pipe without a writer would otherwise wait for one.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
            status: Any = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError("it is not a regular file")
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > min(MAX_HEADER, status.st_size - 8):
                raise InputError("its header is not that of safetensors")
            header = file.read(length)
            payload = status.st_size - 8 - length
            check_header(header, payload)
            return start + header + file.read(payload)
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        if isinstance(error, InputError):
            raise
        raise InputError(f"it cannot be read ({getattr(error, 'strerror', error)})") from None
