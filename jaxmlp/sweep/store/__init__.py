"""The store of sweeps: one SQLite file, written by one process per sweep, read by many."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
