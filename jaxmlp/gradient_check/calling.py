"""Calls of a user's function with copies of the parameters; which of them the function changes.

One flat float64 vector contains the numbers of all leaves; each call gets a new tree of views of it. After the call
the vector is compared: changes by the function are remembered and undone, so that nothing spoils the next call.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from numbers import Number
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from jaxmlp.checks import InputError
from jaxmlp.gradient_check.trees import Leaf, build, leaves_of

__all__ = ["Parameters", "scalar"]

Floats = NDArray[np.float64]


class Parameters:
    """The parameters of a check, private copies.

    Attributes:
        tree: the params as they were given.
        names: of the params.
        leaves: of the tree.
        theta: all their numbers ``[P]``, float64.
        places: the slice of each leaf in ``theta``.
        shapes: of the leaves.
        widened: whether a leaf is not float64; a call in float64 then differs from the user's own call.
        in_jax: whether a leaf is a JAX array.
        in_lists: whether a leaf is a number or a list of numbers, not an array.
        changed: paths of the leaves that a function changed in place, by the function's name.
    """

    def __init__(self, params: Sequence[Any], names: Sequence[str]) -> None:
        self.tree, self.names = tuple(params), list(names)
        self.leaves: list[Leaf] = [leaf for p, name in zip(params, names, strict=True) for leaf in leaves_of(p, name)]
        arrays = [leaf.array for leaf in self.leaves]
        if not sum(array.size for array in arrays):
            raise InputError("no number in the parameters, nothing to check")
        ends = np.cumsum([array.size for array in arrays])
        self.places = [slice(end - array.size, end) for end, array in zip(ends, arrays, strict=True)]
        self.theta: Floats = np.concatenate([np.ravel(array) for array in arrays]).astype(np.float64)
        if not np.isfinite(self.theta).all():
            path = next(
                leaf.path
                for leaf, at in zip(self.leaves, self.places, strict=True)
                if not np.isfinite(self.theta[at]).all()
            )
            raise InputError(f"{path} contains a NaN or an infinity, expected finite parameters")
        self.shapes = [array.shape for array in arrays]
        self.widened = any(array.dtype != np.float64 for array in arrays)
        self.in_lists = any(isinstance(leaf.value, (list, tuple, Number, np.generic)) for leaf in self.leaves)
        self.in_jax = any(isinstance(leaf.value, jax.Array) for leaf in self.leaves)
        self.changed: dict[str, list[str]] = {}
        self._buffer = self.theta.copy()

    def split(self, theta: NDArray[Any]) -> list[NDArray[Any]]:
        """The leaves' arrays in a flat vector, as views."""
        return [theta[at].reshape(shape) for at, shape in zip(self.places, self.shapes, strict=True)]

    def rebuild(self, values: Iterable[Any], as_given: bool = False) -> tuple[Any, ...]:
        """New params with ``values`` for their leaves, see `build`."""
        remaining = iter(values)
        return tuple(build(tree, remaining, as_given) for tree in self.tree)

    def call(self, function: Callable[..., Any], name: str, theta: Floats | None = None, own: bool = False) -> Any:
        """``function`` at ``theta`` (default: the user's parameters), in float64 or, with ``own``, in their dtypes.

        JAX arrays stay JAX arrays, in float32 while 64-bit mode is off. It is not turned on for the call: JAX keeps
        its copies of the user's NumPy arrays, and would return the copies in 64 bits later.
        """
        theta = self.theta if theta is None else theta
        self._buffer[:] = theta
        views = [*map(self._given, self.leaves, self.split(self._buffer), itertools.repeat(own))]
        tree = self.rebuild(views)
        # Numbers and lists are made anew from the views.
        given = [leaf.value for each in tree for leaf in leaves_of(each, "")] if self.in_lists else views
        result = function(*tree)
        self._notice(name, theta, tree, given, own)
        return result

    def _given(self, leaf: Leaf, view: Floats, own: bool) -> Any:
        """The value that a call gets for ``leaf``: a view that the call may change, of the leaf's own class."""
        strict = isinstance(leaf.value, jax.Array) and jax.config.values["jax_numpy_dtype_promotion"] == "strict"
        array: Any = view.astype(leaf.array.dtype) if own or strict else view
        if isinstance(leaf.value, jax.Array):
            return jax.numpy.asarray(np.array(array))
        special = isinstance(leaf.value, np.ndarray) and type(leaf.value) is not np.ndarray
        return array.view(type(leaf.value)) if special else array  # np.matrix

    def _notice(self, name: str, theta: Floats, tree: Any, given: list[Any], own: bool) -> None:
        """Remember the leaves that the call changed or replaced."""
        try:
            now = {
                leaf.path: leaf.value for each, p in zip(tree, self.names, strict=True) for leaf in leaves_of(each, p)
            }
        except InputError:
            now = {}
        kept = len(now) == len(given) and all(
            now.get(leaf.path) is value for leaf, value in zip(self.leaves, given, strict=True)
        )
        # Lists and arrays in their own dtypes are no views of the buffer.
        if kept and not own and not self.in_lists and np.array_equal(self._buffer, theta):
            return
        for leaf, was, value in zip(self.leaves, self.split(theta), given, strict=True):
            array, new = np.asarray(value), now.get(leaf.path)
            same = new is not None and np.array_equal(np.asarray(new), array)
            paths = self.changed.setdefault(name, [])
            if not (same and np.array_equal(array, was.astype(array.dtype))) and leaf.path not in paths:
                paths.append(leaf.path)


def scalar(value: Any, what: str) -> float:
    """``value``, a number or an array of one, as a float.

    Raises:
        InputError: anything else.
    """
    if isinstance(value, (tuple, list, dict, str)) or value is None:
        raise InputError(f"{what} gave a {type(value).__name__}, expected one number")
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "fiub":
        raise InputError(f"{what} gave an array of shape {list(array.shape)}, expected one number")
    return float(array.reshape(()))
