"""Choosing: what is averaged, what chooses, who comes first, which number stands under which name."""

import io
from typing import Any

import numpy as np
import pytest
import scipy.stats

from jaxmlp.sweep import choosing, summary


def row(seed: int = 0, loss: float | None = 0.5, status: str = "done", **values: Any) -> dict[str, Any]:
    """A trial's row as the store gives it; ``loss`` is the validation rows'. No two of its numbers are the same."""
    number = None if loss is None else loss + 0.01
    defaults = {
        "hidden": "20", "activation": "sigmoid", "batch_size": 1, "optimizer": "momentum", "learning_rate": 0.2,
        "momentum": 0.9, "weight_decay": 0.0, "init_scale": 1.0,
        "loss": number, "best_loss": 0.02, "validation_loss": loss, "best_validation_loss": 0.03,
        "validation_accuracy": 0.6, "best_validation_accuracy": 0.65, "train_accuracy": 0.7, "test_accuracy": 0.8,
    }  # fmt: skip
    return {**defaults, "seed": seed, "status": status, **values}


def test_the_final_validation_loss_chooses_and_nothing_else() -> None:
    # Each wrong measure would set b, or c, before a.
    a = row(hidden="4", loss=0.3, validation_accuracy=0.5, train_accuracy=0.5, test_accuracy=0.5)
    b = row(hidden="5", loss=0.4, validation_accuracy=0.9, train_accuracy=0.9, test_accuracy=0.9)
    c = row(hidden="6", loss=0.5, validation_accuracy=0.7, train_accuracy=0.7, test_accuracy=0.7)
    a |= {"loss": 0.6, "best_loss": 0.6, "best_validation_loss": 0.29}
    b |= {"loss": 0.1, "best_loss": 0.1, "best_validation_loss": 0.1}
    c |= {"loss": 0.2, "best_loss": 0.2, "best_validation_loss": 0.2}
    found = choosing.configurations([c, b, a])
    assert [item.values["hidden"] for item in found] == ["4", "5", "6"]
    assert [(item.loss.mean, item.accuracy.mean) for item in found] == [(0.3, 0.5), (0.4, 0.9), (0.5, 0.7)]


def test_without_validation_rows_the_training_rows_choose() -> None:
    nothing: dict[str, Any] = {"validation_loss": None, "validation_accuracy": None}
    rows = [row(hidden="4", **nothing), row(hidden="5", loss=0.1, **nothing)]
    assert choosing.measure_of(rows) == ("loss", "train_accuracy")
    found = choosing.configurations(rows)
    assert [item.loss.mean for item in found] == [pytest.approx(0.11), pytest.approx(0.51)]
    assert found[0].accuracy.mean == 0.7
    # One trial that was measured on validation rows is enough: the others are not done yet.
    assert choosing.measure_of([*rows, row()]) == ("validation_loss", "validation_accuracy")


@pytest.mark.parametrize("status", ["pruned", "failed", "pending", "diverged"])
def test_a_configuration_with_a_trial_that_is_not_done_comes_after_all_others(status: str) -> None:
    lucky = [row(0, 0.1, hidden="4"), row(1, 0.1, status, hidden="4"), row(2, 0.2, hidden="4")]
    alone = [row(0, 0.05, status, hidden="5")]
    whole = [row(seed, 0.9, hidden="6") for seed in range(3)]
    found = choosing.configurations([*lucky, *alone, *whole])
    assert [(item.values["hidden"], len(item.rows), item.trials) for item in found] == [("6", 3, 3), ("4", 2, 3)]
    assert found[1].rows == [lucky[0], lucky[2]]
    assert found[1].loss.mean == pytest.approx(0.15)


def test_a_trial_without_a_loss_makes_its_configuration_incomplete() -> None:
    found = choosing.configurations([row(0, 0.1, hidden="4"), row(1, None, hidden="4"), row(0, 0.9, hidden="5")])
    assert [(item.values["hidden"], len(item.rows)) for item in found] == [("5", 1), ("4", 1)]


@pytest.mark.parametrize("axis", choosing.AXES)
def test_trials_that_differ_in_any_axis_are_no_seeds_of_each_other(axis: str) -> None:
    other = "8" if axis == "hidden" else "nesterov" if axis == "optimizer" else "tanh" if axis == "activation" else 4
    rows = [row(0, 0.3), row(1, 0.5), {**row(0, 0.2), axis: other}]
    found = choosing.configurations(rows)
    assert [(item.values[axis], item.trials) for item in found] == [(other, 1), (rows[0][axis], 2)]
    assert found[1].values == {name: rows[0][name] for name in choosing.AXES}
    assert choosing.varying(rows) == [axis]


def test_what_varies_is_told_in_one_sequence_whether_done_or_not() -> None:
    rows = [row(), row(1, None, "pending", init_scale=2.0), row(2, None, "failed", hidden="8")]
    assert choosing.varying(rows) == ["hidden", "init_scale"]
    assert choosing.varying(rows[:1]) == []


def test_equal_losses_stay_in_the_sequence_of_the_sweep() -> None:
    found = choosing.configurations([row(hidden=hidden) for hidden in ("7", "3", "5")])
    assert [item.values["hidden"] for item in found] == ["7", "3", "5"]


def test_an_interval_is_students_t() -> None:
    # 1, 2, 4: mean 7/3, variance (16 + 1 + 25) / 9 / 2 = 7/3; t of 2 degrees of freedom is 4.302653.
    half = 4.302653 * np.sqrt(7 / 3) / np.sqrt(3)
    assert choosing.interval([1, 2, 4]) == pytest.approx((7 / 3, 7 / 3 - half, 7 / 3 + half), rel=1e-6)
    values = np.random.RandomState(0).normal(5, 1, 9)
    low, high = scipy.stats.t.interval(0.95, 8, values.mean(), scipy.stats.sem(values))
    assert choosing.interval(values) == pytest.approx((values.mean(), low, high))
    assert choosing.interval([0.5]) == pytest.approx((0.5, np.nan, np.nan), nan_ok=True)
    assert choosing.interval([0.5, 1.0], 0, 1) == (0.75, 0, 1)
    assert choosing.interval([0.5, 1.0], -9)[1] == pytest.approx(0.75 - 12.7062 * 0.25, rel=1e-4)


def test_losses_are_not_below_zero_nor_accuracies_beyond_their_ends() -> None:
    rows = [row(0, 0.1, validation_accuracy=0.1), row(1, 9.0, validation_accuracy=1.0)]
    (found,) = choosing.configurations(rows)
    assert found.loss.low == 0
    assert found.loss.high > 9
    assert found.accuracy[1:] == (0, 1)


def test_rows_are_written_under_their_names() -> None:
    file = io.StringIO()
    choosing.write_csv([{"id": "a", "hidden": "20,10", "loss": None}, {"id": "b", "hidden": "4", "loss": 0.5}], file)
    assert file.getvalue().splitlines() == ["id,hidden,loss", 'a,"20,10",', "b,4,0.5"]
    file = io.StringIO()
    choosing.write_csv([], file)
    assert file.getvalue().split() == ["id"]


def test_environments_are_told_where_they_differ() -> None:
    here = {"cores": 2, "versions": {"jax": "0.10.2", "numpy": "2.0"}}
    assert summary.environments_line([]) == summary.environments_line([here, here]) == ""
    there = {"cores": 4, "versions": {"jax": "0.12.0", "numpy": "2.0"}, "engine": "fused"}
    assert summary.environments_line([here, there]) == (
        "note: trained in 2 environments, whose last bits may differ: cores 2 and 4; jax 0.10.2 and 0.12.0; "
        "engine None and fused"
    )


@pytest.mark.parametrize(("loss", "said"), [(0.35, "0.3500"), (9999.5, "9999.5000"), (4e30, "4.00e+30")])
def test_a_large_loss_keeps_its_column_narrow(loss: float, said: str) -> None:
    rows = [{**row(loss=loss), "sweep": 1}]
    assert f"  {said}  " in summary.summary(rows)
