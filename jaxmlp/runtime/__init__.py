"""What a program decides before JAX computes anything: precision, device, CPU compilation; and where it ran."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
