"""Colours, axes and the class of figure that all figures share.

Colours that the lecture does not fix are Okabe and Ito's, which colour-blind readers can tell apart too.
"""

import io
from collections.abc import Sequence
from typing import IO

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

__all__ = ["OKABE_ITO", "PALETTES", "PercentLocator", "Picture", "start_axes", "write_png"]

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")

PALETTES: dict[str, tuple[str, ...]] = {
    # The lecture's ten colours, in the lecture's sequence.
    "lecture": (
        "red", "blue", "green", "yellow", "cyan", "magenta", "black", "brown", "orange", "lightgreen",
    ),
    # Paul Tol's "muted" scheme and black: ten hues that colour-blind readers can tell apart.
    "colour-blind": (
        "#CC6677", "#332288", "#DDCC77", "#117733", "#88CCEE", "#882255", "#44AA99", "#999933", "#AA4499", "#000000",
    ),
}  # fmt: skip


class PercentLocator(MaxNLocator):
    """Ticks of shares in percent: none below 0 or above 100, where only the margins of an axis are."""

    def __init__(self) -> None:
        super().__init__("auto", steps=[1, 2, 2.5, 5, 10])

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """The ticks between the ends of the axis, from 0 to 100."""
        return [place for place in super().tick_values(vmin, vmax) if 0 <= place <= 100]


class Picture(Figure):
    """A Figure that a notebook shows, whether or not pyplot was imported there; nothing has to be closed."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


def write_png(figure: Figure, file: IO[bytes]) -> None:
    """Write a figure as PNG, 120 pixels per inch, into an open file.

    The pixels are those of ``savefig``. That function would draw a figure with a layout twice.
    """
    figure.set_dpi(120)
    FigureCanvasAgg(figure).print_png(file)


def start_axes(axes: Axes, epochs: int) -> None:
    """An axis of epochs, 1 to ``epochs``, with a grid."""
    axes.set_xlabel("epoch")
    axes.set_xlim(0.5 if epochs == 1 else 1, max(epochs, 1.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
