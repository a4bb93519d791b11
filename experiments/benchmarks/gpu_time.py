"""What a GPU gains: thousands of networks by either engine, one network, the classifier; and a loop in NumPy.

python -m experiments.benchmark gpu

What runs on the CPU for comparison has a process of its own, with compilation flags for the CPU.
"""

import argparse
import contextlib
import functools
import warnings
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import jax
import numpy as np
from sklearn.neural_network import MLPClassifier as ScikitLearns

from experiments.benchmarks.bars import bars
from experiments.benchmarks.contender_process import SWEEP, ContenderError, Entry, Worker
from experiments.benchmarks.sweep_contenders import single_call, sweep_call
from experiments.benchmarks.timing import time_in_turns
from experiments.benchmarks.workloads import N_TRAIN, Workload, make
from experiments.support import command_line
from jaxmlp import InputError, MLPClassifier, load_digits, runtime
from jaxmlp.choices import ENGINES
from jaxmlp.sweep import make_space
from jaxmlp.sweep.blocks import Data, hold_out

NETWORKS = (64, 1024, 16384)
SMALL = "64-20-10, 1 sample per update"
LARGE = "a classifier, 784-100-10, 200 samples"
UNITS = {SMALL: "microseconds per network and update, evaluation included", LARGE: "microseconds per update, Adam"}
ROWS = N_TRAIN[64] - 300  # 300 validate


class Row(NamedTuple):
    """A contender: its panel, seconds of each repetition, seconds before them (compiling), updates per repetition."""

    panel: str
    name: str
    seconds: list[float]
    seconds_before: float
    updates: int

    @property
    def quartiles(self) -> list[float]:
        """Lower quartile, median, upper quartile, in microseconds per network and update."""
        return np.percentile([1e6 * seconds / self.updates for seconds in self.seconds], [25, 50, 75]).tolist()


class Contender(NamedTuple):
    """Its panel, its name, what a repetition calls, and its updates: those of all its networks."""

    panel: str
    name: str
    call: Callable[[], object]
    updates: int


@contextlib.contextmanager
def on_cpu(epochs: int) -> Generator[list[Contender]]:
    """What runs on the CPU, each in a process of its own; leaving the context ends the processes.

    Raises:
        InputError: a process that ended too early, with its contender's name and the last line it said.
    """
    task = Workload((64, 20, 10), 1, "float32", epochs)
    named = [
        ("CPU, the lecture's loop in NumPy, one core", Entry("", "NumPy loop"), 1, 1),
        ("CPU, one network", Entry("", "jaxmlp, automatic"), 10, 1),
        (f"CPU, {SWEEP:,} networks, all cores", Entry("", "jaxmlp, a sweep"), 1, SWEEP),
    ]

    def ask(worker: Worker, name: str, line: str = "") -> object:
        try:
            return worker.ask(line)
        except ContenderError as reason:
            raise InputError(f"{name}: its process ended: {reason}") from None

    made: list[Contender] = []
    workers: list[Worker] = []
    try:
        for name, entry, times, count in named:
            worker = Worker(entry, task._replace(epochs=times * epochs))
            workers.append(worker)
            ask(worker, name)
            updates = (ROWS if count > 1 else N_TRAIN[64]) * times * epochs * count
            made.append(Contender(SMALL, name, functools.partial(ask, worker, name, "go\n"), updates))
        yield made
    finally:
        for worker in workers:
            worker.end()


def on_gpu(epochs: int, networks: tuple[int, ...]) -> list[Contender]:
    """Sweeps by either engine, and one network alone, on JAX's own device."""
    data: Data = jax.tree.map(np.asarray, hold_out(load_digits("float32")))
    made = [Contender(SMALL, "GPU, one network", single_call(epochs, data), ROWS * epochs)]
    for count in networks:
        space = make_space({"learning_rate": [0.01 + 0.2 * n / count for n in range(count)]})
        for engine in ENGINES:
            call = sweep_call(space, epochs, data, engine)
            made.append(Contender(SMALL, f"GPU, {count:,} networks, {engine}", call, ROWS * epochs * count))
    return made


def classifiers(epochs: int) -> list[Contender]:
    """The classifier on a larger network, on the GPU and on the CPU, and scikit-learn's."""
    task = make(Workload((784, 100, 10), 200, "float32", 1))
    common: dict[str, Any] = {"hidden_layer_sizes": (100,), "batch_size": 200, "max_iter": epochs, "random_state": 0,
                              "tol": 0.0, "n_iter_no_change": epochs + 1}  # fmt: skip
    named: dict[str, Any] = {
        f"{device.upper()}, jaxmlp": MLPClassifier(**common, activation="relu", device=device)
        for device in ("gpu", "cpu")
    } | {"CPU, scikit-learn": ScikitLearns(**common)}

    def fitted(classifier: Any) -> Callable[[], object]:
        def fit() -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # so few epochs do not converge
                classifier.fit(task.x_train, task.labels_train)

        return fit

    updates = epochs * -(-N_TRAIN[784] // 200)
    return [Contender(LARGE, name, fitted(classifier), updates) for name, classifier in named.items()]


def run(epochs: int = 10, repetitions: int = 5, networks: tuple[int, ...] = NETWORKS) -> list[Row]:
    """Measure all contenders in turn; prints nothing.

    Raises:
        InputError: JAX finds no GPU, or a process on the CPU failed.
    """
    runtime.configure("float32", device="gpu")
    with on_cpu(epochs) as beside:
        made = [*on_gpu(epochs, networks), *beside, *classifiers(2 * epochs)]
        timed = time_in_turns([each.call for each in made], repetitions)
    return [
        Row(each.panel, each.name, seconds, before, each.updates)
        for each, (seconds, before, _) in zip(made, timed, strict=True)
    ]


def table(rows: list[Row]) -> str:
    """A table per panel: median, quartiles, seconds compiling."""
    text: list[str] = []
    for panel, unit in UNITS.items():
        lines: list[tuple[str, ...]] = []
        for row in (row for row in rows if row.panel == panel):
            low, middle, high = row.quartiles
            lines.append((row.name, f"{middle:.5g}", f"{low:.5g}..{high:.5g}", f"{row.seconds_before:.1f}"))
        text.append(command_line.table((panel, unit, "quartiles", "compiling s"), lines))
    return "\n\n".join(text)


def draw(rows: list[Row], where: dict[str, Any]) -> Any:
    """``benchmark_gpu.png``: a bar per contender in each panel; those on the GPU have a colour of their own."""
    panels = {panel: {row.name: row.quartiles[1] for row in rows if row.panel == panel} for panel in UNITS}
    title = f"float32, medians: {where['device']} and {where['cores']} cores of {where['processor']}"
    return bars(panels, list(UNITS.values()), title, marked="GPU")


def command(options: argparse.Namespace) -> int:
    """Measure, show the tables, draw, write the record."""
    if options.device == "cpu":
        raise InputError("device is 'cpu', expected gpu or auto: this compares the two")
    runtime.find_device("gpu")
    folder = command_line.output_folder(options.out)
    rows = run(options.epochs, options.repetitions)
    print(table(rows))
    where = runtime.environment()
    record = {"rows": [{**row._asdict(), "quartiles": row.quartiles} for row in rows], "environment": where}
    print(command_line.write(folder, {"benchmark_gpu.json": record, "benchmark_gpu.png": draw(rows, where)}))
    return 0
