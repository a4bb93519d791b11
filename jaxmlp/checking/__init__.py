"""Is this gradient right? Gradient functions compared leaf by leaf, by central differences, and diagnosed in words."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
