"""Comparison of any gradients, leaf by leaf and pair by pair, on any pytree of parameters.

For leaves a and b the verdict depends on the norm-wise error: ``|a - b| <= relative max(|a|, |b|) + absolute``, with
Euclidean norms. The other numbers of a row show what kind of difference it is.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxmlp.checks import InputError
from jaxmlp.gradient_check.functions.numerical import FLOAT32_WARNING, NumericalGradient
from jaxmlp.gradient_check.functions.report import GradientReport, Row, Tolerance, Verdict
from jaxmlp.lecture.losses import GradientFunction

__all__ = ["NUMERICAL_TOLERANCES", "TOLERANCES", "compare_gradients", "compare_trees", "loss_and_gradient"]

# The absolute part is the rounding error of a gradient that is nearly zero: in a saturated network, delta = h - y has
# an error of eps, however small delta is. Leaves within the absolute part only are "tiny" in the report, not "agree".
TOLERANCES = {
    "float64": Tolerance(1e-12, 1e-14), "float32": Tolerance(1e-5, 5e-6),
    "float16": Tolerance(2e-2, 1e-2), "bfloat16": Tolerance(1e-1, 1e-1),
}  # fmt: skip
NUMERICAL_TOLERANCES = {
    "float64": Tolerance(1e-7, 2e-9), "float32": Tolerance(5e-2, 1e-2),
    "float16": Tolerance(5e-1, 5e-1), "bfloat16": Tolerance(5e-1, 5e-1),
}  # fmt: skip
MOST_ULPS = 10**9  # above, signs or magnitudes differ, and the number has no meaning


@jax.default_matmul_precision("highest")  # on a GPU, two results in TF32 would differ
def compare_gradients(
    gradients: Mapping[str, GradientFunction],
    params: Any,
    x: Any,
    y: Any,
    tolerance: Tolerance | None = None,
    numerical_tolerance: Tolerance | None = None,
) -> GradientReport:
    """Evaluate two or more gradient functions at the same place and compare them with each other.

    Args:
        gradients: by name. Pairs with a `NumericalGradient` have their own tolerance, and elements that cross
            a kink are left out of them.
        params: any pytree of floating arrays.
        x: as the functions take it.
        y: as the functions take it.
        tolerance: the default depends on the dtype, see `TOLERANCES`.
        numerical_tolerance: of pairs with a numerical gradient; for the default see `NUMERICAL_TOLERANCES`.

    Returns:
        A report with a row for each pair and leaf, and one for the loss. A gradient whose structure, shapes or dtypes
        differ from those of params gets rows against "params" instead.

    Raises:
        InputError: fewer than two gradients, nothing to compare in ``params``, a function that does not return a pair
            or returns a loss that is not one number.
    """
    _check(gradients, {"params": params})
    trees: dict[str, Any] = {}
    losses: dict[str, NDArray[Any]] = {}
    kinks: dict[str, Any] = {}
    notes: list[str] = []
    if jnp.result_type(float) != np.float64:
        if any(np.asarray(leaf).dtype == np.float64 for leaf in jax.tree.leaves(params)):
            notes.append('JAX is in float32, the parameters in float64: jax.config.update("jax_enable_x64", True)')
        params = jax.tree.map(_as_jax_has_it, params)
    for name, function in gradients.items():
        own = [jax.tree.map(_copied, each) for each in (params, x, y)]  # changes by one must not spoil the others
        if isinstance(function, NumericalGradient):
            result = function.result(*own)
            losses[name], trees[name], kinks[name] = np.asarray(result.loss), result.gradient, result.kinks
            if losses[name].dtype != np.float64:
                notes.append(f"{name}: {FLOAT32_WARNING}")
            crossed = sum(int(np.sum(mask)) for mask in jax.tree.leaves(result.kinks))
            if crossed:
                notes.append(f"{name}: {crossed} elements cross a kink and are left out")
        else:
            losses[name], trees[name] = loss_and_gradient(function(*own), name)
            if jax.tree.structure(own[0]) != jax.tree.structure(params) or not all(
                np.array_equal(a, b, equal_nan=True)
                for a, b in zip(jax.tree.leaves(own), jax.tree.leaves((params, x, y)), strict=True)
            ):
                notes.append(f"{name} changes its arguments in place; each gradient here gets copies of its own")
    rows = [
        Row.without_numbers(name, "params", path, verdict, note)
        for name, tree in trees.items()
        for path, verdict, note in _shape_differences(name, tree, "params", params)
    ]
    for first, second in itertools.combinations(trees, 2):
        masks = [kinks[name] for name in (first, second) if name in kinks]
        limits = (numerical_tolerance or NUMERICAL_TOLERANCES) if masks else (tolerance or TOLERANCES)
        rows += _pair(first, trees[first], second, trees[second], masks, limits)
        rows += _pair(first, {"loss": losses[first]}, second, {"loss": losses[second]}, [], limits)
    return GradientReport(tuple(rows), tuple(notes))


def loss_and_gradient(result: Any, name: str) -> tuple[NDArray[Any], Any]:
    """The loss and the gradient from the result of a gradient function.

    Raises:
        InputError: the result is not a pair, or its loss is not one number.
    """
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        what = f"{len(result)} values" if isinstance(result, (tuple, list)) else f"a {type(result).__name__}"
        raise InputError(f"{name} gave {what}, expected a pair (loss, gradient)")
    loss = np.asarray(result[0])
    if loss.size != 1 or loss.dtype == object:
        raise InputError(f"{name} gave a loss of shape {list(loss.shape)}, expected one number")
    return loss.reshape(()), jax.tree.map(_copied, result[1])


def _copied(leaf: Any) -> Any:
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def _as_jax_has_it(leaf: Any) -> Any:
    """A float64 NumPy array in float32, as JAX converts it while 64-bit mode is off."""
    return leaf.astype(np.float32) if isinstance(leaf, np.ndarray) and leaf.dtype == np.float64 else leaf


def compare_trees(trees: Mapping[str, Any], tolerance: Tolerance | None = None) -> GradientReport:
    """Compare two or more pytrees of floating arrays, pair by pair and leaf by leaf; tolerance as above.

    Raises:
        InputError: fewer than two trees, or all of them without an element.
    """
    _check(trees, trees)
    rows: list[Row] = []
    for first, second in itertools.combinations(trees, 2):
        rows += _pair(first, trees[first], second, trees[second], [], tolerance or TOLERANCES)
    return GradientReport(tuple(rows), ())


def _check(compared: Mapping[str, Any], trees: Mapping[str, Any]) -> None:
    if len(compared) < 2:
        raise InputError(f"{len(compared)} gradients given, expected two or more to compare")
    if not any(np.size(leaf) for tree in trees.values() for leaf in jax.tree.leaves(tree)):
        raise InputError(f"no element in {', '.join(trees)}, nothing to compare")


def _leaves(tree: Any) -> dict[str, NDArray[Any]]:
    """Leaves by readable path: ``[0].weights``."""
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}


def _shape_differences(first: str, tree: Any, second: str, other: Any) -> list[tuple[str, Verdict, str]]:
    """The differences of two trees, apart from their numbers: path, verdict and a note in words."""
    a, b = _leaves(tree), _leaves(other)
    found: list[tuple[str, Verdict, str]] = []
    for path in dict.fromkeys([*a, *b]):
        if path not in a or path not in b:
            found.append((path, "missing", f"missing in {first if path not in a else second}"))
        elif a[path].shape != b[path].shape:
            found.append((path, "shape", f"{list(a[path].shape)} against {list(b[path].shape)}"))
        elif a[path].dtype != b[path].dtype:
            found.append((path, "dtype", f"{a[path].dtype} against {b[path].dtype}"))
    if not found and jax.tree.structure(tree) != jax.tree.structure(other):
        found.append(("", "structure", f"{jax.tree.structure(tree)} against {jax.tree.structure(other)}"))
    return found


def _pair(
    first: str, tree: Any, second: str, other: Any, kinks: list[Any], limits: Tolerance | dict[str, Tolerance]
) -> list[Row]:
    """The rows of two trees. Elements marked in any of ``kinks``, which are trees of bool, are left out."""
    different = _shape_differences(first, tree, second, other)
    rows = [Row.without_numbers(first, second, *difference) for difference in different]
    a, b, masks = _leaves(tree), _leaves(other), [_leaves(mask) for mask in kinks]
    for path in a.keys() - {difference[0] for difference in different}:
        dtype = a[path].dtype.name
        if dtype not in TOLERANCES:
            raise InputError(f"leaf {path} has dtype {dtype}, expected one of {', '.join(TOLERANCES)}")
        left_out = np.zeros(a[path].shape, bool)
        for mask in masks:
            left_out = left_out | mask[path]
        limit = limits if isinstance(limits, Tolerance) else limits[dtype]
        rows.append(compare_leaves(first, second, path, a[path], b[path], left_out, limit))
    order = {path: place for place, path in enumerate(dict.fromkeys([*a, *b]))}
    return sorted(rows, key=lambda row: order.get(row.leaf, -1))


def compare_leaves(
    first: str, second: str, leaf: str, a: NDArray[Any], b: NDArray[Any], kinks: NDArray[np.bool_], limits: Tolerance
) -> Row:
    """The row of two arrays of one shape and dtype, elements in ``kinks`` left out."""
    size, used = a.size, ~kinks
    if size == 0 or not used.any():
        return Row.without_numbers(first, second, leaf, "kink" if size else "empty", f"{size} elements to compare")
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(wide_a) & np.isfinite(wide_b)
    if not finite[used].all():
        index = np.unravel_index(int(np.argmax(used & ~finite)), a.shape)
        values = float(wide_a[index]), float(wide_b[index])
        where = tuple(int(i) for i in index)
        return Row.without_numbers(first, second, leaf, "not finite", "", where, values)
    # Scaled by the power of two below the largest magnitude: this is exact, and no square overflows or vanishes.
    largest = float(max(np.abs(wide_a[used]).max(), np.abs(wide_b[used]).max()))
    unit = math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest else 1.0
    p, q = np.where(used, wide_a, 0) / unit, np.where(used, wide_b, 0) / unit
    gap = np.abs(p - q)
    larger = np.maximum(np.abs(p), np.abs(q))
    norm_p, norm_q, norm_gap = (float(np.linalg.norm(np.ravel(values))) for values in (p, q, gap))
    norm = max(norm_p, norm_q)
    index = np.unravel_index(int(np.argmax(gap)), a.shape)
    tiny = norm_gap > limits.relative * norm
    cosine = float(np.vdot(p, q)) / (norm_p * norm_q) if norm_p and norm_q else float(norm_p == norm_q)
    # Rounding does not make two gradients opposite, unless they are little more than zero.
    opposite = cosine < -0.9 and min(norm_p, norm_q) * unit > limits.absolute / 20
    agree = not tiny or (norm_gap <= limits.relative * norm + limits.absolute / unit and not opposite)
    ulps = int(_ulps(a[used], b[used]).max())
    return Row(
        first,
        second,
        leaf,
        tuple(a.shape),
        a.dtype.name,
        max_absolute=float(gap.max()) * unit,
        max_relative=float(np.max(gap / np.where(larger > 0, larger, 1))),
        norm_relative=norm_gap / norm if norm else 0.0,
        max_ulps=ulps if ulps <= MOST_ULPS else None,
        cosine=cosine,
        worst_index=tuple(int(i) for i in index),
        worst_values=(float(wide_a[index]), float(wide_b[index])),
        kinks=int(kinks.sum()),
        tolerance=limits,
        verdict=("tiny" if tiny else "agree") if agree else "differ",
        note="",
    )


def _ulps(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.uint64]:
    """How many floating-point numbers lie between a and b: their bits, read as integers, are in the same order."""
    bits = a.dtype.itemsize * 8

    def ordered(values: NDArray[Any]) -> NDArray[np.int64]:
        integers = np.ascontiguousarray(values).view(f"int{bits}").astype(np.int64)
        return np.where(integers < 0, -(2 ** (bits - 1)) - integers, integers)

    left, right = ordered(a), ordered(b)
    high, low = np.maximum(left, right), np.minimum(left, right)
    return high.view(np.uint64) - low.view(np.uint64)  # unsigned: from -1e308 to 1e308 is further than int64 reaches
