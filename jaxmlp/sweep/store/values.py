"""The values of a trial as the store has them: its metrics, and the checksums that tell whether they are damaged."""

import math
import zlib
from collections.abc import Sequence
from typing import Any

from jaxmlp.checks import InputError
from jaxmlp.sweep.trial import id_of

__all__ = ["METRICS", "checksum", "curves_checksum", "metrics", "sound"]

METRICS = (
    "loss", "best_loss", "validation_loss", "best_validation_loss", "validation_accuracy", "best_validation_accuracy",
    "train_accuracy", "test_accuracy",
)  # fmt: skip


def metrics(curves: Sequence[list[float]], accuracies: Sequence[float]) -> tuple[float | None, ...]:
    """The values of `METRICS`: final and best of the curves, then the accuracies.

    None where there is none: SQLite doesn't know NaN.
    """
    if not curves[0]:
        return (None,) * len(METRICS)
    values: list[float] = []
    for curve, choose in zip(curves, (min, min, max), strict=True):
        known = curve if math.isfinite(sum(curve)) else [value for value in curve if not math.isnan(value)]
        values += curve[-1], choose(known, default=math.nan)
    values += accuracies
    return tuple(values if math.isfinite(sum(values)) else (v if math.isfinite(v) else None for v in values))


def checksum(configuration: str, values: Sequence[Any]) -> int:
    """Of a trial's configuration, status, epochs done and `METRICS`, as they come out of the file."""
    return zlib.crc32(repr((configuration, *values)).encode())


def curves_checksum(curves: Sequence[Sequence[float]]) -> int:
    """Of a trial's curves, a list each."""
    return zlib.crc32(repr(list(curves)).encode())  # NaN is always "nan" here, whatever its bits


def sound(identity: str, configuration: str) -> str:
    """``configuration``, if it is the one that has this id."""
    if identity != id_of(configuration):
        raise InputError(f"trial {identity} is damaged in the database, expected a configuration with this id")
    return configuration
