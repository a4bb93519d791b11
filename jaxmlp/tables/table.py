"""A table as a Dataset: split so that classes keep their shares, standardised by its training rows alone."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from jaxmlp.checks import InputError, check_flag, check_seed
from jaxmlp.entrance import check_dataset, check_dtype
from jaxmlp.lecture.data import Dataset, one_hot
from jaxmlp.tables.preparation import Preparation
from jaxmlp.tables.reading import Columns, read_columns

__all__ = ["Table", "fingerprint", "load_table", "shares", "table_of"]

TEST = 0.2
LECTURE_TEST = 300


class Table(Dataset):
    """A Dataset, of NumPy arrays, that knows its columns and classes.

    `_replace`, `jax.tree.map`, `jax.device_put` and compiled functions give a plain Dataset: the names of the columns
    may be wrong for changed arrays.

    Attributes:
        preparation: how raw samples became its inputs.
        classes: the labels of the classes ``[n_classes]``, sorted: numbers, booleans or strings.
        source: where it came from and how it was split, in types that JSON has; `table_of` reads it again.
        rows: the numbers of the training rows and of the test rows in the source, from 0; if the source was split
            already, the numbers in each part.
        notes: a line for each thing that was left out.
    """

    preparation: Preparation
    classes: NDArray[Any]
    source: dict[str, Any]
    rows: tuple[NDArray[np.intp], NDArray[np.intp]]
    notes: tuple[str, ...]

    def _replace(self, **changed: Any) -> Dataset:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A Dataset with these arrays in the place of the table's."""
        return Dataset(*self)._replace(**changed)


# Without this JAX would rebuild a Table without its attributes.
jax.tree_util.register_pytree_with_keys(
    Table,
    lambda table: ([(jax.tree_util.GetAttrKey(name), getattr(table, name)) for name in table._fields], None),
    lambda _, arrays: Dataset(*arrays),  # pyright: ignore[reportArgumentType] - no Table, on purpose
    lambda table: (tuple(table), None),
)


def load_table(
    source: Any,
    target: str | None = None,
    test: float | None = None,
    seed: int = 0,
    drop: Sequence[str] = (),
    keep_constant: bool = False,
    dtype: str | np.dtype[Any] | type = "float32",
) -> Table:
    """Load a person's own data as a Dataset with names: read, checked, split and standardised.

    Inputs are ``(x - mean) / deviation`` with mean and deviation (population) of the training rows. The split is
    stratified: each class has its share of the test rows. The same is true of any number of the last training rows,
    which a sweep holds out for its choice. scikit-learn's digits are prepared as in the lecture: standardised over all
    rows, and the first 300 are the test rows.

    Args:
        source: a CSV file (any of ``, ; tab |`` between cells; a decimal comma where that is clear) or a Parquet file
            (extra ``tables``); an ``.npz`` file, or a mapping, with ``x [n, ...]`` and ``y [n]``, and perhaps
            ``x_test`` and ``y_test``; a pandas DataFrame; or "wine", "iris", "breast_cancer", "digits".
        target: the column with the labels, of numbers, booleans or text; for files with columns and DataFrames.
        test: the share of test rows, 0 < test < 1; by default 0.2.
        seed: of the split, 0..2**32-1.
        drop: names of columns to leave out. A nameless column that counts the rows is left out too.
        keep_constant: whether a column may be constant, as the borders of images are. Its inputs are then zeros.
            Otherwise a constant column is an error.
        dtype: float32 or float64; the arithmetic before the cast is float64.

    Returns:
        A `Table`: a Dataset of NumPy arrays.

    Raises:
        InputError: one line, naming the column and the row: what is not numeric, missing or infinite; a constant
            column, two columns of one name, an index; one class, as many classes as rows; a file that is no table.

    Source: lecture, step 1, for other data.
    """
    dtype = check_dtype(dtype)
    check_flag("keep_constant", keep_constant)
    digits = isinstance(source, str) and source == "digits"
    found = read_columns(source, target, drop)
    if found.labels is None:
        listed = f", expected one of the columns {', '.join(found.names[:8])}, .." if found.names else ""
        raise InputError(f"there is no target{listed}: the column with the labels")
    if test is not None and (digits or found.test is not None):
        raise InputError(f"test is {test}, expected none: the data has test rows of its own")
    share: Any = TEST if test is None else test
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
        raise InputError(f"test is {share!r}, expected a share of the rows, more than 0 and less than 1")
    classes, parts, rows = _divided(found, float(share), check_seed(seed), digits)
    (x, labels), (x_test, labels_test) = parts
    whole = found.x if digits else x  # the lecture standardises before it splits
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = whole.mean(axis=0), whole.std(axis=0)
    scale = deviation + 1e-7 if digits else _scale(deviation, mean, x, found.names, keep_constant)
    preparation = Preparation(mean, scale, found.names, found.target)
    arrays: list[Any] = []
    for part, numbers in ((x, labels), (x_test, labels_test)):
        arrays += [preparation.inputs(part).astype(dtype), one_hot(numbers, len(classes), dtype), numbers]
    made = Table(*arrays)
    check_dataset(made)
    made.preparation, made.classes, made.rows, made.notes = preparation, classes, rows, found.notes
    made.source = {
        "data": str(source) if isinstance(source, (str, Path)) else None, "target": found.target,
        "test": None if digits or found.test else float(share), "seed": int(seed), "drop": list(drop),
        "keep_constant": bool(keep_constant), "sha256": fingerprint(found),
    }  # fmt: skip
    return made


def table_of(source: Mapping[str, Any], dtype: str, data: Any = None) -> Table:
    """Read a Table again from its `Table.source`, from the path ``data`` if it has moved; errors as `load_table`.

    Raises:
        InputError: other rows than before.
    """
    data = source["data"] if data is None else data
    if data is None:
        raise InputError("the data was a table in memory, expected it again")
    made = load_table(
        data, source["target"], source["test"], source["seed"], source["drop"], source["keep_constant"], dtype
    )
    if made.source["sha256"] != source.get("sha256", made.source["sha256"]):
        raise InputError(f"{str(data)!r} contains other rows than before, expected the same table")
    return made


def fingerprint(found: Columns) -> str:
    """16 hexadecimal digits of a raw table. They differ if a value, a label or the sequence of the rows differs."""
    digest = hashlib.sha256(found.x.tobytes())
    test = found.test or ()
    for part in (found.labels, *test):
        if part is not None:
            digest.update(repr(part.tolist()).encode() if part.dtype.kind in "UO" else part.tobytes())
    return digest.hexdigest()[:16]


def shares(labels: NDArray[np.integer[Any]], seed: int) -> NDArray[np.intp]:
    """An order of the rows ``[n]``: each class has its share, to one row, in any number of first or last rows.

    The rows of each class are shuffled and dealt out evenly: the k-th of m rows has the place ``(k + 1/2) / m``.
    """
    random = np.random.RandomState(seed)
    order = random.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    counts = np.unique(labels, return_counts=True)[1]
    places = np.concatenate([(np.arange(count) + 0.5) / count for count in counts])
    return order[np.argsort(places, kind="stable")]


def _divided(found: Columns, share: float, seed: int, digits: bool) -> tuple[NDArray[Any], Any, Any]:
    """The classes; ``x`` and class numbers of the training and of the test rows; where these rows were."""
    assert found.labels is not None
    apart = found.test[1] if found.test else found.labels[:0]
    try:
        classes, numbers = np.unique(np.concatenate([found.labels, apart]), return_inverse=True)
    except (TypeError, ValueError):
        raise InputError("labels of training and test rows are of different types, expected one") from None
    numbers, n = numbers.astype(np.int32), len(found.labels)
    where = f"target {found.target!r}" if found.target else "y"
    if len(classes) < 2:
        raise InputError(f"{where} has one class, {classes[0]}, expected two or more")
    if len(classes) > max(2, len(numbers) / 2):
        raise InputError(f"{where} has {len(classes):,} different values in {len(numbers):,} rows, expected classes")
    if found.test:
        rows = shares(numbers[:n], seed), np.arange(len(apart))
        parts = (found.x[rows[0]], numbers[:n][rows[0]]), (found.test[0], numbers[n:])
    else:
        order = np.arange(n) if digits else shares(numbers, seed)
        n_test = LECTURE_TEST if digits else min(max(1, round(share * n)), n - 1)
        rows = order[n_test:], order[:n_test]
        parts = tuple((found.x[part], numbers[part]) for part in rows)
    known = np.unique(parts[0][1])
    if len(known) < len(classes):
        name = classes[np.setdiff1d(np.arange(len(classes)), known)[0]]
        raise InputError(f"class {name} has no training row, expected one of each class or more")
    return classes, parts, rows


def _scale(
    deviation: NDArray[np.float64],
    mean: NDArray[np.float64],
    x: NDArray[np.float64],
    names: Sequence[str] | None,
    keep_constant: bool,
) -> NDArray[np.float64]:
    names = names or [f"x[:, {number}]" for number in range(len(mean))]
    bad = np.flatnonzero(~np.isfinite(deviation))
    if len(bad):
        raise InputError(f"column {names[bad[0]]!r} has numbers too large to be standardised, expected smaller ones")
    constant = np.flatnonzero(np.all(x == x[:1], axis=0))
    if len(constant) and not keep_constant:
        more = f" (and {len(constant) - 1:,} more)" if len(constant) > 1 else ""
        raise InputError(
            f"column {names[constant[0]]!r}{more} is constant, {x[0, constant[0]]:g}, in the training rows: drop it, "
            "or keep_constant, as for images"
        )
    deviation[constant] = 0.0  # not a rounding error
    return deviation
