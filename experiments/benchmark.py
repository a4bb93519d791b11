"""How fast, beside what people would otherwise use: everything in one run, interleaved, on this machine.

python -m experiments.benchmark training
"""

import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments import command, contenders, train
from jaxmlp import Config, Hyperparameters, LectureStream, figures, initial_state, load_digits, runtime, train_epochs


class Row(NamedTuple):
    """One contender: seconds of each repetition, seconds compiling, updates a repetition, final epoch's mean loss."""

    name: str
    seconds: list[float]
    seconds_compiling: float
    updates: int
    final_loss: float


Prepared = tuple[Callable[[], float], float]
"""A call that trains from the start and returns the final loss, and the seconds that compiling it took."""


def jaxmlp_training(gradient: str, epochs: int) -> Prepared:
    """Jaxmlp on 64-20-10, float64, lecture mode, one sample an update."""
    dataset, stream = load_digits("float64"), LectureStream(0)
    params = stream.params((64, 20, 10), "float64")
    orders = stream.orders(epochs, len(dataset.labels_train))
    hyperparameters, config = Hyperparameters(0.2), Config()
    state = initial_state(params, hyperparameters, config)
    start = time.perf_counter()
    function = train.GRADIENTS[gradient]("sigmoid")
    program = train_epochs.lower(state, dataset, orders, hyperparameters, config, function).compile()
    compiling = time.perf_counter() - start
    return lambda: float(program(state, dataset, orders, hyperparameters)[1].loss[-1]), compiling


def numpy_training(epochs: int) -> Prepared:
    """The same as a plain NumPy loop."""
    dataset, stream = load_digits("float64"), LectureStream(0)
    params = stream.params((64, 20, 10), "float64")
    orders = np.asarray(stream.orders(epochs, len(dataset.labels_train)))
    data = tuple(np.asarray(part) for part in dataset)

    def call() -> float:
        weights, biases = ([np.array(part) for part in parts] for parts in zip(*params, strict=True))
        return contenders.numpy_loop(weights, biases, data, orders, 0.2)[-1, 0]

    return call, 0.0


def measure(prepared: dict[str, Prepared], repetitions: int, updates: int) -> list[Row]:
    """Run all contenders in turn, ``repetitions`` times after one run that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in prepared}
    losses = {name: call() for name, (call, _) in prepared.items()}
    with command.bar(repetitions * len(prepared), "run") as progress:
        for _ in range(repetitions):
            for name, (call, _) in prepared.items():
                start = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - start)
                progress.update()
    return [Row(name, seconds[name], prepared[name][1], updates, losses[name]) for name in prepared]


def run(epochs: int = 100, repetitions: int = 5) -> list[Row]:
    """Measure training of 64-20-10 with evaluation each epoch; prints nothing."""
    runtime.configure("float64")
    prepared = {
        "jaxmlp, automatic": jaxmlp_training("automatic", epochs),
        "jaxmlp, hand-derived": jaxmlp_training("hand-derived", epochs),
        "NumPy loop": numpy_training(epochs),
    }
    return measure(prepared, repetitions, epochs * 1497)


def table(rows: list[Row]) -> str:
    """Median and quartiles, microseconds an update, and how many times the fastest."""
    fastest = min(float(np.median(row.seconds)) for row in rows)
    lines: list[tuple[str, ...]] = []
    for row in rows:
        low, middle, high = np.percentile(row.seconds, [25, 50, 75])
        lines.append(
            (
                row.name, f"{middle:.3f}", f"{low:.3f}..{high:.3f}", f"{1e6 * middle / row.updates:.2f}",
                f"{middle / fastest:.1f}", f"{row.seconds_compiling:.2f}", f"{row.final_loss:.9f}",
            )
        )  # fmt: skip
    header = ("64-20-10, float64", "median s", "quartiles", "us/update", "times", "compiling s", "final loss")
    return command.table(header, lines)


def record(rows: list[Row]) -> dict[str, Any]:
    """What ``benchmark.json`` holds."""
    return {"rows": [row._asdict() for row in rows], "environment": runtime.environment()}


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = command.parser("experiments.benchmark", __doc__)
    parser.add_argument("what", choices=("training",), help="what to measure")
    parser.add_argument("--epochs", type=int, default=100, help="(%(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, help="(%(default)s)")
    options = parser.parse_args(arguments)

    def body() -> int:
        for name in ("epochs", "repetitions"):
            command.positive(name, getattr(options, name))
        folder = command.output_folder(options.out)
        rows = run(options.epochs, options.repetitions)
        print(table(rows))
        names, medians = [row.name for row in rows], [float(np.median(row.seconds)) for row in rows]
        title = f"64-20-10, {options.epochs} epochs of one sample an update, float64, {jax.devices()[0].device_kind}"
        figure = figures.bars(names, medians, "seconds (median)", title)
        print(command.write(folder, {"benchmark.json": record(rows), "benchmark.png": figure}))
        return 0

    return command.call(body)


if __name__ == "__main__":
    sys.exit(main())
