"""The gradient check as a command, and its claims on random networks."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments import gradient_check
from experiments.gradient_cases import data_check
from experiments.gradient_cases.planted_mistakes import MISTAKES, planted_gradient
from experiments.gradient_cases.random_networks import FLOAT32_LIMITS, LIMITS, measure, random_network
from jaxmlp.checks import sizes_of
from jaxmlp.gradient_check import StepSweep
from tests.helpers import assert_agree


def test_random_networks_are_the_same_for_the_same_seed_and_alike_ones_differ_in_numbers_only() -> None:
    first, again, next_one = (random_network(seed, alike=2) for seed in (4, 4, 5))
    assert_agree(again, first)
    assert (sizes_of(next_one.params), next_one.x.shape) == (sizes_of(first.params), first.x.shape)
    assert float(next_one.params[0].weights[0, 0]) != float(first.params[0].weights[0, 0])
    assert sizes_of(random_network(6, alike=2).params) != sizes_of(first.params)


@pytest.mark.slow
def test_second_order_and_numerical_agree_on_a_few_random_networks() -> None:
    for seed in range(8):
        errors = measure(seed, widths=(1, 16), depths=(0, 3), alike=2)
        assert errors.ok
        for name, limit in LIMITS.items():
            assert getattr(errors, name) <= limit, name


def test_float32_agrees_on_a_few_random_networks() -> None:
    for seed in range(8):
        errors = measure(seed, numerical=False, dtype="float32", depths=(0, 3), alike=4)
        assert errors.ok
        for name, limit in FLOAT32_LIMITS.items():
            assert getattr(errors, name) <= limit, name


@pytest.mark.slow
def test_1000_random_networks_agree_and_raise_no_alarm() -> None:
    found = [measure(seed, numerical=False, alike=40) for seed in range(1000)]
    assert all(errors.ok for errors in found)
    assert max(errors.gradient for errors in found) <= LIMITS["gradient"]
    assert max(errors.hessian_vector for errors in found) <= LIMITS["hessian_vector"]


@pytest.mark.slow
def test_200_random_networks_agree_with_the_numerical_gradient() -> None:
    # Narrower than `python -m experiments.gradient_check --random-networks 200` does it, in a tenth of the time.
    found = [measure(seed, widths=(1, 20), alike=20) for seed in range(200)]
    assert max(errors.numerical or 0 for errors in found) <= LIMITS["numerical"]
    assert sum(errors.kinks for errors in found) < 0.02 * sum(errors.elements for errors in found)


def test_the_digits_agree_and_the_files_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--hidden", "4", "--batch-size", "8", "--out", str(tmp_path)]
    assert gradient_check.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "all 15 rows agree" in printed
    assert max(map(len, printed.split("wrote")[0].splitlines())) <= 100
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["ok"] is True
    assert len(report["gradients"]["rows"]) == 15
    assert max(report["training_differences"]) < 1e-9
    assert min(report["step_sweeps"]["order 4"]["errors"]) < 1e-8
    assert (tmp_path / "agreement.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_wrong_hand_derived_gradient_makes_the_command_exit_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing_swept = StepSweep(np.array([1e-3, 1e-4]), (), np.array([1e-8, 1e-8]), np.array([1e-4, 1e-3]))
    monkeypatch.setattr(data_check, "sweep", lambda *_: nothing_swept)
    monkeypatch.setattr(data_check, "drift", lambda *_: np.zeros(5))
    monkeypatch.setattr(data_check, "hand_derived_gradient", lambda name: planted_gradient("sign-flipped", (name,)))
    assert gradient_check.main(["--hidden", "3", "--batch-size", "5", "--out", str(tmp_path)]) == 1
    assert "delta of layer 2 has its sign flipped" in capsys.readouterr().out


@pytest.mark.slow
def test_one_planted_mistake_is_shown_with_its_diagnosis(capsys: pytest.CaptureFixture[str]) -> None:
    assert gradient_check.main(["--planted-mistake", "sum-not-mean"]) == 1
    printed = capsys.readouterr().out
    assert "rows differ" in printed
    assert "the batch size" in printed


def test_random_networks_print_their_largest_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--random-networks", "2", "--seed", "3", "--dtype", "float32", "--activation", "relu"]
    assert gradient_check.main([*arguments, "--out", str(tmp_path)]) == 0
    assert len(json.loads((tmp_path / "random_networks.json").read_text())["networks"]) == 2
    printed = capsys.readouterr().out
    assert "gradient" in printed
    assert "hessian-vector" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--batch-size", "0"], "batch size is 0, expected 1..1497"),
        (["--hidden", "0"], "width is 0, expected a whole number"),
        (["--random-networks", "0"], "random networks are 0, expected 1 or more"),
        (["--seed", "-1"], "seed is -1, expected 0..4294967295"),
        (["--seed", "-1", "--planted-mistake", "all"], "seed is -1, expected 0..4294967295"),
        (["--seed", "-1", "--random-networks", "2"], "seed is -1, expected 0..4294967295"),
    ],
)
def test_bad_input_exits_with_2_and_one_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gradient_check.main([*arguments, "--out", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert words in errors
    assert errors.count("\n") == 1


def test_there_are_at_least_14_mistakes() -> None:
    assert len(MISTAKES) >= 14
