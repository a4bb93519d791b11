"""What a search has asked its sampler for: one row per configuration, written with its trials before they train."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from jaxmlp.checks import InputError
from jaxmlp.sweep.store.database import transaction
from jaxmlp.sweep.store.writing import Sweep, add_members
from jaxmlp.sweep.trial import Trial

__all__ = ["Asked", "asked_of", "extend"]


class Asked(NamedTuple):
    """What the sampler suggested.

    Attributes:
        number: of the suggestion in its search, from 0.
        batch: the number of its batch, from 0.
        params: by axis, as Optuna has them: those that were not fixed.
        attributes: what the sampler notes on its own trials.
    """

    number: int
    batch: int
    params: dict[str, Any]
    attributes: dict[str, Any]


def asked_of(connection: sqlite3.Connection, sweep: int) -> list[Asked]:
    """The configurations that a search has requested so far; empty for another sweep."""
    rows = connection.execute(
        "SELECT number, batch, params, attributes FROM asked WHERE sweep = ? ORDER BY number", (sweep,)
    ).fetchall()
    try:
        return [Asked(number, batch, json.loads(params), json.loads(notes)) for number, batch, params, notes in rows]
    except (TypeError, ValueError):
        raise InputError("the table of requested configurations is damaged in the database, expected JSON") from None


def extend(connection: sqlite3.Connection, sweep: Sweep, asked: Sequence[Asked], trials: Iterable[Trial]) -> None:
    """Enter a batch and those of its trials that the sweep doesn't have yet, in one transaction: all of it or none."""
    with transaction(connection):
        connection.executemany(
            "INSERT INTO asked (sweep, number, batch, params, attributes) VALUES (?, ?, ?, ?, ?)",
            [
                (sweep.number, each.number, each.batch, json.dumps(each.params), json.dumps(each.attributes))
                for each in asked
            ],
        )
        add_members(connection, sweep, trials)
