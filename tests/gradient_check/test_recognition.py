"""Which network a loss belongs to, from its values alone; and that nothing is recognised that isn't there."""

import itertools
from typing import Any

import numpy as np
import pytest

from jaxmlp.gradient_check import recognise
from jaxmlp.gradient_check.diagnosis.layouts import arrangements, sample_rows, target_rows
from jaxmlp.gradient_check.diagnosis.looks import looks, where_wrong
from jaxmlp.gradient_check.diagnosis.plain_network import ACTIVATIONS, HEADS, Form, cost, forward, leaf_gradients
from tests.own_code.conventions import random_case

RANDOM = np.random.default_rng(0)
SIZES = (4, 5, 3)
WEIGHTS = [RANDOM.normal(size=(b, a)) for a, b in itertools.pairwise(SIZES)]
BIASES = [RANDOM.normal(size=n) for n in SIZES[1:]]
X, Y = RANDOM.normal(size=(6, 4)), np.eye(3)[RANDOM.integers(0, 3, 6)]


def value(form: Form, leaves: Any) -> float:
    weights, biases = leaves[::2], leaves[1::2]
    total = form.scale * cost(form, forward(form, weights, biases, X), Y) + form.offset
    total += form.weight_penalty * sum(np.sum(w**2) for w in weights)
    return total + form.bias_penalty * sum(np.sum(b**2) for b in biases)


LEAVES = [leaf for pair in zip(WEIGHTS, BIASES, strict=True) for leaf in pair]


@pytest.mark.parametrize("hidden", ACTIVATIONS)
@pytest.mark.parametrize(("output", "loss"), HEADS)
def test_every_activation_output_and_loss_is_told_from_the_others(hidden: str, output: str, loss: str) -> None:
    form = Form((hidden,), output, loss, scale=1 / 6)
    found = recognise(LEAVES, lambda leaves: value(form, leaves), X, Y, np.random.default_rng(1))
    assert found is not None
    assert found.form[:4] == form[:4]
    assert found.form.scale == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    "changed",
    [{"weight_penalty": 0.01}, {"weight_penalty": 0.3, "bias_penalty": 0.02}, {"offset": 3.0},
     {"weight_penalty": 0.01, "offset": -2.0}, {"scale": -0.5}, {"epsilon": 1e-7}],
)  # fmt: skip
def test_penalties_an_offset_the_scale_and_an_epsilon_are_found_as_numbers(changed: dict[str, float]) -> None:
    form = Form(("tanh",), "softmax", "cross-entropy", scale=1 / 6)._replace(**changed)
    found = recognise(LEAVES, lambda leaves: value(form, leaves), X, Y, np.random.default_rng(1))
    assert found is not None
    np.testing.assert_allclose(found.form[3:], form[3:], rtol=1e-6, atol=1e-9)


def test_its_formulas_are_the_derivatives_of_its_loss() -> None:
    for hidden, (output, loss) in zip(list(ACTIVATIONS) * 2, HEADS, strict=False):
        form = Form((hidden,), output, loss, 1e-3, 0.7, 0.1, 0.2)
        passed = forward(form, WEIGHTS, BIASES, X)
        _, made = leaf_gradients(form, WEIGHTS, BIASES, passed, Y)
        for place, leaf in enumerate(LEAVES):
            for index in np.ndindex(leaf.shape):
                sides: list[float] = []
                for step in (1e-6, -1e-6):
                    moved = [each.copy() for each in LEAVES]
                    moved[place][index] += step
                    sides.append(value(form, moved))
                slope = (sides[0] - sides[1]) / 2e-6
                assert made[place // 2][place % 2][index] == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_a_loss_of_something_else_is_no_network() -> None:
    others = (
        lambda leaves: float(np.sum(np.sin(X @ leaves[0].T + leaves[1]) @ leaves[2].T + leaves[3])),
        lambda leaves: value(Form(("tanh",), "softmax", "cross-entropy"), leaves) ** 2,
        lambda leaves: value(Form(("tanh",), "softmax", "cross-entropy"), [leaf + 0.1 for leaf in leaves]),
        lambda _: 1.0,
        lambda _: np.nan,
    )  # fmt: skip
    for other in others:
        assert recognise(LEAVES, other, X, Y, np.random.default_rng(1)) is None


def test_of_random_networks_the_formulas_give_the_persons_own_gradient() -> None:
    for seed in range(30):
        case = random_case(seed)
        flat = _arrays(case.params)

        def evaluate(leaves: Any, case: Any = case) -> float:
            return float(case.loss(*_like(case.params, iter(leaves))))

        found = recognise(flat, evaluate, *case.data, random=np.random.default_rng(1))
        assert found is not None, case.words
        for mine, right in zip(_arrays(case.gradient(*case.params)), found.gradient(flat), strict=True):
            np.testing.assert_allclose(mine, right, rtol=1e-7, atol=1e-9)


def _arrays(tree: Any) -> list[Any]:
    if isinstance(tree, np.ndarray):
        return [tree]
    return [array for item in (tree.values() if isinstance(tree, dict) else tree) for array in _arrays(item)]


def _like(tree: Any, leaves: Any) -> Any:
    if isinstance(tree, np.ndarray):
        return next(leaves)
    if isinstance(tree, dict):
        return {key: _like(item, leaves) for key, item in tree.items()}
    return [_like(item, leaves) for item in tree]


def test_split_and_join_undo_each_other_in_every_arrangement() -> None:
    layouts = {
        ((5, 4), (5,), (3, 5), (3,)): 1, ((4, 5), (1, 5), (5, 3), (1, 3)): 1, ((5, 5), (3, 6)): 1, ((5, 4), (3, 5)): 1,
        ((5, 4), (3, 5), (5,), (3,)): 1, ((3, 5), (3, 1), (5, 4), (5, 1)): 1, ((4,),): 3, ((1, 4), ()): 1,
    }  # fmt: skip
    for shapes, least in layouts.items():
        leaves = [RANDOM.normal(size=shape) for shape in shapes]
        found = list(arrangements(shapes))
        assert len(found) >= least, shapes
        for arrangement in found:
            joined = arrangement.join(arrangement.split(leaves), leaves)
            for given, again in zip(leaves, joined, strict=True):
                np.testing.assert_array_equal(given, again)
    assert list(arrangements(((2, 3, 4),))) == []
    assert list(arrangements(((5, 4), (6,), (3, 5), (3,)))) == []


def test_samples_may_be_rows_columns_images_or_one_and_targets_labels() -> None:
    rows = [(x.tolist(), words) for x, words in sample_rows(X.T, 4)]
    assert rows == [(X.tolist(), "samples in columns")]
    assert [x.shape for x, _ in sample_rows(X[0], 4)] == [(1, 4)]
    assert [x.shape for x, _ in sample_rows(np.zeros((5, 2, 3)), 6)] == [(5, 6)]
    assert [x.shape for x, _ in sample_rows(np.zeros((4, 4)), 4)] == [(4, 4), (4, 4)]
    assert list(sample_rows(X, 7)) == []
    labels = np.argmax(Y, axis=1)
    for given in (Y, Y.T, labels, labels[:, None], labels.astype(float)):
        np.testing.assert_array_equal(next(target_rows(given, 6, 3)), Y)
    assert [y.tolist() for y in target_rows(labels + 1, 6, 3)][-1] == Y.tolist()
    assert list(target_rows(labels[:5], 6, 3)) == []


@pytest.mark.parametrize(
    ("got", "said"),
    [
        (lambda a: 2 * a, "is scaled by 2"), (lambda a: -a, "has its sign flipped"), (lambda a: 0 * a, "is zero"),
        (lambda a: np.clip(a, -0.5, 0.5), "is clipped at 0.5"),
        (lambda a: a * np.array([1, 1, 0, 1])[:, None], "is zero in row 2"),
        (lambda a: a * np.array([1, 3, 1, 3])[:, None], "is scaled by 3 in rows 1, 3"),
        (lambda a: a + np.array([0, 0, 1]), "is wrong in column 2, relative error"),
        (lambda a: a + np.eye(4, 3) * [[1], [0], [0], [0]], "is wrong in one element, [0, 0]:"),
        (lambda a: a / (a != a[1, 2]), "is not finite, first at [1, 2]: "),
        (lambda a: a * (1 + 1e-4 * np.arange(1, 4)), "a cast to low precision on the way?"),
        (lambda a: a + 1, "is wrong, relative error"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_an_error_is_told_by_how_it_looks(got: Any, said: str) -> None:
    right = np.random.default_rng(3).normal(size=(4, 3))
    assert said in looks(got(right), right, 1e-9)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.ones((3, 2)), "all rows"), (np.ones(3), "all elements"), (np.eye(3, 2), "rows 0, 1"),
        ([[0, 1], [0, 1]], "column 1"), ([[0, 0], [1, 1]], "row 1"), ([[0, 0], [0, 1]], "only there"),
        ([0, 1, 1], "elements 1, 2"), (np.zeros((2, 2)), ""), ([1], ""),
        (np.arange(20) > 7, "elements 8, 9, 10, 11, 12, .. (12 of 20)"),
    ],
)  # fmt: skip
def test_where_it_is_wrong_is_said_in_rows_columns_or_elements(mask: Any, said: str) -> None:
    assert where_wrong(np.asarray(mask, bool)) == said
