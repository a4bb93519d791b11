"""Many networks in one program: groups of lanes on all devices, trained by a scan or by the fused kernel."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
