"""The searches (grid_search, searching): candidates and rows as fits, trained in the engine's blocks."""

from jaxmlp.classifier.search.grid_search import MLPClassifierSweep, MLPRegressorSweep

__all__ = ["MLPClassifierSweep", "MLPRegressorSweep"]
