"""Figures for a reader: only this package imports matplotlib. Each function returns a Figure and shows nothing."""

from jaxmlp.figures.gradient_agreement import agreement
from jaxmlp.figures.lecture import Points, bottleneck, confusion, curves, digits, mistakes, twins
from jaxmlp.figures.style import OKABE_ITO, PALETTES
from jaxmlp.figures.sweeps import best_curves, by_axis, difference, heatmap, label, parallel_coordinates

__all__ = [
    "OKABE_ITO", "PALETTES", "Points", "agreement", "best_curves", "bottleneck", "by_axis", "confusion", "curves",
    "difference", "digits", "heatmap", "label", "mistakes", "parallel_coordinates", "twins",
]  # fmt: skip
