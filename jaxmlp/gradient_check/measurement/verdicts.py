"""The verdict on one leaf of a gradient, from its numbers and the measured numbers."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxmlp.gradient_check.answer import LeafCheck
from jaxmlp.gradient_check.diagnosis import looks, where_wrong
from jaxmlp.gradient_check.measurement.differences import Scale

__all__ = ["Measured", "judged", "not_comparable"]

Floats = NDArray[Any]


class Measured(NamedTuple):
    """A leaf of n numbers, and what is known about it.

    Attributes:
        mine: the returned gradient ``[n]``.
        known: the right numbers ``[n]``; NaN where unknown.
        bad: where the error of ``mine`` exceeds that of the measurement ``[n]``.
        error: norm of the measurement's errors.
        checked: how many were compared one by one.
        directions: along how many random directions all of them were compared.
        kinks: how many were left out.
        lost: how many could not be compared, since the loss beside them is not finite.
        typical: the typical size of a parameter here.
    """

    mine: Floats
    known: Floats
    bad: NDArray[np.bool_]
    error: float
    checked: int
    directions: int
    kinks: int
    lost: int
    typical: float


def not_comparable(leaf: str, shape: tuple[int, ...], got: Floats | None) -> LeafCheck:
    """The row of a leaf that is missing, has another shape, or contains a NaN or an infinity."""
    if got is None:
        return LeafCheck(leaf, "missing", shape, "the gradient has no such leaf")
    if got.size != int(np.prod(shape)) or (got.shape != shape and got.size > 1):
        transposed = ", it is transposed" if len(shape) == 2 and got.shape == shape[::-1] else ""
        return LeafCheck(leaf, "shape", shape, f"has shape {list(got.shape)}, expected {list(shape)}{transposed}")
    flat = got.ravel()
    first = int(np.argmin(np.isfinite(flat)))
    where = tuple(map(int, np.unravel_index(first, shape)))
    return LeafCheck(leaf, "not finite", shape, f"{flat[first]} at {list(where)}", worst=where, mine=float(flat[first]))


def judged(leaf: str, shape: tuple[int, ...], measured: Measured, scale: Scale) -> LeafCheck:
    """The row of a leaf that was compared."""
    mine, bad, known = measured.mine, measured.bad, np.isfinite(measured.known)
    lost = f"beside {measured.lost} of its numbers the loss is not finite"
    if not known.any():
        why = "at every number the loss has a kink" if measured.kinks and not measured.lost else lost
        return LeafCheck(leaf, "unknown", shape, why, kinks=measured.kinks)
    right = np.where(known, measured.known, 0)
    gap = np.where(known, mine - right, 0)
    norm = max(float(np.linalg.norm(np.where(known, each, 0))) for each in (mine, right))
    # A gradient of zero has no size of its own: its error is relative to its possible size.
    possible = scale.variation / measured.typical
    unit = norm if norm > 1e-6 * possible else possible
    error, tolerance = float(np.linalg.norm(gap)) / unit, measured.error / unit
    worst = int(np.argmax(np.where(bad, np.abs(gap), -1) if bad.any() else np.abs(gap)))

    def row(verdict: str, note: str = "") -> LeafCheck:
        where = tuple(map(int, np.unravel_index(worst, shape)))
        return LeafCheck(
            leaf,
            verdict,
            shape,
            note,
            error,
            tolerance,
            measured.checked,
            measured.directions,
            measured.kinks,
            where,
            float(mine[worst]),
            float(right[worst]),
        )

    if bad.any():
        # A small error in nearly all numbers is an approximation (an epsilon in a logarithm); in a few it is a mistake.
        spread = len(mine) > 1 and error <= 1e-6 and float(bad[known].mean()) > 0.8
        return row("nearly" if spread else "wrong", _note(measured, known, shape, max(1e-6, 4 * tolerance)))
    if measured.lost:
        return row("unknown", lost)
    if tolerance > 0.1 and scale.resolution > 1e-6:
        return row(
            "unknown", f"the loss's own rounding, {scale.noise:.1g}, hides up to {tolerance:.1g} of this gradient"
        )
    return row("right")


def _note(measured: Measured, known: NDArray[np.bool_], shape: tuple[int, ...], limit: float) -> str:
    """How a wrong leaf looks; if not all of it is known, only the place of a single wrong number."""
    if not known.all():
        return where_wrong(measured.bad.reshape(shape)) if measured.bad.sum() == 1 else ""
    got, right = measured.mine.reshape(shape), measured.known.reshape(shape)
    if len(shape) == 2 and shape[0] == shape[1] > 1 and np.allclose(got.T, right, rtol=1e-5, atol=0):
        return "it is transposed"
    words = looks(got, right, limit)
    telling = words.startswith(("is scaled", "has its sign", "is clipped", "is zero"))
    return words if telling else where_wrong(measured.bad.reshape(shape))
