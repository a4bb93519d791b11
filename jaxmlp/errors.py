"""The one exception for a value that came from outside and cannot be used."""

from typing import Any

import numpy as np

__all__ = ["InputError", "is_integer"]


class InputError(ValueError):
    """A value that jaxmlp cannot work with; the message is one line: the value and what was expected."""


def is_integer(value: Any) -> bool:
    """Whether ``value`` is an integer, Python's or NumPy's, whatever its annotation promised."""
    return isinstance(value, (int, np.integer))
