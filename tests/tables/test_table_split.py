"""How a table is split and standardised, and what a model keeps of that: beside NumPy, and nothing of the test rows."""

import copy
import dataclasses
import pickle
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmlp import Dataset, InputError, LectureStream, MLPClassifier, Model, load, load_table, save, sweep, train
from jaxmlp.models import encode, model_format, model_of
from jaxmlp.tables import Preparation, preparation_of, shares, table_of
from tests import oracle
from tests.helpers import as_params, assert_agree, rejects

RANDOM = np.random.default_rng(0)
LABELS = np.repeat(["ant", "bee", "cow"], (60, 30, 10))
X = RANDOM.normal(size=(100, 4)) * [1, 100, 1e-9, 5] + [0, 1000, 0, -3] + (LABELS == "bee")[:, None]
FRAME = pd.DataFrame(X, columns=["w", "x", "y", "z"]).assign(kind=LABELS)


@given(counts=st.lists(st.integers(1, 30), min_size=2, max_size=6), seed=st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_any_first_and_last_rows_have_each_class_in_its_share(counts: list[int], seed: int) -> None:
    labels = np.random.RandomState(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    order = shares(labels, seed)
    assert sorted(order) == list(range(len(labels)))
    dealt = np.cumsum(labels[order][:, None] == np.arange(len(counts)), axis=0)
    share = np.array(counts) / len(labels)
    expected = np.arange(1, len(labels) + 1)[:, None] * share
    # Half a row of each class, and what all classes' halves move the number of rows.
    assert np.all(np.abs(dealt - expected) <= 0.5 + share * len(counts) / 2 + 1e-9)


def test_a_split_is_stratified_seeded_and_shuffled() -> None:
    table = load_table(FRAME, "kind", test=0.2)
    assert np.bincount(table.labels_test).tolist() == [12, 6, 2]
    assert np.bincount(table.labels_train[-20:]).tolist() == [12, 6, 2]  # what a sweep would hold out
    again, other = load_table(FRAME, "kind", test=0.2), load_table(FRAME, "kind", test=0.2, seed=1)
    np.testing.assert_array_equal(table.rows[1], again.rows[1])
    assert set(table.rows[1]) != set(other.rows[1])
    assert sorted(np.concatenate(table.rows)) == list(range(100))
    assert not np.array_equal(np.sort(table.rows[1][table.labels_test == 0]), np.arange(12))
    assert [len(load_table(FRAME, "kind", test=share).x_test) for share in (0.001, 0.5)] == [1, 50]


def test_training_rows_that_come_sorted_by_class_are_dealt_as_well() -> None:
    table = load_table({"x": X, "y": LABELS, "x_test": X[:5], "y_test": LABELS[:5]})
    assert np.bincount(table.labels_train[-10:]).tolist() == [6, 3, 1]
    np.testing.assert_array_equal(table.rows[1], np.arange(5))


def test_inputs_are_standardised_by_the_training_rows() -> None:
    table = load_table(FRAME, "kind", dtype="float64")
    rows, tests = table.rows
    mean, deviation = X[rows].mean(axis=0), X[rows].std(axis=0)
    np.testing.assert_allclose(table.x_train, (X[rows] - mean) / deviation, rtol=1e-12)
    np.testing.assert_allclose(table.x_test, (X[tests] - mean) / deviation, rtol=1e-12)
    np.testing.assert_allclose(table.x_train.std(axis=0), 1)  # the column of 1e-9 too
    assert table.classes[table.labels_test].tolist() == LABELS[tests].tolist()
    np.testing.assert_array_equal(table.y_train, np.eye(3)[np.asarray(table.labels_train)])


def test_test_rows_change_no_bit_of_training(tmp_path: Path) -> None:
    table = load_table(FRAME, "kind", dtype="float32")
    shifted = FRAME.copy()
    columns = [str(name) for name in FRAME.columns[:4]]
    shifted.loc[table.rows[1], columns] += 1e6
    other = load_table(shifted, "kind", dtype="float32")
    for name in ("x_train", "y_train", "labels_train"):
        np.testing.assert_array_equal(getattr(table, name), getattr(other, name))
    assert np.max(np.abs(other.x_test)) > 1e3
    losses: list[Any] = []
    for number, each in enumerate((table, other)):
        stream = LectureStream(0)
        params = stream.params((4, 3, 3), "float32")
        found, history = train(params, each, stream.orders(2, 80))
        results = sweep.run(each, {"hidden": [(3,)], "seeds": [0, 1]}, tmp_path / str(number), epochs=2)
        kept = [{k: v for k, v in row.items() if k not in ("test_accuracy", "seconds")} for row in results.rows]
        losses.append(
            [np.asarray(history.loss).tolist(), [np.asarray(layer.weights).tolist() for layer in found], kept]
        )
    assert losses[0] == losses[1]


def test_a_table_keeps_what_it_is_through_copies_and_reads_itself_again(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    table = load_table(tmp_path / "t.csv", "kind", 0.3, 5, ["w"], dtype="float64")
    assert table.source == {
        "data": str(tmp_path / "t.csv"), "target": "kind", "test": 0.3, "seed": 5, "drop": ["w"],
        "keep_constant": False, "sha256": table.source["sha256"],
    }  # fmt: skip
    again = table_of(table.source, "float64")
    for other in (again, copy.copy(table), pickle.loads(pickle.dumps(table))):
        np.testing.assert_array_equal(other.x_test, table.x_test)
        assert (other.source, other.classes.tolist()) == (table.source, ["ant", "bee", "cow"])
    (tmp_path / "t.csv").rename(tmp_path / "u.csv")
    with rejects("there is no file"):
        table_of(table.source, "float64")
    np.testing.assert_array_equal(table_of(table.source, "float64", tmp_path / "u.csv").x_test, table.x_test)
    FRAME.assign(z=FRAME.z + 1).to_csv(tmp_path / "t.csv", index=False)
    with rejects("t.csv' contains other rows than before, expected the same table"):
        table_of(table.source, "float64")
    with rejects("the data was a table in memory, expected it again"):
        table_of(load_table(FRAME, "kind").source, "float64")


# What a model keeps.

LAYERS = [(RANDOM.normal(size=(5, 4)), RANDOM.normal(size=5)), (RANDOM.normal(size=(3, 5)), RANDOM.normal(size=3))]


def model_for(labels: Any, dtype: str = "float64") -> Model:
    table = load_table(FRAME.assign(kind=labels), "kind", dtype=dtype)
    params: Any = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), as_params(LAYERS))
    return Model(params, "tanh", table.classes, {}, preparation=table.preparation)


@pytest.mark.parametrize(
    "labels",
    [LABELS, np.arange(100) % 3, np.arange(100) % 3 / 2, np.arange(100) % 3 == 1],
    ids=["text", "int", "float", "bool"],
)
def test_a_model_predicts_the_labels_from_raw_rows_as_the_oracle_does(labels: Any, tmp_path: Path) -> None:
    n = len(np.unique(labels))
    layers = [LAYERS[0], (LAYERS[1][0][:n], LAYERS[1][1][:n])]
    table = load_table(FRAME.assign(kind=labels), "kind")
    made = Model(as_params(layers), "tanh", table.classes, preparation=table.preparation)
    save(tmp_path / "m", made)
    model = load(tmp_path / "m")
    assert isinstance(model, Model)
    inputs = (X - X[table.rows[0]].mean(axis=0)) / X[table.rows[0]].std(axis=0)
    expected = np.array([oracle.forward(layers, row, ["tanh"])[1][-1] for row in inputs])
    np.testing.assert_allclose(model.probabilities(X), expected, rtol=1e-9)
    predicted = model.predict(X)
    assert predicted.tolist() == np.unique(labels)[expected.argmax(axis=1)].tolist()
    assert predicted.dtype.kind == np.asarray(labels).dtype.kind
    # A DataFrame's columns are found by name, in any sequence, beside others.
    frame = FRAME[["z", "kind", "x", "w", "y"]].assign(more="text")
    np.testing.assert_array_equal(model.predict(frame), predicted)
    with rejects("there is no column 'x' and 1 more, expected those that the network learned from"):
        model.predict(frame.drop(columns=["x", "z"]))
    with rejects("column 'w' has 'text' in row 1"):
        model.predict(frame.assign(w="text"))
    with rejects("the data has 3 columns, expected 4, as the network has inputs"):
        model.predict(X[:, :3])


def test_a_model_without_a_preparation_takes_rows_as_they_are() -> None:
    model = Model(as_params(LAYERS), "tanh")
    expected = np.array([oracle.forward(LAYERS, row, ["tanh"])[1][-1] for row in X])
    np.testing.assert_allclose(model.probabilities(X), expected, rtol=1e-9)
    assert model.predict(X).tolist() == expected.argmax(axis=1).tolist()
    with rejects("samples have 3 columns, expected 4"):
        model.predict(X[:, :3])


def test_a_float32_model_computes_in_float32() -> None:
    assert model_for(LABELS, "float32").probabilities(X).dtype == np.float32


def test_a_preparation_comes_back_bit_for_bit_and_a_model_without_is_of_the_first_version(tmp_path: Path) -> None:
    model = model_for(LABELS)
    found = model_format.decode(encode(model))
    assert found.preparation is not None
    assert model.preparation is not None
    for name in ("mean", "scale"):
        np.testing.assert_array_equal(getattr(found.preparation, name), getattr(model.preparation, name))
    assert (found.preparation.columns, found.preparation.target) == (("w", "x", "y", "z"), "kind")
    assert b'\\"format\\":2' in encode(model)
    assert b'\\"format\\":1' in encode(dataclasses.replace(model, preparation=None))
    with pytest.raises(InputError, match="mean are not one for each of 4 inputs"):
        save(tmp_path / "m", model, preparation=Preparation(np.zeros(3), np.ones(3)))
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mean": [0.0]}, "mean are not one for each of 2 inputs"), ({"mean": [0, 1]}, "mean are not one for each"),
        ({"scale": [1.0, float("inf")]}, "not finite numbers"), ({"scale": [1.0, -1.0]}, "scale 0 or more"),
        ({"mean": [0.0, float("nan")]}, "not finite numbers"), ({"mean": None}, "mean are not one for each"),
        ({"columns": ["a"]}, "columns are not one for each"), ({"columns": ["a", 1]}, "columns are not one for each"),
        ({"columns": ["a", "a"]}, "names are not different strings"),
        ({"target": 3}, "names are not different strings"),
        ({"more": 1}, "has other entries than expected"),
    ],
)  # fmt: skip
def test_a_damaged_preparation_is_refused(change: dict[str, Any], said: str) -> None:
    good = {"mean": [0.0, 1.0], "scale": [1.0, 0.0], "columns": ["a", "b"], "target": "kind"}
    assert preparation_of(good, 2).to_json() == good
    assert preparation_of({**good, "columns": None, "target": None}, 2).columns is None
    with rejects(said):
        preparation_of({**good, **change}, 2)
    with rejects("has other entries than expected"):
        preparation_of([], 2)


@pytest.mark.filterwarnings("ignore:max_iter is:sklearn.exceptions.ConvergenceWarning")
def test_a_classifiers_preparation_goes_with_it(tmp_path: Path) -> None:
    table = load_table(FRAME, "kind")
    made = MLPClassifier((3,), max_iter=2, n_iter_no_change=9, random_state=0).fit(table.x_train, table.labels_train)
    save(tmp_path / "c", made, preparation=table.preparation)
    found = load(tmp_path / "c")
    assert isinstance(found, MLPClassifier)
    model = model_of(found)
    assert model.preparation is not None
    np.testing.assert_array_equal(model.preparation.mean, table.preparation.mean)
    np.testing.assert_array_equal(model.predict(X[table.rows[1]]), found.predict(table.x_test))
    save(tmp_path / "again", found)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "c").read_bytes()


def test_columns_are_found_by_name_or_by_their_number() -> None:
    named = Preparation(np.zeros(2), np.ones(2), ("a", "b"))
    assert named.places(["b", "c", "a"], 3) == [2, 0]
    assert named.places(None, 2) == Preparation(np.zeros(2), np.ones(2)).places(["x", "y"], 2) == [0, 1]
    numbered = pd.DataFrame(X).assign(kind=LABELS)  # pandas numbers columns without names
    table = load_table(numbered, "kind")
    assert table.preparation.columns == ("0", "1", "2", "3")
    model = Model(as_params(LAYERS), "tanh", table.classes, preparation=table.preparation)
    np.testing.assert_array_equal(model.predict(numbered), model.predict(X))


def test_another_label_makes_another_table() -> None:
    changed = FRAME.copy()
    changed.loc[3, "kind"] = "bee"
    other, same = load_table(changed, "kind").source, load_table(FRAME.copy(), "kind").source
    assert other["sha256"] != same["sha256"] == load_table(FRAME, "kind").source["sha256"]


def test_what_is_made_from_the_arrays_of_a_table_is_a_plain_dataset() -> None:
    table = load_table("iris")
    made = [
        table._replace(x_train=table.x_train[:10]),  # pyright: ignore[reportPrivateUsage] - documented of every NamedTuple
        jax.tree.map(lambda leaf: leaf, table),
        jax.device_put(table),
        jax.jit(lambda dataset: dataset)(table),
    ]
    assert [type(dataset) for dataset in made] == [Dataset] * 4
    assert len(made[0].x_train) == 10
    for dataset in made[1:]:
        assert_agree(dataset, Dataset(*table))
    for copied in (copy.copy(table), copy.deepcopy(table), pickle.loads(pickle.dumps(table))):
        assert type(copied) is type(table)
        assert copied.source == table.source
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(table)[0]]
    assert paths == [f".{name}" for name in Dataset._fields]
