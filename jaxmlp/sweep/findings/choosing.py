"""Choosing honestly: means over seeds with intervals; validation rows choose, test rows judge the chosen one only."""

import csv
from collections.abc import Sequence
from typing import IO, Any, NamedTuple

import numpy as np
import scipy.special
from numpy.typing import ArrayLike

from jaxmlp.choices import AXES

__all__ = [
    "AXES",
    "Configuration",
    "Interval",
    "alike",
    "configurations",
    "has_zero",
    "interval",
    "measure_of",
    "varying",
    "write_csv",
]

Row = dict[str, Any]


class Interval(NamedTuple):
    """A mean and its 95 % interval by Student's t; without one where there is a single value."""

    mean: float
    low: float
    high: float


class Configuration(NamedTuple):
    """Trials that differ in nothing but the seed.

    Attributes:
        values: by axis.
        rows: of its trials that are done.
        trials: how many it has, done or not.
        loss: what chooses: the final validation loss; the training loss where there are no validation rows.
        accuracy: validation accuracy, or training accuracy.
    """

    values: dict[str, Any]
    rows: list[Row]
    trials: int
    loss: Interval
    accuracy: Interval

    def __repr__(self) -> str:
        values = ", ".join(f"{axis} {value}" for axis, value in self.values.items() if value is not None)
        done = f"{len(self.rows)} of {self.trials} trials done"
        return f"Configuration({values}; {done}, loss {self.loss.mean:.4g}, accuracy {100 * self.accuracy.mean:.2f} %)"


def interval(values: ArrayLike, least: float = -np.inf, most: float = np.inf) -> Interval:
    """Mean and 95 % interval of ``values [n]``, n >= 1, none of which can be below ``least`` or above ``most``."""
    found = np.asarray(values, np.float64)
    mean = float(found.mean())
    if len(found) < 2:
        return Interval(mean, float("nan"), float("nan"))
    half = float(scipy.special.stdtrit(len(found) - 1, 0.975) * found.std(ddof=1) / np.sqrt(len(found)))
    return Interval(mean, max(mean - half, least), min(mean + half, most))


def measure_of(rows: Sequence[Row]) -> tuple[str, str]:
    """The columns that choose: loss and accuracy of the validation rows, or of training where there are none."""
    if any(row["validation_loss"] is not None for row in rows):
        return "validation_loss", "validation_accuracy"
    return "loss", "train_accuracy"


def configurations(rows: Sequence[Row], by: str = "loss") -> list[Configuration]:
    """Configurations with at least one finished trial, the best first: by their mean loss, or accuracy.

    Those with a trial that isn't done (diverged, pruned, failed, pending) come last: their mean is that of lucky seeds.
    """
    loss, accuracy = measure_of(rows)
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[axis] for axis in AXES), []).append(row)
    found: list[Configuration] = []
    for key, members in groups.items():
        done = [row for row in members if row["status"] == "done" and row[loss] is not None]
        if done:
            values: dict[str, Any] = dict(zip(AXES, key, strict=True))
            losses = interval([row[loss] for row in done], 0)
            accuracies = interval([row[accuracy] for row in done], 0, 1)
            found.append(Configuration(values, done, len(members), losses, accuracies))
    return sorted(found, key=lambda item: (len(item.rows) < item.trials, *_rank(item, by)))


def _rank(item: Configuration, by: str) -> tuple[float, float]:
    return (item.loss.mean, 0.0) if by == "loss" else (-item.accuracy.mean, item.loss.mean)


def alike(found: Sequence[Configuration], by: str = "loss") -> list[int]:
    """The places in ``found``, from 1, of configurations that cannot be told from the first one.

    Networks of one seed begin alike and see the rows in the same sequence, so the seeds are compared in pairs: where
    the 95 % interval of the mean difference, by Student's t, has 0 in it, the order may be chance. Where the best has
    one seed, nothing can be told, and none is named; a configuration with other seeds is left out.
    """
    column = measure_of(found[0].rows)[by == "accuracy"]
    best = {row["seed"]: row[column] for row in found[0].rows}
    places: list[int] = []
    for place, item in enumerate(found[1:], 2):
        other = {row["seed"]: row[column] for row in item.rows}
        if set(other) == set(best) and has_zero([other[seed] - best[seed] for seed in best]):
            places.append(place)
    return places


def has_zero(differences: ArrayLike) -> bool:
    """Whether the 95 % interval of the mean of ``differences [n]`` has 0 in it; a single one has no interval."""
    found = interval(differences)
    return found.low <= 0 <= found.high


def varying(rows: Sequence[Row]) -> list[str]:
    """The axes on which a sweep's trials differ, done or not."""
    return [axis for axis in AXES if len({row[axis] for row in rows}) > 1]


def write_csv(rows: Sequence[Row], file: IO[str]) -> None:
    """Write rows under a line of column names; None is left empty."""
    writer = csv.DictWriter(file, list(rows[0]) if rows else ["id"])
    writer.writeheader()
    writer.writerows(rows)
