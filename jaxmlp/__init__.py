"""jaxmlp: multilayer perceptrons small enough to understand completely.

Parameters are a pytree. The forward pass is a pure function. Its gradient is derived by hand and by JAX. Training is
one compiled program. Nothing here prints, parses arguments or changes JAX's settings on import. `__init__.pyi` lists
the module of each name. A module, and JAX with it, is imported when one of its names is first used.
"""

import sys
from typing import Any

import lazy_loader

from jaxmlp import old_names

__version__ = "0.1.0"
_attribute, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    return old_names.find(name) if name in old_names.NEW else _attribute(name)


# Parameters are a plain tuple. Without this, a notebook would show their repr.
if shell := getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)():
    from jaxmlp.lecture.network import Layer
    from jaxmlp.showing import params_page, reveal_params

    reveal_params(shell, Layer, params_page)
