"""Searches: a sampler of Optuna gives batches of configurations; the networks of a batch train side by side."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
