"""Reading the store, also while a sweep runs: counts, losses, rows and curves.

What is asked for is fetched whole: an answer that is left half read, because a row is damaged, keeps the file open.
"""

import json
import math
import sqlite3
import zlib
from pathlib import Path
from typing import Any

from jaxmlp.checks import InputError
from jaxmlp.sweep.store.database import opened
from jaxmlp.sweep.store.values import METRICS, checksum, curves_checksum, sound
from jaxmlp.sweep.store.writing import Sweep, find_sweeps

__all__ = [
    "checkpoints",
    "curves_of",
    "environments_of",
    "finals",
    "numbers",
    "rows_of",
    "scores_at",
    "status_counts",
    "stopped",
    "trials",
]


# A trial that another sweep's halving left out, or that this one's will train on, is not done here.
_STATUS = "CASE WHEN pruned IS NOT NULL THEN 'pruned' WHEN status = 'pruned' THEN 'pending' ELSE status END AS status"
# What is known of a trial that was left out is what was known then, though another sweep may have trained it since.
_THEN = ("loss", "validation_loss", "validation_accuracy")


def status_counts(connection: sqlite3.Connection, sweep: int) -> dict[str, int]:
    """How many of the sweep's trials have each status."""
    rows = connection.execute(
        f"SELECT {_STATUS}, count(*) FROM members JOIN trials USING (trial) WHERE sweep = ? GROUP BY 1", (sweep,)
    ).fetchall()
    return dict(rows)


def stopped(connection: sqlite3.Connection, sweep: int) -> set[int]:
    """Numbers, as in `Entry`, of the sweep's trials that diverged."""
    rows = connection.execute(
        "SELECT trial FROM members JOIN trials USING (trial) WHERE sweep = ? AND status = 'diverged'", (sweep,)
    ).fetchall()
    return {row[0] for row in rows}


def scores_at(connection: sqlite3.Connection, sweep: int, epoch: int) -> dict[int, tuple[float | None, float | None]]:
    """Validation loss and accuracy after ``epoch`` by number, of trials that were trained so far; None if NaN."""
    rows = connection.execute(
        "SELECT trial, validation_loss, validation_accuracy FROM members JOIN curves USING (trial)"
        " WHERE sweep = ? AND epoch = ?",
        (sweep, epoch),
    ).fetchall()
    return {trial: (loss, accuracy) for trial, loss, accuracy in rows}


def finals(connection: sqlite3.Connection, sweep: int) -> dict[str, tuple[str, float | None, float | None]]:
    """Status, and validation loss and accuracy in the end, of the sweep's trials by id."""
    rows = connection.execute(
        f"SELECT id, {_STATUS}, validation_loss, validation_accuracy FROM members JOIN trials USING (trial)"
        " WHERE sweep = ?",
        (sweep,),
    ).fetchall()
    return {identity: (status, loss, accuracy) for identity, status, loss, accuracy in rows}


def numbers(connection: sqlite3.Connection, sweep: int) -> dict[str, int]:
    """The numbers, as in `Entry`, of the sweep's trials by id."""
    return dict(connection.execute("SELECT id, trial FROM members JOIN trials USING (trial) WHERE sweep = ?", (sweep,)))


def rows_of(connection: sqlite3.Connection, sweep: int) -> list[dict[str, Any]]:
    """The sweep's trials as flat dictionaries; raises InputError for a row whose checksum is wrong."""
    columns = ("status", "epochs_done", *METRICS)
    found = connection.execute(
        f"SELECT trial, pruned, id, configuration, checksum, seconds, reason, environment, {', '.join(columns)}"
        " FROM members JOIN trials USING (trial) WHERE sweep = ? ORDER BY position",
        (sweep,),
    ).fetchall()
    then = _when_pruned(connection, sweep)
    rows: list[dict[str, Any]] = []
    for number, pruned, identity, configuration, written, seconds, reason, environment, *values in found:
        if written not in (None, checksum(configuration, values)):
            raise InputError(f"trial {identity} is damaged in the database, expected the values that were written")
        fields = json.loads(sound(identity, configuration))
        fields["hidden"] = ",".join(map(str, fields["hidden"])) or "none"
        if pruned is not None:
            if values[1] != pruned:  # they are those of another sweep's training
                seconds = environment = None
            values = ["pruned", pruned, *(then[number].get(name) for name in METRICS)]
        elif values[0] == "pruned":
            values[0] = "pending"
        rows.append(
            {
                "sweep": sweep,
                "id": identity,
                **fields,
                **dict(zip(columns, values, strict=True)),
                "seconds": seconds,
                "reason": reason,
                "environment": environment,
            }
        )
    return rows


def _when_pruned(connection: sqlite3.Connection, sweep: int) -> dict[int, dict[str, float | None]]:
    """What was known, by number, of the trials that the sweep's halving left out, after the last epoch that it saw."""
    last = ", ".join(f"curves.{name}" for name in _THEN)
    rows = connection.execute(
        f"SELECT trial, {last} FROM members JOIN curves USING (trial) WHERE sweep = ? AND epoch = pruned", (sweep,)
    ).fetchall()
    return {trial: dict(zip(_THEN, values, strict=True)) for trial, *values in rows}


def curves_of(connection: sqlite3.Connection, sweep: Sweep, identity: str) -> list[tuple[Any, ...]]:
    """Rows (epoch, loss, validation loss, validation accuracy) of one trial; None for NaN.

    Raises:
        InputError: the rows are not those that were written.
    """
    key = identity, *sweep.identity[1:3]
    found = connection.execute(
        "SELECT epoch, curves.loss, curves.validation_loss, curves.validation_accuracy FROM curves"
        " JOIN trials USING (trial) WHERE id = ? AND dataset = ? AND epochs = ? ORDER BY epoch",
        key,
    ).fetchall()
    known = connection.execute(
        "SELECT epochs_done, curves_checksum FROM trials WHERE id = ? AND dataset = ? AND epochs = ?", key
    ).fetchone() or (None, None)
    curves = [[math.nan if row[column] is None else row[column] for row in found] for column in (1, 2, 3)]
    numbers = all(isinstance(value, (int, float)) for curve in curves for value in curve)
    whole = [row[0] for row in found] == list(range(1, (known[0] or 0) + 1))
    if not (numbers and whole and known[1] in (None, curves_checksum(curves))):
        raise InputError(f"the curves of trial {identity} are damaged in the database, expected what was written")
    return found


def environments_of(connection: sqlite3.Connection, sweep: int) -> list[dict[str, Any]]:
    """Where the sweep's trials were trained, each as `jaxmlp.runtime.environment`; of old trials it is not known."""
    rows = connection.execute(
        "SELECT DISTINCT content FROM members JOIN trials USING (trial) JOIN environments USING (environment)"
        " WHERE sweep = ? ORDER BY environment",
        (sweep,),
    ).fetchall()
    return [json.loads(row[0]) for row in rows]


def checkpoints(connection: sqlite3.Connection, sweep: int) -> dict[int, tuple[int, bytes]]:
    """Checkpoints of the sweep's trials: epochs done and state, by the trial's number; a damaged one is left out."""
    rows = connection.execute(
        "SELECT trial, epoch, state, checkpoints.checksum FROM members JOIN checkpoints USING (trial) WHERE sweep = ?",
        (sweep,),
    ).fetchall()
    return {trial: (epoch, state) for trial, epoch, state, written in rows if zlib.crc32(state) == written}


def trials(path: str | Path, sweep: int | None = None) -> list[dict[str, Any]]:
    """A sweep's trials, by default the newest sweep's: dictionaries that ``pandas.DataFrame`` takes as they are.

    Works while the sweep runs.

    Raises:
        InputError: as `opened`; no such sweep.
    """
    with opened(path) as connection:
        numbers = [found.number for found in find_sweeps(connection)]
        if not numbers:
            raise InputError(f"there is no sweep in {str(path)!r}, expected one that was begun")
        if sweep is not None and sweep not in numbers:
            raise InputError(f"sweep is {sweep}, expected one of {numbers}")
        return rows_of(connection, numbers[-1] if sweep is None else sweep)
