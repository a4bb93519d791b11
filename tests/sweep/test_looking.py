"""What is said, drawn and exported of a sweep: from rows entered by hand, which no network was trained for."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import sweep
from jaxmlp import Model, load_digits
from jaxmlp.sweep import make_space, results, store
from jaxmlp.sweep.blocks import data_hash, hold_out
from jaxmlp.sweep.blocks.block_training import Outcome
from jaxmlp.sweep.findings import answer
from jaxmlp.sweep.trial import Trial
from tests.commands import catch_writes
from tests.helpers import random_params, rejects

EPOCHS = 3
SOURCE = {
    "data": "digits", "target": None, "test": None, "seed": 0, "drop": [], "keep_constant": False,
    "sha256": "f6d9e39f37dc45d3",
}  # fmt: skip
# Validation loss and accuracy, training and test accuracy: width 8 has the best test accuracy, width 4 is to be
# chosen, width 16 would be, were it complete. Of 4's seeds 7 has the better losses, and neither the better accuracies.
FOUND: dict[tuple[int, int], tuple[str, float, float, float, float]] = {
    (8, 5): ("done", 0.50, 0.95, 0.99, 1.00), (8, 7): ("done", 0.70, 0.93, 0.97, 0.98),
    (4, 5): ("done", 0.40, 0.85, 0.91, 0.97), (4, 7): ("done", 0.30, 0.83, 0.92, 0.93),
    (16, 5): ("done", 0.10, 0.99, 0.99, 0.99), (16, 7): ("diverged", 0.05, 0.99, 0.99, 0.99),
}  # fmt: skip


def enter(
    path: Path,
    identity: store.Identity | None = None,
    validation: int = 300,
    statuses: Sequence[tuple[int, int]] = tuple(FOUND),
    dtype: str = "float32",
    **values: list[Any],
) -> list[Trial]:
    """A sweep of widths 8, 4, 16 and seeds 5, 7, of which these trials were trained."""
    space = make_space({"hidden": ["8", "4", "16"], "seeds": [5, 7], **values})
    trials = space.trials()
    data = data_hash(hold_out(load_digits(dtype), validation))
    settings = {"dtype": dtype, "validation": validation, "engine": "fused"}
    with store.opened(path, write=True) as connection:
        made, _ = store.begin(connection, identity or store.Identity("{}", data, EPOCHS, 0), trials, settings)
        entries = store.pending(connection, made.number)
        for trial in trials:
            if (trial.hidden[0], trial.seed) in statuses:
                store.record(connection, [(entries[trial], outcome(trial, validation))], 1.0)
    return trials


def outcome(trial: Trial, validation: int = 300) -> Outcome:
    """What `FOUND` says; the epochs before the last had losses 2 and 1 above."""
    status, loss, accuracy, train, test = FOUND[trial.hidden[0], trial.seed]
    fall = np.array([2.0, 1.0, 0.0])
    none = fall + np.nan
    if not validation:
        return Outcome(status, loss + fall, none, none, train, test)
    return Outcome(status, 3 + loss + fall, loss + fall, accuracy - fall / 10, train, test)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """All six trials trained."""
    path = tmp_path_factory.mktemp("looking") / "s.sqlite"
    enter(path)
    return str(path)


def test_validation_loss_chooses_among_whole_configurations_and_test_rows_judge_the_chosen_alone(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    catch_writes(monkeypatch)
    assert sweep.main(["report", "--database", database]) == 0
    # t(0.975, 1) = 12.7062 times half the distance of two values; a share ends at 100 %.
    assert capsys.readouterr().out.splitlines()[:-1] == [
        "sweep 1: 5 of 6 trials done, 1 diverged",
        "   hidden  done  validation loss  validation accuracy % (95 % interval)",
        "-  ------  ----  ---------------  -------------------------------------",
        "1       4   2/2           0.3500  84.00 (71.29..96.71)",
        "2       8   2/2           0.6000  94.00 (81.29..100.00)",
        "3      16   1/2           0.1000  99.00",
        "chosen: 1, test accuracy 95.00 (69.59..100.00) % over 2 seeds",
        "chosen by loss; with 2 seeds 1 of 2 others cannot be told from it, seed by seed (95 % intervals of the "
        "differences): 2",
    ]


def test_without_validation_rows_training_rows_choose_and_the_table_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    enter(tmp_path / "s", validation=0)
    catch_writes(monkeypatch)
    assert sweep.main(["report", "--database", str(tmp_path / "s"), "--top", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "   hidden  done    loss  train accuracy % (95 % interval)"
    assert lines[3] == "1       4   2/2  0.3500  91.50 (85.15..97.85)"
    assert lines[4] == "chosen: 1, test accuracy 95.00 (69.59..100.00) % over 2 seeds"


def test_a_sweep_of_which_nothing_is_done_says_so_and_draws_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    enter(tmp_path / "s", statuses=[(16, 7)])
    files = catch_writes(monkeypatch)
    assert sweep.main(["report", "--database", str(tmp_path / "s")]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "sweep 1: 0 of 6 trials done, 5 pending, 1 diverged, 2 configurations not begun", "no trial is done yet",
    ]  # fmt: skip
    assert list(files) == ["trials.csv"]
    with rejects("no trial is done yet, expected one"):
        results(tmp_path / "s").chosen()


def test_the_newest_sweep_is_looked_at_unless_another_is_named(
    tmp_path: Path, trained: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    enter(tmp_path / "s", statuses=[(4, 5), (4, 7)])
    enter(tmp_path / "s", store.Identity('{"a": 2}', "other data", EPOCHS, 0), statuses=[(8, 5), (8, 7)])
    catch_writes(monkeypatch)
    for option, number, width in (([], 2, "8"), (["--sweep", "1"], 1, "4"), (["--sweep", "2"], 2, "8")):
        assert sweep.main(["report", "--database", str(tmp_path / "s"), *option]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith(f"sweep {number}: ")
        assert lines[3].split()[:2] == ["1", width]
        assert results(tmp_path / "s", number).chosen()["hidden"] == width
    assert sweep.main(["report", "--database", str(tmp_path / "s"), "--sweep", "3"]) == 2
    assert "sweep is 3, expected one of [1, 2]" in capsys.readouterr().err
    assert sweep.main(["export", "--database", str(tmp_path / "s"), "--sweep", "1"]) == 0
    assert trained[0][0].hidden == (4,)
    assert sweep.main(["export", "--database", str(tmp_path / "s")]) == 2  # of other data


def test_the_rows_written_are_the_stores(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = catch_writes(monkeypatch)
    assert sweep.main(["report", "--database", database]) == 0
    rows = list(csv.DictReader(io.StringIO(files["trials.csv"])))
    told = [(row["hidden"], row["seed"], row["status"], row["test_accuracy"], row["validation_loss"]) for row in rows]
    assert told == [(str(w), str(s), found[0], str(found[4]), str(found[1])) for (w, s), found in FOUND.items()]


def test_curves_are_means_over_seeds_of_each_configuration_the_best_first(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = catch_writes(monkeypatch)
    assert sweep.main(["report", "--database", database]) == 0
    figure = files["curves.png"]
    assert figure.get_suptitle() == "sweep 1: 3 configurations, 2 seeds: the best five, means over seeds"
    names = [str(line.get_label()) for line in figure.axes[0].lines]
    assert names == ["1: hidden 4", "2: hidden 8", "3: hidden 16"]
    for axes, above in zip(figure.axes, (3, 0), strict=True):  # training, validation
        for line, loss in zip(axes.lines, (0.35, 0.6, 0.1), strict=True):
            np.testing.assert_allclose(line.get_ydata(), above + loss + np.array([2, 1, 0]))


def test_accuracy_is_drawn_by_learning_rate_with_a_line_for_each_width(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = catch_writes(monkeypatch)
    enter(tmp_path / "s", learning_rate=[0.1, 0.2])
    assert sweep.main(["report", "--database", str(tmp_path / "s")]) == 0
    (axes,) = files["learning_rate.png"].axes
    (legend,) = files["learning_rate.png"].legends
    words = [text.get_text() for text in legend.get_texts()]
    assert (axes.get_xlabel(), words) == ("learning rate", ["4", "8", "16"])
    assert axes.get_ylabel() == "validation accuracy (%), mean and 95 % interval"
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata()), [84, 84])


def test_the_heatmap_has_the_axes_that_were_asked_for(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = catch_writes(monkeypatch)
    for options, shape, names in (
        ([], (3, 1), ("learning rate", "hidden")),
        (["--across", "hidden", "--down", "optimizer"], (1, 3), ("hidden", "optimizer")),
    ):
        assert sweep.main(["report", "--database", database, *options]) == 0
        axes = files["heatmap.png"].axes[0]
        assert (axes.get_xlabel(), axes.get_ylabel()) == names
        cells = axes.images[0].get_array()
        assert cells.shape == shape
        np.testing.assert_allclose(cells.ravel(), [84, 94, 99])  # widths 4, 8, 16
    for cells, drawn in ((3, True), (2, False)):
        monkeypatch.setattr(answer, "CELLS", cells)
        assert sweep.main(["report", "--database", database]) == 0
        assert ("heatmap.png" in files) == drawn
    capsys.readouterr()
    assert sweep.main(["report", "--database", database]) == 0
    assert list(files) == ["trials.csv", "parallel.png", "curves.png"]
    said = capsys.readouterr().out
    assert "no heatmap: learning_rate or hidden has more values than fit, --across and --down choose others" in said


@pytest.mark.parametrize("top", ["1", "2"])
def test_so_many_lines_are_shown_as_asked_for(
    top: str, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    catch_writes(monkeypatch)
    assert sweep.main(["report", "--database", database, "--top", top]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6 + int(top)
    assert sweep.main(["report", "--database", database, "--top", "0"]) == 2
    assert capsys.readouterr().err == "error: top is 0, expected 1 or more\n"


# Exporting.


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What export trains: nothing, its arguments are listed here. The outcome is that of `FOUND`."""
    asked: list[Any] = []

    def train(trial: Trial, *others: Any) -> tuple[Any, Outcome]:
        asked.append((trial, *others))
        return random_params(0, (64, 10)), outcome(trial)

    monkeypatch.setattr(answer.blocks, "train_trial", train)
    return asked


def test_the_best_seed_of_the_chosen_configuration_is_exported_with_what_it_is(
    database: str, trained: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = catch_writes(monkeypatch)
    assert sweep.main(["export", "--database", database]) == 0
    ((trial, epochs, data, engine),) = trained
    assert (trial.hidden, trial.seed, epochs, engine) == ((4,), 7, EPOCHS, "fused")
    assert (len(data.validation.labels), data.dataset.x_train.dtype) == (300, np.float32)
    model = files["best.safetensors"]
    assert isinstance(model, Model)
    assert model.activation == "sigmoid"
    assert model.classes is not None
    assert model.classes.tolist() == list(range(10))
    assert dict(model.details) == {
        "data": SOURCE, "hidden": [4], "seed": 7, "activation": "sigmoid", "batch_size": 1, "optimizer": "sgd",
        "learning_rate": 0.2, "momentum": None, "weight_decay": 0.0, "init_scale": 1.0, "epochs": EPOCHS,
        "test_accuracy": 0.93,
    }  # fmt: skip
    assert capsys.readouterr().out.splitlines() == [
        f"trial {trial.id}, hidden 4, activation sigmoid, batch_size 1, optimizer sgd, learning_rate 0.2, "
        "momentum None, weight_decay 0.0, init_scale 1.0, seed 7",
        "test accuracy 93.00 % (as recorded)", "wrote best.safetensors",
    ]  # fmt: skip


def test_the_trial_of_that_id_is_exported_and_another_outcome_than_the_recorded_is_told(
    database: str, trained: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    catch_writes(monkeypatch)
    wanted = Trial(hidden=(8,), seed=5)
    monkeypatch.setitem(FOUND, (8, 5), ("done", 0.5, 0.95, 0.99, 0.8))
    assert sweep.main(["export", "--database", database, "--trial", wanted.id]) == 0
    assert trained[0][0] == wanted
    assert capsys.readouterr().out.splitlines()[1] == "test accuracy 80.00 % (recorded: 100.00 %)"


@pytest.mark.parametrize("trial", [Trial(hidden=(16,), seed=7), Trial(hidden=(8,), seed=6)])
def test_a_trial_that_diverged_or_is_of_no_sweep_is_not_exported(
    trial: Trial, database: str, trained: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep.main(["export", "--database", database, "--trial", trial.id, "--out", str(tmp_path)]) == 2
    said = f"error: trial is {trial.id!r}, expected the id of a trial of the sweep that is done\n"
    assert capsys.readouterr().err == said
    assert not trained
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("status", ["pending", "pruned", "failed"])
def test_an_unfinished_trial_is_not_exported(status: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    trials = enter(path, statuses=[(8, 7)])
    with store.opened(path, write=True) as connection:
        entries = store.pending(connection, 1)
        if status == "pruned":
            store.record(connection, [(entries[trials[0]], outcome(trials[0]))], 1.0, "pruned")
        if status == "failed":
            store.fail(connection, [entries[trials[0]]], "why")
    with rejects(f"trial is {trials[0].id!r}, expected the id of a trial of the sweep that is done"):
        results(path).chosen(trials[0].id)


def test_a_sweep_of_other_data_is_not_exported(
    tmp_path: Path, trained: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    enter(tmp_path / "s", store.Identity("{}", "0" * 16, EPOCHS, 0))
    assert sweep.main(["export", "--database", str(tmp_path / "s"), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "error: the data differs from that of the sweep, expected the same rows, split in the same way\n"
    )
    assert not trained


def test_a_sweep_without_validation_rows_exports_by_training_loss(tmp_path: Path, trained: list[Any]) -> None:
    enter(tmp_path / "s", validation=0)
    assert sweep.main(["export", "--database", str(tmp_path / "s"), "--out", str(tmp_path)]) == 0
    assert (trained[0][0].hidden, trained[0][0].seed) == ((4,), 7)
    assert len(trained[0][2].validation.labels) == 0


def test_what_the_sweep_was_trained_with_is_what_its_network_is_exported_with(
    tmp_path: Path, trained: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = catch_writes(monkeypatch)
    enter(tmp_path / "s", validation=100, dtype="float64", activation=["relu"])
    assert sweep.main(["export", "--database", str(tmp_path / "s")]) == 0
    data = trained[0][2]
    assert (data.dataset.x_train.dtype, len(data.validation.labels)) == (np.float64, 100)
    assert files["best.safetensors"].activation == "relu"
