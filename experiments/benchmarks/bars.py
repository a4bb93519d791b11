"""The benchmarks' figure: horizontal bars."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from jaxmlp.figures import OKABE_ITO

__all__ = ["bars"]

WIDE = 20  # a shorter log scale has room for few of its ticks


def bars(
    panels: Mapping[str, Mapping[str, float]], labels: Sequence[str], title: str, marked: str | tuple[str, ...]
) -> Figure:
    """Panels in up to two columns, each with an axis label: a horizontal bar per name, the first on top.

    Log scale where values differ a lot; the value stands at the bar's end. Names that begin with one of ``marked`` have
    a colour of their own.
    """
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    most = max(len(values) for values in panels.values())
    figure = Figure(figsize=(6.5 * columns, rows * (0.32 * most + 1.1) + 0.4), layout="constrained")
    figure.suptitle(title)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (name, values), label in zip(grid.flat, panels.items(), labels, strict=False):
        colours = [OKABE_ITO[1 if each.startswith(marked) else 0] for each in values]
        drawn = axes.barh(list(values), list(values.values()), color=colours)
        shown = [f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in values.values()]
        axes.bar_label(drawn, labels=shown, padding=4)
        axes.invert_yaxis()
        if max(values.values()) > WIDE * min(values.values()):
            axes.set_xscale("log")
            axes.set_xlim(min(values.values()) / 3, max(values.values()) * 8)
        else:
            axes.set_xlim(0, max(values.values()) * 1.2)
        axes.set_xlabel(label)
        axes.set_title(name)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    return figure
