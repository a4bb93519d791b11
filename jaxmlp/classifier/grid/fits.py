"""From candidates and folds to fits, one network each, and which of them one compiled program can train."""

import copy
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxmlp.checks import InputError
from jaxmlp.classifier.one_fit import PreparedFit, prepare, random_of
from jaxmlp.classifier.settings import EstimatorConfig, check_settings
from jaxmlp.classifier.stopping import FitConfig
from jaxmlp.classifier.targets import Targets
from jaxmlp.lecture.optimizers import OPTIMIZERS

__all__ = ["Failed", "Fit", "Folds", "Samples", "common_config", "fits", "folds_of", "programs"]


class Samples(NamedTuple):
    """All rows.

    Attributes:
        x: of each fold ``[n, n_in]``, or one for all; of the dtype to compute in.
        targets: what to learn.
        weights: ``[n]``, to train with.
        score_weights: ``[n]``, to score with.
    """

    x: Sequence[NDArray[Any]]
    targets: Targets
    weights: NDArray[Any]
    score_weights: NDArray[Any]


class Fit(NamedTuple):
    """One candidate on one fold, which sees the inputs ``view``. Those with one ``prepared`` share what it has."""

    candidate: int
    fold: int
    parameters: dict[str, Any]
    prepared: PreparedFit
    view: int


Failed = dict[tuple[int, int], Exception]
"""By the numbers of candidate and fold: why there is no fit."""
Folds = Sequence[tuple[NDArray[Any], NDArray[Any]]]
"""Training and test rows of each fold, numbers from 0."""


def folds_of(splits: Iterable[Any], n: int) -> Folds:
    """The Folds of ``n`` samples from what a splitter or a person gives: row numbers, negative ones too, or masks.

    Raises:
        IndexError: a row that is not there, a mask of another length (NumPy's own).
        InputError: no fold, or one without a training or a test row.
    """
    rows = np.arange(n)
    folds = [(rows[training], rows[test]) for training, test in splits]
    if not folds:
        raise InputError("cv has no fold, expected one or more")
    for number, fold in enumerate(folds):
        for kind, chosen in zip(("training", "test"), fold, strict=True):
            if not len(chosen):
                raise InputError(f"fold {number} of cv has no {kind} row, expected one or more")
    return folds


def fits(
    wanted: Sequence[tuple[int, int, dict[str, Any]]], samples: Samples, folds: Folds, failed: Failed
) -> list[Fit]:
    """The fits that are ``wanted``: numbers of candidate and fold, and all parameters of the candidate.

    What cannot be prepared, for a parameter or data that cannot be used, goes to ``failed``.
    """
    fresh = random_of(None)  # candidates without a seed share a new one
    shared: dict[Any, PreparedFit] = {}
    made: list[Fit] = []
    for candidate, fold, parameters in wanted:
        try:
            checked = check_settings(parameters)
            key, view = (fold, _shared(parameters, checked)), fold if len(samples.x) > 1 else 0
            if key not in shared:
                # As a clone does, each fit starts from the state that a RandomState has now.
                random = fresh if parameters["random_state"] is None else random_of(parameters["random_state"])
                times = np.bincount(folds[fold][0], minlength=len(samples.weights))
                x, weights, random = samples.x[view], samples.weights * times, copy.deepcopy(random)
                shared[key] = prepare(checked, parameters, x, samples.targets, weights, random)
            made.append(Fit(candidate, fold, parameters, shared[key], view))
        except Exception as error:  # whatever a person's parameters or data bring about
            failed[candidate, fold] = error
    return made


def _shared(parameters: dict[str, Any], settings: EstimatorConfig) -> Any:
    """What decides a fit's initial parameters, weights, rows and program."""
    names = ("random_state", "class_weight", "validation_fraction", "init")
    values = [parameters[name] for name in names]
    return (
        tuple(value if value is None or isinstance(value, (int, float, str)) else id(value) for value in values),
        settings.hidden, settings.config,
    )  # fmt: skip


def programs(made: Sequence[Fit]) -> list[list[Fit]]:
    """Fits that one compiled program can train: same depth and program, and the same number of updates per epoch.

    With plain gradient descent this number may differ: an update without a sample changes nothing there.
    """
    found: dict[Any, list[Fit]] = {}
    for fit in made:
        config, n = fit.prepared.config, len(fit.prepared.training)
        size = config.training.batch_size
        full = n == size  # one batch of all samples, whose number may differ by fold
        training = dataclasses.replace(config.training, batch_size=0 if full else size)
        alike = dataclasses.replace(config, training=training, penalised=False)
        updates = None if training.optimizer is OPTIMIZERS["sgd"] else -(-n // size)
        found.setdefault((alike, len(fit.prepared.params), updates), []).append(fit)
    return list(found.values())


def common_config(members: Sequence[Fit]) -> FitConfig:
    """The FitConfig of fits that `programs` put together."""
    lengths = {len(fit.prepared.training) for fit in members}
    first = members[0].prepared.config
    size = max(fit.prepared.config.training.batch_size for fit in members)
    return dataclasses.replace(
        first,
        training=dataclasses.replace(first.training, batch_size=size),
        padded=len(lengths) > 1,
        penalised=any(fit.prepared.config.penalised for fit in members),
    )
