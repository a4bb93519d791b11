"""The lecture's figures: digits, curves, confusion, the bottleneck's plane, mistakes, twins (lecture, steps 1 to 3)."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from jaxmlp.figures.style import OKABE_ITO, PALETTES, PercentLocator, Picture, start_axes

__all__ = ["Points", "bottleneck", "confusion", "curves", "digits", "mistakes", "twins"]


class Points(NamedTuple):
    """Rows in the plane and their classes: ``xy [n, 2]``, ``labels [n]``."""

    xy: NDArray[Any]
    labels: NDArray[Any]


def digits(images: NDArray[Any], labels: NDArray[Any]) -> Figure:
    """Images ``[n, 8, 8]`` in a grid of five columns, grey, each under its label (lecture, step 1)."""
    rows = -(-len(images) // 5)
    figure = Picture(figsize=(7.5, 1.75 * rows), layout="constrained")
    grid = figure.subplots(rows, 5).flat
    for axes in grid:
        axes.set_axis_off()
    for axes, image, label in zip(grid[: len(images)], images, labels, strict=True):
        axes.imshow(image, cmap="gray", vmin=0, vmax=16)
        axes.set_title(str(label))
    return figure


def mistakes(images: NDArray[Any], labels: NDArray[Any], probabilities: NDArray[Any], title: str) -> Figure:
    """Images ``[n, 8, 8]`` that were classified wrongly, each beside its probabilities ``[n, n_classes]``.

    The bar of the right digit is green, that of the predicted one orange. The first 40 are drawn.
    """
    shown, columns = min(len(images), 40), 4
    width, cell_width, cell_height, title_height = 13.0, 3.25, 1.55, 0.7  # inches
    height = cell_height * max(1, -(-shown // columns)) + title_height
    # All cells have the same few words, so their room is known: a layout that measures it takes as long as the drawing.
    figure = Picture(figsize=(width, height))
    heading = title if shown == len(images) else f"{title}; {shown} of them are drawn"
    figure.suptitle(heading, y=1 - 0.08 / height)

    def place(left: float, bottom: float, wide: float, high: float) -> Axes:
        return figure.add_axes((left / width, bottom / height, wide / width, high / height))

    for number, (image, label, shares) in enumerate(zip(images[:shown], labels, probabilities, strict=False)):
        row, column = divmod(number, columns)
        x, y = column * cell_width, height - title_height - (row + 1) * cell_height
        left, right = place(x + 0.05, y + 0.35, 1.05, 1.05), place(x + 1.55, y + 0.24, 1.62, 1.18)
        taken = int(np.argmax(shares))
        left.set_axis_off()
        left.imshow(image, cmap="gray", vmin=0, vmax=16)
        left.set_title(f"{label}, taken for {taken}", fontsize=9, pad=3)
        colours = ["#999999"] * len(shares)
        colours[int(label)], colours[taken] = OKABE_ITO[2], OKABE_ITO[1]
        right.bar(range(len(shares)), 100 * shares, color=colours)
        right.set_ylim(0, 100)
        right.set_yticks([0, 50, 100], ["0", "50", "100 %"], fontsize=7)
        right.set_xticks(range(len(shares)), map(str, range(len(shares))), fontsize=7)
    return figure


def curves(loss: ArrayLike, train_accuracy: ArrayLike, test_accuracy: ArrayLike, title: str) -> Figure:
    """Loss by epoch, and training and test accuracy by epoch, from arrays ``[epochs]`` (lecture, step 3).

    Accuracies are given as shares 0..1 and drawn in percent.
    """
    loss, train, test = (np.asarray(rows, np.float64) for rows in (loss, train_accuracy, test_accuracy))
    epoch = np.arange(1, len(loss) + 1)
    marker = "o" if len(loss) < 20 else ""
    figure = Picture(figsize=(10, 4), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    left.plot(epoch, loss, marker=marker, color=OKABE_ITO[0])
    left.set_ylabel("loss (cross entropy)")
    left.set_ylim(bottom=0)
    right.plot(epoch, 100 * train, marker=marker, color=OKABE_ITO[0], label=f"training ({100 * train[-1]:.1f} %)")
    right.plot(epoch, 100 * test, marker=marker, color=OKABE_ITO[1], label=f"test ({100 * test[-1]:.1f} %)")
    right.set_ylabel("accuracy (%)")
    right.yaxis.set_major_locator(PercentLocator())
    right.legend(loc="lower right", title="at the end")
    for axes in (left, right):
        start_axes(axes, len(loss))
    return figure


def confusion(counts: NDArray[Any], title: str, names: Sequence[str] | None = None) -> Figure:
    """Confusion matrix ``counts [n_classes, n_classes]``, rows the true class, columns the predicted one.

    With up to 30 classes, every cell that is not zero shows its count; a cell's shade is its share of the row.
    ``names`` are the names of the ``n_classes`` classes; by default the digits.
    """
    n, what = len(counts), "digit" if names is None else "class"
    names = [str(name) for name in names or range(n)]
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(max(4.8, 0.42 * n), 14)
    figure = Picture(figsize=(side + 1.6, side + 0.8), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count and n <= 30:
            colour = "white" if share[row, column] > 0.5 else "black"
            # Clipped text lies within the axes, so that the layout need not measure it.
            axes.text(column, row, str(count), ha="center", va="center", color=colour, clip_on=True)
    places = range(0, n, -(-n // 50))
    words = [f"{names[place]:.24}" for place in places]
    axes.set_xticks(places, words, rotation=90 if max(map(len, words)) > 9 * side / len(words) else 0)
    axes.set_yticks(places, words)
    axes.set_xlabel(f"predicted {what}")
    axes.set_ylabel(f"true {what}")
    figure.suptitle(title)
    figure.colorbar(image, label=f"share of the true {what}'s rows")
    return figure


def bottleneck(train: Points, test: Points, palette: str, title: str, names: Sequence[str] | None = None) -> Figure:
    """Pre-activations of a 2-unit layer: one colour per class, dots for training rows, crosses for test rows.

    The name of a class is at the median of its training rows, without a background that would hide them. ``palette`` is
    a name in `PALETTES`; its colours repeat after ten classes. ``names`` are the classes' names, by default the digits.
    """
    what = "digit" if names is None else "class"
    names = [str(name) for name in names or range(10)]
    colours = list(itertools.islice(itertools.cycle(PALETTES[palette]), len(names)))
    figure = Picture(figsize=(8.6, 7), layout="constrained")
    axes = figure.subplots()
    for number, colour in enumerate(colours):
        for points, marker, size in ((train, ".", 22), (test, "x", 34)):
            x, y = points.xy[points.labels == number].T
            axes.scatter(x, y, marker=marker, s=size, color=colour, linewidths=1.1)
        axes.scatter([], [], marker="o", color=colour, label=f"{names[number]:.24}")
    outline = [withStroke(linewidth=2.5, foreground="white")]
    for number in np.unique(train.labels):
        x, y = np.median(train.xy[train.labels == number], axis=0)
        words = f"{names[number]:.12}"
        axes.text(x, y, words, ha="center", va="center", fontsize=13, fontweight="bold", path_effects=outline)
    axes.scatter([], [], marker=".", color="grey", label="training")
    axes.scatter([], [], marker="x", color="grey", label="test")
    axes.set_xlabel("pre-activation of unit 1")
    axes.set_ylabel("pre-activation of unit 2")
    axes.set_title(title)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), title=what, ncols=-(-len(names) // 25))
    return figure


def twins(loss: NDArray[Any], final_accuracy: NDArray[Any], title: str) -> Figure:
    """How far twins drift apart: ``loss [twins, epochs]`` and final test accuracy ``[twins]`` (shares 0..1).

    Left: largest minus smallest loss by epoch, log scale. Right: histogram of the final accuracy, in percent.
    """
    spread = loss.max(axis=0) - loss.min(axis=0)
    epoch = np.arange(1, len(spread) + 1)
    figure = Picture(figsize=(10, 4), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    shown = np.where(spread > 0, spread, np.nan)  # a spread of exactly zero has no place on a log scale
    left.plot(epoch, shown, marker="." if len(epoch) < 40 else "", color=OKABE_ITO[0])
    left.set_yscale("log" if np.any(spread > 0) else "linear")
    left.set_ylabel("spread of the loss (largest - smallest)")
    start_axes(left, len(spread))
    percent = 100 * final_accuracy
    values, counts = np.unique(np.round(percent, 3), return_counts=True)
    width = 0.8 * min(np.diff(values), default=1.0)
    right.bar(values, counts, width=width, color=OKABE_ITO[0])
    right.axvline(float(np.median(percent)), color=OKABE_ITO[1], label=f"median {np.median(percent):.1f} %")
    right.set_xlim(values[0] - 1, values[-1] + 1)
    right.set_xlabel("final test accuracy (%)")
    right.xaxis.set_major_locator(PercentLocator())
    right.set_ylabel("twins")
    right.yaxis.set_major_locator(MaxNLocator(integer=True))
    right.legend()
    return figure
