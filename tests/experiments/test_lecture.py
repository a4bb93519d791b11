"""The lecture's three networks: the library held to the notebook's numbers, in float64 and lecture mode."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import (
    Dataset,
    History,
    Hyperparameters,
    LectureStream,
    Params,
    TrainingConfig,
    automatic_gradient,
    forward_trace,
    hand_derived_gradient,
    train,
)
from jaxmlp.lecture import GradientFunction, TrainingState, initial_state, sgd, train_epochs
from jaxmlp.lecture.training import update
from tests import oracle
from tests.helpers import assert_agree

Reference = dict[tuple[int, ...], dict[str, Any]]
AUTOMATIC, BY_HAND = automatic_gradient(), hand_derived_gradient()
HIDDEN = [(20,), (20, 10), (20, 20, 2)]
# How many lines print the same: as far as the notebook agrees with itself on another BLAS kernel, or nearly.
SAME_LINES: dict[tuple[int, ...], int] = {(20,): 100, (20, 10): 6, (20, 20, 2): 7}
EPOCHS, RATE = 100, Hyperparameters(0.2)

networks = pytest.mark.parametrize("hidden", HIDDEN, ids=str)
gradients = pytest.mark.parametrize("gradient_function", [AUTOMATIC, BY_HAND], ids=["automatic", "hand-derived"])


def lecture_start(hidden: tuple[int, ...], epochs: int = EPOCHS) -> tuple[Params, jax.Array]:
    stream = LectureStream(0)
    return stream.params((64, *hidden, 10), "float64"), stream.orders(epochs, 1497)


def norms(params: Params) -> list[float]:
    return [float(np.linalg.norm(layer.weights)) for layer in params]


def assert_biases_agree(params: Params, expected: list[list[float]], tolerance: float) -> None:
    assert_agree(tuple(layer.biases for layer in params), tuple(map(np.array, expected)), tolerance)


@networks
@gradients
def test_the_first_sample_gives_the_notebooks_outputs_loss_and_gradient(
    digits: Dataset, reference: Reference, hidden: tuple[int, ...], gradient_function: GradientFunction
) -> None:
    (params, orders), expected = lecture_start(hidden, 1), reference[hidden]["first_sample"]
    assert orders[0, :10].tolist() == reference[hidden]["first_permutation_head"]

    def first(params: Params, x: jax.Array, y: jax.Array) -> tuple[jax.Array, tuple[jax.Array, Params]]:
        return forward_trace(params, x).activations[-1], gradient_function(params, x, y)

    outputs, (loss, gradient) = jax.jit(first)(params, digits.x_train[0], digits.y_train[0])
    assert_agree(outputs, np.array(expected["y_hat"]), 1e-9)
    assert float(loss) == pytest.approx(expected["loss"], rel=1e-9)
    assert norms(gradient) == pytest.approx(expected["grad_W_norm"], rel=1e-9)
    assert_biases_agree(gradient, expected["grad_b"], 1e-9)


@pytest.mark.parametrize(
    ("hidden", "gradient_function"),  # each combination compiles 1,497 updates anew: four of the six
    [((20,), BY_HAND), ((20, 10), AUTOMATIC), ((20, 20, 2), BY_HAND), ((20, 20, 2), AUTOMATIC)],
    ids=["(20) by hand", "(20, 10) automatic", "(20, 20, 2) by hand", "(20, 20, 2) automatic"],
)
def test_parameters_after_1_to_1497_updates_are_the_notebooks(
    digits: Dataset, reference: Reference, hidden: tuple[int, ...], gradient_function: GradientFunction
) -> None:
    params, orders = lecture_start(hidden, 1)

    def step(state: TrainingState, row: jax.Array) -> tuple[TrainingState, Params]:
        state, _ = update(state, digits.x_train[row], digits.y_train[row], gradient_function, sgd(RATE))
        return state, state.params

    # Every state of the first epoch in one compiled scan; `test_training` ties the scan of training to `update`.
    start = initial_state(params, RATE, TrainingConfig())
    _, states = jax.jit(lambda state, rows: jax.lax.scan(step, state, rows))(start, orders[0])
    states = jax.tree.map(np.asarray, states)
    probes = reference[hidden]["probes"]
    assert [probe["update"] for probe in probes] == [1, 10, 100, 1000, 1497]
    for probe in probes:
        after = jax.tree.map(lambda leaf: leaf[probe["update"] - 1], states)  # noqa: B023
        assert norms(after) == pytest.approx(probe["W_norm"], rel=1e-9)
        assert_biases_agree(after, probe["b"], 1e-9)


@networks
@gradients
def test_history_is_the_notebooks_as_far_as_the_notebook_agrees_with_itself(
    digits: Dataset,
    reference: Reference,
    twins: Reference,
    hidden: tuple[int, ...],
    gradient_function: GradientFunction,
) -> None:
    run, same = reference[hidden], SAME_LINES[hidden]
    params, orders = lecture_start(hidden)
    _, history = train(params, digits, orders, RATE, gradient_function=gradient_function)
    loss, expected = np.asarray(history.loss), np.array(run["loss"])
    np.testing.assert_allclose(loss[:2], expected[:2], rtol=1e-11)
    # The twins are rounded differently once, at the start; another implementation rounds differently at every
    # update, so that it may stray further than they do, but grows no faster: a hundred times is ample.
    spread = np.maximum.accumulate(twins[hidden]["loss_spread_by_epoch"])
    strayed = np.abs(loss - expected)[: len(spread)]
    assert (strayed <= np.maximum(100 * spread, 1e-11 * expected[: len(spread)])).all(), strayed / spread
    # What is printed: the loss to three places, and accuracies that are counts of rows.
    assert [f"{value:.3f}" for value in loss[:same]] == [f"{value:.3f}" for value in expected[:same]]
    np.testing.assert_allclose(history.train_accuracy[:same], run["train_accuracy"][:same], rtol=1e-12)
    np.testing.assert_allclose(history.test_accuracy[:same], run["test_accuracy"][:same], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("hidden", HIDDEN[1:], ids=str)
def test_where_rounding_decides_training_stays_in_the_spread_of_the_twins(
    digits: Dataset, reference: Reference, twins: Reference, hidden: tuple[int, ...]
) -> None:
    # One run may fall outside the range of the 64 twins by chance (about 2 in 65). The median of five runs, each
    # rounded differently at the start, falls outside less than once in ten thousand.
    rng, (params, orders) = np.random.default_rng(0), lecture_start(hidden)

    def five(leaf: jax.Array) -> jax.Array:
        towards = rng.choice([-np.inf, np.inf], (5, *leaf.shape))
        return jnp.asarray(np.where(leaf == 0, 0, np.nextafter(leaf, towards)))

    def one(params: Params) -> History:
        state = initial_state(params, RATE, TrainingConfig())
        return train_epochs(state, digits, orders, RATE, TrainingConfig(), AUTOMATIC)[1]

    history = jax.vmap(one)(jax.tree.map(five, params))
    middle, spread = jax.tree.map(lambda rows: np.median(rows, axis=0), history), twins[hidden]
    for name, values in (("final_loss", middle.loss), ("final_train", 100 * middle.train_accuracy),
                         ("final_test", 100 * middle.test_accuracy)):  # fmt: skip
        assert spread[name][0] * (1 - 1e-6) <= values[-1] <= spread[name][-1] * (1 + 1e-6), (name, values[-1])
    # The notebook is one more such run: it and our median are no further apart than the twins from each other.
    by_epoch = np.array(spread["loss_spread_by_epoch"])
    chaotic = by_epoch > 1e-3
    apart = np.abs(middle.loss - reference[hidden]["loss"])[: len(by_epoch)]
    assert (apart[chaotic] <= by_epoch[chaotic]).all(), apart / by_epoch


@networks
def test_the_oracle_is_the_notebook(digits: Dataset, reference: Reference, hidden: tuple[int, ...]) -> None:
    x_train, _, labels_train, x_test, _, labels_test = map(np.asarray, digits)
    data = oracle.Data(x_train, labels_train, x_test, labels_test, 10)
    run = reference[hidden]
    trained = oracle.train(data, (64, *hidden, 10), 0, 0.2, 1, snapshots_after=(1, 1000))
    assert trained.loss[0] == pytest.approx(run["loss"][0], rel=1e-12)
    assert trained.train_accuracy[0] == pytest.approx(run["train_accuracy"][0])
    assert trained.test_accuracy[0] == pytest.approx(run["test_accuracy"][0])
    for probe in run["probes"]:
        for biases, (_, ours) in zip(probe["b"], trained.snapshots.get(probe["update"], []), strict=False):
            np.testing.assert_allclose(ours, biases, rtol=1e-9)
