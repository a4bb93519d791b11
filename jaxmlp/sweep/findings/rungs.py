"""What successive halving chose after each rung, and how sure its seeds make that."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.sweep.findings.choosing import AXES, Row, has_zero
from jaxmlp.sweep.store import reading
from jaxmlp.sweep.store.writing import Sweep

__all__ = ["Rung", "rung_lines", "rungs_of"]


class Rung(NamedTuple):
    """A choice between configurations.

    Attributes:
        epochs: after how many.
        configurations: how many were there to choose from.
        kept: how many of them went on.
        alike: how many of the others do not differ from the last one that continued, as in `choosing.alike`.
        seeds: of each configuration.
    """

    epochs: int
    configurations: int
    kept: int
    alike: int
    seeds: int


def rungs_of(connection: sqlite3.Connection, sweep: Sweep, rows: Sequence[Row], by: str) -> list[Rung]:
    """The choices that a sweep's halving has made so far, the first one first; none without halving.

    Args:
        connection: from `store.opened`.
        sweep: with ``rows``, its trials as `reading.rows_of` has them.
        rows: in any sequence.
        by: what its halving chose by.
    """
    numbers = reading.numbers(connection, sweep.number)
    there: list[Row] = list(rows)
    found: list[Rung] = []
    for step in sorted({row["epochs_done"] for row in rows if row["status"] == "pruned"}):
        out = {row["id"] for row in there if row["status"] == "pruned" and row["epochs_done"] == step}
        scores = reading.scores_at(connection, sweep.number, step)
        known = {key: [scores.get(number, (None, None)) for number in ids] for key, ids in _grouped(there, numbers)}
        kept = {_key(row) for row in there if row["id"] not in out}
        found.append(_rung(step, known, {key for key in kept if _whole(known[key])}, by))
        there = [row for row in there if row["id"] not in out]
    return found


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[axis] for axis in AXES)


def _grouped(rows: Sequence[Row], numbers: Mapping[str, int]) -> list[tuple[tuple[Any, ...], list[int]]]:
    """Numbers of the trials of each configuration, sorted by seed."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row in sorted(rows, key=lambda row: row["seed"]):
        groups.setdefault(_key(row), []).append(numbers[row["id"]])
    return list(groups.items())


def _whole(scores: Sequence[tuple[float | None, float | None]]) -> bool:
    return all(loss is not None and accuracy is not None for loss, accuracy in scores)


def _rung(step: int, known: Mapping[Any, list[Any]], kept: set[Any], by: str) -> Rung:
    values = {
        key: np.array([-accuracy if by == "accuracy" else loss for loss, accuracy in scores])
        for key, scores in known.items()
        if _whole(scores)
    }
    seeds = max(map(len, known.values()))
    alike = 0
    if kept and seeds > 1:
        last = max((values[key] for key in kept), key=np.mean)
        alike = sum(has_zero(values[key] - last) for key in values.keys() - kept)
    return Rung(step, len(known), len(kept), alike, seeds)


def rung_lines(found: Sequence[Rung]) -> list[str]:
    """The choices in words, a line each."""
    lines: list[str] = []
    for rung in found:
        plural = "s" * (rung.epochs != 1)
        said = f"after {rung.epochs} epoch{plural} {rung.kept:,} of {rung.configurations:,} configurations went on"
        if rung.seeds == 1:
            lines.append(f"{said}; one seed each: the choice may be luck")
        elif rung.alike:
            others = f"{rung.alike:,} of the {rung.configurations - rung.kept:,} left out"
            lines.append(f"{said}; {others} cannot be told from the last of them by {rung.seeds} seeds")
        else:
            lines.append(f"{said}; all left out are worse than the last of them, seed by seed")
    return lines
