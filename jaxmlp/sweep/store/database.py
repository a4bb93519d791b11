"""The sweeps' SQLite file: made, opened, upgraded and checked; SQLite's errors as one line each."""

import contextlib
import os
import sqlite3
from collections.abc import Generator
from pathlib import Path

from jaxmlp.checks import InputError

__all__ = ["SCHEMA_VERSION", "opened", "transaction"]

_APPLICATION = 0x4A4D4C50  # "JMLP" in the file's header: tells our files from other programs' databases
SCHEMA_VERSION = 4
"""Kept in the file as SQLite's user_version; the first version had 0 there."""
_FIRST = """
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
# Where a trial was trained and what its curves were; and where a trial stands that Ctrl-C left between two epochs.
_SECOND = """
CREATE TABLE environments (environment INTEGER PRIMARY KEY, content TEXT NOT NULL UNIQUE);
CREATE TABLE checkpoints (
    trial INTEGER PRIMARY KEY REFERENCES trials, epoch INTEGER NOT NULL, state BLOB NOT NULL,
    checksum INTEGER NOT NULL);
ALTER TABLE trials ADD COLUMN environment INTEGER REFERENCES environments;
ALTER TABLE trials ADD COLUMN curves_checksum INTEGER;
"""
# After which epoch a sweep's halving left a trial out: other sweeps may train it on.
_THIRD = """
ALTER TABLE members ADD COLUMN pruned INTEGER;
UPDATE members SET pruned = (SELECT epochs_done FROM trials WHERE trials.trial = members.trial)
    WHERE sweep IN (SELECT sweep FROM sweeps WHERE halving > 0)
    AND trial IN (SELECT trial FROM trials WHERE status = 'pruned')
"""
# What searches asked their samplers for.
_FOURTH = """
CREATE TABLE asked (
    sweep INTEGER NOT NULL REFERENCES sweeps, number INTEGER NOT NULL, batch INTEGER NOT NULL, params TEXT NOT NULL,
    attributes TEXT NOT NULL, PRIMARY KEY (sweep, number)) WITHOUT ROWID
"""
_STEPS = _FIRST, _SECOND, _THIRD, _FOURTH
"""From each version to the next."""


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], write: bool = False, timeout: float = 30.0) -> Generator[sqlite3.Connection]:
    """A connection to the store, closed at the end; SQLite's errors in between become one line.

    A file of an earlier version is upgraded where it may be written, and in memory where it is only read. The last
    writer leaves one file, without a log beside it, that can be read anywhere.

    Args:
        path: of the file; made, with its folder, if ``write`` and it is not there.
        write: otherwise read only.
        timeout: seconds to wait for another writer.

    Raises:
        InputError: missing, locked, read-only, damaged, not a sweep's; or the disk is full. What was committed stays.
            The file was moved, deleted or replaced while it was open for writing: nothing more is written.
    """
    path = Path(path)
    try:
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.is_file():
            raise InputError(f"there is no file {str(path)!r}, expected a sweep's database")
        mode = "rwc" if write else "ro&immutable=1" if _is_alone(path) else "ro"
    except OSError as error:
        raise InputError(f"cannot use {str(path)!r} as a sweep's database: {error.strerror}") from None
    try:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={mode}",
            uri=True,
            timeout=timeout,
            isolation_level=None,
            factory=_Watched if write else sqlite3.Connection,
        )
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.closing(connection))
            _check(connection, path, write)
            if isinstance(connection, _Watched):
                connection.watch(path.resolve())
            current = _current(connection, write)
            stack.enter_context(contextlib.closing(current))
            yield current
            if isinstance(connection, _Watched):
                connection.check_place()
                _leave_alone(connection)
    except sqlite3.Error as error:
        said = " ".join(str(error).split())  # what is quoted there may have line breaks
        raise InputError(f"cannot use {str(path)!r} as a sweep's database: {said}") from None


class _Watched(sqlite3.Connection):
    """A connection that knows where its file was."""

    place: Path | None = None
    identity: tuple[int, int] = 0, 0

    def watch(self, place: Path) -> None:
        """From here on `check_place` tells whether the file is still there."""
        self.place, self.identity = place, _identity(place) or (0, 0)

    def check_place(self) -> None:
        """Raise InputError if the file is not where it was: what is written would go with it."""
        if self.place and _identity(self.place) != self.identity:
            raise InputError(
                f"{str(self.place)!r} was moved, deleted or replaced while it was in use: what was trained since its "
                "last block is in no file there, expected the database to stay where it is"
            )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_alone(path: Path) -> bool:
    """Whether a file that is to be read is complete by itself, in a folder where SQLite may make no other."""
    log = path.with_name(f"{path.name}-wal")
    return not os.access(path.parent, os.W_OK) and not (log.exists() and log.stat().st_size)


def _leave_alone(connection: sqlite3.Connection) -> None:
    """End the log, so that the file is all there is; not while others have it open."""
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA busy_timeout=0")
        connection.execute("PRAGMA journal_mode=DELETE").fetchone()


def _check(connection: sqlite3.Connection, path: Path, write: bool) -> None:
    """Prepare a new file; raise unless an old one is ours and sound."""
    fresh = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if fresh and not write:
        raise InputError(_why_empty(path))
    if fresh:
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
        with transaction(connection):
            _run(connection, _FIRST)
            connection.execute(f"PRAGMA application_id={_APPLICATION}")
    if connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
        raise InputError(f"{str(path)!r} is a database of another program, expected a sweep's")
    version = _version(connection)
    if version > SCHEMA_VERSION:
        newest = f"expected {SCHEMA_VERSION} at most: use that jaxmlp"
        raise InputError(f"{str(path)!r} was written by a newer jaxmlp (schema {version}), {newest}")
    if write:
        connection.execute("PRAGMA journal_mode=WAL").fetchone()  # others read while it is written
        # FULL: a block that was reported done is on the disk even after a power failure.
        connection.execute("PRAGMA synchronous=FULL")
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise InputError(f"{str(path)!r} is damaged ({' '.join(found.split())}), expected a sound database")


def _why_empty(path: Path) -> str:
    """What to say of a database without tables."""
    if not path.stat().st_size:
        return f"{str(path)!r} is an empty file, expected a sweep's database"
    return (
        f"{str(path)!r} has no tables: its sweep had not begun, or it was copied while one ran, without the file "
        f"{path.name + '-wal'!r} beside it; expected both, or a copy made when none runs"
    )


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _run(connection: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):
        connection.execute(statement)


def _current(connection: sqlite3.Connection, write: bool) -> sqlite3.Connection:
    """The connection, its file upgraded; of a file that is only read, a copy in memory that is."""
    if _version(connection) >= SCHEMA_VERSION:
        return connection
    if not write:
        copy = sqlite3.connect(":memory:", isolation_level=None)
        connection.backup(copy)
        connection = copy
    with transaction(connection):
        for statements in _STEPS[max(1, _version(connection)) :]:  # another writer may have come first
            _run(connection, statements)
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """All or nothing of what is written in it; raises InputError if the file is not where it was."""
    if isinstance(connection, _Watched):
        connection.check_place()
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if isinstance(connection, _Watched):
        connection.check_place()
