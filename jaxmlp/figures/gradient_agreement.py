"""The figure of a gradient check. It imports matplotlib, returns a Figure and shows nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from jaxmlp.figures.style import OKABE_ITO, Picture
from jaxmlp.gradient_check import GradientReport, StepSweep

__all__ = ["agreement"]

MARKERS = "osD^vP"


def agreement(
    report: GradientReport,
    labels: dict[str, str],
    sweeps: Mapping[str, StepSweep],
    epochs: NDArray[Any],
    title: str,
) -> Figure:
    """Error by leaf for each pair, error against step size, and how far two trainings drift apart.

    Args:
        report: of two or more gradients.
        labels: of the leaves to draw, by their path in the report, in the order of the axis.
        sweeps: by name; their ``errors`` are those against the automatic gradient.
        epochs: largest difference of two trainings' parameters after each epoch ``[E]``.
        title: of the whole figure.
    """
    figure = Picture(figsize=(14, 4.6), layout="constrained")
    figure.suptitle(title)
    left, middle, right = figure.subplots(1, 3, width_ratios=(5, 4, 3.4))
    _by_leaf(left, report, labels)
    _by_step(middle, sweeps)
    right.plot(np.arange(1, len(epochs) + 1), epochs, marker="o", color=OKABE_ITO[0])
    if np.any(epochs > 0):
        _log(right, "largest difference of a parameter", [epochs])
    else:
        right.set_ylabel("largest difference of a parameter")
        right.set_ylim(-1, 1)
        right.set_yticks([0])
        right.text(0.5, 0.6, "the same bits after every epoch", transform=right.transAxes, ha="center")
    right.set_xlabel("epoch")
    right.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    right.set_title("trained with either gradient")
    return figure


def _by_leaf(axes: Axes, report: GradientReport, labels: dict[str, str]) -> None:
    places = {leaf: place for place, leaf in enumerate(labels)}
    pairs = dict.fromkeys((row.first, row.second) for row in report.rows if row.second != "params")
    errors = [[row.norm_relative for row in report.rows if row.leaf in places]]
    floor = _log(axes, "norm-wise relative error", errors)
    for number, (first, second) in enumerate(pairs):
        rows = [row for row in report.rows if (row.first, row.second) == (first, second) and row.leaf in places]
        # The two pairs with the numerical gradient would lie on the same pixels: they are drawn side by side.
        shift = 0.16 * (number - (len(pairs) - 1) / 2)
        x, y = [places[row.leaf] + shift for row in rows], [max(row.norm_relative, floor) for row in rows]
        if any(row.norm_relative == 0 for row in rows):
            axes.axhline(floor, color="grey", linestyle=":", linewidth=1)
            axes.annotate(
                "no difference", (0.5, floor), (0, 4), axes.get_yaxis_transform(), "offset points", color="grey"
            )
        axes.plot(x, y, MARKERS[number % 6], color=OKABE_ITO[number % 8], label=f"{first}, {second}")
    axes.set_xticks(range(len(labels)), list(labels.values()))
    axes.set_title("error by leaf")
    axes.legend(loc="best")


def _by_step(axes: Axes, sweeps: Mapping[str, StepSweep]) -> None:
    _log(axes, "norm-wise relative error", [found.errors for found in sweeps.values()])
    for number, (name, (steps, _, errors, plateau)) in enumerate(sweeps.items()):
        colour = OKABE_ITO[number % 8]
        axes.plot(steps, errors, marker=MARKERS[number % 6], color=colour, label=name)
        axes.axvspan(float(plateau[0]) / 1.5, float(plateau[1]) * 1.5, color=colour, alpha=0.15, label="its plateau")
    axes.set_xscale("log")
    axes.set_xlabel("step, in units of max(1, |parameter|)")
    axes.set_title("numerical gradient by step")
    axes.legend(loc="upper center")


def _log(axes: Axes, label: str, values: Sequence[Any]) -> float:
    """A logarithmic axis; returns where a zero is drawn: a decade below the smallest positive value."""
    positive = [value for row in values for value in row if value > 0 and np.isfinite(value)]
    floor = min(positive, default=1e-16) / 10
    axes.set_yscale("log")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    return floor
