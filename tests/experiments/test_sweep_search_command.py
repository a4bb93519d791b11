"""``experiments.sweep search`` through its entrance."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from experiments import sweep
from experiments.support.own_data import DataConfig
from experiments.sweep_actions import running, search
from jaxmlp import InputError
from jaxmlp.runtime import install_command
from jaxmlp.sweep import Range, Space, SweepConfig, study_of, trials
from tests.experiments.test_experiments import assert_figure, files

SMALL = ["--hidden", "4", "--learning-rate", "log:0.01:1", "--init-scale", "log:0.1:10", "--epochs", "1"]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command adds flags to the environment: gone after each test."""
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))


def test_a_search_is_run_resumed_reported_and_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database, out = str(tmp_path / "s.sqlite"), tmp_path / "out"
    call = ["search", *SMALL, "--database", database, "--trials", "12", "--batch", "5"]
    assert sweep.main(call) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sweep 1, new: 0 of 0 trials are there"
    assert re.fullmatch(
        r"12 configurations asked for: [\d.]+ s: sampler [\d.]+ s \(\d+%\), training [\d.]+ s \(\d+%\), "
        r"other [\d.]+ s \(\d+%\)", lines[1],
    )  # fmt: skip
    assert sum(map(int, re.findall(r"(\d+)%", lines[1]))) in (99, 100, 101)
    assert lines[2].split()[:4] == ["learning", "rate", "init", "scale"]
    assert lines[-1] == "chosen by loss; one seed each: the order may be luck, more --seeds would tell"
    study = study_of(database)
    assert len(study.trials) == len(trials(database)) == 12
    assert sweep.main(call) == 0
    assert capsys.readouterr().out.startswith("sweep 1, resumed: 12 of 12 trials are there\n12 configurations asked")
    assert sweep.main(["report", "--database", database, "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sweep 1: 12 of 12 trials done"
    assert "a search by tpe, seed 0, 5 configurations at a time" in lines
    drawn = {"search_history.png", "search_importance.png"}
    assert files(out) == {"trials.csv", "learning_rate.png", "heatmap.png", "parallel.png", "curves.png", *drawn}
    for name in drawn:
        assert_figure(out / name)
    assert sweep.main(["export", "--database", database, "--out", str(out)]) == 0
    assert "(as recorded)" in capsys.readouterr().out


def test_without_optuna_a_search_is_reported_without_its_pictures_and_none_is_begun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    database = str(tmp_path / "s.sqlite")
    call = ["search", *SMALL, "--trials", "2", "--sampler", "random", "--database"]
    assert sweep.main([*call, database]) == 0
    monkeypatch.setitem(sys.modules, "optuna", None)
    capsys.readouterr()
    assert sweep.main(["report", "--database", database, "--out", str(tmp_path / "out")]) == 0
    said = f"a search needs the package optuna: {install_command('optuna')}"
    assert f"no pictures of the search: {said}" in capsys.readouterr().out.splitlines()
    assert not {"search_history.png", "search_importance.png"} & files(tmp_path / "out")
    assert sweep.main([*call, str(tmp_path / "new")]) == 2
    assert capsys.readouterr().err == f"error: {said}\n"
    assert not (tmp_path / "new").exists()


def test_every_option_of_search_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load(settings: dict[str, Any]) -> tuple[str, SweepConfig]:
        asked.append(settings)
        return "table", SweepConfig(settings["epochs"], settings["validation"], settings["halving"], by="accuracy")

    class Found:
        def __init__(self, *of: Any) -> None:
            asked.append(of)

    monkeypatch.setattr(running, "load", load)
    monkeypatch.setattr(running, "git_commit", lambda: "abc")
    monkeypatch.setattr(search.command_line, "bar", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(search.sweep, "search", Found)
    monkeypatch.setattr(search, "lines_of", lambda *_: [])
    monkeypatch.setattr(Found, "results", SimpleNamespace(summary=str), raising=False)
    options = [*SMALL, "--optimizer", "sgd", "momentum", "--momentum", "uniform:0:0.9", "--seeds", "0:2", "--dtype",
               "float64", "--validation", "9", "--by", "accuracy", "--engine", "scan", "--trials", "7", "--batch", "3",
               "--sampler", "cmaes", "--sampler-seed", "5", "--database", "d", "--data", "iris",
               "--no-cache"]  # fmt: skip
    assert sweep.main(["search", *options]) == 0
    settings, arguments = asked
    assert settings == {
        "epochs": 1, "validation": 9, "dtype": "float64", "halving": 0, "by": "accuracy", "cache": False,
        "source": DataConfig("iris"),
    }  # fmt: skip
    space = Space(
        hidden=((4,),), optimizer=("sgd", "momentum"), learning_rate=Range(0.01, 1, True), momentum=Range(0, 0.9),
        init_scale=Range(0.1, 10, True), seeds=(0, 1),
    )  # fmt: skip
    assert arguments[:13] == (None, "table", space, "d", 7, 3, "cmaes", 5, 1, 9, "scan", "accuracy", None)
    assert arguments[15] == "abc"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--hidden", "4"], "the space has one configuration, expected an axis with several values or a range"),
        ([*SMALL, "--trials", "0"], "trials is 0, expected a whole number, 1 or more"),
        (["--learning-rate", "log:0:1"], "learning_rate has the range 0:1, expected LOW < HIGH (log: 0 < LOW)"),
        ([*SMALL, "--executor", "moon"], "--executor is 'moon', expected local or dask://HOST:PORT"),
        ([*SMALL, "--executor", "dask://a:1", "--device", "cpu"], "--device is 'cpu', expected auto"),
        ([*SMALL, "--momentum", "0.5", "0.9"], "momentum is given for sgd, expected the optimizer momentum"),
        ([*SMALL, "--space", "SPACE"], "halving is 2, expected none in a search, whose sampler chooses"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_one_line_and_leaves_no_file(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "space.toml").write_text("halving = 2\n")
    options = [str(tmp_path / "space.toml") if option == "SPACE" else option for option in options]
    assert sweep.main(["search", *options, "--database", str(tmp_path / "s")]) == 2
    error = capsys.readouterr().err.splitlines()
    assert [said in line for line in error] == [True], error
    assert files(tmp_path) == {"space.toml"}


def test_a_dry_run_says_what_it_would_take_beside_the_sampler(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep.main(["search", *SMALL, "--trials", "40", "--dry-run", "--database", str(tmp_path / "s")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("40 trials in 1 blocks, 1 compilations, 47,880 updates")  # 1,197 rows
    assert lines[-1].endswith(", beside the sampler's")
    assert not files(tmp_path)


def done(path: Path) -> int:
    """How many trials are."""
    try:
        return sum(row["status"] == "done" for row in trials(path))
    except InputError:  # not begun yet
        return 0


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_killed_at_random_moments_the_same_command_ends_with_the_study_of_an_uninterrupted_one(
    sampler: str, tmp_path: Path
) -> None:
    settings = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    options = ["--trials", "480", "--batch", "16", "--sampler", sampler, "--database"]
    call = [sys.executable, "-m", "experiments.sweep", "search", *SMALL, *options]
    subprocess.run([*call, str(tmp_path / "whole")], env=settings, check=True, capture_output=True)
    moments, kills = random.Random(1), 0
    while kills < 5:
        before = done(tmp_path / "s")
        with subprocess.Popen([*call, str(tmp_path / "s")], env=settings, stdout=subprocess.DEVNULL) as child:
            while done(tmp_path / "s") == before and child.poll() is None:
                time.sleep(0.01)
            time.sleep(moments.uniform(0, 0.3))
            child.kill()
            child.wait()
            assert child.returncode == -signal.SIGKILL, "it ended before it was killed: make the search longer"
        kills += 1
    assert 0 < done(tmp_path / "s") < 480
    subprocess.run([*call, str(tmp_path / "s")], env=settings, check=True, capture_output=True)
    broken, whole = (study_of(tmp_path / name) for name in ("s", "whole"))
    # Pickles, in which CMA-ES keeps its state, may differ in bytes that mean the same.
    known = [
        [(t.number, t.state, t.value, t.params, [*t.system_attrs]) for t in study.trials] for study in (broken, whole)
    ]
    assert known[0] == known[1]
    assert len(known[0]) == 480


def test_widths_that_a_person_may_mean_as_one_network_are_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["search", "--database", str(tmp_path / "s"), "--data", "iris", "--hidden", "3", "4", "--trials", "2"]
    assert sweep.main([*given, "--epochs", "1", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("note: --hidden 3 4 are 2 networks with one hidden layer each; ")
