"""Scheduling with made-up outcomes: which trials go on, how far, which block goes again. Nothing is trained."""

import concurrent.futures
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxmlp.engine import layout
from jaxmlp.sweep import Outcome, Trial, reading, run_sweep, store
from jaxmlp.sweep.blocks import Data, hold_out, pack
from jaxmlp.sweep.blocks.block_training import Trained
from jaxmlp.sweep.blocks.streaming import Finished, each_finished, finished_blocks
from jaxmlp.sweep.halving import planned, rungs, survivors
from tests.helpers import random_dataset, rejects

EIGHT = [Trial(learning_rate=0.1 * number) for number in range(1, 9)]
# Validation losses of the eight after 1, 2 and 4 epochs. The best half of the first column are trials 1, 3, 5 and 6, of
# these the best half of the second 1 and 6; the two best of the last column were out after the first.
LOSSES = {
    1: [0.9, 0.4, 0.8, 0.1, 0.7, 0.2, 0.3, 0.6],
    2: [0.0, 0.2, 0.0, 0.5, 0.0, 0.9, 0.1, 0.0],
    4: [0.0, 0.4, 0.0, 0.0, 0.0, 0.0, 0.3, 0.0],
}


@pytest.fixture(scope="module")
def data() -> Data:
    return jax.tree.map(np.asarray, hold_out(random_dataset(5, 24), 6))


class Made(concurrent.futures.Executor):
    """Makes outcomes up; ``calls`` are the trials and epochs of each task, by number."""

    def __init__(self, status: Callable[[int, int], str] = lambda *_: "done") -> None:
        self.status, self.calls = status, list[tuple[int, list[int]]]()

    def submit(self, _fn: Any, /, *args: Any, **_: Any) -> concurrent.futures.Future[Any]:
        assert len(self.calls) < 100, "it never ends"
        block, epochs = args[:2]
        numbers = [EIGHT.index(trial) for trial in block.trials]
        self.calls.append((epochs, numbers))
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        if any(self.status(number, epochs) == "failed" for number in numbers):
            future.set_exception(MemoryError("no room"))
        else:
            outcomes = [self.outcome(number, epochs) for number in numbers]
            future.set_result((Trained(epochs, outcomes, [], 0.25), 2.0 * len(numbers), {}))
        return future

    def rungs(self) -> dict[int, list[int]]:
        """Who was trained, by epochs, whatever the blocks."""
        return {
            epochs: [n for each, numbers in self.calls if each == epochs for n in numbers] for epochs, _ in self.calls
        }

    def outcome(self, number: int, epochs: int) -> Outcome:
        status = self.status(number, epochs)
        done = epochs if status == "done" else epochs - 1
        validation = np.array([LOSSES[epoch if epoch in LOSSES else 2][number] for epoch in range(1, epochs + 1)])
        # Training loss and accuracy would choose the others.
        return Outcome(status, (1 - validation)[:done], validation[:done], validation[:done], 0.5, 0.5)


def sweep_of(
    path: Path, data: Data, executor: concurrent.futures.Executor, halving: int = 2, **options: Any
) -> tuple[list[float], list[dict[str, Any]]]:
    """What progress was told, and the rows in the end."""
    told: list[float] = []
    with store.opened(path, write=True) as connection:
        sweep, _ = store.begin(connection, store.Identity("test", "data", 4, halving), EIGHT, {})
        run_sweep(connection, sweep, data, executor, told.append, **options)
        return told, reading.rows_of(connection, sweep.number)


def test_halving_goes_on_with_the_best_half_by_the_validation_loss_of_the_rung(data: Data, tmp_path: Path) -> None:
    made = Made()
    told, rows = sweep_of(tmp_path / "s", data, made)
    assert made.calls == [(1, [0, 1, 2, 3, 4, 5, 6, 7]), (2, [1, 3, 5, 6]), (4, [1, 6])]
    assert told == [8, 4, 2]
    assert [row["epochs_done"] for row in rows] == [1, 4, 1, 2, 1, 2, 4, 1]
    assert [row["status"] == "done" for row in rows] == [row["epochs_done"] == 4 for row in rows]
    assert {row["status"] for row in rows} == {"done", "pruned"}
    assert {row["seconds"] for row in rows} == {2.0}
    again = Made()
    assert sweep_of(tmp_path / "s", data, again) == ([], rows)
    assert again.calls == []


def test_halving_leaves_out_who_failed_or_diverged_and_trains_no_one_twice(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "GROUPS", 1)  # and one lane: a block per trial
    # The two that would be the best, 3 and 5, are lost. Half of eight go on still: 4 and 7 take their places.
    made = Made(lambda number, _: {3: "failed", 5: "diverged"}.get(number, "done"))
    _, rows = sweep_of(tmp_path / "s", data, made, lanes=1, attempts=1)
    assert made.rungs() == {1: [0, 1, 2, 3, 4, 5, 6, 7], 2: [1, 4, 6, 7], 4: [4, 7]}
    statuses = ["pruned", "pruned", "pruned", "failed", "done", "diverged", "pruned", "done"]
    assert [row["status"] for row in rows] == statuses
    # What failed is tried again, what is there isn't: 3 takes the place of 4, so that 6 is among the last two.
    again = Made()
    told, _ = sweep_of(tmp_path / "s", data, again, lanes=1)
    assert again.rungs() == {1: [3], 2: [3], 4: [6]}
    assert told == [1, 1, 1]


def test_the_devices_seconds_are_those_of_all_blocks_of_all_rungs(data: Data, tmp_path: Path) -> None:
    with store.opened(tmp_path / "s", write=True) as connection:
        sweep, _ = store.begin(connection, store.Identity("test", "data", 4, 2), EIGHT, {})
        assert run_sweep(connection, sweep, data, Made()) == 3 * 0.25  # a block in each of three rungs
        assert run_sweep(connection, sweep, data, Made()) == 0


def test_survivors_are_the_best_share_in_their_own_sequence() -> None:
    def kept(losses: Sequence[float | None], halving: int) -> list[int]:
        scores = {trial: (loss, 0.5) for trial, loss in zip(EIGHT, losses, strict=False)}
        return [EIGHT.index(trial) for trial in survivors(EIGHT[: len(losses)], scores, halving)]

    assert kept([3.0, 1.0, None, 1.0, 2.0], 2) == [1, 3]
    assert kept([3.0, 2.0, 1.0], 2) == [2]
    assert kept([3.0, 2.0, 1.0], 9) == [2]
    assert kept([1.0, 1.0, 1.0, 1.0], 2) == [0, 1]
    assert kept([None, None, None, 5.0], 2) == [3]
    assert kept([None, None], 2) == []
    assert kept([6.0, 5.0, 4.0, 3.0, 2.0, 1.0], 3) == [4, 5]


CROWD = [Trial((width,), seed=seed) for width in (2, 3, 4, 5) for seed in (7, 8, 9)]
# Of each width, per seed: the lucky seed is one of width 2, whose mean is the worst; 3 has the best mean loss, 4 the
# best mean accuracy.
CROWD_LOSSES = [0.1, 0.9, 0.9, 0.3, 0.3, 0.3, 0.4, 0.4, 0.4, 0.5, 0.5, 0.5]
CROWD_ACCURACIES = [0.99, 0.1, 0.1, 0.6, 0.6, 0.6, 0.7, 0.7, 0.7, 0.6, 0.6, 0.6]


def test_a_configuration_survives_by_its_mean_with_all_its_seeds() -> None:
    measured = zip(CROWD_LOSSES, CROWD_ACCURACIES, strict=True)
    scores: dict[Trial, tuple[float | None, float]] = dict(zip(CROWD, measured, strict=True))

    def widths(halving: int, by: str) -> list[int]:
        kept = survivors(CROWD, {trial: score for trial, score in scores.items() if trial not in missing}, halving, by)
        found = sorted({trial.hidden[0] for trial in kept})
        assert kept == [trial for trial in CROWD if trial.hidden[0] in found]  # all seeds, in their sequence
        return found

    missing: set[Trial] = set()
    assert [widths(each, "loss") for each in (2, 4, 9)] == [[3, 4], [3], [3]]
    # 3 and 5 have the same accuracy: the loss decides.
    assert [widths(each, "accuracy") for each in (2, 4, 9)] == [[3, 4], [4], [4]]
    missing = {CROWD[4]}  # one seed of width 3 diverged: the mean of the others is not a mean over all seeds
    assert [widths(each, "loss") for each in (2, 4)] == [[4, 5], [4]]
    scores[CROWD[6]] = (None, 0.9)
    assert [widths(each, by) for each in (2, 4) for by in ("loss", "accuracy")] == [[2, 5], [2, 5], [5], [5]]


def test_each_rung_trains_a_share_of_the_configurations() -> None:
    assert planned(20, 20, 0) == [(20, 20)]
    assert planned(20, 20, 2) == [(5, 20), (10, 10), (20, 5)]
    assert planned(2, 9, 3) == [(2, 2), (6, 1), (9, 1)]


def test_rungs_are_a_quarter_of_the_epochs_and_grow_by_factors_up_to_three_quarters() -> None:
    assert rungs(20, 0) == [20]
    assert rungs(20, 2) == [5, 10, 20]
    assert rungs(20, 3) == [5, 15, 20]
    assert rungs(20, 4) == rungs(20, 99) == [5, 20]
    assert rungs(21, 2) == [5, 10, 21]  # not 20
    assert rungs(7, 2) == [1, 2, 4, 7]
    assert rungs(3, 2) == [1, 2, 3]
    assert rungs(2, 3) == [1, 2]
    assert rungs(1, 2) == [1]


@pytest.mark.parametrize("halving", [2, 3, 4, 7])
def test_halving_takes_half_the_updates_at_most(halving: int) -> None:
    for epochs in range(4, 200, 4):
        steps = planned(1000, epochs, halving)
        before = [0, *(step for step, _ in steps)]
        done = sum(count * (step - last) for last, (step, count) in zip(before, steps, strict=False))
        assert done <= 0.5 * 1000 * epochs


def test_lanes_engine_and_attempts_are_those_asked_for(data: Data, tmp_path: Path) -> None:
    groups: list[list[int]] = []

    class Seen(Made):
        def submit(self, fn: Any, /, *args: Any, **_: Any) -> concurrent.futures.Future[Any]:
            groups.append([len(group) for group in args[0].groups])
            return super().submit(fn, *args)

    made = Seen()
    told, rows = sweep_of(tmp_path / "s", data, made, 0, lanes=3)
    assert (told, groups) == ([8], [[3, 3, 2]])
    assert made.calls == [(4, list(range(8)))]
    assert {row["status"] for row in rows} == {"done"}
    sweep_of(tmp_path / "default", data, made, 0)
    assert groups[1:] == [[8]]
    for attempts in (1, 2):
        failing = Made(lambda *_: "failed")
        told, rows = sweep_of(tmp_path / f"failing {attempts}", data, failing, 0, attempts=attempts)
        assert (told, len(failing.calls)) == ([8], attempts)
        assert {(row["status"], row["reason"]) for row in rows} == {("failed", "MemoryError: no room")}
    with rejects("engine is 'diesel'"):
        sweep_of(tmp_path / "diesel", data, made, 0, engine="diesel")


class Held(concurrent.futures.Executor):
    """Gives futures of which the first alone is ever finished."""

    def __init__(self) -> None:
        self.futures: list[concurrent.futures.Future[Any]] = []

    def submit(self, *_: Any, **__: Any) -> concurrent.futures.Future[Any]:
        self.futures.append(concurrent.futures.Future())
        if len(self.futures) == 1:
            self.futures[0].set_result((Trained(1, [], []), 0.0, {}))
        return self.futures[-1]


def test_so_many_blocks_are_in_flight_and_what_waits_is_cancelled_in_the_end(data: Data) -> None:
    blocks = (block for trial in EIGHT for block in pack([trial], data, 1))
    held = Held()

    def work(finished: Finished) -> None:
        assert finished.trained is not None
        assert (finished.block.trials, finished.trained.outcomes, finished.seconds) == ((EIGHT[0],), [], 0.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        each_finished(finished_blocks(blocks, 1, data, held, in_flight=3), work)
    assert [future.cancelled() for future in held.futures] == [False, True, True]


def test_ctrl_c_while_a_block_is_written_writes_it_again_and_then_the_others(data: Data) -> None:
    blocks = [block for trial in EIGHT[:3] for block in pack([trial], data, 1)]
    written: list[tuple[Trial, ...]] = []

    def work(finished: Finished) -> None:
        assert not finished.error
        written.append(finished.block.trials)
        if len(written) == 1:
            raise KeyboardInterrupt

    with concurrent.futures.ThreadPoolExecutor(3) as threads, pytest.raises(KeyboardInterrupt):
        each_finished(finished_blocks(blocks, 1, data, threads, in_flight=3), work)
    assert written[0] in written[1:]
    assert len(written[1:]) == len(set(written[1:]))
