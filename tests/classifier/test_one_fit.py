"""Which rows the classifier trains on, holds out and predicts, from which random numbers, and what it tells of them."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.neural_network import MLPClassifier as ScikitLearns

from jaxmlp import LectureStream
from jaxmlp.classifier import network_estimator, one_fit, stopping
from jaxmlp.classifier.network_estimator import pieces
from jaxmlp.classifier.one_fit import PreparedFit, hyperparameters_of, initial_params, prepare, random_of, train
from jaxmlp.classifier.reports import report_to
from jaxmlp.classifier.settings import check_settings
from jaxmlp.classifier.stopping import epochs_per_call, training_data
from jaxmlp.classifier.targets import class_targets
from tests.classifier.test_classifier import LABELS, WEIGHTS, X, small, untrained
from tests.helpers import assert_agree, rejects, told_by

pytestmark = pytest.mark.filterwarnings("ignore:max_iter is:sklearn.exceptions.ConvergenceWarning")

UNEVEN = np.repeat([0, 1, 2], [24, 12, 4])[np.random.RandomState(3).permutation(40)]
"""Labels of 24, 12 and 4 samples."""


def prepared_fit(labels: NDArray[Any] = LABELS, weights: NDArray[Any] | None = None, **parameters: Any) -> PreparedFit:
    given = small(**parameters).get_params()
    weights = np.ones(40) if weights is None else weights
    random = random_of(given["random_state"])
    return prepare(check_settings(given), given, X, class_targets(labels), weights, random)


def test_what_is_held_out_is_stratified_and_a_part_of_nothing_else() -> None:
    for seed in range(3):
        prepared = prepared_fit(UNEVEN, early_stopping=True, validation_fraction=0.25, random_state=seed)
        assert np.bincount(UNEVEN[prepared.validation]).tolist() == [6, 3, 1]
        assert sorted([*prepared.training, *prepared.validation]) == list(range(40))
    none = prepared_fit(UNEVEN)
    assert (none.training.tolist(), none.validation.tolist()) == (list(range(40)), [])


def test_samples_without_weight_are_neither_trained_on_nor_held_out() -> None:
    kept = np.arange(40) % 2 == 0
    prepared = prepared_fit(
        weights=WEIGHTS * kept, early_stopping=True, validation_fraction=0.25, class_weight={1: 0.0}
    )
    rows = np.flatnonzero(kept & (LABELS != 1))
    assert sorted([*prepared.training, *prepared.validation]) == rows.tolist()
    assert len(prepared.validation) == -(-len(rows) // 4)


@pytest.mark.parametrize(
    ("class_weight", "factors"),
    [
        ({1: 3.0}, np.where(LABELS == 1, 3, 1)),
        ("balanced", WEIGHTS.sum() / 3 / np.bincount(LABELS, WEIGHTS)[LABELS]),
    ],
    ids=["factors", "balanced"],
)
def test_weights_are_scaled_to_a_mean_of_1_over_the_training_rows(class_weight: Any, factors: NDArray[Any]) -> None:
    prepared = prepared_fit(weights=WEIGHTS, early_stopping=True, validation_fraction=0.25, class_weight=class_weight)
    weights = WEIGHTS * factors
    mean = weights[prepared.training].mean()
    assert prepared.mean_weight == pytest.approx(mean, rel=1e-12)
    np.testing.assert_allclose(prepared.weights, weights / mean, rtol=1e-12)
    numbers = hyperparameters_of({**small().get_params(), "alpha": 0.5}, prepared, 9)
    assert numbers.alpha == pytest.approx(0.5 / mean, rel=1e-12)


def test_parameters_then_held_out_rows_then_orders_come_from_one_stream() -> None:
    prepared, stream = prepared_fit(early_stopping=True), np.random.RandomState(0)
    first, second = stream.normal(0, 4**-0.5, (5, 4)), stream.normal(0, 5**-0.5, (3, 5))
    np.testing.assert_array_equal(prepared.params[0].weights, first)
    np.testing.assert_array_equal(prepared.params[1].weights, second)
    plain = prepared_fit()
    assert_agree(plain.params, prepared.params)
    moved = np.random.RandomState(0)
    moved.normal(size=35)
    np.testing.assert_array_equal(plain.random.permutation(40), moved.permutation(40))
    later = prepared_fit(random_state=np.random.RandomState(7), early_stopping=True)
    assert set(later.validation) != set(prepared.validation)


def test_targets_carry_the_weights_and_there_are_no_test_rows() -> None:
    x = np.arange(6, dtype="float32").reshape(3, 2)
    data = training_data(x, np.eye(3)[[2, 0, 2]], np.array([0.5, 2, 0]), 5)
    filled = [[0.0] * 4] * 2
    assert np.asarray(data.y_train).tolist() == [[0, 0, 1, 0.5], [1, 0, 0, 2], [0, 0, 1, 0], *filled]
    assert (data.y_train.dtype, data.x_train.dtype) == ("float32", "float32")
    assert np.asarray(data.x_train).tolist() == [*x.tolist(), [0, 0], [0, 0]]
    assert [len(part) for part in (data.x_test, data.y_test, data.labels_test)] == [0, 0, 0]


class Loop:
    """In the place of the compiled program: an epoch's loss is its number, its accuracy its number over 100.

    What it keeps as the best are zeros.
    """

    def __init__(self, stops_after: int) -> None:
        self.stops_after, self.orders, self.epochs = stops_after, list[Any](), list[int]()

    def __call__(self, progress: Any, orders: Any, *others: Any) -> Any:
        done, last = int(progress.epoch), min(self.stops_after, int(others[3].last_epoch))
        epochs = np.arange(done + 1, done + 1 + len(orders))
        trained, samples = min(len(orders), last - done), int(others[0])
        self.orders += orders[:trained, :samples].tolist()
        assert set(orders[:trained, samples:].ravel()) == {40}  # padding
        self.epochs.append(trained)
        kept = jax.tree.map(jnp.zeros_like, progress.kept)
        running, best = jnp.asarray(done + trained < last), jnp.float64(0)
        progress = progress._replace(epoch=jnp.int32(done + trained), running=running, kept=kept, best=best)
        return progress, jnp.asarray(epochs * 1.0), jnp.asarray(epochs / 100)


@pytest.mark.parametrize(("stops_after", "calls"), [(99, [4, 4, 2]), (5, [4, 1]), (8, [4, 4]), (4, [4])])
def test_every_epoch_has_the_next_order_of_the_training_rows_however_calls_are_cut(
    stops_after: int, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, reported = Loop(stops_after), list[Any]()
    monkeypatch.setattr(one_fit, "fit_epochs", loop)
    monkeypatch.setattr(one_fit, "epochs_per_call", lambda *_: 4)
    prepared = prepared_fit(early_stopping=True)
    stream = prepared_fit(early_stopping=True).random
    fitted = train(prepared, hyperparameters_of(small().get_params(), prepared, 10), lambda *row: reported.append(row))
    trained = sum(calls)
    assert loop.epochs == calls
    assert loop.orders == [prepared.training[stream.permutation(36)].tolist() for _ in range(trained)]
    assert (fitted.epochs, fitted.losses) == (trained, [float(epoch) for epoch in range(1, trained + 1)])
    assert fitted.scores == [epoch / 100 for epoch in range(1, trained + 1)]
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(fitted.params))
    starts = np.cumsum([0, *calls]).tolist()
    assert reported == [(a, fitted.losses[a:b], fitted.scores[a:b]) for a, b in itertools.pairwise(starts)]
    if stops_after == 99:  # no order was drawn in vain: what goes on goes on with the next
        assert prepared.random.permutation(9).tolist() == stream.permutation(9).tolist()


def test_epochs_go_on_after_those_that_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, reported = Loop(99), list[Any]()
    monkeypatch.setattr(one_fit, "fit_epochs", loop)
    prepared = prepared_fit()
    numbers = hyperparameters_of(small().get_params(), prepared, 7)
    state = jax.tree.map(lambda leaf: leaf + 1, train(prepared, numbers, lambda *_: None).optimizer_state)
    fitted = train(prepared, numbers, lambda *row: reported.append(row), 5, state)
    assert (loop.epochs, fitted.epochs, reported[0][0]) == ([7, 2], 7, 5)
    assert_agree(fitted.optimizer_state, state)
    assert_agree(fitted.params, jax.tree.map(np.asarray, prepared.params))  # those of the last epoch
    other = train(prepared, numbers, lambda *_: None, 5, (1, 2, 3))  # of another optimiser
    assert jax.tree.structure(other.optimizer_state) == jax.tree.structure(state)


def test_a_call_trains_some_200_million_products_and_1_to_100_epochs() -> None:
    work = [(10, 10), (1000, 2000), (10**3, 10**4), (10**5, 10**4)]
    assert [epochs_per_call(*each) for each in work] == [100, 100, 20, 1]


def test_a_line_per_epoch_has_its_number_loss_and_score(caplog: pytest.LogCaptureFixture) -> None:
    report_to(True)(4, [0.12345, 2.0], [0.987654, np.nan])
    assert told_by(caplog) == "5-th epoch: loss = 0.123, validation score = 0.98765\n6-th epoch: loss = 2.000\n"
    report_to(False)(4, [1.0], [0.5])
    assert told_by(caplog) == ""


def test_pieces_are_the_rows_in_sequence_filled_up_to_few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    for rows, size in ((1, 16), (16, 16), (17, 64), (64, 64), (65, 256), (257, 1024), (1025, 4096)):
        ((part, count),) = pieces(np.ones((rows, 2)))
        assert (part.shape, count, part.sum(), part[:rows].min()) == ((size, 2), rows, 2 * rows, 1)
    assert [(len(part), count) for part, count in pieces(np.zeros((8193, 1)))] == [(4096, 4096), (4096, 4096), (16, 1)]
    monkeypatch.setattr(network_estimator, "ROWS", 17)
    for x in (X, sparse.csr_matrix(X)):
        np.testing.assert_array_equal(np.concatenate([part[:count] for part, count in pieces(x)]), X)


def test_predictions_have_a_row_for_each_and_logarithms_are_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = untrained((4, 5, 3))
    whole = fitted.predict_proba(X)
    monkeypatch.setattr(network_estimator, "ROWS", 17)
    np.testing.assert_allclose(fitted.predict_proba(X), whole, rtol=1e-12)
    fitted.params_ = jax.tree.map(lambda leaf: 1e4 * leaf, fitted.params_)
    fitted.activation = ["relu"]
    logarithms = fitted.predict_log_proba(X)
    assert np.all(np.isfinite(logarithms))
    assert logarithms.min() < -1000


@pytest.mark.parametrize(("activation", "theirs"), [("sigmoid", "logistic"), ("relu", "relu")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_initial_parameters_are_those_of_scikit_learn_or_the_lectures(activation: str, theirs: str, dtype: str) -> None:
    made: Any = ScikitLearns((5, 4), activation=theirs, solver="sgd", learning_rate_init=1e-300, random_state=3)
    made.partial_fit(X.astype(dtype), LABELS, classes=[0, 1, 2])
    names: Any
    for names in (activation, (activation,) * 2):
        found = initial_params("glorot", np.random.RandomState(3), (4, 5, 4, 3), names, dtype)
        for layer, weights, biases in zip(found, made.coefs_, made.intercepts_, strict=True):
            assert layer.weights.dtype == dtype
            np.testing.assert_array_equal(layer.weights, weights.T)
            np.testing.assert_array_equal(layer.biases, biases)
    lecture = LectureStream(3).params((4, 5, 3), dtype)
    assert_agree(initial_params("lecture", np.random.RandomState(3), (4, 5, 3), activation, dtype), lecture)
    # Each layer of its own activation; the output layer as the last hidden one; none is as the identity.
    mixed = initial_params("glorot", np.random.RandomState(0), (4, 500, 400, 3), ("sigmoid", "tanh"), "float64")
    bounds = [float(np.abs(layer.weights).max()) for layer in mixed]
    assert bounds == pytest.approx([(2 / 504) ** 0.5, (6 / 900) ** 0.5, (6 / 403) ** 0.5], rel=1e-2)
    (only,) = initial_params("glorot", np.random.RandomState(0), (400, 3), (), "float64")
    assert np.abs(only.weights).max() == pytest.approx((6 / 403) ** 0.5, rel=1e-2)


def test_other_numbers_of_samples_compile_nothing_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, original, traces = [17, 20, 31, 33, 40], stopping.after_epoch, list[int]()
    jax.clear_caches()
    monkeypatch.setattr(stopping, "after_epoch", lambda *given: traces.append(1) or original(*given))
    found = [small(max_iter=3, batch_size=15).fit(X[:n], LABELS[:n]) for n in sizes]
    assert len(traces) == 1
    for n in sizes[:2]:
        full = small(max_iter=3, batch_size="auto", optimizer="sgd").fit(X[:n], LABELS[:n])
        exact = small(max_iter=3, batch_size=n, optimizer="sgd").fit(X[:n], LABELS[:n])
        assert_agree(full.params_, exact.params_, 1e-12)
        assert full.loss_curve_ == pytest.approx(exact.loss_curve_, rel=1e-12)
    assert len({tuple(fitted.loss_curve_) for fitted in found}) == 5


def test_a_best_epoch_outlives_a_loss_that_is_no_longer_finite() -> None:
    class Diverging(Loop):
        """The fifth loss is none; the best epoch was before, if any."""

        best = 0.0

        def __call__(self, progress: Any, orders: Any, *others: Any) -> Any:
            progress, losses, scores = super().__call__(progress, orders, *others)
            return progress._replace(best=jnp.float64(self.best)), losses.at[4].set(jnp.nan), scores

    prepared, given = prepared_fit(early_stopping=True), small().get_params()
    numbers = hyperparameters_of(given, prepared, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_fit, "fit_epochs", Diverging(5))
        fitted = train(prepared, numbers, lambda *_: None)
        assert all(not np.any(leaf) for leaf in jax.tree.leaves(fitted.params))
        assert np.isnan(fitted.losses[-1])
        said = "the loss is no longer finite in epoch 5 with learning rate 0.001, expected a smaller one"
        patch.setattr(Diverging, "best", np.inf)
        with rejects(said):
            train(prepared, numbers, lambda *_: None)
        patch.setattr(Diverging, "best", 0.0)
        with rejects(said):
            train(prepared_fit(), numbers, lambda *_: None)
