"""Hidden layers of 20, or of 20 and 10 units: both networks with many seeds, compared in pairs."""

import argparse
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.support import command_line
from experiments.sweep_actions import running
from jaxmlp import InputError, figures, runtime
from jaxmlp.showing import fields, shown
from jaxmlp.sweep import choosing, make_space

NETWORKS = ("20", "20,10")


@shown(fields)
class Comparison(NamedTuple):
    """Final test accuracies ``[seeds]``, shares 0..1, of both networks; the interval of second minus first, in points.

    The two networks of a seed visit the samples in the same order, and their initial weights are cut from the same
    draw: the differences are paired.
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    interval: choosing.Interval


def run(seeds: int, epochs: int, database: str) -> Comparison:
    """Train both networks with each seed, learning rate 0.2 and all training rows; resumes a run that was stopped."""
    space = make_space({"hidden": list(NETWORKS), "learning_rate": [0.2], "seeds": [f"0:{seeds}"]})
    settings = {**running.SETTINGS, "epochs": epochs, "validation": 0}
    rows = running.run(space, settings, database).rows
    if any(row["status"] != "done" for row in rows):
        raise InputError("some trials are not done, expected all: run it again")
    first, second = (
        np.array([row["test_accuracy"] for row in sorted(rows, key=lambda row: row["seed"]) if row["hidden"] == hidden])
        for hidden in NETWORKS
    )
    return Comparison(first, second, choosing.interval(100 * (second - first)))


def answer(found: Comparison) -> str:
    """The question, answered in a sentence."""
    low, high = found.interval.low, found.interval.high
    verdict = "no difference can be seen" if low <= 0 <= high else f"20, 10 is {'better' if low > 0 else 'worse'}"
    wins = np.mean(found.second > found.first)
    return (
        f"over {len(found.first)} seeds, {verdict}: mean test accuracy {100 * found.first.mean():.2f} % with 20 and "
        f"{100 * found.second.mean():.2f} % with 20, 10, a difference of {found.interval.mean:+.2f} points "
        f"(95 % interval {low:+.2f} .. {high:+.2f}); 20, 10 wins with {100 * wins:.0f} % of the seeds"
    )


def command(options: argparse.Namespace) -> int:
    """Train both, answer, draw."""
    if options.seeds < 2:
        raise InputError(f"seeds are {options.seeds}, expected 2 or more")
    folder = command_line.output_folder(options.out)
    found = run(options.seeds, command_line.positive("epochs", options.epochs), options.database)
    print(answer(found))
    accuracies = {"20": found.first, "20, 10": found.second}
    title = f"20 or 20, 10 hidden units? {options.seeds} seeds, {options.epochs} epochs"
    figure = figures.difference(accuracies, found.interval, title)
    record = {"seeds": options.seeds, "epochs": options.epochs, "first": found.first.tolist(),
              "second": found.second.tolist(), "difference": found.interval._asdict(),
              "environment": runtime.environment()}  # fmt: skip
    print(command_line.write(folder, {"width_or_luck.json": record, "width_or_luck.png": figure}))
    return 0
