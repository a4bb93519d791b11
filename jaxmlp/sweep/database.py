"""The sweeps' SQLite file: made, opened and checked; SQLite's errors as one line each."""

import contextlib
import sqlite3
from collections.abc import Generator
from pathlib import Path

from jaxmlp.errors import InputError

__all__ = ["opened", "transaction"]

_APPLICATION = 0x4A4D4C50  # "JMLP" in the file's header: tells our files from other programs' databases
_SCHEMA = """
CREATE TABLE sweeps (
    sweep INTEGER PRIMARY KEY, space TEXT NOT NULL, dataset TEXT NOT NULL, epochs INTEGER NOT NULL,
    halving INTEGER NOT NULL, environment TEXT NOT NULL, git_commit TEXT, started TEXT NOT NULL,
    UNIQUE (space, dataset, epochs, halving));
CREATE TABLE trials (
    trial INTEGER PRIMARY KEY, id TEXT NOT NULL, dataset TEXT NOT NULL, epochs INTEGER NOT NULL,
    configuration TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'pending', epochs_done INTEGER, loss REAL,
    best_loss REAL, validation_loss REAL, best_validation_loss REAL, validation_accuracy REAL,
    best_validation_accuracy REAL, train_accuracy REAL, test_accuracy REAL, seconds REAL, reason TEXT, checksum INTEGER,
    UNIQUE (id, dataset, epochs));
CREATE TABLE members (
    sweep INTEGER NOT NULL REFERENCES sweeps, position INTEGER NOT NULL, trial INTEGER NOT NULL REFERENCES trials,
    PRIMARY KEY (sweep, position)) WITHOUT ROWID;
CREATE TABLE curves (
    trial INTEGER NOT NULL REFERENCES trials, epoch INTEGER NOT NULL, loss REAL, validation_loss REAL,
    validation_accuracy REAL, PRIMARY KEY (trial, epoch)) WITHOUT ROWID;
"""


@contextlib.contextmanager
def opened(path: str | Path, write: bool = False, timeout: float = 30.0) -> Generator[sqlite3.Connection]:
    """A connection to the store, closed at the end; SQLite's errors in between become one line.

    Args:
        path: of the file; made, with its folder, if ``write`` and it is not there.
        write: otherwise read only.
        timeout: seconds to wait for another writer.

    Raises:
        InputError: missing, locked, read-only, damaged, not a sweep's; or the disk is full. What was committed stays.
    """
    path = Path(path)
    try:
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.is_file():
            raise InputError(f"there is no file {str(path)!r}, expected a sweep's database")
        mode = "rwc" if write else "ro"
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=timeout, isolation_level=None
        )
        with contextlib.closing(connection):
            _check(connection, path, write)
            yield connection
    except sqlite3.Error as error:
        raise InputError(f"cannot use {str(path)!r} as a sweep's database: {error}") from None
    except OSError as error:
        raise InputError(f"cannot use {str(path)!r} as a sweep's database: {error.strerror}") from None


def _check(connection: sqlite3.Connection, path: Path, write: bool) -> None:
    """Prepare a new file; raise unless an old one is ours and sound."""
    fresh = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if fresh and write:
        connection.execute("PRAGMA journal_mode=WAL")
        with transaction(connection):
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={_APPLICATION}")
    if connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
        raise InputError(f"{str(path)!r} is a database of another program, expected a sweep's")
    if write:
        # FULL: a block that was reported done is on the disk even after a power failure.
        connection.execute("PRAGMA synchronous=FULL")
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise InputError(f"{str(path)!r} is damaged ({' '.join(found.split())}), expected a sound database")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """All or nothing of what is written in it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
