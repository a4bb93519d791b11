"""What the benchmarks run, and how often: with workers, searches and clocks of their own."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from experiments.benchmarks import (
    classifier_data,
    classifier_time,
    contender_process,
    contenders,
    contenders_many,
    contenders_torch,
    sweep_contenders,
    training_time,
)
from experiments.benchmarks.contender_process import Entry
from experiments.benchmarks.contenders import Outcome
from experiments.benchmarks.workloads import Workload
from experiments.support import command_line
from jaxmlp import runtime
from jaxmlp.sweep.blocks import hold_out
from tests.helpers import random_dataset


class Clock:
    """Goes on only where it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


def test_a_cold_start_is_timed_to_the_first_epoch_without_the_round_that_fills_the_caches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, called = Clock(), list[Any]()

    class Worker:
        def __init__(self, entry: Entry, workload: Any) -> None:
            called.append((entry.name, workload.epochs, workload.dtype))
            clock.now += 100 if len(called) == 1 else 2

        def ask(self, line: str = "") -> dict[str, float]:
            clock.now += 1
            return (
                {"seconds": 9, "first_loss": 1, "final_loss": 2, "train_accuracy": 3, "test_accuracy": 4}
                if line
                else {}
            )

        def end(self) -> None:
            clock.now += 50

    def run(call: list[str], **_: Any) -> None:
        clock.now += 7 if "--no-cache" in call else 5
        history = {"loss": [0.5, 0.25], "train_accuracy": [0.6, 0.7], "test_accuracy": [0.8, 0.75]}
        (Path(call[call.index("--out") + 1]) / "history.json").write_text(json.dumps(history))

    ours = "jaxmlp, automatic"
    entries = [Entry(ours, ours), Entry("as set", ours, "as set"), Entry("no cold start", "PyTorch, compiled")]
    monkeypatch.setattr(training_time, "Worker", Worker)
    monkeypatch.setattr(training_time, "entries", lambda _: entries)
    monkeypatch.setattr(training_time, "time", clock)
    monkeypatch.setattr(training_time, "subprocess", SimpleNamespace(run=run, DEVNULL=None))
    rows = training_time.cold_start(2, command_line.bar(0, "run"))
    assert called == [(ours, 1, "float64")] * 3
    told = [(row.name, row.seconds, row.epochs, *row[6:]) for row in rows]
    assert told == [
        (ours, [4, 4], 1, 1, 2, 3, 4),
        ("the command, warm cache", [5, 5], 100, 0.5, 0.25, 0.7, 0.75),
        ("the command, --no-cache", [7, 7], 100, 0.5, 0.25, 0.7, 0.75),
    ]
    assert {(row.workload, row.unit, row.updates) for row in rows} == {("cold start", "seconds", 1)}


def test_a_search_is_that_of_grid_search_cv_and_its_first_run_is_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, called = Clock(), list[Any]()

    class Search:
        best_score_ = 0.5

        def __init__(self, estimator: Any, grid: dict[str, Any], **how: Any) -> None:
            self.name = estimator.get_params().get("dtype", "theirs")
            called.append((self.name, {axis: len(values) for axis, values in grid.items()}, how))

        def fit(self, x: Any, labels: Any) -> "Search":
            assert (x.shape, labels.shape) == ((1797, 64), (1797,))
            np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-12)
            clock.now += {"float64": 2, "float32": 1, "theirs": 8}[self.name] + 10 * (len(called) < 3)
            return self

    search = classifier_data.Search("s", {**classifier_data.LECTURE, "max_iter": 1}, [0.1, 0.2])
    monkeypatch.setattr(classifier_time, "SEARCHES", (search,))
    monkeypatch.setattr(classifier_time, "MLPClassifierSearch", Search)
    monkeypatch.setattr(classifier_time, "GridSearchCV", Search)
    monkeypatch.setattr(classifier_time, "time", clock)
    assert classifier_time.searches(2) == [
        classifier_time.Row("s", "jaxmlp, float64", [2, 2], 10, [0.5]),
        classifier_time.Row("s", "jaxmlp, float32", [1, 1], 10, [0.5]),
        classifier_time.Row("s", "scikit-learn", [8, 8], 0, [0.5]),
    ]
    assert [name for name, *_ in called] == ["float64", "float32", *["float64", "float32", "theirs"] * 2]
    ours, theirs = called[0], called[4]
    assert ours[1:] == ({"hidden_layer_sizes": 3, "alpha": 5, "learning_rate": 2}, {"cv": 5, "refit": False})
    assert theirs[1:] == (
        {"hidden_layer_sizes": 3, "alpha": 5, "learning_rate_init": 2}, {"cv": 5, "refit": False, "n_jobs": -1},
    )  # fmt: skip


def test_the_sweeps_timed_are_of_these_networks_and_count_their_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    one_seed, each_seed, mixed, wide = sweep_contenders.spaces(8).values()
    assert [len(space.trials()) for space in (one_seed, each_seed, mixed, wide)] == [8, 8, 1000, 1000]
    np.testing.assert_allclose([trial.learning_rate for trial in one_seed.trials()], 0.01 + 0.025 * np.arange(8))
    assert [trial.seed for trial in each_seed.trials()] == list(range(8))
    assert {trial.hidden for trial in wide.trials()} == {(64,)}
    assert {trial.hidden for trial in mixed.trials()} == {(w,) for w in sweep_contenders.WIDTHS}
    data = hold_out(random_dataset(5, 24, "float32"), 6)
    trained: list[int] = []

    def train_block(block: Any, epochs: int, _: Any) -> list[int]:
        trained.append(epochs)
        return [0] * len(block.trials)

    monkeypatch.setattr(sweep_contenders, "train_block", train_block)
    assert sweep_contenders.sweep_call(each_seed, 3, data)() == 8 * 3 * 18
    assert set(trained) == {3}
    without = sweep_contenders._without_validation(data)  # pyright: ignore[reportPrivateUsage]
    assert (len(without.validation.labels), len(without.dataset.labels_train)) == (0, 18)


def test_a_worker_answers_once_prepared_and_once_for_each_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock, given, limits = Clock(), list[Any](), list[Any]()

    def call() -> Outcome:
        clock.now += 2
        return Outcome(clock.now, 5, 6, 7)

    monkeypatch.setattr(contender_process, "CONTENDERS", {"x": lambda *how: given.append(how) or (call, 1.5)})
    monkeypatch.setattr(contender_process, "threadpool_limits", lambda threads: limits.append((threads, len(given))))
    monkeypatch.setattr(contender_process, "time", clock)
    monkeypatch.setattr("sys.stdin", ["go\n", "go\n"])
    small, large = Workload((64, 20, 10), 1, "float64", 3), Workload((784, 128, 10), 128, "float32", 1)
    for workload in (small, large):
        contender_process.main(["x", json.dumps(workload), "chosen", "cpu"])
    assert given == [(small, "chosen", "cpu"), (large, "chosen", "cpu")]
    assert limits == [(1, 0)]  # of the small one: a second thread helps the large one
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    ends = {"final_loss": 5, "train_accuracy": 6, "test_accuracy": 7}
    assert answers[:3] == [
        {"seconds_compiling": 1.5}, {"seconds": 2, "first_loss": 2, **ends}, {"seconds": 2, "first_loss": 4, **ends},
    ]  # fmt: skip


def test_a_workers_environment_keeps_no_compiled_programs_and_leaves_gpus_alone_unless_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OPENBLAS_NUM_THREADS", "JAX_COMPILATION_CACHE_DIR", "KEPT"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("XLA_FLAGS", "ours")
    found = contender_process.environment("theirs")
    assert (found["KEPT"], found["XLA_FLAGS"], found["JAX_PLATFORMS"]) == ("x", "theirs", "cpu")
    assert not {"OPENBLAS_NUM_THREADS", "JAX_COMPILATION_CACHE_DIR"} & set(found)
    assert "JAX_PLATFORMS" not in contender_process.environment(device="gpu")
    assert contender_process.environment()["XLA_FLAGS"] == ""


def test_contenders_are_what_their_names_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contender_process, "jaxmlp_training", lambda *given: ("jaxmlp", *given))
    for module, name in ((contenders, "numba_training"), (contenders, "numpy_training"), (contenders, "scikit_learn"),
                         (contenders_torch, "eager"), (contenders_torch, "with_compile")):  # fmt: skip
        monkeypatch.setattr(module, name, lambda workload, name=name: (name, workload))
    asked: Any = "w"
    assert contender_process.CONTENDERS["jaxmlp, a sweep"] is contender_process.jaxmlp_sweep
    known = {"jaxmlp, a sweep", *contenders_many.MANY}  # these are trained in another test
    others = {name: function for name, function in contender_process.CONTENDERS.items() if name not in known}
    assert {name: function(asked, "chosen", "gpu") for name, function in others.items()} == {
        "jaxmlp, automatic": ("jaxmlp", "w", "automatic", "chosen", "gpu"),
        "jaxmlp, hand-derived": ("jaxmlp", "w", "hand-derived", "chosen", "gpu"),
        "Numba loops": ("numba_training", "w"), "NumPy loop": ("numpy_training", "w"),
        "scikit-learn": ("scikit_learn", "w"), "PyTorch, eager": ("eager", "w"),
        "PyTorch, compiled": ("with_compile", "w"),
    }  # fmt: skip


@pytest.mark.parametrize(("flags", "how"), [("chosen", {"sizes": (64, 3, 10), "batch_size": 4}), ("as set", {})])
def test_a_worker_compiles_with_the_flags_it_is_told(
    flags: str, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class ConfiguredError(Exception):
        pass

    def configure(*given: Any, **named: Any) -> None:
        assert (given, named) == (("float32",), {**how, "device": "gpu"})
        raise ConfiguredError

    monkeypatch.setattr(runtime, "configure", configure)
    with pytest.raises(ConfiguredError):
        contender_process.jaxmlp_training(Workload((64, 3, 10), 4, "float32", 1), "automatic", flags, "gpu")


def test_a_sweeps_contenders_are_those_that_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("single_call", "sweep_call", "stored_call", "sklearn_call", "torch_call"):
        monkeypatch.setattr(sweep_contenders, name, lambda *given, name=name: (name, *given))
    data: Any = hold_out(random_dataset(5, 24), 6)
    there = {"joblib": True, "torch": False}
    monkeypatch.setattr(sweep_contenders.importlib.util, "find_spec", lambda name: there[name] or None)
    made: dict[str, Any] = sweep_contenders.calls(3, data, 8)
    spaces = sweep_contenders.spaces(8)
    first = next(iter(spaces))
    *same, unevaluated, _ = made.items()
    assert same == [
        (sweep_contenders.ALONE, ("single_call", 30, data)), (first, ("sweep_call", spaces[first], 3, data)),
        (sweep_contenders.STORED, ("stored_call", spaces[first], 3, data)),
        *((name, ("sweep_call", space, 3, data)) for name, space in list(spaces.items())[1:]),
    ]  # fmt: skip
    assert unevaluated[0] == sweep_contenders.UNEVALUATED
    assert unevaluated[1][:3] == ("sweep_call", spaces[first], 3)
    assert len(unevaluated[1][3].validation.labels) == 0
    assert made[sweep_contenders.SKLEARN] == ("sklearn_call", data)
    there.update(joblib=False, torch=True)
    made = sweep_contenders.calls(3, data, 8)
    assert (list(made)[-1], made[sweep_contenders.TORCH]) == (sweep_contenders.TORCH, ("torch_call", data))


def test_the_searches_are_what_their_names_say() -> None:
    found = {search.name: (search.parameters, search.rates) for search in classifier_time.SEARCHES}
    lecture = {
        "hidden_layer_sizes": (20,), "activation": "sigmoid", "optimizer": "sgd", "learning_rate": 0.2,
        "batch_size": 1, "alpha": 0.0,
    }  # fmt: skip
    rates = [0.02, 0.05, 0.1, 0.2, 0.4, 0.8]
    assert found == {
        "lecture's settings, 1 sample per update, 1 epoch": ({**lecture, "max_iter": 1}, rates),
        "sgd, 32 samples per update, 5 epochs": ({**lecture, "batch_size": 32, "max_iter": 5}, rates),
        "adam, 200 samples per update, 10 epochs": ({"max_iter": 10}, [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02]),
    }
