"""The rows of a search: as a person gave them, and what the networks see of them after the steps before."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array

from jaxmlp.classifier.grid.blocks import FitOutcome
from jaxmlp.classifier.grid.candidates import Candidate, before_of
from jaxmlp.classifier.grid.fits import Failed, Folds
from jaxmlp.classifier.targets import Targets

__all__ = ["Rows", "View", "dense", "fitted", "inputs_of", "views_of"]


class Rows(NamedTuple):
    """The data of a search.

    Attributes:
        X, y: as a person gave them, indexable.
        inputs: ``[n, n_in]``, what networks see; None if there are steps before them.
        targets: what to learn.
        weights: ``[n]``, to train with.
        score_weights: ``[n]``, to score with; None: unweighted.
        folds: training and test rows.
    """

    X: Any
    y: Any
    inputs: NDArray[Any] | None
    targets: Targets
    weights: NDArray[Any]
    score_weights: NDArray[Any] | None
    folds: Folds

    def part(self, rows: NDArray[Any]) -> tuple[Any, Any, NDArray[Any] | None]:
        """X, y and the weights to score with of some rows."""
        return (
            rows_of(self.X, rows),
            rows_of(self.y, rows),
            None if self.score_weights is None else self.score_weights[rows],
        )


class View(NamedTuple):
    """What the network of a fold sees: ``x [n, n_in]``, and the fitted steps that made it.

    ``names``: of its columns, where the steps give a table.
    """

    x: NDArray[Any]
    steps: Pipeline
    names: Any


def rows_of(data: Any, rows: NDArray[Any]) -> Any:
    """``data[rows]`` of an array, a sparse matrix, a table with ``iloc`` or a list."""
    if hasattr(data, "iloc"):
        return data.iloc[rows]
    return data[rows] if hasattr(data, "shape") else [data[row] for row in rows]


def views_of(candidates: Sequence[Candidate], rows: Rows, failed: Failed) -> list[list[View | None]]:
    """What each candidate's network sees in each fold, where there are steps before it: fitted on the training rows.

    Candidates with the same steps share one View. Where a step fails, the fit goes to ``failed``.
    """
    made: dict[tuple[str, int], View | Exception] = {}
    found: list[list[View | None]] = []
    for number, candidate in enumerate(candidates):
        key: Any = joblib.hash(before_of(candidate.estimator))
        row: list[View | None] = []
        for fold, (training, test) in enumerate(rows.folds):
            if (key, fold) not in made:
                try:
                    made[key, fold] = _view(before_of(candidate.estimator), rows, training, test)
                except Exception as error:  # whatever a step or a person's data bring about
                    made[key, fold] = error
            view = made[key, fold]
            if isinstance(view, Exception):
                failed[number, fold] = view
            row.append(None if isinstance(view, Exception) else view)
        found.append(row)
    return found


def _view(before: Pipeline | None, rows: Rows, training: NDArray[Any], test: NDArray[Any]) -> View:
    steps: Any = clone(before)
    seen = steps.fit_transform(*rows.part(training)[:2])
    names = np.asarray(seen.columns, object) if hasattr(seen, "columns") else None
    kinds: Any = {"accept_sparse": True, "dtype": ["float64", "float32"]}
    parts = [dense(check_array(part, **kinds)) for part in (seen, steps.transform(rows_of(rows.X, test)))]
    x = np.zeros((len(rows.weights), parts[0].shape[1]), parts[0].dtype)
    x[training], x[test] = parts
    return View(x, steps, names)


def dense(x: Any) -> NDArray[Any]:
    """``x`` as an array."""
    return x if isinstance(x, np.ndarray) else x.toarray()


def inputs_of(views: Sequence[View | None] | None, wanted: Sequence[Any], rows: Rows) -> NDArray[Any]:
    """What the networks of the ``wanted`` fits, (candidate, fold, ..) of one candidate's width, see: ``[V, n, n_in]``.

    V is the number of folds if each sees its own, else 1.
    """
    if views is None:
        return np.asarray(rows.inputs)[None]
    found: dict[int, NDArray[Any]] = {fold: views[fold].x for _, fold, _ in wanted}  # pyright: ignore[reportOptionalMemberAccess]
    none = np.zeros_like(next(iter(found.values())))
    return np.stack([found.get(fold, none) for fold in range(len(views))])


def fitted(candidate: Candidate, outcome: FitOutcome, targets: Targets, view: View | None, search: Any) -> Any:
    """The fitted estimator of one fit."""
    made: Any = clone(candidate.network)
    made.keep(outcome.params, outcome.epochs, targets)
    made.n_features_in_ = outcome.params[0].weights.shape[1]
    names = getattr(search, "feature_names_in_", None) if view is None else view.names
    if names is not None:
        made.feature_names_in_ = names
    return made if view is None else Pipeline([*view.steps.steps, (candidate.estimator.steps[-1][0], made)])
