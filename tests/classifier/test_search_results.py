"""What the search makes of its fits: scores, ranks, the choice and the refit, of outcomes that are given."""

import itertools
import warnings
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, ParameterSampler

from jaxmlp import MLPClassifier, MLPClassifierSearch, Params
from jaxmlp.classifier.grid import searching
from jaxmlp.classifier.grid.blocks import FitOutcome
from jaxmlp.classifier.grid.fits import Failed, Fit, Folds, Samples
from tests.classifier.test_classifier import LABELS, NAMES, WEIGHTS, X, small
from tests.helpers import assert_agree, rejects, told_by

pytestmark = [
    pytest.mark.filterwarnings("ignore:max_iter is:sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.* training ended at max_iter:sklearn.exceptions.ConvergenceWarning"),
]

FOLDS = [(np.arange(10, 40), np.arange(10)), (np.arange(30), np.arange(30, 40))]


def trained(params: Params) -> Params:
    return jax.tree.map(lambda leaf: np.asarray(leaf) + 1, params)


class Lanes:
    """In the place of `train_fits`: the next outcomes of those given; `calls` and `made` are its arguments."""

    def __init__(
        self, accuracies: Sequence[float], diverged: Sequence[int] = (), seconds: Sequence[float] = ()
    ) -> None:
        self.accuracies, self.diverged, self.seconds = accuracies, diverged, seconds or [1.0] * len(accuracies)
        self.outcomes = iter(range(len(accuracies)))
        self.calls: list[tuple[Samples, Folds, str, bool]] = []
        self.made: list[list[Fit]] = []

    def __call__(
        self, made: list[Fit], samples: Samples, folds: Folds, device: str, report: Callable[[int], None], _: Failed
    ) -> list[FitOutcome]:
        self.calls.append((samples, folds, device, jax.config.jax_enable_x64))  # pyright: ignore
        self.made.append(made)
        report(1)
        return [
            FitOutcome(
                fit, trained(fit.prepared.params), 4, at in self.diverged, True, self.accuracies[at], self.seconds[at]
            )
            for fit, at in zip(made, self.outcomes, strict=False)
        ]


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Lanes]:
    def given(*arguments: Any, **keywords: Any) -> Lanes:
        made = Lanes(*arguments, **keywords)
        monkeypatch.setattr(searching, "train_fits", made)
        return made

    return given


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """From one reading of the clock to the next a second; where its zero is nobody may know."""
    monkeypatch.setattr(searching, "time", SimpleNamespace(perf_counter=itertools.count(-100).__next__))


def swept(grid: Any, *, base: Any = None, weights: Any = None, groups: Any = None, **settings: Any) -> Any:
    given: dict[str, Any] = {"cv": FOLDS, "refit": False, **settings}
    made: Any = MLPClassifierSearch(small() if base is None else base, grid, **given)
    return made.fit(X, NAMES, weights, groups)


@pytest.mark.usefixtures("ticking")
def test_results_by_hand(lanes: Callable[..., Lanes]) -> None:
    lanes([0.5, 0.7, 0.9, 0.7, 0.8, 0.8, 0.1, 0.3], seconds=[1, 3, 2, 2, 4, 8, 0, 0])
    grid = [{"alpha": [0.1, 0.2]}, {"alpha": [0.3], "tol": [0.5, 0.6]}]
    found = swept(grid)
    results = found.cv_results_
    kinds = ("fit_time", "score_time", "test_score")
    names = {f"{name}_{kind}" for kind in kinds for name in ("mean", "std")}
    assert set(results) == {
        *names, "params", "param_alpha", "param_tol", "split0_test_score", "split1_test_score", "rank_test_score",
    }  # fmt: skip
    assert results["params"] == [{"alpha": 0.1}, {"alpha": 0.2}, {"alpha": 0.3, "tol": 0.5}, {"alpha": 0.3, "tol": 0.6}]
    assert results["param_alpha"].tolist() == [0.1, 0.2, 0.3, 0.3]
    assert results["param_tol"].tolist() == [None, None, 0.5, 0.6]
    assert (results["param_alpha"].dtype, results["param_tol"].dtype) == ("float64", "float64")
    assert results["param_tol"].mask.tolist() == [True, True, False, False]
    assert results["split0_test_score"].tolist() == [0.5, 0.9, 0.8, 0.1]
    assert results["split1_test_score"].tolist() == [0.7, 0.7, 0.8, 0.3]
    np.testing.assert_allclose(results["mean_test_score"], [0.6, 0.8, 0.8, 0.2])
    np.testing.assert_allclose(results["std_test_score"], [0.1, 0.1, 0, 0.1], atol=1e-15)
    assert results["rank_test_score"].tolist() == [3, 1, 1, 4]
    assert results["rank_test_score"].dtype == "int32"
    assert results["mean_fit_time"].tolist() == [2, 2, 6, 0]
    assert results["std_fit_time"].tolist() == [1, 0, 2, 0]
    assert (results["mean_score_time"].tolist(), results["std_score_time"].tolist()) == ([1] * 4, [0] * 4)
    assert (found.best_index_, found.best_params_, found.n_splits_) == (1, {"alpha": 0.2}, 2)
    assert found.best_score_ == pytest.approx(0.8)
    assert not hasattr(found, "best_estimator_")


@pytest.mark.parametrize(
    ("diverged", "error_score", "ranks", "best"),
    [
        ([0, 1], np.nan, [3, 1, 2], 1),
        ([1], np.nan, [3, 1, 2], 1),  # one fold is enough
        ([2, 3, 4, 5], np.nan, [1, 2, 2], 0),
        ([0], -3, [1, 2, 3], 0),
        ([0, 1], -99.5, [3, 1, 2], 1),
    ],
)
def test_a_failed_candidate_is_the_last_also_where_scores_are_negative(
    diverged: list[int], error_score: float, ranks: list[int], best: int, lanes: Callable[..., Lanes]
) -> None:
    lanes([0.0] * 6, diverged)
    scores = iter(np.delete([-1.0, -2.0, -5.0, -6.0, -6.0, -7.0], diverged))

    def negative(*_: Any) -> float:
        return next(scores)

    message = f"{len(diverged)} fits failed out of a total of 6, their score is {error_score}; InputError of candidate"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = swept({"alpha": [1, 2, 3]}, scoring=negative, error_score=error_score)
    assert message in str(caught[0].message)
    assert [warning.category for warning in caught] == [FitFailedWarning, *[UserWarning] * int(np.isnan(error_score))]
    assert found.cv_results_["rank_test_score"].tolist() == ranks
    assert found.best_index_ == best
    splits = np.column_stack([found.cv_results_[f"split{fold}_test_score"] for fold in (0, 1)]).ravel()
    np.testing.assert_array_equal(splits[diverged], error_score)


def test_a_failed_fit_is_an_error_where_that_is_asked_for(lanes: Callable[..., Lanes]) -> None:
    lanes([0.5] * 4, [3])
    with rejects("the loss is no longer finite, expected a smaller learning rate, or inputs scaled"):
        swept({"alpha": [1, 2]}, error_score="raise")
    lanes([0.5] * 2)
    assert swept({"alpha": [1]}, error_score="raise").best_score_ == 0.5


@pytest.mark.usefixtures("ticking")
def test_the_best_is_fitted_on_all_rows_with_their_weights_and_the_base_stays_as_it_was(
    lanes: Callable[..., Lanes], monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[Any] = []

    def fit(self: Any, X: Any, y: Any, sample_weight: Any) -> Any:  # noqa: N803
        fits.append((self.get_params(), (X, y, sample_weight)))
        return self

    monkeypatch.setattr(MLPClassifier, "fit", fit)
    lanes([0.5, 0.5, 0.75, 0.75, 0.5, 0.5])
    base = small(tol=0.25)
    found = swept({"alpha": [1, 2, 3]}, base=base, weights=WEIGHTS, refit=True)
    ((parameters, (x, y, weights)),) = fits
    assert parameters == {**base.get_params(), "alpha": 2}
    for given, whole in ((x, X), (y, NAMES), (weights, WEIGHTS)):
        np.testing.assert_array_equal(given, whole)
    assert found.best_estimator_ is not base
    assert base.alpha == 0.0001
    assert found.refit_time_ == 1


def test_a_function_chooses_the_best_from_the_results(lanes: Callable[..., Lanes]) -> None:
    lanes([0.9, 0.9, 0.5, 0.5, 0.7, 0.7])
    found = swept({"alpha": [1, 2, 3]}, refit=lambda results: np.argmin(results["mean_test_score"]))
    assert (found.best_index_, found.best_params_, found.best_estimator_.alpha) == (1, {"alpha": 2}, 2)
    assert not hasattr(found, "best_score_")
    for given, error, message in (
        (1.0, TypeError, "refit gave 1.0, expected the number of a candidate"),
        (None, TypeError, "refit gave None, expected the number of a candidate"),
        (1, IndexError, "refit gave 1, expected a candidate, 0..0"),
        (-1, IndexError, "refit gave -1, expected a candidate, 0..0"),
    ):
        lanes([0.9, 0.9])
        with pytest.raises(error, match=message):
            swept({"alpha": [1]}, refit=lambda _: given)  # noqa: B023 - used at once


@pytest.mark.parametrize("refit", ["nonsense", "accuracy", None, 1])
def test_a_refit_that_says_nothing_is_refused_before_anything_trains(refit: Any, lanes: Callable[..., Lanes]) -> None:
    made = lanes([])
    with rejects(f"refit is {refit!r}, expected True, False or a function of cv_results_"):
        swept({"alpha": [1]}, refit=refit)
    assert made.calls == []


def test_folds_may_be_given_as_masks_negative_numbers_lists_and_slices(lanes: Callable[..., Lanes]) -> None:
    mask = np.arange(40) < 30
    same = [
        (mask, ~mask), (mask.tolist(), (~mask).tolist()), (np.arange(-40, -10), np.arange(-10, 0)),
        (list(range(30)), list(range(30, 40))), (slice(None, 30), slice(30, None)),
    ]  # fmt: skip
    made = lanes([0.5] * len(same))
    swept({"alpha": [1]}, cv=same)
    ((_, folds, _, _),) = made.calls
    assert len(folds) == len(same)
    for training, test in folds:
        np.testing.assert_array_equal(training, np.arange(30))
        np.testing.assert_array_equal(test, np.arange(30, 40))


@pytest.mark.parametrize(
    ("cv", "error", "message"),
    [
        ([], ValueError, "cv has no fold, expected one or more"),
        ([([0, 1], [])], ValueError, "fold 0 of cv has no test row, expected one or more"),
        ([([0, 1], [2]), ([], [3])], ValueError, "fold 1 of cv has no training row, expected one or more"),
        ([([0, 1], [40])], IndexError, "index 40 is out of bounds"),
        ([([0, -41], [1])], IndexError, "index -41 is out of bounds"),
        ([(np.ones(41, bool), [1])], IndexError, "boolean index did not match"),
    ],
)
def test_folds_that_the_data_does_not_have_are_refused(
    cv: Any, error: type[Exception], message: str, lanes: Callable[..., Lanes]
) -> None:
    made = lanes([])
    with pytest.raises(error, match=message):
        swept({"alpha": [1]}, cv=cv)
    assert made.calls == []


def test_folds_as_masks_score_as_scikit_learns_search_does() -> None:
    random = np.random.default_rng(0)
    folds = [(mask, ~mask) for mask in (random.random((2, 40)) < 0.7)]
    found = MLPClassifierSearch(small(), {"alpha": [0.1, 1.0]}, cv=folds, refit=False).fit(X, NAMES)
    theirs: Any = GridSearchCV(small(), {"alpha": [0.1, 1.0]}, cv=folds, refit=False).fit(X, NAMES)
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_allclose(found.cv_results_[name], theirs.cv_results_[name])


def test_a_scorer_sees_each_fit_with_the_test_rows_of_its_fold(lanes: Callable[..., Lanes]) -> None:
    made = lanes([0.0] * 4)
    seen: list[Any] = []

    def scorer(classifier: Any, x: Any, y: Any) -> float:
        seen.append((classifier, x, y))
        return float(len(seen))

    found = swept({"alpha": [1, 2]}, scoring=scorer)
    assert found.cv_results_["split0_test_score"].tolist() == [1, 3]
    assert found.cv_results_["split1_test_score"].tolist() == [2, 4]
    for (classifier, x, y), fit, (_, test) in zip(seen, made.made[0], 2 * FOLDS, strict=True):
        assert classifier.get_params() == fit.parameters
        assert_agree(classifier.params_, trained(fit.prepared.params))
        assert (classifier.classes_.tolist(), classifier.n_iter_, classifier.n_features_in_) == (
            ["ape", "bee", "cat"], 4, 4,
        )  # fmt: skip
        np.testing.assert_array_equal(x, X[test])
        np.testing.assert_array_equal(y, NAMES[test])
        assert classifier.predict(x).shape == (10,)


def test_accuracy_is_that_of_the_program_and_of_the_best_whatever_it_is_called(lanes: Callable[..., Lanes]) -> None:
    for scoring in (None, "accuracy"):
        lanes([0.25, 0.75])
        assert swept({"alpha": [1]}, scoring=scoring).best_score_ == 0.5


def test_the_score_is_what_was_searched_by() -> None:
    found = MLPClassifierSearch(small(), {})
    calls: list[Any] = []

    class Best(MLPClassifier):
        fitted_ = True

        def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
            calls.append((X, y, sample_weight))
            return 0.125

    found.best_estimator_ = Best()
    assert found.score(X, NAMES, WEIGHTS) == 0.125
    assert [part is given for part, given in zip(calls[0], (X, NAMES, WEIGHTS), strict=True)] == [True] * 3
    found.scoring = lambda estimator, x, y: float(estimator is found.best_estimator_ and x is X and y is NAMES) / 4
    found.scorer_ = found.scoring
    assert found.score(X, NAMES) == 0.25


def test_candidates_of_different_precision_train_apart_and_come_back_in_their_places(
    lanes: Callable[..., Lanes],
) -> None:
    made = lanes([n / 8 for n in range(8)])
    grid = {"alpha": [0.0, 1.0], "dtype": ["float32", "float64"]}
    found = swept(grid, weights=WEIGHTS, verbose=False)
    assert [given["dtype"] for given in found.cv_results_["params"]] == ["float32", "float64"] * 2
    # float32 trains first: candidates 0 and 2 have outcomes 0 1 and 2 3, candidates 1 and 3 have 4 5 and 6 7.
    assert (8 * found.cv_results_["split0_test_score"]).tolist() == [0, 4, 2, 6]
    assert (8 * found.cv_results_["split1_test_score"]).tolist() == [1, 5, 3, 7]
    for (samples, folds, device, x64), group, dtype in zip(made.calls, made.made, ("float32", "float64"), strict=True):
        assert (samples.x[0].dtype, x64, device) == (dtype, dtype == "float64", "auto")
        assert [fit.parameters["dtype"] for fit in group] == [dtype] * 4
        assert [fit.parameters["alpha"] for fit in group] == [0, 0, 1, 1]
        np.testing.assert_array_equal(samples.targets.labels, LABELS)
        assert samples.weights.tolist() == WEIGHTS.tolist()
        assert samples.score_weights.tolist() == WEIGHTS.tolist()
        np.testing.assert_array_equal(samples.targets.classes, ["ape", "bee", "cat"])  # pyright: ignore
        assert [test.tolist() for _, test in folds] == [test.tolist() for _, test in FOLDS]
    devices = lanes([0.5] * 4)
    swept({"device": ["cpu", "auto"]})
    assert [device for _, _, device, _ in devices.calls] == ["cpu", "auto"]


def test_every_kind_of_grid_gives_its_candidates(lanes: Callable[..., Lanes]) -> None:
    sampled = ParameterSampler({"alpha": [1, 2, 3]}, 2, random_state=0)
    for grid, expected in (
        ({"alpha": [1], "tol": [2, 3]}, [{"alpha": 1, "tol": 2}, {"alpha": 1, "tol": 3}]),
        ([{"alpha": [1]}, {"tol": [2]}], [{"alpha": 1}, {"tol": 2}]),
        (({"alpha": [1]},), [{"alpha": 1}]),
        (sampled, list(sampled)),
        (iter([{"alpha": 1}, {}]), [{"alpha": 1}, {}]),
    ):
        lanes([0.5] * 2 * len(expected))
        assert swept(grid).cv_results_["params"] == expected


def test_folds_are_the_splitters(lanes: Callable[..., Lanes]) -> None:
    groups = np.arange(40) % 5
    made = lanes([0.0, 0.0, 1.0, 0.0, 0.0])
    found = swept({"alpha": [1]}, cv=LeaveOneGroupOut(), groups=groups)
    assert (found.n_splits_, found.best_score_) == (5, 0.2)
    _, folds, _, _ = made.calls[0]
    for fold, (train, test) in enumerate(folds):
        assert set(groups[test]) == {fold}
        assert fold not in groups[train]
    made = lanes([0.5] * 4)
    assert swept({"alpha": [1]}, cv=4).n_splits_ == 4
    for _, test in made.calls[0][1]:
        assert set(np.bincount(LABELS[test])) <= {3, 4}  # stratified


def test_a_line_for_each_block_only_when_asked(lanes: Callable[..., Lanes], caplog: pytest.LogCaptureFixture) -> None:
    for verbose, told in ((False, ""), (True, "1 of 2 fits\n")):
        lanes([0.5] * 2)
        swept({"alpha": [1]}, verbose=verbose)
        assert told_by(caplog) == told
