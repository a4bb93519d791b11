"""Trials: their identity, their initial weights and sample orders, by NumPy's own streams."""

import concurrent.futures
import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmlp.engine import ladder_width
from jaxmlp.sweep import Trial
from jaxmlp.sweep.trial import initial_weights, order_streams, trial_of
from tests.helpers import assert_agree


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


def test_the_weights_of_a_layer_are_numpys_stream_of_the_seed_and_the_layer() -> None:
    found = initial_weights(Trial((2, 3), init_scale=0.5, seed=6), 4, 3)
    expected = [np.random.RandomState((6, 0)).standard_normal((8, 4))[:2] * (0.5 / np.sqrt(4))]
    # Later tables grow by shells, a row up to the corner, then the column above it: 0 | 1 2 3 | 4 5 6 7 8.
    places = np.array([[0, 3, 7], [1, 2, 8], [4, 5, 6]])
    for layer, n_in in ((1, 2), (2, 3)):
        numbers = np.random.RandomState((6, layer)).standard_normal(9)
        expected.append(numbers[places[:, :n_in]] * (0.5 / np.sqrt(n_in)))
    assert_agree(found, expected)


def test_the_orders_of_a_seed_are_a_stream_that_no_layer_has() -> None:
    streams = order_streams([4, 6])
    initial_weights(Trial((2,), seed=61), 4, 3)
    for seed in (6, 4):
        numpys = np.random.RandomState((seed, 2**32 - 1))
        for _ in range(2):
            assert_agree(streams[seed].permutation(20), numpys.permutation(20))


def test_another_threads_orders_do_not_disturb_this_ones() -> None:
    mine = order_streams([6])[6]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(lambda: order_streams([4])[4].permutation(20)).result()
    assert_agree(mine.permutation(20), np.random.RandomState((6, 2**32 - 1)).permutation(20))
    assert_agree(theirs, np.random.RandomState((4, 2**32 - 1)).permutation(20))


def test_weights_that_trials_share_cannot_be_written_into() -> None:
    for weights in initial_weights(Trial((2,), seed=62), 4, 3):
        with pytest.raises(ValueError, match="read-only"):
            weights[0] = 1


@pytest.mark.parametrize("field", ["hidden", "seed", "init_scale"])
def test_weights_are_not_those_of_another_trial_asked_for_before(field: str) -> None:
    trial = Trial((3,), seed=1)
    other = dataclasses.replace(trial, **{field: {"hidden": (4,), "seed": 2, "init_scale": 2.0}[field]})
    first, second = (initial_weights(each, 4, 3) for each in (trial, other))
    assert not np.array_equal(first[1], second[1])


@given(st.integers(1, 10**6))
def test_padding_is_small_and_stable(width: int) -> None:
    assert width <= ladder_width(width) <= max(8, (2.5 if width <= 64 else 1.5) * width)
    assert ladder_width(ladder_width(width)) == ladder_width(width)


def test_the_steps_of_padding() -> None:
    # A layer's padded width decides how its numbers are summed.
    steps = {1: 8, 8: 8, 9: 20, 20: 20, 21: 32, 32: 32, 33: 64, 64: 64, 65: 96, 97: 128, 128: 128, 129: 192, 193: 256,
             1000: 1024, 1024: 1024, 1025: 1152, 2000: 2048, 2049: 2304, 30_000: 30_720}  # fmt: skip
    assert {width: ladder_width(width) for width in steps} == steps
