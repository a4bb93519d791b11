"""The searches (grid_search, searching): candidates and rows as fits, trained in the engine's blocks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
