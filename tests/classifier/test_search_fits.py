"""Which fits a search makes of candidates and folds, what they share, and how they lie in the compiled program."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import pytest

from jaxmlp import Layer
from jaxmlp.checks import sizes_of
from jaxmlp.classifier.grid import blocks as search_blocks
from jaxmlp.classifier.grid.blocks import FitOutcome, train_fits
from jaxmlp.classifier.grid.fits import Failed, Fit, Samples, common_config, fits, programs
from jaxmlp.classifier.grid.job import Table
from jaxmlp.classifier.targets import class_targets
from jaxmlp.engine import device_mesh, layout
from jaxmlp.engine.layout import unpad_params
from jaxmlp.runtime import computing
from tests.classifier.test_classifier import LABELS, WEIGHTS, X, small
from tests.helpers import assert_agree

FOLDS = [(np.arange(14, 40), np.arange(14)), (np.arange(27), np.arange(27, 40))]
"""26 and 27 rows to train on."""
SAMPLES = Samples([X], class_targets(LABELS), WEIGHTS, np.ones(40))


def made(*candidates: dict[str, Any], folds: Any = FOLDS) -> list[Fit]:
    parameters = [small(**given).get_params() for given in candidates]
    failed: Failed = {}
    found = fits([(n, f, p) for n, p in enumerate(parameters) for f in range(len(folds))], SAMPLES, folds, failed)
    assert failed == {}
    return found


def planned(members: Sequence[Fit]) -> Any:
    table = Table(np.zeros((1, 41, 4)), np.zeros((41, 3)), np.zeros(41))
    return search_blocks._plan(members, FOLDS, table, device_mesh())  # pyright: ignore[reportPrivateUsage]


def placed(plan: Any, groups: Any, lanes: int = 3) -> Any:
    where = layout.Layout((len(groups), lanes), list(range(len(groups))), np.zeros(2, np.int32))
    return search_blocks._placed(plan, groups, where, 40)  # pyright: ignore[reportPrivateUsage]


def test_each_fit_has_the_rows_and_weights_of_its_fold_and_the_numbers_of_a_fit_alone() -> None:
    found = made({"alpha": 0.5}, {"alpha": 0.25, "class_weight": {1: 3.0}})
    assert [(lane.candidate, lane.fold, lane.parameters["alpha"]) for lane in found] == [
        (0, 0, 0.5), (0, 1, 0.5), (1, 0, 0.25), (1, 1, 0.25),
    ]  # fmt: skip
    for lane in found:
        rows = FOLDS[lane.fold][0]
        weights = WEIGHTS * np.where((LABELS == 1) & (lane.candidate == 1), 3, 1) * np.isin(np.arange(40), rows)
        assert lane.prepared.training.tolist() == rows.tolist()
        np.testing.assert_allclose(lane.prepared.weights, weights / weights[rows].mean(), rtol=1e-12)
        alone = np.random.RandomState(0)
        np.testing.assert_array_equal(lane.prepared.params[0].weights, alone.normal(0, 0.5, (5, 4)))
        alone.normal(size=15)
        np.testing.assert_array_equal(lane.prepared.random.get_state()[1], alone.get_state()[1])  # pyright: ignore


def test_a_row_drawn_twice_counts_twice() -> None:
    rows = np.array([0, 3, 3, 5, 5, 5])
    (lane,) = made({}, folds=[(rows, np.arange(6, 9))])
    weights = WEIGHTS * np.bincount(rows, minlength=40)
    assert lane.prepared.training.tolist() == [0, 3, 5]
    np.testing.assert_allclose(lane.prepared.weights, weights * 3 / weights.sum(), rtol=1e-12)


@pytest.mark.parametrize(
    ("parameters", "shared"),
    [
        ({}, True),
        *[({name: 0.5}, True) for name in ("learning_rate", "momentum", "alpha", "tol")],
        ({"max_iter": 9, "n_iter_no_change": 3}, True),
        ({"alpha": 0.0}, False),
        ({"random_state": 1}, False),
        ({"random_state": None}, False),
        ({"class_weight": "balanced"}, False),
        ({"init": "glorot"}, False),
        ({"validation_fraction": 0.3}, False),
        ({"hidden_layer_sizes": (6,)}, False),
        ({"activation": "tanh"}, False),
        ({"batch_size": 9}, False),
        ({"early_stopping": True}, False),
    ],
    ids=str,
)
def test_candidates_share_what_their_differences_do_not_touch_and_folds_share_nothing(
    parameters: dict[str, Any], shared: bool
) -> None:
    first, other_fold, second, _ = made({}, parameters)
    assert first.prepared is not other_fold.prepared
    assert (first.prepared is second.prepared) == shared


def test_candidates_without_a_seed_share_one_and_a_random_state_is_left_as_it_is() -> None:
    one, other, third, _ = made({"random_state": None}, {"random_state": None, "class_weight": "balanced"})
    assert_agree([lane.prepared.params for lane in (other, third)], [one.prepared.params] * 2)
    assert np.any(made({"random_state": None})[0].prepared.params[0].weights != one.prepared.params[0].weights)
    state = np.random.RandomState(0)
    for lane in made({"random_state": state}, {"random_state": state, "class_weight": "balanced"}):
        assert_agree(lane.prepared.params, made({})[0].prepared.params)
    assert state.randint(10**9) == np.random.RandomState(0).randint(10**9)


SGD: dict[str, Any] = {"optimizer": "sgd"}


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ([{"batch_size": 7}, {"batch_size": 7, "alpha": 0.0}], [[0, 0, 1, 1]]),  # 26 and 27 rows are 4 updates each
        ([{}, {"hidden_layer_sizes": (9,)}], [[0, 0, 1, 1]]),  # "auto" is all of a fold's rows
        ([{"batch_size": 13}], [[0], [0]]),  # 2 updates, 3 updates
        ([{"batch_size": 13, **SGD}], [[0, 0]]),
        ([{}, {"hidden_layer_sizes": (5, 5)}], [[0, 0], [1, 1]]),
        ([{}, {"activation": "tanh"}], [[0, 0], [1, 1]]),
        ([{}, SGD], [[0, 0], [1, 1]]),
        ([{}, {"early_stopping": True}], [[0, 0], [1, 1]]),
        ([{"batch_size": 7, **SGD}, {"batch_size": 9, **SGD}], [[0, 0], [1, 1]]),
        ([{"batch_size": 26}], [[0], [0]]),  # all of one fold, all but one of the other
    ],
    ids=str,
)
def test_one_program_trains_what_has_one_depth_and_as_many_updates(
    candidates: list[dict[str, Any]], expected: list[list[int]]
) -> None:
    found = programs(made(*candidates))
    assert [[lane.candidate for lane in members] for members in found] == expected


def test_the_common_config_is_padded_and_penalised_where_one_of_its_lanes_is() -> None:
    both, small_batches = made({}, {"alpha": 0.0}), made({"batch_size": 7, "activation": "tanh"})
    common = common_config(both)
    assert (common.padded, common.penalised, common.training.batch_size) == (True, True, 27)
    assert common_config(both[::-1]).penalised  # whichever comes first
    alike = common_config(both[2:3])
    assert (alike.padded, alike.penalised, alike.training.batch_size) == (False, False, 26)
    assert (common_config(small_batches).training.batch_size, common_config(small_batches).training.activation) == (
        7,
        "tanh",
    )
    assert common_config(made({"early_stopping": True})).early_stopping


def test_lanes_lie_in_groups_of_one_task_and_groups_in_calls_of_the_memory_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(layout.LANES, "cpu", 4)
    # 5 candidates share two tasks: in groups of 4 at most, 3 and 2 of each. The sixth has two tasks of its own.
    members = made(*({"tol": tol} for tol in (0, 1, 2, 3, 4)), {"hidden_layer_sizes": (2,)})
    plan = planned(members)
    assert [[lane.candidate for lane in group] for group in plan.groups] == [[0, 1, 2], [3, 4]] * 2 + [[5]] * 2
    assert [{lane.fold for lane in group} for group in plan.groups] == [{0}, {0}, {1}, {1}, {0}, {1}]
    assert (plan.capacity, plan.lanes, plan.sizes, plan.masked) == (6, 3, (4, 5, 3), True)
    assert (plan.length, plan.n_validation) == (27, 0)
    _, given, running = placed(plan, plan.groups)
    assert given.hyperparameters.tol.tolist()[:2] == [[0, 1, 2], [3, 4, 0]]  # the last lane is inert
    assert running.tolist() == [[True] * 3, [True, True, False]] * 2 + [[True, False, False]] * 2
    assert (planned(members[:1]).capacity, planned(members[:1]).lanes) == (2, 1)  # a group for each of two devices
    assert placed(planned(members[:1]), [members[:1]])[1].masks == ()
    # 43 parameters of 8 bytes, six times, 3 lanes on 2 devices: 12,384 bytes for a group on each.
    for size, groups in ((1, 2), (2 * 12384 - 1, 2), (2 * 12384, 4), (3 * 12384, 6), (9 * 12384, 6)):
        monkeypatch.setattr(layout, "MAX_BYTES", size)
        assert (planned(members).capacity, planned(members).lanes) == (groups, 3)


def test_calls_take_the_groups_in_turn_and_outcomes_stand_in_the_lanes_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAX_BYTES", 1)
    blocks, reports = list[Any](), list[int]()

    def train(plan: Any, groups: Any, table: Any, _: Any) -> list[FitOutcome]:
        blocks.append(len(groups))
        assert (table.x.shape, table.y.shape, table.weights.tolist()) == ((1, 41, 4), (41, 3), [1.0] * 40 + [0])
        assert (plan.capacity, plan.lanes) == (2, 1)
        np.testing.assert_array_equal(table.x[0, :-1], X)
        np.testing.assert_array_equal(table.y, [*np.eye(3)[LABELS], [0, 0, 0]])
        return [FitOutcome(lane, lane.prepared.params, 1, False, True, 0.5, 0.0) for group in groups for lane in group]

    monkeypatch.setattr(search_blocks, "_train_block", train)
    given = made({}, {"activation": "tanh"}, {"random_state": 1})
    found = train_fits(given, SAMPLES, FOLDS, "auto", reports.append, {})
    assert sorted((outcome.fit.candidate, outcome.fit.fold) for outcome in found) == [
        (0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1),
    ]  # fmt: skip
    assert (blocks, reports) == ([2, 2, 2], [2, 2, 2])


def test_every_lane_is_placed_with_its_own_numbers_and_every_group_with_its_own_rows() -> None:
    numbered = [
        {"learning_rate": 0.1 * n, "momentum": 0.01 * n, "alpha": 0.2 * n, "tol": 0.3 * n, "n_iter_no_change": n,
         "max_iter": 10 * n, "early_stopping": True, "validation_fraction": 0.15} for n in (1, 2, 3)
    ]  # fmt: skip
    found = made(*numbered, {**numbered[0], "hidden_layer_sizes": (2,), "validation_fraction": 0.3})
    plan = planned(found)
    groups = [[found[0], found[2], found[4]], [found[1], found[3], found[5]], [found[6]], [found[7]]]
    assert plan.groups == groups
    params, shared, running = placed(plan, groups)
    numbers = shared.hyperparameters
    assert running.tolist() == [[True] * 3] * 2 + [[True, False, False]] * 2
    three = np.array([1, 2, 3])
    for group in (0, 1):
        assert numbers.hyperparameters.learning_rate[group] == pytest.approx(0.1 * three)
        assert numbers.hyperparameters.momentum[group] == pytest.approx(0.01 * three)
        assert numbers.alpha[group] == pytest.approx(0.2 * three / found[group].prepared.mean_weight)
        assert numbers.tol[group] == pytest.approx(0.3 * three)
        assert numbers.patience[group].tolist() == [1, 2, 3]
        assert numbers.last_epoch[group].tolist() == [10, 20, 30]
    assert numbers.last_epoch[2].tolist() == [10, 0, 0]
    for number, group in enumerate(groups):
        task = group[0].prepared
        np.testing.assert_array_equal(shared.weights[number], [*task.weights, 0])
        held_out = len(task.validation)
        assert shared.validation[number, :held_out].tolist() == task.validation.tolist()
        assert set(shared.validation[number, held_out:]) <= {40}
        assert shared.samples[number] == len(task.training)
        tested = FOLDS[group[0].fold][1]
        assert shared.test[number].tolist() == [*tested, *[40] * (14 - len(tested))]
        for at in range(len(group)):
            alone = jax.tree.map(lambda leaf, number=number, at=at: leaf[number, at], params)
            assert_agree(
                unpad_params(params, (number, at), sizes_of(task.params)), jax.tree.map(np.asarray, task.params)
            )
            assert [layer.weights.shape for layer in alone] == [(5, 4), (3, 5)]
    # Of 26 and 27 rows 0.15 and 0.3, rounded up: 4, 5, 8 and 9. All calls have one shape.
    assert (shared.validation.shape, (shared.validation == 40).sum(axis=1).tolist()) == ((4, 9), [5, 4, 1, 0])
    assert placed(plan, groups[:1])[1].validation.shape == (1, 9)
    assert shared.samples.tolist() == [22, 22, 18, 18]
    (mask,) = shared.masks
    assert mask[:, 0].tolist() == [[1] * 5] * 2 + [[1, 1, 0, 0, 0]] * 2
    assert (mask[1, 2].tolist(), mask[2, 1].tolist()) == ([1] * 5, [0] * 5)


def test_padding_is_zeros_after_the_rows_and_columns_there_are() -> None:
    params, masks = layout.empty_block((2, 3), (2, 3, 2), "float64")
    layout.put_network(params, masks, (1, slice(0, 2)), [np.ones((1, 2)), np.full((2, 1), 2.0)])
    assert [layer.biases.shape for layer in params] == [(2, 3, 3), (2, 3, 2)]
    assert [layer.weights[1, 1].tolist() for layer in params] == [[[1, 1], [0, 0], [0, 0]], [[2, 0, 0], [2, 0, 0]]]
    assert [mask[1].tolist() for mask in masks] == [[[1, 0, 0], [1, 0, 0], [0, 0, 0]]]
    assert not any(np.any(leaf[0]) or np.any(leaf[1, 2]) for leaf in jax.tree.leaves((params, masks)))
    layout.put_network(params, masks, (0, slice(1, 3)), [np.ones((1, 2)), np.ones((2, 1))], [[5.0], [6.0, 7.0]])
    assert [layer.biases[0].tolist() for layer in params] == [
        [[0, 0, 0], [5, 0, 0], [5, 0, 0]], [[0, 0], [6, 7], [6, 7]],
    ]  # fmt: skip
    lane = unpad_params(jax.tree.map(lambda leaf: leaf + 1, params), (1, 0), (2, 1, 2))
    assert_agree(lane, (Layer(np.full((1, 2), 2.0), np.ones(1)), Layer(np.full((2, 1), 3.0), np.ones(2))))  # pyright: ignore


def test_what_cannot_be_prepared_fails_alone() -> None:
    parameters = [small(**given).get_params() for given in ({}, {"alpha": -1}, {"class_weight": {9: 1.0}})]
    failed: Failed = {}
    wanted = [(number, fold, each) for number, each in enumerate(parameters) for fold in (0, 1)]
    found = fits(wanted, SAMPLES, FOLDS, failed)
    assert [(fit.candidate, fit.fold) for fit in found] == [(0, 0), (0, 1)]
    assert {at: str(error)[:20] for at, error in failed.items()} == {
        (1, 0): "alpha is -1, expecte", (1, 1): "alpha is -1, expecte",
        (2, 0): "class_weight names 9", (2, 1): "class_weight names 9",
    }  # fmt: skip


def test_folds_with_inputs_of_their_own_see_these() -> None:
    samples = SAMPLES._replace(x=[X, 2 * X])
    found = fits([(0, fold, small().get_params()) for fold in (0, 1)], samples, FOLDS, {})
    assert [fit.view for fit in found] == [0, 1]
    np.testing.assert_array_equal(found[1].prepared.x, 2 * X)
    assert placed(planned(found), [found[:1], found[1:]])[1].view.tolist() == [0, 1]


def test_a_program_that_cannot_run_fails_with_its_own_fits_only() -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("no such optimiser")

    failed: Failed = {}
    with computing("float64"):
        found = train_fits(made({"optimizer": broken}, {}), SAMPLES, FOLDS, "auto", lambda _: None, failed)
    assert {(outcome.fit.candidate, outcome.fit.fold) for outcome in found} == {(1, 0), (1, 1)}
    assert {at: str(error) for at, error in failed.items()} == {(0, f): "no such optimiser" for f in (0, 1)}
