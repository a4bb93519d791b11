"""The candidates of a search: from a grid or distributions to estimators."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, ParameterSampler
from sklearn.pipeline import Pipeline

from jaxmlp.checks import InputError, check_whole
from jaxmlp.classifier.network_estimator import NetworkEstimator

__all__ = ["Candidate", "before_of", "candidates_of", "drawn"]


class Candidate(NamedTuple):
    """One candidate: its parameters of those searched, the estimator with them set, and its network."""

    params: dict[str, Any]
    estimator: Any
    network: NetworkEstimator


def before_of(estimator: Any) -> Pipeline | None:
    """The steps of a Pipeline before its last one, not fitted."""
    steps = estimator.steps[:-1] if isinstance(estimator, Pipeline) else []
    return Pipeline(steps) if steps else None


def network_of(estimator: Any, kind: type) -> Any:
    """The network of an estimator: itself, or the last step of a Pipeline; raises InputError for anything else."""
    network = estimator.steps[-1][1] if isinstance(estimator, Pipeline) and estimator.steps else estimator
    if not isinstance(network, kind):
        found = type(estimator if network is estimator else network).__name__
        raise InputError(f"estimator is a {found}, expected an {kind.__name__}, or a Pipeline that ends in one")
    return network


def drawn(grid: Any, n_iter: Any, random_state: Any) -> list[dict[str, Any]]:
    """The parameters of all candidates: of a grid, or ``n_iter`` drawn from lists and distributions.

    Raises:
        InputError: no candidate; a grid that is none (scikit-learn's own TypeError or ValueError).
    """
    if n_iter is not None:
        found: Any = ParameterSampler(grid, check_whole("n_iter", n_iter, 1), random_state=random_state)
    else:
        found = ParameterGrid(grid) if isinstance(grid, (Mapping, list, tuple)) else grid
    params = list(found) if isinstance(found, Iterable) and not isinstance(found, str) else [found]
    for given in params:
        if not isinstance(given, Mapping):
            expected = "a dictionary of lists, a list of these, or dictionaries of values"
            raise InputError(f"param_grid is or has {given!r:.40}, expected {expected}")
    params = [dict(given) for given in params]
    if not params:
        raise InputError("param_grid has no candidate, expected one or more")
    return params


def candidates_of(estimator: Any, params: Sequence[dict[str, Any]], kind: type) -> list[Candidate]:
    """The candidates of their parameters; raises InputError for a parameter that the estimator doesn't have."""
    if not isinstance(estimator, Pipeline):  # of which a candidate may have another last step
        network_of(estimator, kind)
    known = estimator.get_params()
    made: list[Candidate] = []
    for given in params:
        for name in given:
            if name.partition("__")[0] not in known:
                kind_of = type(estimator).__name__
                such = f", such as {estimator.steps[-1][0]}__alpha" if isinstance(estimator, Pipeline) else ""
                raise InputError(f"param_grid has {name!r}, expected parameters of {kind_of}{such}")
        whole, values = cast(Any, (clone(estimator), clone(given, safe=False)))  # pyright: ignore[reportArgumentType]
        whole.set_params(**values)
        made.append(Candidate(given, whole, network_of(whole, kind)))
    return made
