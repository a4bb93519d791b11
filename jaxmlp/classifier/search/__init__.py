"""The search: candidates and folds as fits (fits), trained in the engine's blocks (blocks), compared (grid_search)."""

from jaxmlp.classifier.search.grid_search import MLPClassifierSweep

__all__ = ["MLPClassifierSweep"]
