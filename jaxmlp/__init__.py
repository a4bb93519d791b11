"""jaxmlp: multilayer perceptrons small enough to understand completely.

Parameters are a pytree, the forward pass a pure function, its gradient derived by hand and by JAX, training one
compiled program. Nothing here prints, parses arguments or changes JAX's settings on import. The lecture is imported at
once, the tools (tables, gradient checks, sweeps, the classifier, model files, figures) when they are first used.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from jaxmlp.backprop import hand_derived_gradient
from jaxmlp.checks import InputError
from jaxmlp.data import Dataset, load_digits, load_images, make_dataset, standardise
from jaxmlp.gradients import automatic_gradient
from jaxmlp.losses import GradientFunction, accuracy, cross_entropy
from jaxmlp.network import ACTIVATIONS, OUTPUTS, Activation, Layer, Output, Params, Trace, forward, forward_trace
from jaxmlp.optimizers import OPTIMIZERS, Hyperparameters, sgd
from jaxmlp.randomness import KeyStream, LectureStream, init_params
from jaxmlp.showing import params_page, reveal_params
from jaxmlp.training import Config, History, TrainingState, initial_state, train, train_epochs

if TYPE_CHECKING:
    from jaxmlp import checking, classifier, engine, figures, gradient_check, models, runtime, sweep, tables
    from jaxmlp.checking import (
        DifferentGradientsError,
        GradientReport,
        HessianVectorProduct,
        NumericalGradient,
        Tolerance,
        automatic_deltas,
        automatic_hessian_vector,
        compare_backward,
        compare_gradients,
        compare_trees,
        hand_derived_hessian_vector,
        numerical_gradient,
    )  # fmt: skip
    from jaxmlp.classifier import MLPClassifier, MLPClassifierSweep, MLPRegressor, MLPRegressorSweep
    from jaxmlp.gradient_check import Diagnosis, Finding, GradientCheck, WrongGradientError, check_gradient
    from jaxmlp.models import Model, load, save
    from jaxmlp.tables import Preparation, Table, load_table

__version__ = "0.1.0"
__all__ = [
    "ACTIVATIONS", "OPTIMIZERS", "OUTPUTS", "Activation", "Config", "Dataset", "Diagnosis", "DifferentGradientsError",
    "Finding", "GradientCheck", "GradientFunction", "GradientReport", "HessianVectorProduct", "History",
    "Hyperparameters", "InputError", "KeyStream", "Layer", "LectureStream", "MLPClassifier", "MLPClassifierSweep",
    "MLPRegressor", "MLPRegressorSweep", "Model", "NumericalGradient", "Output", "Params", "Preparation", "Table",
    "Tolerance", "Trace", "TrainingState", "WrongGradientError", "accuracy", "automatic_deltas", "automatic_gradient",
    "automatic_hessian_vector", "check_gradient", "checking", "classifier", "compare_backward", "compare_gradients",
    "compare_trees", "cross_entropy", "engine", "figures", "forward", "forward_trace", "gradient_check",
    "hand_derived_gradient", "hand_derived_hessian_vector", "init_params", "initial_state", "load", "load_digits",
    "load_images", "load_table", "make_dataset", "models", "numerical_gradient", "runtime", "save", "sgd",
    "standardise", "sweep", "tables", "train", "train_epochs",
]  # fmt: skip

_PACKAGES = ("gradient_check", "checking", "models", "classifier", "tables", "engine", "figures", "runtime", "sweep")


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    for package in _PACKAGES[:5] if name in __all__ else ():  # the packages whose names stand here too
        if name in (module := importlib.import_module(f"{__name__}.{package}")).__all__:
            return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# A notebook would show parameters, which are a plain tuple, by their repr.
if shell := getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)():
    reveal_params(shell, Layer, params_page)
