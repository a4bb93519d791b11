"""The experiments through their real entry points: lines, files, exit codes, and what becomes of bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import experiments.__main__ as lecture
from experiments import actions, digits_gallery, predict, sensitivity, train
from experiments.support import command_line, training_run
from jaxmlp import InputError
from tests.helpers import benchmark_main

Reference = dict[tuple[int, ...], dict[str, Any]]
FAST = ["--epochs", "2", "--quiet"]
FILES = {"history.json", "model.safetensors", "curves.png", "confusion.png"}


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def assert_figure(path: Path) -> None:
    """A readable picture that is not one colour."""
    with Image.open(path) as image:
        assert min(image.size) > 300
        assert len(np.unique(np.asarray(image.convert("L")))) > 20


def started(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``python -m ...`` in a process of its own, run from ``cwd`` on this checkout."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=cwd, env=environment, text=True, capture_output=True, timeout=600
    )


def test_lines_are_the_lectures_to_the_character(
    reference: Reference, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["--out", str(tmp_path)]) == 0
    run = reference[(20,)]
    histories = (run["loss"], run["train_accuracy"], run["test_accuracy"])
    expected = [
        f"{i}-th epoch: cross entropy = {loss:.3f}, train_accuracy = {a * 100:.3f}%, test_accuracy = {b * 100:.3f}%"
        for i, (loss, a, b) in enumerate(zip(*histories, strict=True), 1)
    ]
    assert capsys.readouterr().out.splitlines()[:100] == expected
    assert expected[0] == ("1-th epoch: cross entropy = 0.474, train_accuracy = 93.788%, test_accuracy = 85.333%")


@pytest.mark.parametrize(("hidden", "identical"), [((20, 10), 6), ((20, 20, 2), 7)])
def test_first_lines_of_the_deeper_networks_are_the_lectures(
    reference: Reference, hidden: tuple[int, ...], identical: int
) -> None:
    run = reference[hidden]
    settings = training_run.RunConfig(hidden, epochs=identical)
    ours = [actions.train.line(0, *row) for row in zip(*training_run.run(settings).history, strict=True)]
    histories = (run["loss"], run["train_accuracy"], run["test_accuracy"])
    theirs = [actions.train.line(0, *row) for row in zip(*histories, strict=True)]
    assert ours == theirs[:identical]


def test_a_layer_of_two_units_before_the_output_gets_its_figure(tmp_path: Path) -> None:
    assert train.main(["--hidden", "4", "2", *FAST, "--out", str(tmp_path)]) == 0
    assert files(tmp_path) == {*FILES, "bottleneck.png"}
    for name in ("bottleneck.png", "curves.png", "confusion.png"):
        assert_figure(tmp_path / name)


def test_no_hidden_layer_is_softmax_regression(tmp_path: Path) -> None:
    assert train.main(["--hidden", *FAST, "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "history.json").read_text())["test_accuracy"][-1] > 0.8


def test_sensitivity_writes_its_figure_and_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sensitivity.main(["--hidden", "5", "--twins", "4", *FAST, "--out", str(tmp_path)]) == 0
    assert "lowest / median / highest" in capsys.readouterr().out
    assert_figure(tmp_path / "sensitivity.png")
    assert len(json.loads((tmp_path / "sensitivity.json").read_text())["final_test_accuracy"]) == 4


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--hidden", "20", "0"], "width is 0"),
        (["--hidden", "-3"], "width is -3"),
        (["--hidden", "1000000000"], "parameters"),
        (["--hidden", "ten"], "'ten'"),
        (["--learning-rate", "-0.1"], "learning rate is -0.1"),
        (["--learning-rate", "nan"], "learning rate is nan"),
        (["--learning-rate", "inf"], "learning rate is inf"),
        (["--epochs", "0"], "epochs is 0"),
        (["--batch-size", "0"], "batch size is 0"),
        (["--batch-size", "1498"], "batch size is 1498, expected 1..1497"),
        (["--activation", "softplus"], "'softplus'"),
        (["--dtype", "float16"], "'float16'"),
        (["--seed", "-1"], "seed is -1"),
        (["--seed", str(2**32)], f"seed is {2**32}"),
        (["--gradient", "numerical"], "'numerical'"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_bad_input_is_one_line_exit_2_and_no_file(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    try:
        code = train.main([*arguments, "--out", str(folder)])
    except SystemExit as stop:  # argparse's own way
        code = stop.code
    said = capsys.readouterr().err
    assert code == 2
    assert len(said.splitlines()) == 1
    assert named in said
    assert not folder.exists() or not files(folder)


@pytest.mark.parametrize(
    "settings", [{"activation": "softplus"}, {"dtype": "int8"}, {"gradient": "x"}, {"randomness": "x"}]
)
def test_run_checks_its_settings_itself(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        training_run.run(training_run.RunConfig(**settings))


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/nowhere"])
def test_an_output_folder_that_cannot_be_is_refused_before_training(
    out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    assert train.main([*FAST, "--out", str(tmp_path / out)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--out" in captured.err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_write_that_fails_leaves_the_earlier_file_whole(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_text("earlier")
    with pytest.raises(ValueError, match="JSON"):
        command_line.write(tmp_path, {"history.json": {"loss": float("nan")}})
    assert (tmp_path / "history.json").read_text() == "earlier"
    assert files(tmp_path) == {"history.json"}


def test_a_loss_no_longer_finite_tells_its_epoch_keeps_the_rest_and_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--activation", "identity", "--learning-rate", "0.2", "--epochs", "10", "--quiet"]
    assert train.main([*arguments, "--out", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    record = json.loads((tmp_path / "history.json").read_text())
    kept = len(record["loss"])
    assert record["ended"] == "diverged"
    assert kept >= 1  # it goes wrong while training, not at the start
    assert f"no longer finite at epoch {kept + 1}" in captured.err
    assert files(tmp_path) == {"history.json", "curves.png"}  # no figures of a network that is not there
    assert np.all(np.isfinite(record["loss"]))


def test_ctrl_c_keeps_the_epochs_done_and_exits_130(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.train", "--epochs", "100000", "--out", str(tmp_path)],
        env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith("1-th epoch")
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=600)
    assert process.returncode == command_line.INTERRUPTED
    record = json.loads((tmp_path / "history.json").read_text())
    assert record["ended"] == "interrupted"
    assert f"interrupted after {record['epochs']} of 100000 epochs" in said
    assert record["epochs"] == len(record["loss"]) >= 10
    assert files(tmp_path) == FILES


def test_a_command_runs_as_a_module_and_again_from_what_it_compiled(tmp_path: Path) -> None:
    for _ in range(2):  # the second time loads what the first compiled
        done = started("experiments.one_hidden_layer", "--epochs", "3", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    assert files(tmp_path / "runs" / "one_hidden_layer") == FILES


@pytest.mark.parametrize(
    "main",
    [
        train.main,
        sensitivity.main,
        digits_gallery.main,
        predict.main,
        lecture.main,
        benchmark_main("training"),
        benchmark_main("estimator"),
    ],
)
def test_every_command_has_help(main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "--out" in capsys.readouterr().out
