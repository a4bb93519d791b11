"""Spaces: grids, draws, and every bad one refused in a line."""

import dataclasses
import itertools
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmlp.sweep import Range, Trial, make_space
from jaxmlp.sweep.space import space_hash
from jaxmlp.sweep.trials import initial_weights, order_streams, padded, trial_of
from tests.helpers import assert_agree, rejects


def test_the_grid_is_the_product_of_all_values_seeds_innermost() -> None:
    space = make_space({"hidden": ["20", "20,10", "none"], "learning_rate": ["0.1", 0.2], "seeds": ["0:3", 7]})
    trials = space.trials()
    expected = itertools.product([(20,), (20, 10), ()], [0.1, 0.2], [0, 1, 2, 7])
    assert [(trial.hidden, trial.learning_rate, trial.seed) for trial in trials] == list(expected)
    assert len({trial.id for trial in trials}) == 24


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
    assert space_hash(space) != space_hash(make_space({**given, "random_seed": 1}))


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
    ({"learning_rate": ["fast"]}, "'fast' is neither a number nor uniform:LOW:HIGH"),
    ({"learning_rate": [True]}, "True is neither a number"),
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
]


@pytest.mark.parametrize(("values", "message"), BAD, ids=[message[:30] for _, message in BAD])
def test_a_bad_space_is_refused_in_one_line(values: dict[str, Any], message: str) -> None:
    with rejects(message):
        make_space(values)


def test_an_id_is_the_configurations_for_ever() -> None:
    # Frozen: a change here orphans every database.
    assert Trial().id == "1657bc228d31b9ed"
    trial = Trial((20, 10), "tanh", 32, "nesterov", 0.1, 0.9, 1e-4, 0.5, 3)
    assert trial_of(trial.configuration) == trial
    assert trial_of(trial.configuration).id == trial.id != Trial().id


@given(
    st.lists(st.integers(1, 10**6), max_size=3), st.floats(1e-300, 1e300), st.none() | st.floats(0, 0.999),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_a_configuration_is_canonical_json(hidden: list[int], rate: float, momentum: float | None, seed: int) -> None:
    trial = Trial(tuple(hidden), "relu", 7, "adam", np.float64(rate), momentum, 0, rate, seed)
    assert trial.configuration == json.dumps(dataclasses.asdict(trial), sort_keys=True, separators=(",", ":"))


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_trials_of_one_seed_are_cut_from_one_draw(first: int, second: int, seed: int) -> None:
    small = initial_weights(Trial((first, second), seed=seed), 4, 3)
    large = initial_weights(Trial((70, 70), seed=seed), 4, 3)
    for layer, (a, b) in enumerate(zip(small, large, strict=True)):
        scale = np.sqrt(a.shape[1] / b.shape[1])
        corner = b[: a.shape[0], : a.shape[1]]
        assert_agree(a * scale, corner, 1e-14 if layer else 0.0)


def test_initial_weights_have_their_spread_and_seeds_their_own() -> None:
    first, second = (initial_weights(Trial((200,), init_scale=2.0, seed=seed), 64, 10) for seed in (0, 1))
    assert abs(first[0].std() / (2 / 8) - 1) < 0.02
    assert abs(first[1].std() / (2 / np.sqrt(200)) - 1) < 0.05
    assert abs(np.corrcoef(first[0].ravel(), second[0].ravel())[0, 1]) < 0.03


def test_the_orders_of_a_seed_depend_on_nothing_else() -> None:
    together = order_streams([3, 4, 5])
    first, other, _ = (together[seed].permutation(100) for seed in (3, 4, 5))
    second = together[3].permutation(100)
    assert sorted(first) == sorted(second) == list(range(100))
    assert len({tuple(order) for order in (first, other, second)}) == 3
    initial_weights(Trial(seed=3), 64, 10)  # these draw from streams of their own
    again = order_streams([9, 3])[3]
    assert_agree([again.permutation(100), again.permutation(100)], [first, second])


@given(st.integers(1, 10**6))
def test_padding_is_small_and_stable(width: int) -> None:
    assert width <= padded(width) <= max(8, 2.5 * width)
    assert padded(padded(width)) == padded(width)
