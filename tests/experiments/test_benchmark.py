import importlib.util
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import benchmark
from experiments.benchmarks import contender_process, contenders, contenders_many, training_time, workloads
from experiments.benchmarks.workloads import Workload
from experiments.support import command_line
from jaxmlp import Dataset, Hyperparameters, TrainingConfig, train
from jaxmlp.lecture import make_dataset
from tests.helpers import as_params, fresh_python, rejects

NUMPY_ONLY = ["NumPy loop", "scikit-learn"]
OPTIONAL = {"Numba loops": "numba", "PyTorch, eager": "torch", "PyTorch, compiled": "torch"}
TINY = Workload((64, 6, 10), 1, "float64", 2)


def ours(workload: Workload) -> tuple[float, ...]:
    """What jaxmlp itself makes of a workload, as an `Outcome`."""
    task = workloads.make(workload)
    dataset = make_dataset(task.x_train, task.labels_train, task.x_test, task.labels_test, 10, workload.dtype)
    params, config = (
        as_params(zip(task.weights, task.biases, strict=True)),
        TrainingConfig(batch_size=workload.batch_size),
    )
    _, history = train(params, dataset, jnp.asarray(task.orders), Hyperparameters(0.2), config)
    return (float(history.loss[0]), *(float(column[-1]) for column in history))


def outcome(contender: str, workload: Workload) -> tuple[float, ...]:
    if contender in OPTIONAL and importlib.util.find_spec(OPTIONAL[contender]) is None:
        pytest.skip(f"{OPTIONAL[contender]} is not installed")
    return tuple(contender_process.CONTENDERS[contender](workload, "as set")[0]())


@pytest.mark.parametrize("contender", [*NUMPY_ONLY, *OPTIONAL])
@pytest.mark.filterwarnings("default")  # the contenders' own warnings are not ours to forbid
def test_every_contender_does_the_same_updates(contender: str) -> None:
    np.testing.assert_allclose(outcome(contender, TINY), ours(TINY), rtol=1e-10)


def test_the_loops_for_numba_do_the_lectures_updates_without_it_too() -> None:
    task, some = workloads.make(TINY), slice(0, 40)
    ours, theirs = ([part.copy() for pair in zip(*task[:2], strict=True) for part in pair] for _ in range(2))
    epoch = contenders.numba_loops(lambda function: function)
    loss = epoch(*ours, task.x_train, task.y_train, task.orders[0, some], np.float64(0.2))
    expected = contenders.numpy_loop(theirs[::2], theirs[1::2], task[2:8], task.orders[:1, some], 0.2)
    assert loss == pytest.approx(expected[0, 0], rel=1e-12)
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("contender", ["scikit-learn", "PyTorch, eager"])
@pytest.mark.filterwarnings("default")
def test_batches_are_the_same_too_the_smaller_last_one_included(contender: str) -> None:
    workload = TINY._replace(batch_size=100)
    np.testing.assert_allclose(outcome(contender, workload), ours(workload), rtol=1e-10)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_larger_networks_are_trained_alike_by_all_who_are_timed(
    optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = Workload((64, 7, 10), 37, "float32", 2)
    many = contenders_many.Many(3, optimizer, 0.01, 313)
    monkeypatch.setattr(contenders_many, "LARGER", {workload: many})
    if importlib.util.find_spec("torch") is None:
        monkeypatch.delitem(contenders_many.MANY, "PyTorch, batched by hand")
    monkeypatch.setattr("jaxmlp.runtime.configure_sweep", lambda *_: None)  # other tests need 64 bits
    with jax.numpy_dtype_promotion("standard"):
        first, *others = (make(workload)[0]() for make in contenders_many.MANY.values())
    assert first.first_loss > first.final_loss > 0
    assert others
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-5)
    assert contenders_many.name_of(workload) == f"3 of 64-7-10, batch 37, {optimizer}"


def test_the_lectures_own_task_is_what_the_benchmark_trains(digits: Dataset) -> None:
    task = workloads.make(Workload((64, 20, 10), 1, "float64", 1))
    for ours, theirs in zip(digits, task[2:8], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_synthetic_images_are_the_same_at_every_call_and_can_be_learnt() -> None:
    workload = Workload((784, 16, 10), 32, "float32", 1)
    for one, other in zip(workloads.make(workload)[2:], workloads.make(workload)[2:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert ours(workload)[-1] > 0.9


@pytest.mark.slow
def test_workers_take_turns_and_say_what_came_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tiny(_: int) -> list[Workload]:
        return [TINY]

    def nothing(*_: object) -> list[training_time.Row]:
        return []

    def three(*_: object) -> list[training_time.Entry]:
        names = ("jaxmlp, automatic", "jaxmlp, hand-derived", "NumPy loop")
        return [training_time.Entry(name, name) for name in names]

    monkeypatch.setattr(training_time, "workloads", tiny)
    monkeypatch.setattr(training_time, "cold_start", nothing)
    monkeypatch.setattr(training_time, "entries", three)
    monkeypatch.setattr(training_time, "SLOW", {})
    assert benchmark.main(["training", "--device", "cpu", "--repetitions", "2", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "benchmark.json").read_text())["rows"]
    assert [len(row["seconds"]) for row in rows] == [2, 2, 2]
    for row in rows:
        measured = [row[name] for name in contenders.Outcome._fields]
        np.testing.assert_allclose(measured, ours(TINY), rtol=1e-8)  # other flags, other rounding
    assert (tmp_path / "benchmark.png").stat().st_size > 10_000


def test_a_contender_that_cannot_run_is_named_with_its_reason_and_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def one(*_: object) -> list[training_time.Entry]:
        return [training_time.Entry("unknown", "no such contender")]

    monkeypatch.setattr(training_time, "entries", one)
    rows = training_time.measure(TINY, 1, command_line.bar(0, "run"))
    assert not rows
    assert "unknown left out: KeyError: 'no such contender'" in capsys.readouterr().out


def test_contenders_start_without_jax() -> None:
    names = "contender_process, contenders, contenders_torch"
    program = f"import sys; from experiments.benchmarks import {names}; print('jax' in sys.modules)"
    assert fresh_python(program) == "False"


@pytest.mark.slow
def test_a_gpu_that_is_not_there_is_refused_and_auto_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # where there is one
    with rejects("device is 'gpu', but JAX finds none: expected a driver for it, and: "):
        contender_process.on_gpu("gpu")
    assert not contender_process.on_gpu("auto")
    assert not contender_process.on_gpu("cpu")
