"""What `experiments.benchmark` measures: one module per benchmark, and the contenders that it times."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
