"""Figures of a sweep; each function returns a Figure and shows nothing. Accuracies are shares, drawn in percent."""

from collections.abc import Sequence
from typing import Any, Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from jaxmlp.figures.style import OKABE_ITO, PercentLocator, Picture, start_axes

__all__ = ["Scored", "best_curves", "by_axis", "difference", "heatmap", "label", "parallel_coordinates"]

COLOURS = len(OKABE_ITO)
DRAWN = 400
"""The largest number of lines in parallel coordinates."""
APART = -0.15
"""The height of None in parallel coordinates; all other values are between 0 and 1."""
PLATE = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}


class Scored(Protocol):
    """The parts of a configuration that these figures show: values by axis, accuracy as shares (mean, low, high)."""

    @property
    def values(self) -> Any: ...  # noqa: D102 - see above

    @property
    def accuracy(self) -> Any: ...  # noqa: D102


def _ordered(values: set[Any]) -> list[Any]:
    """Values of an axis, sorted for a reader: None first, numbers by size, widths by depth."""

    def key(value: Any) -> tuple[Any, ...]:
        if value is None:
            return (0,)
        if isinstance(value, str):
            parts = value.split(",")
            return (2, len(parts), [int(part) for part in parts]) if parts[0].isdigit() else (1, value)
        return (1, float(value))

    return sorted(values, key=key)


def label(value: Any) -> str:
    """A value of an axis as a short text."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _best(found: Sequence[Scored], **values: Any) -> Scored | None:
    """The best configuration with these values: the first one in ``found``."""
    return next((item for item in found if all(item.values[axis] == value for axis, value in values.items())), None)


def _percent(item: Scored) -> float:
    """Mean accuracy in percent, rounded: equal accuracies in another sequence would differ in the last bits."""
    return round(100 * item.accuracy.mean, 6)


def by_axis(found: Sequence[Scored], axis: str, lines: str, measure: str, title: str) -> Figure:
    """Accuracy by a numeric axis with 95 % intervals, in one colour for each value of another axis.

    In a grid, each point is the best configuration with these two values, and lines join the points. Random draws
    differ in everything at once: each draw is a point. If there are more than eight colours, the best eight are drawn
    (those that come first in ``found``), and the legend says so.
    """
    figure = Picture(figsize=(8.6, 5), layout="constrained")
    axes = figure.subplots()
    values = _ordered({item.values[axis] for item in found})
    names = list(dict.fromkeys(item.values[lines] for item in found))
    grid = _is_grid(found, axis, lines)
    for name, colour in zip(_ordered(set(names[:COLOURS])), OKABE_ITO, strict=False):
        if grid:
            items = [best for value in values if (best := _best(found, **{axis: value, lines: name}))]
        else:
            items = [item for item in found if item.values[lines] == name]
        x = np.array([item.values[axis] for item in items], np.float64)
        mean, low, high = 100 * np.array([item.accuracy for item in items], np.float64).T
        if grid:
            axes.plot(x, mean, marker=".", color=colour, label=label(name))
            axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        else:
            axes.scatter(x, mean, s=14, color=colour, alpha=0.7, label=label(name))
            axes.vlines(x, low, high, color=colour, alpha=0.3, linewidth=1)
    if min(values) > 0 and max(values) > 5 * min(values):
        axes.set_xscale("log")
        if len(values) <= 12:
            axes.set_xticks(values, [label(float(value)) for value in values])
            axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(axis.replace("_", " "))
    axes.set_ylabel(f"{measure.replace('_', ' ')} (%), mean and 95 % interval")
    axes.yaxis.set_major_locator(PercentLocator())
    axes.grid(alpha=0.3)
    more = f", the best {COLOURS} of {len(names):,}" if len(names) > COLOURS else ""
    figure.legend(title=lines.replace("_", " ") + more, loc="outside right upper")
    figure.suptitle(title)
    return figure


def _is_grid(found: Sequence[Scored], axis: str, lines: str) -> bool:
    """Whether configurations fill a grid of two axes; random draws repeat no pair of values, and few values."""
    ends, names = ({item.values[each] for item in found} for each in (axis, lines))
    others = {tuple(value for name, value in item.values.items() if name not in (axis, lines)) for item in found}
    if len(names) == 1:
        return len(others) == 1 or len(found) > len(ends)
    return 2 * len({(item.values[axis], item.values[lines]) for item in found}) >= len(ends) * len(names)


def heatmap(found: Sequence[Scored], across: str, down: str, measure: str, title: str) -> Figure:
    """Mean accuracy for each pair of values of two axes: the best configuration with these two values."""
    columns, rows = (_ordered({item.values[axis] for item in found}) for axis in (across, down))
    cells = np.full((len(rows), len(columns)), np.nan)
    for place in np.ndindex(cells.shape):
        best = _best(found, **{down: rows[place[0]], across: columns[place[1]]})
        cells[place] = np.nan if best is None else _percent(best)
    figure = Picture(figsize=(2.6 + 0.72 * max(4, len(columns)), 1.8 + 0.45 * max(4, len(rows))), layout="constrained")
    axes = figure.subplots()
    low, high = np.nanmin(cells), np.nanmax(cells)
    if low == high:  # a single accuracy needs a colour too
        low, high = max(low - 1, 0), min(high + 1, 100)
    image = axes.imshow(cells, cmap="viridis", aspect="auto", vmin=low, vmax=high)
    if cells.size <= 400:
        for (row, column), value in np.ndenumerate(cells):
            text = "-" if np.isnan(value) else f"{value:.1f}"
            colour = "black" if text == "-" or value > (low + high) / 2 else "white"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour, clip_on=True)
    axes.set_xticks(range(len(columns)), [label(value) for value in columns], rotation=45 if len(columns) > 6 else 0)
    axes.set_yticks(range(len(rows)), [label(value) for value in rows])
    axes.set_xlabel(across.replace("_", " "))
    axes.set_ylabel(down.replace("_", " "))
    figure.suptitle(title)
    figure.colorbar(image, label=f"mean {measure.replace('_', ' ')} (%)")
    return figure


def best_curves(curves: dict[str, Any], title: str) -> Figure:
    """Loss by epoch of the best configurations, one curve per configuration, means over seeds.

    ``curves``: name to ``[epochs, 2]``, training and validation loss; NaN is left out.
    """
    shown = [
        (number, name) for number, name in enumerate(("training", "validation"))
        if any(np.any(np.isfinite(rows[:, number])) for rows in curves.values())
    ]  # fmt: skip
    figure = Picture(figsize=(5 * max(2, len(shown)), 4.6), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(1, max(1, len(shown)), squeeze=False)[0]
    for axes, (number, name) in zip(panels, shown, strict=False):
        for colour, (words, rows) in zip(OKABE_ITO, curves.items(), strict=False):
            epoch, loss = np.arange(1, len(rows) + 1), np.where(np.isfinite(rows[:, number]), rows[:, number], np.nan)
            axes.plot(epoch, loss, marker="." if len(rows) < 40 else "", color=colour, label=words)
        axes.set_ylabel(f"{name} loss (cross entropy)")
        axes.set_yscale("log")
        start_axes(axes, max(map(len, curves.values())))
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", fontsize=8)
    return figure


def parallel_coordinates(found: Sequence[Scored], axes_names: Sequence[str], measure: str, title: str) -> Figure:
    """One line per configuration through its values on each axis to its mean accuracy, the best drawn last.

    Of more than 400 lines, the best 400 are drawn, and the title says so. The value None is drawn below all others.
    """
    figure = Picture(figsize=(2 + 1.9 * (len(axes_names) + 1), 5), layout="constrained")
    axes = figure.subplots()
    shown = [item for item in found if np.isfinite(item.accuracy.mean)][:DRAWN][::-1]
    figure.suptitle(title if len(shown) == len(found) else f"{title}; the best {len(shown):,} are drawn")
    scores = np.array([*map(_percent, shown)] or [0.0])
    low, high = float(scores.min()), float(scores.max())
    heights = np.zeros((len(shown), len(axes_names) + 1))
    for column, axis in enumerate(axes_names):
        known = _ordered({item.values[axis] for item in shown} - {None})
        place: dict[Any, float] = {value: number / max(1, len(known) - 1) for number, value in enumerate(known)}
        place[None] = APART
        heights[:, column] = [place[item.values[axis]] for item in shown]
        told = known if len(known) <= 12 else [known[0], known[len(known) // 2], known[-1]]
        for value in [*told, *[None] * any(item.values[axis] is None for item in shown)]:
            words = "none" if value is None else label(value)
            axes.text(column - 0.03, place[value], words, ha="right", va="center", fontsize=8, bbox=PLATE)
    heights[:, -1] = (scores[: len(shown)] - low) / (high - low or 1)
    colours = mpl.colormaps["viridis"](heights[:, -1])
    jitter = np.random.RandomState(0).uniform(-0.012, 0.012, heights.shape)  # so that equal values show as bundles
    jitter[:, -1] = 0
    for line, colour in zip(heights + jitter, colours, strict=True):
        axes.plot(range(heights.shape[1]), line, color=colour, alpha=0.6, linewidth=1)
    for column in range(heights.shape[1]):
        axes.plot([column, column], [0, 1], color="black", linewidth=0.8)
    for share in (0, 0.5, 1) if high > low else (0,):
        axes.text(heights.shape[1] - 0.97, share, f"{low + share * (high - low):.1f} %", va="center", fontsize=8)
    names = [name.replace("_", " ") for name in (*axes_names, measure)]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks([])
    axes.set_xlim(-0.5, heights.shape[1] - 0.5)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    return figure


def difference(accuracies: dict[str, Any], interval: Any, title: str) -> Figure:
    """Two networks over many seeds: their test accuracies, and the difference seed by seed with its interval.

    Args:
        accuracies: two names, each to ``[seeds]``, shares.
        interval: of the mean difference, second minus first, in points.
        title: above both parts.
    """
    figure = Picture(figsize=(10, 4), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    (first, a), (second, b) = ((name, 100 * np.asarray(values)) for name, values in accuracies.items())
    apart = np.diff(np.unique(np.round(np.concatenate([a, b]), 6)))
    step = float(np.min(apart)) if len(apart) else 1.0  # one test row
    bins = np.arange(min(a.min(), b.min()) - step / 2, max(a.max(), b.max()) + step, step)
    for name, values, colour in ((first, a, OKABE_ITO[0]), (second, b, OKABE_ITO[1])):
        left.hist(values, bins=bins, color=colour, alpha=0.55, label=f"{name}: mean {values.mean():.2f} %")
    left.set_xlabel("test accuracy (%)")
    left.xaxis.set_major_locator(PercentLocator())
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
