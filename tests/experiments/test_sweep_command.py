"""``experiments.sweep`` and its kin through their entrance."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from experiments import actions, benchmark, sweep, width_or_luck
from experiments.sweep_actions import running
from jaxmlp import InputError, Model, load
from jaxmlp.sweep import choosing, summary, trials
from tests.experiments.test_experiments import assert_figure, files

SMALL = ["--hidden", "4", "8", "--learning-rate", "0.1", "0.5", "--seeds", "0:3", "--epochs", "1"]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command adds flags to the environment: gone after each test."""
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A finished sweep of 12 trials."""
    path = str(tmp_path_factory.mktemp("sweep") / "sweep.sqlite")
    assert sweep.main(["run", "--database", path, *SMALL]) == 0
    return path


def test_a_second_run_resumes_and_another_space_is_told_apart(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep.main(["run", "--database", database, *SMALL]) == 0
    note, *lines = capsys.readouterr().out.splitlines()
    one = "one network with 2 hidden layers is --hidden 4,8"
    assert note == f"note: --hidden 4 8 are 2 networks with one hidden layer each; {one}"
    assert lines[0] == "sweep 1, resumed: 12 of 12 trials are there"
    assert lines[1].startswith("12 done: ")
    assert lines[-2].startswith("chosen: 1, test accuracy ")
    assert lines[-1].startswith("chosen by loss; ")
    assert sweep.main(["run", "--database", database, *SMALL, "--seeds", "3:5"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[:2] == ["sweep 2, new: 12 of 20 trials are there", "  (not sweep 1 resumed: another seeds)"]


@pytest.mark.parametrize("hidden", [None, ["20"], ["20,10"], ["20", "20,10"], ["none", "20"]])
def test_widths_that_can_be_read_in_one_way_only_get_no_note(hidden: list[str] | None) -> None:
    assert running.widths_note(hidden) == ""


def test_report_writes_a_table_figures_and_rows(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert sweep.main(["report", "--database", database, "--sweep", "1", "--out", str(out), "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sweep 1: 12 of 12 trials done"
    assert lines[1].split()[:3] == ["hidden", "learning", "rate"]
    assert len([line for line in lines if line[:1] in "123"]) == 2
    assert files(out) == {"trials.csv", "learning_rate.png", "heatmap.png", "parallel.png", "curves.png"}
    for name in files(out) - {"trials.csv"}:
        assert_figure(out / name)
    with open(out / "trials.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert float(rows[3]["validation_loss"]) == trials(database, 1)[3]["validation_loss"]


def test_the_exported_network_has_the_recorded_accuracy(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep.main(["export", "--database", database, "--sweep", "1", "--out", str(tmp_path)]) == 0
    assert "(as recorded)" in capsys.readouterr().out
    model = load(tmp_path / "best.safetensors")
    assert isinstance(model, Model)
    assert model.params[0].weights.shape == (*model.details["hidden"], 64)
    shown = actions.predict.run(str(tmp_path / "best.safetensors"))
    assert shown.accuracy("test") == pytest.approx(model.details["test_accuracy"])
    assert sweep.main(["export", "--database", database, "--trial", "0" * 16, "--out", str(tmp_path)]) == 2


def test_a_space_from_a_file_where_options_win_and_halving(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, path = tmp_path / "space.toml", str(tmp_path / "sweep.sqlite")
    file.write_text(
        'hidden = [4, [4, 4]]\nlearning_rate = ["log:0.01:1"]\nrandom = 5\nseeds = ["0:4"]\nepochs = 50\nhalving = 3\n'
    )
    assert sweep.main(["run", "--space", str(file), "--epochs", "3", "--database", path, "--hidden", "4"]) == 0
    assert "16 pruned" in capsys.readouterr().out
    rows = trials(path)
    assert len(rows) == 20
    assert {row["hidden"] for row in rows} == {"4"}
    assert len({row["learning_rate"] for row in rows}) == 5
    assert sum(row["epochs_done"] == 3 for row in rows) == 4


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sweep.sqlite"
    arguments = ["run", "--database", str(path), "--hidden", "4", "--seeds", "0:1300", "--epochs", "10", "--dry-run"]
    assert sweep.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1,300 trials in 3 blocks, 1 compilations, 15,561,000 updates"
    assert lines[2].startswith("time: about ")
    assert not path.exists()


BAD: list[tuple[list[str], str]] = [
    (["--learning-rate", "nan"], "learning rate is nan"),
    (["--epochs", "0"], "epochs is 0"),
    (["--validation", "1497"], "validation rows are 1497"),
    (["--validation", "-1"], "validation is -1"),
    (["--halving", "1"], "halving is 1, expected 0"),
    (["--halving", "3", "--validation", "0"], "validation is 0, expected rows for halving 3"),
    (["--batch-size", "2000"], "batch size is 2000, expected at most 1197"),
    (["--executor", "mpi"], "--executor is 'mpi'"),
    (["--space", "none.toml"], "--space is 'none.toml', expected a readable file"),
    (["--space", "bad.toml"], "--space is 'bad.toml', expected TOML"),
    (["--space", "odd.toml"], "unknown key 'sede'"),
    (["--database", "bad.toml"], "cannot use 'bad.toml' as a sweep's database"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_input_is_one_line_and_exit_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_text("= not toml\n" * 100)
    Path("odd.toml").write_text("sede = 3\n")
    assert sweep.main(["run", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("runs/sweep.sqlite").exists()


def test_a_report_where_a_folder_stands_is_one_line(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trials.csv").mkdir()
    assert sweep.main(["report", "--database", database, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: cannot write {str(tmp_path / 'trials.csv')!r}")


def test_what_is_known_of_a_sweep_is_said() -> None:
    row: dict[str, Any] = {**dict.fromkeys(choosing.AXES, 1), "sweep": 2}
    rows = [
        {**row, "hidden": hidden, "status": status}
        for hidden, status in [("4", "done"), ("4", "pending"), ("8", "pruned"), ("9", "pending"), ("9", "pending")]
    ]
    line = summary.progress_line(rows)
    assert line == "sweep 2: 1 of 5 trials done, 3 pending, 1 pruned, 1 configurations not begun"


def test_a_report_without_a_sweep_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep.main(["report", "--database", str(tmp_path / "none.sqlite")]) == 2
    assert "there is no file" in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "sweep.sqlite"
    call = [sys.executable, "-m", "experiments.sweep", "run", "--database", str(path)]
    # Of four blocks: long enough that the others are not done while the first is read, whatever else runs.
    call += ["--hidden", "4", "--seeds", "0:2000", "--epochs", "100"]
    settings = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(call, env=settings, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        while not path.exists() or not any(row["status"] == "done" for row in waited_rows(path)):
            assert child.poll() is None
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, error = child.communicate(timeout=600)
    assert child.returncode == 130
    assert error.strip().splitlines()[-1] == "interrupted"
    assert 0 < sum(row["status"] == "done" for row in trials(path)) < 2000


def waited_rows(path: Path) -> list[dict[str, Any]]:
    """The rows, or none while the file is being made."""
    try:
        return trials(path)
    except InputError:
        return []


@pytest.mark.slow
def test_width_or_luck_answers_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--seeds", "4", "--epochs", "1", "--out", str(tmp_path), "--database", str(tmp_path / "s.sqlite")]
    assert width_or_luck.main(arguments) == 0
    assert "over 4 seeds, " in capsys.readouterr().out
    assert_figure(tmp_path / "width_or_luck.png")
    record = json.loads((tmp_path / "width_or_luck.json").read_text())
    assert len(record["first"]) == len(record["second"]) == 4


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sweep", "--networks", "16", "--epochs", "1", "--repetitions", "1", "--out", str(tmp_path)]
    assert benchmark.main(arguments) == 0
    said = capsys.readouterr().out
    assert "a network of the first sweep takes " in said
    assert "the database takes " in said
    assert_figure(tmp_path / "benchmark_sweep.png")
    record = json.loads((tmp_path / "benchmark_sweep.json").read_text())
    assert len(record["rows"]) >= 7
    assert all(len(rows) >= 2 for rows in record["larger"].values())
    first, last, first_again, last_again = (seconds[0] for seconds in record["mixed"].values())
    assert 0 < first < last
    assert 0 < first_again < last_again < last
