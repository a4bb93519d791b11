"""`jaxmlp.MLPClassifierSweep`: a grid search whose candidates and folds all train in one compiled program."""

import time
import warnings
from numbers import Integral
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxmlp.checks import check_weights
from jaxmlp.classifier.estimator import MLPClassifier
from jaxmlp.classifier.one_fit import say
from jaxmlp.classifier.search.blocks import FitOutcome, train_fits
from jaxmlp.classifier.search.fits import Folds, Samples, fits, folds_of
from jaxmlp.classifier.search.results import candidates_of, results_of
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
        cv: folds: a number, a splitter, or an iterable of (training rows, test rows): row numbers, negative ones
            count from the end, or masks.
        refit: train the best candidate on all samples; `predict` and the like need it. A function of ``cv_results_``
            gives the number of the candidate that is to be the best; then there is no ``best_score_``.
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
        self, estimator: MLPClassifier, param_grid: Any, *, scoring: Any = None, cv: Any = None, refit: Any = True,
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
            InputError: a parameter, weight, label or fold that cannot be used; with ``error_score="raise"`` an infinite
                loss.
            IndexError: a fold has a row that is not there; ``refit`` gave a candidate that is not there.
            TypeError: ``refit`` gave no whole number.
        """
        estimator: Any = self.estimator
        if not isinstance(estimator, MLPClassifier):
            raise InputError(f"estimator is a {type(estimator).__name__}, expected an MLPClassifier")
        if self.error_score != "raise" and not isinstance(self.error_score, (int, float)):
            raise InputError(f"error_score is {self.error_score!r}, expected a number or raise")
        if not isinstance(self.refit, (bool, np.bool_)) and not callable(self.refit):
            raise InputError(f"refit is {self.refit!r}, expected True, False or a function of cv_results_")
        params = candidates_of(self.param_grid, self.estimator.get_params(deep=False))
        base = self.estimator.get_params(deep=False)
        candidates = [{**base, **given} for given in params]
        validated: Any = validate_data(self, X, y, accept_sparse="csr", dtype=["float64", "float32"])
        x, y = validated
        check_classification_targets(y)
        x = x if isinstance(x, np.ndarray) else x.toarray()
        splitter: Any = check_cv(self.cv, y, classifier=True)
        folds = folds_of(splitter.split(x, y, groups), len(x))
        self.classes_, labels = np.unique(y, return_inverse=True)
        weights = check_weights(sample_weight, len(x))
        outcomes = self._outcomes(candidates, Samples(x, labels, self.classes_, weights), folds)
        scores, score_times = self._scores(outcomes, x, y, folds)
        self.n_splits_ = len(folds)
        shape = (len(candidates), len(folds))
        fit_times = np.asarray([outcome.seconds for outcome in outcomes]).reshape(shape)
        self.cv_results_ = results_of(params, scores.reshape(shape), fit_times, score_times.reshape(shape))
        self.best_index_ = self._chosen()
        self.best_params_ = params[self.best_index_]
        if not callable(self.refit):
            self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        if self.refit:
            start = time.perf_counter()
            best: Any = clone(self.estimator)
            self.best_estimator_ = best.set_params(**self.best_params_).fit(X, y, sample_weight)
            self.refit_time_ = time.perf_counter() - start
        return self

    def _chosen(self) -> int:
        """The candidate that is the best: of the first rank, or whichever the function ``refit`` names."""
        if not callable(self.refit):
            return int(np.argmin(self.cv_results_["rank_test_score"]))
        chosen: Any = self.refit(self.cv_results_)
        if not isinstance(chosen, Integral):
            raise TypeError(f"refit gave {chosen!r}, expected the number of a candidate")
        index, last = int(chosen), len(self.cv_results_["params"]) - 1
        if not 0 <= index <= last:
            raise IndexError(f"refit gave {index}, expected a candidate, 0..{last}")
        return index

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
