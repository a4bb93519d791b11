"""A person's own data: tables from files, arrays or pandas, checked, split and standardised."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
