"""What goes into a search and what comes out of it: a grid's candidates, ``cv_results_``."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.model_selection import ParameterGrid

from jaxmlp.errors import InputError

__all__ = ["candidates_of", "results_of"]


def candidates_of(grid: Any, base: Mapping[str, Any]) -> list[dict[str, Any]]:
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


def results_of(
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
