"""One's own table through every command, and through the library in five lines."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import jaxmlp
from experiments import actions, gradient_check, predict, sensitivity, sweep, train
from experiments.support import command_line
from jaxmlp import Model, load_table
from tests.commands import catch_writes

SPECIES = ["setosa", "versicolor", "virginica"]
SPACE = ["--hidden", "3", "5", "--learning-rate", "0.1", "--seeds", "0:2", "--epochs", "2"]


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 rows, 4 columns, three classes with text labels."""
    random = np.random.default_rng(1)
    kind = random.integers(0, 3, 100)
    x = random.normal(size=(100, 4)) + 1.2 * random.normal(size=(3, 4))[kind]
    frame = pd.DataFrame(x * 10.0 ** np.array([-3, 0, 4, 8])).add_prefix("m").assign(species=np.array(SPECIES)[kind])
    path = tmp_path_factory.mktemp("own") / "flowers.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def database(flowers: Path) -> Path:
    """A sweep on the flowers, by the command."""
    path = flowers.with_name("sweep.sqlite")
    arguments = ["--data", str(flowers), "--target", "species", "--database", str(path)]
    assert sweep.main(["run", *SPACE, *arguments]) == 0
    return path


def test_four_commands_end_with_the_recorded_accuracy(
    flowers: Path, database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = catch_writes(monkeypatch)
    assert sweep.main(["report", "--database", str(database)]) == 0
    assert capsys.readouterr().out.startswith("sweep 1: 4 of 4 trials done\n")
    assert {"heatmap.png", "curves.png", "trials.csv"} <= set(files)
    monkeypatch.undo()
    assert sweep.main(["export", "--database", str(database), "--out", str(tmp_path)]) == 0
    assert "(as recorded)" in capsys.readouterr().out
    model = jaxmlp.load(tmp_path / "best.safetensors")
    assert isinstance(model, Model)
    assert model.details["data"]["data"] == "flowers.csv"  # its folder is nobody's business
    recorded = jaxmlp.sweep.results(database).chosen()["test_accuracy"]
    given = [str(tmp_path / "best.safetensors"), "--data", str(flowers), "--target", "species", "--out", str(tmp_path)]
    assert predict.main(given) == 0
    assert f"test accuracy {100 * recorded:.3f} %" in capsys.readouterr().out
    assert actions.predict.run(given[0], str(flowers), "species").accuracy("test") == pytest.approx(recorded, abs=1e-7)
    with open(tmp_path / "predictions.csv") as file:
        rows = list(csv.DictReader(file))
    frame = pd.read_csv(flowers)
    assert [row["row"] for row in rows] == [str(number) for number in range(1, 101)]
    assert [row["label"] for row in rows] == frame["species"].tolist()
    assert [row["predicted"] for row in rows] == model.predict(frame).tolist()
    assert sum(row["part"] == "test" for row in rows) == 20
    shares = np.array([[row[f"p({name})"] for name in SPECIES] for row in rows], float)
    np.testing.assert_allclose(shares, model.probabilities(frame), rtol=1e-5)


def test_the_library_does_the_same_in_five_lines(flowers: Path, database: Path, tmp_path: Path) -> None:
    table = jaxmlp.load_table(flowers, "species")
    space = {"hidden": [3, (5,)], "learning_rate": [0.1], "seeds": [0, 1]}
    results = jaxmlp.sweep.run(table, space, tmp_path / "s.sqlite", epochs=2)
    model = results.export(tmp_path / "best.safetensors")
    predicted = model.predict(pd.read_csv(flowers).loc[table.rows[1]])
    right = np.mean(predicted == table.classes[table.labels_test])
    assert right == pytest.approx(results.chosen()["test_accuracy"], abs=1e-7)
    by_command = jaxmlp.sweep.results(database)
    names = [name for name in results.rows[0] if name not in ("seconds", "environment")]
    assert [[row[name] for name in names] for row in results.rows] == [
        [row[name] for name in names] for row in by_command.rows
    ]
    assert str(results) == str(by_command)
    assert results.table()["hidden"].tolist() == [item.values["hidden"] for item in results.configurations]
    assert all(isinstance(figure, Figure) for figure in results.figures().values())
    curves = results.curves(results.rows[0]["id"])
    assert curves["epoch"].tolist() == [1, 2]
    assert curves["validation_loss"][-1] == results.rows[0]["validation_loss"]
    assert results.test_accuracy.mean == np.mean([row["test_accuracy"] for row in results.best.rows])
    before = (tmp_path / "best.safetensors").read_bytes()
    with pytest.raises(jaxmlp.InputError, match="exists, expected a new name, or overwrite=True"):
        results.export(tmp_path / "best.safetensors")
    assert results.export(tmp_path / "best.safetensors", overwrite=True).details == model.details
    assert (tmp_path / "best.safetensors").read_bytes() == before
    # Run again it trains nothing.
    done: list[float] = []
    said: list[str] = []
    again = jaxmlp.sweep.run(
        table, space, tmp_path / "s.sqlite", epochs=2, progress=lambda n, _: done.append(n), say=said.append
    )
    assert (again.rows, done, said) == (results.rows, [4.0], ["sweep 1, resumed: 4 of 4 trials are there"])


def test_without_pandas_the_table_is_a_list_of_rows(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = jaxmlp.sweep.results(database)
    expected = results.table().to_dict("records")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    np.testing.assert_equal(results.table(), expected)


def test_data_that_moved_is_found_where_it_is_now_and_other_data_refused(
    flowers: Path, database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = tmp_path / "moved.csv"
    flowers.rename(moved)
    try:
        export = ["export", "--database", str(database), "--out", str(tmp_path)]
        assert sweep.main(export) == 2
        assert "the sweep's data cannot be read again: there is no file" in capsys.readouterr().err
        assert sweep.main([*export, "--data", str(moved)]) == 0
        pd.read_csv(moved).head(90).to_csv(tmp_path / "other.csv", index=False)
        assert sweep.main([*export, "--data", str(tmp_path / "other.csv")]) == 2
        assert "contains other rows than before, expected the same table" in capsys.readouterr().err
    finally:
        moved.rename(flowers)


def test_data_from_memory_is_asked_for_again_where_a_network_is_trained(flowers: Path, tmp_path: Path) -> None:
    space = {"hidden": [3, (5,)], "learning_rate": [0.1], "seeds": [0, 1]}  # of the program that the database has
    for dataset, said in (
        (load_table(pd.read_csv(flowers), "species"), "the data was a table in memory, expected it again"),
        (jaxmlp.Dataset(*load_table(flowers, "species")), "the sweep's data was no table, expected it as dataset"),
    ):
        path = tmp_path / str(len(said))
        results = jaxmlp.sweep.run(dataset, space, path, epochs=1)
        assert results.network()[1].test_accuracy == results.chosen()["test_accuracy"]
        with pytest.raises(jaxmlp.InputError, match=said):
            jaxmlp.sweep.results(path).network()
        assert jaxmlp.sweep.results(path, dataset=dataset).network()[0].details["epochs"] == 1


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"epochs": 0}, "epochs is 0"), ({"validation": 80}, "validation rows are 80, expected 0..79"),
        ({"halving": 1}, "halving is 1"), ({"engine": "diesel"}, "engine is 'diesel', expected one of scan"),
        ({"space": {"learning_rate": [1e39]}}, "learning_rate is 1e+39, expected 1.4e-45 to 3.4e+38"),
        ({"space": {"learning_rate": [1e-50]}}, "learning_rate is 1e-50, expected 1.4e-45"),
        ({"space": {"hidden": [3.5]}}, "hidden is 3.5"), ({"space": {"batch_size": [81]}}, "batch size is 81"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    config: dict[str, Any], said: str, flowers: Path, tmp_path: Path
) -> None:
    table = load_table(flowers, "species")
    with pytest.raises(jaxmlp.InputError) as refused:
        jaxmlp.sweep.run(table, config.pop("space", {}), tmp_path / "s", **config)
    assert str(refused.value).startswith(said)
    assert not list(tmp_path.iterdir())


# The other commands.


def test_train_writes_a_model_that_predict_finds_as_good(
    flowers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--data", str(flowers), "--target", "species"]
    (tmp_path / "bottleneck.png").write_bytes(b"of an earlier run")
    assert train.main([*given, "--hidden", "3", "--epochs", "2", "--quiet", "--out", str(tmp_path)]) == 0
    assert "removing an earlier bottleneck.png" in capsys.readouterr().out
    assert not (tmp_path / "bottleneck.png").exists()
    model = jaxmlp.load(tmp_path / "model.safetensors")
    assert isinstance(model, Model)
    found = actions.predict.run(str(tmp_path / "model.safetensors"), str(flowers), "species")
    assert found.accuracy("test") == pytest.approx(model.details["test_accuracy"], rel=1e-15)  # a sum's last bit


def test_predict_takes_new_rows_with_and_without_labels(
    flowers: Path, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = jaxmlp.sweep.results(database).export(tmp_path / "m")
    frame = pd.read_csv(flowers).head(50)
    frame[frame.columns[::-1]].to_csv(tmp_path / "few.csv", index=False)
    files = catch_writes(monkeypatch)
    few = [str(tmp_path / "m"), "--data", str(tmp_path / "few.csv")]
    assert predict.main([*few, "--target", "species"]) == 0
    right = 100 * np.mean(model.predict(frame) == frame["species"])
    assert f"4-{model.details['hidden'][0]}-3: accuracy {right:.3f} %" in capsys.readouterr().out
    assert set(files) == {"predictions.csv", "confusion.png"}
    frame.drop(columns="species").to_csv(tmp_path / "few.csv", index=False)
    assert predict.main(few) == 0
    assert "labels are not known, --target names their column" in capsys.readouterr().out
    assert set(files) == {"predictions.csv"}
    assert files["predictions.csv"].splitlines()[0] == "row,part,predicted,p(setosa),p(versicolor),p(virginica)"
    frame.assign(species=frame["species"].replace("setosa", "rose")).to_csv(tmp_path / "few.csv", index=False)
    for more, said in (
        (
            ["--target", "species"],
            "label 'rose' is none of the network's classes, ['setosa', 'versicolor', 'virginica']",
        ),
        (["--target", "sort"], "target is 'sort', expected one of the columns"),
    ):
        assert predict.main([*few, *more]) == 2
        assert said in capsys.readouterr().err
    frame.drop(columns="m3").to_csv(tmp_path / "few.csv", index=False)
    assert predict.main(few) == 2
    assert "there is no column 'm3', expected those that the network learned from" in capsys.readouterr().err
    assert predict.main(few[:1]) == 2
    assert "contains a network that learned from 'flowers.csv', expected --data" in capsys.readouterr().err


def test_predict_takes_arrays_and_their_test_rows(flowers: Path, tmp_path: Path) -> None:
    found = pd.read_csv(flowers)
    x, y = found.drop(columns="species").to_numpy(), found["species"].to_numpy(str)
    np.savez(tmp_path / "a.npz", x=x[:80], y=y[:80], x_test=x[80:], y_test=y[80:])
    table = load_table(tmp_path / "a.npz")
    results = jaxmlp.sweep.run(table, {"hidden": [3], "seeds": [0, 1]}, tmp_path / "s", epochs=1)
    results.export(tmp_path / "m")
    shown = actions.predict.run(str(tmp_path / "m"), str(tmp_path / "a.npz"))
    assert shown.accuracy("test") == pytest.approx(results.chosen()["test_accuracy"], abs=1e-7)
    np.savez(tmp_path / "b.npz", x=x + 1, y=y, x_test=x[:10], y_test=y[:10])
    assert set(actions.predict.run(str(tmp_path / "m"), str(tmp_path / "b.npz")).parts) == {"new", "test"}


@pytest.mark.slow
def test_sensitivity_and_gradient_check_work_on_a_table_too(
    flowers: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = catch_writes(monkeypatch)
    given = ["--data", str(flowers), "--target", "species", "--hidden", "3"]
    assert sensitivity.main([*given, "--epochs", "1", "--twins", "2", "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("4-3-3, 2 twins, 1 epochs: test accuracy ")
    assert gradient_check.main([*given, "--batch-size", "4"]) == 0
    assert "4-20-3 trained with either gradient" in capsys.readouterr().out
    assert files["report.json"]["ok"]
    with pytest.raises(SystemExit):
        gradient_check.main(["--data", "wine", "--random-networks", "2"])
    assert capsys.readouterr().err.endswith("error: --data goes with --hidden alone\n")


def test_what_a_table_left_out_is_said(flowers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.read_csv(flowers).to_csv(tmp_path / "i.csv")
    table = load_table(tmp_path / "i.csv", "species")
    command_line.show_notes(table)
    said = "note: left out: a column without a name (Unnamed: 0), which counts the rows\n"
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("given", "hidden", "rates"),
    [
        ({"hidden": [4, (8, 4)], "learning_rate": np.array([0.1, 0.2])}, ((4,), (8, 4)), (0.1, 0.2)),
        ({"hidden": (8, 4), "learning_rate": 0.1}, ((8, 4),), (0.1,)),
        ({"hidden": ((4,), (8, 4)), "learning_rate": (0.1, 0.2)}, ((4,), (8, 4)), (0.1, 0.2)),
        ({"hidden": range(3, 5), "learning_rate": ["0.1"]}, ((3,), (4,)), (0.1,)),
    ],
)
def test_a_space_is_written_as_python_writes_it(given: dict[str, Any], hidden: Any, rates: Any) -> None:
    space = jaxmlp.sweep.make_space(given)
    assert (space.hidden, space.learning_rate) == (hidden, rates)


def test_a_sweep_where_jax_has_computed_before_warns_that_it_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    given = load_table("wine"), {"hidden": [3]}, tmp_path / "s"
    monkeypatch.setattr(jaxmlp.sweep.session, "run_sweep", lambda *_, **__: None)
    monkeypatch.setattr(jaxmlp.runtime, "compiles_whole_loops", lambda: True)
    jaxmlp.sweep.run(*given)
    assert not recwarn
    monkeypatch.setattr(jaxmlp.runtime, "compiles_whole_loops", lambda: False)
    with pytest.warns(
        UserWarning, match=r"call jaxmlp.runtime.configure_sweep\('float32'\) before it computes"
    ) as told:
        jaxmlp.sweep.run(*given)
    assert told[0].filename == __file__
