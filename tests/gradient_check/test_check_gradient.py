"""`check_gradient` on code as people bring it: right ones are left in peace, wrong ones caught and named."""

import copy
import itertools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import check_gradient
from jaxmlp.gradient_check import GradientCheck, WrongGradientError
from tests.helpers import notebook_form, rejects
from tests.own_code import lecture
from tests.own_code.backward_cases import ITEMS
from tests.own_code.conventions import random_case, with_one_error
from tests.own_code.lecture_mistakes import MISTAKES, wrong_backward

# What must be said of the wrong ones; of B17 only where it goes wrong.
NAMED = {
    "B4x": "dL/dW of layer 2 has 0.5 times the L2 penalty's part",
    "B5:": "dL/db of layer 2 is np.sum(delta), one number for all units",
    "B6:": "dL/dW of layer 2 is scaled by 2 dL/db of layer 1 is scaled by 4",
    "B7": "delta of layer 2 misses the derivative of the output's activation, sigmoid, and is scaled by 4",
    "B9": "delta of layer 1 goes through W of layer 2 after its update (learning rate 1)",
    "B17": "dL/dW and dL/db of layer 2 are wrong",
    "B21": "dL/dW of layer 2 is scaled by 8, the batch size: a sum over the samples, not their mean",
    "B24x": "delta of layer 1 takes for phi' that of relu",
}
RECOGNISED = {
    "B1:": "6-5-3, sigmoid, sigmoid and squares, half the sum",
    "B2:": "softmax and cross-entropy with log(p + 1e-07), mean of 8, weights [in, out]",
    "B4:": "relu, softmax and cross-entropy, mean of 8, plus 0.05 |W|^2",
    "B5": "mean of 8, samples in columns",
    "B6": "6-5-4-1, relu, sigmoid and binary cross-entropy",
    "B9": "biases last in W",
    "B13": "sigmoid and squares, mean of 8",
    "B14": "sigmoid and binary cross-entropy, mean of 8, plus 0.0625 |W|^2, biases first in W",
    "B24": "6-5-1, leaky relu 0.01, identity and squares, mean of 8",
    "B25": "2-1, sigmoid and binary cross-entropy, mean of 3",
}


def words(check: GradientCheck) -> str:
    """The answer in one line."""
    return " ".join(str(check).split())


@pytest.mark.parametrize("name", ITEMS)
def test_backward_passes_of_20_conventions_have_the_right_verdict_and_their_mistakes_are_named(name: str) -> None:
    item = ITEMS[name]
    before = copy.deepcopy([item[key] for key in "pxy"])
    check = check_gradient(
        lambda p: item["loss"](p, item["x"], item["y"]), lambda p: item["grad"](p, item["x"], item["y"]), item["p"],
        data=(item["x"], item["y"]),
    )  # fmt: skip
    assert bool(check) is check.ok is item["right"]
    np.testing.assert_equal([item[key] for key in "pxy"], before)  # nothing of theirs is changed
    assert (check.recognised == "no network known here") == name.startswith("B10")
    for start, said in RECOGNISED.items():
        assert not name.startswith(start) or said in check.recognised
    named = [said for start, said in NAMED.items() if name.startswith(start)]
    assert len(named) == (not item["right"])
    assert all(said in words(check) for said in named)
    assert max(map(len, str(check).splitlines())) <= 79


def test_an_approximation_is_right_and_its_size_is_named() -> None:
    item = next(item for name, item in ITEMS.items() if name.startswith("B2:"))
    check = check_gradient(
        lambda p: item["loss"](p, item["x"], item["y"]), lambda p: item["grad"](p, item["x"], item["y"]), item["p"]
    )
    assert check.ok
    assert "right but for 6e-07 of it, nearly everywhere: more than rounding" in words(check)


def lecture_network(alike: bool) -> Any:
    random = np.random.RandomState(0)
    sizes = (5, 5, 5, 5) if alike else (9, 7, 5, 4)
    weights = [random.normal(0, a**-0.5, (b, a)) for a, b in itertools.pairwise(sizes)]
    biases = [random.normal(0, 0.1, n) for n in sizes[1:]]
    return weights, biases, random.normal(size=sizes[0]), np.eye(sizes[-1])[1]


@pytest.mark.parametrize("alike", [False, True])
def test_the_lectures_own_functions_are_right(alike: bool) -> None:
    weights, biases, x, y = lecture_network(alike)
    check = check_gradient(
        lambda W, b: lecture.cross_entropy(x, y, W, b), lambda W, b: lecture.backward(x, y, W, b), weights, biases,
        data=(x, y),
    )  # fmt: skip
    assert check.ok
    assert check.rows[0].leaf == "W[0]"
    sizes = "5-5-5-5" if alike else "9-7-5-4"
    assert check.recognised == f"{sizes}, sigmoid, softmax and cross-entropy, one sample"


@pytest.mark.parametrize("name", MISTAKES)
def test_a_careless_edit_of_the_lectures_backward_is_caught_and_named(name: str) -> None:
    _, _, said, alike = MISTAKES[name]
    weights, biases, x, y = lecture_network(alike)
    before = copy.deepcopy((weights, biases))
    wrong = wrong_backward(name)
    check = check_gradient(
        lambda W, b: lecture.cross_entropy(x, y, W, b), lambda W, b: wrong(x, y, W, b), weights, biases, data=(x, y)
    )
    assert not check
    assert said in words(check)
    np.testing.assert_equal((weights, biases), before)


def right_and_wrong(seed: int) -> None:
    """One network of each dtype raises no alarm; one element off by a thousandth is found."""
    case = random_case(seed)
    for given in (case, random_case(seed, "float32")):
        check = check_gradient(given.loss, given.gradient, *given.params, data=given.data)
        assert check.ok, f"{given.words}\n{check}"
        assert check.recognised != "no network known here", given.words
    wrong = with_one_error(case, seed, 1e-3)
    if wrong is not None:
        gradient, leaf, index = wrong
        for data in (None, case.data):
            check = check_gradient(case.loss, gradient, *case.params, data=data)
            assert [row.verdict == "wrong" for row in check.rows] == [k == leaf for k in range(len(check.rows))]
            assert check.rows[leaf].worst == index


def test_random_networks_of_all_conventions_raise_no_alarm_and_one_wrong_element_is_found() -> None:
    for seed in range(15):
        right_and_wrong(seed)


@pytest.mark.slow
def test_1000_random_networks_of_all_conventions_raise_no_alarm_and_one_wrong_element_is_found() -> None:
    for seed in range(1000):
        right_and_wrong(seed)


W0, B0 = np.random.default_rng(1).normal(size=(4, 3)), np.random.default_rng(2).normal(size=4)
X0 = np.random.default_rng(0).normal(size=(6, 3))


def loss0(W: Any, b: Any) -> Any:
    return np.sum(np.tanh(X0 @ W.T + b) ** 2)


def gradient0(W: Any, b: Any) -> Any:
    h = np.tanh(X0 @ W.T + b)
    delta = 2 * h * (1 - h * h)
    return delta.T @ X0, delta.sum(axis=0)


def times(factor: float, gradient: Any) -> Any:
    return lambda *p: tuple(factor * leaf for leaf in gradient(*p))


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1e-20, 0), (1e20, 0), (1, 1e8), (1, -1e8), (1e-20, 1e-12)])
def test_the_size_and_the_offset_of_the_loss_do_not_matter(scale: float, offset: float) -> None:
    def loss(W: Any, b: Any) -> Any:
        return scale * loss0(W, b) + offset

    right = check_gradient(loss, times(scale, gradient0), W0, B0)
    assert right.ok, str(right)
    assert ("the loss's own rounding" in words(right)) == bool(offset)
    wrong = check_gradient(loss, times(1.1 * scale, gradient0), W0, B0)
    assert [row.verdict for row in wrong.rows] == ["wrong", "wrong"]
    assert "is scaled by 1.1" in words(wrong)


def test_the_size_of_the_parameters_does_not_matter() -> None:
    for size in (1e-12, 1e12):

        def loss(W: Any, size: float = size) -> Any:
            return loss0(W / size, B0)

        def gradient(W: Any, size: float = size) -> Any:
            return gradient0(W / size, B0)[0] / size

        assert check_gradient(loss, gradient, W0 * size).ok
        assert not check_gradient(loss, lambda W, f=gradient: 1.001 * f(W), W0 * size)
        nothing = np.zeros_like(W0)  # no parameter shows their size
        assert check_gradient(loss, gradient, nothing).ok
        assert not check_gradient(loss, lambda W, f=gradient: 1.001 * f(W), nothing)


def test_a_loss_that_is_all_noise_cannot_tell_and_says_so() -> None:
    check = check_gradient(lambda W, b: loss0(W, b) + 1e14, gradient0, W0, B0)
    assert not check.ok
    assert check.conclusion == "CAN'T TELL: 2 of 2 gradients"
    assert "the loss's own rounding, 0.0" in words(check)
    with pytest.raises(WrongGradientError, match="CAN'T TELL"):
        check.raise_if_wrong()


def test_a_loss_in_float32_is_compared_to_its_own_digits() -> None:
    def loss(W: Any, b: Any) -> Any:
        return np.float32(loss0(W, b))

    assert check_gradient(loss, gradient0, W0, B0).ok
    wrong = check_gradient(loss, times(1.02, gradient0), W0, B0)
    assert [row.verdict for row in wrong.rows] == ["wrong", "wrong"]


def test_kinks_are_left_out_and_said_and_what_is_wrong_beside_them_is_found() -> None:
    x = X0.copy()
    x[2] = 0  # with zero biases, all pre-activations of this sample are at relu's kink

    def loss(W: Any, b: Any) -> Any:
        return np.sum(np.maximum(x @ W.T + b, 0) @ np.arange(1.0, 5))

    def gradient(W: Any, b: Any) -> Any:
        delta = (x @ W.T + b > 0) * np.arange(1.0, 5)
        return delta.T @ x, delta.sum(axis=0)

    check = check_gradient(loss, gradient, W0, np.zeros(4))
    assert [row.kinks for row in check.rows] == [0, 4]
    assert [row.verdict for row in check.rows] == ["right", "unknown"]
    assert "4 of 4 numbers of b lie at a kink of the loss and are left out" in check.notes
    # One bias beside the kink shows that the others' gradient may be right, but a wrong one too.
    biases = np.array([0.0, 0.1, 0.0, 0.0])
    check = check_gradient(loss, gradient, W0, biases)
    assert check.ok
    assert [row.kinks for row in check.rows] == [0, 3]
    assert not check_gradient(loss, times(1.001, gradient), W0, biases).rows[1].ok


def test_a_kink_near_by_is_stepped_over() -> None:
    # Kinks at distances from 1e-2 to 1e-7 of the parameters, at which a step of the usual size would cross them.
    at = 1 + 10.0 ** -np.arange(2, 8)
    check = check_gradient(lambda w: np.sum(np.abs(w - at)), lambda w: np.sign(w - at), np.ones(6))
    assert check.ok, str(check)
    assert not check_gradient(lambda w: np.sum(np.abs(w - at)), lambda w: 1.001 * np.sign(w - at), np.ones(6))


class Memory:
    """A gradient that adds to what is left of the last call."""

    def __init__(self) -> None:
        self.sums: list[Any] = [0, 0]

    def __call__(self, *params: Any) -> Any:
        self.sums = [a + b for a, b in zip(self.sums, gradient0(*params), strict=True)]
        return self.sums


def in_place(W: Any, b: Any) -> Any:
    made = gradient0(W, b)
    b -= 0.1 * made[1]
    return made


def cast_one(W: Any, b: Any) -> Any:
    dw, db = gradient0(W, b)
    return dw.astype(np.float32).astype(np.float64), db


@pytest.mark.parametrize(
    ("loss", "gradient", "said"),
    [
        (loss0, in_place, "gradient changes its parameters in place: b"),
        (loss0, Memory(), "the second is twice the first, so it adds to what is left of an earlier call"),
        (loss0, lambda W, b: (np.float32(gradient0(W, b)[0]), gradient0(W, b)[1]),
         "W: float32 where the other gradients are float64"),
        (loss0, cast_one, "W: cast to float32 on the way"),
        (loss0, lambda W, b: (loss0(W, b) + 1, gradient0(W, b)), "the loss that gradient returns is"),
        (lambda W, b: loss0(W0, B0), gradient0, "loss doesn't change with any parameter: does it use its arguments"),
        (lambda W, b: np.nan, gradient0, "the loss is nan at these parameters: nothing can be compared with it"),
    ],
)  # fmt: skip
def test_what_is_odd_about_the_functions_is_a_finding_of_its_own(loss: Any, gradient: Any, said: str) -> None:
    check = check_gradient(loss, gradient, W0, B0)
    assert not check.ok
    assert any(said in finding for finding in check.findings), str(check)


def test_random_functions_are_named() -> None:
    random = np.random.default_rng(0)

    def dropout(W: Any, b: Any) -> Any:
        dw, db = gradient0(W, b)
        return dw * (random.random(dw.shape) > 0.1), db

    assert "gradient is random, or has a memory: of two calls at one place W differs by" in words(
        check_gradient(loss0, dropout, W0, B0)
    )
    check = check_gradient(lambda W, b: loss0(W, b) + random.normal(), gradient0, W0, B0)
    assert check.conclusion == "CAN'T TELL: 2 of 2 gradients"
    assert check.findings[0].startswith("loss is random, or has a memory: two calls gave")


def test_a_parameter_changed_in_place_does_not_spoil_the_comparison_and_nor_does_one_put_in_its_place() -> None:
    check = check_gradient(loss0, in_place, W0, B0)
    assert [row.verdict for row in check.rows] == ["right", "right"]

    def rebinding(p: Any) -> Any:
        made = dict(zip("Wb", gradient0(p["W"], p["b"]), strict=True))
        p["W"] = p["W"] - 0.1 * made["W"]
        return made

    params = {"W": W0, "b": B0}
    check = check_gradient(lambda p: loss0(p["W"], p["b"]), rebinding, params)
    assert check.findings == ("gradient changes its parameters in place: p['W']",)
    assert params["W"] is W0


@pytest.mark.parametrize(
    ("gradient", "verdicts", "said"),
    [
        (lambda W, b: gradient0(W, b)[:1], ["right", "missing"], "b missing: the gradient has no such leaf"),
        (lambda W, b: (*gradient0(W, b), 3.0), ["right", "right", "extra"], "extra: the parameters have no such leaf"),
        (lambda W, b: (gradient0(W, b)[0].T, gradient0(W, b)[1]), ["shape", "right"],
         "has shape [3, 4], expected [4, 3], it is transposed"),
        (lambda W, b: (gradient0(W, b)[0], gradient0(W, b)[1][:, None]), ["right", "shape"],
         "has shape [4, 1], expected [4]"),
        (lambda W, b: (gradient0(W, b)[0] * np.inf, gradient0(W, b)[1]), ["not finite", "right"], "at [0, 0]"),
        (lambda W, b: (-gradient0(W, b)[0], gradient0(W, b)[1]), ["wrong", "right"], "has its sign flipped"),
    ],
)  # fmt: skip
def test_each_leaf_has_its_verdict(gradient: Any, verdicts: list[str], said: str) -> None:
    check = check_gradient(loss0, gradient, W0, B0)
    assert [row.verdict for row in check.rows] == verdicts
    assert said in words(check)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((lambda W, b: X0 @ W.T, gradient0, W0, B0), "the loss gave an array of shape [6, 4], expected one number"),
        ((lambda W, b: (1, 2), gradient0, W0, B0), "the loss gave a tuple, expected one number"),
        ((loss0, gradient0, "W", B0), "W is a str, expected numbers or arrays, in lists, tuples or dicts"),
        ((loss0, gradient0, W0 > 0, B0), "W contains bool values, expected real numbers"),
        ((loss0, gradient0, W0, B0 * np.nan), "b contains a NaN or an infinity, expected finite parameters"),
        ((loss0, gradient0), "no number in the parameters, nothing to check"),
        ((loss0, lambda W, b: None, W0, B0), "gradient gave None, expected what has the structure of the parameters"),
        ((3, gradient0, W0, B0), "loss is 3, expected a function of the parameters"),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_refused_in_a_line(given: Any, said: str) -> None:
    with rejects(said):
        check_gradient(*given)


def test_data_is_a_pair() -> None:
    with rejects("data is a int, expected a pair (x, y)"):
        check_gradient(loss0, gradient0, W0, B0, data=3)


def test_what_their_code_raises_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        check_gradient(loss0, lambda W, b: 1 / 0, W0, B0)


def test_numbers_lists_and_integers_are_parameters_too() -> None:
    assert check_gradient(lambda w: w**2, lambda w: 2 * w, 3).ok
    assert not check_gradient(lambda w: w**2, lambda w: 2.001 * w, 3)
    assert check_gradient(lambda w: w[0] ** 2 + w[1], lambda w: [2 * w[0], 1], [3.0, 2.0]).ok
    assert check_gradient(lambda w: float(np.sum(w**2)), lambda w: 2 * w, np.arange(3)).ok


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_matrix_of_numpy_stays_one() -> None:
    check = check_gradient(lambda W: (W * W.T).sum(), lambda W: 2 * np.ones((4, 4)) * W, np.asmatrix(W0))
    assert check.ok, str(check)


def test_jax_grad_is_a_second_witness_and_a_stopped_gradient_is_told() -> None:
    x = jnp.asarray(X0)

    def loss(W: Any, b: Any) -> Any:
        return jnp.sum(jnp.tanh(x @ W.T + b) ** 2)

    given = jnp.asarray(W0), jnp.asarray(B0)
    check = check_gradient(loss, jax.grad(loss, (0, 1)), *given)
    assert check.ok
    assert check.notes == ("jax.grad of this loss agrees with its central differences",)
    stopped = check_gradient(lambda W, b: loss(W, jax.lax.stop_gradient(b)), jax.grad(loss, (0, 1)), *given)
    assert "jax.grad of this loss differs from its central differences in 4 numbers" in stopped.notes[0]
    with jax.enable_x64(False):
        x, *single = (leaf.astype(jnp.float32) for leaf in (x, *given))
        check = check_gradient(loss, jax.grad(loss, (0, 1)), *single)
        assert check.ok
        assert check.notes[0].startswith("JAX computes in float32")
        assert not check_gradient(loss, times(1.05, jax.grad(loss, (0, 1))), *single)


def test_a_large_network_is_sampled_and_says_so_and_a_wrong_element_is_still_found() -> None:
    random = np.random.default_rng(0)
    weights, x = random.normal(size=(100, 80)) / 9, random.normal(size=(5, 80))

    def loss(W: Any) -> Any:
        return np.mean(np.tanh(x @ W.T) ** 2)

    def gradient(W: Any) -> Any:
        h = np.tanh(x @ W.T)
        return (2 * h * (1 - h * h) / h.size).T @ x

    check = check_gradient(loss, gradient, weights)
    assert check.ok
    assert check.rows[0].checked == 4096
    assert "of 8,000 numbers 4,096 were compared one by one, all of them along 3 random directions" in check.notes[0]
    left_out = 0
    for row in (3, 41, 90):

        def wrong(W: Any, row: int = row) -> Any:
            made = gradient(W)
            made[row, 11] += 1e-3 * np.abs(made).max()
            return made

        check = check_gradient(loss, wrong, weights)
        assert check.rows[0].worst == (row, 11)
        left_out += "only there" in check.rows[0].note
    assert left_out > 0


def test_the_answer_has_a_table_json_and_a_form_for_notebooks() -> None:
    check = check_gradient(loss0, times(2, gradient0), W0, B0)
    lines = check.table().splitlines()
    assert lines[0].split()[:4] == ["leaf", "shape", "verdict", "error"]
    assert lines[1].split()[:4] == ["W", "4x3", "wrong", "5.0e-01"]
    plain = check.to_json()
    assert (plain["ok"], plain["conclusion"]) == (False, "WRONG: 2 of 2 gradients")
    assert plain["rows"][0]["leaf"] == "W"
    assert "color:#cf222e" in notebook_form(check)
    assert repr(check) == "GradientCheck(WRONG: 2 of 2 gradients)"
    assert "color:#2c974b" in notebook_form(check_gradient(loss0, gradient0, W0, B0))


def test_the_leaves_have_the_names_of_the_arguments() -> None:
    def any_number(*params: Any) -> Any:
        return loss0(*params)

    assert [row.leaf for row in check_gradient(loss0, gradient0, W0, B0).rows] == ["W", "b"]
    assert [row.leaf for row in check_gradient(any_number, gradient0, W0, B0).rows] == ["params[0]", "params[1]"]


def test_the_last_call_of_each_function_is_at_the_persons_parameters() -> None:
    calls: dict[str, Any] = {}

    def remembering(name: str, function: Any) -> Any:
        def call(*params: Any) -> Any:
            calls[name] = copy.deepcopy(params)
            return function(*params)

        return call

    random = np.random.default_rng(0)
    losses = loss0, lambda W, b: 1.0, lambda W, b: np.nan, lambda W, b: random.normal()
    for loss in losses:  # compared; flat, not finite and random, where nothing is
        check_gradient(remembering("loss", loss), remembering("gradient", gradient0), W0, B0)
        for params in calls.values():
            np.testing.assert_equal(params, (W0, B0))
        calls.clear()


@pytest.mark.slow
def test_a_million_parameters_take_seconds() -> None:
    random = np.random.default_rng(0)
    sizes = (784, 1000, 200, 10)
    weights = [random.normal(0, a**-0.5, (b, a)) for a, b in itertools.pairwise(sizes)]
    x, y = random.normal(size=(32, 784)), np.eye(10)[random.integers(0, 10, 32)]

    def forward(W: Any) -> Any:
        h = [x]
        for w in W[:-1]:
            h.append(np.maximum(h[-1] @ w.T, 0))
        shares = np.exp(h[-1] @ W[-1].T)
        return h, shares / shares.sum(axis=1, keepdims=True)

    def gradient(W: Any) -> Any:
        h, p = forward(W)
        delta, made = (p - y) / 32, []
        for w, below in zip(W[::-1], h[::-1], strict=True):
            made.insert(0, delta.T @ below)
            delta = (delta @ w) * (below > 0)
        return made

    start = time.perf_counter()
    check = check_gradient(lambda W: -np.sum(y * np.log(forward(W)[1])) / 32, gradient, weights, data=(x, y))
    print(f"{time.perf_counter() - start:.1f} s")  # seen with -s; no test asserts times
    assert check.ok
    assert "of 986,000 numbers" in check.notes[0]


@pytest.mark.parametrize("seed", range(8))
def test_two_classes_with_biases_of_zero_can_be_told(seed: int) -> None:
    random = np.random.RandomState(seed)
    x, y = random.randn(5, 3), np.eye(2)[[0, 1, 1, 0, 1]]

    def probabilities(w: Any, b: Any) -> Any:
        e = np.exp(x @ w + b)
        return e / e.sum(1, keepdims=True)

    def loss(w: Any, b: Any) -> Any:
        return -np.mean(np.sum(y * np.log(probabilities(w, b)), 1))

    def gradient(w: Any, b: Any) -> Any:
        delta = (probabilities(w, b) - y) / 5
        return x.T @ delta, delta.sum(0)

    check = check_gradient(loss, gradient, random.randn(3, 2), np.zeros(2), data=(x, y), seed=seed)
    assert check.conclusion == "RIGHT: all 2 gradients", str(check)
