"""What several commands share: the command line, one training run; and compiling for GPUs that are not there."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
