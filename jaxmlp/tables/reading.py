"""The sources of a table: scikit-learn's bundled sets, a CSV, Parquet or NumPy file, pandas, arrays."""

import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from jaxmlp import bundled
from jaxmlp.checks import InputError
from jaxmlp.choices import BUNDLED
from jaxmlp.runtime import install_command
from jaxmlp.tables.columns import Columns, check_numbers, check_rows, columns_of, labels_of
from jaxmlp.tables.csv_text import parser_message, read_dialect

__all__ = ["BUNDLED", "Columns", "read_columns"]

PARQUET = (".parquet", ".pq")


def read_columns(
    source: Any, target: str | None = None, drop: Sequence[str] = (), wanted: Sequence[str] | None = None
) -> Columns:
    """Read raw samples and labels. Arguments as `jaxmlp.load_table`; ``wanted``: the columns to take, None for all.

    Raises:
        InputError: the source cannot be read, or a column cannot be used.
    """
    drop = [drop] if isinstance(drop, str) else list(drop)
    if isinstance(source, str) and source in BUNDLED:
        return _bundled(source, target, drop)
    if isinstance(source, (str, Path)):
        path = Path(source)
        if not path.is_file():
            expected = f"expected a file, or one of {', '.join(BUNDLED)}"
            raise InputError(f"there is no file {str(source)!r}, {expected}")
        try:
            found = _read(path)
        except OSError as error:
            raise InputError(f"{str(path)!r} cannot be read ({error.strerror or error})") from None
        try:
            named = not isinstance(found, dict)
            return columns_of(found, target, drop, wanted) if named else _arrays(found, target, drop)
        except InputError as error:
            raise InputError(f"{str(path)!r}: {error}") from None
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        return columns_of(source, target, drop, wanted)
    if isinstance(source, Mapping):
        return _arrays(cast(Mapping[str, Any], source), target, drop)
    raise InputError(f"the data is a {type(source).__name__}, expected a file, a name, a DataFrame or arrays x and y")


def _missing(what: str, package: str) -> InputError:
    return InputError(f"{what} are read by the package {package}, which is missing: {install_command('tables')}")


def _bundled(name: str, target: str | None, drop: Sequence[str]) -> Columns:
    if target is not None or drop:
        raise InputError(f"{name!r} is a set whose target is known, expected no target and nothing to drop")
    if name != "digits":
        return Columns(*bundled.load_bundle(name))
    images, labels = bundled.read_digits()
    names = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))  # as scikit-learn calls them
    return Columns(images.reshape(len(images), -1), labels.astype(np.int64), names)


def _read(path: Path) -> Any:
    """A DataFrame, or the arrays of an ``.npz`` file by name."""
    ending = path.suffix.lower()
    return _read_npz(path) if ending == ".npz" else _read_parquet(path) if ending in PARQUET else _read_csv(path)


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise _missing("tables", "pandas") from None
    return pandas


def _read_csv(path: Path) -> Any:
    pandas, dialect = _pandas(), read_dialect(path)
    # A header cell may be empty, as an index's is; pandas names it by its place.
    names = [name if name.strip() else f"Unnamed: {number}" for number, name in enumerate(dialect.header)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)  # cells are lost
            return pandas.read_csv(
                path,
                sep=dialect.separator,
                decimal=dialect.decimal,
                encoding=dialect.encoding,
                header=0,
                names=names,
                skiprows=dialect.skipped,
                index_col=False,
                low_memory=False,
                skipinitialspace=True,
            )
    except pandas.errors.ParserWarning:
        raise InputError(
            f"{str(path)!r} has rows with more cells than column names, expected a name for each"
        ) from None
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError, UnicodeError) as error:
        raise InputError(f"{str(path)!r} is no CSV: {parser_message(error)}") from None


def _read_parquet(path: Path) -> Any:
    pandas = _pandas()
    try:
        return pandas.read_parquet(path)
    except ImportError:
        raise _missing("Parquet files", "pyarrow") from None
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise InputError(f"{str(path)!r} is no Parquet file: {parser_message(error)}") from None


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        said = "is no .npz file, expected one that np.savez(FILE, x=x, y=y) writes"
        if "allow_pickle" in str(error):
            said = "contains Python objects, expected plain arrays: write labels as np.array(labels, dtype=str)"
        raise InputError(f"{str(path)!r} {said}") from None


def _arrays(found: Mapping[str, Any], target: str | None, drop: Sequence[str]) -> Columns:
    """Columns from arrays ``x, y``, perhaps ``x_test, y_test``; ``x_train, y_train`` as well, in any case."""
    if target is not None or drop:
        raise InputError("arrays x and y have no named columns, expected no target and nothing to drop")
    given = {name.lower(): value for name, value in found.items()}
    parts: list[tuple[NDArray[np.float64], NDArray[Any] | None]] = []
    for x, y in (
        ("x_train" if "x_train" in given else "x", "y_train" if "y_train" in given else "y"),
        ("x_test", "y_test"),
    ):
        if x not in given and (x, y) == ("x_test", "y_test") and y not in given:
            continue
        if x not in given or (y not in given and len(given) > 1):
            names = ", ".join(found) or "none"
            raise InputError(f"there are the arrays {names}, expected x and y, and perhaps x_test and y_test")
        parts.append(_part(x, given[x], y, given.get(y)))
    (x, labels), *test = parts
    check_rows(len(x), labels is not None and not test)
    if test and test[0][0].shape[1] != x.shape[1]:
        raise InputError(f"x_test has {test[0][0].shape[1]} columns, expected {x.shape[1]} as x has")
    return Columns(x, labels, test=cast(Any, test[0]) if test else None)


def _part(x_name: str, x: Any, y_name: str, y: Any) -> tuple[NDArray[np.float64], NDArray[Any] | None]:
    """Samples ``[n, n_in]`` (images are flattened) and labels ``[n]``."""
    x = np.asarray(x)
    if x.ndim < 2 or x.size == 0 or x.dtype.kind not in "biuf":
        raise InputError(f"{x_name} has shape {x.shape} and dtype {x.dtype}, expected numbers [n, columns]")
    x = x.reshape(len(x), -1).astype(np.float64)
    check_numbers(x, [f"{x_name}[:, {number}]" for number in range(x.shape[1])])
    if y is None:
        return x, None
    y = np.asarray(y)
    if y.shape != (len(x),):
        hint = f": {y_name}.argmax(axis=1), if its rows are one-hot" if y.ndim == 2 and y.shape[0] == len(x) else ""
        raise InputError(f"{y_name} has shape {y.shape}, expected ({len(x)},), a label for each row of {x_name}{hint}")
    missing = np.isnan(y) if y.dtype.kind == "f" else np.array([value is None for value in y.tolist()], bool)
    return x, labels_of(y, missing, y_name)
