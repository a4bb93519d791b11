"""The sweep's store where use found it wanting: read-only places, lost files, two runs of one sweep, old versions."""

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxmlp import InputError
from jaxmlp.sweep import Outcome, Trial, make_space, reading, store, trials
from jaxmlp.sweep.store import database
from tests.helpers import rejects

IDENTITY = store.Identity("{}", "data", 2, 0)
THREE = make_space({"seeds": ["0:3"]}).trials()


def outcome(number: int = 0) -> Outcome:
    curve = np.array([0.5, 0.25]) + number
    return Outcome("done", curve, curve / 2, curve / 4, 0.75, 0.5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three trials, of which two are done, in a folder of its own."""
    found = tmp_path / "folder" / "s.sqlite"
    with store.opened(found, write=True) as connection:
        sweep, _ = store.begin(connection, IDENTITY, THREE, {})
        rows = list(store.pending(connection, sweep.number).values())
        store.record(connection, zip(rows, [outcome(0), outcome(1)], strict=False), 0.1, environment={"cores": 2})
    return found


@contextlib.contextmanager
def plain(path: Path) -> Generator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def curves(path: Path, trial: Trial = THREE[0]) -> list[tuple[Any, ...]]:
    with store.opened(path) as connection:
        return reading.curves_of(connection, store.find_sweeps(connection)[0], trial.id)


# Where it can be read.


def test_a_database_is_one_file_when_its_writer_has_ended_and_reading_adds_none(path: Path) -> None:
    assert os.listdir(path.parent) == [path.name]
    assert len(trials(path)) == 3
    assert os.listdir(path.parent) == [path.name]
    with plain(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_log_mode_left_by_a_kill_is_read_where_nothing_may_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with plain(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    asked: list[str] = []
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda name, **how: asked.append(name) or connect(name, **how))
    monkeypatch.setattr(os, "access", lambda *_: False)  # a read-only mount
    assert len(trials(path)) == 3
    assert asked[0].endswith("?mode=ro&immutable=1")
    path.with_name(f"{path.name}-wal").write_bytes(b"x")  # a writer's log, without which the file is not whole
    trials(path)
    assert asked[1].endswith("?mode=ro")


# Where it is lost.


@pytest.mark.parametrize("loss", ["deleted", "moved", "replaced"])
def test_a_file_that_is_not_there_any_more_takes_no_results_in_silence(path: Path, loss: str) -> None:
    said = f"{str(path)!r} was moved, deleted or replaced while it was in use"
    with rejects(said), store.opened(path, write=True) as connection:
        entry = store.pending(connection, 1)[THREE[2]]
        if loss == "deleted":
            path.unlink()
        else:
            path.rename(path.with_name("elsewhere"))
        if loss == "replaced":
            path.write_bytes(b"")
        store.record(connection, [(entry, outcome())], 0.1)
    assert path.exists() == (loss == "replaced")


def test_a_file_lost_after_the_last_block_is_told_as_well(path: Path) -> None:
    with rejects("was moved, deleted or replaced"), store.opened(path, write=True):
        path.unlink()


# Two runs of one sweep.


def test_a_second_run_of_a_sweep_is_told_who_runs_it_and_another_sweep_may_run(path: Path) -> None:
    with store.claimed(path, 1), store.claimed(path, 2):
        said = f"sweep 1 of {str(path)!r} is being run by process {os.getpid()} on {socket.gethostname()} since "
        with rejects(said), store.claimed(path, 1):
            pass
    with store.claimed(path, 1):
        pass
    assert os.listdir(path.parent) == [path.name]


def test_a_killed_run_claims_nothing(path: Path) -> None:
    program = f"""if True:
        import os, signal
        from jaxmlp.sweep import store
        with store.claimed({str(path)!r}, 1):
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert len(os.listdir(path.parent)) == 2  # the lock's file, which nobody holds
    with store.claimed(path, 1):
        pass
    assert os.listdir(path.parent) == [path.name]


def test_where_no_lock_can_be_made_a_sweep_runs_without(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    with store.claimed(path, 1), store.claimed(path, 1):
        pass


# Versions.


def make_old(path: Path) -> None:
    """The file as the first version wrote it."""
    with plain(path) as connection:
        for table in ("environments", "checkpoints"):
            connection.execute(f"DROP TABLE {table}")
        for column in ("environment", "curves_checksum"):
            connection.execute(f"ALTER TABLE trials DROP COLUMN {column}")
        connection.execute("ALTER TABLE members DROP COLUMN pruned")
        connection.execute("DROP TABLE asked")
        connection.execute("PRAGMA user_version=0")


def test_a_file_of_the_first_version_is_read_as_it_is_and_upgraded_when_written(path: Path) -> None:
    expected = [{**row, "environment": None} for row in trials(path)]
    make_old(path)
    before = path.read_bytes()
    assert trials(path) == expected
    assert [row[:2] for row in curves(path)] == [(1, 0.5), (2, 0.25)]
    assert path.read_bytes() == before
    with store.opened(path, write=True) as connection:
        assert reading.rows_of(connection, 1) == expected
        assert connection.execute("PRAGMA user_version").fetchone() == (store.SCHEMA_VERSION,)
        entry = store.pending(connection, 1)[THREE[2]]
        store.record(connection, [(entry, outcome(2))], 0.1, environment={"cores": 4})
    assert [row["environment"] for row in trials(path)] == [None, None, 1]


def test_a_newer_version_is_told(path: Path) -> None:
    with plain(path) as connection:
        connection.execute("PRAGMA user_version=5")
    for write in (False, True):
        with rejects("was written by a newer jaxmlp (schema 5), expected 4 at most"), store.opened(path, write):
            pass


def test_a_file_without_tables_is_told_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with rejects("empty' is an empty file, expected a sweep's database"):
        trials(tmp_path / "empty")
    copy = tmp_path / "copy"
    with store.opened(tmp_path / "running", write=True) as connection:
        store.begin(connection, IDENTITY, THREE, {})
        copy.write_bytes((tmp_path / "running").read_bytes())  # all that was written is in the log yet
    with rejects(
        "copy' has no tables: its sweep had not begun, or it was copied while one ran, without the file 'copy-wal'"
    ):
        trials(copy)


# Damage, and where trials were trained.


@pytest.mark.parametrize(
    "damage",
    ["loss = 9", "loss = 'many'", "validation_accuracy = NULL", "epoch = 5", "DELETE", "INSERT"],
)
@pytest.mark.parametrize("old", [False, True])
def test_curves_that_were_edited_are_one_line_that_names_the_trial(path: Path, damage: str, old: bool) -> None:
    if old:
        make_old(path)
    with plain(path) as connection:
        if damage == "DELETE":
            connection.execute("DELETE FROM curves WHERE trial = 1 AND epoch = 2")
        elif damage == "INSERT":
            connection.execute("INSERT INTO curves VALUES (1, 3, 0.1, 0.1, 0.1)")
        else:
            connection.execute(f"UPDATE curves SET {damage} WHERE trial = 1 AND epoch = 1")
    if old and damage in ("loss = 9", "validation_accuracy = NULL"):
        assert len(curves(path)) == 2  # the first version had no checksum
        return
    with rejects(f"the curves of trial {THREE[0].id} are damaged in the database, expected what was written"):
        curves(path)
    assert curves(path, THREE[1])


def test_each_trial_knows_where_it_was_trained(path: Path) -> None:
    with store.opened(path, write=True) as connection:
        entry = store.pending(connection, 1)[THREE[2]]
        store.record(connection, [(entry, outcome(2))], 0.1, environment={"cores": 4})
        assert [row["environment"] for row in reading.rows_of(connection, 1)] == [1, 1, 2]
        assert store.environments_of(connection, 1) == [{"cores": 2}, {"cores": 4}]
        kept = connection.execute("SELECT content FROM environments").fetchall()
    assert [json.loads(text) for (text,) in kept] == [{"cores": 2}, {"cores": 4}]


def test_where_a_trial_stands_is_kept_until_it_is_recorded_or_fails(path: Path) -> None:
    with store.opened(path, write=True) as connection:
        sweep, _ = store.begin(connection, IDENTITY._replace(epochs=5), THREE, {})
        entries = list(store.pending(connection, sweep.number).values())
        store.write_checkpoints(connection, [(entry, 1, b"old") for entry in entries])
        store.write_checkpoints(connection, [(entry, 3, bytes([number])) for number, entry in enumerate(entries)])
        numbers = [entry.number for entry in entries]
        assert store.checkpoints(connection, sweep.number) == {n: (3, bytes([k])) for k, n in enumerate(numbers)}
        assert store.checkpoints(connection, 1) == {}
        connection.execute("UPDATE checkpoints SET state = x'ff' WHERE trial = ?", (numbers[0],))
        assert list(store.checkpoints(connection, sweep.number)) == numbers[1:]  # damaged: it begins anew
        store.record(connection, [(entries[1], outcome())], 0.1)
        store.fail(connection, [entries[2]], "why")
        assert connection.execute("SELECT trial FROM checkpoints").fetchall() == [(numbers[0],)]


def test_an_upgrade_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_old(path)
    *earlier, last = database._STEPS  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(database, "_STEPS", (*earlier, f"{last}; SELECT 1 FROM nowhere"))
    with rejects("no such table: nowhere"), store.opened(path, write=True):
        pass
    monkeypatch.undo()
    with plain(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (0,)
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == {"sweeps", "trials", "members", "curves"}
    assert len(trials(path)) == 3


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs a list of open files")
@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE trials SET loss = 9 WHERE trial = 1",
        "UPDATE trials SET configuration = 'x' WHERE trial = 1",
        "UPDATE sweeps SET environment = 'x'",
        "ALTER TABLE curves RENAME COLUMN validation_loss TO other",
    ],
)
def test_a_damaged_file_is_not_kept_open(path: Path, damage: str) -> None:
    with plain(path) as connection:
        connection.execute(damage)
    caught: list[InputError] = []  # whose tracebacks hold all that was there
    for write in (False, True):
        try:
            with store.opened(path, write) as connection:
                store.find_sweeps(connection)
                reading.rows_of(connection, 1)
                store.pending(connection, 1, ())
        except InputError as error:
            caught.append(error)
    assert len(caught) == 2
    files = [os.readlink(each.path) for each in os.scandir("/proc/self/fd") if os.path.islink(each.path)]
    assert str(path) not in files
