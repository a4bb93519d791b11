"""What the benchmarks say and keep of what they measured: of seconds made up here."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier as ScikitLearns
from sklearn.neural_network import MLPRegressor as TheirRegressor

from experiments import benchmark
from experiments.benchmarks import (
    classifier_data,
    classifier_time,
    larger_time,
    mixed_sweep,
    sweep_time,
    timing,
    training_time,
    workloads,
)
from experiments.benchmarks.contender_process import ContenderError, Entry
from experiments.benchmarks.workloads import Workload
from experiments.support import command_line
from jaxmlp import MLPClassifier, MLPRegressor
from tests.commands import catch_writes
from tests.helpers import benchmark_main

# Training.

LOSSES = (2.25, 0.125, 0.9, 0.8)
TRAINED = [
    training_time.Row("small", "ours", [0.3, 0.1, 0.2, 0.5], 1.5, 10, 1000, *LOSSES),
    training_time.Row("small", "theirs", [1.0, 1.0, 1.0, 1.0], 0.0, 1, 100, *LOSSES),
    training_time.Row("cold start", "ours", [3.0, 1.0], 0.0, 1, 1, *LOSSES),
]


def test_training_is_told_in_microseconds_per_update_and_times_ours() -> None:
    assert training_time.table(TRAINED).splitlines() == [
        # Quartiles of 0.1, 0.2, 0.3, 0.5 s: 0.175, 0.25, 0.35, a microsecond each per thousand updates.
        "small   us/update             quartiles  times  compiling s  loss, epoch 1  at the end  epochs",
        "------  ---------  --------------------  -----  -----------  -------------  ----------  ------",
        "ours       250.00        175.00..350.00   1.00         1.50    2.250000000    0.125000  10",
        "theirs  10,000.00  10,000.00..10,000.00  40.00         0.00    2.250000000    0.125000  1",
        "",
        "cold start  seconds   quartiles  times  compiling s  loss, epoch 1  at the end  epochs",
        "----------  -------  ----------  -----  -----------  -------------  ----------  ------",
        "ours           2.00  1.50..2.50   1.00         0.00    2.250000000    0.125000  1",
    ]


def test_what_training_keeps_are_the_rows_with_their_quartiles() -> None:
    record = json.loads(json.dumps(training_time.record(TRAINED)))
    first, _, cold = record["rows"]
    assert (first["unit"], first["low"], first["median"], first["high"]) == ("us/update", *TRAINED[0].quartiles)
    assert (cold["unit"], cold["low"], cold["median"], cold["high"]) == ("seconds", 1.5, 2, 2.5)
    assert (first["first_loss"], first["final_loss"], first["train_accuracy"], first["test_accuracy"]) == LOSSES
    figure = training_time.draw(TRAINED, "here")
    assert figure.get_suptitle() == "Training, medians: here"
    assert [bar.get_width() for bar in figure.axes[0].patches] == pytest.approx([250, 10_000])
    assert [axes.get_xlabel().split()[0] for axes in figure.axes] == ["microseconds", "seconds"]


def test_who_takes_part_and_for_how_many_epochs() -> None:
    one, many = Workload((64, 20, 10), 1, "float32", 100), Workload((64, 20, 10), 32, "float32", 100)
    names = [[entry.name for entry in training_time.entries(each)] for each in (one, many)]
    assert {"NumPy loop", "scikit-learn", "jaxmlp, hand-derived"} <= set(names[0])
    assert set(names[0]) - set(names[1]) >= {"NumPy loop"}
    assert set(names[1]) < set(names[0])
    assert [entry.device for entry in training_time.entries(many, gpu=True)].count("gpu") == 1
    assert training_time.shorter(one, "NumPy loop").epochs == 5
    assert training_time.shorter(one._replace(epochs=50), "NumPy loop").epochs == 2
    assert training_time.shorter(one._replace(epochs=9), "scikit-learn").epochs == 1
    assert training_time.shorter(one, "jaxmlp, automatic") == one
    epochs = [workload.epochs for workload in training_time.workloads(100)]
    assert epochs == [100, 100, 100, 100, 10, 10]
    assert [workload.epochs for workload in training_time.workloads(3)][-1] == 1


def test_workers_run_once_uncounted_and_each_keeps_its_own_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[str] = []

    class Worker:
        def __init__(self, entry: Any, workload: Workload) -> None:
            self.name, self.asked, self.workload = entry.name, 0, workload

        def ask(self, line: str = "") -> dict[str, float]:
            self.asked += 1
            if self.name == "c":
                raise ContenderError("not here")
            if not line:
                return {"seconds_compiling": 9.0 if self.name == "a" else 8.0}
            number = self.asked + (10 if self.name == "b" else 0)
            return {"seconds": number, "first_loss": 1, "final_loss": number, "train_accuracy": 3, "test_accuracy": 4}

        def end(self) -> None:
            ended.append(self.name)

    monkeypatch.setattr(training_time, "Worker", Worker)
    monkeypatch.setattr(training_time, "SLOW", {"b": 5})
    monkeypatch.setattr(training_time, "entries", lambda *_: [Entry(name, "x") for name in "acb"])
    workload = Workload((64, 20, 10), 32, "float32", 10)
    rows = training_time.measure(workload, 2, command_line.bar(0, "run"))
    assert rows == [
        # 47 updates per epoch: 46 batches of 32, and the 25 rows left.
        training_time.Row("64-20-10, batch 32, float32", "a", [3, 4], 9.0, 10, 470, 1, 4, 3, 4),
        training_time.Row("64-20-10, batch 32, float32", "b", [13, 14], 8.0, 2, 94, 1, 14, 3, 4),
    ]
    assert ended == ["a", "c", "b"]
    assert capsys.readouterr().out == "64-20-10, batch 32, float32: c left out: not here\n"


def test_a_training_benchmark_is_printed_kept_and_asked_for_as_its_options_say(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = catch_writes(monkeypatch)
    asked: list[Any] = []
    monkeypatch.setattr(training_time, "on_gpu", lambda device: device == "gpu")
    monkeypatch.setattr(
        training_time, "run", lambda epochs, times, _, gpu: asked.append((epochs, times, gpu)) or TRAINED
    )
    assert benchmark_main("training")(["--epochs", "3", "--repetitions", "2", "--device", "gpu"]) == 0
    assert benchmark_main("training")([]) == 0
    assert asked == [(3, 2, True), (100, 5, False)]
    assert training_time.table(TRAINED) in capsys.readouterr().out
    assert list(files) == ["benchmark.json", "benchmark.png"]


def test_a_workload_counts_its_last_smaller_batch_and_is_small_below_10000_products() -> None:
    assert Workload((64, 20, 10), 100, "float32", 3).updates == 3 * 15
    assert Workload((784, 20, 10), 128, "float32", 1).updates == 32
    assert [Workload((64, width, 10), 10, "float32", 1).small for width in (999, 1000)] == [True, False]
    assert Workload((64, 20, 10), 1, "float64", 1).name == "64-20-10, batch 1, float64"


def test_a_workloads_weights_and_orders_are_the_lectures_stream() -> None:
    task = workloads.make(Workload((64, 5, 10), 1, "float64", 2))
    random = np.random.RandomState(0)
    np.testing.assert_array_equal(task.weights[0], random.normal(0, 1 / 8, (5, 64)))
    np.testing.assert_array_equal(task.weights[1], random.normal(0, 1 / np.sqrt(5), (10, 5)))
    np.testing.assert_array_equal(task.orders, [random.permutation(1497), random.permutation(1497)])
    assert [len(biases) for biases in task.biases] == [5, 10]
    assert not any(biases.any() for biases in task.biases)


# Sweeps.

FIRST = "sweep: 4 of 64-20-10, one seed"
SWEPT = [
    sweep_time.Row(sweep_time.ALONE, [4.0, 2.0, 6.0], 1.0, 1_000_000),
    sweep_time.Row(FIRST, [1.0, 1.0, 3.0], 0.5, 2_000_000),
    sweep_time.Row(sweep_time.STORED, [1.5, 1.1, 3.0], 0.0, 2_000_000),
    sweep_time.Row(sweep_time.UNEVALUATED, [0.5, 0.5, 1.0], 0.0, 2_000_000),
    sweep_time.Row(sweep_time.SKLEARN, [5.0, 5.0, 5.0], 0.0, 100_000),
]


def test_sweeps_are_told_in_microseconds_and_shares_of_one_alone() -> None:
    lines = [line.split("  ") for line in sweep_time.table(SWEPT).splitlines()]
    told = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert told[0] == ["64-20-10, float32, 1 sample per update", "median s", "quartiles", "us", "of one alone",
                       "compiling s"]  # fmt: skip
    assert told[2:4] == [
        [sweep_time.ALONE, "4.00", "3.00..5.00", "4.000", "1.00", "1.0"],
        [FIRST, "1.00", "1.00..2.00", "0.500", "0.12", "0.5"],
    ]


def test_the_ratios_that_count_are_of_pairs_of_one_repetition() -> None:
    # Of the first: 1/8, 1/4, 1/4 of one alone. Stored: 50, 10, 0 % more. scikit-learn: 200, 200, 100 times.
    assert sweep_time.facts(SWEPT) == [
        "a network of the first sweep takes 0.25 of one alone (0.188..0.25)",
        "the database takes 10 % of its time (5..30)",
        "scikit-learn takes 200 times as long as the sweep that is not evaluated either (150..200)",
    ]


LARGE = [
    timing.Row(larger_time.OURS, [2.0, 1.0, 3.0], 0.5, 1_000_000),
    timing.Row("jit(vmap(scan)), sharded", [4.0, 2.0, 4.0], 1.5, 1_000_000),
    timing.Row("PyTorch, batched by hand", [3.0, 2.0, 5.0], 0.0, 900_000),
]
MIXED = {"first result, nothing compiled before": [4.0, 5.0, 6.0], "last result, in a second process": [3.0, 2.0, 1.0]}


def test_larger_networks_are_told_beside_the_best_of_the_others_in_ratios_of_one_repetition() -> None:
    lines = [re.split("  +", line) for line in larger_time.table("32 of 7-5-3", LARGE).splitlines()]
    assert lines[0] == ["32 of 7-5-3", "median s", "quartiles", "us", "of the sweep", "compiling s"]
    assert lines[3] == ["jit(vmap(scan)), sharded", "4.00", "3.00..4.00", "4.0", "2.00", "1.5"]
    assert lines[4] == ["PyTorch, batched by hand", "3.00", "2.50..4.00", "3.3", "1.67", "0.0"]
    # 2/3, 1/2 and 3/5 of PyTorch's, which is the best by its median.
    assert larger_time.facts("32", LARGE) == [
        "32: a sweep takes 0.60 (0.55..0.63) of the time of PyTorch, batched by hand"
    ]
    assert larger_time.facts("32", LARGE[:1]) == []


def test_a_mixed_sweep_is_told_in_seconds_to_the_first_and_to_the_last_result() -> None:
    lines = [re.split("  +", line) for line in mixed_sweep.table(MIXED).splitlines()]
    assert lines[0][0] == "a sweep of 90 networks of 18 kinds, 5 epochs"
    assert lines[2:] == [
        ["first result, nothing compiled before", "5.0", "4.5..5.5"],
        ["last result, in a second process", "2.0", "1.5..2.5"],
    ]


def test_the_second_process_finds_what_the_first_one_compiled_and_every_repetition_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[str, str]] = []

    def run(call: list[str], env: dict[str, str], **_: Any) -> Any:
        assert call[1:3] == ["-m", "experiments.benchmarks.mixed_sweep"]
        assert not Path(call[3]).exists()
        assert not {name for name in env if name.startswith("XLA_")}
        calls.append((env["XDG_CACHE_HOME"], Path(call[3]).name))
        return SimpleNamespace(stdout=json.dumps({"first result": len(calls), "last result": 10 * len(calls)}))

    monkeypatch.setenv("XLA_FLAGS", "--xla_something")
    monkeypatch.setattr(mixed_sweep.subprocess, "run", run)
    assert mixed_sweep.measure(2) == {
        "first result, nothing compiled before": [1, 3], "last result, nothing compiled before": [10, 30],
        "first result, in a second process": [2, 4], "last result, in a second process": [20, 40],
    }  # fmt: skip
    folders = [folder for folder, _ in calls]
    assert folders[0] == folders[1] != folders[2] == folders[3]
    assert len({name for _, name in calls}) == 2


def test_a_contenders_first_call_counts_as_compiling_only_and_they_take_turns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = catch_writes(monkeypatch)
    clock = [0.0]
    asked: list[Any] = []
    turns: list[str] = []

    def call(name: str, first: float, others: float) -> Any:
        def run() -> int:
            clock[0] += others if name in turns else first
            turns.append(name)
            return 7

        return run

    def calls(epochs: int, _: Any, networks: int) -> dict[str, Any]:
        asked.append((epochs, networks))
        names = (sweep_time.ALONE, FIRST, sweep_time.STORED)
        return {name: call(name, 5, number + 1) for number, name in enumerate(names)}

    monkeypatch.setattr(sweep_time, "calls", calls)
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    asked_for: list[int] = []
    monkeypatch.setattr(larger_time, "measure", lambda count: [asked_for.append(count), {"32 of 7-5-3": LARGE}][1])
    monkeypatch.setattr(mixed_sweep, "measure", lambda count: [asked_for.append(count), MIXED][1])
    options = ["--epochs", "3", "--networks", "4", "--repetitions", "2"]
    assert benchmark_main("sweep")(options) == 0
    assert asked_for == [2, 2]
    record = files["benchmark_sweep.json"]
    assert record["mixed"] == MIXED
    assert [row["microseconds"] for row in record["larger"]["32 of 7-5-3"]] == pytest.approx([2, 4, 1e6 / 3e5])
    said = capsys.readouterr().out
    assert "32 of 7-5-3: a sweep takes 0.60 (0.55..0.63) of the time of PyTorch, batched by hand" in said
    assert "last result, in a second process" in said
    assert turns == 3 * list(dict.fromkeys(turns))
    assert asked == [(3, 4)]
    rows = files["benchmark_sweep.json"]["rows"]
    assert [row["seconds"] for row in rows] == [[1, 1], [2, 2], [3, 3]]
    assert [row["seconds_before"] for row in rows] == [4, 3, 2]
    assert [row["microseconds"] for row in rows] == pytest.approx([1e6 / 7, 2e6 / 7, 3e6 / 7])
    assert "the database takes 50 % of its time (50..50)" in said


# The estimator.

FITTED = [
    classifier_time.Row("wine", "jaxmlp", [0.1, 0.2, 0.3], 0.7, [0.9, 0.92, 0.94]),
    classifier_time.Row("wine", "scikit-learn", [0.4, 0.5, 0.6], 0.0, [0.89, 0.92, 0.92]),
    classifier_time.Row("search", "jaxmlp", [1.0], 2.0, [0.9]),
    classifier_time.Row("search", "scikit-learn", [8.0], 0.0, [0.8]),
]


def test_the_estimator_is_told_beside_scikit_learns() -> None:
    # Deviation 0.02 of three: -+ 4.302653 * 0.02 / sqrt(3) = 4.97; of the differences 1, 0, 2 points: 1 -+ 2.48.
    lines = classifier_time.table(FITTED).splitlines()
    assert [cell.strip() for cell in lines[2].split("  ") if cell.strip()] == [
        "wine", "jaxmlp", "0.200", "0.150..0.250", "2.5", "0.70", "92.00 (87.03..96.97)", "+1.00 (-1.48..+3.48)",
    ]  # fmt: skip
    assert lines[3].split()[:6] == ["wine", "scikit-learn", "0.500", "0.450..0.550", "1.0", "0.00"]
    assert [cell.strip() for cell in lines[4].split("  ") if cell.strip()] == [
        "search", "jaxmlp", "1.000", "1.000..1.000", "8.0", "2.00", "90.00", "+10.00",
    ]  # fmt: skip


def test_scikit_learn_gets_the_same_hyperparameters_by_its_own_names() -> None:
    found = classifier_time.theirs({**classifier_data.LECTURE, "max_iter": 3}, 5).get_params()
    expected = {
        "hidden_layer_sizes": (20,), "activation": "logistic", "solver": "sgd", "learning_rate_init": 0.2,
        "batch_size": 1, "alpha": 0.0, "max_iter": 3, "random_state": 5, "momentum": 0, "nesterovs_momentum": False,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert classifier_time.theirs({}, 5).get_params()["solver"] == "adam"
    for numeric, ours, other in ((False, MLPClassifier, ScikitLearns), (True, MLPRegressor, TheirRegressor)):
        made = classifier_time.contenders({"max_iter": 3}, numeric)
        for name, contender in made.items():
            estimator = contender.make(4)
            assert type(estimator) is (ours if name.startswith("jaxmlp") else other)
            parameters = estimator.get_params()
            assert (parameters["max_iter"], parameters["random_state"]) == (3, 4)
            assert name.endswith(contender.dtype)


def test_the_estimators_options_are_heard_and_both_parts_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = catch_writes(monkeypatch)
    asked: list[Any] = []
    monkeypatch.setattr(classifier_time, "run", lambda *how: asked.append(how) or [FITTED[:2], FITTED[2:]])
    assert benchmark_main("estimator")(["--seeds", "3", "--repetitions", "4"]) == benchmark_main("estimator")([]) == 0
    assert asked == [(3, 4), (20, 2)]
    out = capsys.readouterr().out
    assert f"{classifier_time.table(FITTED[:2])}\n\n{classifier_time.table(FITTED[2:])}\n" in out
    record = files["benchmark_estimator.json"]
    assert [(row["case"], row["name"]) for row in record["fits"]] == [("wine", "jaxmlp"), ("wine", "scikit-learn")]
    assert [row["case"] for row in record["searches"]] == ["search", "search"]
    assert [bar.get_width() for bar in files["benchmark_estimator.png"].axes[0].patches] == pytest.approx([0.2, 0.5])


def test_fits_are_scored_on_the_quarter_they_were_not_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[Any] = []
    clock = [0.0]

    class Fake:
        def __init__(self, seed: int) -> None:
            self.seed = seed

        def fit(self, x: Any, labels: Any) -> None:
            assert x.dtype == "float64"
            clock[0] += 5 if not fitted else 2
            counts = np.bincount(labels).tolist()
            fitted.append((self.seed, counts, float(np.abs(x.mean(axis=0)).max()), x[0].tolist()))

        def score(self, x: Any, labels: Any) -> float:
            assert len(x) == len(labels)
            return len(x)

    monkeypatch.setattr(classifier_time, "CASES", (classifier_data.Case("c", "wine", {}),))
    monkeypatch.setattr(classifier_time, "contenders", lambda *_: {"a": classifier_time.Contender(Fake, "float64")})
    monkeypatch.setattr(classifier_time, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    rows = classifier_time.fits(2, command_line.bar(0, "run"))
    assert [seed for seed, *_ in fitted] == [0, 0, 1]
    # Three quarters of wine's 59, 71 and 48 rows; standardised by the training rows' mean; split 0 twice, then split 1.
    assert [counts for _, counts, *_ in fitted] == [[44, 53, 36]] * 3
    assert max(mean for *_, mean, _ in fitted) < 1e-12
    assert fitted[0][3] == fitted[1][3] != fitted[2][3]
    assert rows == [classifier_time.Row("c", "a", [2.0, 2.0], 3.0, [45.0, 45.0])]


@pytest.mark.parametrize(
    ("what", "option"),
    [(what, option) for what, found in benchmark.BENCHMARKS.items() for option, *_ in found.options],
)
def test_nothing_cannot_be_measured(what: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main([what, f"--{option}", "0"]) == 2
    assert capsys.readouterr().err == f"error: {option} is 0, expected 1 or more\n"


def test_scikit_learn_has_one_thread_or_all_whichever_was_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, limits, used = [0.0], list[Any](), list[Any]()

    class Fake:
        def fit(self, *_: Any) -> None:
            used.append(limits[-1])
            clock[0] += slow if limits[-1] == 1 else 2.0

        def score(self, *_: Any) -> float:
            return 0.5

    class Limits:
        def __init__(self, threads: Any) -> None:
            limits.append(threads)

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(classifier_time, "CASES", (classifier_data.Case("c", "diabetes", {}),))
    made = {
        f"{who}, float32": classifier_time.Contender(lambda _: Fake(), "float32") for who in ("ours", "scikit-learn")
    }
    monkeypatch.setattr(classifier_time, "contenders", lambda *_: made)
    monkeypatch.setattr(classifier_time, "threadpool_limits", Limits)
    monkeypatch.setattr(classifier_time, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    for slow, name, faster in ((1.0, "1 thread", 1), (3.0, "all threads", None)):
        used.clear()
        rows = classifier_time.fits(2, command_line.bar(0, "run"))
        assert [row.name for row in rows] == ["ours, float32", f"scikit-learn, float32, {name}"]
        assert used == [None, 1, None, *[None, faster] * 2]
        assert rows[1].seconds == [min(slow, 2.0)] * 2


def test_rows_are_compared_with_scikit_learn_in_the_same_dtype() -> None:
    rows = [
        classifier_time.Row("c", f"{name}, {dtype}", [seconds], 0.0, [0.5])
        for dtype, name, seconds in (
            ("float64", "jaxmlp", 1.0), ("float64", "scikit-learn", 3.0),
            ("float32", "jaxmlp", 1.0), ("float32", "scikit-learn", 2.0),
        )
    ]  # fmt: skip
    lines = classifier_time.table(rows).splitlines()[2:]
    assert [line.split("  ")[-1].strip() for line in lines][1::2] == ["50.00", "50.00"]
    assert [[cell.strip() for cell in line.split("  ") if cell.strip()][4] for line in lines] == [
        "3.0",
        "1.0",
        "2.0",
        "1.0",
    ]


@pytest.mark.parametrize("name", ["tabular", "friedman", "diabetes", "wine"])
def test_data_sets_are_rows_and_targets(name: str) -> None:
    x, y = classifier_data.load(name)
    assert len(x) == len(y) == {"tabular": 20_000, "friedman": 2_000, "diabetes": 442, "wine": 178}[name]
    assert x.shape[1] == {"tabular": 30, "friedman": 10, "diabetes": 10, "wine": 13}[name]
    assert not classifier_data.missing(name)
