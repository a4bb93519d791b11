"""Twins of one network, one rounding error apart at the start, trained together."""

import argparse
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from experiments.support import command_line, own_data, training_run
from experiments.support.settings import RunConfig
from jaxmlp import (
    Dataset,
    History,
    Hyperparameters,
    InputError,
    Layer,
    LectureStream,
    Params,
    TrainingConfig,
    automatic_gradient,
    figures,
    load_table,
    runtime,
)
from jaxmlp.lecture import GradientFunction, TrainingState, initial_state, train_epochs
from jaxmlp.lecture.entrance import check_training
from jaxmlp.showing import fields, shown


@shown(fields)
class Sensitivity(NamedTuple):
    """What the training of the twins gave; the arrays are float64.

    Attributes:
        settings: of every twin.
        loss: ``[twins, epochs]``.
        train_accuracy: ``[twins]``, after the last epoch, shares 0..1.
        test_accuracy: ``[twins]``, the same of the test set.
        interrupted: whether Ctrl-C ended training early; the arrays then hold the epochs done.
    """

    settings: RunConfig
    loss: NDArray[Any]
    train_accuracy: NDArray[Any]
    test_accuracy: NDArray[Any]
    interrupted: bool


def perturb(params: Params, twins: int) -> Params:
    """``params`` stacked ``twins`` times: leaves ``[twins, ...]``, float64.

    Each weight stays or moves up or down by one unit in the last place, at random from a fixed seed. Twin 0 is the
    original. Biases stay.
    """
    random = np.random.default_rng(0)

    def twin(layer: Layer) -> Layer:
        weights, biases = np.asarray(layer.weights), np.asarray(layer.biases)
        steps = random.integers(-1, 2, (twins, *weights.shape))
        steps[0] = 0
        moved = np.nextafter(weights, np.where(steps > 0, np.inf, -np.inf))
        return Layer(jnp.asarray(np.where(steps == 0, weights, moved)), jnp.asarray(np.tile(biases, (twins, 1))))

    return tuple(twin(layer) for layer in params)


@functools.partial(jax.jit, static_argnames=("config", "gradient_function"))
def train_twins(
    state: TrainingState,
    dataset: Dataset,
    orders: jax.Array,
    hyperparameters: Hyperparameters,
    config: TrainingConfig,
    gradient_function: GradientFunction,
) -> tuple[TrainingState, History]:
    """`train_epochs` for every twin at once: state leaves ``[twins, ...]``, History ``[twins, epochs]``."""
    return jax.vmap(lambda one: train_epochs(one, dataset, orders, hyperparameters, config, gradient_function))(state)


def run(
    settings: RunConfig,
    twins: int = 64,
    report: Callable[[int, NDArray[Any]], None] | None = None,
    table: Dataset | None = None,
) -> Sensitivity:
    """Train ``twins`` copies of a network in one vmapped float64 program; prints nothing.

    Args:
        settings: hidden widths, seed, learning rate and epochs; the rest is the lecture's.
        twins: 2 or more.
        report: called after each compiled call, with the number of epochs before it and the losses of its own epochs
            ``[twins, epochs]``.
        table: the data, float64, of the settings' sizes; by default the lecture's digits.

    Raises:
        InputError: a setting that cannot be used.
    """
    if not 2 <= twins <= 100_000:
        raise InputError(f"twins are {twins}, expected 2..100000")
    runtime.configure("float64")
    table = load_table("digits", dtype="float64") if table is None else table
    dataset, stream = jax.device_put(table), LectureStream(settings.seed)
    original = stream.params(settings.sizes, "float64")
    hyperparameters, config = Hyperparameters(settings.learning_rate), TrainingConfig()
    check_training(original, dataset, hyperparameters, config, settings.epochs)
    state = initial_state(perturb(original, twins), hyperparameters, config)
    gradient_function = automatic_gradient(config.activation)

    n = len(dataset.labels_train)
    chunk = training_run.epochs_per_call(settings.epochs, n, state.params)
    rows: list[History] = []
    interrupted = False
    try:
        for done in range(0, settings.epochs, chunk):
            orders = stream.orders(chunk, n)
            state, history = train_twins(state, dataset, orders, hyperparameters, config, gradient_function)
            rows.append(jax.tree.map(np.asarray, history))
            if report:
                report(done, np.asarray(history.loss))
    except KeyboardInterrupt:
        if not rows:
            raise
        interrupted = True
    loss, train_accuracy, test_accuracy = (np.concatenate(column, axis=1) for column in zip(*rows, strict=True))
    return Sensitivity(settings, loss, train_accuracy[:, -1], test_accuracy[:, -1], interrupted)


def line(epoch: int, loss: NDArray[Any]) -> str:
    """A line for an epoch counted from 1: the twins' smallest and largest loss ``[twins]`` and their difference."""
    return f"{epoch}-th epoch: loss {loss.min():.6f} .. {loss.max():.6f}, spread {np.ptp(loss):.2e}"


def answer(result: Sensitivity) -> str:
    """The lecture's question, answered in numbers; none where training was interrupted."""
    low, middle, high = (100 * f(result.test_accuracy) for f in (np.min, np.median, np.max))
    said = f"{'more than' if high - low > 1 else 'not as much as'} the 1 point between 92 % and 93 %"
    said = f", {said}" if result.settings.sizes == (64, 20, 10, 10) else ""  # the lecture's question
    done, epochs = result.loss.shape[1], result.settings.epochs
    after = f"{done} of {epochs} epochs, interrupted" if result.interrupted else f"{done} epochs"
    line = (
        f"{result.settings.name}, {len(result.loss)} twins, {after}: "
        f"test accuracy {low:.1f} / {middle:.1f} / {high:.1f} % (lowest / median / highest)"
    )
    if result.interrupted:
        return f"{line}\nno answer: rounding errors grow with the epochs, and these are not all"
    return f"{line}\nrounding errors alone move it by {high - low:.1f} points{said}"


def record(result: Sensitivity) -> dict[str, Any]:
    """What ``sensitivity.json`` holds; a loss that is not finite is null."""
    settings = {name: getattr(result.settings, name) for name in ("hidden", "seed", "learning_rate")}
    return {
        **settings,
        "twins": len(result.loss),
        "epochs": result.loss.shape[1],
        "epochs_asked_for": result.settings.epochs,
        "ended": "interrupted" if result.interrupted else "finished",
        "loss_lowest": command_line.finite_or_none(result.loss.min(axis=0)),
        "loss_highest": command_line.finite_or_none(result.loss.max(axis=0)),
        "final_loss": command_line.finite_or_none(result.loss[:, -1]),
        "final_train_accuracy": result.train_accuracy.tolist(),
        "final_test_accuracy": result.test_accuracy.tolist(),
        "environment": runtime.environment(),
    }


def command(options: argparse.Namespace) -> int:
    """Train the twins, answer, draw; returns the exit code."""
    runtime.configure("float64")
    table = own_data.read(options).load("float64")
    command_line.show_notes(table)
    settings = RunConfig(
        tuple(options.hidden),
        options.seed,
        options.learning_rate,
        options.epochs,
        n_in=table.x_train.shape[1],
        n_classes=len(table.classes),
    )
    folder = command_line.output_folder(options.out)
    command_line.open_meanwhile(figures, "twins")
    with command_line.bar(settings.epochs, "epoch") as progress:

        def report(done: int, loss: NDArray[Any]) -> None:
            for epoch, column in enumerate(loss.T, done + 1):
                command_line.show(line(epoch, column), options.quiet)
            progress.update(loss.shape[1])

        result = run(settings, options.twins, report, table)
    print(answer(result))
    title = f"{settings.name}, {options.twins} twins"
    if result.interrupted:
        title += f", interrupted after {result.loss.shape[1]} of {settings.epochs} epochs"
    figure = figures.twins(result.loss, result.test_accuracy, title)
    print(command_line.write(folder, {"sensitivity.json": record(result), "sensitivity.png": figure}))
    return command_line.INTERRUPTED if result.interrupted else 0
