"""Which sweep, which trial, which epoch, which column: each number of the store is read where it was written."""

import contextlib
import dataclasses
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxmlp.sweep import Outcome, Trial, reading, store, trials
from tests.helpers import rejects

IDENTITY = store.Identity("{}", "data", 3, 0)
FOUR = [Trial(seed=seed) for seed in range(4)]


def outcome(offset: float = 0.0, status: str = "done", epochs: int = 3) -> Outcome:
    """Neither losses nor accuracies are at their best at the end; no two numbers are the same."""
    loss, validation, accuracy = np.array([[0.7, 0.3, 0.5], [0.6, 0.2, 0.4], [0.1, 0.9, 0.8]])[:, :epochs] + offset
    return Outcome(status, loss, validation, accuracy, 0.95 + offset, 0.85 + offset)


def query(path: Path, question: str) -> list[tuple[Any, ...]]:
    """What plain SQLite answers."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(question).fetchall()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three sweeps: of trials 0 to 3; of 5, 3 and 1; of trial 0 again, on other data. Some are recorded."""
    found = tmp_path / "sweep.sqlite"
    with store.opened(found, write=True) as connection:
        first, _ = store.begin(connection, IDENTITY, FOUR, {"cores": 2}, "abc+")
        rows = store.pending(connection, first.number)
        ended = [outcome(), outcome(0.01), outcome(0.02, "diverged", 1)]
        store.record(connection, zip(list(rows.values())[:3], ended, strict=True), 0.5)
        some = [Trial(seed=seed) for seed in (5, 3, 1)]
        second, _ = store.begin(connection, IDENTITY._replace(space="{2}"), some, {"cores": 4})
        entry = store.pending(connection, second.number)[some[0]]
        store.record(connection, [(entry, outcome(0.05, "diverged", 2))], 0.25)
        third, _ = store.begin(connection, IDENTITY._replace(dataset="other"), FOUR[:1], {})
        store.record(connection, [(store.pending(connection, third.number)[FOUR[0]], outcome(0.09))], 0.125)
    return found


def test_each_number_stands_under_its_name(path: Path) -> None:
    row = trials(path, 1)[0]
    expected = {
        "sweep": 1, "id": FOUR[0].id, "hidden": "20", "activation": "sigmoid", "batch_size": 1, "optimizer": "sgd",
        "learning_rate": 0.2, "momentum": None, "weight_decay": 0.0, "init_scale": 1.0, "seed": 0, "status": "done",
        "epochs_done": 3, "loss": 0.5, "best_loss": 0.3, "validation_loss": 0.4, "best_validation_loss": 0.2,
        "validation_accuracy": 0.8, "best_validation_accuracy": 0.9, "train_accuracy": 0.95, "test_accuracy": 0.85,
        "seconds": 0.5, "reason": None, "environment": None,
    }  # fmt: skip
    assert row == expected
    columns = list(expected)[12:22]
    assert query(path, f"SELECT {', '.join(columns)} FROM trials WHERE trial = 1") == [
        tuple(expected[name] for name in columns)
    ]
    curves = "SELECT epoch, loss, validation_loss, validation_accuracy FROM curves WHERE trial = 1 ORDER BY epoch"
    assert query(path, curves) == [(1, 0.7, 0.6, 0.1), (2, 0.3, 0.2, 0.9), (3, 0.5, 0.4, 0.8)]


def test_hidden_widths_are_read_as_they_are_given(tmp_path: Path) -> None:
    with store.opened(tmp_path / "s", write=True) as connection:
        store.begin(connection, IDENTITY, [Trial(()), Trial((4,)), Trial((20, 10))], {})
    assert [row["hidden"] for row in trials(tmp_path / "s")] == ["none", "4", "20,10"]


def test_the_newest_sweep_is_read_unless_another_is_asked_for(path: Path) -> None:
    assert [[row["seed"] for row in trials(path, number)] for number in (None, 1, 2, 3)] == [
        [0], [0, 1, 2, 3], [5, 3, 1], [0],
    ]  # fmt: skip
    assert [trials(path, number)[0]["sweep"] for number in (None, 2)] == [3, 2]
    with rejects("sweep is 0, expected one of [1, 2, 3]"):
        trials(path, 0)


def test_a_sweep_sees_its_own_trials_and_shares_what_was_recorded(path: Path) -> None:
    with store.opened(path) as connection:
        counts = [reading.status_counts(connection, number) for number in (1, 2, 3)]
        assert counts == [
            {"done": 2, "diverged": 1, "pending": 1},
            {"done": 1, "diverged": 1, "pending": 1},
            {"done": 1},
        ]
        assert [reading.stopped(connection, number) for number in (1, 2, 3)] == [{3}, {5}, set()]
        assert [list(store.pending(connection, number)) for number in (1, 2, 3)] == [[FOUR[3]], [FOUR[3]], []]
        third = Trial(seed=3)
        assert store.pending(connection, 2)[third] == store.pending(connection, 1)[third]
        connection.execute("PRAGMA reverse_unordered_selects=1")  # SQLite promises no sequence that nobody asks for
        assert list(store.pending(connection, 2, ())) == [Trial(seed=5), third, Trial(seed=1)]
        assert [row["seed"] for row in reading.rows_of(connection, 2)] == [5, 3, 1]
        sweeps = store.find_sweeps(connection)
        losses = [row["test_accuracy"] for row in (*trials(path, 1)[:1], *trials(path, 3))]
        assert losses == [0.85, pytest.approx(0.94)]
        # The same trial on other data has a curve of its own.
        assert [reading.curves_of(connection, sweep, FOUR[0].id)[0][1] for sweep in sweeps] == [
            0.7, 0.7, pytest.approx(0.79),
        ]  # fmt: skip


def test_losses_are_the_validation_rows_at_the_epoch_asked_for(path: Path) -> None:
    with store.opened(path) as connection:
        found = [reading.scores_at(connection, *at) for at in ((1, 1), (1, 3), (2, 2))]
        losses = [{number: loss for number, (loss, _) in each.items()} for each in found]
        assert losses[0] == pytest.approx({1: 0.6, 2: 0.61, 3: 0.62})
        assert losses[1] == pytest.approx({1: 0.4, 2: 0.41})
        assert losses[2] == pytest.approx({2: 0.21, 5: 0.25})
        curve = reading.curves_of(connection, store.find_sweeps(connection)[0], FOUR[0].id)
        assert found[0][1] == curve[0][2:]


def test_every_part_of_its_identity_tells_a_sweep_apart(path: Path) -> None:
    with store.opened(path, write=True) as connection:
        there = store.find_sweeps(connection)
        for sweep in there:
            assert store.begin(connection, sweep.identity, [], {"cores": 9}) == (sweep, True)
        for change in ({"space": "{3}"}, {"dataset": "more"}, {"epochs": 4}, {"halving": 2}):
            identity = IDENTITY._replace(**change)
            sweep, resumed = store.begin(connection, identity, FOUR[:1], {"cores": 1})
            assert (sweep.identity, resumed) == (identity, False)
        found = store.find_sweeps(connection)
        assert [sweep.number for sweep in found] == [1, 2, 3, 4, 5, 6, 7]
        assert found[:3] == there
        assert [sweep.environment for sweep in found[:3]] == [{"cores": 2}, {"cores": 4}, {}]
        # Halving's trials are those of the same data and epochs without it.
        assert [reading.status_counts(connection, number) for number in (4, 5, 6, 7)] == [
            {"done": 1}, {"pending": 1}, {"pending": 1}, {"done": 1},
        ]  # fmt: skip


def test_a_sweeps_row_says_where_it_came_from(path: Path) -> None:
    columns = "sweep, space, dataset, epochs, halving, environment, git_commit"
    assert query(path, f"SELECT {columns} FROM sweeps")[:2] == [
        (1, "{}", "data", 3, 0, json.dumps({"cores": 2}), "abc+"),
        (2, "{2}", "data", 3, 0, json.dumps({"cores": 4}), None),
    ]
    assert query(path, "SELECT abs(julianday('now') - julianday(started)) < 0.1 FROM sweeps")[0] == (1,)


def test_what_is_pruned_failed_or_pending_is_not_there_yet(path: Path) -> None:
    with store.opened(path, write=True) as connection:
        sweep, _ = store.begin(connection, IDENTITY._replace(epochs=9), FOUR, {})
        entries = list(store.pending(connection, sweep.number).values())
        store.record(connection, [(entries[0], outcome())], 0.1, "pruned")
        store.record(connection, [(entries[1], outcome(status="diverged"))], 0.1, "pruned")
        store.fail(connection, entries[2:3], "MemoryError: no")
        # Halving of another sweep left the first out; this one will train it.
        assert next(row["status"] for row in reading.rows_of(connection, sweep.number)) == "pending"
        assert "pruned" not in reading.status_counts(connection, sweep.number)
        store.prune(connection, sweep.number, [entry.number for entry in entries], 1)
        assert reading.status_counts(connection, sweep.number)["pruned"] == 1
        statuses = [row["status"] for row in reading.rows_of(connection, sweep.number)]
        assert statuses == ["pruned", "diverged", "failed", "pending"]
        assert list(store.pending(connection, sweep.number)) == [FOUR[0], FOUR[2], FOUR[3]]


def test_a_trial_that_failed_and_then_goes_well_keeps_no_reason(path: Path) -> None:
    with store.opened(path, write=True) as connection:
        entry = store.pending(connection, 1)[FOUR[3]]
        store.record(connection, [(entry, outcome(0.3, epochs=1))], 0.1, "pruned")
        store.fail(connection, [entry], "MemoryError: no")
        assert [(row["status"], row["reason"]) for row in reading.rows_of(connection, 1)][2:] == [
            ("diverged", None), ("failed", "MemoryError: no"),
        ]  # fmt: skip
        store.record(connection, [(entry, outcome())], 0.1)
        row = reading.rows_of(connection, 1)[3]
        assert (row["status"], row["reason"], row["epochs_done"], row["loss"]) == ("done", None, 3, 0.5)
        curve = reading.curves_of(connection, store.find_sweeps(connection)[0], FOUR[3].id)
        assert [loss for _, loss, *_ in curve] == [0.7, 0.3, 0.5]


def test_what_is_not_a_number_is_none_and_no_best(path: Path) -> None:
    nan, inf = np.nan, np.inf
    loss, validation, accuracy = np.array([[nan, 0.5, inf], [nan, 0.4, nan], [nan, nan, nan]])
    with store.opened(path, write=True) as connection:
        lost = Outcome("done", loss, validation, accuracy, 0.9, nan)
        store.record(connection, [(store.pending(connection, 1)[FOUR[3]], lost)], 0.1)
        row = reading.rows_of(connection, 1)[3]
        assert [row[name] for name in store.METRICS] == [None, 0.5, None, 0.4, None, None, 0.9, None]
        assert reading.scores_at(connection, 1, 3)[4] == (None, None)
        curve = reading.curves_of(connection, store.find_sweeps(connection)[0], FOUR[3].id)
        assert curve == [(1, None, None, None), (2, 0.5, 0.4, None), (3, inf, None, None)]


@pytest.mark.parametrize(
    "change", ["test_accuracy = 0.99", "status = 'pruned'", "epochs_done = 2", "loss = NULL", "checksum = 7"]
)
def test_a_number_changed_behind_our_back_is_told(path: Path, change: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE trials SET {change} WHERE trial = 2")
    with rejects(f"trial {FOUR[1].id} is damaged"):
        trials(path, 1)
    assert len(trials(path, 3)) == 1


def test_numbers_of_one_trial_under_anothers_name_are_told(path: Path) -> None:
    other = Trial(seed=9)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        name = other.id, other.configuration
        connection.execute("UPDATE trials SET (id, configuration) = (?, ?) WHERE trial = 2", name)
    with rejects(f"trial {other.id} is damaged"):
        trials(path, 1)


def test_a_configuration_changed_behind_our_back_is_neither_read_nor_trained(path: Path) -> None:
    other = dataclasses.replace(FOUR[3], learning_rate=0.9).configuration
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE trials SET configuration = ? WHERE trial = 4", (other,))
    with rejects(f"trial {FOUR[3].id} is damaged"):
        trials(path, 1)
    with rejects(f"trial {FOUR[3].id} is damaged"), store.opened(path) as connection:
        store.pending(connection, 1)


def test_who_reads_cannot_write_and_who_writes_waits_for_the_disk(path: Path) -> None:
    with rejects("readonly"), store.opened(path) as connection:
        store.begin(connection, IDENTITY._replace(epochs=9), FOUR, {})
    with store.opened(path, write=True) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (30_000,)
    with store.opened(path, write=True, timeout=7) as connection:
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (7000,)
