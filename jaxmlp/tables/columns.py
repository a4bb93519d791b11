"""From a pandas DataFrame to numbers and labels: each column checked, and named where it cannot be used."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxmlp.checks import InputError

__all__ = ["Columns", "check_numbers", "check_rows", "columns_of", "labels_of"]

SEPARATED = "; is its separator a comma, a semicolon, a tab or |?"


class Columns(NamedTuple):
    """Raw samples, as read.

    Attributes:
        x: ``[n, n_in]``, float64, finite.
        labels: ``[n]``, numbers, booleans or strings; None without a target.
        names: of the ``n_in`` columns; None where they have none.
        target: the name of the labels' column, if it has one.
        test: test rows that the source gave separately, ``x`` and ``labels``; None if they are split off later.
        notes: a line for each thing that was left out.
    """

    x: NDArray[np.float64]
    labels: NDArray[Any] | None
    names: tuple[str, ...] | None = None
    target: str | None = None
    test: tuple[NDArray[np.float64], NDArray[Any]] | None = None
    notes: tuple[str, ...] = ()


def columns_of(frame: Any, target: str | None, drop: Sequence[str], wanted: Sequence[str] | None = None) -> Columns:
    """The Columns of a DataFrame.

    Args:
        frame: of pandas.
        target: the column with the labels; None for none.
        drop: columns to leave out.
        wanted: the columns to take; None for all the others.

    Raises:
        InputError: a column is missing, not numeric, not complete or there twice; no column; a column that counts rows.
    """
    frame = frame.rename(columns=str)
    names = list(frame.columns)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"there are two columns {twice[0]!r}, expected different names")
    for what, name in [("target", target)] * (target is not None) + [("drop", name) for name in drop]:
        if name not in names:
            raise InputError(
                f"{what} is {name!r}, expected one of the columns {_listed(names)}{SEPARATED * (len(names) < 2)}"
            )
    if target in drop:
        raise InputError(f"drop names the target {target!r}, expected other columns")
    check_rows(len(frame), wanted is None)
    notes: tuple[str, ...] = ()
    if wanted is None:
        nameless = [name for name in names if name.startswith("Unnamed: ")]
        empty = [name for name in nameless if frame[name].isna().all()]  # a separator at the end of the lines
        unnamed = [name for name in nameless if name in empty or _counts(frame[name])]
        notes = tuple(
            f"left out: a column without a name ({name}), which {'is empty' if name in empty else 'counts the rows'}"
            for name in unnamed
        )
        taken = [name for name in names if name not in {target, *drop, *unnamed}]
        if counter := next((name for name in taken if _is_index(name) and _counts(frame[name])), None):
            raise InputError(f"column {counter!r} counts the rows, as an index does, expected measurements: drop it")
    else:
        taken = [name for name in wanted if name in names]
    if not taken:
        raise InputError(f"there is no column to learn from, only {_listed(names)}{SEPARATED * (len(names) < 2)}")
    x = np.empty((len(frame), len(taken)))
    for number, name in enumerate(taken):
        x[:, number] = _numeric(frame[name], name)
    check_numbers(x, taken)
    labels = None
    if target is not None:
        column = frame[target]
        plain = column.dtype.kind in "biuf" and not hasattr(column.dtype, "na_value")
        values = column.to_numpy() if plain else column.to_numpy(object)
        labels = labels_of(values, column.isna().to_numpy(), f"target {target!r}")
    return Columns(x, labels, tuple(taken), target, None, notes)


def check_rows(n: int, training: bool = True) -> None:
    """Raise InputError if there are no rows, or only one row to split into training and test rows."""
    if n < 1 + training:
        expected = "2 or more, to train and to test" if training else "1 or more"
        raise InputError(f"there {'is 1 row' if n == 1 else f'are {n} rows'}, expected {expected}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:8]) + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")


def _is_index(name: str) -> bool:
    """Whether people use this name for row numbers."""
    return name.strip().lower().strip("_.#") in ("", "id", "index", "no", "nr", "row", "rownum", "row_id", "rowid")


def _counts(column: Any) -> bool:
    """Whether a column contains 0, 1, 2, .. or 1, 2, 3, .."""
    values = column.to_numpy()
    return len(values) > 1 and any(np.array_equal(values, np.arange(len(values)) + first) for first in (0, 1))


def _numeric(column: Any, name: str) -> NDArray[np.float64]:
    """A column as float64, NaN where it is missing; raises InputError for the first value that is no number."""
    kind = getattr(column.dtype, "kind", "O")
    if kind in "biuf":
        return column.to_numpy(np.float64, na_value=np.nan)
    values, missing = column.to_numpy(object), column.isna().to_numpy()
    numbers = np.full(len(values), np.nan)
    for row in np.flatnonzero(~missing):
        try:
            if not isinstance(values[row], (str, bool, int, float, np.number, np.bool_)):
                raise ValueError
            numbers[row] = float(values[row])
        except (TypeError, ValueError):
            shown = repr(values[row]) if isinstance(values[row], str) else str(values[row])
            what = f"column {name!r} has {shown:.60} in row {row + 1:,}"
            raise InputError(f"{what}, expected numbers such as 1234.5: replace them, or drop the column") from None
    return numbers


def check_numbers(x: NDArray[np.float64], names: Sequence[str]) -> None:
    """Raise InputError for the first column of ``x [n, n_in]`` with a missing or infinite value."""
    bad = ~np.isfinite(x)
    if np.any(bad):
        column = int(np.argmax(np.any(bad, axis=0)))
        rows = np.flatnonzero(bad[:, column])
        value = x[rows[0], column]
        what = "a missing value" if np.isnan(value) else f"the value {value}"
        more = f" and {len(rows) - 1:,} more rows" if len(rows) > 1 else ""
        raise InputError(
            f"column {names[column]!r} has {what} in row {rows[0] + 1:,}{more}, expected finite numbers: "
            "fill or remove such rows, or drop the column"
        )


def labels_of(values: NDArray[Any], missing: NDArray[np.bool_], name: str) -> NDArray[Any]:
    """Labels ``[n]`` as whole numbers, floats, booleans or strings, from ``values [n]`` and which of them are missing.

    Raises:
        InputError: a missing label, several types, another type.
    """
    rows = np.flatnonzero(missing)
    if len(rows):
        more = f" and {len(rows) - 1:,} more rows" if len(rows) > 1 else ""
        said = "(empty, NA, null, None and nan count as missing)"
        raise InputError(f"{name} has a missing label in row {rows[0] + 1:,}{more}, expected a label in each {said}")
    if values.dtype.kind == "f" and np.all(values == np.round(values)) and np.all(np.abs(values) < 2**53):
        return values.astype(np.int64)  # pandas reads whole numbers as floats where one is missing
    if values.dtype.kind in "biufU":
        return values
    found: list[Any] = values.tolist()
    kinds = {type(value) for value in found}
    if len(kinds) > 1 or not kinds <= {str, int, bool, float}:
        said = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise InputError(f"{name} has labels of type {said}, expected numbers, booleans or text, all of one type")
    return np.array(found)
