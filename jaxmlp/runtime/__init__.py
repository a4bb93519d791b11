"""Settings made before JAX computes anything: precision, device, CPU compilation. Also where a program ran."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
