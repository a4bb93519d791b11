"""The search in one program: what scikit-learn's loop finds with the same classifier, fit by fit."""

import functools
import itertools
import time
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, ParameterGrid, ParameterSampler, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxmlp import Hyperparameters, Layer, MLPClassifier, MLPClassifierSearch, TrainingConfig, engine, runtime
from jaxmlp.classifier import stopping
from jaxmlp.classifier.grid import blocks, job, searching
from jaxmlp.classifier.grid import fits as search_fits
from jaxmlp.classifier.grid.blocks import FitOutcome, train_fits
from jaxmlp.classifier.grid.job import Given, Table
from jaxmlp.classifier.targets import class_targets
from jaxmlp.engine import layout
from jaxmlp.lecture.training import TrainingState
from jaxmlp.runtime import computing
from tests.classifier.test_classifier import LABELS, NAMES, WEIGHTS, X, small
from tests.helpers import assert_agree, rejects

pytestmark = [
    pytest.mark.filterwarnings("ignore:max_iter is:sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.* training ended at max_iter:sklearn.exceptions.ConvergenceWarning"),
]

GRID: dict[str, Any] = {
    "hidden_layer_sizes": [(3,), (5,)], "learning_rate": [0.003, 0.03, 0.3], "alpha": [1e-4, 0.5],
    "max_iter": [4, 7], "tol": [0.0, 9.0], "class_weight": [None, "balanced"],
}  # fmt: skip
GRIDS = [GRID, {"random_state": [1]}]
MINIBATCH: dict[str, Any] = {"batch_size": 7, "learning_rate": 0.05}
FULL: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 0.3, "early_stopping": True, "n_iter_no_change": 1}


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    counted: list[int] = []
    original = engine.train_group

    def counting(*arguments: Any) -> Any:
        counted.append(1)
        return original(*arguments)

    monkeypatch.setattr(engine, "train_group", counting)
    jax.clear_caches()
    yield counted
    jax.clear_caches()


def test_every_fit_is_the_classifiers_own_and_the_program_is_traced_once(
    traces: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three folds of 40 rows: 26, 27 and 27 to train on. 24 candidates share a fold and a start: three groups of lanes.
    # The last one has a start of its own, so a group of one lane.
    # Memory for four groups on each of two devices, so that calls end between the groups of one start: 43 parameters of
    # 8 bytes, six times, of 8 lanes, on two devices are 33,024 bytes.
    monkeypatch.setitem(layout.LANES, "cpu", 8)
    monkeypatch.setattr(layout, "MAX_BYTES", 4 * 33_024)
    outcomes: list[FitOutcome] = []

    def train(*given: Any) -> list[FitOutcome]:
        outcomes.extend(sorted(train_fits(*given), key=lambda outcome: outcome.fit[:2]))
        return outcomes

    monkeypatch.setattr(searching, "train_fits", train)
    # Units that only fill a layer up are worth something where the activation of 0 is: they must be masked.
    # With a tol of 9, the rule of 3 epochs ends a fit of 7 at the 5th, and has nearly ended one of 4 at its last.
    base, began = small(**MINIBATCH, n_iter_no_change=3, activation="sigmoid"), time.perf_counter()
    ours = MLPClassifierSearch(base, GRIDS, cv=3, refit=False).fit(X, NAMES, WEIGHTS)
    assert 0 < sum(outcome.seconds for outcome in outcomes) < time.perf_counter() - began
    assert len(traces) == 1
    candidates, folds = list(ParameterGrid(GRIDS)), list(StratifiedKFold(3).split(X, NAMES))
    assert ours.cv_results_["params"] == candidates
    epochs: list[int] = []
    for number, (given, fold) in list(enumerate(itertools.product(candidates, range(3))))[::7]:
        outcome, (rows, test) = outcomes[number], folds[fold]
        if (fold == 0) == (given.get("hidden_layer_sizes") == (3,)):  # so few are compiled for
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                alone = small(**{**base.get_params(), **given}).fit(X[rows], NAMES[rows], WEIGHTS[rows])
            assert_agree(outcome.params, alone.params_, 1e-9)
            assert (outcome.epochs, outcome.diverged) == (alone.n_iter_, False)
            assert outcome.converged == (not caught)
            assert outcome.test_score == pytest.approx(alone.score(X[test], NAMES[test], WEIGHTS[test]))
            epochs.append(outcome.epochs)
        where, at = divmod(number, 3)
        assert ours.cv_results_[f"split{at}_test_score"][where] == outcome.test_score
    assert len(epochs) > 15
    assert set(epochs) >= {4, 5, 7}


def test_an_epoch_of_a_group_is_each_lanes_own_on_what_the_group_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    # Every argument can be read off: the loss tells what was trained, the epoch's end by which rule.
    def trained(state: Any, settings: Any, order: Any, data: Any, config: Any, *flags: bool) -> Any:
        assert (flags, config.batch_size, settings.masks[0].tolist()) == ((True, True, True), 2, [[7.0]])
        # Row 0 is of class 1 with a weight of 2, row 1 of class 2 with one of 3.
        weights, labels = data.y_train[:, 3], data.y_train[:, :3]
        weight = (weights * labels[:, 2])[1] + 10 * (weights * labels[:, 1])[0] + 100 * jnp.sum(weights)
        lane = settings.hyperparameters.learning_rate + 10 * settings.alpha
        return state, lane + 1000 * weight + 1e6 * order[0].astype(float) + data.x_train[1, 0]

    def judged(fit: Any, _: Any, loss: Any, data: Any, validation: Any, given: Any, config: Any) -> Any:
        assert (config.padded, validation.shape, data.x_train.shape) == (True, (2,), (3, 1))
        stop = fit.epoch + 1 >= given.last_epoch
        kept = (Layer(jnp.array([[0.0], [given.tol], [0.0]]), jnp.zeros(3)),)  # class 1 for a positive x and tol
        return fit._replace(kept=kept, epoch=fit.epoch + 1, running=~stop), loss, loss

    monkeypatch.setattr(engine, "train_group", trained)
    monkeypatch.setattr(job, "after_epoch", judged)
    inputs = jnp.array([[[9.0], [9.0], [9.0]], [[0.25], [0.125], [0.0]]])  # of the first fold, and of this
    table = Table(inputs, jnp.eye(3)[jnp.array([1, 2, 0])], jnp.array([1.0, 1.0, 0.0]))
    lanes, zero = jnp.array([0.5, 0.75]), jnp.zeros(2, jnp.int32)
    signs, last = jnp.array([1.0, -1.0]), jnp.array([2, 1], jnp.int32)
    numbers = stopping.FitHyperparameters(Hyperparameters(lanes, lanes), lanes, signs, zero, last)
    params = (Layer(jnp.zeros((2, 3, 1)), jnp.zeros((2, 3))),)
    begun = stopping.FitState(TrainingState(params, ()), params, lanes, zero, zero, jnp.ones(2, bool))
    weights, rows = jnp.array([2.0, 3.0, 0.0]), jnp.array([0, 2])
    given = Given(numbers, (np.array([[7.0]]),), weights, rows, 4.0, rows, jnp.int32(1))  # pyright: ignore[reportArgumentType]
    own = job.FitJob(stopping.FitConfig(TrainingConfig(batch_size=2), True, True, True), True)
    orders = jnp.array([[1, 0], [0, 1], [1, 0]])
    step, (losses, shares) = own.begin(jax.tree.map(lambda leaf: leaf[None], begun), given, orders[None], table, True)
    assert (losses.shape, bool(jnp.all(jnp.isnan(losses))), shares.shape) == ((1, 3, 2), True, (1, 2))
    found, (losses, shares) = step(jnp.int32(0), begun, given, orders)
    assert found.epoch.tolist() == [2, 2]  # as many as the last of the group needs; `judged` freezes nobody
    weight = 3 + 10 * 2 + 100 * 5
    expected = [[lane * 11 + 1000 * weight + 1e6 * first + 0.125 for lane in (0.5, 0.75)] for first in (1, 0)]
    assert losses[:2].tolist() == [[value * 2 / 4 for value in row] for row in expected]  # 2 rows, of which 4 count
    assert shares.tolist() == [1, 0]  # of row 0 alone: row 2 fills up


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        pytest.param(FULL, (3, 4), id="early stopping"),
        pytest.param(MINIBATCH, (3, 4), id="minibatch", marks=pytest.mark.slow),
        pytest.param(MINIBATCH, (), id="softmax regression", marks=pytest.mark.slow),
    ],
)
def test_a_lane_is_the_classifier_fitted_on_its_fold(settings: dict[str, Any], sizes: tuple[int, ...]) -> None:
    base = small(**{**settings, "max_iter": 30}).get_params()
    candidates = [
        {**base, "hidden_layer_sizes": widths, "learning_rate": rate, "random_state": 3}
        for widths in (sizes, tuple(2 * width for width in sizes)) for rate in (0.01, 0.1)
    ]  # fmt: skip
    folds = list(StratifiedKFold(3).split(X, LABELS))
    assert {len(train) for train, _ in folds} == {26, 27}
    samples = search_fits.Samples([X], class_targets(LABELS), WEIGHTS, np.ones(40))
    wanted = [(number, fold, given) for number, given in enumerate(candidates) for fold in range(3)]
    with computing("float64"):
        made = search_fits.fits(wanted, samples, folds, {})
        outcomes = train_fits(made, samples, folds, "auto", lambda _: None, {})
    assert len(outcomes) == 12
    for outcome in outcomes[::5]:
        train, test = folds[outcome.fit.fold]
        alone = MLPClassifier(**outcome.fit.parameters).fit(X[train], LABELS[train], WEIGHTS[train])
        assert outcome.epochs == alone.n_iter_
        assert_agree(outcome.params, alone.params_, 1e-9)
        assert outcome.test_score == pytest.approx(alone.score(X[test], LABELS[test]))


@pytest.mark.parametrize(
    "optimizer", ["sgd", *(pytest.param(name, marks=pytest.mark.slow) for name in ("momentum", "adam"))]
)
def test_fits_that_are_interleaved_are_the_classifiers_own(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Folds of 26 and 27 rows, weights, padded widths, penalties and none: all that a gradient by hand must know.
    monkeypatch.setitem(layout.LANES, "cpu", 4)
    monkeypatch.setattr(runtime, "compiles_whole_loops", lambda: True)
    original, interleaved, outcomes = engine.train_group, list[bool](), list[FitOutcome]()

    def counting(*given: Any) -> Any:
        interleaved.append(given[5])
        return original(*given)

    monkeypatch.setattr(engine, "train_group", counting)
    monkeypatch.setattr(searching, "train_fits", lambda *given: outcomes.extend(train_fits(*given)) or outcomes)
    base = small(optimizer=optimizer, batch_size=1, max_iter=3, n_iter_no_change=1, tol=1e-3, learning_rate=0.02)
    grid = {"alpha": [0.0, 0.1, 0.4], "hidden_layer_sizes": [(5,), (3,)], "learning_rate": [0.02, 0.05]}
    MLPClassifierSearch(base, grid, cv=3, refit=False).fit(X, NAMES, WEIGHTS)
    assert set(interleaved) == {True}
    folds = list(StratifiedKFold(3).split(X, NAMES))
    for outcome in outcomes[::7]:
        rows, test = folds[outcome.fit.fold]
        alone = MLPClassifier(**outcome.fit.parameters).fit(X[rows], NAMES[rows], WEIGHTS[rows])
        assert_agree(outcome.params, alone.params_, 1e-9)
        assert outcome.epochs == alone.n_iter_
        assert outcome.test_score == pytest.approx(alone.score(X[test], NAMES[test], WEIGHTS[test]))


def test_small_groups_batches_and_optimisers_from_outside_are_not_interleaved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "compiles_whole_loops", lambda: True)
    folds = [(np.arange(20), np.arange(20, 40))]
    table = Table(np.zeros((1, 41, 4)), np.zeros((41, 3)), np.zeros(41))
    for count, given, expected in (
        (8, {}, (16, True)), (7, {}, (7, False)), (17, {}, (16, True)), (17, {"batch_size": 2}, (9, False)),
        (8, {"optimizer": optax.lion}, (8, False)),
    ):  # fmt: skip
        settings: dict[str, Any] = {"optimizer": "sgd", "batch_size": 1, **given}
        candidates = [small(**settings, tol=float(number)).get_params() for number in range(count)]
        samples = search_fits.Samples([X], class_targets(LABELS), WEIGHTS, np.ones(40))
        made = search_fits.fits([(n, 0, given) for n, given in enumerate(candidates)], samples, folds, {})
        plan = blocks._plan(made, folds, table, layout.device_mesh())  # pyright: ignore[reportPrivateUsage]
        assert (plan.lanes, plan.job.interleaved) == expected, (count, given)


def test_folds_with_other_numbers_of_updates_share_a_program_with_plain_descent_alone() -> None:
    # 26 and 27 rows in batches of 13: two updates, and three. Any other optimiser goes on without a sample.
    folds = list(StratifiedKFold(3).split(X, NAMES))
    samples = search_fits.Samples([X], class_targets(LABELS), WEIGHTS, np.ones(40))
    for optimizer, lengths in (("sgd", [{26, 27}]), ("momentum", [{26}, {27}]), ("adam", [{26}, {27}])):
        given = small(optimizer=optimizer, batch_size=13).get_params()
        made = search_fits.fits([(0, fold, given) for fold in range(3)], samples, folds, {})
        parts = [{len(fit.prepared.training) for fit in part} for part in search_fits.programs(made)]
        assert parts == lengths, optimizer


@pytest.mark.slow
def test_updates_that_differ_in_number_by_fold_share_a_program_of_plain_descent(traces: list[int]) -> None:
    settings: dict[str, Any] = {"optimizer": "sgd", "batch_size": 1}
    grid = {"learning_rate": [0.01, 0.1], "alpha": [0.0, 0.1]}
    ours = MLPClassifierSearch(small(**settings), grid, cv=3, refit=False).fit(X, LABELS)
    assert len(traces) == 1
    theirs = GridSearchCV(small(**settings), grid, cv=3, refit=False).fit(X, LABELS)
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])


@pytest.mark.slow
def test_the_best_is_fitted_on_everything_and_answers() -> None:
    candidates = ParameterSampler({"learning_rate": [0.001, 0.05], "activation": ["relu", "tanh"]}, 3, random_state=0)
    found = MLPClassifierSearch(small(), candidates, cv=2, scoring="neg_log_loss").fit(X, NAMES, WEIGHTS)
    results = found.cv_results_
    assert found.best_index_ == np.argmax(results["mean_test_score"]) == np.argmin(results["rank_test_score"])
    assert found.best_score_ == results["mean_test_score"][found.best_index_]
    best = small(**found.best_params_).fit(X, NAMES, WEIGHTS)
    assert_agree(found.best_estimator_.params_, best.params_)
    assert found.classes_.tolist() == ["ape", "bee", "cat"]
    for method in ("predict", "predict_proba", "predict_log_proba", "transform"):
        np.testing.assert_array_equal(getattr(found, method)(X), getattr(best, method)(X))
    assert found.score(X, NAMES) < 0
    piped = make_pipeline(StandardScaler(), MLPClassifierSearch(small(), {"learning_rate": [0.05]}, cv=2))
    assert piped.fit(X, NAMES).score(X, NAMES) > 0.3


def test_a_fit_that_diverges_scores_nothing_and_disturbs_nobody() -> None:
    settings: dict[str, Any] = {"activation": "identity", "optimizer": "sgd", "max_iter": 200}
    grid = {"learning_rate": [1e6, 0.01, 0.1]}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = MLPClassifierSearch(small(**settings), grid, cv=2, refit=False).fit(X, LABELS)
    failures = [str(warning.message) for warning in caught if warning.category is FitFailedWarning]
    assert [said[:35] for said in failures] == ["2 fits failed out of a total of 6, "]
    assert np.isnan(found.cv_results_["mean_test_score"]).tolist() == [True, False, False]
    assert found.cv_results_["rank_test_score"][0] == 3
    with rejects("the loss is no longer finite"):
        MLPClassifierSearch(small(**settings), grid, cv=2, error_score="raise").fit(X, LABELS)


def test_a_network_lost_in_its_very_last_update_is_seen() -> None:
    # One update an epoch: after the last one no loss is computed any more, and the parameters are infinite.
    settings: dict[str, Any] = {"activation": "identity", "optimizer": "sgd", "batch_size": 20, "max_iter": 1}
    grid = {"learning_rate": [1e308, 0.1], "dtype": ["float64"]}
    huge = 1e3 * X
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = MLPClassifierSearch(small(**settings), grid, cv=2, refit=False).fit(huge, LABELS)
    failures = [str(warning.message) for warning in caught if warning.category is FitFailedWarning]
    assert [said[:35] for said in failures] == ["2 fits failed out of a total of 4, "]
    assert np.isnan(found.cv_results_["mean_test_score"]).tolist() == [True, False]
    lost = small(**settings | {"batch_size": 40}, learning_rate=1e308, dtype="float64")
    for method in (lost.fit, functools.partial(lost.partial_fit, classes=np.unique(LABELS))):
        with rejects("the loss is no longer finite in epoch 1 with learning rate 1e+308"):
            method(huge, LABELS)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"rate": [1]}, "param_grid has 'rate'"),
        ([], "no candidate"),
        ("alpha", "param_grid is or has 'alpha', expected a dictionary of lists"),
        (3, "param_grid is or has 3, expected a dictionary of lists"),
        (iter(["alpha"]), "param_grid is or has 'alpha', expected a dictionary of lists"),
        (
            {"learning_rate": [-1]},
            "All the 5 fits failed, expected one that does not; InputError of candidate 0, fold 0: ",
        ),
        ({"class_weight": [{9: 1}]}, "class_weight names 9"),
    ],
)
def test_grids_of_which_nothing_can_be_trained_are_refused(
    grid: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "train_fits", lambda made, *_: made)
    with rejects(message):
        MLPClassifierSearch(small(), grid).fit(X, LABELS)


def test_only_our_classifier_can_be_searched() -> None:
    with rejects("estimator is a StandardScaler"):
        MLPClassifierSearch(StandardScaler(), {"alpha": [1]}).fit(X, LABELS)  # pyright: ignore[reportArgumentType]
    with rejects("error_score is 'none'"):
        MLPClassifierSearch(small(), {"alpha": [1]}, error_score="none").fit(X, LABELS)
