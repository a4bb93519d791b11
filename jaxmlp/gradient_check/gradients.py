"""The result of a user's gradient function: its leaves, matched with the parameters' leaves, and what is odd in it."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxmlp.checks import InputError
from jaxmlp.gradient_check.answer import LeafCheck
from jaxmlp.gradient_check.calling import Parameters
from jaxmlp.gradient_check.trees import leaves_like, renamed

__all__ = ["Returned", "cast_findings", "returned_gradient"]


class Returned(NamedTuple):
    """A gradient as it was returned.

    Attributes:
        leaves: an array for each leaf of the parameters, in float64, or None where it is missing.
        dtypes: their dtypes as the function gave them for float64 parameters; "" where a leaf is missing.
        extra: paths that the parameters do not have.
        loss: the loss that was returned with the gradient, or None.
        scatter: for each leaf, the absolute error of an element by the gradient's own rounding.
        findings: a sentence if the gradient is random; else empty.
    """

    leaves: list[NDArray[Any] | None]
    dtypes: list[str]
    extra: list[str]
    loss: float | None
    scatter: list[float]
    findings: list[str]


def returned_gradient(gradient: Callable[..., Any], parameters: Parameters) -> Returned:
    """Call ``gradient`` twice as the user would, and in float64 if their parameters are not float64.

    Raises:
        InputError: a gradient that does not consist of numbers.
    """
    first, extra, loss = _read(parameters.call(gradient, "gradient", own=True), parameters)
    again, *_ = _read(parameters.call(gradient, "gradient", own=True), parameters)
    findings = _random(first, again, parameters)
    wide = first
    if parameters.widened:
        wide, *_ = _read(parameters.call(gradient, "gradient"), parameters)
    arrays = [None if leaf is None else leaf.astype(np.float64) for leaf in wide]
    scatter = [0.0] * len(arrays)
    if any(leaf is not None and _bits(leaf.dtype.name) < 64 for leaf in wide):
        nudged = parameters.theta * (1 + 1e-7 * np.random.default_rng(0).standard_normal(len(parameters.theta)))
        other, *_ = _read(parameters.call(gradient, "gradient", nudged), parameters)
        scatter = [
            0.0 if a is None or b is None or a.shape != b.shape or not a.size
            else float(np.sqrt(np.mean(np.square(a - b.astype(np.float64)))))
            for a, b in zip(arrays, other, strict=True)
        ]  # fmt: skip
    dtypes = ["" if leaf is None else leaf.dtype.name for leaf in wide]
    return Returned(arrays, dtypes, extra, loss, scatter, findings)


def _read(result: Any, parameters: Parameters) -> tuple[list[NDArray[Any] | None], list[str], float | None]:
    """Copies of the arrays in ``result``, one per leaf of the parameters; extra paths; the loss, if it comes first."""
    if result is None:
        raise InputError("gradient gave None, expected what has the structure of the parameters: a forgotten return?")
    readings: list[tuple[Any, float | None]] = [(result, None)]
    pair = isinstance(result, (tuple, list)) and len(result) in (1, 2)
    if pair and len(parameters.tree) == 1 and len(result) == 1:
        readings.append((result[0], None))
    if pair and len(result) == 2 and (number := _number(result[0])) is not None:
        readings.append((result[1], number))
        if len(parameters.tree) == 1 and isinstance(result[1], (tuple, list)) and len(result[1]) == 1:
            readings.append((result[1][0], number))
    wanted = dict(zip([leaf.path for leaf in parameters.leaves], parameters.shapes, strict=True))

    def fitting(found: dict[str, Any]) -> tuple[int, int]:
        return sum(np.shape(found[path]) == wanted[path] for path in found if path in wanted), sum(
            path in wanted for path in found
        ) - len(found)

    # The reading that fits best; the first one if several fit equally well.
    found, loss = max(((_paths(tree, parameters), loss) for tree, loss in readings), key=lambda each: fitting(each[0]))
    leaves = [found.pop(path, None) for path in wanted]
    pairs = zip(leaves, wanted.values(), strict=True)
    arrays = [None if leaf is None else _broadcast(np.array(leaf), shape) for leaf, shape in pairs]
    return arrays, list(found), loss


def _broadcast(leaf: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """``leaf`` in the parameter's shape, if an update with either shape gives the same result.

    This is true for [n] and [1, n], and for one number; not for [n] and [n, 1].
    """
    bare = [tuple(itertools.dropwhile(lambda n: n == 1, each)) for each in (leaf.shape, shape)]
    return leaf.reshape(shape) if bare[0] == bare[1] or leaf.size == 1 == int(np.prod(shape)) else leaf


def _number(value: Any) -> float | None:
    array = None if isinstance(value, (dict, list, tuple, str)) or value is None else np.asarray(value)
    return float(array.reshape(())) if array is not None and array.size == 1 and array.dtype.kind in "fiu" else None


def _paths(result: Any, parameters: Parameters) -> dict[str, Any]:
    """The leaves of ``result``, by the paths of the parameters' leaves."""
    names, trees = parameters.names, parameters.tree
    if len(trees) > 1 and isinstance(result, Mapping):  # by the names of the arguments
        by_name = renamed(result, names)
        result = [by_name.pop(name, None) for name in names] + list(by_name.values())
    several = len(trees) > 1 and isinstance(result, (tuple, list, np.ndarray))
    if several and isinstance(result, np.ndarray) and result.dtype != object and len(result) != len(trees):
        shape = list(result.shape)
        raise InputError(f"gradient gave an array of shape {shape}, expected one for each of {', '.join(names)}")
    found: dict[str, Any] = {}
    for place, tree in enumerate(result if several else (result,)):
        name, like = (names[place], trees[place]) if place < len(trees) else (f"gradient[{place}]", None)
        try:
            found |= {leaf.path: leaf.value for leaf in leaves_like(tree, like, name)}
        except InputError as error:
            raise InputError(f"gradient: {error}") from None
    return found


def _random(first: list[Any], again: list[Any], parameters: Parameters) -> list[str]:
    """A finding if two calls at one place differ by more than the order of a sum can explain; else none."""
    for leaf, a, b in zip(parameters.leaves, first, again, strict=True):
        if a is None or b is None or a.shape != b.shape:
            continue
        a, b = a.astype(np.float64), b.astype(np.float64)
        gap, size = float(np.nan_to_num(np.abs(a - b)).max(initial=0)), float(np.nan_to_num(np.abs(a)).max(initial=0))
        if gap > 1e-12 * size:
            twice = a.size and np.allclose(b, 2 * a, rtol=1e-9, atol=0)
            words = (
                "the second is twice the first, so it adds to what is left of an earlier call"
                if twice
                else (f"{leaf.path} differs by {gap / size if size else gap:.1g} of its size")
            )
            return [f"gradient is random, or has a memory: of two calls at one place {words}"]
    return []


def cast_findings(parameters: Parameters, returned: Returned, rows: list[LeafCheck]) -> list[str]:
    """Findings on leaves of low precision among float64 leaves."""
    paths = [leaf.path for leaf in parameters.leaves]
    narrow = [path for path, dtype in zip(paths, returned.dtypes, strict=True) if _bits(dtype) < 64]
    found: list[str] = []
    others = [dtype for dtype in returned.dtypes if _bits(dtype) == 64]
    if narrow and others:
        name = next(dtype for dtype in returned.dtypes if _bits(dtype) < 64)
        found.append(f"{', '.join(narrow)}: {name} where the other gradients are float64")
    cast = [
        path for path, array, row, dtype in zip(paths, returned.leaves, rows, returned.dtypes, strict=False)
        if array is not None and dtype == "float64" and row.verdict in ("nearly", "wrong") and row.error < 1e-6
        and array.size > 1 and array.any() and np.array_equal(array, array.astype(np.float32).astype(np.float64))
    ]  # fmt: skip
    if cast and len(cast) < len(paths):
        found.append(f"{', '.join(cast)}: cast to float32 on the way, the numbers have no more digits")
    return found


def _bits(dtype: str) -> int:
    """The bits of a floating dtype; 64 for integers, which are exact, and for a missing leaf."""
    return np.dtype(dtype).itemsize * 8 if "float" in dtype else 64
