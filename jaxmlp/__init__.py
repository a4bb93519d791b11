"""jaxmlp: multilayer perceptrons small enough to understand completely.

Parameters are a pytree, the forward pass a pure function, its gradient derived by hand and by JAX, training one
compiled program. Nothing here prints, parses arguments or changes JAX's settings on import.
"""

from jaxmlp.backprop import hand_derived_gradient
from jaxmlp.data import Dataset, load_digits, load_images, make_dataset, standardise
from jaxmlp.errors import InputError
from jaxmlp.gradients import automatic_gradient
from jaxmlp.losses import GradientFunction, accuracy, cross_entropy
from jaxmlp.network import ACTIVATIONS, Activation, Layer, Params, Trace, forward, forward_trace, init_params
from jaxmlp.optimizers import OPTIMIZERS, Hyperparameters, sgd
from jaxmlp.randomness import KeyStream, LectureStream
from jaxmlp.training import Config, History, TrainingState, initial_state, train, train_epochs

__all__ = [
    "ACTIVATIONS",
    "OPTIMIZERS",
    "Activation",
    "Config",
    "Dataset",
    "GradientFunction",
    "History",
    "Hyperparameters",
    "InputError",
    "KeyStream",
    "Layer",
    "LectureStream",
    "Params",
    "Trace",
    "TrainingState",
    "accuracy",
    "automatic_gradient",
    "cross_entropy",
    "forward",
    "forward_trace",
    "hand_derived_gradient",
    "init_params",
    "initial_state",
    "load_digits",
    "load_images",
    "make_dataset",
    "sgd",
    "standardise",
    "train",
    "train_epochs",
]
