"""Checks of inputs: each raises InputError with a one-line message, the value and what was expected."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MAX_INT", "Floats", "InputError", "Integers", "check_finite", "check_flag", "check_held", "check_kind",
    "check_labels", "check_number", "check_one_of", "check_orders", "check_seed", "check_sizes", "check_weights",
    "check_whole", "class_weights", "sizes_of",
]  # fmt: skip

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
MAX_INT = 2**31 - 1


class InputError(ValueError):
    """A value that jaxmlp cannot work with; the message is one line: the value and what was expected."""


def check_sizes(sizes: Sequence[Any]) -> tuple[int, ...]:
    """``sizes = (n_0, .., n_L)`` as a tuple; raises InputError for a width below 1 or over 100 million parameters."""
    for width in sizes:
        if not isinstance(width, (int, np.integer)) or width < 1:
            raise InputError(f"width is {width}, expected a whole number of 1 or more")
    if len(sizes) < 2:
        raise InputError(f"sizes are {tuple(sizes)}, expected at least inputs and outputs")
    count = sum(n_out * (n_in + 1) for n_in, n_out in itertools.pairwise(sizes))
    if count > 10**8:
        raise InputError(f"sizes {tuple(sizes)} make {count:,} parameters, expected at most 100,000,000")
    return tuple(int(width) for width in sizes)


def sizes_of(params: Any) -> tuple[int, ...]:
    """Widths ``(n_0, .., n_L)`` of the network with the parameters ``params``.

    Raises:
        InputError: no layer, or a layer of wrong shapes. Expected: weights ``[n_out, n_in]``, biases ``[n_out]``, and
            ``n_in`` equal to ``n_out`` of the layer before.
    """
    if not params:
        raise InputError("parameters have no layer, expected one or more")
    sizes = (params[0].weights.shape[-1], *(layer.weights.shape[0] for layer in params))
    for number, ((n_in, n_out), layer) in enumerate(zip(itertools.pairwise(sizes), params, strict=True), 1):
        weights, biases = layer.weights.shape, layer.biases.shape
        if (weights, biases) != ((n_out, n_in), (n_out,)):
            raise InputError(f"layer {number} has shapes {weights} and {biases}, expected {n_out, n_in} and {(n_out,)}")
    return sizes


def check_seed(seed: Any) -> int:
    """``seed``; raises InputError unless it is a whole number in 0..2**32-1, the range of the lecture's generator."""
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise InputError(f"seed is {seed}, expected 0..{2**32 - 1}")
    return int(seed)


def check_whole(name: str, value: Any, least: int, most: int = MAX_INT) -> int:
    """``value`` as an int; raises InputError unless it is a whole number in ``least..most`` (True is not)."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) <= most:
        expected = f"{least} or more" if most == MAX_INT else f"{least}..{most}"
        raise InputError(f"{name} is {value!r}, expected a whole number, {expected}")
    return int(value)


def check_held(name: str, value: Any, dtype: Any) -> None:
    """Raise InputError unless ``dtype`` can represent ``value``: not as infinity, and not as zero if it is not zero."""
    kind = np.finfo(np.dtype(dtype))
    if not (value == 0 or float(kind.smallest_subnormal) <= abs(value) <= float(kind.max)):
        least, most = float(kind.smallest_subnormal), float(kind.max)
        raise InputError(f"{name} is {value}, expected {least:.3g} to {most:.3g}, which {kind.dtype} can hold")


def check_kind(name: str, value: Any, kind: Any, expected: str) -> Any:
    """``value``; raises InputError unless its type is ``kind``. The message names ``expected``, the kind in words."""
    if not isinstance(value, kind):
        raise InputError(f"{name} is {' '.join(repr(value).split()):.60}, expected {expected}")
    return value


def check_one_of(name: str, value: Any, names: Iterable[str]) -> Any:
    """``value``; raises InputError unless it is one of the ``names``."""
    known = list(names)
    if not isinstance(value, str) or value not in known:
        raise InputError(f"{name} is {value!r:.60}, expected one of {', '.join(known)}")
    return value


def check_flag(name: str, value: Any) -> bool:
    """``value``; raises InputError unless it is True or False, Python's or NumPy's."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{name} is {' '.join(repr(value).split()):.60}, expected True or False")
    return bool(value)


def check_orders(orders: NDArray[Any], n: int) -> None:
    """Raise InputError unless ``orders`` are integers ``[epochs, ...]`` that name rows 0..n-1."""
    if orders.ndim != 2 or orders.size == 0 or not np.issubdtype(orders.dtype, np.integer):
        raise InputError(f"orders have dtype {orders.dtype} and shape {orders.shape}, expected integers [epochs, n]")
    if orders.min() < 0 or orders.max() >= n:
        raise InputError(f"orders name rows outside 0..{n - 1}, the training rows")


def check_finite(x: Floats, name: str) -> None:
    """Raise InputError for the first number that is not finite in ``x [n, n_in]``, the ``name`` input."""
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        row, column = bad[0]
        raise InputError(f"{name} input [{row}, {column}] is {x[row, column]}, expected a finite number")


def check_labels(labels: Integers, n_classes: int) -> None:
    """Raise InputError unless ``labels [n]`` are integers in 0..n_classes-1."""
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"labels have dtype {labels.dtype} and shape {labels.shape}, expected integers [n]")
    bad = labels[(labels < 0) | (labels >= n_classes)]
    if len(bad):
        raise InputError(f"label {bad[0]} is outside 0..{n_classes - 1}")


def check_weights(sample_weight: Any, n: int) -> NDArray[np.float64]:
    """Sample weights as float64 ``[n]``, ones for None; raises InputError unless finite, 0 or more, not all 0."""
    if sample_weight is None:
        return np.ones(n)
    try:
        weights = np.asarray(sample_weight, np.float64)
    except (TypeError, ValueError):
        raise InputError("sample_weight has entries that are not numbers, expected a number for each sample") from None
    if weights.ndim == 0:
        weights = np.full(n, float(weights))
    if weights.shape != (n,):
        raise InputError(f"sample_weight has shape {weights.shape}, expected ({n},), a number for each sample")
    if not (np.all(np.isfinite(weights)) and np.all(weights >= 0)):
        worst = weights[np.argmin(np.where(np.isfinite(weights), weights, -np.inf))]
        raise InputError(f"sample_weight has {worst}, expected finite numbers, 0 or more")
    if not np.any(weights > 0):
        raise InputError("sample_weight is zero for every sample, expected a positive one")
    return weights


def check_number(name: str, value: Any, low: float, high: float) -> float:
    """``min(value, high)``; raises InputError unless ``value`` is a finite number, ``low`` or more (True is not)."""
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) < math.inf:
        raise InputError(f"{name} is {value!r}, expected a finite number, {low} or more")
    return min(float(value), high)


def class_weights(class_weight: Any, classes: NDArray[Any], labels: NDArray[Any], weights: NDArray[Any]) -> Any:
    """The factor of each sample's class, ``[n]``.

    Args:
        class_weight: already checked. None: all factors are 1; a mapping from class to factor, 1 for classes that it
            does not name; or "balanced": each class gets the same total weight.
        classes: the classes, sorted, ``[n_classes]``.
        labels: ``[n]``, indices of classes.
        weights: of the samples, ``[n]``.

    Raises:
        InputError: a class that is not in the data, a factor that is not a finite number, 0 or more.
    """
    if class_weight is None:
        return np.ones(len(labels))
    if isinstance(class_weight, str) and class_weight == "balanced":
        totals = np.bincount(labels, weights, len(classes))
        factors = np.divide(np.sum(totals), np.sum(totals > 0) * totals, out=np.zeros(len(totals)), where=totals > 0)
        return factors[labels]
    factors = np.ones(len(classes))
    for name, factor in cast(Mapping[Any, Any], class_weight).items():
        at = np.flatnonzero(classes == name)
        if len(at) != 1:
            raise InputError(f"class_weight names {name!r}, expected one of the classes {classes.tolist()}")
        factors[at[0]] = check_number(f"class_weight of {name!r}", factor, 0, math.inf)
    return factors[labels]
