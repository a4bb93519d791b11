"""Training one network: its lines, its figures, its files."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.support import command_line, own_data
from experiments.support.confusion import confusion_counts
from experiments.support.settings import RunConfig
from experiments.support.training_run import Result, run
from jaxmlp import Dataset, History, Model, Table, figures, forward_trace, runtime
from jaxmlp.models import trained_model

WRITTEN = ("curves.png", "confusion.png", "bottleneck.png")


def line(epoch: int, loss: float, train_accuracy: float, test_accuracy: float) -> str:
    """The lecture's line for an epoch counted from 1; accuracies as shares 0..1 (step 3)."""
    return (
        f"{epoch}-th epoch: cross entropy = {loss:.3f}, "
        f"train_accuracy = {100 * train_accuracy:.3f}%, test_accuracy = {100 * test_accuracy:.3f}%"
    )


def record(result: Result) -> dict[str, Any]:
    """What ``history.json`` holds: the settings, a row per epoch, seconds, and where it ran."""
    return {
        **dataclasses.asdict(result.settings),
        "epochs": len(result.history.loss),
        "ended": result.ended,
        **{name: np.asarray(rows, np.float64).tolist() for name, rows in result.history._asdict().items()},
        "seconds_compiling": result.seconds_compiling,
        "seconds_training": result.seconds_training,
        "data": result.dataset.source if isinstance(result.dataset, Table) else None,
        "environment": runtime.environment(),
    }


def names(dataset: Dataset) -> list[str] | None:
    """What the classes are called; None for digits."""
    if not isinstance(dataset, Table) or dataset.source["data"] == "digits":
        return None
    return [str(name) for name in dataset.classes]


def draw(result: Result, palette: str = "lecture") -> dict[str, Any]:
    """The figures by file name; those of the trained network only where its parameters are finite."""
    settings, dataset, history = result.settings, result.dataset, result.history
    if not len(history.loss):
        return {}
    title = f"{settings.name}, {settings.activation}, seed {settings.seed}"
    drawn = {"curves.png": figures.curves(*history, title)}
    if result.ended == "diverged":
        return drawn
    # Jitted as a whole: without jit every operation would be compiled by itself.
    traced = jax.jit(forward_trace, static_argnums=2)
    test = traced(result.params, dataset.x_test, settings.activation).pre_activations
    counts = confusion_counts(dataset.labels_test, np.argmax(np.asarray(test[-1]), axis=1), settings.n_classes)
    called = names(dataset)
    share = 100 * float(history.test_accuracy[-1])
    drawn["confusion.png"] = figures.confusion(counts, f"{title}: test set, {share:.1f} % right", called)
    if settings.hidden and settings.hidden[-1] == 2:
        train = traced(result.params, dataset.x_train, settings.activation).pre_activations
        seen = (
            figures.Points(np.asarray(g[-2]), np.asarray(labels))
            for g, labels in ((train, dataset.labels_train), (test, dataset.labels_test))
        )
        drawn["bottleneck.png"] = figures.bottleneck(
            *seen, palette=palette, title=f"{title}: what the 2-unit layer sees", names=called
        )
    return drawn


def model(result: Result) -> dict[str, Model]:
    """The model file's content by file name; nothing where the parameters are not finite."""
    if result.ended == "diverged" or not len(result.history.loss):
        return {}
    settings, dataset = result.settings, result.dataset
    details = {
        **dataclasses.asdict(settings),
        "epochs": len(result.history.loss),
        "test_accuracy": float(result.history.test_accuracy[-1]),
    }
    return {"model.safetensors": trained_model(result.params, settings.activation, dataset, details)}


def perform(
    settings: RunConfig, folder: Path, palette: str = "lecture", quiet: bool = False, table: Table | None = None
) -> Result:
    """Train with a line per epoch and a progress bar, write the files into ``folder``, print a summary."""
    command_line.open_meanwhile(figures, "curves")
    with command_line.bar(settings.epochs, "epoch") as progress:

        def report(done: int, rows: History) -> None:
            for epoch, row in enumerate(zip(*rows, strict=True), done + 1):
                command_line.show(line(epoch, *row), quiet)
            progress.update(len(rows.loss))

        result = run(settings, report, table)
    done = len(result.history.loss)
    if result.ended == "diverged":
        print(f"error: the loss is no longer finite at epoch {done + 1}; kept {done} epochs", file=sys.stderr)
    if result.ended == "interrupted":
        print(f"interrupted after {done} of {settings.epochs} epochs", file=sys.stderr)
    if done or result.ended == "diverged":
        print(
            f"{settings.name}: compiled in {result.seconds_compiling:.2f} s, trained in {result.seconds_training:.2f} s"
        )
        files: dict[str, Any] = {"history.json": record(result), **model(result), **draw(result, palette)}
        print(command_line.write(folder, files, WRITTEN))
    return result


def exit_code(result: Result) -> int:
    """0 finished, 1 diverged, 130 interrupted."""
    return {"finished": 0, "diverged": 1, "interrupted": command_line.INTERRUPTED}[result.ended]


def command(options: argparse.Namespace) -> int:
    """Train on the data and with the settings of the options; returns the exit code."""
    names = (field.name for field in dataclasses.fields(RunConfig) if field.name in options)
    given = {name: getattr(options, name) for name in names}
    runtime.configure(given["dtype"], cache=not options.no_cache)
    table = own_data.config_of(vars(options)).load(given["dtype"])
    command_line.show_notes(table)
    settings = RunConfig(**given, n_in=table.x_train.shape[1], n_classes=len(table.classes))
    folder = command_line.output_folder(options.out)
    command_line.prepare(settings.dtype, settings.sizes, settings.batch_size, not options.no_cache)
    return exit_code(perform(settings, folder, options.palette, options.quiet, table))
