"""Training one network, beside what people would otherwise use: all in one run, in turns.

python -m experiments.benchmark training

Each contender has a process of its own (`contender_process`). One runs at a time, and they take turns.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmarks.bars import bars
from experiments.benchmarks.contender_process import ContenderError, Entry, Worker, environment, on_gpu
from experiments.benchmarks.workloads import Workload
from experiments.support import command_line
from jaxmlp import runtime

# Compile every loop as a whole, products of matrices included; for comparison only.
WHOLE_LOOPS = (
    "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1000000000000000 "
    "--xla_cpu_experimental_ynn_fusion_type="
)
FORCED = "jaxmlp, all loops whole"
SLOW = {"NumPy loop": 20, "scikit-learn": 50, "PyTorch, eager": 50, "PyTorch, compiled": 20, FORCED: 10}
"""Slow rows: they train one epoch where the others train so many, since a repetition would take minutes."""
NEEDS = {"Numba loops": "numba", "PyTorch, eager": "torch", "PyTorch, compiled": "torch"}
COLD_START = "cold start"
COLD = ("jaxmlp, automatic", "Numba loops", "NumPy loop", "scikit-learn", "PyTorch, eager")


class Row(NamedTuple):
    """What was measured: seconds of each repetition and of compiling, updates per repetition, losses and accuracies."""

    workload: str
    name: str
    seconds: list[float]
    seconds_compiling: float
    epochs: int
    updates: int
    first_loss: float
    final_loss: float
    train_accuracy: float
    test_accuracy: float

    @property
    def unit(self) -> str:
        """The unit of `quartiles`."""
        return "seconds" if self.workload == COLD_START else "us/update"

    @property
    def quartiles(self) -> list[float]:
        """Lower quartile, median, upper quartile: seconds, or microseconds per update, evaluation included."""
        scale = 1 if self.workload == COLD_START else 1e6 / self.updates
        return np.percentile([scale * seconds for seconds in self.seconds], [25, 50, 75]).tolist()


def entries(workload: Workload, gpu: bool = False) -> list[Entry]:
    """The contenders of a workload that are installed; the loops in Numba and NumPy are written for batch size 1.

    All run on the CPU; with ``gpu`` jaxmlp runs on the GPU too.
    """
    names = ["jaxmlp, automatic", "jaxmlp, hand-derived"]
    names += ["Numba loops", "NumPy loop"] if workload.batch_size == 1 else []
    names += ["scikit-learn", "PyTorch, eager", "PyTorch, compiled"]
    found = [name for name in names if name not in NEEDS or importlib.util.find_spec(NEEDS[name])]
    return [
        *(Entry(name, name) for name in found),
        Entry("jaxmlp, XLA's default flags", "jaxmlp, automatic", "as set"),
        Entry(FORCED, "jaxmlp, automatic", "as set", WHOLE_LOOPS),
        *([Entry("jaxmlp, on the GPU", "jaxmlp, automatic", device="gpu")] if gpu else []),
    ]


def workloads(epochs: int) -> list[Workload]:
    """The lecture's first network in both precisions, then batches and a larger network."""
    digits, images = (64, 20, 10), (784, 128, 10)
    few = max(1, epochs // 10)
    return [
        Workload(digits, 1, "float32", epochs),
        Workload(digits, 1, "float64", epochs),
        Workload(digits, 32, "float32", epochs),
        Workload(digits, 128, "float32", epochs),
        Workload(images, 32, "float32", few),
        Workload(images, 128, "float32", few),
    ]


def shorter(workload: Workload, name: str) -> Workload:
    """The workload as this row trains it: a `SLOW` one trains fewer epochs."""
    return workload._replace(epochs=max(1, workload.epochs // SLOW.get(name, 1)))


def measure(workload: Workload, repetitions: int, progress: Any, gpu: bool = False) -> list[Row]:
    """Run all contenders in turn: each once without counting it, then ``repetitions`` times."""
    workers: dict[Entry, Worker] = {}
    compiling: dict[Entry, float] = {}
    seconds: dict[Entry, list[float]] = {}
    outcome: dict[Entry, dict[str, float]] = {}
    try:
        for entry in entries(workload, gpu):
            workers[entry] = Worker(entry, shorter(workload, entry.name))
            try:
                compiling[entry] = workers[entry].ask()["seconds_compiling"]
                workers[entry].ask("go\n")
                seconds[entry] = []
            except ContenderError as reason:
                command_line.show(f"{workload.name}: {entry.name} left out: {reason}")
            progress.update()
        for _ in range(repetitions):
            for entry, taken in seconds.items():
                outcome[entry] = workers[entry].ask("go\n")
                taken.append(outcome[entry].pop("seconds"))
            progress.update()
    finally:
        for worker in workers.values():
            worker.end()
    return [
        Row(
            workload.name, entry.name, taken, compiling[entry], shorter(workload, entry.name).epochs,
            shorter(workload, entry.name).updates, *outcome[entry].values(),
        )
        for entry, taken in seconds.items()
    ]  # fmt: skip


def cold_start(repetitions: int, progress: Any) -> list[Row]:
    """Time from starting Python to the end of the first epoch, 64-20-10 in float64; and that of the whole command.

    The command, ``python -m experiments.one_hidden_layer``, trains 100 epochs and draws its figures.
    """
    workload = Workload((64, 20, 10), 1, "float64", 1)
    seconds: dict[str, list[float]] = {}
    outcomes: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repetitions + 1):
            for entry in entries(workload):
                if entry.contender in COLD and entry.flags == "chosen":
                    start, worker = time.perf_counter(), Worker(entry, workload)
                    try:
                        worker.ask()
                        outcomes[entry.name] = worker.ask("go\n")
                        seconds.setdefault(entry.name, []).append(time.perf_counter() - start)
                    finally:
                        worker.end()
            for name, options in (("the command, warm cache", []), ("the command, --no-cache", ["--no-cache"])):
                start = time.perf_counter()
                subprocess.run(
                    [sys.executable, "-m", "experiments.one_hidden_layer", "--out", folder, *options],
                    check=True,
                    env={**environment(), "XDG_CACHE_HOME": folder},
                    stdout=subprocess.DEVNULL,
                )
                seconds.setdefault(name, []).append(time.perf_counter() - start)
                history = json.loads((Path(folder) / "history.json").read_text())
                ends = {column: history[column][-1] for column in ("loss", "train_accuracy", "test_accuracy")}
                outcomes[name] = {"first_loss": history["loss"][0], **ends}
            progress.update()
    # The first round fills the caches and is not counted.
    return [
        Row(COLD_START, name, taken[1:], 0.0, 100 if "command" in name else 1, 1, *list(outcomes[name].values())[-4:])
        for name, taken in seconds.items()
    ]


def run(epochs: int = 100, repetitions: int = 5, progress: Any = None, gpu: bool = False) -> list[Row]:
    """Measure every workload, then cold starts; prints only which contender is left out, and why.

    Args:
        epochs: of the digits; the larger network trains a tenth of them, slow contenders fewer (`SLOW`).
        repetitions: counted runs of each contender.
        progress: has ``update()``, called as work goes on.
        gpu: whether jaxmlp also trains on the GPU.
    """
    progress = progress or command_line.bar(0, "run")
    rows = [row for workload in workloads(epochs) for row in measure(workload, repetitions, progress, gpu)]
    return rows + cold_start(repetitions, progress)


def table(rows: list[Row]) -> str:
    """For each workload: microseconds per update, median and quartiles, and their ratio to jaxmlp's."""
    text: list[str] = []
    for workload in dict.fromkeys(row.workload for row in rows):
        group = [row for row in rows if row.workload == workload]
        ours = group[0].quartiles[1]
        lines: list[tuple[str, ...]] = []
        for row in group:
            low, middle, high = row.quartiles
            lines.append(
                (
                    row.name,
                    f"{middle:,.2f}",
                    f"{low:,.2f}..{high:,.2f}",
                    f"{middle / ours:.2f}",
                    f"{row.seconds_compiling:.2f}",
                    f"{row.first_loss:.9f}",
                    f"{row.final_loss:.6f}",
                    str(row.epochs),
                )
            )
        header = (workload, group[0].unit, "quartiles", "times", "compiling s", "loss, epoch 1", "at the end", "epochs")
        text.append(command_line.table(header, lines))
    return "\n\n".join(text)


def record(rows: list[Row]) -> dict[str, Any]:
    """What ``benchmark.json`` holds."""
    listed = [
        {**row._asdict(), "unit": row.unit, **dict(zip(("low", "median", "high"), row.quartiles, strict=True))}
        for row in rows
    ]
    installed = {name: metadata.version(name) for name in set(NEEDS.values()) if importlib.util.find_spec(name)}
    return {"rows": listed, "environment": runtime.environment(), "contenders": installed}


def draw(rows: list[Row], machine: str) -> Any:
    """``benchmark.png``: a panel per workload, a bar per contender."""
    panels: dict[str, dict[str, float]] = {}
    for row in rows:
        panels.setdefault(row.workload, {})[row.name] = row.quartiles[1]
    units = {"us/update": "microseconds per update, evaluation included"}
    units["seconds"] = "seconds from starting Python to the first epoch's end; of the command, to its end"
    labels = list({row.workload: units[row.unit] for row in rows}.values())
    return bars(panels, labels, f"Training, medians: {machine}", marked="jaxmlp")


def command(options: argparse.Namespace) -> int:
    """Measure, show the tables, draw, write the record."""
    gpu = on_gpu(options.device)
    folder = command_line.output_folder(options.out)
    todo = workloads(options.epochs)
    total = sum(len(entries(workload, gpu)) for workload in todo) + options.repetitions * (len(todo) + 1) + 1
    with command_line.bar(total, "run") as progress:
        rows = run(options.epochs, options.repetitions, progress, gpu)
    print(table(rows))
    where = runtime.environment()
    figure = draw(rows, f"{where['cores']} cores, {where['processor']}")
    print(command_line.write(folder, {"benchmark.json": record(rows), "benchmark.png": figure}))
    return 0
