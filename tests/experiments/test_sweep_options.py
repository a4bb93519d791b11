"""``experiments.sweep run``: what its options ask for, what it says of a sweep, and what it would take."""

import concurrent.futures
import contextlib
import json
import sqlite3
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from experiments import sweep
from experiments.support import command_line
from experiments.support.own_data import DataConfig
from experiments.sweep_actions import estimate, running
from jaxmlp import load_digits, runtime
from jaxmlp.sweep import Space, make_space, preparation, session, store
from jaxmlp.sweep.blocks import Data, data_hash, hold_out
from jaxmlp.sweep.space import Range
from tests.helpers import random_dataset, rejects

EVERY = ["--hidden", "4", "5,6", "--activation", "tanh", "relu", "--batch-size", "2", "3", "--optimizer", "momentum",
         "adam", "--learning-rate", "0.1", "--momentum", "0.5", "0.8", "--weight-decay", "0.01", "--init-scale", "2",
         "--seeds", "3:5", "9", "--epochs", "7", "--validation", "8", "--dtype", "float64", "--halving", "2",
         "--engine", "fused", "--executor", "dask://a:1", "--database", "d.sqlite",
         "--data", "f.csv", "--target", "kind", "--test", "0.3", "--split-seed", "5", "--drop", "id", "--drop", "day",
         "--keep-constant", "--no-cache", "--by", "accuracy"]  # fmt: skip
DEFAULTS = {
    "epochs": 20,
    "validation": None,
    "dtype": "float32",
    "halving": 0,
    "by": "loss",
    "cache": True,
    "source": DataConfig(),
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Nothing is trained: what would be, is listed here, and one row is done."""
    found: list[Any] = []

    def run(*arguments: Any) -> Any:
        found.append(arguments)
        rows = [{"status": "done"}]
        return SimpleNamespace(rows=rows, summary=lambda: found.append(rows))

    monkeypatch.setattr(running, "run", run)
    return found


def test_every_option_of_run_is_heard(asked: list[Any]) -> None:
    assert sweep.main(["run", *EVERY]) == 0
    space = Space(
        hidden=((4,), (5, 6)), activation=("tanh", "relu"), batch_size=(2, 3), optimizer=("momentum", "adam"),
        learning_rate=(0.1,), momentum=(0.5, 0.8), weight_decay=(0.01,), init_scale=(2.0,), seeds=(3, 4, 9),
    )  # fmt: skip
    source = DataConfig("f.csv", "kind", 0.3, 5, ("id", "day"), True)
    settings = {
        "epochs": 7,
        "validation": 8,
        "dtype": "float64",
        "halving": 2,
        "by": "accuracy",
        "cache": False,
        "source": source,
    }
    assert asked == [(space, settings, "d.sqlite", "dask://a:1", "fused"), [{"status": "done"}]]


def test_without_options_it_is_the_lectures_first_network(asked: list[Any]) -> None:
    assert sweep.main(["run"]) == sweep.main(["run", "--engine", "scan"]) == 0
    assert asked[0] == (Space(), DEFAULTS, "runs/sweep.sqlite", "local", "auto")
    assert asked[2] == (*asked[0][:-1], "scan")


def test_random_draws_and_ranges_are_heard(asked: list[Any]) -> None:
    arguments = ["--random", "6", "--random-seed", "2", "--learning-rate", "log:0.01:1", "--momentum", "uniform:0:0.9"]
    assert sweep.main(["run", *arguments, "--optimizer", "nesterov"]) == 0
    assert asked[0][0] == Space(
        optimizer=("nesterov",), learning_rate=Range(0.01, 1, True), momentum=Range(0, 0.9), random=6, random_seed=2
    )


def test_a_file_gives_every_value_and_options_win(asked: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text(
        'hidden = [4, "5,6"]\nrandom = 3\nrandom_seed = 1\nseeds = ["0:2"]\nepochs = 2\nvalidation = 9\n'
        'dtype = "float64"\nhalving = 4\nlearning_rate = ["uniform:1:2"]\n'
        'data = "f.npz"\ndrop = "abc"\n'
    )
    assert sweep.main(["run", "--space", str(file)]) == 0
    assert sweep.main(["run", "--space", str(file), "--random", "8", "--seeds", "7", "--epochs", "4"]) == 0
    space = Space(((4,), (5, 6)), learning_rate=Range(1, 2), seeds=(0, 1), random=3, random_seed=1)
    source = DataConfig("f.npz", drop=("abc",))
    settings = {
        "epochs": 2,
        "validation": 9,
        "dtype": "float64",
        "halving": 4,
        "by": "loss",
        "cache": True,
        "source": source,
    }
    assert asked[0][:2] == (space, settings)
    assert asked[2][0].random == 8
    assert (asked[2][0].seeds, asked[2][1]) == ((7,), {**settings, "epochs": 4})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("epochs = true", "epochs is True, expected a whole number, 1 or more"),
        ("epochs = 0", "epochs is 0, expected a whole number, 1 or more"),
        ("epochs = 2.0", "epochs is 2.0, expected a whole number, 1 or more"),
        ("validation = -1", "validation is -1, expected a whole number, 0 or more"),
        ("halving = -1", "halving is -1, expected a whole number, 0 or more"),
        ("halving = 1", "halving is 1, expected 0 for none or a factor of 2 or more"),
        ("halving = 2\nvalidation = 0", "validation is 0, expected rows for halving 2 to choose by"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line_and_nothing_is_trained(
    line: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "f").write_text(line)
    assert sweep.main(["run", "--space", str(tmp_path / "f"), "--database", str(tmp_path / "s")]) == 2
    assert capsys.readouterr().err == f"error: {words}\n"
    assert not (tmp_path / "s").exists()


def test_the_least_settings_that_can_be_are_taken(asked: list[Any]) -> None:
    assert sweep.main(["run", "--epochs", "1", "--validation", "0"]) == 0
    assert sweep.main(["run", "--validation", "1", "--halving", "2"]) == 0
    assert [given[1]["validation"] for given in asked[::2]] == [0, 1]


@pytest.mark.parametrize(("failed", "code"), [(0, 0), (1, 1)])
def test_the_end_counts_trials_by_status_and_a_failed_one_is_exit_1(
    failed: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"status": status} for status in (*["done"] * 1200, "pruned", "diverged", *["failed"] * failed)]
    monkeypatch.setattr(running, "run", lambda *_: SimpleNamespace(rows=rows, summary=str))
    assert sweep.main(["run"]) == code
    said = capsys.readouterr().out
    assert said.startswith("1,200 done, 1 pruned, 1 diverged" + ", 1 failed" * failed + ": ")


def test_a_device_is_the_workers_own_where_others_train(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep.main(["run", "--executor", "dask://a:1", "--device", "cpu"]) == 2
    words = "--device is 'cpu', expected auto: an executor's workers choose for themselves"
    assert capsys.readouterr().err == f"error: {words}\n"
    assert not asked


def test_a_files_unknown_key_is_told_with_the_settings_that_it_may_have(
    asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "f").write_text("epoch = 3")
    assert sweep.main(["run", "--space", str(tmp_path / "f")]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in ("epochs", "validation", "dtype", "halving", "data", "target", "learning_rate"))
    assert not asked


def test_a_repeated_option_adds_values(asked: list[Any]) -> None:
    assert sweep.main(["run", "--hidden", "4", "--hidden", "5", "6"]) == 0
    assert asked[0][0].hidden == ((4,), (5,), (6,))


def test_a_dry_run_estimates_the_trials_that_would_be_trained(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    estimated: list[Any] = []
    monkeypatch.setattr(estimate, "estimate", lambda *given: estimated.append(given) or "so much")
    options = ["--seeds", "0:3", "--epochs", "9", "--validation", "97", "--dtype", "float64", "--halving", "3"]
    assert sweep.main(["run", *options, "--dry-run"]) == 0
    ((trials, data, epochs, halving, engine),) = estimated
    assert ([trial.seed for trial in trials], epochs, halving, engine) == ([0, 1, 2], 9, 3, "scan")
    assert (len(data.dataset.labels_train), data.dataset.x_train.dtype) == (1400, np.float64)
    assert capsys.readouterr().out == "so much\n"
    assert not asked


def test_a_cluster_has_two_blocks_for_each_worker_and_repeats_failures_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[Any] = []

    class Client(contextlib.AbstractContextManager["Client"]):
        status = "running"

        def __init__(self, *where: Any, **how: Any) -> None:
            made.append((*where, how))

        def __exit__(self, *_: Any) -> None:
            pass

        def get_executor(self, **how: Any) -> Any:
            made.append(how)
            return contextlib.nullcontext("pool")

        def nthreads(self) -> dict[str, int]:
            return dict.fromkeys(there, 1)

        def wait_for_workers(self, n: int) -> None:
            there.extend("ab"[:n])

    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=Client))
    there = [f"worker {number}" for number in range(7)]
    with running.executor("dask://a:1") as found:
        assert found == ("pool", {"in_flight": 14, "attempts": 1})
    assert made == [("tcp://a:1", {"timeout": 10}), {"retries": 2}]
    there.clear()
    with running.executor("dask://a:1") as found:
        assert found == ("pool", {"in_flight": 2, "attempts": 1})
    assert capsys.readouterr().err.startswith("waiting for a worker: none is connected, start one with: dask worker")
    Client.status = "closed"
    with rejects("the Dask scheduler tcp://a:1 is gone"), running.executor("dask://a:1"):
        raise concurrent.futures.CancelledError
    Client.status = "running"
    with pytest.raises(RuntimeError, match="ours"), running.executor("dask://a:1"):
        raise RuntimeError("a fault of ours")


# What is said of a sweep.

NOW: dict[str, Any] = {**runtime.environment(), "engine": "scan", "dtype": "float32", "data": None, "validation": 0}
SWEEP = store.Sweep(4, store.Identity('{"seeds": [1]}', "data", 3, 0), NOW)


def test_a_resumed_sweep_says_what_is_there() -> None:
    counts = {"done": 1000, "diverged": 2, "pruned": 30, "failed": 4, "pending": 5}
    assert list(session.announced(SWEEP, True, [SWEEP], counts, NOW)) == [
        "sweep 4, resumed: 1,002 of 1,041 trials are there"
    ]


def test_a_resumed_sweep_says_what_changed_since_it_began() -> None:
    _, said = session.announced(SWEEP, True, [], {"done": 1}, {**NOW, "engine": "fused"})
    assert said == "  (since it began, engine changed: further trials may differ in their last bits)"
    old = SWEEP._replace(environment={**runtime.environment(), "cores": -1})  # of a time before there were engines
    _, said = session.announced(old, True, [], {"done": 1}, NOW)
    assert said.startswith("  (since it began, cores changed: ")
    assert list(session.announced(old, False, [], {"done": 1}, NOW)) == ["sweep 4, new: 1 of 1 trials are there"]


def test_a_new_sweep_is_compared_with_the_newest_there() -> None:
    identity = store.Identity(json.dumps({"seeds": [1], "hidden": [2]}), "data", 3, 0)
    others = [
        store.Sweep(1, identity, {}),
        store.Sweep(2, store.Identity(json.dumps({"seeds": [2], "hidden": [2]}), "other", 4, 2), {}),
    ]
    _, said = session.announced(store.Sweep(3, identity, {}), False, others, {}, NOW)
    assert said == "  (not sweep 2 resumed: another seeds, dataset, epochs, halving)"
    _, said = session.announced(store.Sweep(3, identity._replace(epochs=4), {}), False, others[:1], {}, NOW)
    assert said == "  (not sweep 1 resumed: another epochs)"


def test_what_a_sweep_is_known_by_and_where_it_ran_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[dict[str, Any]] = []
    totals: list[float] = []
    monkeypatch.setattr(session, "run_sweep", lambda *_, **how: called.append(how))
    monkeypatch.setattr(running, "git_commit", lambda: "abc+")
    bar = command_line.bar(1, "trial")
    monkeypatch.setattr(command_line, "bar", lambda *_: contextlib.nullcontext(bar))
    monkeypatch.setattr(bar, "update", lambda _: totals.append(bar.total))
    space = make_space({"hidden": ["4"], "seeds": ["0:20"]})
    settings = {"epochs": 9, "validation": 7, "dtype": "float64", "halving": 3, "by": "loss"}
    rows = running.run(space, settings, str(tmp_path / "s")).rows
    assert [(row["seed"], row["status"]) for row in rows] == [(seed, "pending") for seed in range(20)]
    connection = sqlite3.connect(tmp_path / "s")
    kept = connection.execute("SELECT dataset, epochs, halving, environment, git_commit FROM sweeps").fetchone()
    connection.close()
    assert kept[:3] == (data_hash(hold_out(load_digits("float64"), 7)), 9, 3)
    environment = json.loads(kept[3])
    assert [environment[name] for name in ("dtype", "validation", "engine")] == ["float64", 7, "scan"]
    assert kept[4] == "abc+"
    assert totals == [20 + 20 + 20]  # one configuration with all its seeds, trained 2, 6 and 9 epochs
    (how,) = called
    assert (how["engine"], len(how["trials"]), how["in_flight"], how["attempts"]) == ("scan", 20, 2, 3)
    monkeypatch.setattr(preparation, "pack", lambda *_: [])
    others = {**settings, "halving": 0}
    assert running.run(space, others, str(tmp_path / "s"), engine="fused").sweep.number == 2
    assert (called[1]["engine"], totals[1:]) == ("fused", [20])
    with store.opened(tmp_path / "s") as connection:
        assert store.find_sweeps(connection)[1].environment["engine"] == "fused"


# What it would take.


@pytest.fixture
def small() -> Data:
    """18 rows to train on, 6 to validate."""
    return hold_out(random_dataset(5, 24, "float32"), 6)


def take_seconds(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """From here on a block takes a second an epoch, and a program 4 s to compile; gives the list of what was timed."""
    tried: list[Any] = []

    def timed(block: Any, epochs: int, _: Data) -> float:
        known = any(size == block.config.batch_size for size, *_ in tried)
        tried.append((block.config.batch_size, len(block.trials), epochs))
        return float(epochs if known else epochs + 4)

    monkeypatch.setattr(estimate, "_timed", timed)
    return tried


def test_an_estimate_counts_trials_updates_and_times_what_it_tried(
    small: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = take_seconds(monkeypatch)
    trials = make_space({"hidden": ["4"], "batch_size": [1, 5], "seeds": ["0:3"]}).trials()
    assert estimate.estimate(trials, small, 9, 0).splitlines() == [
        # 3 seeds, 9 epochs, of 18 updates, and of 4 (3 times 5 rows and the 3 left).
        f"6 trials in 2 blocks, 2 compilations, {3 * 9 * (18 + 4)} updates",
        "memory: about 0 MiB per block; database: about 0.0 MB",
        "time: about 26 s, of which 8 s compiling, the first time",
    ]
    assert tried == [(size, 3, epochs) for size in (5, 1) for epochs in (1, 1, 3)]


def test_an_estimate_knows_that_halving_trains_survivors_on_from_where_they_stand(
    small: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_seconds(monkeypatch)
    trials = make_space({"hidden": ["4"], "batch_size": [1, 2, 3, 6], "seeds": ["0:30"]}).trials()
    lines = estimate.estimate(trials, small, 9, 3).splitlines()
    # Of 4 configurations all are trained 2 epochs, one of them 4 more and 3 more: 15 instead of 36.
    assert lines[0] == f"120 trials in 4 blocks, 4 compilations, {30 * (18 + 9 + 6 + 3) * 15 / 4:,.0f} updates"
    # In blocks of 30, 15 epochs, a second each.
    assert lines[2] == "time: about 31 s, of which 16 s compiling, the first time"
    # 520 networks, 16 side by side, are 33 groups: a block of 32, timed at 1 s per epoch, and one of a single group.
    trials = make_space({"hidden": ["4"], "batch_size": [2], "seeds": ["0:520"]}).trials()
    lines = estimate.estimate(trials, small, 33, 0).splitlines()
    assert lines[1].endswith("database: about 1.1 MB")  # 520 (500 + 50 * 33)
    assert lines[2] == "time: about 34 s, of which 0 s compiling, the first time"  # 520 / 512 * 33


def test_an_estimate_takes_programs_that_it_did_not_try_for_what_lies_between(
    small: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[tuple[int, ...], int]] = []

    def timed(block: Any, epochs: int, _: Data) -> float:
        widths, size = block.config.widths, block.config.batch_size
        tried.append((widths, size))
        return epochs * len(block.trials) * (18 / size * 0.5 + sum(widths) * 0.01)

    monkeypatch.setattr(estimate, "_timed", timed)
    given = {"hidden": ["8", "20", "64", "1024"], "batch_size": [1, 2, 3], "seeds": ["0:2"]}
    trials = make_space(given).trials()
    line = estimate.estimate(trials, small, 10, 0).splitlines()[-1]
    kinds = {(trial.hidden, trial.batch_size) for trial in trials}
    expected = sum(2 * 10 * (18 / size * 0.5 + sum(hidden) * 0.01) for hidden, size in kinds)
    assert len(set(tried)) == 4 < len(kinds) == 12
    assert {widths for widths, _ in tried} >= {(8,), (1024,)}  # small ones and large ones
    said = float(line.split()[2].replace(",", ""))
    assert said == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("sizes", "calls", "seconds"),
    [
        # Three epochs took no longer than one: each call's third is taken for an epoch.
        ([1, 5], [4.0, 3.0, 3.0, 4.0, 3.0, 3.0], "22 s, of which 2 s"),
        ([1, 5], [4.0, 3.0, 2.7, 4.0, 3.0, 3.0], "21 s, of which 2 s"),
        # What two epochs more took is hardly to be seen in one of the two.
        ([1, 5], [4.0, 3.0, 3.0 + 1e-12, 4.0, 3.0, 5.0], "12 s, of which 2 s"),
        # An update per row is as many numbers updated as numbers times rows: that says the same twice.
        ([1], [4.0, 3.0, 3.004], "1 s, of which 1 s"),
    ],
)
def test_an_estimate_stands_where_noise_or_the_kinds_leave_little_to_fit(
    small: Data, monkeypatch: pytest.MonkeyPatch, sizes: list[int], calls: list[float], seconds: str
) -> None:
    monkeypatch.setattr(estimate, "_timed", lambda *_: calls.pop(0))
    trials = make_space({"hidden": ["4"], "batch_size": sizes}).trials()
    *_, line = estimate.estimate(trials, small, 10, 0).splitlines()
    assert line == f"time: about {seconds} compiling, the first time"
    assert not calls


def test_notices_tell_where_the_fused_engine_is_no_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(preparation, "refusal", lambda *_: "too wide")

    class TrainingConfig:
        engine = "scan"

    block = SimpleNamespace(config=TrainingConfig())
    monkeypatch.setattr(preparation, "pack", lambda *_: [block, block])
    given = random_dataset(5, 24, "float32"), Space(), preparation.SweepConfig(engine="fused")
    preparation.prepared(*given, say=said.append)
    assert said == [
        "note: on a CPU the scan is faster than the fused engine, which is made for GPUs",
        "note: the scan trains some networks instead: too wide",
    ]
    block.config.engine = "fused"
    preparation.prepared(*given, say=said.append)
    assert len(said) == 3
    preparation.prepared(*given[:2], preparation.SweepConfig(), say=said.append)
    assert len(said) == 3
