"""Searches: an Optuna sampler is asked for batches of configurations, each of which is trained side by side."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
