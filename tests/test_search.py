"""The search in one program: what scikit-learn's loop finds with the same classifier, fit by fit."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, ParameterGrid, ParameterSampler, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxmlp import OPTIMIZERS, Config, LectureStream, MLPClassifier, MLPClassifierSweep, fitting, search, search_tasks
from jaxmlp.computing import computing
from jaxmlp.estimator_task import Task, numbers_of
from jaxmlp.search_lanes import train_lanes
from jaxmlp.sweep import blocks
from tests.helpers import assert_agree, rejects
from tests.test_estimator import LABELS, NAMES, WEIGHTS, X, small

pytestmark = pytest.mark.filterwarnings("ignore:max_iter is:sklearn.exceptions.ConvergenceWarning")

GRID: dict[str, Any] = {
    "hidden_layer_sizes": [(3,), (5,)], "learning_rate": [0.003, 0.03, 0.3], "alpha": [1e-4, 0.5],
    "max_iter": [4, 7], "class_weight": [None, "balanced"],
}  # fmt: skip
MINIBATCH: dict[str, Any] = {"batch_size": 7, "learning_rate": 0.05}
FULL: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 0.3, "early_stopping": True, "n_iter_no_change": 1}


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    counted: list[int] = []
    original = fitting.train_epoch

    def counting(*arguments: Any) -> Any:
        counted.append(1)
        return original(*arguments)

    monkeypatch.setattr(fitting, "train_epoch", counting)
    jax.clear_caches()
    yield counted
    jax.clear_caches()


def test_it_finds_what_scikit_learns_loop_finds_and_traces_once(
    traces: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three folds of 40 rows: 26, 27 and 27 to train on. 12 candidates share a fold and a start: two groups of lanes.
    monkeypatch.setitem(blocks.LANES, "cpu", 8)
    ours = MLPClassifierSweep(small(**MINIBATCH), GRID, cv=3, refit=False).fit(X, NAMES)
    assert len(traces) == 1
    some = {**GRID, "learning_rate": [0.03], "alpha": [0.5], "max_iter": [7]}
    theirs = GridSearchCV(small(**MINIBATCH), some, cv=3, refit=False).fit(X, NAMES)
    assert ours.cv_results_["params"] == list(ParameterGrid(GRID))
    places = [ours.cv_results_["params"].index(given) for given in theirs.cv_results_["params"]]
    for name in [*(f"split{fold}_test_score" for fold in range(3)), "mean_test_score", "std_test_score"]:
        np.testing.assert_allclose(ours.cv_results_[name][places], theirs.cv_results_[name], atol=1e-12)
    assert set(theirs.cv_results_) == set(ours.cv_results_)


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
    samples = search_tasks.Samples(X, LABELS, np.arange(3), WEIGHTS)
    with computing("float64"):
        outcomes = train_lanes(search_tasks.lanes(candidates, samples, folds), samples, folds, "auto", lambda *_: None)
    assert len(outcomes) == 12
    for outcome in outcomes[::5]:
        train, test = folds[outcome.lane.fold]
        alone = MLPClassifier(**outcome.lane.parameters).fit(X[train], LABELS[train], WEIGHTS[train])
        assert outcome.epochs == alone.n_iter_
        assert_agree(outcome.params, alone.params_, 1e-9)
        assert outcome.test_accuracy == pytest.approx(alone.score(X[test], LABELS[test]))


def test_rows_that_fill_an_order_up_count_for_nothing() -> None:
    # 26 rows in batches of 7 and a last one of 5; filled up to 27 by row 40, whose weight is 0.
    x, labels = np.concatenate([X, np.zeros((1, 4))]), np.append(LABELS, 0)
    data = fitting.training_data(x, labels, 3, np.append(WEIGHTS, 0))
    given = {"alpha": 0.1, "tol": 0.0, "learning_rate": 0.1, "momentum": 0.9, "n_iter_no_change": 9}
    params = LectureStream(0).params((4, 5, 3), "float64")
    found: list[Any] = []
    for padded, order in ((False, np.arange(26)), (True, np.append(np.arange(26), 40))):
        program = fitting.Program(Config("tanh", 7, OPTIMIZERS["adam"]), penalised=True, padded=padded)
        with computing("float64"):
            task = Task(params, data, order, order[:0], 1.0, program, np.random.RandomState(0))
            numbers = numbers_of(given, task, 9)
            none, begun = jnp.zeros(0, int), fitting.start(params, numbers, program)
            epoch = jax.jit(fitting.one_epoch, static_argnums=(6, 7))
            progress, loss, _ = epoch(begun, jnp.asarray(order), data, none, numbers, 26.0, None, program)
        found.append((progress.state.params, loss))
    assert_agree(found[1], found[0], 1e-12)


@pytest.mark.slow
def test_updates_that_differ_in_number_by_fold_share_a_program_of_plain_descent(traces: list[int]) -> None:
    settings: dict[str, Any] = {"optimizer": "sgd", "batch_size": 1}
    grid = {"learning_rate": [0.01, 0.1], "alpha": [0.0, 0.1]}
    ours = MLPClassifierSweep(small(**settings), grid, cv=3, refit=False).fit(X, LABELS)
    assert len(traces) == 1
    theirs = GridSearchCV(small(**settings), grid, cv=3, refit=False).fit(X, LABELS)
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])


@pytest.mark.slow
def test_the_best_is_fitted_on_everything_and_answers() -> None:
    candidates = ParameterSampler({"learning_rate": [0.001, 0.05], "activation": ["relu", "tanh"]}, 3, random_state=0)
    found = MLPClassifierSweep(small(), candidates, cv=2, scoring="neg_log_loss").fit(X, NAMES, WEIGHTS)
    results = found.cv_results_
    assert found.best_index_ == np.argmax(results["mean_test_score"]) == np.argmin(results["rank_test_score"])
    assert found.best_score_ == results["mean_test_score"][found.best_index_]
    best = small(**found.best_params_).fit(X, NAMES, WEIGHTS)
    assert_agree(found.best_estimator_.params_, best.params_)
    assert found.classes_.tolist() == ["ape", "bee", "cat"]
    for method in ("predict", "predict_proba", "predict_log_proba", "transform"):
        np.testing.assert_array_equal(getattr(found, method)(X), getattr(best, method)(X))
    assert found.score(X, NAMES) < 0
    piped = make_pipeline(StandardScaler(), MLPClassifierSweep(small(), {"learning_rate": [0.05]}, cv=2))
    assert piped.fit(X, NAMES).score(X, NAMES) > 0.3


def test_a_fit_that_diverges_scores_nothing_and_disturbs_nobody() -> None:
    settings: dict[str, Any] = {"activation": "identity", "optimizer": "sgd", "max_iter": 200}
    grid = {"learning_rate": [1e6, 0.01, 0.1]}
    with pytest.warns(FitFailedWarning, match="no longer finite in 2 of 6 fits"):
        found = MLPClassifierSweep(small(**settings), grid, cv=2, refit=False).fit(X, LABELS)
    assert np.isnan(found.cv_results_["mean_test_score"]).tolist() == [True, False, False]
    assert found.cv_results_["rank_test_score"][0] == 3
    with rejects("no longer finite in 2 of 6 fits"):
        MLPClassifierSweep(small(**settings), grid, cv=2, error_score="raise").fit(X, LABELS)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"rate": [1]}, "param_grid has 'rate'"),
        ([], "no candidate"),
        ({"learning_rate": [0.1, -1]}, "learning_rate is -1"),
        ({"class_weight": [{9: 1}]}, "class_weight names 9"),
    ],
)
def test_grids_are_checked_before_anything_is_trained(grid: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "train_lanes", None)
    with rejects(message):
        MLPClassifierSweep(small(), grid).fit(X, LABELS)


def test_only_our_classifier_can_be_searched() -> None:
    with rejects("estimator is a StandardScaler"):
        MLPClassifierSweep(StandardScaler(), {"alpha": [1]}).fit(X, LABELS)  # pyright: ignore[reportArgumentType]
    with rejects("error_score is 'none'"):
        MLPClassifierSweep(small(), {"alpha": [1]}, error_score="none").fit(X, LABELS)


def test_it_says_what_is_done_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    MLPClassifierSweep(small(), {"learning_rate": [0.05]}, cv=2, refit=False, verbose=True).fit(X, LABELS)
    assert capsys.readouterr().out == "2 of 2 fits\n"
