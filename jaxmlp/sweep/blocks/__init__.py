"""Blocks: trials that a compiled program trains together, packed, placed in lanes, trained, and read."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
