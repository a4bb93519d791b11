"""jaxmlp: multilayer perceptrons small enough to understand completely.

Parameters are a pytree, the forward pass a pure function, its gradient derived by hand and by JAX, training one
compiled program. Nothing here prints, parses arguments or changes JAX's settings on import.
The classifier for scikit-learn and the model files are imported when first asked for: whoever trains the lecture's
networks doesn't wait for them.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxmlp.backprop import hand_derived_gradient
from jaxmlp.checking import (
    Diagnosis,
    DifferentGradientsError,
    Finding,
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
from jaxmlp.data import Dataset, load_digits, load_images, make_dataset, standardise
from jaxmlp.errors import InputError
from jaxmlp.gradients import automatic_gradient
from jaxmlp.losses import GradientFunction, accuracy, cross_entropy
from jaxmlp.network import ACTIVATIONS, Activation, Layer, Params, Trace, forward, forward_trace, init_params
from jaxmlp.optimizers import OPTIMIZERS, Hyperparameters, sgd
from jaxmlp.randomness import KeyStream, LectureStream
from jaxmlp.training import Config, History, TrainingState, initial_state, train, train_epochs

if TYPE_CHECKING:
    from jaxmlp.classifier import MLPClassifier, MLPClassifierSweep
    from jaxmlp.models import Model, load, save

__all__ = [
    "ACTIVATIONS", "OPTIMIZERS", "Activation", "Config", "Dataset", "Diagnosis", "DifferentGradientsError", "Finding",
    "GradientFunction", "GradientReport", "HessianVectorProduct", "History", "Hyperparameters", "InputError",
    "KeyStream", "Layer", "LectureStream", "MLPClassifier", "MLPClassifierSweep", "Model", "NumericalGradient",
    "Params", "Tolerance", "Trace", "TrainingState", "accuracy", "automatic_deltas", "automatic_gradient",
    "automatic_hessian_vector", "compare_backward", "compare_gradients", "compare_trees", "cross_entropy", "forward",
    "forward_trace", "hand_derived_gradient", "hand_derived_hessian_vector", "init_params", "initial_state", "load",
    "load_digits", "load_images", "make_dataset", "numerical_gradient", "save", "sgd", "standardise", "train",
    "train_epochs",
]  # fmt: skip

_LAZY = {
    "MLPClassifier": "classifier",
    "MLPClassifierSweep": "classifier",
    "Model": "models",
    "load": "models",
    "save": "models",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
