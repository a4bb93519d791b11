"""`jaxmlp.MLPClassifierSweep`: a grid search whose candidates and folds all train in one compiled program."""

import time
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import ParameterGrid, check_cv
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxmlp.checks import check_weights
from jaxmlp.classifier.estimator import MLPClassifier
from jaxmlp.classifier.one_fit import say
from jaxmlp.classifier.search.blocks import FitOutcome, train_fits
from jaxmlp.classifier.search.fits import Folds, Samples, fits
from jaxmlp.classifier.settings import check_settings
from jaxmlp.errors import InputError
from jaxmlp.runtime import computing

__all__ = ["MLPClassifierSweep"]


class MLPClassifierSweep(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """scikit-learn's ``GridSearchCV`` for `MLPClassifier`, without its loop: fits run side by side on all devices.

    Candidates of one depth, activation, optimiser and batch size share one compiled program with all their folds,
    whatever their widths, learning rates, penalties, tolerances, seeds and class weights; others get one more each. So
    do folds with a different number of updates per epoch, except with plain sgd.
    A fit does what ``MLPClassifier.fit`` does with the same parameters on the same rows, from the same random
    numbers: results agree to rounding. Two differences: every network has an output for every class of ``y``, also
    where a fold lacks one; and candidates whose ``random_state`` is None share one new seed.

    Args:
        estimator: an `MLPClassifier`, for the parameters that are not searched.
        param_grid: as for ``GridSearchCV``: a dictionary of lists, a list of such dictionaries, or any iterable of
            dictionaries of values, such as ``ParameterSampler``.
        scoring: None for accuracy, computed with the training; a name or function of scikit-learn costs a call per fit.
        cv: folds: a number, a splitter, or an iterable of (training rows, test rows).
        refit: train the best candidate on all samples; `predict` and the like need it.
        error_score: of a fit whose loss is no longer finite, or "raise".
        verbose: log one line per block of fits, as `MLPClassifier`.

    Attributes:
        cv_results_: as ``GridSearchCV``: ``params``, ``param_*``, ``split*_test_score``, ``mean_``, ``std_`` and
            ``rank_test_score``, times in seconds (those of the program, divided evenly).
        best_index_: of the best mean test score; the first of equals.
        best_params_: its parameters, of those searched.
        best_score_: its mean test score.
        best_estimator_: the classifier fitted on all samples; with ``refit``.
        n_splits_: folds.
        refit_time_: seconds.

    Scale inputs before the search, in a pipeline around it: the folds of one program share their inputs.
    """

    def __init__(
        self, estimator: MLPClassifier, param_grid: Any, *, scoring: Any = None, cv: Any = None, refit: bool = True,
        error_score: Any = np.nan, verbose: bool = False,
    ) -> None:  # fmt: skip
        self.estimator = estimator
        self.param_grid = param_grid
        self.scoring = scoring
        self.cv = cv
        self.refit = refit
        self.error_score = error_score
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None, groups: Any = None) -> Self:
        """Train every candidate on every fold, then the best on all samples.

        Args:
            X: ``[n, n_in]``, dense or sparse (made dense).
            y: labels ``[n]`` of any type.
            sample_weight: ``[n]``; scores are unweighted, as those of ``GridSearchCV``.
            groups: for the splitter.

        Raises:
            InputError: a parameter, weight or label that cannot be used; with ``error_score="raise"`` an infinite loss.
        """
        estimator: Any = self.estimator
        if not isinstance(estimator, MLPClassifier):
            raise InputError(f"estimator is a {type(estimator).__name__}, expected an MLPClassifier")
        if self.error_score != "raise" and not isinstance(self.error_score, (int, float)):
            raise InputError(f"error_score is {self.error_score!r}, expected a number or raise")
        params = _candidates(self.param_grid, self.estimator.get_params(deep=False))
        base = self.estimator.get_params(deep=False)
        candidates = [{**base, **given} for given in params]
        validated: Any = validate_data(self, X, y, accept_sparse="csr", dtype=["float64", "float32"])
        x, y = validated
        check_classification_targets(y)
        x = x if isinstance(x, np.ndarray) else x.toarray()
        splitter: Any = check_cv(self.cv, y, classifier=True)
        folds = list(splitter.split(x, y, groups))
        self.classes_, labels = np.unique(y, return_inverse=True)
        weights = check_weights(sample_weight, len(x))
        outcomes = self._outcomes(candidates, Samples(x, labels, self.classes_, weights), folds)
        scores, score_times = self._scores(outcomes, x, y, folds)
        self.n_splits_ = len(folds)
        shape = (len(candidates), len(folds))
        fit_times = np.asarray([outcome.seconds for outcome in outcomes]).reshape(shape)
        self.cv_results_ = _results(params, scores.reshape(shape), fit_times, score_times.reshape(shape))
        self.best_index_ = int(np.argmin(self.cv_results_["rank_test_score"]))
        self.best_params_ = params[self.best_index_]
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        if self.refit:
            start = time.perf_counter()
            best: Any = clone(self.estimator)
            self.best_estimator_ = best.set_params(**self.best_params_).fit(X, y, sample_weight)
            self.refit_time_ = time.perf_counter() - start
        return self

    def _outcomes(self, candidates: list[dict[str, Any]], samples: Samples, folds: Folds) -> list[FitOutcome]:
        """One for each fit, candidates outermost; candidates of one dtype and device train together."""
        kinds: dict[tuple[str, Any], list[int]] = {}
        for number, parameters in enumerate(candidates):
            dtype = check_settings(parameters).dtype or str(samples.x.dtype)
            kinds.setdefault((dtype, parameters["device"]), []).append(number)
        found: dict[int, list[FitOutcome]] = {}
        for (dtype, device), numbers in kinds.items():
            typed = samples._replace(x=samples.x.astype(dtype))
            with computing(dtype, device):
                made = fits([candidates[number] for number in numbers], typed, folds)
                outcomes = train_fits(made, typed, folds, device, self._report)
            for at, number in enumerate(numbers):
                found[number] = outcomes[at * len(folds) : (at + 1) * len(folds)]
        lost = sum(outcome.diverged for number in found for outcome in found[number])
        if lost:
            message = f"the loss is no longer finite in {lost} of {len(candidates) * len(folds)} fits"
            if self.error_score == "raise":
                raise InputError(f"{message}, expected smaller learning rates, or inputs scaled to a deviation of 1")
            warnings.warn(f"{message}: their score is {self.error_score}", FitFailedWarning, stacklevel=3)
        return [outcome for number in range(len(candidates)) for outcome in found[number]]

    def _report(self, done: int, total: int) -> None:
        if self.verbose:
            say(f"{done:,} of {total:,} fits")

    def _scores(
        self, outcomes: list[FitOutcome], x: NDArray[Any], y: NDArray[Any], folds: Folds
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """The score of each fit, and the seconds it took."""
        scores, seconds = np.zeros(len(outcomes)), np.zeros(len(outcomes))
        scorer = None if self.scoring in (None, "accuracy") else check_scoring(self.estimator, self.scoring)
        for number, outcome in enumerate(outcomes):
            start = time.perf_counter()
            if outcome.diverged:
                scores[number] = self.error_score
            elif scorer is None:
                scores[number] = outcome.test_accuracy
            else:
                test = folds[outcome.fit.fold][1]
                scores[number] = cast(Any, scorer)(self._classifier(outcome), x[test], y[test])
            seconds[number] = time.perf_counter() - start
        return scores, seconds

    def _classifier(self, outcome: FitOutcome) -> MLPClassifier:
        """The fitted classifier of one fit."""
        made: Any = MLPClassifier(**outcome.fit.parameters)
        made.classes_, made.params_, made.n_iter_ = self.classes_, outcome.params, outcome.epochs
        made.n_features_in_ = outcome.params[0].weights.shape[1]
        return made

    def _best(self) -> Any:
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_

    def predict(self, X: Any) -> NDArray[Any]:
        """The best classifier's predictions; see `MLPClassifier`, also for the next ones."""
        return self._best().predict(X)

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Probabilities ``[n, n_classes]``."""
        return self._best().predict_proba(X)

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Their logarithms."""
        return self._best().predict_log_proba(X)

    def transform(self, X: Any) -> NDArray[Any]:
        """Values of its hidden layer."""
        return self._best().transform(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The score that was searched by: accuracy, or that of ``scoring``."""
        if self.scoring is None:
            return self._best().score(X, y, sample_weight)
        scorer: Any = check_scoring(self.estimator, self.scoring)
        return scorer(self._best(), X, y)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _candidates(grid: Any, base: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The dictionaries of a grid; raises InputError for an unknown parameter, or none at all."""
    iterable: Iterable[Any] = ParameterGrid(grid) if isinstance(grid, (Mapping, list, tuple)) else grid
    found = [dict(given) for given in iterable]
    if not found:
        raise InputError("param_grid has no candidate, expected one or more")
    for given in found:
        for name in given:
            if name not in base:
                raise InputError(f"param_grid has {name!r}, expected parameters of MLPClassifier")
    return found


def _results(
    params: list[dict[str, Any]], scores: NDArray[Any], fit_times: NDArray[Any], score_times: NDArray[Any]
) -> dict[str, Any]:
    """``cv_results_`` from ``[candidates, folds]`` each."""
    results: dict[str, Any] = {}
    for name, times in (("fit", fit_times), ("score", score_times)):
        results[f"mean_{name}_time"], results[f"std_{name}_time"] = times.mean(axis=1), times.std(axis=1)
    for name in sorted({name for given in params for name in given}):
        column = np.ma.MaskedArray(np.empty(len(params), object), mask=True)
        for number, given in enumerate(params):
            if name in given:
                column[number] = given[name]
        results[f"param_{name}"] = column
    results["params"] = params
    for fold in range(scores.shape[1]):
        results[f"split{fold}_test_score"] = scores[:, fold]
    mean = scores.mean(axis=1)
    results["mean_test_score"], results["std_test_score"] = mean, scores.std(axis=1)
    worst = np.where(np.isnan(mean), np.nanmin(mean, initial=0) - 1, mean)  # a failed candidate is the last
    results["rank_test_score"] = rankdata(-worst, method="min").astype(np.int32)
    return results
