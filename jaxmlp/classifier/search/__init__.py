"""The search (grid_search): candidates (results) and folds as fits (fits), trained in the engine's blocks (blocks)."""

from jaxmlp.classifier.search.grid_search import MLPClassifierSweep

__all__ = ["MLPClassifierSweep"]
