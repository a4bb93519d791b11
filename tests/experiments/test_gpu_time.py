"""What `benchmark gpu` shows, of seconds made up; and which engine a sweep takes by itself."""

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier as ScikitLearns

from experiments import benchmark
from experiments.benchmarks import gpu_time
from experiments.benchmarks.contender_process import SWEEP, ContenderError, Entry
from experiments.benchmarks.gpu_time import LARGE, SMALL, Row
from experiments.benchmarks.workloads import Workload
from jaxmlp import MLPClassifier, runtime
from jaxmlp.sweep import preparation
from tests.helpers import MISSING_WARP, without_warp

ROWS = [
    Row(SMALL, "GPU, 2 networks", [4e-3, 1e-3, 2e-3], 1.5, 1000),
    Row(SMALL, "CPU, 2 networks", [8e-3, 8e-3, 8e-3], 0.0, 1000),
    Row(LARGE, "GPU, jaxmlp", [0.5], 2.0, 100),
]


def test_the_table_shows_median_quartiles_and_compiling_by_panel() -> None:
    first, second = gpu_time.table(ROWS).split("\n\n")
    assert first.splitlines()[2].split()[3:] == ["2", "1.5..3", "1.5"]
    assert first.splitlines()[3].split()[3:] == ["8", "8..8", "0.0"]
    assert second.splitlines()[2].split()[2:] == ["5000", "5000..5000", "2.0"]


def test_the_figure_has_a_panel_each_and_marks_the_gpu() -> None:
    figure = gpu_time.draw(ROWS, {"device": "H200", "cores": 16, "processor": "Xeon"})
    small, large = figure.axes
    assert [bar.get_width() for bar in small.patches] == pytest.approx([2.0, 8.0])
    assert [bar.get_width() for bar in large.patches] == pytest.approx([5000.0])
    assert small.patches[0].get_facecolor() == large.patches[0].get_facecolor() != small.patches[1].get_facecolor()
    assert figure.get_suptitle() == "float32, medians: H200 and 16 cores of Xeon"


@pytest.mark.parametrize(
    ("device", "said"), [("auto", "device is 'gpu', but JAX finds none"), ("cpu", "device is 'cpu', expected gpu")]
)
def test_without_a_gpu_there_is_nothing_to_compare(
    device: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert benchmark.main(["gpu", "--device", device]) == 2
    assert said in capsys.readouterr().err


def test_on_the_gpu_networks_of_one_seed_train_by_either_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_time, "single_call", lambda epochs, data: ("one", epochs, len(data.dataset.x_train)))
    monkeypatch.setattr(gpu_time, "sweep_call", lambda *given: given)
    one, *sweeps = gpu_time.on_gpu(3, (2, 4))
    rows = 1497 - 300
    assert (one.name, one.call, one.updates) == ("GPU, one network", ("one", 3, rows), 3 * rows)
    assert [(each.name, each.updates) for each in sweeps] == [
        ("GPU, 2 networks, scan", 6 * rows), ("GPU, 2 networks, fused", 6 * rows),
        ("GPU, 4 networks, scan", 12 * rows), ("GPU, 4 networks, fused", 12 * rows),
    ]  # fmt: skip
    calls: list[Any] = [each.call for each in sweeps]
    assert [(call[1], call[3], call[2].dataset.x_train.dtype) for call in calls] == [
        (3, engine, np.float32) for engine in ("scan", "fused", "scan", "fused")
    ]
    assert calls[0][0].learning_rate == pytest.approx((0.01, 0.11))
    assert calls[2][0].learning_rate == pytest.approx((0.01, 0.06, 0.11, 0.16))
    assert {trial.seed for trial in calls[2][0].trials()} == {0}


@pytest.fixture
def workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Processes that only note what they are asked; ``param``: the contender whose process ends, on which line."""
    started: list[Any] = []
    ends = getattr(request, "param", None)

    class Worker:
        def __init__(self, entry: Entry, workload: Workload) -> None:
            self.asked: list[Any] = [(entry.contender, entry.device, entry.flags, workload)]
            started.append(self)

        def ask(self, line: str = "") -> "Worker":
            if (self.asked[0][0], line) == ends:
                raise ContenderError("out of memory")
            self.asked.append(line)
            return self

        def end(self) -> None:
            self.asked.append("ended")

    monkeypatch.setattr(gpu_time, "Worker", Worker)
    return started


def test_on_the_cpu_each_contender_has_a_process_that_is_ready(workers: list[Any]) -> None:
    lecture = Workload((64, 20, 10), 1, "float32", 3)
    with gpu_time.on_cpu(3) as made:
        assert [worker.asked for worker in workers] == [
            [("NumPy loop", "cpu", "chosen", lecture), ""],
            [("jaxmlp, automatic", "cpu", "chosen", lecture._replace(epochs=30)), ""],
            [("jaxmlp, a sweep", "cpu", "chosen", lecture), ""],
        ]
        assert [each.call() for each in made] == workers
    assert [worker.asked[-2:] for worker in workers] == [["go\n", "ended"]] * 3
    assert [each.updates for each in made] == [3 * 1497, 30 * 1497, 3 * 1197 * SWEEP]


@pytest.mark.parametrize(
    ("workers", "started"),
    [(("jaxmlp, automatic", ""), 2), (("jaxmlp, automatic", "go\n"), 3)],
    indirect=["workers"],
)
def test_a_process_that_ends_is_one_line_and_ends_the_others(
    workers: list[Any],
    started: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(runtime, "find_device", lambda _: None)
    monkeypatch.setattr(runtime, "configure", lambda *_, **__: None)
    for name in ("on_gpu", "classifiers"):
        monkeypatch.setattr(gpu_time, name, lambda *_: [])
    monkeypatch.setattr(runtime, "choose_device", lambda _: None)
    assert benchmark.main(["gpu", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "error: CPU, one network: its process ended: out of memory\n"
    assert [worker.asked[-1] for worker in workers] == ["ended"] * started
    assert list(tmp_path.iterdir()) == []


def test_the_classifiers_differ_in_device_and_maker_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[Any] = []

    def fit(self: Any, x: Any, y: Any) -> None:
        fitted.append((self.get_params(), x.shape, x.dtype, len(y)))

    monkeypatch.setattr(MLPClassifier, "fit", fit)
    monkeypatch.setattr(ScikitLearns, "fit", fit)
    made = gpu_time.classifiers(4)
    for each in made:
        each.call()
    assert [(each.name, each.updates) for each in made] == [  # 4,096 images are 21 batches
        ("GPU, jaxmlp", 84), ("CPU, jaxmlp", 84), ("CPU, scikit-learn", 84),
    ]  # fmt: skip
    (ours, *data), (beside, *_), (theirs, *_) = fitted
    assert data == [(4096, 784), np.float32, 4096]
    assert (ours["device"], {**ours, "device": "cpu"}) == ("gpu", beside)
    common = {"hidden_layer_sizes": (100,), "batch_size": 200, "max_iter": 4, "tol": 0.0, "n_iter_no_change": 5}
    for parameters in (ours, theirs):
        assert {name: parameters[name] for name in common} == common
        assert parameters["activation"] == "relu"
    assert (ours["optimizer"], ours["learning_rate"], ours["alpha"]) == (
        theirs["solver"], theirs["learning_rate_init"], theirs["alpha"],
    )  # fmt: skip


def on(platform: str) -> object:
    """A mesh of devices of a kind that may not be here."""
    devices = types.SimpleNamespace(flat=[types.SimpleNamespace(platform=platform)])
    return lambda: types.SimpleNamespace(devices=devices)


def test_auto_is_the_fused_engine_on_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert preparation.choose_engine("auto") == ("scan", [])
    monkeypatch.setattr(preparation, "device_mesh", on("gpu"))
    assert preparation.choose_engine("auto") == preparation.choose_engine("fused") == ("fused", [])
    assert preparation.choose_engine("scan") == preparation.choose_engine("auto", local=False) == ("scan", [])
    without_warp(monkeypatch, MISSING_WARP)
    engine, (note,) = preparation.choose_engine("auto")
    assert engine == "scan"
    assert note.startswith("the scan trains, slower on a GPU: the fused engine needs NVIDIA")
