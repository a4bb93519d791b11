"""``experiments.sensitivity``: what is said and kept of twins, from numbers worked by hand and a small run."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from experiments import actions, sensitivity
from experiments.actions.sensitivity import Sensitivity
from experiments.support import command_line
from experiments.support.training_run import RunConfig
from jaxmlp import Dataset, History
from jaxmlp.lecture import make_dataset
from tests import oracle
from tests.commands import catch_writes
from tests.helpers import as_params, rejects

LOSS = np.array([[0.5, 0.25], [0.75, np.nan], [0.625, 0.125]])
FOUND = Sensitivity(RunConfig((5,), 3, 0.1), LOSS, np.array([1, 0.9, 0.95]), np.array([0.9, 0.93, 0.91]), False)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Nothing is trained: what would be, is listed here; `FOUND` is the outcome, in chunks of one epoch."""
    found: list[Any] = []

    def run(settings: RunConfig, twins: int, report: Callable[[int, Any], None], table: Dataset) -> Sensitivity:
        found.append((settings, twins, len(table.x_train)))
        for done in (0, 1):
            report(done, LOSS[:, done : done + 1])
        return FOUND

    monkeypatch.setattr(actions.sensitivity, "run", run)
    return found


@pytest.mark.parametrize("quiet", [False, True])
def test_the_command_prints_every_epochs_spread_and_its_answer(
    quiet: bool, asked: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = catch_writes(monkeypatch)
    options = ["--hidden", "5", "--twins", "3", "--seed", "3", "--learning-rate", "0.1", "--epochs", "2"]
    assert sensitivity.main(["--quiet"]) == 0
    capsys.readouterr()
    assert sensitivity.main([*options, *["--quiet"] * quiet]) == 0
    assert asked == [(RunConfig((20, 10), 0, 0.2, 100), 64, 1497), (RunConfig((5,), 3, 0.1, 2), 3, 1497)]
    assert capsys.readouterr().out.splitlines() == [
        *["1-th epoch: loss 0.500000 .. 0.750000, spread 2.50e-01", "2-th epoch: loss nan .. nan, spread nan"]
        [: 0 if quiet else 2],
        "64-5-10, 3 twins, 2 epochs: test accuracy 90.0 / 91.0 / 93.0 % (lowest / median / highest)",
        "rounding errors alone move it by 3.0 points",
        "wrote sensitivity.json, sensitivity.png",
    ]  # fmt: skip
    record = dict(files["sensitivity.json"])
    assert record.pop("environment")["versions"]
    assert record == {
        "hidden": (5,), "seed": 3, "learning_rate": 0.1, "twins": 3, "epochs": 2, "loss_lowest": [0.5, None],
        "loss_highest": [0.75, None], "final_loss": [0.25, None, 0.125], "final_train_accuracy": [1, 0.9, 0.95],
        "final_test_accuracy": [0.9, 0.93, 0.91], "epochs_asked_for": 100, "ended": "finished",
    }  # fmt: skip
    assert files["sensitivity.png"].get_suptitle() == "64-5-10, 3 twins"
    np.testing.assert_allclose(files["sensitivity.png"].axes[1].lines[0].get_xdata(), 91)  # the median


def test_a_point_is_more_than_a_point_only_above_it() -> None:
    lecture = FOUND._replace(settings=dataclasses.replace(FOUND.settings, hidden=(20, 10)))
    for highest, words in ((0.91, "by 1.0 points, not as much as the 1 point"), (0.92, "by 2.0 points, more than")):
        assert words in actions.sensitivity.answer(lecture._replace(test_accuracy=np.array([0.9, highest])))
    assert actions.sensitivity.answer(FOUND).endswith(" points")  # the lecture did not ask about this network


def test_what_was_interrupted_gives_no_answer() -> None:
    said = actions.sensitivity.answer(FOUND._replace(interrupted=True))
    assert ", 2 of 100 epochs, interrupted: test accuracy " in said
    assert said.endswith("\nno answer: rounding errors grow with the epochs, and these are not all")
    kept = actions.sensitivity.record(FOUND._replace(interrupted=True))
    assert (kept["epochs"], kept["epochs_asked_for"], kept["ended"]) == (2, 100, "interrupted")


def test_ctrl_c_is_exit_130_with_what_was_done(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    files = catch_writes(monkeypatch)
    monkeypatch.setattr(actions.sensitivity, "run", lambda *_: FOUND._replace(interrupted=True))
    assert sensitivity.main([]) == command_line.INTERRUPTED
    assert files["sensitivity.json"]["epochs"] == 2
    assert not asked


@pytest.fixture
def on_few(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> oracle.Data:
    """Twins train on few digits, two epochs per call, which the oracle has too."""
    rows, tests = (digits.x_train[:30], digits.labels_train[:30]), (digits.x_test[:30], digits.labels_test[:30])
    small = make_dataset(*rows, *tests, 10, "float64")
    monkeypatch.setattr(actions.sensitivity, "load_table", lambda *_, **__: small.__class__(*small))
    monkeypatch.setattr(actions.sensitivity.training_run, "epochs_per_call", lambda *_: 2)
    columns = [np.asarray(column) for column in small]
    return oracle.Data(columns[0], columns[2], columns[3], columns[5], 10)


SMALL = RunConfig((3,), 4, 0.3, 4)


def test_twins_train_as_the_oracle_does_and_ctrl_c_keeps_whole_epochs(on_few: oracle.Data) -> None:
    expected = oracle.train(on_few, (64, 3, 10), 4, 0.3, 4)
    reported: list[Any] = []
    found = actions.sensitivity.run(SMALL, 2, lambda done, loss: reported.append((done, loss.shape)))
    assert (found.settings, found.interrupted, reported) == (SMALL, False, [(0, (2, 2)), (2, (2, 2))])
    np.testing.assert_allclose(found.loss, [expected.loss] * 2, rtol=1e-9)
    np.testing.assert_array_equal(found.train_accuracy, [expected.train_accuracy[-1]] * 2)
    np.testing.assert_array_equal(found.test_accuracy, [expected.test_accuracy[-1]] * 2)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    found = actions.sensitivity.run(SMALL, 2, interrupt)  # after the first two epochs
    assert (found.interrupted, found.loss.shape) == (True, (2, 2))
    np.testing.assert_array_equal(found.test_accuracy, [expected.test_accuracy[1]] * 2)


@pytest.mark.usefixtures("on_few")
def test_twins_end_with_their_last_accuracy_not_their_best(monkeypatch: pytest.MonkeyPatch) -> None:
    def falling(state: Any, *_: Any) -> Any:
        train, test = np.array([[0.9, 0.7], [0.8, 0.6]]), np.array([[0.5, 0.4], [0.6, 0.3]])
        return state, History(np.ones((2, 2)), train, test)

    monkeypatch.setattr(actions.sensitivity, "train_twins", falling)
    found = actions.sensitivity.run(SMALL, 2)
    assert (found.train_accuracy.tolist(), found.test_accuracy.tolist()) == ([0.7, 0.6], [0.4, 0.3])


@pytest.mark.usefixtures("on_few")
def test_ctrl_c_before_the_first_epoch_leaves_nothing_to_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(actions.sensitivity, "train_twins", at_once)
    with pytest.raises(KeyboardInterrupt):
        actions.sensitivity.run(SMALL, 2)


def test_every_twin_but_the_first_moves_some_weights_by_one_unit_in_the_last_place() -> None:
    weights = np.linspace(-1, 1, 200).reshape(20, 10)
    ((moved, biases),) = actions.sensitivity.perturb(as_params([(weights, np.arange(20.0))]), 4)
    steps = np.asarray(moved).view(np.int64) - weights.view(np.int64)
    steps = steps * np.where(weights < 0, -1, 1)  # the bits of negative numbers count away from zero
    assert set(np.unique(steps)) == {-1, 0, 1}
    assert not steps[0].any()
    for share in [np.mean(steps[twin] == step) for twin in (1, 2, 3) for step in (-1, 0, 1)]:
        assert 0.2 < share < 0.47
    assert not np.array_equal(steps[1], steps[2])
    np.testing.assert_array_equal(biases, [np.arange(20.0)] * 4)


@pytest.mark.parametrize("twins", [1, 100_001])
def test_twins_are_2_to_100000(twins: int) -> None:
    with rejects(f"twins are {twins}, expected 2..100000"):
        actions.sensitivity.run(RunConfig(), twins)
