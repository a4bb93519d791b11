"""When fitting stops, which epoch it keeps, what it is judged on, and the loss it descends: worked by hand."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from sklearn.metrics import accuracy_score, r2_score

from jaxmlp import OPTIMIZERS, Hyperparameters, Layer, Params, TrainingConfig
from jaxmlp.classifier.stopping import (
    FitConfig,
    FitHyperparameters,
    FitState,
    after_epoch,
    row_count,
    run_epochs,
    score_of,
    start,
    training_data,
)
from jaxmlp.engine import penalised_gradient
from jaxmlp.lecture.training import TrainingState
from tests.helpers import assert_agree, random_params

NEVER = 2**30


def single(value: float) -> Params:
    """A network of one weight: class 1 for positive ``value * x``, and class 0 for negative or 0."""
    return (Layer(jnp.array([[0.0], [value]]), jnp.zeros(2)),)


def numbers(tol: float = 0.0, patience: int = NEVER, last_epoch: int = NEVER) -> FitHyperparameters:
    counts = jnp.int32(patience), jnp.int32(last_epoch)
    return FitHyperparameters(Hyperparameters(0.1, 0.9), 0.0, jnp.float64(tol), *counts)


DATA = training_data(
    np.array([[1.0], [-1.0], [2.0], [3.0]]), np.eye(2)[[1, 0, 0, 1]], np.array([1.0, 2.0, 5.0, 0.5]), 4
)
"""Class 1 for positive x, but for row 2."""


class Epochs:
    """Epochs on rows 0 and 2 that give the next of these weights and losses; `after` judges one."""

    def __init__(self, losses: list[float], weights: list[float] | None = None) -> None:
        self.losses, self.weights = iter(losses), iter(weights or range(1, len(losses) + 1))

    def after(
        self, fit: FitState, given: FitHyperparameters, config: FitConfig, validation: list[int], data: Any = DATA
    ) -> tuple[FitState, Array, Array]:
        state = TrainingState(single(next(self.weights)), fit.state.optimizer_state)
        return after_epoch(fit, state, jnp.float64(next(self.losses)), data, jnp.array(validation, int), given, config)


@pytest.mark.parametrize(
    ("losses", "tol", "patience", "stale"),
    [
        # Every epoch after the first falls by 0.5 exactly: no less than tol, so an improvement.
        ([4.0, 3.5, 3.0, 2.5], 0.5, 1, [0, 0, 0, 0]),
        ([4.0, 3.75, 3.5, 2.5], 0.5, NEVER, [0, 1, 2, 0]),  # 3.75 and 3.5 fall by less than 0.5 below the best so far
        ([4.0, 3.75, 3.5, 3.25], 0.5, 1, [0, 1, 2]),
        ([4.0, 3.75, 3.5, 3.25], 0.5, 2, [0, 1, 2, 3]),
        ([4.0, 4.0, 4.0, 4.0], 0.0, NEVER, [0, 0, 0, 0]),  # of a tol of 0 the same is no less
        ([4.0, 3.0, 5.0, 3.5], 0.0, NEVER, [0, 0, 1, 2]),  # the best counts, not the last
        ([4.0, np.nan, 3.0], 0.0, NEVER, [0, 0]),
        ([4.0, np.inf, 3.0], 0.0, NEVER, [0, 1]),
    ],
)
def test_training_ends_where_the_loss_has_not_improved_by_tol_for_longer_than_its_patience(
    losses: list[float], tol: float, patience: int, stale: list[int]
) -> None:
    epochs = Epochs(losses)
    given, config = numbers(tol, patience), FitConfig(TrainingConfig())
    fit, found = start(single(0.5), given, config), list[int]()
    while fit.running and len(found) < len(losses):
        fit, loss, score = epochs.after(fit, given, config, [])
        found.append(int(fit.stale))
        assert int(fit.epoch) == len(found)
        assert (float(loss), bool(jnp.isnan(score))) == (pytest.approx(losses[len(found) - 1], nan_ok=True), True)
    assert found == stale
    assert float(fit.best) == np.nanmin(losses[: len(found)])
    assert fit.kept == ()
    assert_agree(fit.state.params, single(len(found)))


def test_training_ends_with_the_last_epoch_and_then_nothing_changes() -> None:
    epochs = Epochs([3.0, 2.0, 1.0])
    given, config = numbers(last_epoch=2), FitConfig(TrainingConfig())
    first, _, _ = epochs.after(start(single(0.5), given, config), given, config, [])
    second, _, _ = epochs.after(first, given, config, [])
    third, _, _ = epochs.after(second, given, config, [])
    assert (bool(first.running), bool(second.running)) == (True, False)
    assert_agree(third, second)


def test_with_early_stopping_the_weighted_accuracy_on_held_out_rows_decides() -> None:
    # Rows 1, 2 and 3 weigh 2, 5 and 0.5. A positive weight has 1 and 3 right, 2.5 of 7.5. A weight of 0 gives class 0:
    # 1 and 2, 7 of 7.5. A negative one has row 2 right, 5 of 7.5.
    weights = [1.0, -1.0, 0.0, -2.0, 0.0, 3.0]
    scores = [2.5 / 7.5, 5 / 7.5, 7 / 7.5, 5 / 7.5, 7 / 7.5, 2.5 / 7.5]
    epochs = Epochs([6.0, 5.0, 4.0, 3.0, 2.0, 1.0], weights)  # the loss falls all the time
    given, config = numbers(1e-6, 1), FitConfig(TrainingConfig(), early_stopping=True)
    fit, found = start(single(0.5), given, config), list[float]()
    while fit.running:
        fit, _, score = epochs.after(fit, given, config, [1, 2, 3])
        found.append(float(score))
        assert float(fit.best) == pytest.approx(-max(found))
    assert found == pytest.approx(scores[:5])
    assert_agree(fit.kept, single(0.0))
    assert int(fit.stale) == 2


def test_of_epochs_as_good_the_first_is_kept() -> None:
    epochs = Epochs([2.0, 1.0])
    given, config = numbers(), FitConfig(TrainingConfig(), early_stopping=True)
    first, _, before = epochs.after(start(single(0.5), given, config), given, config, [1, 2, 3])
    second, _, score = epochs.after(first, given, config, [1, 2, 3])
    assert score == before
    assert_agree(second.kept, single(1.0))
    assert_agree(second.state.params, single(2.0))


def test_rows_that_fill_up_what_is_held_out_have_no_weight() -> None:
    data = DATA._replace(y_train=DATA.y_train.copy())  # pyright: ignore[reportAttributeAccessIssue]
    data.y_train[0, -1] = 0  # pyright: ignore[reportIndexIssue]
    epochs = Epochs([1.0])
    given, config = numbers(), FitConfig(TrainingConfig(), early_stopping=True)
    begun = start(single(0.5), given, config)
    assert epochs.after(begun, given, config, [1, 2, 0], data)[2] == pytest.approx(2 / 7)


def test_before_the_first_epoch_nothing_is_best() -> None:
    given = numbers()
    begun = start(
        single(2.0), given, FitConfig(TrainingConfig("sigmoid", 1, OPTIMIZERS["momentum"]), early_stopping=True)
    )
    assert (float(begun.best), int(begun.stale), int(begun.epoch), bool(begun.running)) == (np.inf, 0, 0, True)
    assert_agree(begun.kept, single(2.0))
    assert_agree(begun.state.params, single(2.0))


def test_epochs_run_until_all_networks_have_stopped_or_orders_end() -> None:
    def step(fit: FitState, order: Array) -> tuple[FitState, Array, Array]:
        epoch = fit.epoch + fit.running.astype(int)
        number = epoch.astype(float)
        return fit._replace(epoch=epoch, running=epoch < jnp.array([2, 3])), number + order[0], -number

    zero = jnp.zeros(2, int)
    begun = FitState(TrainingState(single(0.0), ()), (), jnp.zeros(2), zero, zero, jnp.ones(2, bool))
    orders = jnp.array([[0.5], [0.25], [0.125], [0.0625]])
    for given, counts in ((orders, [2, 3]), (orders[:2], [2, 2])):
        fit, losses, scores = run_epochs(begun, given, step)
        assert fit.epoch.tolist() == counts
        expected = [[1.5, 1.5], [2.25, 2.25], [2.125, 3.125]][: max(counts)]
        assert losses[: max(counts)].tolist() == expected
        assert scores[: max(counts)].tolist() == [[-1, -1], [-2, -2], [-2, -3]][: max(counts)]
        assert np.all(np.isnan(losses[max(counts) :]))


def by_numpy(params: Params, x: Any, y: Any, alpha: float, samples: int) -> float:
    """The loss of a network of one layer: ``(sum_i w_i L_i + alpha/2 |W|^2) / samples``."""
    weights, biases = (np.asarray(part) for part in params[0])
    logits = x @ weights.T + biases
    logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return float(-(y * logarithms).sum() + alpha / 2 * (weights**2).sum()) / samples


def test_the_loss_is_the_weighted_sum_and_the_penalty_of_weights_alone_over_the_batch() -> None:
    params = random_params(1, (2, 3))
    rng = np.random.default_rng(2)
    x, labels, weights = rng.normal(0, 1, (4, 2)), np.eye(3)[[0, 2, 1, 1]], np.array([[0.5], [2], [1], [3]])
    y, rows = labels * weights, np.concatenate([labels, weights], axis=1)
    filled_x, filled_y = np.concatenate([x, np.ones((2, 2))]), np.concatenate([rows, np.zeros((2, 4))])

    @jax.jit
    def found(x: Array, rows: Array, filled_x: Array, filled_y: Array, count: Array) -> list[Any]:
        plain = [penalised_gradient("identity", alpha, weighted=True)(params, x, rows) for alpha in (None, 0.75)]
        padded = penalised_gradient("identity", 0.75, weighted=True, padded=True)
        counted = penalised_gradient("identity", 0.75, weighted=True, count=count)
        unweighted = penalised_gradient("identity", 0.75)(params, x, rows[:, :3])
        filled = [padded(params, filled_x, filled_y), padded(params, filled_x, 0 * filled_y)]
        return [*plain, *filled, counted(params, filled_x, filled_y), unweighted]

    given = map(jnp.asarray, (x, rows, filled_x, filled_y, np.int32(4)))
    (bare, _), (loss, gradient), (filled, same), nothing, counted, (unweighted, _) = found(*given)
    expected = by_numpy(params, x, y, 0.75, 4)
    assert float(bare) == pytest.approx(by_numpy(params, x, y, 0, 4), rel=1e-12)
    assert float(unweighted) == pytest.approx(by_numpy(params, x, labels, 0.75, 4), rel=1e-12)
    assert_agree(counted, (loss, gradient), 1e-12)
    assert float(loss) == pytest.approx(expected, rel=1e-12)
    moved = (Layer(params[0].weights.at[1, 0].add(1e-6), params[0].biases),)
    assert float(gradient[0].weights[1, 0]) == pytest.approx(
        (by_numpy(moved, x, y, 0.75, 4) - expected) / 1e-6, abs=1e-5
    )
    assert float(filled) == pytest.approx(expected * 4 / 6, rel=1e-12)  # of 6 rows; its gradient is of 4
    assert_agree(same, gradient, 1e-12)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(nothing))


def test_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    logits, weights = rng.normal(0, 1, (30, 3)), rng.uniform(0.1, 2, 30)
    labels, several, values = rng.integers(0, 3, 30), rng.integers(0, 2, (30, 3)), rng.normal(0, 1, (30, 3))
    values[:, 2] = 1.5  # no spread: R2 is 0 unless all are right
    several[:10] = logits[:10] > 0
    found = [
        score_of(output, jnp.asarray(logits), jnp.asarray(y, float), jnp.asarray(weights))
        for output, y in (("softmax", np.eye(3)[labels]), ("sigmoid", several), ("identity", values))
    ]
    expected = [
        accuracy_score(labels, logits.argmax(axis=1), sample_weight=weights),
        accuracy_score(several, logits > 0, sample_weight=weights),
        r2_score(values, logits, sample_weight=weights),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    same = jnp.full((4, 1), 2.5)
    assert float(score_of("identity", same, same, jnp.ones(4))) == r2_score(np.asarray(same), np.asarray(same)) == 1


def test_rows_are_filled_up_to_few_sizes_by_little() -> None:
    for n in [*range(1, 5000), 10**4, 2**14, 2**14 + 1, 10**5, 10**6]:
        for row_bytes in (4, 512, 6272):
            rows = row_count(n, row_bytes)
            assert rows >= n
            assert rows * row_bytes <= max(2**21, 1.25 * n * row_bytes)
    assert {row_count(n, 240) for n in range(1, 4097)} == {256, 1024, 4096}
    assert len({row_count(n, 6272) for n in range(1, 2**14 + 1)}) < 60
    assert len({row_count(n, 6272) for n in range(2**13 + 1, 2**14 + 1)}) == 4
