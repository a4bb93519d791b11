"""`jaxmlp.MLPClassifierSearch`, `jaxmlp.MLPRegressorSearch`: searches that train all candidates and folds together."""

from typing import Any, Self

from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from jaxmlp.classifier.estimator import MLPClassifier
from jaxmlp.classifier.grid.searching import Searching
from jaxmlp.classifier.regressor import MLPRegressor

__all__ = ["MLPClassifierSearch", "MLPRegressorSearch"]


def refitted(search: Any) -> bool:
    """Whether there is, or will be, a best estimator; raises AttributeError where there is none to come."""
    if not search.refit:
        raise AttributeError(f"refit is {search.refit!r}, expected True: the best estimator predicts")
    return True


def best_of(search: Any) -> Any:
    """The best estimator of a search that is fitted."""
    check_is_fitted(search, "best_estimator_")
    return search.best_estimator_


class _Answers:
    """What the two searches share: everything but the kind of network. It comes before scikit-learn's mixins."""

    scoring: Any
    refit: Any
    scorer_: Any
    best_estimator_: Any
    _search: Any

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None, groups: Any = None) -> Self:
        """Train every candidate on every fold, then the best on all samples.

        Args:
            X: ``[n, n_in]``, dense or sparse (made dense); before a Pipeline whatever its first step takes.
            y: targets ``[n]`` or ``[n, K]``.
            sample_weight: ``[n]``, for the networks, and for the scores of every scorer that takes weights, as
                GridSearchCV has it.
            groups: for the splitter.

        Raises:
            InputError: a parameter, weight, target or fold that cannot be used.
            IndexError: a fold has a row that is not there; ``refit`` gave a candidate that is not there.
            TypeError: ``refit`` gave no whole number.
            ValueError: all fits failed. With ``error_score="raise"`` the first failure, whatever it is.
        """
        return self._search(X, y, sample_weight, groups)

    @available_if(refitted)
    def predict(self, X: Any) -> NDArray[Any]:
        """The best estimator's predictions; see `MLPClassifier` and `MLPRegressor`, also for the next ones."""
        return best_of(self).predict(X)

    @available_if(refitted)
    def transform(self, X: Any) -> NDArray[Any]:
        """Values of its hidden layer."""
        return best_of(self).transform(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The score that the best was chosen by."""
        best = best_of(self)
        if self.scoring is None:
            return best.score(X, y, **({} if sample_weight is None else {"sample_weight": sample_weight}))
        scorer: Any = self.scorer_[self.refit] if isinstance(self.scorer_, dict) else self.scorer_
        found = scorer(best, X, y)
        return found[self.refit] if isinstance(found, dict) else found

    def __sklearn_tags__(self) -> Any:
        tags: Any = super().__sklearn_tags__()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class MLPClassifierSearch(_Answers, ClassifierMixin, TransformerMixin, Searching):
    """scikit-learn's ``GridSearchCV`` for `MLPClassifier`, without its loop: fits run side by side on all devices.

    Candidates of one depth, activation, optimiser and batch size share one compiled program with all their folds,
    whatever their widths, learning rates, penalties, tolerances, seeds and class weights; others get one more each. So
    do folds with a different number of updates per epoch, except with plain sgd.
    A fit does what ``MLPClassifier.fit`` does with the same parameters on the same rows, from the same random
    numbers: results agree to rounding. Two differences: every network has an output for every class of ``y``, also
    where a fold lacks one; and candidates whose ``random_state`` is None share one new seed.

    Args:
        estimator: an `MLPClassifier`, or a ``Pipeline`` that ends in one: its other steps, such as a scaler, are
            fitted on the training rows of each fold. For the parameters that are not searched.
        param_grid: as for ``GridSearchCV``: a dictionary of lists, a list of such dictionaries, or any iterable of
            dictionaries of values; a Pipeline's parameters have names such as ``mlpclassifier__alpha``. With
            ``n_iter`` as for ``RandomizedSearchCV``: values may be distributions.
        scoring: None for the estimator's own score, computed with the training; a name or function of scikit-learn,
            or several (a list, a dictionary, a function that gives one): these cost a call per fit.
        cv: folds: a number, a splitter, or an iterable of (training rows, test rows): row numbers, negative ones
            count from the end, or masks.
        refit: train the best candidate on all samples; `predict` and the like need it. Of several metrics the name of
            the one to choose by. A function of ``cv_results_`` gives the number of the candidate that is to be the
            best; then there is no ``best_score_``.
        error_score: of a fit that fails or diverges, and of a scorer that fails; or "raise".
        return_train_score: score the training rows of each fold too; costs a call per fit.
        n_iter: how many candidates to draw; None: the whole grid.
        random_state: of the draws.
        verbose: log one line per block of fits, as `MLPClassifier`.

    Attributes:
        cv_results_: as ``GridSearchCV``: ``params``, ``param_*``, ``split*_test_score``, ``mean_``, ``std_`` and
            ``rank_test_score`` (or each metric's name instead of "score"; or "train"), times in seconds (those of the
            program, divided evenly).
        best_index_: of the best mean test score; the first of equals.
        best_params_: its parameters, of those searched.
        best_score_: its mean test score.
        best_estimator_: fitted on all samples; with ``refit``.
        scorer_: the scorer, or a dictionary of them; ``multimetric_``: whether there are several.
        n_splits_: folds.
        refit_time_: seconds.
    """

    kind = MLPClassifier

    @property
    def classes_(self) -> NDArray[Any]:
        """The classes of the best estimator, sorted."""
        return self.best_estimator_.classes_

    @available_if(refitted)
    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Probabilities ``[n, n_classes]``."""
        return best_of(self).predict_proba(X)

    @available_if(refitted)
    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Their logarithms."""
        return best_of(self).predict_log_proba(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressorSearch(_Answers, RegressorMixin, TransformerMixin, Searching):
    """The search for `MLPRegressor`: everything as for `MLPClassifierSearch`; its own score is R2."""

    kind = MLPRegressor

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
