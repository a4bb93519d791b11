"""Names that `jaxmlp` had at the top before, and where they are now: they work in this version, with a warning."""

import functools
import importlib
import warnings
from typing import Any

__all__ = ["NEW", "find"]

_HOMES = {
    "lecture": (
        "Activation", "GradientFunction", "Output", "TrainingState", "accuracy", "cross_entropy", "initial_state",
        "load_images", "make_dataset", "sgd", "standardise", "train_epochs",
    ),
    "gradient_check": (
        "Diagnosis", "DifferentGradientsError", "Finding", "GradientCheck", "HessianVectorProduct", "NumericalGradient",
        "Tolerance", "WrongGradientError", "automatic_deltas", "automatic_hessian_vector", "compare_backward",
        "compare_trees", "hand_derived_hessian_vector",
    ),
    "tables": ("Preparation",),
}  # fmt: skip
NEW = {
    "Config": "TrainingConfig",
    "MLPClassifierSweep": "MLPClassifierSearch",
    "MLPRegressorSweep": "MLPRegressorSearch",
    "checking": "gradient_check",
    **{name: f"{home}.{name}" for home, names in _HOMES.items() for name in names},
}
"""From the old name to the new one, both below `jaxmlp`."""


@functools.cache  # one warning per name: an import asks for it twice
def find(name: str) -> Any:
    """The object with the old name ``name``, a key of `NEW`; a FutureWarning says the new name."""
    warnings.warn(
        f"jaxmlp.{name} is now jaxmlp.{NEW[name]}; version 0.2 will not have the old name", FutureWarning, stacklevel=3
    )
    home, _, new = NEW[name].rpartition(".")
    return getattr(importlib.import_module(f"jaxmlp.{home}" if home else "jaxmlp"), new)
