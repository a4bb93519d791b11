"""``experiments.width_or_luck``: which of two networks is better, by how much, and when that may be luck."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments import actions, width_or_luck
from experiments.sweep_actions import running
from jaxmlp.sweep import make_space
from tests.commands import catch_writes, legend_of
from tests.helpers import rejects

FIRST, LATER = [0.90, 0.91, 0.92, 0.93], [0.01, 0.02, 0.03, 0.02]


def sweep_of(first: list[float], second: list[float]) -> list[dict[str, Any]]:
    """Rows of both networks by seed, in sequences of their own: they are paired by their seeds alone."""
    rows = [
        {"hidden": hidden, "seed": seed, "status": "done", "test_accuracy": accuracy}
        for hidden, accuracies in (("20", first), ("20,10", second))
        for seed, accuracy in enumerate(accuracies)
    ]
    return [*reversed(rows[: len(first)]), *rows[len(first) :]]


@pytest.fixture
def answer_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[dict[str, Any]]], list[Any]]:
    """From then on a sweep has these rows; gives the list of what sweeps were asked for."""

    def replace(rows: list[dict[str, Any]]) -> list[Any]:
        asked: list[Any] = []

        def run(*arguments: Any) -> Any:
            asked.append(arguments)
            return SimpleNamespace(rows=rows)

        monkeypatch.setattr(running, "run", run)
        return asked

    return replace


Answer = Callable[[list[dict[str, Any]]], list[Any]]


def test_a_seeds_two_networks_are_paired_and_the_second_counts_plus(answer_with: Answer) -> None:
    # Differences 1, 2, 3, 2 points: mean 2, deviation sqrt(2/3); t(0.975, 3) = 3.182446, so 2 -+ 1.299228.
    answer_with(sweep_of(FIRST, [a + b for a, b in zip(FIRST, LATER, strict=True)]))
    found = actions.width_or_luck.run(4, 1, "x")
    np.testing.assert_allclose(found.first, FIRST)
    np.testing.assert_allclose(found.second, [0.91, 0.93, 0.95, 0.95])
    np.testing.assert_allclose(found.interval, [2, 0.700772, 3.299228], atol=1e-6)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        # -+ 12.7062 sqrt(2)/2 times the deviation of two: half their distance times 12.7062.
        ([0.92, 0.921], "20, 10 is better: mean test accuracy 90.05 % with 20 and 92.05 % with 20, 10, "
         "a difference of +2.00 points (95 % interval +2.00 .. +2.00); 20, 10 wins with 100 % of the seeds"),
        ([0.88, 0.881], "20, 10 is worse: mean test accuracy 90.05 % with 20 and 88.05 % with 20, 10, "
         "a difference of -2.00 points (95 % interval -2.00 .. -2.00); 20, 10 wins with 0 % of the seeds"),
        ([0.91, 0.901], "no difference can be seen: mean test accuracy 90.05 % with 20 and 90.55 % with 20, 10, "
         "a difference of +0.50 points (95 % interval -5.85 .. +6.85); 20, 10 wins with 50 % of the seeds"),
        ([0.89, 0.901], "no difference can be seen: mean test accuracy 90.05 % with 20 and 89.55 % with 20, 10, "
         "a difference of -0.50 points (95 % interval -6.85 .. +5.85); 20, 10 wins with 0 % of the seeds"),
        ([0.90, 0.901], "no difference can be seen: mean test accuracy 90.05 % with 20 and 90.05 % with 20, 10, "
         "a difference of +0.00 points (95 % interval +0.00 .. +0.00); 20, 10 wins with 0 % of the seeds"),
    ],
)  # fmt: skip
def test_the_answer_is_what_the_interval_says(answer_with: Answer, second: list[float], words: str) -> None:
    answer_with(sweep_of([0.90, 0.901], second))
    assert actions.width_or_luck.answer(actions.width_or_luck.run(2, 1, "x")) == f"over 2 seeds, {words}"


@pytest.mark.parametrize("status", ["pending", "pruned", "diverged", "failed"])
def test_a_trial_that_is_not_done_gives_no_answer(answer_with: Answer, status: str) -> None:
    rows = sweep_of(FIRST, FIRST)
    rows[5]["status"] = status
    answer_with(rows)
    with rejects("some trials are not done, expected all"):
        actions.width_or_luck.run(4, 1, "x")


def test_the_command_trains_what_the_lecture_asks_about_and_keeps_both_networks(
    answer_with: Answer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = catch_writes(monkeypatch)
    asked = answer_with(sweep_of(FIRST, [a + b for a, b in zip(FIRST, LATER, strict=True)]))
    assert width_or_luck.main(["--seeds", "4", "--epochs", "7", "--database", "a.sqlite", "--out", "."]) == 0
    (space, settings, database), *others = asked
    assert not others
    assert space == make_space({"hidden": ["20", "20,10"], "learning_rate": [0.2], "seeds": ["0:4"]})
    assert settings == {"epochs": 7, "validation": 0, "dtype": "float32", "halving": 0, "by": "loss"}
    assert database == "a.sqlite"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("over 4 seeds, 20, 10 is better: ")
    assert lines[1] == "wrote width_or_luck.json, width_or_luck.png"
    record = json.loads(json.dumps(files["width_or_luck.json"]))
    assert (record["seeds"], record["epochs"]) == (4, 7)
    np.testing.assert_allclose(record["first"], FIRST)
    np.testing.assert_allclose(record["second"], [0.91, 0.93, 0.95, 0.95])
    np.testing.assert_allclose(list(record["difference"].values()), [2, 0.700772, 3.299228], atol=1e-6)
    figure = files["width_or_luck.png"]
    assert isinstance(figure, Figure)
    assert figure.get_suptitle() == "20 or 20, 10 hidden units? 4 seeds, 7 epochs"
    assert legend_of(figure.axes[0]) == ["20: mean 91.50 %", "20, 10: mean 93.50 %"]
    assert legend_of(figure.axes[1]) == ["mean +2.00 points, 95 % interval +0.70 .. +3.30"]


def test_by_default_it_is_256_seeds_of_100_epochs(answer_with: Answer, tmp_path: Path) -> None:
    asked = answer_with([{"status": "pending"}])
    assert width_or_luck.main(["--out", str(tmp_path)]) == 2
    space, settings, database = asked[0]
    assert (space.seeds, settings["epochs"], database) == (tuple(range(256)), 100, "runs/sweep.sqlite")


@pytest.mark.parametrize(
    ("option", "words"),
    [(["--seeds", "1"], "seeds are 1, expected 2 or more"), (["--epochs", "0"], "epochs is 0, expected 1 or more")],
)
def test_too_little_to_compare_is_one_line_and_exit_2(
    option: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert width_or_luck.main([*option, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: {words}\n"
