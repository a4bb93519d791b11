"""``cv_results_``: what comes out of a search."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["by_metric", "results_of"]


def by_metric(
    scores: Mapping[tuple[int, int], Mapping[str, float]], shape: tuple[int, int], error_score: Any
) -> dict[str, NDArray[Any]]:
    """Scores ``[candidates, folds]`` of each metric, ``error_score`` where there is none."""
    names = dict.fromkeys(name for given in scores.values() for name in given)
    if len(names) > 1:  # of a function that gives several, and failed once
        names.pop("score", None)
    found = {name: np.full(shape, np.nan if error_score == "raise" else float(error_score)) for name in names}
    for at, given in scores.items():
        for name in names.keys() & given.keys():
            found[name][at] = given[name]
    return found


def results_of(
    params: list[dict[str, Any]],
    test: Mapping[str, NDArray[Any]],
    train: Mapping[str, NDArray[Any]],
    times: Mapping[str, NDArray[Any]],
) -> dict[str, Any]:
    """``cv_results_`` of scores by metric and times by name, ``[candidates, folds]`` each."""
    results: dict[str, Any] = {}
    for name, seconds in times.items():
        results[f"mean_{name}_time"], results[f"std_{name}_time"] = seconds.mean(axis=1), seconds.std(axis=1)
    for name in dict.fromkeys(name for given in params for name in given):
        results[f"param_{name}"] = _column([given[name] for given in params if name in given], params, name)
    results["params"] = params
    for metric in test:
        for kind, scores in (("test", test), ("train", train)):
            if metric in scores:
                results |= _summary(f"{kind}_{metric}", scores[metric])
        results[f"rank_test_{metric}"] = _ranks(results[f"mean_test_{metric}"])
    return results


def _column(values: list[Any], params: list[dict[str, Any]], name: str) -> Any:
    """The values of a parameter, masked where a candidate has none: as numbers where they are."""
    try:
        found = np.array(values)
        dtype: Any = found.dtype if found.ndim == 1 and found.dtype.kind != "U" else object
    except ValueError:  # sequences of different lengths
        dtype = object
    column = np.ma.MaskedArray(np.empty(len(params), dtype), mask=True)
    for number, given in enumerate(params):
        if name in given:
            column[number] = given[name]
    return column


def _summary(name: str, scores: NDArray[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {f"split{fold}_{name}": scores[:, fold] for fold in range(scores.shape[1])}
    with np.errstate(invalid="ignore"):
        mean, spread = scores.mean(axis=1), scores.std(axis=1)
    if not np.all(np.isfinite(mean)):
        said = f"One or more of the {name.partition('_')[0]} scores are non-finite: {mean}"
        warnings.warn(said, UserWarning, stacklevel=5)
    return {**found, f"mean_{name}": mean, f"std_{name}": spread}


def _ranks(mean: NDArray[Any]) -> NDArray[np.int32]:
    """From 1, the best; equals share one, and failed candidates the last."""
    worst = np.where(np.isnan(mean), np.nanmin(mean, initial=0) - 1, mean)
    return rankdata(-worst, method="min").astype(np.int32)
