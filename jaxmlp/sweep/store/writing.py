"""Writing the store: sweeps, trials and curves in one SQLite file that survives a crash at any moment.

One process writes, one transaction per block; others may read meanwhile (write-ahead log). A trial is known by its id,
the data's hash and the number of epochs: several sweeps share what they have in common.
"""

import itertools
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from jaxmlp.checks import InputError
from jaxmlp.sweep.store.database import transaction
from jaxmlp.sweep.store.values import METRICS, checksum, curves_checksum, metrics, sound
from jaxmlp.sweep.trial import Outcome, Trial, id_of, trial_of

__all__ = [
    "Entry",
    "Identity",
    "Sweep",
    "add_members",
    "begin",
    "fail",
    "find_sweeps",
    "pending",
    "prune",
    "record",
    "write_checkpoints",
]

ROWS = 100
"""Rows that a statement inserts."""
_RECORD = (
    f"UPDATE trials SET (status, epochs_done, {', '.join(METRICS)}, checksum, curves_checksum, environment, reason)"
    f" = ({', '.join('?' * (len(METRICS) + 5))}, NULL), seconds = ? + iif(?, coalesce(seconds, 0), 0) WHERE trial = ?"
)


class Identity(NamedTuple):
    """What makes two sweeps the same one: ``space`` (canonical JSON), the data's hash, epochs, halving (0: none)."""

    space: str
    dataset: str
    epochs: int
    halving: int


class Entry(NamedTuple):
    """A trial's row: its number in the file and its `Trial.configuration`, so that recording looks up nothing."""

    number: int
    configuration: str


class Sweep(NamedTuple):
    """A sweep in the file: its number, its Identity, its environment when it began."""

    number: int
    identity: Identity
    environment: dict[str, Any]


def find_sweeps(connection: sqlite3.Connection) -> list[Sweep]:
    """All sweeps, in the sequence in which they were begun."""
    rows = connection.execute(
        "SELECT sweep, space, dataset, epochs, halving, environment FROM sweeps ORDER BY sweep"
    ).fetchall()
    try:
        return [Sweep(row[0], Identity(*row[1:5]), json.loads(row[5])) for row in rows]
    except (TypeError, ValueError):
        raise InputError("the table of sweeps is damaged in the database, expected JSON") from None


def add_sweep(
    connection: sqlite3.Connection,
    identity: Identity,
    trials: Iterable[Trial],
    environment: dict[str, Any],
    git_commit: str | None = None,
) -> Sweep:
    """Enter a new sweep and those of its trials that are not there yet, in one transaction."""
    with transaction(connection):
        number = connection.execute(
            "INSERT INTO sweeps (space, dataset, epochs, halving, environment, git_commit, started)"
            " VALUES (?, ?, ?, ?, ?, ?, datetime('now')) RETURNING sweep",
            (*identity, json.dumps(environment), git_commit),
        ).fetchone()[0]
        sweep = Sweep(number, identity, environment)
        add_members(connection, sweep, trials)
    return sweep


def add_members(connection: sqlite3.Connection, sweep: Sweep, trials: Iterable[Trial]) -> None:
    """Enter trials that the sweep has not yet behind those that it has, within a transaction."""
    known = connection.execute("SELECT trial FROM members WHERE sweep = ?", (sweep.number,)).fetchall()
    there = {trial for (trial,) in known}
    entered = _enter(connection, sweep.identity, (trial.configuration for trial in trials))
    rows = enumerate((trial for trial in dict.fromkeys(entered) if trial not in there), len(there))
    _insert(
        connection,
        "INSERT INTO members (sweep, position, trial)",
        ((sweep.number, position, trial) for position, trial in rows),
    )


def _enter(connection: sqlite3.Connection, identity: Identity, configurations: Iterable[str]) -> list[int]:
    """The numbers of trials; those that are not there yet are entered."""
    key = identity.dataset, identity.epochs
    found = connection.execute("SELECT id, trial FROM trials WHERE dataset = ? AND epochs = ?", key)
    known: dict[str, int] = dict(found.fetchall())
    last: int = connection.execute("SELECT coalesce(max(trial), 0) FROM trials").fetchone()[0]
    numbers: list[int] = []
    new: list[tuple[Any, ...]] = []
    for text in configurations:
        identifier = id_of(text)
        if identifier not in known:
            known[identifier] = last + len(new) + 1
            new.append((known[identifier], identifier, *key, text))
        numbers.append(known[identifier])
    _insert(connection, "INSERT INTO trials (trial, id, dataset, epochs, configuration)", new)
    return numbers


def _insert(connection: sqlite3.Connection, into: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """``into`` with ``VALUES``: rows of one length, many per statement, which takes half the time."""
    rows = iter(rows)
    while chunk := list(itertools.islice(rows, ROWS)):
        marks = ", ".join([f"({', '.join('?' * len(chunk[0]))})"] * len(chunk))
        connection.execute(f"{into} VALUES {marks}", list(itertools.chain.from_iterable(chunk)))


def begin(
    connection: sqlite3.Connection,
    identity: Identity,
    trials: Iterable[Trial],
    environment: dict[str, Any],
    git_commit: str | None = None,
) -> tuple[Sweep, bool]:
    """The sweep of this identity, and whether it was there before: the same space, data, epochs and halving resume."""
    for sweep in find_sweeps(connection):
        if sweep.identity == identity:
            return sweep, True
    return add_sweep(connection, identity, trials, environment, git_commit), False


def pending(
    connection: sqlite3.Connection,
    sweep: int,
    statuses: Sequence[str] = ("done", "diverged"),
    trials: Iterable[Trial] = (),
) -> dict[Trial, Entry]:
    """The sweep's trials with a status that is not in ``statuses``, in the sweep's sequence, each with its row.

    ``trials``: those that the caller has already, so that they are not made again from their configurations.
    """
    known = {trial.configuration: trial for trial in trials}
    marks = ",".join("?" * len(statuses))
    rows = connection.execute(
        "SELECT id, trial, configuration FROM members JOIN trials USING (trial)"
        f" WHERE sweep = ? AND status NOT IN ({marks}) ORDER BY position",
        (sweep, *statuses),
    ).fetchall()
    return {known.get(text) or trial_of(sound(identity, text)): Entry(number, text) for identity, number, text in rows}


def record(
    connection: sqlite3.Connection,
    outcomes: Iterable[tuple[Entry, Outcome]],
    seconds: float,
    done: str = "done",
    environment: dict[str, Any] | None = None,
    more: bool = False,
) -> None:
    """Write a block's outcomes, one transaction.

    Args:
        connection: to write with.
        outcomes: of each trial.
        seconds: each trial's share.
        done: the status of success.
        environment: where they were trained, as `jaxmlp.runtime.environment` tells it.
        more: whether they went on from an earlier outcome, whose seconds count too.
    """
    updates: list[tuple[Any, ...]] = []

    def curves() -> Iterator[tuple[Any, ...]]:
        # One by one: a list of all rows would keep Python's garbage collector busier than SQLite.
        for entry, outcome in outcomes:
            lists = [curve.tolist() for curve in outcome[1:4]]  # for ten numbers NumPy's functions are slower
            status = done if outcome.status == "done" else outcome.status
            values = (status, len(lists[0]), *metrics(lists, outcome[4:]))
            sums = checksum(entry.configuration, values), curves_checksum(lists)
            updates.append((*values, *sums, place, seconds, more, entry.number))
            # SQLite stores NaN as NULL.
            yield from zip(itertools.repeat(entry.number), range(1, len(lists[0]) + 1), *lists, strict=False)

    with transaction(connection):
        place = _environment(connection, environment)
        _insert(connection, "INSERT OR REPLACE INTO curves", curves())
        connection.executemany(_RECORD, updates)
        _forget(connection, (update[-1] for update in updates))


def _environment(connection: sqlite3.Connection, environment: dict[str, Any] | None) -> int | None:
    """The number of an environment, entered if it is new."""
    if environment is None:
        return None
    text = json.dumps(environment, sort_keys=True)
    connection.execute("INSERT OR IGNORE INTO environments (content) VALUES (?)", (text,))
    return connection.execute("SELECT environment FROM environments WHERE content = ?", (text,)).fetchone()[0]


def write_checkpoints(connection: sqlite3.Connection, checkpoints: Iterable[tuple[Entry, int, bytes]]) -> None:
    """Write checkpoints of trials in one transaction; `record` and `fail` delete them."""
    rows = [(entry.number, epochs, data, zlib.crc32(data)) for entry, epochs, data in checkpoints]
    with transaction(connection):
        connection.executemany("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)", rows)


def _forget(connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
    connection.executemany("DELETE FROM checkpoints WHERE trial = ?", ((number,) for number in numbers))


def fail(connection: sqlite3.Connection, entries: Iterable[Entry], reason: str) -> None:
    """Mark trials as failed, with the reason."""
    numbers = [entry.number for entry in entries]
    with transaction(connection):
        connection.executemany(
            "UPDATE trials SET (status, reason, checksum) = ('failed', ?, NULL) WHERE trial = ?",
            [(reason, number) for number in numbers],
        )
        _forget(connection, numbers)


def prune(connection: sqlite3.Connection, sweep: int, numbers: Iterable[int], epoch: int, before: int = 0) -> None:
    """Note that the sweep's halving left these trials out after ``epoch``; what another sweep does of them is its own.

    Those that diverged or failed before stay what they are. ``before``: the epoch of the choice before this one.
    """
    left = list(numbers)
    with transaction(connection):
        # What was chosen here or later in an earlier run is chosen again: who failed then may be there now.
        connection.execute("UPDATE members SET pruned = NULL WHERE sweep = ? AND pruned > ?", (sweep, before))
        connection.executemany(
            "UPDATE members SET pruned = ? WHERE sweep = ? AND trial = ? AND EXISTS"
            " (SELECT 1 FROM curves JOIN trials USING (trial) WHERE trial = members.trial AND epoch = ?"
            " AND status NOT IN ('diverged', 'failed'))",
            [(epoch, sweep, number, epoch) for number in left],
        )
        # Where they stood when Ctrl-C came was kept for rungs to come.
        connection.executemany("DELETE FROM checkpoints WHERE trial = ? AND epoch <= ?", [(n, epoch) for n in left])
