"""Figures of a sweep; each function returns a Figure, none is shown. Accuracies come as shares, drawn in percent."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from jaxmlp.figures.style import OKABE_ITO
from jaxmlp.sweep.choosing import Configuration, Interval

__all__ = ["best_curves", "by_axis", "difference", "heatmap", "label", "parallel_coordinates"]


def _ordered(values: set[Any]) -> list[Any]:
    """Values of an axis in a reader's sequence: numbers by size, widths by depth, None first."""

    def key(value: Any) -> tuple[Any, ...]:
        if value is None:
            return (0,)
        if isinstance(value, str):
            parts = value.split(",")
            return (2, len(parts), [int(part) for part in parts]) if parts[0].isdigit() else (1, value)
        return (1, float(value))

    return sorted(values, key=key)


def label(value: Any) -> str:
    """A value of an axis, short."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _best(found: Sequence[Configuration], **values: Any) -> Configuration | None:
    """The best configuration with these values: the first of them."""
    return next((item for item in found if all(item.values[axis] == value for axis, value in values.items())), None)


def by_axis(found: Sequence[Configuration], axis: str, lines: str, measure: str, title: str) -> Figure:
    """Accuracy by a numeric axis with 95 % intervals, one line for each value of another axis.

    Each point is the best configuration with these two values.
    """
    figure = Figure(figsize=(8.6, 5), layout="constrained")
    axes = figure.subplots()
    values = _ordered({item.values[axis] for item in found})
    for number, line in enumerate(_ordered({item.values[lines] for item in found})[:8]):
        points = [(value, best) for value in values if (best := _best(found, **{axis: value, lines: line}))]
        x = np.array([value for value, _ in points], np.float64)
        mean, low, high = 100 * np.array([best.accuracy for _, best in points]).T
        colour = OKABE_ITO[number]
        axes.plot(x, mean, marker=".", color=colour, label=label(line))
        axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    if min(values) > 0 and max(values) > 5 * min(values):
        axes.set_xscale("log")
        if len(values) <= 12:
            axes.set_xticks(values, [label(float(value)) for value in values])
            axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(axis.replace("_", " "))
    axes.set_ylabel(f"{measure.replace('_', ' ')} (%), mean and 95 % interval")
    axes.grid(alpha=0.3)
    axes.legend(title=lines.replace("_", " "))
    axes.set_title(title)
    return figure


def heatmap(found: Sequence[Configuration], across: str, down: str, measure: str, title: str) -> Figure:
    """Mean accuracy for each pair of values of two axes: the best configuration with these two values."""
    columns, rows = (_ordered({item.values[axis] for item in found}) for axis in (across, down))
    cells = np.full((len(rows), len(columns)), np.nan)
    for place in np.ndindex(cells.shape):
        best = _best(found, **{down: rows[place[0]], across: columns[place[1]]})
        cells[place] = np.nan if best is None else 100 * best.accuracy.mean
    figure = Figure(figsize=(2.6 + 0.72 * max(4, len(columns)), 1.8 + 0.45 * max(4, len(rows))), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(cells, cmap="viridis", aspect="auto")
    middle = np.nanmean([np.nanmin(cells), np.nanmax(cells)])
    if cells.size <= 400:
        for (row, column), value in np.ndenumerate(cells):
            text = "-" if np.isnan(value) else f"{value:.1f}"
            colour = "black" if value > middle else "white"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour if text != "-" else "black")
    axes.set_xticks(range(len(columns)), [label(value) for value in columns], rotation=45 if len(columns) > 6 else 0)
    axes.set_yticks(range(len(rows)), [label(value) for value in rows])
    axes.set_xlabel(across.replace("_", " "))
    axes.set_ylabel(down.replace("_", " "))
    axes.set_title(title)
    figure.colorbar(image, label=f"mean {measure.replace('_', ' ')} (%)")
    return figure


def best_curves(curves: dict[str, Any], title: str) -> Figure:
    """Loss by epoch of the best configurations, one curve per configuration, means over seeds.

    ``curves``: name to ``[epochs, 2]``, training and validation loss; NaN is left out.
    """
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    figure.suptitle(title)
    for number, (axes, name) in enumerate(zip(figure.subplots(1, 2), ("training", "validation"), strict=True)):
        for colour, (label, rows) in zip(OKABE_ITO, curves.items(), strict=False):
            epoch = np.arange(1, len(rows) + 1)
            axes.plot(epoch, rows[:, number], marker="." if len(rows) < 40 else "", color=colour, label=label)
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"{name} loss (cross entropy)")
        axes.set_yscale("log")
        axes.grid(alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", fontsize=8)
    return figure


def parallel_coordinates(found: Sequence[Configuration], axes_names: Sequence[str], measure: str, title: str) -> Figure:
    """One line per configuration through its values on each axis to its mean accuracy, the best drawn last."""
    figure = Figure(figsize=(2 + 1.9 * (len(axes_names) + 1), 5), layout="constrained")
    axes = figure.subplots()
    shown = list(found[:400])[::-1]
    scores = np.array([100 * item.accuracy.mean for item in shown])
    low, high = float(scores.min()), float(scores.max())
    heights = np.zeros((len(shown), len(axes_names) + 1))
    for column, axis in enumerate(axes_names):
        values = _ordered({item.values[axis] for item in shown})
        place = {value: number / max(1, len(values) - 1) for number, value in enumerate(values)}
        heights[:, column] = [place[item.values[axis]] for item in shown]
        for value in values if len(values) <= 12 else [values[0], values[len(values) // 2], values[-1]]:
            axes.text(column - 0.03, place[value], label(value), ha="right", va="center", fontsize=8)
    heights[:, -1] = (scores - low) / (high - low or 1)
    colours = mpl.colormaps["viridis"](heights[:, -1])
    jitter = np.random.RandomState(0).uniform(-0.012, 0.012, heights.shape)  # so that equal values show as bundles
    jitter[:, -1] = 0
    for line, colour in zip(heights + jitter, colours, strict=True):
        axes.plot(range(heights.shape[1]), line, color=colour, alpha=0.6, linewidth=1)
    for column in range(heights.shape[1]):
        axes.axvline(column, color="black", linewidth=0.8)
    for share in (0, 0.5, 1):
        axes.text(heights.shape[1] - 0.97, share, f"{low + share * (high - low):.1f} %", va="center", fontsize=8)
    names = [name.replace("_", " ") for name in (*axes_names, measure)]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks([])
    axes.set_xlim(-0.5, heights.shape[1] - 0.55)
    axes.set_title(title)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    return figure


def difference(accuracies: dict[str, Any], interval: Interval, title: str) -> Figure:
    """Two networks over many seeds: their test accuracies, and the difference seed by seed with its interval.

    Args:
        accuracies: two names, each to ``[seeds]``, shares.
        interval: of the mean difference, second minus first, in points.
        title: above both.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    (first, a), (second, b) = ((name, 100 * np.asarray(values)) for name, values in accuracies.items())
    apart = np.diff(np.unique(np.round(np.concatenate([a, b]), 6)))
    step = float(np.min(apart)) if len(apart) else 1.0  # one test row
    bins = np.arange(min(a.min(), b.min()) - step / 2, max(a.max(), b.max()) + step, step)
    for name, values, colour in ((first, a, OKABE_ITO[0]), (second, b, OKABE_ITO[1])):
        left.hist(values, bins=bins, color=colour, alpha=0.55, label=f"{name}: mean {values.mean():.2f} %")
    left.set_xlabel("test accuracy (%)")
    left.set_ylabel("seeds")
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, ncols=2)
    gaps = b - a
    right.hist(gaps, bins=np.arange(gaps.min() - step / 2, gaps.max() + step, step), color="lightgrey")
    right.axvline(0, color="black", linewidth=0.8)
    right.axvspan(interval.low, interval.high, color=OKABE_ITO[2], alpha=0.5, linewidth=0)
    text = f"mean {interval.mean:+.2f} points, 95 % interval {interval.low:+.2f} .. {interval.high:+.2f}"
    right.axvline(interval.mean, color=OKABE_ITO[2], label=text)
    right.set_xlabel(f"{second} minus {first}, same seed (points)")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False)
    return figure
