"""Sweeps: space -> trials -> blocks -> devices -> store. Thousands of networks in one program, in one database."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
