"""The report of a comparison: rows, a verdict, a table, JSON."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

from jax import Array

from jaxmlp.checks import InputError
from jaxmlp.showing import lines, page, table

__all__ = ["DifferentGradientsError", "GradientReport", "HessianVectorProduct", "Row", "Tolerance", "Verdict"]

HessianVectorProduct: TypeAlias = Callable[[Any, Any, Array, Array], Any]
"""``(params, direction, x, y) -> H direction``: the second derivative of the mean loss along a direction; direction
and result are pytrees like params."""
Verdict: TypeAlias = Literal[
    "agree", "tiny", "kink", "empty", "differ", "not finite", "shape", "dtype", "missing", "structure"
]
PASSING = ("agree", "tiny", "kink", "empty")
WIDTH = 100


class Tolerance(NamedTuple):
    """``|a - b| <= relative max(|a|, |b|) + absolute``, Euclidean norms of a leaf."""

    relative: float
    absolute: float = 0.0


class DifferentGradientsError(AssertionError):
    """Gradients that should agree differ; the message is the report."""


class Row(NamedTuple):
    """Two gradients at one leaf.

    Attributes:
        first: name of a gradient.
        second: name of the other.
        leaf: path of the leaf in params, or "['loss']".
        shape: of the leaf.
        dtype: its name.
        max_absolute: largest absolute difference of two elements.
        max_relative: largest ``|a - b| / max(|a|, |b|)`` of two elements.
        norm_relative: ``|a - b| / max(|a|, |b|)`` of the leaf, Euclidean norms; 0 where both are zero.
        max_ulps: largest difference in units in the last place; None above 1e9.
        cosine: of the angle between the two; 1 where both are zero, 0 where one is.
        worst_index: of the element with the largest absolute difference, or the first that is not finite.
        worst_values: the two values there, first and second.
        kinks: how many elements were left out.
        tolerance: the tolerance that the verdict depends on.
        verdict: "agree"; "tiny": the difference is below the absolute tolerance only; "kink" or "empty": no element
            left to compare; "differ"; "not finite": a NaN or infinity on either side or both; "shape", "dtype",
            "missing", "structure": not comparable.
        note: the reason for a verdict without numbers.
    """

    first: str
    second: str
    leaf: str
    shape: tuple[int, ...] | None
    dtype: str | None
    max_absolute: float
    max_relative: float
    norm_relative: float
    max_ulps: int | None
    cosine: float
    worst_index: tuple[int, ...] | None
    worst_values: tuple[float, float] | None
    kinks: int
    tolerance: Tolerance | None
    verdict: Verdict
    note: str

    @classmethod
    def without_numbers(
        cls,
        first: str,
        second: str,
        leaf: str,
        verdict: Verdict,
        note: str,
        worst_index: tuple[int, ...] | None = None,
        worst_values: tuple[float, float] | None = None,
    ) -> "Row":
        """A row without measured numbers."""
        nan = math.nan
        return cls(
            first, second, leaf, None, None, nan, nan, nan, None, nan, worst_index, worst_values, 0, None, verdict, note
        )

    @property
    def ok(self) -> bool:
        """Whether this row passes: it gives no reason to doubt a gradient."""
        return self.verdict in PASSING


class GradientReport(NamedTuple):
    """What a comparison found: ``rows``, one per pair and leaf, and ``notes`` in words. ``str`` gives a table."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every row passes."""
        return all(row.ok for row in self.rows)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def conclusion(self) -> str:
        """The first line of the report."""
        bad = sum(not row.ok for row in self.rows)
        return f"{bad} of {len(self.rows)} rows differ" if bad else f"all {len(self.rows)} rows agree"

    def raise_if_different(self) -> None:
        """Raise DifferentGradientsError, with the table as its message, unless `ok`."""
        if not self.ok:
            raise DifferentGradientsError(f"gradients differ\n{self}")

    def to_json(self) -> dict[str, Any]:
        """The report in types that JSON has; numbers that are not finite become the strings "nan", "inf", "-inf"."""
        return {
            "ok": self.ok,
            "rows": [{name: _plain(value) for name, value in row._asdict().items()} for row in self.rows],
            "notes": list(self.notes),
        }

    def pair(self, first: str, second: str) -> tuple[Row, ...]:
        """The rows of two gradients, in either order.

        Raises:
            InputError: there are none.
        """
        found = tuple(row for row in self.rows if {row.first, row.second} == {first, second})
        if not found:
            names = sorted({name for row in self.rows for name in (row.first, row.second)})
            raise InputError(f"no rows of {first!r} and {second!r}, expected two of {', '.join(names)}")
        return found

    def __str__(self) -> str:
        """The conclusion, notes, and a table of at most 100 columns: one line per row, and more if it fails."""
        lines = [self.conclusion, *(_cut(f"note: {note}", WIDTH) for note in self.notes), _HEADER, "-" * len(_HEADER)]
        for row in self.rows:
            lines.append(_line(row))
            if not row.ok:
                lines += [f"    {text}"[:WIDTH] for text in _explanation(row)]
        limits = dict.fromkeys((row.dtype, row.tolerance) for row in self.rows if row.tolerance)
        for dtype, tolerance in limits:
            lines.append(f"tolerance {dtype}: {tolerance.relative:g} of the norm + {tolerance.absolute:g}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"GradientReport({self.conclusion})"

    def _repr_html_(self) -> str:
        """The report for a notebook: one line per row."""
        cells = [
            (f"{row.first}, {row.second}", row.leaf or "(tree)", row.verdict, *_numbers(row),
             "" if row.ok else "; ".join(_explanation(row)))
            for row in self.rows
        ]  # fmt: skip
        told = table(("pair", "leaf", "verdict", *_COLUMNS, ""), cells)
        return page(self.conclusion, told, lines([f"note: {note}" for note in self.notes]), ok=self.ok)


_COLUMNS = ("error", "max abs", "max rel", "ulps", "cosine")
_HEADER = f"{'pair':23} {'leaf':14} " + " ".join(f"{name:>7}" for name in _COLUMNS) + " verdict             "


def _line(row: Row) -> str:
    pair, leaf = _cut(f"{row.first}, {row.second}", 23), _cut(row.leaf or "(tree)", 14)
    kinks = f", {row.kinks} kinks" if row.kinks else ""
    return _cut(f"{pair:23} {leaf:14} {' '.join(f'{text:>7}' for text in _numbers(row))} {row.verdict}{kinks}", WIDTH)


def _numbers(row: Row) -> list[str]:
    """The cells of `_COLUMNS`."""
    ulps = "-" if row.max_ulps is None else str(row.max_ulps) if row.max_ulps < 1e6 else _short(float(row.max_ulps))
    cosine = "-" if math.isnan(row.cosine) else f"{row.cosine:.5f}"
    return [*map(_short, (row.norm_relative, row.max_absolute, row.max_relative)), ulps, cosine]


def _explanation(row: Row) -> list[str]:
    words = [row.note] if row.note else []
    if row.worst_index is not None and row.worst_values is not None:
        words.append(f"worst at {list(row.worst_index)}: {row.worst_values[0]:.10g} against {row.worst_values[1]:.10g}")
    return words


def _short(value: float) -> str:
    return "-" if math.isnan(value) else "0" if value == 0 else f"{value:.1e}"


def _cut(text: str, width: int) -> str:
    """``text``, without its middle if it is longer than ``width``."""
    left = (width - 1) // 2
    return text if len(text) <= width else f"{text[:left]}…{text[left + 1 - width :]}"


def _plain(value: Any) -> Any:
    if isinstance(value, Tolerance):
        return value._asdict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
