"""How soon a program is there: imports, the help, first results; each in a new process, all in turns.

python -m experiments.benchmark start

"Warm" commands find their programs compiled by an earlier process, "cold" ones begin with an empty folder.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmarks.bars import bars
from experiments.support import command_line
from jaxmlp import InputError, runtime

__all__ = ["Case", "Row", "cases", "command", "run", "table"]

PROGRAMS = Path(__file__).parent / "start_programs"
ROOT = Path(__file__).parents[2]
MODEL, SWEEP = "train/model.safetensors", "sweep.sqlite"


class Case(NamedTuple):
    """A program to start.

    Attributes:
        name: of its row.
        panel: of the figure.
        arguments: of the interpreter; ``{runs}`` stands for the folder that all of them share.
        cold: whether each run begins with an empty folder of compiled programs.
    """

    name: str
    panel: str
    arguments: tuple[str, ...]
    cold: bool = False


class Row(NamedTuple):
    """What was measured of a case: of each repetition the seconds that a person waits, and those of the processors."""

    name: str
    panel: str
    wall: list[float]
    processor: list[float]


def cases() -> list[Case]:
    """Everything that is started: jaxmlp, and what people would otherwise start."""

    def program(name: str, *arguments: str) -> tuple[str, ...]:
        return (str(PROGRAMS / f"{name}.py"), *arguments)

    def experiment(name: str, *arguments: str) -> tuple[str, ...]:
        return ("-m", f"experiments.{name}", *arguments)

    train = experiment("train", "--hidden", "30", "--out", "{runs}/again")
    imports, results, commands = "imports and help", "training 64-30-10", "other commands, warm"
    return [
        *(
            Case(code, imports, ("-c", code))
            for code in ("import jax", "import optax", "import jaxmlp", "from jaxmlp import train")
        ),
        Case("import sklearn.datasets", imports, ("-c", "import sklearn.datasets")),
        Case("train --help", imports, experiment("train", "--help")),
        Case("sweep run --help", imports, experiment("sweep", "run", "--help")),
        Case("jaxmlp, 100 epochs, warm", results, train),
        Case("jaxmlp, 100 epochs, cold", results, train, cold=True),
        Case("NumPy loop, 5 epochs", results, program("numpy_loop")),
        Case("JAX by hand, 5 epochs", results, program("plain_jax")),
        Case("scikit-learn, 5 epochs", results, program("scikit_learn")),
        Case("predict", commands, experiment("predict", f"{{runs}}/{MODEL}", "--out", "{runs}/predict")),
        Case("sweep report", commands,
             experiment("sweep", "report", "--database", f"{{runs}}/{SWEEP}", "--out", "{runs}/report")),
        Case("gradient_check FILE.py", commands,
             experiment("gradient_check", str(PROGRAMS / "own_gradient.py"), "--out", "{runs}/check")),
        Case("MLPClassifier, first fit", commands, program("first_fit", "jaxmlp")),
        Case("scikit-learn's, first fit", commands, program("first_fit", "sklearn")),
    ]  # fmt: skip


def run(todo: Sequence[Case], repetitions: int, done: Callable[[], object] = lambda: None) -> list[Row]:
    """Start every case once uncounted, then ``repetitions`` times; they take turns. Prints nothing.

    Raises:
        InputError: a program that ends with an error.
    """
    rows = [Row(case.name, case.panel, [], []) for case in todo]
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        before = (
            ("-m", "experiments.train", "--hidden", "30", "--quiet", "--out", str(runs / "train")),
            ("-m", "experiments.sweep", "run", "--hidden", "10", "20", "--learning-rate", "0.1", "0.2", "--seeds",
             "0:4", "--epochs", "5", "--database", str(runs / SWEEP)),
        )  # fmt: skip
        for arguments in before:
            _start(arguments, runs / "cache")
        done()
        for repetition in range(repetitions + 1):
            for case, row in zip(todo, rows, strict=True):
                arguments = [each.replace("{runs}", folder) for each in case.arguments]
                if case.cold:
                    with tempfile.TemporaryDirectory() as empty:
                        wall, processor = _start(arguments, Path(empty))
                else:
                    wall, processor = _start(arguments, runs / "cache")
                if repetition:
                    row.wall.append(wall)
                    row.processor.append(processor)
                done()
    return rows


def _start(arguments: Sequence[str], cache: Path) -> tuple[float, float]:
    """Seconds that a person waits for the program's end, and seconds of all processors, those of its children too."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))}
    settings = {**kept, "XDG_CACHE_HOME": str(cache), "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, *arguments], env=settings, cwd=ROOT, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            last = (said.read().decode(errors="replace").strip().splitlines() or [""])[-1]
            raise InputError(f"{' '.join(arguments)} ended with code {process.returncode}, expected 0: {last}")
    return wall, used.ru_utime + used.ru_stime


def table(rows: Sequence[Row]) -> str:
    """Medians and quartiles."""
    lines: list[tuple[str, ...]] = []
    for row in rows:
        cells = [row.name]
        for seconds in (row.wall, row.processor):
            low, middle, high = np.percentile(seconds, [25, 50, 75])
            cells += [f"{middle:.2f}", f"{low:.2f}..{high:.2f}"]
        lines.append((*cells, row.panel))
    return command_line.table(("started", "seconds", "quartiles", "of processors", "quartiles", ""), lines)


def draw(rows: Sequence[Row], where: Mapping[str, Any]) -> Any:
    """The seconds that a person waits, as bars."""
    panels: dict[str, dict[str, float]] = {}
    for row in rows:
        panels.setdefault(row.panel, {})[row.name] = float(np.median(row.wall))
    title = f"From the command to its end, medians: {where['cores']} cores, {where['processor']}"
    ours = ("import jaxmlp", "from jaxmlp", "train", "sweep", "jaxmlp", "predict", "gradient_check", "MLPClassifier")
    return bars(panels, ["seconds"] * len(panels), title, marked=ours)


def command(options: argparse.Namespace) -> int:
    """Measure, show the table, draw, write the record."""
    folder = command_line.output_folder(options.out)
    todo = cases()
    with command_line.bar(1 + len(todo) * (options.repetitions + 1), "start") as progress:
        rows = run(todo, options.repetitions, progress.update)
    print(table(rows))
    where = runtime.environment()
    record = {"rows": [row._asdict() for row in rows], "environment": where}
    print(command_line.write(folder, {"benchmark_start.json": record, "benchmark_start.png": draw(rows, where)}))
    return 0
