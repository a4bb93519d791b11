"""Training that ends between two epochs and goes on later: the same bits, whatever the neighbours."""

import concurrent.futures
import sqlite3
import threading
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxmlp.sweep import Outcome, Trial, make_space, reading, run_sweep, store
from jaxmlp.sweep.blocks import Data, checkpoints, data_hash, hold_out, pack
from jaxmlp.sweep.blocks.block_training import train_watched
from jaxmlp.sweep.blocks.checkpoints import Checkpoint, Checkpoints, checkpoint_from_bytes, checkpoint_to_bytes
from jaxmlp.sweep.blocks.streaming import Watched
from tests.helpers import random_dataset

LANES, EPOCHS = 16, 5
SPACE = make_space({"hidden": ["3", "6"], "learning_rate": [0.1, 0.3, 1e38], "seeds": ["0:5"],
                    "optimizer": ["adam"]})  # fmt: skip


@pytest.fixture(scope="module")
def data() -> Data:
    return jax.tree.map(np.asarray, hold_out(random_dataset(5, 24, "float32"), 6))


def trained(data: Data, trials: list[Trial], **how: Any) -> dict[Trial, Any]:
    """Where trials stand after ``watch`` ended them, or after fewer ``epochs`` than all; else their outcomes."""
    watch, epochs = how.pop("watch", None), how.pop("epochs", EPOCHS)
    found: dict[Trial, Any] = {}
    with jax.numpy_dtype_promotion("standard"):  # as every sweep has it: optax's Adam needs it
        for block in pack(trials, data, LANES, **how):
            made = train_watched(block, epochs, data, watch, continues=epochs < EPOCHS)
            found |= zip(block.trials, made.checkpoints or made.outcomes, strict=True)
    return found


@pytest.fixture(scope="module")
def whole(data: Data) -> dict[Trial, Outcome]:
    return trained(data, SPACE.trials())


def test_what_was_kept_is_trained_on_to_the_same_bits_beside_other_neighbours(
    data: Data, whole: dict[Trial, Outcome]
) -> None:
    kept: dict[Trial, Checkpoint] = trained(data, SPACE.trials(), watch=lambda done: done < 2)
    assert {state.epochs for state in kept.values()} == {3}  # the epoch in training is trained to its end
    assert {state.alive for state in kept.values()} == {True, False}
    read = {trial: checkpoint_from_bytes(checkpoint_to_bytes(state)) for trial, state in kept.items()}
    some = SPACE.trials()[1::2]  # other neighbours, and every third begins anew
    begun: Any = {trial: read[trial] for number, trial in enumerate(some) if number % 3}
    found = trained(data, some, checkpoints=begun)
    for trial, outcome in found.items():
        np.testing.assert_equal(outcome, whole[trial])


def test_what_was_trained_to_a_rung_goes_on_to_the_same_bits(data: Data, whole: dict[Trial, Outcome]) -> None:
    kept: dict[Trial, Checkpoint] = trained(data, SPACE.trials(), epochs=2)
    assert {state.epochs for state in kept.values()} == {2}
    for trial, outcome in trained(data, SPACE.trials()[::3], checkpoints=kept).items():
        np.testing.assert_equal(outcome, whole[trial])


def test_states_are_kept_as_far_as_memory_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = SPACE.trials()[:3]
    state = Checkpoint(1, np.zeros((3, 1)), (np.zeros(4), np.zeros((2, 2), np.float32)))
    assert state.size == 24 + 32 + 16
    monkeypatch.setattr(checkpoints, "MEMORY", 2 * state.size)
    states = Checkpoints({one: state})
    states.replace([two, three], {two: state, three: state})
    assert list(states) == [one, two]
    later = state._replace(epochs=2)
    states.replace([one, three], {three: later})  # one has ended: there is room again
    assert states == {two: state, three: later}
    states.replace([two, one], {two: later, one: later})
    assert states == {two: later, three: later}


def test_a_network_that_had_diverged_is_not_trained_on(data: Data, whole: dict[Trial, Outcome]) -> None:
    calm, *_, other = (trial for trial in SPACE.trials() if whole[trial].status == "done")
    assert calm.seed != other.seed  # or they would share an order, which is another program
    states: dict[Trial, Checkpoint] = trained(data, [calm, other], watch=lambda done: done < 2)
    stopped = states[calm]._replace(curves=states[calm].curves[:, :2])  # its third epoch had no finite loss
    outcome = trained(data, [calm, other], checkpoints={calm: stopped, other: states[other]})[calm]
    assert (outcome.status, outcome.loss.tolist()) == ("diverged", whole[calm].loss[:2].tolist())


def test_a_block_that_is_not_ended_is_the_same_and_tells_each_epoch(data: Data, whole: dict[Trial, Outcome]) -> None:
    told: list[int] = []
    (block, *_) = pack(SPACE.trials(), data, LANES)
    with jax.numpy_dtype_promotion("standard"):
        found = train_watched(block, EPOCHS, data, lambda done: told.append(done) or True)
    assert (found.epochs, found.checkpoints) == (EPOCHS, [])
    np.testing.assert_equal(found.outcomes, [whole[trial] for trial in block.trials])
    assert told == [1, 2, 3, 4]


@pytest.mark.parametrize("content", [b"", b"x" * 40, checkpoint_to_bytes(Checkpoint(1, np.zeros((3, 1)), ()))[:-8]])
def test_what_cannot_be_read_is_nothing_kept(content: bytes) -> None:
    assert checkpoint_from_bytes(content) is None


def metrics(path: Path) -> list[dict[str, Any]]:
    with store.opened(path) as connection:
        rows = reading.rows_of(connection, 1)
        (sweep,) = store.find_sweeps(connection)
        curves = [reading.curves_of(connection, sweep, row["id"]) for row in rows]
    return [{**row, "seconds": 0, "curves": curve} for row, curve in zip(rows, curves, strict=True)]


def run(path: Path, data: Data, progress: Any = lambda _: None, halving: int = 0) -> None:
    with store.opened(path, write=True) as connection, concurrent.futures.ThreadPoolExecutor(1) as executor:
        sweep, _ = store.begin(connection, store.Identity("s", data_hash(data), EPOCHS, halving), SPACE.trials(), {})
        run_sweep(connection, sweep, data, executor, progress)


@pytest.mark.parametrize("halving", [0, 2])
def test_after_ctrl_c_the_next_run_goes_on_and_ends_with_the_same_rows(
    halving: int, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jaxmlp.sweep.blocks.streaming.POLL", 0.0)
    run(tmp_path / "whole", data, halving=halving)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "s", data, interrupt, halving)
    with sqlite3.connect(tmp_path / "s") as connection:
        kept = connection.execute("SELECT count(*) FROM checkpoints").fetchone()[0]
        done = connection.execute("SELECT count(*) FROM trials WHERE status != 'pending'").fetchone()[0]
    connection.close()
    assert kept + done > 0
    told: list[float] = []
    run(tmp_path / "s", data, told.append, halving)
    assert metrics(tmp_path / "s") == metrics(tmp_path / "whole")
    with sqlite3.connect(tmp_path / "s") as connection:
        assert connection.execute("SELECT count(*) FROM checkpoints").fetchone() == (0,)
    connection.close()


def test_a_halving_takes_no_state_that_is_beyond_its_rung(data: Data, tmp_path: Path) -> None:
    run(tmp_path / "whole", data, halving=2)
    trials = SPACE.trials()
    kept: dict[Trial, Checkpoint] = trained(data, trials, epochs=3)  # of a full sweep that Ctrl-C ended
    with store.opened(tmp_path / "s", write=True) as connection:
        sweep, _ = store.begin(connection, store.Identity("s", data_hash(data), EPOCHS, 0), trials, {})
        entries = store.pending(connection, sweep.number)
        store.write_checkpoints(
            connection, [(entries[trial], 3, checkpoint_to_bytes(state)) for trial, state in kept.items()]
        )
    run(tmp_path / "s", data, halving=2)
    with store.opened(tmp_path / "s") as connection:
        rows = [{**row, "seconds": 0, "sweep": 1} for row in reading.rows_of(connection, 2)]
    assert rows == [{name: row[name] for name in row if name != "curves"} for row in metrics(tmp_path / "whole")]


def test_progress_is_told_in_shares_and_adds_up(data: Data) -> None:
    (block, *_) = pack(SPACE.trials()[:4], data, LANES)
    watched = Watched(block, 4, threading.Event())
    n = len(block.trials)
    assert watched.news() == 0
    assert watched(1)
    assert (watched.news(), watched.news()) == (n / 4, 0)
    assert watched(3)
    assert watched.news() == n / 2
    assert watched.news(0) == -3 * n / 4  # it failed, and goes again
    assert watched.news(n) == n
