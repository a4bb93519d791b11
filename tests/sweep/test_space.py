"""Spaces: grids, draws, and every bad one refused in a line."""

import dataclasses
import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from jaxmlp.sweep import Range, Space, Trial, make_space, space, space_text
from tests.helpers import rejects


def test_the_grid_is_the_product_of_all_values_seeds_innermost() -> None:
    space = make_space({"hidden": ["20", "20,10", "none"], "learning_rate": ["0.1", 0.2], "seeds": ["0:3", 7]})
    trials = space.trials()
    expected = itertools.product([(20,), (20, 10), ()], [0.1, 0.2], [0, 1, 2, 7])
    assert [(trial.hidden, trial.learning_rate, trial.seed) for trial in trials] == list(expected)
    assert len({trial.id for trial in trials}) == 24


ONE_VALUE: list[tuple[str, Any, Any]] = [
    ("hidden", "3,4", (3, 4)),
    ("hidden", 3, (3,)),
    ("hidden", [[3, 4]], (3, 4)),
    ("hidden", "none", ()),
    ("hidden", [[]], ()),
    ("activation", "tanh", "tanh"),
    ("batch_size", 5, 5),
    ("learning_rate", "0.7", 0.7),
    ("learning_rate", 1, 1.0),
    ("momentum", 0.7, 0.7),
    ("momentum", 0, 0.0),
    ("weight_decay", "1e-3", 0.001),
    ("weight_decay", 0, 0.0),
    ("init_scale", 0.7, 0.7),
    ("seeds", 7, 7),
    ("seeds", "7:8", 7),
]


@pytest.mark.parametrize(("axis", "given", "value"), ONE_VALUE)
def test_an_axis_sets_its_own_field_and_the_others_keep_their_defaults(axis: str, given: Any, value: Any) -> None:
    (trial,) = make_space({"optimizer": "momentum", axis: given}).trials()
    default = Trial((20,), "sigmoid", 1, "momentum", 0.2, 0.9, 0.0, 1.0, 0)
    assert trial == dataclasses.replace(default, **{"seed" if axis == "seeds" else axis: value})


def test_the_default_space_is_the_default_trial() -> None:
    assert make_space({}).trials() == [Trial()] == [Trial((20,), "sigmoid", 1, "sgd", 0.2, None, 0.0, 1.0, 0)]


def test_what_an_optimiser_does_not_read_makes_no_trials() -> None:
    trials = make_space({"optimizer": ["sgd", "momentum"], "momentum": [0.5, 0.9]}).trials()
    assert [(trial.optimizer, trial.momentum) for trial in trials] == [
        ("sgd", None),
        ("momentum", 0.5),
        ("momentum", 0.9),
    ]


def test_draws_stay_in_their_ranges_and_repeat() -> None:
    given = {"learning_rate": "log:0.001:1", "momentum": "uniform:0.1:0.9", "optimizer": ["momentum"], "random": 500}
    space = make_space(given)
    assert space.learning_rate == Range(0.001, 1.0, True)
    trials = space.trials()
    rates, momenta = (np.array([getattr(trial, name) for trial in trials]) for name in ("learning_rate", "momentum"))
    assert len(trials) == 500
    assert 0.001 <= rates.min() < 0.002 < 0.5 < rates.max() <= 1
    assert 0.4 < np.mean(rates < 10**-1.5) < 0.6  # half below the middle of the logarithms
    assert 0.1 <= momenta.min() < 0.12 < 0.88 < momenta.max() <= 0.9
    assert make_space(given).trials() == trials
    assert make_space({**given, "random_seed": 1}).trials() != trials


def test_a_draw_takes_one_number_of_numpys_stream_an_axis() -> None:
    given = {"hidden": ["3", "5", "8"], "learning_rate": "uniform:1:3", "weight_decay": "log:0.01:1", "random": 5}
    trials = make_space({**given, "random_seed": 7, "seeds": ["1:3"]}).trials()
    shares = np.random.RandomState(7).random_sample((5, 8)).repeat(2, axis=0)
    assert [trial.hidden for trial in trials] == [[(3,), (5,), (8,)][int(3 * share)] for share in shares[:, 0]]
    np.testing.assert_allclose([trial.learning_rate for trial in trials], 1 + 2 * shares[:, 4])
    np.testing.assert_allclose([trial.weight_decay for trial in trials], 0.01 * 100 ** shares[:, 6])
    assert [trial.seed for trial in trials] == [1, 2] * 5
    assert make_space({**given, "random_seed": 0}) == make_space(given)


def test_equal_draws_are_one_configuration() -> None:
    trials = make_space({"hidden": ["3", "5"], "random": 40, "seeds": ["0:2"]}).trials()
    assert {(trial.hidden, trial.seed) for trial in trials} == {((3,), 0), ((3,), 1), ((5,), 0), ((5,), 1)}
    assert len(trials) == 4
    assert len(make_space({"hidden": ["3", "5"], "random": 1}).trials()) == 1


WRITTEN: list[tuple[str, list[Any], Any]] = [
    ("hidden", [20, np.int64(20), "20", [20], ["20"], [[20]], [(20,)], np.array([20]), range(20, 21)], ((20,),)),
    ("hidden", [(20, 10), [(20, 10)], [[20, 10]], "20,10", np.array([[20, 10]]), (np.int32(20), 10)], ((20, 10),)),
    ("hidden", [[20, 10], ["20", 10], ((20,), (10,)), np.array([20, 10])], ((20,), (10,))),
    ("hidden", [(), [()], "none", [[]]], ((),)),
    ("seeds", [range(3), [0, 1, 2], (0, 1, 2), "0:3", ["0:2", 2], np.arange(3), jnp.arange(3)], (0, 1, 2)),
    ("seeds", [7, [7], "7", np.int64(7), range(7, 8)], (7,)),
    ("learning_rate", [0.5, "0.5", [0.5], np.float32(0.5), np.array([0.5]), pd.Series([0.5])], (0.5,)),
    ("learning_rate", [[1, 2], np.array([1, 2]), range(1, 3), ("1", 2.0)], (1.0, 2.0)),
    ("learning_rate", [Range(1, 2), [Range(1, 2)], "uniform:1:2"], Range(1.0, 2.0)),
    ("learning_rate", [Range(0.1, 1, True), "log:0.1:1"], Range(0.1, 1.0, True)),
    ("batch_size", [4, [4], np.array([4]), range(4, 5)], (4,)),
    ("activation", ["tanh", ["tanh"], ("tanh",), np.array(["tanh"]), np.str_("tanh")], ("tanh",)),
]


@pytest.mark.parametrize(("axis", "written", "values"), WRITTEN)
def test_an_axis_is_the_same_however_it_is_written(axis: str, written: list[Any], values: Any) -> None:
    for given in written:
        made = make_space({axis: given}, searched=True)
        assert getattr(made, axis) == values, given
        flat = itertools.chain.from_iterable(values) if axis == "hidden" else values
        read = itertools.chain.from_iterable(getattr(made, axis)) if axis == "hidden" else getattr(made, axis)
        assert [type(value) for value in read] == [type(value) for value in flat], given
        if axis == "activation" or "'" not in repr(given):  # no text
            assert Space(**{axis: given}) == made


BAD_SPACES: list[tuple[dict[str, Any], str]] = [
    ({"hidden": "20,10"}, "hidden is '20,10', expected widths such as 20 or (20, 10), or () for none"),
    ({"hidden": [20.0]}, "hidden is 20.0, expected widths"),
    ({"hidden": (20, True)}, "hidden is True, expected widths"),
    ({"hidden": [(20, 0)]}, "width is 0"),
    ({"hidden": [(20,), 20]}, "hidden has (20,) twice"),
    ({"hidden": []}, "hidden has no values, expected one or more"),
    ({"hidden": None}, "hidden is None, expected widths"),
    ({"seeds": "0:3"}, "seeds are '0:3', expected whole numbers such as range(8)"),
    ({"seeds": range(3, 3)}, "seeds has no values"),
    ({"seeds": range(10**12)}, "the space has 1,000,000,000,000 trials, expected at most 10,000,000"),
    ({"seeds": np.array([0.5])}, "seeds are 0.5"),
    ({"seeds": {0, 1}}, "seeds are {0, 1}, expected whole numbers"),
    ({"learning_rate": "0.1"}, "learning_rate is '0.1', expected a number or a Range"),
    ({"learning_rate": 0.1j}, "learning_rate is 0.1j, expected a number"),
    ({"learning_rate": [0.1, -0.1]}, "learning rate is -0.1"),
    ({"learning_rate": [Range(0.1, 1), 0.5]}, "a range beside other values"),
    ({"learning_rate": Range(1, 0.1)}, "the range 1:0.1, expected LOW < HIGH"),
    ({"learning_rate": Range(0, 1, True)}, "the range 0:1, expected LOW < HIGH (log: 0 < LOW)"),
    ({"activation": "step"}, "activation is 'step', expected one of identity, sigmoid"),
    ({"activation": [3]}, "activation is 3, expected one of"),
    ({"optimizer": ["sgd", "lbfgs"]}, "optimizer is 'lbfgs'"),
    ({"momentum": 0.5}, "momentum is given for sgd, expected the optimizer momentum or nesterov too"),
    ({"batch_size": 1.5}, "batch_size is 1.5"),
    ({"batch_size": [0]}, "batch_size is 0"),
    ({"init_scale": np.inf}, "init_scale is inf"),
    ({"random": 2.5}, "random is 2.5"),
    ({"random_seed": -1}, "random_seed is -1"),
]


@pytest.mark.parametrize(("values", "message"), BAD_SPACES, ids=[message[:30] for _, message in BAD_SPACES])
def test_a_space_that_is_made_by_hand_is_checked_too(values: dict[str, Any], message: str) -> None:
    with rejects(message):
        Space(**values)
    with rejects(message):
        dataclasses.replace(Space(), **values)


def test_a_range_needs_draws_or_a_sampler() -> None:
    ranged = Space(learning_rate=Range(0.1, 1))
    with rejects("learning_rate is a range, expected values to make a grid of, or a number of random draws"):
        ranged.trials()
    ranged.check_search()
    drawn = dataclasses.replace(ranged, random=3)
    assert len(drawn.trials()) == 3
    with rejects("random draws are a sweep of their own, expected none in a search"):
        drawn.check_search()


BAD: list[tuple[dict[str, Any], str]] = [
    ({"learning_rate": []}, "learning_rate has no values"),
    ({"seeds": []}, "seeds has no values"),
    ({"seeds": ["3:3"]}, "seeds '3:3' are none, expected FIRST:END with END after FIRST"),
    ({"seeds": [1, "5:2"]}, "seeds '5:2' are none"),
    ({"learning_rate": [0.1, "0.1"]}, "learning_rate has 0.1 twice"),
    ({"hidden": ["20", "20"]}, "hidden has (20,) twice"),
    ({"learningrate": [0.1]}, "unknown key 'learningrate'"),
    ({"learning_rate": [-0.1]}, "learning rate is -0.1, expected a positive finite number"),
    ({"learning_rate": ["nan"]}, "learning rate is nan"),
    ({"learning_rate": ["inf"]}, "learning rate is inf"),
    ({"learning_rate": ["fast"]}, "learning_rate is 'fast', expected a number, uniform:LOW:HIGH or log:LOW:HIGH"),
    ({"learning_rate": [True]}, "learning_rate is True, expected a number"),
    ({"learning_rate": ["log:0.1:1"]}, "learning_rate is a range, expected values"),
    ({"learning_rate": ["log:0:1"], "random": 2}, "expected LOW < HIGH (log: 0 < LOW)"),
    ({"learning_rate": ["uniform:2:1"], "random": 2}, "expected LOW < HIGH"),
    ({"learning_rate": ["log:nan:1"], "random": 2}, "expected LOW < HIGH"),
    ({"learning_rate": ["log:0.1:inf"], "random": 2}, "learning rate is inf"),
    ({"learning_rate": ["log:0.1:1", 2], "random": 2}, "a range beside other values"),
    ({"momentum": [1.0]}, "momentum is 1.0, expected 0 <= momentum < 1"),
    ({"momentum": [0.9]}, "momentum is given for sgd, expected the optimizer momentum or nesterov too"),
    ({"weight_decay": [-1]}, "weight decay is -1.0"),
    ({"init_scale": [0]}, "init_scale is 0.0"),
    ({"hidden": ["20,x"]}, "hidden is '20,x', expected widths such as 20"),
    ({"hidden": ["0"]}, "width is 0"),
    ({"hidden": ["-4"]}, "width is -4"),
    ({"hidden": [2.5]}, "hidden is 2.5"),
    ({"hidden": ["999999999"]}, "parameters, expected at most 100,000,000"),
    ({"activation": ["step"]}, "activation is 'step', expected one of"),
    ({"optimizer": ["lbfgs"]}, "optimizer is 'lbfgs', expected one of"),
    ({"batch_size": [0]}, "batch_size is 0"),
    ({"batch_size": [1.5]}, "batch_size is 1.5"),
    ({"seeds": [-1]}, "seed is -1"),
    ({"seeds": ["0:1:2"]}, "seeds are '0:1:2'"),
    ({"seeds": ["0:999999999999"]}, "expected at most 10,000,000"),
    ({"seeds": ["0:20"], "random": 10**6}, "20,000,000 trials, expected at most 10,000,000"),
    ({"random": 0}, "random is 0, expected a whole number"),
    ({"random": 10**9}, "random is 1000000000"),
    ({"random": True}, "random is True"),
    ({"random_seed": -1}, "random_seed is -1, expected a whole number, 0"),
    ({"hidden": [True]}, "hidden is True"),
    ({"seeds": [True]}, "seeds are True"),
    ({"seeds": [2.0]}, "seeds are 2.0"),
    ({"batch_size": [True]}, "batch_size is True"),
    ({"learning_rate": ["log:1"], "random": 2}, "learning_rate is 'log:1', expected a number"),
    ({"learning_rate": ["normal:1:2"], "random": 2}, "learning_rate is 'normal:1:2', expected a number"),
    ({"learning_rate": ["uniform:1:1"], "random": 2}, "the range 1:1, expected LOW < HIGH"),
    ({"learning_rate": ["uniform:0:1"], "random": 2}, "learning rate is 0.0"),
    ({"optimizer": ["nesterov"], "momentum": ["uniform:0.5:1"], "random": 2}, "momentum is 1.0"),
    ({"weight_decay": ["uniform:-1:1"], "random": 2}, "weight decay is -1.0"),
    ({"init_scale": ["uniform:0:1"], "random": 2}, "init_scale is 0.0"),
    ({"init_scale": ["inf"]}, "init_scale is inf"),
    ({"weight_decay": ["inf"]}, "weight decay is inf"),
    ({"optimizer": ["sgd", "adam"], "momentum": [0.9]}, "momentum is given for sgd, adam"),
    ({"activation": ["relu", "step"]}, "activation is 'step'"),
    ({"learning_rate": [0.1, -0.1]}, "learning rate is -0.1"),
]


@pytest.mark.parametrize(("values", "message"), BAD, ids=[message[:30] for _, message in BAD])
def test_a_bad_space_is_refused_in_one_line(values: dict[str, Any], message: str) -> None:
    with rejects(message):
        make_space(values)


def test_a_space_has_as_many_trials_as_the_limit_and_not_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (space, space_text):
        monkeypatch.setattr(module, "MAX_TRIALS", 12)
    grid = {"hidden": ["3", "5"], "learning_rate": [0.1, 0.2, 0.3], "seeds": ["0:2"]}
    assert len(make_space(grid).trials()) == 12
    assert make_space({"seeds": ["0:12"]}).seeds == tuple(range(12))
    for values in ({**grid, "activation": ["tanh", "relu"]}, {"seeds": ["0:7"], "random": 2}):
        with rejects("trials, expected at most 12"):
            make_space(values)
    with rejects("seeds '1:14' are 13, expected at most 12"):
        make_space({"seeds": ["1:14"]})


def test_an_unknown_key_is_told_with_all_that_may_stand_in_its_place() -> None:
    with rejects("unknown key 'epoch', expected activation, batch_size, epochs, hidden,"):
        make_space({"epoch": 3}, ("epochs", "validation"))
    with rejects("seeds, validation, weight_decay"):
        make_space({"epoch": 3}, ("epochs", "validation"))
