"""From candidates and folds to lanes, one fit each, and which of them one compiled program can train."""

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxmlp.classifier.one_fit import Task, prepare, random_of
from jaxmlp.classifier.settings import Settings, check_settings
from jaxmlp.classifier.stopping import Program
from jaxmlp.optimizers import OPTIMIZERS

__all__ = ["Folds", "Lane", "Samples", "common_program", "lanes", "programs"]


class Samples(NamedTuple):
    """``x [n, n_in]`` of the dtype to compute in, ``labels [n]``, the ``classes`` they index, ``weights [n]``."""

    x: NDArray[Any]
    labels: NDArray[Any]
    classes: NDArray[Any]
    weights: NDArray[Any]


class Lane(NamedTuple):
    """One fit: a candidate on a fold. Lanes of one ``task`` share its initial parameters, rows and orders."""

    candidate: int
    fold: int
    parameters: dict[str, Any]
    task: Task


Folds = Sequence[tuple[NDArray[Any], NDArray[Any]]]


def lanes(candidates: Sequence[dict[str, Any]], samples: Samples, folds: Folds) -> list[Lane]:
    """All fits, candidates outermost; raises InputError for a parameter that cannot be used.

    Args:
        candidates: all parameters of each.
        samples: all rows.
        folds: training and test rows.
    """
    settings = [check_settings(parameters) for parameters in candidates]
    fresh = random_of(None)  # candidates without a seed share a new one
    tasks: dict[Any, Task] = {}
    made: list[Lane] = []
    for number, (parameters, checked) in enumerate(zip(candidates, settings, strict=True)):
        for fold, (training, _) in enumerate(folds):
            key = (fold, _shared(parameters, checked))
            if key not in tasks:
                # As a clone does, each fit starts from the state that a RandomState has now.
                random = fresh if parameters["random_state"] is None else random_of(parameters["random_state"])
                times = np.bincount(training, minlength=len(samples.labels))
                x, labels, classes, weights = samples
                tasks[key] = prepare(checked, parameters, x, labels, classes, weights * times, copy.deepcopy(random))
            made.append(Lane(number, fold, parameters, tasks[key]))
    return made


def _shared(parameters: dict[str, Any], settings: Settings) -> Any:
    """What decides a fit's initial parameters, weights, rows and program."""
    names = ("random_state", "class_weight", "validation_fraction")
    values = [parameters[name] for name in names]
    return (
        tuple(value if value is None or isinstance(value, (int, float, str)) else id(value) for value in values),
        settings.hidden, settings.program,
    )  # fmt: skip


def programs(made: Sequence[Lane]) -> list[list[Lane]]:
    """Lanes that one compiled program can train: same depth and program, and the same number of updates an epoch.

    Of plain gradient descent the number may differ: an update without a sample changes nothing there.
    """
    found: dict[Any, list[Lane]] = {}
    for lane in made:
        program, n = lane.task.program, len(lane.task.training)
        size = program.config.batch_size
        full = n == size  # one batch of all samples, whose number may differ by fold
        config = dataclasses.replace(program.config, batch_size=0 if full else size)
        alike = dataclasses.replace(program, config=config, penalised=False)
        updates = None if config.optimizer is OPTIMIZERS["sgd"] else -(-n // size)
        found.setdefault((alike, len(lane.task.params), updates), []).append(lane)
    return list(found.values())


def common_program(members: Sequence[Lane]) -> Program:
    """The Program of lanes that `programs` put together."""
    lengths = {len(lane.task.training) for lane in members}
    first = members[0].task.program
    size = max(lane.task.program.config.batch_size for lane in members)
    return dataclasses.replace(
        first, config=dataclasses.replace(first.config, batch_size=size), padded=len(lengths) > 1,
        penalised=any(lane.task.program.penalised for lane in members),
    )  # fmt: skip
