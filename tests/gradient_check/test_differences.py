"""Central differences of any loss: right to what its noise leaves, whatever its scale; trees of any shape rebuilt."""

from typing import Any, NamedTuple

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from jaxmlp.gradient_check.calling import Parameters
from jaxmlp.gradient_check.measurement.differences import measure_scale, slope
from jaxmlp.gradient_check.trees import build, leaves_like, leaves_of
from tests.helpers import rejects

THETA = np.array([0.3, -0.7, 1.1, 0.0])
LEAVES = [slice(0, 3), slice(3, 4)]


def smooth(theta: Any) -> float:
    return float(np.sin(theta[0]) * np.exp(theta[1]) + theta[2] ** 3 + np.tanh(theta[3]))


RIGHT = np.array([np.cos(0.3) * np.exp(-0.7), np.sin(0.3) * np.exp(-0.7), 3 * 1.1**2, 1.0])


@pytest.mark.parametrize(("factor", "offset", "relative"), [(1, 0, 1e-10), (1e-20, 0, 1e-10), (1e20, 0, 1e-10),
                                                           (1, 1e8, 1e-4), (1, -1e4, 1e-7)])  # fmt: skip
def test_a_slope_is_right_within_an_error_that_is_small(factor: float, offset: float, relative: float) -> None:
    def loss(theta: Any) -> float:
        return factor * smooth(theta) + offset

    scale = measure_scale(loss, THETA, LEAVES, np.random.default_rng(0))
    for place, right in enumerate(RIGHT):
        direction = np.zeros(4)
        direction[place] = scale.typical[place]
        found = slope(loss, THETA, direction, scale, [], 0.0)
        right = factor * right * scale.typical[place]
        assert not found.kink
        assert abs(found.value - right) <= found.error <= relative * factor


def test_the_noise_is_that_of_the_losss_rounding() -> None:
    for offset in (1e8, 1e12):
        scale = measure_scale(lambda theta, c=offset: smooth(theta) + c, THETA, LEAVES, np.random.default_rng(0))
        assert 0.1 < scale.noise / np.spacing(offset) < 4
    single = measure_scale(lambda theta: float(np.float32(smooth(theta))), THETA, LEAVES, np.random.default_rng(0))
    assert 0.05 < single.noise / np.spacing(np.float32(smooth(THETA))) < 4
    exact = measure_scale(smooth, THETA, LEAVES, np.random.default_rng(0))
    assert exact.noise < 1e-15
    hidden = measure_scale(lambda theta: (smooth(theta) + 1e8) - 1e8, THETA, LEAVES, np.random.default_rng(0))
    assert 0.1 < hidden.noise / np.spacing(1e8) < 4  # though the value is small


def test_a_kink_at_the_parameters_is_told_and_one_beside_them_is_stepped_over() -> None:
    def loss(theta: Any, at: float = 0.0) -> float:
        return float(abs(theta[0] - at) + theta[1] ** 2)

    theta = np.array([0.0, 1.0])
    for at, kink in ((0.0, True), (1e-3, False), (1e-7, False), (-1e-5, False)):

        def moved(theta: Any, at: float = at) -> float:
            return loss(theta, at)

        scale = measure_scale(moved, theta, [slice(0, 2)], np.random.default_rng(0))
        found = slope(moved, theta, np.array([1.0, 0.0]), scale, [], 0.0)
        assert found.kink is kink
        assert kink or found.value == pytest.approx(-np.sign(at), rel=1e-6)
        assert not slope(moved, theta, np.array([0.0, 1.0]), scale, [], 0.0).kink


def test_agreement_with_what_another_found_ends_the_search_and_disagreement_does_not() -> None:
    calls: list[Any] = []

    def loss(theta: Any) -> float:
        calls.append(theta)
        return smooth(theta)

    scale = measure_scale(loss, THETA, LEAVES, np.random.default_rng(0))
    direction = np.array([1.0, 0, 0, 0])
    used: list[int] = []
    for expected in (RIGHT[0], 1.001 * RIGHT[0]):
        calls.clear()
        found = slope(loss, THETA, direction, scale, [expected], 1e-10)
        assert found.value == pytest.approx(RIGHT[0], rel=1e-9)
        used.append(len(calls))
    assert used == [4, 6]


class Pair(NamedTuple):
    weights: Any
    biases: Any


Numbers = st.floats(-10, 10)
Arrays = st.builds(lambda n, m: np.arange(float(n * m)).reshape(n, m), st.integers(1, 3), st.integers(1, 3))
Trees = st.recursive(
    Arrays | Numbers,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3) | st.tuples(inner, inner) | st.builds(Pair, inner, inner)
        | st.dictionaries(st.sampled_from("abc"), inner, min_size=1)
    ),
    max_leaves=6,
)  # fmt: skip


@hypothesis.given(Trees)
def test_any_tree_is_built_again_from_its_leaves(tree: Any) -> None:
    leaves = list(leaves_of(tree, "p"))
    again = build(tree, iter([np.array(leaf.array) for leaf in leaves]))
    assert type(again) is type(tree)
    for one, other in zip(leaves, leaves_of(again, "p"), strict=True):
        assert one.path == other.path
        np.testing.assert_array_equal(one.array, other.array)
    assert len({leaf.path for leaf in leaves}) == len(leaves)
    assert [leaf.path for leaf in leaves_like(again, tree, "p")] == [leaf.path for leaf in leaves]


def test_lists_and_tuples_are_alike_and_what_is_not_there_has_a_path_of_its_own() -> None:
    like = {"W": [np.ones((2, 2)), np.ones(3)], "b": 1.0}
    given = {"b": 2.0, "W": (np.ones((2, 2)), np.ones(3), np.ones(1)), "c": 0.0}
    paths = [leaf.path for leaf in leaves_like(given, like, "p")]
    assert paths == ["p['W'][0]", "p['W'][1]", "p['W'][2]", "p['b']", "p['c']"]


def test_what_is_neither_number_nor_container_is_refused() -> None:
    for bad, said in ((object(), "p is a object"), ({"a": "b"}, "p['a'] is a str"), ([1j], "complex128 values")):
        with rejects(said):
            list(leaves_of(bad, "p"))
    assert list(leaves_of(None, "p")) == []


def test_parameters_are_given_anew_for_each_call_in_their_own_dtypes_or_float64() -> None:
    array = np.ones(3, np.float32)
    parameters = Parameters([{"a": array, "n": 2}], ["p"])
    seen: list[Any] = []
    for own in (True, False):
        parameters.call(lambda p: seen.append(p), "f", own=own)
    assert [(p["a"].dtype.name, p["n"]) for p in seen] == [("float32", 2), ("float64", 2.0)]
    assert seen[0]["a"] is not array
    assert parameters.changed.get("f", []) == []
    parameters.call(lambda p: p["a"].fill(7), "g")
    parameters.call(lambda p: p.clear(), "h")
    assert (parameters.changed["g"], parameters.changed["h"]) == (["p['a']"], ["p['a']", "p['n']"])
    np.testing.assert_array_equal(array, 1)


@pytest.mark.parametrize("classes", [2, 3])
def test_biases_of_zero_below_a_softmax_get_a_scale_though_a_common_shift_of_them_changes_nothing(classes: int) -> None:
    g = np.linspace(-1, 1, classes)

    def loss(theta: Any) -> float:
        shifted = g + theta
        return float(np.log(np.sum(np.exp(shifted - shifted.max()))) - (shifted - shifted.max())[0])

    for seed in range(20):
        scale = measure_scale(loss, np.zeros(classes), [slice(0, classes)], np.random.default_rng(seed))
        assert scale.typical.tolist() == [1.0] * classes, seed
        assert scale.variation > 0.01
