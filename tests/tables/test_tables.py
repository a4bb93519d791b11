"""Tables as people have them: each is read right, or is one line that says what to change."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jaxmlp import load_digits, load_table
from jaxmlp.runtime import install_command
from jaxmlp.tables import Table
from tests.helpers import rejects

N = 12
A = np.array([0.5, -1.25, 2.0, 3.5, -0.125, 6.0, 7.75, 1.0, -9.5, 2.25, 0.75, 4.0])
B = np.array([100.0, 250, -75, 0, 25, 50, 60, 70, 80, 90, 15, 35])
KIND = ["x", "y", "z"] * 4
BASE = pd.DataFrame({"a": A, "b": B, "kind": KIND})


def raw(table: Table) -> np.ndarray[Any, Any]:
    """The raw columns ``[n, n_in]`` in the table's own sequence, from its inputs."""
    rows = np.concatenate(table.rows)
    found = np.empty((len(rows), table.x_train.shape[1]))
    found[rows] = np.concatenate([table.x_train, table.x_test])
    return found * table.preparation.scale + table.preparation.mean


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def csv(**how: Any) -> str:
    return str(BASE.to_csv(index=False, **how))


RIGHT = {
    "commas": (csv(), "utf-8"),
    "semicolons": (csv(sep=";"), "utf-8"),
    "tabs": (csv(sep="\t"), "utf-8"),
    "bars": (csv(sep="|"), "utf-8"),
    "a byte order mark": (csv(), "utf-8-sig"),
    "Excel's Unicode text": (csv(sep="\t"), "utf-16"),
    "Excel's German export": ("sep=;\r\n" + csv(sep=";", decimal=",").replace("\n", "\r\n"), "utf-8-sig"),
    "decimal commas": (csv(sep=";", decimal=","), "utf-8"),
    "quoted decimal commas": (csv(decimal=",", quoting=1), "utf-8"),
    "quotes": (csv(quoting=1), "utf-8"),
    "blanks after separators": (csv().replace(",", ", "), "utf-8"),
    "empty lines": ("\n\n" + csv().replace("\n", "\n\n"), "utf-8"),
    "old Mac lines": (csv().replace("\n", "\r"), "utf-8"),
    "a trailing separator": (csv().replace("\n", ",\n"), "utf-8"),
    "trailing separators below the header": (csv().replace("\n", ",\n").replace(",\n", "\n", 1), "utf-8"),
    "an index without a name": (str(BASE.to_csv()), "utf-8"),
    "an index from 1": (str(BASE.set_index(np.arange(1, N + 1)).to_csv()), "utf-8"),
    "booleans": (str(BASE.assign(b=B > 0).to_csv(index=False)), "utf-8"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_file_is_read_right(name: str, tmp_path: Path) -> None:
    table = load_table(write(tmp_path / "t.csv", *RIGHT[name]), "kind", dtype="float64")
    np.testing.assert_allclose(raw(table), np.column_stack([A, B > 0 if name == "booleans" else B]), atol=1e-12)
    assert table.preparation.columns == ("a", "b")
    assert table.classes.tolist() == ["x", "y", "z"]
    labels = np.empty(N, int)
    labels[np.concatenate(table.rows)] = np.concatenate([table.labels_train, table.labels_test])
    assert table.classes[labels].tolist() == KIND
    assert bool(table.notes) == (name in ("an index without a name", "an index from 1", "a trailing separator"))


def test_the_separator_is_the_one_that_gives_all_lines_as_many_cells(tmp_path: Path) -> None:
    text = csv(sep=";").replace("a;b;kind", "size, cm;weight, kg;kind")
    table = load_table(write(tmp_path / "t.csv", text), "kind")
    assert table.preparation.columns == ("size, cm", "weight, kg")


def edited(column: str, row: int, value: Any) -> str:
    frame = BASE.astype(object)
    frame.loc[row - 1, column] = value
    return str(frame.to_csv(index=False))


LATE = "a,b,kind\n" + "".join(f"{i / 2},{i % 7},{'xyz'[i % 3]}\n" for i in range(3000))
WRONG = {
    "an index called Id": (str(BASE.rename_axis("Id").to_csv()), "column 'Id' counts the rows, as an index does"),
    "R's row names": ('"a","kind"\n"1",0.5,"x"\n"2",1,"y"\n',
                      "has 2 column names and a row of 3 cells (1, 0.5, x), expected a name for each"),
    "dates": (str(BASE.assign(day=pd.date_range("2024-01-03", periods=N)).to_csv(index=False)),
              "column 'day' has '2024-01-03' in row 1, expected numbers such as 1234.5"),
    "categories": (str(BASE.assign(colour="red").to_csv(index=False)), "column 'colour' has 'red' in row 1"),
    "percent signs": (edited("b", 3, "7%"), "column 'b' has '7%' in row 3"),
    "a question mark": (edited("b", 5, "?"), "column 'b' has '?' in row 5"),
    "thousands, or decimals": (csv(sep=";").replace("100.0", "1,200").replace("250.0", "3,400"),
                               "column 'b' has '1,200' in row 1"),
    "thousands alone": ("a;b;kind\n1;1,200;x\n2;3,400;y\n3;5,600;x\n4;7,800;y\n", "column 'b' has '1,200' in row 1"),
    "two decimal signs": (csv(sep=";").replace("250.0", "250,5"), "column 'b' has '250,5' in row 2"),
    "lost cells": (LATE.replace("\n", ",\n").replace(",\n", "\n", 1) + "1,2,x,7\n",
                   "has rows with more cells than column names, expected a name for each"),
    "a missing value": (edited("b", 4, None), "column 'b' has a missing value in row 4, expected finite numbers"),
    "missing values": (csv().replace(".0,", ",").replace("6,50", "6,").replace("1,70", "1,"),
                       "column 'b' has a missing value in row 6 and 1 more rows"),
    "an infinite value": (edited("a", 2, "inf"), "column 'a' has the value inf in row 2"),
    "a label None": (edited("kind", 7, "None"), "target 'kind' has a missing label in row 7, expected a label in each"),
    "no rows": ("a,b,kind\n", "there are 0 rows, expected 2 or more"),
    "one row": ("a,b,kind\n1,2,x\n", "there is 1 row, expected 2 or more"),
    "one column": ("kind\nx\ny\n", "there is no column to learn from, only 'kind'; is its separator a comma"),
    "another separator": (csv(sep="@"), "target is 'kind', expected one of the columns 'a@b@kind'; is its separator"),
    "nothing": ("", "is empty, expected a line of column names and rows"),
    "no header": (csv(header=False).replace("x", "1").replace("y", "2"), "begins with numbers (0.5, 100.0, 1)"),
    "two columns of one name": ("a,a,kind\n1,2,x\n3,4,y\n", "has two columns 'a', expected different names"),
    "a long row": (csv() + "1,2,x,7\n", "has 3 column names and a row of 4 cells (1, 2, x, 7)"),
    "a long row, late": (LATE + "1,2,x,7\n", "is no CSV: Expected 3 fields in line 3002, saw 4"),
    "a short row": (csv() + "1\n", "column 'b' has a missing value in row 13"),
    "an open quote": (csv() + '1,"2,x\n', "is no CSV: "),
    "a constant column": (str(BASE.assign(c=0.1).to_csv(index=False)), "column 'c' is constant, 0.1, in the training"),
    "two constant columns": (str(BASE.assign(c=0, d=1).to_csv(index=False)), "column 'c' (and 1 more) is constant, 0"),
    "one class": (csv().replace("y", "x").replace("z", "x"), "target 'kind' has one class, x, expected two or more"),
    "a number to predict": (str(BASE.assign(kind=A).to_csv(index=False)), "target 'kind' has 12 different values in"),
    "no such target": (csv().replace("kind", "sort"), "target is 'kind', expected one of the columns 'a', 'b', 'sort'"),
    "huge numbers": (str(BASE.assign(a=A * 1e200).to_csv(index=False)), "column 'a' has numbers too large"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_cannot_be_used_is_one_line_that_says_why(name: str, tmp_path: Path) -> None:
    text, said = WRONG[name]
    with rejects(said):
        load_table(write(tmp_path / "t.csv", text), "kind")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (csv().replace("x", "grün").encode("cp1252"), "is not text in UTF-8"), (b"PK\x03\x04", "is an Excel workbook"),
        (b"\xd0\xcf\x11\xe0", "is an old Excel workbook"), (b"\x1f\x8b\x08", "is compressed, expected CSV: unpack it"),
        (b"PAR1", "is a Parquet file, expected CSV: give it the ending .parquet"), (bytes(range(256)), "is not text"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_told_as_what_it_is(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with rejects(said):
        load_table(tmp_path / "t.csv", "kind")


def test_what_is_dropped_or_constant_by_intent_is_no_fault(tmp_path: Path) -> None:
    frame = BASE.rename_axis("Id").reset_index().assign(day="Monday", c=0.1)
    path = write(tmp_path / "t.csv", str(frame.to_csv(index=False)))
    table = load_table(path, "kind", drop=["Id", "day"], keep_constant=True, dtype="float64")
    assert table.preparation.columns == ("a", "b", "c")
    assert not np.any(table.x_train[:, 2])
    assert not np.any(table.preparation.inputs(np.array([[1.0, 2.0, 99.0]]))[:, 2])  # in any row
    assert load_table(frame, "kind", drop=["Id", "day", "c"]).x_train.shape[1] == 2
    for drop, said in ((["d"], "drop is 'd', expected one of"), (["kind"], "drop names the target 'kind'")):
        with rejects(said):
            load_table(path, "kind", drop=drop)


def test_a_file_or_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path, "irises"):
        with rejects(f"there is no file {str(path)!r}, expected a file, or one of wine, iris, breast_cancer, digits"):
            load_table(path, "kind")
    with rejects("the data is a list, expected a file, a name, a DataFrame or arrays x and y"):
        load_table([1, 2])
    with rejects("there is no target, expected one of the columns a, b, kind, ..: the column with the labels"):
        load_table(BASE.assign(kind=np.arange(N) % 2))


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"test": 0}, "test is 0, expected a share"), ({"test": 1.0}, "test is 1.0, expected a share"),
        ({"test": True}, "test is True, expected a share"), ({"seed": -1}, "seed is -1"),
        ({"dtype": "int8"}, "dtype is int8"),
        ({"keep_constant": "no"}, "keep_constant is 'no', expected True or False"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_is_told(option: dict[str, Any], said: str) -> None:
    with rejects(said):
        load_table(BASE, "kind", **option)


# Other sources.


def test_parquet_has_numbers_booleans_and_categories_of_pandas(tmp_path: Path) -> None:
    frame = BASE.assign(flag=B > 0, kind=pd.Categorical(KIND)).astype({"b": "Int64", "a": "float32"})
    frame.to_parquet(tmp_path / "t.parquet")
    table = load_table(tmp_path / "t.parquet", "kind", dtype="float64")
    np.testing.assert_allclose(raw(table), np.column_stack([A, B, B > 0]), atol=1e-12)
    frame.loc[2, "b"] = None
    frame.assign(day=pd.Timestamp("2024-01-03")).to_parquet(tmp_path / "t.parquet")
    with rejects("column 'day' has 2024-01-03 00:00:00 in row 1"):
        load_table(tmp_path / "t.parquet", "kind", drop=["b"])
    with rejects("column 'b' has a missing value in row 3"):
        load_table(tmp_path / "t.parquet", "kind", drop=["day"])
    write(tmp_path / "t.parquet", csv())
    with rejects("t.parquet' is no Parquet file: "):
        load_table(tmp_path / "t.parquet", "kind")


@pytest.mark.parametrize(("missing", "name"), [("pandas", "t.csv"), ("pyarrow", "t.parquet")])
def test_a_package_that_is_missing_is_named_with_how_to_get_it(
    missing: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / name, csv())
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "pyarrow":
        monkeypatch.setattr(pd, "read_parquet", lambda _: __import__("pyarrow"))
    with rejects(f"the package {missing}, which is missing: {install_command('tables')}"):
        load_table(path, "kind")


IMAGES = np.arange(48.0).reshape(N, 2, 2) % 7


def test_arrays_are_flattened_and_keep_the_split_that_they_have(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "t.npz", x_train=IMAGES, y_train=np.array(KIND), x_test=IMAGES[:5] + 1, y_test=np.array(KIND[:5])
    )
    table = load_table(tmp_path / "t.npz", dtype="float64")
    assert (table.x_train.shape, table.x_test.shape, table.preparation.columns) == ((N, 4), (5, 4), None)
    scale, mean = table.preparation.scale, table.preparation.mean
    np.testing.assert_allclose(mean, IMAGES.reshape(N, 4).mean(axis=0))  # of the training rows
    np.testing.assert_allclose(table.x_test * scale + mean, IMAGES[:5].reshape(5, 4) + 1)
    np.testing.assert_allclose(table.x_train * scale + mean, IMAGES.reshape(N, 4)[table.rows[0]])
    again = load_table({"X": IMAGES, "y": np.arange(N) % 3})
    assert again.classes.tolist() == [0, 1, 2]
    with rejects("test is 0.3, expected none: the data has test rows of its own"):
        load_table(tmp_path / "t.npz", test=0.3)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": IMAGES}, "there is no target"), ({"y": np.ones(3)}, "there are the arrays y, expected x and y"),
        ({"x": IMAGES, "y": np.ones(N), "x_test": IMAGES}, "there are the arrays x, y, x_test, expected x and y"),
        ({"x": IMAGES, "y": np.eye(3)[np.arange(N) % 3]},
         "y has shape (12, 3), expected (12,), a label for each row of x: y.argmax(axis=1), if its rows are one-hot"),
        ({"x": IMAGES, "y": np.ones(3)}, "y has shape (3,), expected (12,), a label for each row of x"),
        ({"x": IMAGES[:, 0, 0], "y": np.ones(N)}, "x has shape (12,) and dtype float64, expected numbers [n, columns]"),
        ({"x": np.full((N, 2), "a"), "y": np.ones(N)}, "x has shape (12, 2) and dtype <U1"),
        ({"x": np.full((N, 2), np.nan), "y": np.ones(N)}, "column 'x[:, 0]' has a missing value in row 1"),
        ({"x": IMAGES, "y": np.where(np.arange(N) == 4, np.nan, 1.0)}, "y has a missing label in row 5"),
        ({"x": IMAGES, "y": np.array([*KIND[:-1], 3], object)}, "y has labels of type int, str"),
        ({"x": IMAGES, "y": KIND, "x_test": np.ones((2, 3)), "y_test": ["x", "y"]}, "x_test has 3 columns, expected 4"),
        ({"x": IMAGES, "y": KIND, "x_test": IMAGES[:2], "y_test": ["x", "w"]}, "class w has no training row"),
        ({"x": IMAGES, "y": KIND, "x_test": IMAGES[:2], "y_test": [1, 2]}, "class 1 has no training row"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_told(arrays: dict[str, Any], said: str) -> None:
    with rejects(said):
        load_table(arrays)


def test_an_npz_file_that_is_none_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "o.npz", x=IMAGES, y=np.array(KIND, object))
    with rejects("o.npz' contains Python objects, expected plain arrays: write labels as np.array(labels, dtype=str)"):
        load_table(tmp_path / "o.npz")
    write(tmp_path / "t.npz", csv())
    with rejects("t.npz' is no .npz file, expected one that np.savez(FILE, x=x, y=y) writes"):
        load_table(tmp_path / "t.npz")
    with rejects("arrays x and y have no named columns, expected no target"):
        load_table({"x": IMAGES, "y": KIND}, "kind")


def test_the_digits_are_the_lectures_bit_for_bit_and_the_other_sets_have_their_names() -> None:
    table = load_table("digits", dtype="float64")
    for ours, lectures in zip(table, load_digits("float64"), strict=True):
        np.testing.assert_array_equal(ours, lectures)
    assert table.classes.tolist() == list(range(10))
    for name, classes in (("iris", ["setosa", "versicolor", "virginica"]), ("breast_cancer", ["benign", "malignant"])):
        assert load_table(name).classes.tolist() == classes
    wine = load_table("wine")
    assert wine.preparation.columns is not None
    assert (len(wine.x_train), len(wine.x_test), wine.preparation.columns[0]) == (142, 36, "alcohol")
    with rejects("'wine' is a set whose target is known"):
        load_table("wine", "alcohol")
    with rejects("test is 0.3, expected none"):
        load_table("digits", test=0.3)


@pytest.mark.slow
def test_ten_thousand_columns_and_a_million_rows_are_read_right(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for shape in ((60, 10_000), (1_000_000, 3)):
        values = random.integers(0, 1000, shape) / 8
        frame = pd.DataFrame(values).add_prefix("c").assign(kind=np.arange(len(values)) % 3)
        frame.to_csv(tmp_path / "t.csv", index=False)
        table = load_table(tmp_path / "t.csv", "kind", dtype="float64")
        np.testing.assert_allclose(raw(table), values, atol=1e-9)
        assert len(table.x_test) == shape[0] // 5
