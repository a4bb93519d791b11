"""Train one network on the handwritten digits as the lecture does, print its line an epoch, draw its figures.

python -m experiments.train --hidden 20 10
"""

import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from experiments import command
from jaxmlp import (
    Config,
    Dataset,
    History,
    Hyperparameters,
    InputError,
    KeyStream,
    LectureStream,
    Model,
    Params,
    automatic_gradient,
    figures,
    forward_trace,
    hand_derived_gradient,
    initial_state,
    load_digits,
    runtime,
    train_epochs,
)  # fmt: skip
from jaxmlp.network import ACTIVATIONS, hidden_activations
from jaxmlp.training import check_training

GRADIENTS = {"automatic": automatic_gradient, "hand-derived": hand_derived_gradient}
RANDOMNESS = {"lecture": LectureStream, "jax": KeyStream}
N_IN, N_CLASSES = 64, 10


@dataclasses.dataclass(frozen=True)
class Settings:
    """What one training run is made of; the defaults are the lecture's first network."""

    hidden: tuple[int, ...] = (20,)
    seed: int = 0
    learning_rate: float = 0.2
    epochs: int = 100
    batch_size: int = 1
    activation: str = "sigmoid"
    gradient: str = "automatic"
    dtype: str = "float64"
    randomness: str = "lecture"

    @property
    def sizes(self) -> tuple[int, ...]:
        """``(n_0, .., n_L)``."""
        return (N_IN, *self.hidden, N_CLASSES)

    @property
    def name(self) -> str:
        """The network's sizes, as 64-20-10."""
        return "-".join(map(str, self.sizes))


class Result(NamedTuple):
    """What a run gives.

    Attributes:
        settings: what was asked for.
        dataset: what it was trained on.
        params: after the last epoch.
        history: NumPy arrays, one row for each epoch done whose loss is finite.
        seconds_compiling: tracing and compiling the training program.
        seconds_training: all epochs with their evaluation, without printing.
        ended: "finished", "interrupted" (Ctrl-C) or "diverged" (a loss that is not finite, in the epoch after
            the last one of the history).
    """

    settings: Settings
    dataset: Dataset
    params: Params
    history: History
    seconds_compiling: float
    seconds_training: float
    ended: str


def choose(what: str, name: str, table: dict[str, Any]) -> Any:
    """``table[name]``; raises InputError naming the choices."""
    if name not in table:
        raise InputError(f"{what} is {name!r}, expected one of {', '.join(table)}")
    return table[name]


def epochs_a_call(epochs: int, samples: int, params: Params) -> int:
    """How many epochs one compiled call trains: a divisor of ``epochs``, so that one compilation serves them all.

    Up to 10, since a call costs some 0.3 ms, a fifth of an epoch of the lecture's network; fewer where an epoch is
    long (more than about 0.1 s), so that lines appear and Ctrl-C is heard as training goes on.
    """
    weights = sum(leaf.size for leaf in jax.tree.leaves(params))
    most = min(10, max(1, 10**8 // (samples * weights)))
    return max(n for n in range(1, most + 1) if epochs % n == 0)


def run(settings: Settings, report: Callable[[int, History], None] | None = None) -> Result:
    """Train the network that ``settings`` describe; prints nothing.

    Args:
        settings: checked here.
        report: called after each chunk of epochs with the number of epochs before it and the chunk's History.

    Returns:
        The Result. Ctrl-C ends training early and is told in it, not raised.

    Raises:
        InputError: a setting that cannot be used.
    """
    runtime.configure(settings.dtype)
    dataset = load_digits(settings.dtype)
    stream = choose("randomness", settings.randomness, RANDOMNESS)(settings.seed)
    # The loss and its gradient are the same function of the network whichever way the gradient is found.
    gradient_function = choose("gradient", settings.gradient, GRADIENTS)(settings.activation)
    hyperparameters = Hyperparameters(settings.learning_rate)
    config = Config(settings.activation, settings.batch_size)
    hidden_activations(settings.activation, len(settings.hidden))
    params = stream.params(settings.sizes, settings.dtype)
    check_training(params, dataset, hyperparameters, config, settings.epochs)
    state = initial_state(params, hyperparameters, config)
    n = len(dataset.labels_train)
    chunk = epochs_a_call(settings.epochs, n, params)

    start = time.perf_counter()
    shape = jax.ShapeDtypeStruct((chunk, n), np.int32)
    program = train_epochs.lower(state, dataset, shape, hyperparameters, config, gradient_function).compile()
    seconds_compiling = time.perf_counter() - start

    rows: list[History] = []
    seconds_training, ended = 0.0, "finished"
    try:
        for done in range(0, settings.epochs, chunk):
            start = time.perf_counter()
            state, history = program(state, dataset, stream.orders(chunk, n), hyperparameters)
            history = jax.tree.map(np.asarray, history)
            seconds_training += time.perf_counter() - start
            finite = int(np.argmin([*np.isfinite(history.loss), False]))
            rows.append(jax.tree.map(lambda column: column[:finite], history))  # noqa: B023 - used at once
            if report:
                report(done, rows[-1])
            if finite < chunk:
                ended = "diverged"
                break
    except KeyboardInterrupt:
        ended = "interrupted"
    empty = History(*[np.empty(0)] * 3)
    history = History(*(np.concatenate(columns) for columns in zip(empty, *rows, strict=True)))
    return Result(settings, dataset, state.params, history, seconds_compiling, seconds_training, ended)


def line(epoch: int, loss: float, train_accuracy: float, test_accuracy: float) -> str:
    """The lecture's line for an epoch counted from 1; accuracies as shares 0..1 (step 3)."""
    return (
        f"{epoch}-th epoch: cross entropy = {loss:.3f}, "
        f"train_accuracy = {100 * train_accuracy:.3f}%, test_accuracy = {100 * test_accuracy:.3f}%"
    )


def record(result: Result) -> dict[str, Any]:
    """What ``history.json`` holds: the settings, a row an epoch, seconds, and where it ran."""
    return {
        **dataclasses.asdict(result.settings),
        "epochs": len(result.history.loss),
        "ended": result.ended,
        **{name: np.asarray(rows, np.float64).tolist() for name, rows in result.history._asdict().items()},
        "seconds_compiling": result.seconds_compiling,
        "seconds_training": result.seconds_training,
        "environment": runtime.environment(),
    }


def draw(result: Result, palette: str = "lecture") -> dict[str, Figure]:
    """The run's figures by file name; those of the trained network only where its parameters are finite."""
    settings, dataset, history = result.settings, result.dataset, result.history
    if not len(history.loss):
        return {}
    title = f"{settings.name}, {settings.activation}, seed {settings.seed}"
    drawn = {"curves.png": figures.curves(*history, title)}
    if result.ended == "diverged":
        return drawn
    # Compiled whole: operation by operation costs a compilation each.
    traced = jax.jit(forward_trace, static_argnums=2)
    train, test = (traced(result.params, x, settings.activation).pre_activations for x in (dataset[0], dataset[3]))
    predicted = np.argmax(test[-1], axis=1)
    counts = confusion_matrix(dataset.labels_test, predicted, labels=range(N_CLASSES))
    share = 100 * float(history.test_accuracy[-1])
    drawn["confusion.png"] = figures.confusion(counts, f"{title}: test set, {share:.1f} % right")
    if settings.hidden and settings.hidden[-1] == 2:
        seen = (
            figures.Points(np.asarray(g[-2]), np.asarray(labels))
            for g, labels in ((train, dataset.labels_train), (test, dataset.labels_test))
        )
        drawn["bottleneck.png"] = figures.bottleneck(
            *seen, palette=palette, title=f"{title}: what the 2-unit layer sees"
        )
    return drawn


def model(result: Result) -> dict[str, Model]:
    """The network as a file keeps it, by file name; none where its parameters are not finite."""
    if result.ended == "diverged" or not len(result.history.loss):
        return {}
    details = {
        **dataclasses.asdict(result.settings),
        "epochs": len(result.history.loss),
        "test_accuracy": float(result.history.test_accuracy[-1]),
        "data": "digits",
    }
    return {"model.safetensors": Model(result.params, result.settings.activation, np.arange(N_CLASSES), details)}


def perform(settings: Settings, folder: Path, palette: str = "lecture", quiet: bool = False) -> Result:
    """Run with a line an epoch and a bar, write the files into ``folder``, print a summary."""
    with command.bar(settings.epochs, "epoch") as progress:

        def report(done: int, rows: History) -> None:
            for epoch, row in enumerate(zip(*rows, strict=True), done + 1):
                command.show(line(epoch, *row), quiet)
            progress.update(len(rows.loss))

        result = run(settings, report)
    done = len(result.history.loss)
    if result.ended == "diverged":
        print(f"error: the loss is no longer finite at epoch {done + 1}; kept {done} epochs", file=sys.stderr)
    if result.ended == "interrupted":
        print(f"interrupted after {done} of {settings.epochs} epochs", file=sys.stderr)
    if done or result.ended == "diverged":
        print(
            f"{settings.name}: compiled in {result.seconds_compiling:.2f} s, trained in {result.seconds_training:.2f} s"
        )
        print(command.write(folder, {"history.json": record(result), **model(result), **draw(result, palette)}))
    return result


def exit_code(result: Result) -> int:
    """0 finished, 1 diverged, 130 interrupted."""
    return {"finished": 0, "diverged": 1, "interrupted": command.INTERRUPTED}[result.ended]


def main(
    arguments: list[str] | None = None, preset: Settings = Settings(), name: str = "train", about: str | None = __doc__
) -> int:
    """The command; ``preset`` gives the defaults."""
    parser = command.parser(f"experiments.{name}", about)
    add = parser.add_argument
    add(
        "--hidden",
        nargs="*",
        type=int,
        default=preset.hidden,
        metavar="N",
        help="hidden widths; none: softmax regression",
    )
    add("--seed", type=int, default=preset.seed, help="0..2**32-1 (%(default)s)")
    add("--learning-rate", type=float, default=preset.learning_rate, help="(%(default)s)")
    add("--epochs", type=int, default=preset.epochs, help="(%(default)s)")
    add("--batch-size", type=int, default=preset.batch_size, help="samples an update (%(default)s)")
    add("--activation", choices=ACTIVATIONS, default=preset.activation, help="of the hidden layers (%(default)s)")
    add("--gradient", choices=GRADIENTS, default=preset.gradient, help="(%(default)s)")
    add("--dtype", choices=("float64", "float32"), default=preset.dtype, help="(%(default)s)")
    add("--randomness", choices=RANDOMNESS, default=preset.randomness, help="whose random numbers (%(default)s)")
    add("--palette", choices=figures.PALETTES, default="lecture", help="colours of bottleneck.png (%(default)s)")
    add("--quiet", action="store_true", help="no line an epoch")
    command.add_no_cache(parser)
    options = vars(parser.parse_args(arguments))
    options["hidden"] = tuple(options["hidden"])
    settings = Settings(**{field.name: options[field.name] for field in dataclasses.fields(Settings)})

    def body() -> int:
        folder = command.output_folder(options["out"])
        command.prepare(settings.dtype, settings.sizes, settings.batch_size, not options["no_cache"])
        return exit_code(perform(settings, folder, options["palette"], options["quiet"]))

    return command.call(body, options["device"])


if __name__ == "__main__":
    sys.exit(main())
