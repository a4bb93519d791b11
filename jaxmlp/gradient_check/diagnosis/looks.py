"""How an error looks if no known mistake explains it: a factor, a sign, one row, one element."""

import numpy as np

from jaxmlp.gradient_check.diagnosis.plain_network import Floats

__all__ = ["close", "factor", "looks", "where_wrong"]


def close(a: Floats, b: Floats, limit: float, noise: float = 0.0) -> bool:
    """Whether two arrays are equal: ``|a - b| <= limit max(|a|, |b|) + noise``, Euclidean norms."""
    if a.shape != b.shape or not np.isfinite(a).all() or not np.isfinite(b).all():
        return False
    error = float(np.linalg.norm(np.ravel(a - b)))
    return error <= limit * max(float(np.linalg.norm(np.ravel(leaf))) for leaf in (a, b)) + noise


def factor(got: Floats, right: Floats, limit: float, noise: float = 0.0) -> float | None:
    """The c with ``got = c right``, or None; c is not 0."""
    square = float(np.vdot(right, right))
    found = float(np.vdot(right, got)) / square if square and np.isfinite(got).all() else 0.0
    return found if found and right.size > 1 and close(got, found * right, limit, noise) else None


def where_wrong(wrong: Floats) -> str:
    """Which rows and columns of a mask ``[n, m]`` or elements of ``[n]`` are true, in words."""
    if wrong.size < 2 or not wrong.any():
        return ""
    wrong = wrong.ravel() if 1 in wrong.shape else wrong
    if wrong.all():
        return "all rows" if wrong.ndim > 1 else "all elements"
    if wrong.sum() == 1:
        return "only there"
    if wrong.ndim == 1:
        return f"elements {_listed(wrong)}"
    flat = wrong.reshape(len(wrong), -1)
    rows, columns = np.asarray(flat.any(axis=1)), np.asarray(flat.any(axis=0))
    if columns.sum() < rows.sum():
        return f"column{'s' * int(columns.sum() > 1)} {_listed(columns)}"
    return "all rows" if rows.all() else f"row{'s' * int(rows.sum() > 1)} {_listed(rows)}"


def _listed(mask: Floats) -> str:
    places = [str(place) for place in np.flatnonzero(mask)]
    return ", ".join(places) if len(places) <= 6 else f"{', '.join(places[:5])}, .. ({len(places)} of {len(mask)})"


def looks(got: Floats, right: Floats, limit: float, noise: float = 0.0) -> str:
    """Words on the error of ``got``, an array that should equal ``right``, of the same shape. They follow a name."""
    if not np.isfinite(got).all():
        where = [int(i) for i in np.argwhere(~np.isfinite(got))[0]]
        return f"is not finite, first at {where}: {got[tuple(where)]}"
    if not got.any():
        return "is zero"
    c = factor(got, right, limit, noise)
    if c is not None:
        return "has its sign flipped" if abs(c + 1) < 1e-4 else f"is scaled by {c:.6g}"
    top = float(np.abs(got).max())
    if (np.abs(got) == top).sum() > 1 and close(got, np.clip(right, -top, top), limit, noise):
        return f"is clipped at {top:.4g}"
    error = np.abs(got - right)
    off = error > max(limit * float(np.abs(right).max()), 1e-3 * float(error.max()))
    if off.sum() == 1:
        at = tuple(int(i) for i in np.argwhere(off)[0])
        times = f", {got[at] / right[at]:.6g} times the right value" if right[at] else ""
        return f"is wrong in one element, {list(at)}: {got[at]:.6g} instead of {right[at]:.6g}{times}"
    relative = float(np.linalg.norm(error)) / (float(np.linalg.norm(right)) or 1.0)
    place = "" if off.all() or off.ndim == 0 else f" in {where_wrong(off)}" if "all" not in where_wrong(off) else ""
    if off.ndim in (1, 2) and place:
        rows = off.ndim == 1 or "row" in place
        part = (off.reshape(len(off), -1).any(axis=1), 0) if rows else (off.any(axis=0), 1)
        a, b = (np.compress(part[0], each, axis=part[1]) for each in (got, right))
        if not a.any():
            return f"is zero{place}"
        c = factor(a, b, limit, noise)
        if c is not None:
            return f"is scaled by {c:.6g}{place}"
    if relative < 1e-2 and not place:
        return f"has a relative error of {relative:.1e}: a cast to low precision on the way?"
    return f"is wrong{place}, relative error {relative:.2g}"
