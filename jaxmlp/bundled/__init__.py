"""The data sets that scikit-learn bundles. scikit-learn is imported only when one of them is read."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
