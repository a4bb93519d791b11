"""How fits are scored: scikit-learn's scorers, by name, with the samples' weights as its own search has them."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import check_scoring, get_scorer

from jaxmlp.checks import InputError

__all__ = ["Scorers", "check_refit", "scorers_of"]


class Scorers(NamedTuple):
    """The scorers of a search.

    Attributes:
        by_name: of several metrics; empty of one.
        one: of one metric, or a function that may give several.
        own: whether it is the accuracy or R2, which training computes too.
    """

    by_name: dict[str, Callable[..., Any]]
    one: Any
    own: bool

    def say_who_takes_no_weights(self) -> None:
        """Warn of each scorer that does not take the samples' weights, as scikit-learn's searches do."""
        for name, scorer in (self.by_name or {"": self.one}).items():
            if not _takes_weights(scorer):
                said = f"The scoring {name}{'=' * bool(name)}{scorer} does not support sample_weight"
                warnings.warn(f"{said}: its scores are unweighted, though training is not", UserWarning, stacklevel=4)

    def scores(
        self, estimator: Any, X: Any, y: Any, weights: NDArray[Any] | None, error_score: Any
    ) -> dict[str, float]:
        """The scores of a fitted estimator by name, "score" if there is only one.

        Raises:
            InputError: a score that is no number; what a scorer raises if ``error_score`` is "raise", else it is the
                score, with a warning.
        """
        found: dict[str, float] = {}
        for name, scorer in (self.by_name or {"score": self.one}).items():
            try:
                weighted = {} if weights is None or not _takes_weights(scorer) else {"sample_weight": weights}
                value = scorer(estimator, X, y, **weighted)
            except Exception as error:  # whatever a scorer of a person's own brings about
                if error_score == "raise":
                    raise
                said = f"Scoring failed, the score is {error_score}: {type(error).__name__}: {error}"
                warnings.warn(said, UserWarning, stacklevel=4)
                value = error_score
            several = cast(Mapping[str, Any], value) if isinstance(value, dict) else {name: value}
            found |= {key: _number(key, each) for key, each in several.items()}
        return found


def _number(name: str, value: Any) -> float:
    if hasattr(value, "item") and np.ndim(value) == 0:
        value = value.item()
    if not isinstance(value, (int, float)):
        raise InputError(f"scoring gave {value!r:.60} for {name}, expected a number or a dictionary of numbers")
    return float(value)


def _takes_weights(scorer: Any) -> bool:
    says = getattr(scorer, "_accept_sample_weight", None)  # of scikit-learn's scorers; no public name says it
    return says() if says else "sample_weight" in inspect.signature(scorer).parameters


def scorers_of(scoring: Any, estimator: Any, network: Any, refit: Any) -> Scorers:
    """The scorers that ``scoring`` means, as for GridSearchCV.

    Raises:
        InputError: a ``refit`` that doesn't say which candidate is the best. Others are scikit-learn's own ValueError.
    """
    one = scoring is None or isinstance(scoring, str)
    if one or callable(scoring):
        named = isinstance(refit, str) and (not one or refit == scoring)
        if not (isinstance(refit, (bool, np.bool_)) or callable(refit) or named):
            raise InputError(f"refit is {refit!r}, expected True, False or a function of cv_results_")
        usual = type(network).score in (ClassifierMixin.score, RegressorMixin.score)
        own = usual and scoring in (None, "r2" if network.numeric else "accuracy")
        return Scorers({}, check_scoring(estimator, scoring), own)
    check_scoring(estimator, scoring)
    pairs: Any = scoring.items() if isinstance(scoring, Mapping) else ((name, name) for name in cast(Any, scoring))
    made = {name: get_scorer(each) if isinstance(each, str) else each for name, each in pairs}
    check_refit(refit, list(made))
    return Scorers(made, None, False)


def check_refit(refit: Any, names: Sequence[str]) -> None:
    """Raise InputError unless ``refit`` says which of several metrics the best candidate is chosen by."""
    if refit is not False and not callable(refit) and not (isinstance(refit, str) and refit in names):
        said = f"refit is {refit!r} for several metrics, expected False, a function of cv_results_ or one of"
        raise InputError(f"{said} {', '.join(names)}")
