"""The comparison itself: finds what is planted, and never passes over what it cannot compare."""

import json
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jaxmlp import automatic_gradient, compare_gradients, hand_derived_gradient, numerical_gradient  # fmt: skip
from jaxmlp.gradient_check import DifferentGradientsError, NumericalGradient, Tolerance, compare_backward, compare_trees
from jaxmlp.gradient_check.functions.comparison import NUMERICAL_TOLERANCES, TOLERANCES, compare_leaves
from jaxmlp.gradient_check.functions.numerical import NumericalResult
from jaxmlp.gradient_check.functions.report import GradientReport, Row, Verdict
from tests.helpers import assert_agree, notebook_form, random_batch, random_params, rejects, worked_by_hand

SHAPES = arrays.array_shapes(max_dims=3, max_side=4)
FINITE = st.floats(-1e300, 1e300, allow_subnormal=True)
LEAVES = arrays.arrays(np.float64, SHAPES, elements=FINITE)
TREES = st.dictionaries(st.text("abcde", min_size=1, max_size=3), LEAVES, min_size=1, max_size=4)
X0 = jnp.zeros(1)
NETWORK = random_params(0, (4, 5, 3)), *random_batch(1, (4, 5, 3), (6,))


def numbers(row: Row) -> tuple[Any, ...]:
    names = ("max_absolute", "max_relative", "norm_relative", "max_ulps", "cosine", "worst_index", "verdict")
    return tuple(getattr(row, name) for name in names)


def only_row(a: Any, b: Any, tolerance: Tolerance | None = None) -> Row:
    (row,) = compare_trees({"a": [np.asarray(a)], "b": [np.asarray(b)]}, tolerance).rows
    return row


@given(TREES)
def test_equal_trees_have_no_difference(tree: dict[str, Any]) -> None:
    report = compare_trees({"a": tree, "b": {key: leaf.copy() for key, leaf in tree.items()}})
    assert report.ok
    for row in report.rows:
        assert row.verdict == "agree"
        assert numbers(row)[:4] == (0, 0, 0, 0)
        assert row.cosine == pytest.approx(1)


@given(TREES, st.randoms(use_true_random=False))
def test_the_comparison_is_symmetric(tree: dict[str, Any], random: Any) -> None:
    other = {key: leaf * random.uniform(-1, 1) for key, leaf in tree.items()}
    there = compare_trees({"a": tree, "b": other}).rows
    back = compare_trees({"b": other, "a": tree}).rows
    for one, two in zip(there, back, strict=True):
        assert numbers(one) == numbers(two)
        assert one.worst_values is not None
        assert two.worst_values is not None
        assert one.worst_values == two.worst_values[::-1]


@given(TREES, st.randoms(use_true_random=False))
def test_the_order_of_leaves_does_not_matter(tree: dict[str, Any], random: Any) -> None:
    other = {key: leaf * 1.5 for key, leaf in tree.items()}
    keys = random.sample(list(tree), len(tree))
    shuffled = compare_trees({"a": {key: tree[key] for key in keys}, "b": {key: other[key] for key in reversed(keys)}})
    straight = compare_trees({"a": tree, "b": other})
    assert {row.leaf: numbers(row) for row in shuffled.rows} == {row.leaf: numbers(row) for row in straight.rows}


@given(
    arrays.arrays(np.float64, SHAPES, elements=st.floats(1, 2)), st.integers(0), st.sampled_from((1e-200, 1.0, 1e200))
)
def test_a_planted_element_is_found_at_any_scale(values: Any, place: int, unit: float) -> None:
    index = np.unravel_index(place % values.size, values.shape)
    wrong = values.copy()
    wrong[index] *= 1.001
    row = only_row(values * unit, wrong * unit, Tolerance(1e-12))
    assert row.verdict == "differ"
    assert row.worst_index == tuple(index)
    assert row.max_relative == pytest.approx(1e-3, rel=1e-2)


@given(LEAVES, st.integers(0), st.sampled_from((np.nan, np.inf, -np.inf)), st.booleans(), st.booleans())
def test_nan_and_infinity_are_differences_even_on_both_sides(
    values: Any, place: int, bad: float, left: bool, right: bool
) -> None:
    a, b = values.copy(), values.copy()
    index = np.unravel_index(place % values.size, values.shape)
    for array, chosen in ((a, left), (b, right or not left)):
        if chosen:
            array[index] = bad
    row = only_row(a, b, Tolerance(1e9, 1e300))
    assert (row.verdict, row.worst_index) == ("not finite", tuple(index))


def test_numbers_by_hand() -> None:
    row = only_row([3.0, 4.0], [3.0, 5.0])
    assert row.max_absolute == 1
    assert row.max_relative == pytest.approx(0.2)
    assert row.norm_relative == pytest.approx(1 / np.sqrt(34))
    assert row.cosine == pytest.approx(29 / (5 * np.sqrt(34)))
    assert (row.worst_index, row.worst_values) == ((1,), (4, 5))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_neighbouring_floats_are_one_unit_apart_also_across_zero(dtype: str) -> None:
    one = jnp.ones(1, dtype)
    assert only_row(one, jnp.nextafter(one, 2 * one)).max_ulps == 1
    tiny = jnp.nextafter(0 * one, one)
    assert only_row(tiny, -tiny, Tolerance(0, 1)).max_ulps == 2
    assert only_row(0 * one, -0.0 * one).max_ulps == 0


def test_the_largest_distance_in_units_does_not_overflow_and_is_no_number_to_read() -> None:
    largest = np.finfo(np.float64).max
    row = only_row([largest], [-largest])
    assert row.max_ulps is None
    assert only_row([1.0], [1 + 2.0**-23]).max_ulps == 2**29  # of 10**9 that are counted
    assert only_row([1.0], [1 + 2.0**-22]).max_ulps is None
    assert row.verdict == "differ"
    assert row.norm_relative == 2


@pytest.mark.parametrize(
    ("a", "b", "verdict", "words"),
    [
        ([np.ones(2)], [np.ones(3)], "shape", "[2] against [3]"),
        ([np.ones(2)], [np.ones(2, "float32")], "dtype", "float64 against float32"),
        ({"u": np.ones(2)}, {"v": np.ones(2)}, "missing", "missing in b"),
        ([np.ones(2)], (np.ones(2),), "structure", "PyTreeDef"),
    ],
)
def test_what_cannot_be_compared_has_a_verdict_that_says_why(a: Any, b: Any, verdict: str, words: str) -> None:
    report = compare_trees({"a": a, "b": b})
    assert not report.ok
    assert verdict in [row.verdict for row in report.rows]
    assert words in str(report)


def test_nothing_to_compare_is_an_error() -> None:
    for empty in ({}, [], [np.ones((0, 3))], None):
        with rejects("no element in a, b, nothing to compare"):
            compare_trees({"a": empty, "b": empty})
    with rejects("1 gradients given, expected two or more"):
        compare_trees({"a": [np.ones(1)]})
    with rejects("leaf [0] has dtype int64, expected one of float64"):
        compare_trees({"a": [np.ones(1, int)], "b": [np.ones(1, int)]})
    with rejects("no element in params, nothing to compare"):
        compare_gradients({"a": automatic_gradient(), "b": automatic_gradient()}, (), *NETWORK[1:])


def test_only_four_verdicts_pass_and_one_row_that_does_not_is_enough() -> None:
    rows = {verdict: Row.without_numbers("a", "b", "", verdict, "") for verdict in get_args(Verdict)}
    assert {verdict for verdict, row in rows.items() if row.ok} == {"agree", "tiny", "kink", "empty"}
    for verdict in ("not finite", "differ"):
        assert not GradientReport((rows["agree"], rows[verdict], rows["agree"]), ()).ok


def test_an_empty_leaf_beside_others_is_told_not_passed_over() -> None:
    report = compare_trees({name: [np.ones(2), np.ones((0, 3))] for name in "ab"})
    assert [row.verdict for row in report.rows] == ["agree", "empty"]
    assert "empty" in str(report)


def test_tolerances_are_by_dtype_settable_and_stated() -> None:
    assert only_row([1.0], [1 + 1e-9]).verdict == "differ"
    assert only_row([1.0], [1 + 1e-9], Tolerance(1e-8)).verdict == "agree"
    assert only_row(np.ones(1, "float32"), np.full(1, 1 + 1e-6, "float32")).verdict == "agree"
    assert only_row([1e-20], [2e-20]).verdict == "tiny"
    assert "tolerance float64: 1e-08 of the norm + 0" in str(compare_trees({"a": [1.0], "b": [1.0]}, Tolerance(1e-8)))


# What the verdicts rest on, by dtype: relative and absolute; then the same of pairs with a numerical gradient.
LIMITS = {
    "float64": ((1e-12, 1e-14), (1e-7, 2e-9)),
    "float32": ((1e-5, 5e-6), (5e-2, 1e-2)),
    "float16": ((2e-2, 1e-2), (0.5, 0.5)),
    "bfloat16": ((0.1, 0.1), (0.5, 0.5)),
}


class Planted(NumericalGradient):
    """A numerical gradient that is whatever one says."""

    def result(self, params: Any, x: Any, y: Any) -> NumericalResult:
        gradient = params * jnp.asarray(self.step, params.dtype)
        crossed = jnp.zeros(params.shape, bool) if self.kinks is None else self.kinks(params, x, y)
        return NumericalResult(jnp.zeros((), params.dtype), gradient, crossed, None, None)


@pytest.mark.parametrize("dtype", LIMITS)
def test_half_the_tolerance_passes_and_five_times_it_does_not(dtype: str) -> None:
    (relative, absolute), (numerical, _) = LIMITS[dtype]
    large, none = jnp.asarray([2.0**12, 0.0], dtype), jnp.zeros(2, dtype)

    def times(factor: float) -> Any:
        return large * jnp.asarray(factor, dtype)

    assert only_row(large, times(1 + relative / 2)).verdict == "agree"
    assert only_row(large, times(1 - 5 * relative)).verdict == "differ"
    assert only_row(none, jnp.asarray([absolute / 2, 0], dtype)).verdict == "tiny"
    assert only_row(none, jnp.asarray([5 * absolute, 0], dtype)).verdict == "differ"

    def exact(params: Any, x: Any, y: Any) -> Any:
        del x, y
        return jnp.zeros((), params.dtype), params

    def verdict(factor: float) -> str:
        pair = {"numerical": Planted(lambda *_: none, factor), "exact": exact}
        return compare_gradients(pair, large, none, none).rows[0].verdict

    assert [verdict(1 - numerical / 2), verdict(max(1 - 5 * numerical, 1e-3))] == ["agree", "differ"]


def test_a_numerical_gradient_has_its_own_tolerance_in_its_own_pairs_only() -> None:
    def exact(params: Any, x: Any, y: Any) -> Any:
        del x, y
        return jnp.zeros(()), params

    for dtype, limits in LIMITS.items():
        assert (TOLERANCES[dtype], NUMERICAL_TOLERANCES[dtype]) == limits
    three = {"a": exact, "numerical": Planted(lambda *_: X0, 1.0), "b": exact}
    report = compare_gradients(three, jnp.ones(2), X0, X0)
    assert [row.tolerance for row in report.pair("a", "b")] == [LIMITS["float64"][0]] * 2
    for name in "ab":
        assert [row.tolerance for row in report.pair("numerical", name)] == [LIMITS["float64"][1]] * 2
    ours, theirs = Tolerance(0.25, 1.0), Tolerance(0.5, 2.0)
    report = compare_gradients(three, jnp.ones(2), X0, X0, ours, theirs)
    assert [row.tolerance for row in report.pair("a", "b")] == [ours] * 2
    assert [row.tolerance for row in report.pair("numerical", "b")] == [theirs] * 2


def test_a_verdict_is_of_the_whole_leaf_by_norm_and_the_absolute_part_is_of_its_own_unit() -> None:
    # |a - b| = 3, max(|a|, |b|) = 5: 0.6 of the norm.
    a, b = [0.0, 4.0], [3.0, 4.0]
    assert only_row(a, b, Tolerance(0.61)).verdict == "agree"
    assert only_row(a, b, Tolerance(0.59)).verdict == "differ"
    assert only_row(a, b, Tolerance(0.4, 1.01)).verdict == "tiny"
    assert only_row(a, b, Tolerance(0.4, 0.99)).verdict == "differ"
    assert only_row(np.multiply(a, 1e3), np.multiply(b, 1e3), Tolerance(0.4, 1.01)).verdict == "differ"
    row = only_row(a, b, Tolerance(0.61))
    assert (row.max_absolute, row.max_relative, row.norm_relative) == (3, 1, 0.6)
    assert row.cosine == pytest.approx(0.8)
    assert only_row([0.0], [1.0]).cosine == 0
    assert only_row([0.0], [0.0]).cosine == 1
    assert only_row([1.0], [-1.0]).cosine == -1


def test_the_table_says_of_each_row_its_numbers_its_verdict_and_what_is_worst() -> None:
    one, two = ({"w": np.array([3.0, last]), "z": np.zeros(1)} for last in (4.0, 5.0))
    lines = str(compare_trees({"one": one, "two": two})).splitlines()
    assert lines[0] == "1 of 2 rows differ"
    assert lines[1].split() == ["pair", "leaf", "error", "max", "abs", "max", "rel", "ulps", "cosine", "verdict"]
    # From 4 to 8 the numbers are 2**-50 apart: 1 is 1.1e15 of them, too many to count. The cosine is 29 / (5 sqrt 34).
    assert lines[3].split() == ["one,", "two", "['w']", "1.7e-01", "1.0e+00", "2.0e-01", "-", "0.99469", "differ"]
    assert lines[4].split() == ["worst", "at", "[1]:", "4", "against", "5"]
    assert lines[5].split() == ["one,", "two", "['z']", "0", "0", "0", "0", "1.00000", "agree"]
    assert lines[6:] == ["tolerance float64: 1e-12 of the norm + 1e-14"]


def test_of_long_names_the_table_shows_both_ends() -> None:
    tree = {"key": np.zeros(1), "longest-key-of-all": np.zeros(1)}
    trees = {f"{letter}{'-' * 12}{letter.upper()}": tree for letter in "ab"}
    first, second = str(compare_trees(trees)).splitlines()[3:5]
    # 23 of the pair's 30 characters: 11, a sign for the rest, 11. 14 of the leaf's 22: 6, the sign, 7.
    assert [first[:23], first[24:38]] == ["a----------…----------B", "['key']       "]
    assert second[24:38] == "['long…f-all']"


def test_three_gradients_of_a_network_agree_and_a_factor_of_1_001_is_caught() -> None:
    def scaled(params: Any, x: Any, y: Any) -> Any:
        loss, gradient = hand_derived_gradient("relu")(params, x, y)
        return loss, jax.tree.map(lambda leaf: 1.001 * leaf, gradient)

    three = {"hand-derived": hand_derived_gradient("relu"), "automatic": automatic_gradient("relu")}
    three["numerical"] = numerical_gradient("relu")
    report = compare_gradients(three, *NETWORK)
    assert report.ok, str(report)
    assert len(report.rows) == 3 * 5  # pairs, four leaves and the loss
    report.raise_if_different()
    report = compare_gradients({**three, "scaled": scaled}, *NETWORK)
    assert {row.second for row in report.rows if not row.ok} == {"scaled"}
    assert len([row for row in report.rows if not row.ok]) == 3 * 4
    with pytest.raises(DifferentGradientsError, match="12 of 30 rows differ"):
        report.raise_if_different()


def test_a_wrong_loss_is_caught() -> None:
    def twice(params: Any, x: Any, y: Any) -> Any:
        loss, gradient = automatic_gradient()(params, x, y)
        return 2 * loss, gradient

    report = compare_gradients({"twice": twice, "automatic": automatic_gradient()}, *NETWORK)
    assert [row.leaf for row in report.rows if not row.ok] == ["['loss']"]


def test_gradients_that_agree_on_a_wrong_shape_are_caught() -> None:
    def transposed(params: Any, x: Any, y: Any) -> Any:
        loss, gradient = automatic_gradient()(params, x, y)
        return loss, jax.tree.map(jnp.transpose, gradient)

    report = compare_gradients({"one": transposed, "two": transposed}, *NETWORK)
    assert [(row.first, row.second) for row in report.rows if not row.ok] == [("one", "params")] * 2 + [
        ("two", "params")
    ] * 2


def test_kinks_are_left_out_and_counted() -> None:
    def hinge(params: Any, x: Any, y: Any) -> Any:
        del x, y
        return jnp.sum(jnp.maximum(params, 0))

    params = jnp.asarray([1.0, 1e-9, -1.0])
    numerical = NumericalGradient(hinge, kinks=lambda params, *_: params)
    for function, ok in ((numerical, True), (NumericalGradient(hinge), False)):
        report = compare_gradients(
            {"numerical": function, "automatic": jax.value_and_grad(hinge)}, params, *NETWORK[1:]
        )
        assert report.ok is ok
    report = compare_gradients({"numerical": numerical, "automatic": jax.value_and_grad(hinge)}, params, *NETWORK[1:])
    assert report.rows[0].kinks == 1
    assert "note: numerical: 1 elements cross a kink" in str(report)
    report = compare_gradients({"n": numerical, "a": jax.value_and_grad(hinge)}, jnp.zeros(1), *NETWORK[1:])
    assert report.rows[0].verdict == "kink"


def test_an_element_that_crosses_a_kink_counts_in_no_number() -> None:
    none, second = np.zeros(2, bool), np.array([False, True, False])
    a, b = np.array([3.0, 4.0]), np.array([3.0, 5.0])
    expected = numbers(compare_leaves("a", "b", "", a, b, none, Tolerance(0.1)))[:5]
    for wild in (0.0, 1e300, np.nan):
        row = compare_leaves("a", "b", "", np.insert(a, 1, wild), np.insert(b, 1, -7), second, Tolerance(0.1))
        assert numbers(row) == (*expected, (2,), "differ")
        assert (row.kinks, row.shape) == (1, (3,))


def test_kinks_of_either_of_two_numerical_gradients_are_left_out() -> None:
    params = jnp.asarray([1.0, 2.0, 3.0])
    both = {str(at): Planted(lambda *_: X0, 1.0, kinks=lambda params, *_, at=at: params == at) for at in (1, 3)}
    report = compare_gradients(both, params, X0, X0)
    assert report.rows[0].kinks == 2
    assert report.notes == tuple(f"{name}: 1 elements cross a kink and are left out" for name in both)


def test_float32_numerical_gradients_leave_a_note() -> None:
    params, (x, y) = random_params(0, (3, 2), "float32"), random_batch(1, (3, 2), (4,), "float32")
    report = compare_gradients({"automatic": automatic_gradient(), "numerical": numerical_gradient()}, params, x, y)
    assert report.ok
    assert "expected float64" in report.notes[0]


def test_the_table_fits_100_columns_and_json_is_plain() -> None:
    long = {"a" * 60: {"b" * 70: np.ones(2)}, "c": np.full(3, np.nan), "d": np.ones(1)}
    other = {"a" * 60: {"b" * 70: np.ones(2) * 1e-30}, "c": np.ones(3), "e": [np.ones(1)] * 50}
    report = compare_trees({"a name that is rather long": long, "another one": other})
    assert max(map(len, str(report).splitlines())) <= 100
    made = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert made["ok"] is False
    assert len(made["rows"]) == len(report.rows)
    assert made["rows"][1]["worst_values"] == ["nan", 1.0]


def test_a_pair_is_found_in_either_order() -> None:
    report = compare_trees({"a": [np.ones(1)], "b": [np.ones(1)], "c": [np.ones(1)]})
    assert report.pair("c", "a") == report.pair("a", "c") == (report.rows[1],)
    with rejects("no rows of 'a' and 'd', expected two of a, b, c"):
        report.pair("a", "d")


def test_functions_are_compared_at_full_precision_whatever_the_setting() -> None:
    seen: list[str | None] = []

    def watched(params: Any, x: Any, y: Any) -> Any:
        seen.append(jax.config.values["jax_default_matmul_precision"])
        return automatic_gradient()(params, x, y)

    by_hand = worked_by_hand()
    with jax.default_matmul_precision("tensorfloat32"):
        compare_gradients({"a": watched, "b": automatic_gradient()}, by_hand.params, by_hand.x, by_hand.y)
        compare_backward(watched, by_hand.params, by_hand.x, by_hand.y)
        assert jax.config.values["jax_default_matmul_precision"] == "tensorfloat32"
    assert seen
    assert set(seen) == {"highest"}


def plain(params: Any, *_: Any) -> Any:
    return np.float64(1), {"w": 2 * params["w"], "b": params["b"]}


PLAIN = {"w": np.ones(3), "b": np.ones(2)}


def test_a_function_that_changes_its_arguments_does_not_spoil_the_others_and_is_named() -> None:
    def in_place(params: Any, x: Any, y: Any) -> Any:
        loss, gradient = plain(params, x, y)
        params["w"] -= 0.1 * gradient["w"]
        x += 1
        return loss, gradient

    x = np.zeros(2)
    report = compare_gradients({"in place": in_place, "plain": plain}, PLAIN, x, x)
    assert report.ok
    assert report.notes == ("in place changes its arguments in place; each gradient here gets copies of its own",)
    assert (PLAIN["w"].tolist(), x.tolist()) == ([1.0, 1.0, 1.0], [0.0, 0.0])


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (lambda p: {"w": p["w"], "b": p["b"]}, "mine gave a dict, expected a pair (loss, gradient)"),
        (lambda p: (1.0, p, p), "mine gave 3 values, expected a pair (loss, gradient)"),
        (lambda p: (np.ones(4), p), "mine gave a loss of shape [4], expected one number"),
        (lambda p: p["w"], "mine gave a ndarray, expected a pair (loss, gradient)"),
    ],
)
def test_what_is_no_pair_of_a_number_and_a_gradient_is_refused(result: Any, said: str) -> None:
    with rejects(said):
        compare_gradients({"mine": lambda p, *_: result(p), "plain": plain}, PLAIN, np.ones(1), np.ones(1))


def test_with_64_bit_mode_off_that_is_said_first_and_float32_is_no_false_alarm() -> None:
    with jax.enable_x64(False):
        params = {"w": np.ones(3), "b": np.ones(2)}  # float64, as NumPy makes them

        def traced(p: Any, *_: Any) -> Any:
            return jax.value_and_grad(lambda p: jnp.sum(p["w"] ** 2) + jnp.sum(p["b"] ** 2) / 2)(p)

        report = compare_gradients(
            {"traced": traced, "by hand": lambda p, *_: (jnp.float32(4), plain(p)[1])}, params, 0, 0
        )
    assert report.ok, str(report)
    assert (
        str(report).splitlines()[1].startswith("note: JAX is in float32, the parameters in float64: jax.config.update(")
    )


def test_a_gradient_of_the_opposite_sign_is_not_called_tiny() -> None:
    assert only_row([3e-15], [3.1e-15]).verdict == "tiny"
    assert only_row([3e-15, 1e-15], [-3e-15, -1e-15]).verdict == "differ"
    assert only_row([1e-17], [-1e-17]).verdict == "tiny"  # what rounding leaves of zero


def test_a_report_says_the_conclusion_first_has_a_truth_value_and_a_form_for_notebooks() -> None:
    same, other = (
        compare_trees({"a": [np.ones(1)], "b": [np.ones(1)]}),
        compare_trees({"a": [np.ones(1)], "b": [np.zeros(1)]}),
    )
    assert bool(same)
    assert not other
    assert (str(same).splitlines()[0], str(other).splitlines()[0]) == ("all 1 rows agree", "1 of 1 rows differ")
    assert '<b style="color:#2c974b">all 1 rows agree</b>' in notebook_form(same)


def test_a_loss_that_reads_variables_from_outside_is_compiled_anew() -> None:
    outside = {"factor": 1.0}
    numerical = NumericalGradient(lambda p, *_: outside["factor"] * jnp.sum(p**2))
    params, nothing = jnp.ones(2), jnp.zeros(1)
    first = numerical.result(params, nothing, nothing).gradient
    outside["factor"] = 3.0
    assert_agree(numerical.result(params, nothing, nothing).gradient, 3 * first, 1e-8)
