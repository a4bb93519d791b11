"""The store: what was written is there, what is damaged is told."""

import concurrent.futures
import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxmlp import InputError
from jaxmlp.sweep import Outcome, Trial, choosing, make_space, reading, store, trials
from tests.helpers import rejects

SPACE = make_space({"learning_rate": [0.1, 0.2], "seeds": ["0:3"]})
IDENTITY = store.Identity("{}", "data", 2, 0)


def outcome(number: int) -> Outcome:
    curve = np.array([0.5, 0.25]) + number / 100
    return Outcome("done", curve, 2 * curve, 1 - curve, 0.9, 0.8 + number / 100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sweep of 6 trials, 5 of them recorded."""
    found = tmp_path / "sub" / "sweep.sqlite"
    with store.opened(found, write=True) as connection:
        sweep, resumed = store.begin(connection, IDENTITY, SPACE.trials(), {"cores": 2})
        assert not resumed
        rows = list(store.pending(connection, sweep.number).values())
        pairs = [(row, outcome(number)) for number, row in enumerate(rows[:5])]
        store.record(connection, pairs[:3], 0.5)
        store.record(connection, pairs[3:], 0.5)
    return found


def test_what_was_recorded_is_there(path: Path) -> None:
    rows = trials(path)
    assert [row["status"] for row in rows] == ["done"] * 5 + ["pending"]
    assert [row["id"] for row in rows] == [trial.id for trial in SPACE.trials()]
    row = rows[1]
    assert (row["loss"], row["best_validation_loss"], row["test_accuracy"], row["seed"]) == (0.26, 0.52, 0.81, 1)
    with store.opened(path) as connection:
        (sweep,) = store.find_sweeps(connection)
        assert reading.curves_of(connection, sweep, row["id"]) == [(1, 0.51, 1.02, 0.49), (2, 0.26, 0.52, 0.74)]
        assert list(store.pending(connection, sweep.number)) == SPACE.trials()[5:]
        everything = store.pending(connection, sweep.number, ())
        assert list(everything) == SPACE.trials()
        assert store.pending(connection, sweep.number, (), SPACE.trials()[::2]) == everything


def test_the_same_sweep_is_resumed_and_another_told_apart(path: Path) -> None:
    with store.opened(path, write=True) as connection:
        first, resumed = store.begin(connection, IDENTITY, SPACE.trials(), {})
        assert (first.number, resumed) == (1, True)
        for other in (IDENTITY._replace(space="{1}"), IDENTITY._replace(dataset="other"), IDENTITY._replace(epochs=3)):
            sweep, resumed = store.begin(connection, other, SPACE.trials(), {})
            assert not resumed
            # Another space shares trials that are there; other data or epochs share none.
            assert reading.status_counts(connection, sweep.number).get("done", 0) == (5 if other.space == "{1}" else 0)


def test_a_database_without_sweeps_and_a_sweep_that_is_not_there_are_told(path: Path, tmp_path: Path) -> None:
    with rejects("sweep is 7, expected one of [1]"):
        trials(path, 7)
    with store.opened(tmp_path / "empty.sqlite", write=True):
        pass
    with rejects("there is no sweep in"):
        trials(tmp_path / "empty.sqlite")


def test_failed_trials_keep_their_reason(path: Path) -> None:
    with store.opened(path, write=True) as connection:
        store.fail(connection, store.pending(connection, 1).values(), "MemoryError: no")
    assert [(row["status"], row["reason"]) for row in trials(path)][5] == ("failed", "MemoryError: no")


def test_a_trial_that_diverges_at_once_has_no_metrics(path: Path) -> None:
    nothing = np.empty(0)
    with store.opened(path, write=True) as connection:
        lost = Outcome("diverged", nothing, nothing, nothing, 0.1, 0.1)
        (row,) = store.pending(connection, 1).values()
        store.record(connection, [(row, lost)], 0.1)
    row = trials(path)[5]
    assert (row["status"], row["epochs_done"], row["loss"], row["test_accuracy"]) == ("diverged", 0, None, None)


def test_half_a_block_is_no_block(path: Path) -> None:
    with store.opened(path, write=True) as connection:
        before = reading.rows_of(connection, 1)
        (row,) = store.pending(connection, 1).values()

        def broken() -> Any:
            yield row, outcome(5)
            raise RuntimeError("in the middle")

        with pytest.raises(RuntimeError):
            store.record(connection, broken(), 0.1)
        assert reading.rows_of(connection, 1) == before


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


def test_truncated_and_bit_flipped_files_are_refused_or_read_right(path: Path) -> None:
    with store.opened(path, write=True) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole, expected = path.read_bytes(), trials(path)
    refused, messages = 0, set[str]()
    random = np.random.RandomState(0)
    for number in range(600):
        if number % 3 == 0:
            path.write_bytes(whole[: random.randint(1, len(whole))])
        else:
            path.write_bytes(whole)
            flip(path, random.randint(len(whole)))
        for write in (False, True):
            try:
                with store.opened(path, write=write) as connection:
                    found = reading.rows_of(connection, 1)
            except InputError as error:
                refused += 1
                messages.add(str(error))
                continue
            for row, right in zip(found, expected, strict=False):
                # Times, reasons, environments and trials that have no outcome yet carry no checksum.
                unchecked = "seconds", "reason", "environment", "sweep"
                kept = {key: value for key, value in row.items() if key not in unchecked}
                if row["status"] == right["status"] == "done":
                    assert kept == {key: right[key] for key in kept}
    assert refused > 150
    assert not any("\n" in message for message in messages)
    assert any("expected a sound database" in message for message in messages)  # by SQLite's own check


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to be read as one" * 20])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.sqlite"
    path.write_bytes(content)
    with rejects("some.sqlite"), store.opened(path):
        pass
    assert path.read_bytes() == content


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (value)")
    before = path.read_bytes()
    for write in (False, True):
        with rejects("another program"), store.opened(path, write=write):
            pass
    assert path.read_bytes() == before


def test_a_missing_file_a_folder_and_a_path_through_a_file_are_refused(path: Path) -> None:
    with rejects("there is no file"):
        trials(path.with_name("none.sqlite"))
    with rejects("sub"), store.opened(path.parent, write=True):
        pass
    with rejects("sweep.sqlite"), store.opened(path / "deeper.sqlite", write=True):
        pass
    with rejects("sweep is 7, expected one of [1]"):
        trials(path, 7)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_file_is_refused_for_writing(path: Path) -> None:
    path.chmod(0o444)
    with rejects("readonly"), store.opened(path, write=True) as connection:
        store.begin(connection, IDENTITY._replace(epochs=9), SPACE.trials(), {})


def full_disk(connection: sqlite3.Connection) -> None:
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages}")


def read_only(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only=1")


@pytest.mark.parametrize(("fault", "message"), [(full_disk, "full"), (read_only, "readonly")])
def test_a_disk_that_takes_no_more_loses_nothing(
    path: Path, fault: Callable[[sqlite3.Connection], None], message: str
) -> None:
    many = make_space({"seeds": ["0:2000"]}).trials()
    before = trials(path)
    with rejects(message), store.opened(path, write=True) as connection:
        fault(connection)
        store.begin(connection, IDENTITY._replace(space="{2}"), many, {})
    assert trials(path) == before
    with store.opened(path, write=True) as connection:
        assert len(store.find_sweeps(connection)) == 1


def test_a_locked_file_is_told_and_readers_do_not_wait(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with rejects("locked"), store.opened(path, write=True, timeout=0.1) as connection:
            store.begin(connection, IDENTITY._replace(epochs=9), SPACE.trials(), {})
        assert len(trials(path)) == 6


def test_two_readers_see_whole_blocks_while_a_sweep_is_written(tmp_path: Path) -> None:
    path = tmp_path / "sweep.sqlite"
    space = make_space({"seeds": ["0:400"]})
    with store.opened(path, write=True) as connection:
        sweep, _ = store.begin(connection, IDENTITY, space.trials(), {})

        def read() -> list[int]:
            counts = [0]
            while counts[-1] < 400:
                done = [row for row in trials(path) if row["status"] == "done"]
                counts.append(len(done))
                assert choosing.configurations(done) or not done
            return counts

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            readers = [pool.submit(read) for _ in range(2)]
            rows = list(store.pending(connection, sweep.number).values())
            for start in range(0, 400, 20):
                store.record(connection, [(row, outcome(0)) for row in rows[start : start + 20]], 0.1)
            for reader in readers:
                counts = reader.result(timeout=60)
                assert counts == sorted(counts)
                assert all(count % 20 == 0 for count in counts)


def test_the_schema_opens_in_plain_sqlite(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM curves").fetchone() == (10,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert Trial().id in {row["id"] for row in trials(path)}
