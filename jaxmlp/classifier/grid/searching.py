"""The search itself: candidates and folds to fits, fits to scores, scores to the best."""

import time
import warnings
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.model_selection import check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array, indexable
from sklearn.utils.validation import validate_data

from jaxmlp.checks import InputError, check_weights
from jaxmlp.classifier.grid.blocks import FitOutcome, train_fits
from jaxmlp.classifier.grid.candidates import Candidate, before_of, candidates_of, drawn
from jaxmlp.classifier.grid.fits import Failed, Samples, fits, folds_of
from jaxmlp.classifier.grid.results import by_metric, results_of
from jaxmlp.classifier.grid.rows import Rows, View, dense, fitted, inputs_of, views_of
from jaxmlp.classifier.grid.scoring import Scorers, check_refit, scorers_of
from jaxmlp.classifier.network_estimator import NetworkEstimator
from jaxmlp.classifier.reports import say
from jaxmlp.classifier.targets import as_rows
from jaxmlp.runtime import computing

__all__ = ["Searching"]


class Searching(MetaEstimatorMixin, BaseEstimator):
    """An estimator that searches; see `MLPClassifierSearch`, whose parameters it reads."""

    kind: type[NetworkEstimator]

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        scoring: Any = None,
        cv: Any = None,
        refit: Any = True,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        n_iter: int | None = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.estimator = estimator
        self.param_grid = param_grid
        self.scoring = scoring
        self.cv = cv
        self.refit = refit
        self.error_score = error_score
        self.return_train_score = return_train_score
        self.n_iter = n_iter
        self.random_state = random_state
        self.verbose = verbose

    def _search(self, X: Any, y: Any, sample_weight: ArrayLike | None, groups: Any) -> Self:
        if self.error_score != "raise" and not isinstance(self.error_score, (int, float)):
            raise InputError(f"error_score is {self.error_score!r}, expected a number or raise")
        params = drawn(self.param_grid, self.n_iter, self.random_state)
        candidates = candidates_of(self.estimator, params, self.kind)
        _, first, network = candidates[0]
        scorers = scorers_of(self.scoring, first, network, self.refit)
        rows = self._rows(network, X, y, sample_weight, groups)
        self.targets_, self.n_splits_ = rows.targets, len(rows.folds)
        if sample_weight is not None:
            scorers.say_who_takes_no_weights()
        failed: Failed = {}
        views = views_of(candidates, rows, failed) if before_of(self.estimator) else None
        outcomes = self._outcomes(candidates, views, rows, failed)
        self._say(outcomes, failed, len(candidates) * len(rows.folds))
        self.cv_results_ = self._results(candidates, outcomes, views, scorers, rows)
        self.scorer_ = scorers.by_name or scorers.one
        self.multimetric_ = "mean_test_score" not in self.cv_results_
        if self.multimetric_:
            check_refit(self.refit, [name[10:] for name in self.cv_results_ if name.startswith("mean_test_")])
        self._choose(params)
        if self.refit:
            self._refit(X, y, sample_weight)
        return self

    def _rows(self, network: Any, X: Any, y: Any, sample_weight: Any, groups: Any) -> Rows:
        """The data, checked: without steps before the network its inputs too."""
        found: Any = indexable(X, y)  # lists as arrays, sparse matrices as ones with rows
        if before_of(self.estimator):
            kinds: Any = {"accept_sparse": "csr", "dtype": "numeric" if network.numeric else None, "ensure_2d": False}
            checked: Any = as_rows(check_array(found[1], **kinds))
            inputs = None
        else:
            kinds = {"accept_sparse": "csr", "dtype": ["float64", "float32"], "y_numeric": network.numeric}
            validated: Any = validate_data(self, *found, multi_output=True, **kinds)
            inputs, checked = dense(validated[0]), as_rows(validated[1])
        targets, n = network.targets_of(checked), len(checked)
        splitter: Any = check_cv(self.cv, checked, classifier=targets.classes is not None)
        folds, weights = folds_of(splitter.split(found[0], checked, groups), n), check_weights(sample_weight, n)
        if len(folds) != (said := splitter.get_n_splits(found[0], checked, groups)):
            raise InputError(f"cv splits into {len(folds)} folds, expected {said}, as its get_n_splits says")
        scored = weights if sample_weight is not None else None
        return Rows(found[0], found[1], inputs, targets, weights, scored, folds)

    def _outcomes(
        self, candidates: Sequence[Candidate], views: Sequence[Sequence[View | None]] | None, rows: Rows, failed: Failed
    ) -> dict[tuple[int, int], FitOutcome]:
        """By candidate and fold. Those of one dtype, device and inputs train together."""
        kinds: dict[Any, list[tuple[int, int, dict[str, Any]]]] = {}
        for number, candidate in enumerate(candidates):
            seen = views[number] if views else ()
            try:
                parameters = candidate.network.parameters()
            except Exception as error:  # of a subclass, which may make them from others
                failed |= {(number, fold): error for fold in range(len(rows.folds))}
                continue
            for fold in range(len(rows.folds)):
                if (number, fold) not in failed:
                    x: Any = seen[fold].x if views else rows.inputs  # pyright: ignore[reportOptionalMemberAccess]
                    dtype = parameters["dtype"] if parameters["dtype"] in ("float32", "float64") else str(x.dtype)
                    key = (dtype, parameters["device"], x.shape[1], tuple(map(id, seen)))
                    kinds.setdefault(key, []).append((number, fold, parameters))
        found: dict[tuple[int, int], FitOutcome] = {}
        shown = 0

        def report(done: int) -> None:
            nonlocal shown
            shown += done
            if self.verbose:
                say(f"{shown:,} of {len(candidates) * len(rows.folds):,} fits")

        weights = np.ones(len(rows.weights)) if rows.score_weights is None else rows.score_weights
        for (dtype, device, *_), wanted in kinds.items():
            x = inputs_of(views[wanted[0][0]] if views else None, wanted, rows).astype(dtype)
            samples = Samples(x, rows.targets, rows.weights, weights)
            with computing(dtype, device):
                made = fits(wanted, samples, rows.folds, failed)
                for outcome in train_fits(made, samples, rows.folds, device, report, failed):
                    found[outcome.fit.candidate, outcome.fit.fold] = outcome
        for at, outcome in found.items():
            if outcome.diverged:
                said = "expected a smaller learning rate, or inputs scaled to a standard deviation of 1"
                failed[at] = InputError(f"the loss is no longer finite, {said}")
        return {at: outcome for at, outcome in found.items() if at not in failed}

    def _say(self, outcomes: dict[tuple[int, int], FitOutcome], failed: Failed, total: int) -> None:
        """Warn of fits that failed or went on to max_iter; raise where all failed, or as ``error_score`` wants it."""
        if failed:
            at, error = min(failed.items())
            if self.error_score == "raise":
                raise error
            said = f"{type(error).__name__} of candidate {at[0]}, fold {at[1]}: {error}"
            if len(failed) == total:
                raise InputError(f"All the {total} fits failed, expected one that does not; {said}") from error
            said = f"{len(failed)} fits failed out of a total of {total}, their score is {self.error_score}; {said}"
            warnings.warn(said, FitFailedWarning, stacklevel=4)
        fitted = outcomes.values()
        ended = sum(each.epochs == each.fit.parameters["max_iter"] and not each.converged for each in fitted)
        if ended:
            said = f"{ended} of {total} fits: training ended at max_iter before tol ended it"
            warnings.warn(said, ConvergenceWarning, stacklevel=4)

    def _results(
        self,
        candidates: Sequence[Candidate],
        outcomes: dict[tuple[int, int], FitOutcome],
        views: Sequence[Sequence[View | None]] | None,
        scorers: Scorers,
        rows: Rows,
    ) -> dict[str, Any]:
        """``cv_results_``."""
        shape = len(candidates), len(rows.folds)
        times = {name: np.zeros(shape) for name in ("fit", "score")}
        scores: dict[str, dict[tuple[int, int], dict[str, float]]] = {"test": {}, "train": {}}
        for at, outcome in outcomes.items():
            began, (training, test) = time.perf_counter(), rows.folds[at[1]]
            made = fitted(candidates[at[0]], outcome, rows.targets, views[at[0]][at[1]] if views else None, self)
            if scorers.own:
                scores["test"][at] = {"score": outcome.test_score}
            else:
                scores["test"][at] = scorers.scores(made, *rows.part(test), self.error_score)
            times["fit"][at], times["score"][at] = outcome.seconds, time.perf_counter() - began
            if self.return_train_score:
                scores["train"][at] = scorers.scores(made, *rows.part(training), self.error_score)
        test, train = (by_metric(each, shape, self.error_score) for each in scores.values())
        return results_of([candidate.params for candidate in candidates], test, train, times)

    def _choose(self, params: Sequence[dict[str, Any]]) -> None:
        """Set which candidate is the best: of the first rank, or whichever the function ``refit`` names."""
        if self.multimetric_ and not self.refit:
            return
        metric = self.refit if self.multimetric_ else "score"
        if not callable(self.refit):
            self.best_index_ = int(np.argmin(self.cv_results_[f"rank_test_{metric}"]))
            self.best_score_ = float(self.cv_results_[f"mean_test_{metric}"][self.best_index_])
        else:
            chosen: Any = self.refit(self.cv_results_)
            if not isinstance(chosen, Integral):
                raise TypeError(f"refit gave {chosen!r}, expected the number of a candidate")
            if not 0 <= int(chosen) < len(params):
                raise IndexError(f"refit gave {int(chosen)}, expected a candidate, 0..{len(params) - 1}")
            self.best_index_ = int(chosen)
        self.best_params_ = params[self.best_index_]

    def _refit(self, X: Any, y: Any, sample_weight: Any) -> None:
        """Fit the best candidate on all samples."""
        start = time.perf_counter()
        best: Any = clone(self.estimator)
        last = f"{best.steps[-1][0]}__" if isinstance(best, Pipeline) else ""
        weights = {} if sample_weight is None else {f"{last}sample_weight": sample_weight}
        given: Any = clone(self.best_params_, safe=False)  # pyright: ignore[reportArgumentType]
        best.set_params(**given)
        self.best_estimator_ = best.fit(X, y, **weights)
        self.refit_time_ = time.perf_counter() - start
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.best_estimator_, name):
                setattr(self, name, getattr(self.best_estimator_, name))
