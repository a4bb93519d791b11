"""What `experiments.sweep` does once its options are read: run, search, report, export, the estimate of a dry run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
