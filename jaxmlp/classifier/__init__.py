"""Estimators for scikit-learn and their searches, trained by the same update as everything else here."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
