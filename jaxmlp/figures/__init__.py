"""Figures. Only this package imports matplotlib. Each function returns a Figure and shows nothing."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
