"""Running sweeps: crashes, failures, executors, halving."""

import collections
import concurrent.futures
import contextlib
import importlib
import os
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxmlp import InputError, runtime
from jaxmlp.choices import ENGINES
from jaxmlp.engine import layout
from jaxmlp.sweep import Trial, make_space, reading, run_sweep, store, trials
from jaxmlp.sweep.blocks import Block, Data, data_hash, hold_out, pack, train_trial
from jaxmlp.sweep.blocks.streaming import train_task
from tests.helpers import random_dataset, rejects

SPACE = make_space({"hidden": ["3", "6"], "learning_rate": [0.1, 0.4, 1.0], "seeds": ["0:9"]})
CHILD = [sys.executable, "-m", "tests.sweep_child"]


@pytest.fixture(scope="module")
def data() -> Data:
    return jax.tree.map(np.asarray, hold_out(random_dataset(5, 24, "float32"), 6))


def metrics(path: Path) -> list[tuple[Any, ...]]:
    """Every stored number but times, as SQLite has it."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        columns = (
            f"id, dataset, epochs, configuration, status, epochs_done, {', '.join(store.METRICS)}, reason, checksum"
        )
        rows = connection.execute(f"SELECT {columns} FROM trials ORDER BY id").fetchall()
        return (
            rows
            + connection.execute("SELECT id, curves.* FROM curves JOIN trials USING (trial) ORDER BY 1, 3").fetchall()
        )


def sweep_of(
    path: Path, data: Data, executor: concurrent.futures.Executor, epochs: int = 2, halving: int = 0, **options: Any
) -> list[float]:
    counts: list[float] = []
    with store.opened(path, write=True) as connection:
        identity = store.Identity("test", data_hash(data), epochs, halving)
        sweep, _ = store.begin(connection, identity, SPACE.trials(), {})
        run_sweep(connection, sweep, data, executor, counts.append, **options)
    return counts


@pytest.fixture(scope="module")
def uninterrupted(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sweep") / "whole.sqlite"
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        assert sum(sweep_of(path, data, executor)) == 54
    return path


def test_a_finished_sweep_trains_nothing_again(uninterrupted: Path, data: Data) -> None:
    before = metrics(uninterrupted)
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        assert sweep_of(uninterrupted, data, executor) == []
    assert metrics(uninterrupted) == before


def test_the_best_trials_network_reproduces_what_was_recorded(uninterrupted: Path, data: Data) -> None:
    row = min(trials(uninterrupted), key=lambda row: row["validation_loss"])
    trial = next(trial for trial in SPACE.trials() if trial.id == row["id"])
    params, outcome = train_trial(trial, 2, data)
    assert outcome.test_accuracy == row["test_accuracy"]
    assert outcome.validation_loss[-1] == row["validation_loss"]
    h = data.dataset.x_test
    for number, layer in enumerate(params):
        g = h @ np.asarray(layer.weights).T + np.asarray(layer.biases)
        h = 1 / (1 + np.exp(-g)) if number < len(params) - 1 else g
    assert np.mean(h.argmax(axis=1) == data.dataset.labels_test) == pytest.approx(row["test_accuracy"])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_killed_at_random_moments_it_resumes_to_the_same_bits(engine: str, tmp_path: Path) -> None:
    # The children share a cache of compiled programs, to spend their time on training.
    settings = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    whole, broken = tmp_path / "whole.sqlite", tmp_path / "broken.sqlite"
    subprocess.run([*CHILD, str(whole), engine], env=settings, check=True, stdout=subprocess.DEVNULL)
    moments, kills, done = random.Random(0), 0, [0]
    while kills < 10:
        with subprocess.Popen([*CHILD, str(broken), engine], env=settings, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(moments.randint(0 if kills else 1, 3)):  # the first leaves a file, others may die at once
                child.stdout.readline()
            time.sleep(moments.uniform(0, 0.04))
            child.send_signal(signal.SIGKILL)
            child.wait()
            assert child.returncode == -signal.SIGKILL, "it ended before it was killed: make the sweep longer"
        kills += 1
        done.append(sum(row["status"] in ("done", "diverged") for row in trials(broken)) if broken.exists() else 0)
        assert done[-1] >= done[-2]
    assert 0 < done[-1] < 8000
    ended = subprocess.run([*CHILD, str(broken), engine], env=settings, check=True, stdout=subprocess.PIPE, text=True)
    assert ended.stdout.startswith("resumed")
    assert {row["status"] for row in trials(broken)} == {"done", "diverged"}
    assert metrics(broken) == metrics(whole)


class Raising(concurrent.futures.Executor):
    """Raises ``at_submit``, or gives futures that hold ``later``."""

    def __init__(self, at_submit: Exception | None = None, later: Exception | None = None) -> None:
        self.at_submit, self.later = at_submit, later

    def submit(self, *_: Any, **__: Any) -> concurrent.futures.Future[Any]:
        if self.at_submit:
            raise self.at_submit
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        future.set_exception(self.later)
        return future


class Faulty(concurrent.futures.Executor):
    """Runs tasks at once; ``fails(block, attempt)`` says which raise instead."""

    def __init__(self, fails: Callable[[Block, int], bool]) -> None:
        self.fails, self.attempts = fails, dict[Any, int]()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.attempts[args[0]] = self.attempts.get(args[0], 0) + 1
        if self.fails(args[0], self.attempts[args[0]]):
            future.set_exception(MemoryError("no room\nat all"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_a_block_that_fails_goes_again_and_changes_nothing(uninterrupted: Path, data: Data, tmp_path: Path) -> None:
    path = tmp_path / "sweep.sqlite"
    assert sum(sweep_of(path, data, Faulty(lambda _, attempt: attempt < 3))) == 54
    assert metrics(path) == metrics(uninterrupted)


def test_after_three_attempts_its_trials_are_failed_and_the_rest_goes_on(
    uninterrupted: Path, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "GROUPS", 2)
    path = tmp_path / "sweep.sqlite"
    faulty = Faulty(lambda block, _: block.trials[0].seed == 0)
    sweep_of(path, data, faulty)
    rows = trials(path)
    failed = [row for row in rows if row["status"] == "failed"]
    assert len(failed) == 32
    assert {row["reason"] for row in failed} == {"MemoryError: no room"}
    assert sorted(faulty.attempts.values()) == [1, 3]
    # The same command again tries what failed again.
    assert sum(sweep_of(path, data, Faulty(lambda *_: False))) == 32
    assert metrics(path) == metrics(uninterrupted)


def test_a_broken_executor_ends_the_sweep_and_loses_nothing(data: Data, tmp_path: Path) -> None:
    with rejects("the executor is broken"):
        sweep_of(tmp_path / "sweep.sqlite", data, Raising(concurrent.futures.BrokenExecutor("gone")))
    assert {row["status"] for row in trials(tmp_path / "sweep.sqlite")} == {"pending"}


def test_halving_keeps_the_best_third_at_each_rung(data: Data, tmp_path: Path) -> None:
    path = tmp_path / "sweep.sqlite"
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        assert sweep_of(path, data, executor, epochs=9, halving=3) == [54, 18, 9]
        rows = trials(path)
        assert [sum(row["epochs_done"] == epochs for row in rows) for epochs in (2, 6, 9)] == [36, 9, 9]
        assert {row["status"] for row in rows if row["epochs_done"] < 9} == {"pruned"}
        with store.opened(path) as connection:
            ids = dict(connection.execute("SELECT trial, id FROM trials").fetchall())
            first = {ids[number]: loss for number, (loss, _) in reading.scores_at(connection, 1, 2).items()}
        kept = {row["id"] for row in rows if row["epochs_done"] > 2}
        means = collections.defaultdict[tuple[Any, ...], list[float]](list)
        for row in rows:
            means[row["hidden"], row["learning_rate"], row["id"] in kept].append(first[row["id"]] or 0)
        assert [len(losses) for losses in means.values()] == [9] * 6  # all seeds of a configuration, or none
        chosen = [np.mean(losses) for (*_, goes_on), losses in means.items() if goes_on]
        assert len(chosen) == 2
        assert max(chosen) <= min(np.mean(losses) for (*_, goes_on), losses in means.items() if not goes_on)
        before = metrics(path)
        assert sweep_of(path, data, executor, epochs=9, halving=3) == []
        assert metrics(path) == before
        # Interrupted after the first rung, it makes the same choices.
        other = tmp_path / "other.sqlite"
        with pytest.raises(KeyboardInterrupt):
            interrupted_sweep(other, data, executor)
        assert sweep_of(other, data, executor, epochs=9, halving=3) == [9]
        assert metrics(other) == before
        # The same trials without halving: those that were pruned are trained to the end.
        assert sum(sweep_of(path, data, executor, epochs=9)) == 45


def interrupted_sweep(path: Path, data: Data, executor: concurrent.futures.Executor) -> None:
    counts: list[float] = []

    def interrupt(count: float) -> None:
        counts.append(count)
        if len(counts) == 2:
            raise KeyboardInterrupt

    with store.opened(path, write=True) as connection:
        sweep, _ = store.begin(connection, store.Identity("test", data_hash(data), 9, 3), SPACE.trials(), {})
        run_sweep(connection, sweep, data, executor, interrupt)


def test_a_task_is_pure_and_travels(data: Data) -> None:
    (block,) = pack([Trial((3,)), Trial((3,), seed=1)], data, 16)
    task = pickle.loads(pickle.dumps((train_task, block, 2, data)))
    began = time.perf_counter()
    (first, seconds, environment), (second, *_) = (task[0](*task[1:]) for _ in range(2))
    np.testing.assert_equal(first._replace(seconds=0), second._replace(seconds=0))
    assert 0 < first.seconds < seconds < time.perf_counter() - began
    assert environment == runtime.environment()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the cluster's own parts
def test_a_killed_dask_worker_loses_nothing(tmp_path: Path) -> None:
    distributed: Any = importlib.import_module("distributed")  # whose types promise coroutines
    from tests import sweep_child

    data, space = sweep_child.data(), sweep_child.space()
    path, expected = tmp_path / "dask.sqlite", tmp_path / "local.sqlite"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([*CHILD, str(expected)], env=environment, check=True, stdout=subprocess.DEVNULL)
    killed: list[int] = []
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        client.get_executor(retries=2) as executor,
        store.opened(path, write=True) as connection,
    ):
        pids = list(client.run(os.getpid).values())

        def kill(_: float) -> None:
            if not killed:
                killed.append(pids[0])
                os.kill(pids[0], signal.SIGKILL)

        identity = store.Identity("child", data_hash(data), sweep_child.EPOCHS, 0)
        sweep, _ = store.begin(connection, identity, space.trials(), {})
        run_sweep(connection, sweep, data, executor, kill, in_flight=4, attempts=1)
    assert killed
    assert metrics(path) == metrics(expected)


def test_input_errors_of_a_worker_are_told(data: Data, tmp_path: Path) -> None:
    with rejects("dtype is float64"):
        sweep_of(tmp_path / "sweep.sqlite", data, Raising(later=InputError("dtype is float64 while")))
