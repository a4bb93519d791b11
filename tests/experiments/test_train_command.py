"""``experiments.train`` and the lecture's three commands: which numbers come under which name, and what options do."""

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import experiments.__main__ as lecture
from experiments import actions, bottleneck, one_hidden_layer, train, two_hidden_layers
from experiments.support import command_line, training_run
from experiments.support.training_run import Result, RunConfig
from jaxmlp import Dataset, History, KeyStream, LectureStream, Model, automatic_gradient, hand_derived_gradient
from jaxmlp.lecture import make_dataset  # fmt: skip
from tests import oracle
from tests.commands import catch_writes, legend_of
from tests.helpers import as_params, assert_agree, random_params

# The best epoch is the second, the last one is none's best.
HISTORY = History(np.array([0.5, 0.25, 0.375]), np.array([0.7, 0.9, 0.8]), np.array([0.6, 0.85, 0.75]))
SETTINGS = RunConfig((3, 2), 5, 0.1, 3, 4, "tanh", "hand-derived", "float64", "jax")
OPTIONS = ["--hidden", "3", "2", "--seed", "5", "--learning-rate", "0.1", "--epochs", "3", "--batch-size", "4",
           "--activation", "tanh", "--gradient", "hand-derived", "--randomness", "jax"]  # fmt: skip


@pytest.fixture(scope="module")
def small(digits: Dataset) -> Dataset:
    """30 digits to train on, 20 to test on."""
    train_rows, test_rows = (
        (digits.x_train[:30], digits.labels_train[:30]),
        (digits.x_test[:20], digits.labels_test[:20]),
    )
    return make_dataset(*train_rows, *test_rows, 10, "float64")


@pytest.fixture
def asked(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """Nothing is trained: the settings asked for are listed here, `HISTORY` comes in chunks of two epochs and one."""
    found: list[RunConfig] = []

    def run(settings: RunConfig, report: Callable[[int, History], None], _: Dataset) -> Result:
        found.append(settings)
        for done in (0, 2):
            report(done, History(*(column[done : done + 2] for column in HISTORY)))
        return result(small, settings)

    monkeypatch.setattr(actions.train, "run", run)
    monkeypatch.setattr(command_line, "prepare", lambda *_: None)
    return found


def result(dataset: Dataset, settings: RunConfig = SETTINGS, ended: str = "finished", epochs: int = 3) -> Result:
    history = History(*(column[:epochs] for column in HISTORY))
    return Result(settings, dataset, random_params(1, settings.sizes), history, 1.5, 0.25, ended)


@pytest.mark.parametrize(
    ("main", "hidden", "name"),
    [
        (train.main, (20,), "train"),
        (one_hidden_layer.main, (20,), "one_hidden_layer"),
        (two_hidden_layers.main, (20, 10), "two_hidden_layers"),
        (bottleneck.main, (20, 20, 2), "bottleneck"),
    ],
)
def test_a_commands_defaults_are_the_lectures_and_every_option_becomes_its_setting(
    main: Callable[[list[str]], int],
    hidden: tuple[int, ...],
    name: str,
    asked: list[RunConfig],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folders: list[Path] = []
    monkeypatch.setattr(command_line, "write", lambda folder, *_: folders.append(folder) or "")
    monkeypatch.setattr(command_line, "output_folder", Path)
    monkeypatch.setattr(actions.train, "draw", lambda *_: {})
    assert main([]) == main([*OPTIONS, "--out", "elsewhere"]) == main(["--dtype", "float32", "--hidden"]) == 0
    default = RunConfig(hidden, 0, 0.2, 100, 1, "sigmoid", "automatic", "float64", "lecture")
    assert asked == [default, SETTINGS, dataclasses.replace(default, dtype="float32", hidden=())]
    assert folders == [Path("runs") / name, Path("elsewhere"), Path("runs") / name]


@pytest.mark.parametrize("module", [one_hidden_layer, two_hidden_layers, bottleneck])
def test_run_trains_the_commands_own_network(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_run, "run", lambda settings: settings)
    assert module.run() == module.PRESET


def test_the_palette_asked_for_colours_the_two_units(asked: list[RunConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    catch_writes(monkeypatch)
    palettes: list[str] = []
    monkeypatch.setattr(actions.train, "draw", lambda _, palette: palettes.append(palette) or {})
    assert train.main(["--palette", "colour-blind"]) == train.main([]) == 0
    assert palettes == ["colour-blind", "lecture"]
    assert len(asked) == 2


def test_what_the_network_needs_of_jax_is_asked_for_first(
    asked: list[RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    catch_writes(monkeypatch)
    monkeypatch.setattr(actions.train, "draw", lambda *_: {})
    prepared: list[Any] = []
    monkeypatch.setattr(command_line, "prepare", lambda *how: prepared.append((*how, len(asked))))
    assert train.main(OPTIONS) == train.main(["--dtype", "float32", "--no-cache"]) == 0
    assert prepared == [("float64", (64, 3, 2, 10), 4, True, 0), ("float32", (64, 20, 10), 1, False, 1)]


@pytest.mark.parametrize("quiet", [False, True])
def test_epochs_are_counted_through_and_the_last_epoch_is_what_is_kept(
    quiet: bool, asked: list[RunConfig], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = catch_writes(monkeypatch)
    assert train.main([*OPTIONS, *["--quiet"] * quiet]) == 0
    lines = [
        "1-th epoch: cross entropy = 0.500, train_accuracy = 70.000%, test_accuracy = 60.000%",
        "2-th epoch: cross entropy = 0.250, train_accuracy = 90.000%, test_accuracy = 85.000%",
        "3-th epoch: cross entropy = 0.375, train_accuracy = 80.000%, test_accuracy = 75.000%",
    ]
    assert capsys.readouterr().out.splitlines() == [
        *lines[: 0 if quiet else 3], "64-3-2-10: compiled in 1.50 s, trained in 0.25 s",
        "wrote history.json, model.safetensors, curves.png, confusion.png, bottleneck.png",
    ]  # fmt: skip
    record = json.loads(json.dumps(files["history.json"]))
    assert record.pop("environment")["versions"]
    assert record == {
        "hidden": [3, 2], "seed": 5, "learning_rate": 0.1, "epochs": 3, "batch_size": 4, "activation": "tanh",
        "gradient": "hand-derived", "dtype": "float64", "randomness": "jax", "n_in": 64, "n_classes": 10,
        "ended": "finished", "data": None,
        "loss": [0.5, 0.25, 0.375], "train_accuracy": [0.7, 0.9, 0.8], "test_accuracy": [0.6, 0.85, 0.75],
        "seconds_compiling": 1.5, "seconds_training": 0.25,
    }  # fmt: skip
    model = files["model.safetensors"]
    assert isinstance(model, Model)
    assert_agree(model.params, random_params(1, SETTINGS.sizes))
    assert model.activation == "tanh"
    assert model.classes is not None
    assert model.classes.tolist() == list(range(10))
    assert dict(model.details) == {**dataclasses.asdict(SETTINGS), "test_accuracy": 0.75, "data": None}
    assert asked == [SETTINGS]


def test_figures_show_the_run_the_test_rows_and_the_two_units(small: Dataset) -> None:
    found = result(small)
    drawn = actions.train.draw(found, "colour-blind")
    assert list(drawn) == ["curves.png", "confusion.png", "bottleneck.png"]
    title = "64-3-2-10, tanh, seed 5"
    assert drawn["curves.png"].get_suptitle() == title
    loss, accuracy = drawn["curves.png"].axes
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), HISTORY.loss)
    np.testing.assert_allclose(np.asarray(accuracy.lines[0].get_ydata()), [70, 90, 80])
    assert legend_of(accuracy) == ["training (80.0 %)", "test (75.0 %)"]
    layers = [(np.asarray(layer.weights), np.asarray(layer.biases)) for layer in found.params]
    passed = [oracle.forward(layers, x, ["tanh"] * 2)[0] for x in np.asarray(small.x_test)]
    counts = np.zeros((10, 10), int)
    for g, label in zip(passed, small.labels_test, strict=True):
        counts[int(label), int(np.argmax(g[-1]))] += 1
    matrix = drawn["confusion.png"].axes[0]
    assert drawn["confusion.png"].get_suptitle() == f"{title}: test set, 75.0 % right"
    cells = {(text.get_position()[1], text.get_position()[0]): int(text.get_text()) for text in matrix.texts}
    assert cells == {(row, column): count for (row, column), count in np.ndenumerate(counts) if count}
    plane = drawn["bottleneck.png"].axes[0]
    assert plane.get_title() == f"{title}: what the 2-unit layer sees"
    # Two clouds for each digit, training and test, then its entry in the legend.
    test = np.concatenate([np.asarray(cloud.get_offsets()) for cloud in plane.collections[1:30:3]])
    expected = [g[-2] for _, g in sorted(zip(small.labels_test, passed, strict=True), key=lambda pair: int(pair[0]))]
    np.testing.assert_allclose(test, expected)
    assert sum(len(np.asarray(cloud.get_offsets())) for cloud in plane.collections[0:30:3]) == 30
    colours = [np.asarray(cloud.get_facecolor())[0] for cloud in plane.collections[0:30:3]]
    np.testing.assert_allclose(colours[0][:3], np.array([0xCC, 0x66, 0x77]) / 255)  # not the lecture's red


@pytest.mark.parametrize("hidden", [(2, 3), ()])
def test_only_a_last_hidden_layer_of_two_units_is_drawn_as_a_plane(hidden: tuple[int, ...], small: Dataset) -> None:
    drawn = actions.train.draw(result(small, dataclasses.replace(SETTINGS, hidden=hidden)))
    assert list(drawn) == ["curves.png", "confusion.png"]


@pytest.mark.parametrize(
    ("ended", "epochs", "code", "said", "files"),
    [
        ("diverged", 2, 1, "error: the loss is no longer finite at epoch 3; kept 2 epochs\n",
         ["history.json", "curves.png"]),
        ("diverged", 0, 1, "error: the loss is no longer finite at epoch 1; kept 0 epochs\n", ["history.json"]),
        ("interrupted", 2, 130, "interrupted after 2 of 3 epochs\n",
         ["history.json", "model.safetensors", "curves.png", "confusion.png", "bottleneck.png"]),
        ("interrupted", 0, 130, "interrupted after 0 of 3 epochs\n", []),
    ],
)  # fmt: skip
def test_a_run_that_ended_early_is_told_keeps_its_epochs_and_has_its_exit_code(
    ended: str,
    epochs: int,
    code: int,
    said: str,
    files: list[str],
    small: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caught = catch_writes(monkeypatch)
    monkeypatch.setattr(command_line, "prepare", lambda *_: None)
    monkeypatch.setattr(actions.train, "run", lambda *_: result(small, SETTINGS, ended, epochs))
    assert train.main(OPTIONS) == code
    captured = capsys.readouterr()
    assert captured.err == said
    assert list(caught) == files
    assert ("compiled in" in captured.out) == bool(files)
    if files:
        assert (caught["history.json"]["ended"], caught["history.json"]["epochs"]) == (ended, epochs)
        assert caught["history.json"]["loss"] == HISTORY.loss[:epochs].tolist()
    if "model.safetensors" in caught:
        assert (caught["model.safetensors"].details["epochs"], caught["history.json"]["epochs"]) == (2, 2)
        assert caught["model.safetensors"].details["test_accuracy"] == 0.85


# What is trained: the oracle's numbers on few digits.


@pytest.fixture
def on_few(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> oracle.Data:
    """Runs train on few digits, two epochs a call, which the oracle has too."""
    monkeypatch.setattr(training_run, "load_table", lambda *_, **__: small.__class__(*small))
    monkeypatch.setattr(training_run, "epochs_per_call", lambda *_: 2)
    columns = [np.asarray(column) for column in small]
    return oracle.Data(columns[0], columns[2], columns[3], columns[5], 10)


def test_a_run_trains_as_the_oracle_does_with_every_setting(
    on_few: oracle.Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[tuple[int, int]] = []
    monkeypatch.setattr(training_run, "time", SimpleNamespace(perf_counter=itertools.count().__next__))
    settings = RunConfig((5,), 3, 0.3, 4, 7, "tanh", "hand-derived")
    found = training_run.run(settings, lambda done, rows: reported.append((done, len(rows.loss))))
    expected = oracle.train(on_few, settings.sizes, 3, 0.3, 4, 7, "tanh")
    for ours, theirs in zip(found.history, expected[1:4], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    assert_agree(found.params, as_params(expected.params), 1e-10)
    assert (found.settings, found.ended, reported) == (settings, "finished", [(0, 2), (2, 2)])
    assert (found.seconds_compiling, found.seconds_training) == (1, 2)  # each look at the clock is a second later


def test_the_names_of_gradients_and_random_numbers_mean_these() -> None:
    assert {"automatic": automatic_gradient, "hand-derived": hand_derived_gradient} == training_run.GRADIENTS
    assert {"lecture": LectureStream, "jax": KeyStream} == training_run.RANDOMNESS


@pytest.mark.parametrize(
    ("table", "setting", "name", "given"),
    [
        (training_run.GRADIENTS, "gradient", "automatic", "relu"),
        (training_run.GRADIENTS, "gradient", "hand-derived", "relu"),
        (training_run.RANDOMNESS, "randomness", "lecture", 8), (training_run.RANDOMNESS, "randomness", "jax", 8),
    ],
)  # fmt: skip
def test_a_run_takes_gradient_and_random_numbers_by_their_names(
    table: dict[str, Any], setting: str, name: str, given: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AskedError(Exception):
        pass

    def asked(found: Any) -> Any:
        assert found == given
        raise AskedError

    monkeypatch.setitem(table, name, asked)
    with pytest.raises(AskedError):
        training_run.run(dataclasses.replace(RunConfig(activation="relu", seed=8), **{setting: name}))


def test_ctrl_c_and_a_loss_not_finite_keep_the_finite_epochs_before(
    on_few: oracle.Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int, _: History) -> None:
        if done == 2:
            raise KeyboardInterrupt

    settings = RunConfig((5,), 3, 0.3, 6, 7, "tanh", "hand-derived")
    found = training_run.run(settings, interrupt)
    assert (found.ended, len(found.history.loss)) == ("interrupted", 4)
    whole = oracle.train(on_few, settings.sizes, 3, 0.3, 4, 7, "tanh")
    np.testing.assert_allclose(found.history.test_accuracy, whole.test_accuracy)

    def spoil(state: Any, history: History) -> tuple[Any, History]:
        calls.append(1)
        loss = np.array([1.0, np.inf]) if len(calls) == 2 else np.array([1.0, 2.0])
        return state, history._replace(loss=loss)

    calls: list[int] = []
    program = training_run.train_epochs.lower

    class Lower:
        def lower(self, *arguments: Any) -> Any:
            compiled = program(*arguments).compile()
            return type("Lowered", (), {"compile": lambda _: lambda *given: spoil(*compiled(*given))})()

    monkeypatch.setattr(training_run, "train_epochs", Lower())
    reported: list[int] = []
    found = training_run.run(settings, lambda _, rows: reported.append(len(rows.loss)))
    assert (found.ended, found.history.loss.tolist(), reported) == ("diverged", [1.0, 2.0, 1.0], [2, 1])
    assert len(found.history.test_accuracy) == 3


def test_parameters_lost_in_the_very_last_update_are_seen(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = small._replace(x_train=1e9 * small.x_train)
    monkeypatch.setattr(training_run, "load_table", lambda *_, **__: huge)
    n_in, classes, n = small.x_train.shape[1], small.y_train.shape[1], len(small.x_train)
    settings = RunConfig((), 3, 1e308, 1, n, "identity", n_in=n_in, n_classes=classes)  # one update in all
    found = training_run.run(settings)
    assert not np.all(np.isfinite(found.params[0].weights))
    assert (found.ended, len(found.history.loss), np.isfinite(found.history.loss[0])) == ("diverged", 1, True)


def test_epochs_per_call_divide_the_epochs_and_shrink_where_an_epoch_is_long() -> None:
    # 1,000 samples of 10,000 weights are 10^7 products per epoch: 10 epochs per call; of 20,000: 5; of 10^6: 1.
    for weights, most in ((10_000, 10), (20_000, 5), (1_000_000, 1)):
        assert training_run.epochs_per_call(100, 1000, np.zeros(weights)) == most  # pyright: ignore[reportArgumentType]
    few: Any = np.zeros(10)
    assert [training_run.epochs_per_call(n, 1497, few) for n in (100, 7, 13, 1, 30, 12)] == [10, 7, 1, 1, 10, 6]


# The whole lecture.


def test_the_lecture_ends_with_its_networks_beside_what_it_said_of_them(
    small: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    performed: list[Any] = []

    def perform(settings: RunConfig, folder: Path, quiet: bool) -> Result:
        performed.append((settings, str(folder), quiet))
        return result(small, settings)

    prepared: list[Any] = []
    galleries: list[list[str]] = []
    monkeypatch.setattr(actions.train, "perform", perform)
    monkeypatch.setattr(command_line, "prepare", lambda *how: prepared.append(how))
    monkeypatch.setattr(command_line, "output_folder", Path)
    monkeypatch.setattr(actions.digits_gallery, "show", galleries.append)
    assert lecture.main(["--out", "o"]) == 0
    names = ("one_hidden_layer", "two_hidden_layers", "bottleneck")
    presets = [RunConfig(hidden) for hidden in ((20,), (20, 10), (20, 20, 2))]
    assert performed == [(preset, f"o/{name}", False) for preset, name in zip(presets, names, strict=True)]
    assert prepared == [("float64", (64, 20, 20, 2, 10), 1, True)]
    assert galleries == [Path("o/digits_gallery")]
    out = capsys.readouterr().out.splitlines()
    assert out[1] == "one_hidden_layer: 64-20-10"
    assert out[-5:] == [
        "network        training  lecture    test  lecture  seconds  files",
        "-------------  --------  -------  ------  -------  -------  -------------------",
        "64-20-10         80.0 %    100 %  75.0 %     92 %     1.75  o/one_hidden_layer",
        "64-20-10-10      80.0 %    100 %  75.0 %     93 %     1.75  o/two_hidden_layers",
        "64-20-20-2-10    80.0 %    drops  75.0 %    drops     1.75  o/bottleneck",
    ]
    assert lecture.main(["--quiet", "--no-cache"]) == 0
    assert performed[-1] == (presets[2], "runs/bottleneck", True)
    assert prepared[1][-1] is False


@pytest.mark.parametrize(("ended", "code"), [("diverged", 1), ("interrupted", 130)])
def test_the_lecture_stops_at_the_first_network_that_does_not_finish(
    ended: str, code: int, small: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(actions.train, "perform", lambda settings, *_, **__: result(small, settings, ended, epochs=0))
    monkeypatch.setattr(command_line, "prepare", lambda *_: None)
    monkeypatch.setattr(command_line, "output_folder", Path)
    monkeypatch.setattr(actions.digits_gallery, "show", lambda _: None)
    assert lecture.main([]) == code
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()[-1:]] == [["64-20-10", "-", "100"]]
