"""Reading the store, also while a sweep runs: counts, losses, rows and curves."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from jaxmlp.errors import InputError
from jaxmlp.sweep.database import opened
from jaxmlp.sweep.store import METRICS, Sweep, checksum, find_sweeps, sound

__all__ = ["curves_of", "losses_at", "rows_of", "status_counts", "stopped", "trials"]


def status_counts(connection: sqlite3.Connection, sweep: int) -> dict[str, int]:
    """How many of the sweep's trials have each status."""
    rows = connection.execute(
        "SELECT status, count(*) FROM members JOIN trials USING (trial) WHERE sweep = ? GROUP BY status", (sweep,)
    )
    return dict(rows.fetchall())


def stopped(connection: sqlite3.Connection, sweep: int) -> set[int]:
    """Numbers, as in `Entry`, of the sweep's trials that diverged."""
    rows = connection.execute(
        "SELECT trial FROM members JOIN trials USING (trial) WHERE sweep = ? AND status = 'diverged'", (sweep,)
    )
    return {row[0] for row in rows}


def losses_at(connection: sqlite3.Connection, sweep: int, epoch: int) -> dict[int, float | None]:
    """Validation loss after ``epoch`` by number, for the sweep's trials that were trained so far; None if NaN."""
    rows = connection.execute(
        "SELECT trial, validation_loss FROM members JOIN curves USING (trial) WHERE sweep = ? AND epoch = ?",
        (sweep, epoch),
    )
    return dict(rows.fetchall())


def rows_of(connection: sqlite3.Connection, sweep: int) -> list[dict[str, Any]]:
    """The sweep's trials as flat dictionaries; raises InputError for a row whose checksum is wrong."""
    columns = ("status", "epochs_done", *METRICS)
    found = connection.execute(
        f"SELECT id, configuration, checksum, seconds, reason, {', '.join(columns)}"
        " FROM members JOIN trials USING (trial) WHERE sweep = ? ORDER BY position",
        (sweep,),
    )
    rows: list[dict[str, Any]] = []
    for identity, configuration, written, seconds, reason, *values in found:
        if written not in (None, checksum(configuration, values)):
            raise InputError(f"trial {identity} is damaged in the database, expected the values that were written")
        fields = json.loads(sound(identity, configuration))
        fields["hidden"] = ",".join(map(str, fields["hidden"])) or "none"
        rows.append({"sweep": sweep, "id": identity, **fields, **dict(zip(columns, values, strict=True)),
                     "seconds": seconds, "reason": reason})  # fmt: skip
    return rows


def curves_of(connection: sqlite3.Connection, sweep: Sweep, identity: str) -> list[tuple[Any, ...]]:
    """Rows (epoch, loss, validation loss, validation accuracy) of one trial."""
    return connection.execute(
        "SELECT epoch, curves.loss, curves.validation_loss, curves.validation_accuracy FROM curves"
        " JOIN trials USING (trial) WHERE id = ? AND dataset = ? AND epochs = ? ORDER BY epoch",
        (identity, *sweep.identity[1:3]),
    ).fetchall()


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
