"""The classifier's parameters, checked when it fits: scikit-learn's constructors only store them."""

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple, cast

import numpy as np

from jaxmlp.checks import InputError, check_flag, check_number, check_seed, check_sizes, check_whole
from jaxmlp.classifier.stopping import FitConfig
from jaxmlp.lecture.network import ActivationName, hidden_activations
from jaxmlp.lecture.optimizers import Hyperparameters, TrainingConfig, check_hyperparameters, optimizer_of

__all__ = ["PARAMETERS", "EstimatorConfig", "check_settings"]

PARAMETERS = (
    "hidden_layer_sizes", "activation", "optimizer", "learning_rate", "momentum", "batch_size", "max_iter", "alpha",
    "tol", "n_iter_no_change", "early_stopping", "validation_fraction", "warm_start", "init", "random_state",
    "class_weight", "verbose", "device", "dtype", "transform_layer", "transform_stage",
)  # fmt: skip
"""Of the classifier; of the regressor all but class_weight."""


class EstimatorConfig(NamedTuple):
    """Checked parameters.

    Attributes:
        hidden: widths of the hidden layers.
        config: static; its batch size is the requested one, or 0 for "auto".
        dtype: float32, float64, or None for the data's own.
    """

    hidden: tuple[int, ...]
    config: FitConfig
    dtype: str | None


def check_settings(parameters: Mapping[str, Any]) -> EstimatorConfig:
    """The checked parameters of a classifier, as its ``get_params`` gives them; raises InputError."""
    p = parameters
    hidden = _hidden(p["hidden_layer_sizes"])
    activation = p["activation"]
    if not isinstance(activation, (str, list, tuple)):
        raise InputError(f"activation is {activation!r}, expected a name, or a sequence of one for each hidden layer")
    names: ActivationName = activation if isinstance(activation, str) else tuple(cast(Any, activation))
    hidden_activations(names, len(hidden))
    check_whole("max_iter", p["max_iter"], 1)
    if p["n_iter_no_change"] != math.inf:
        check_whole("n_iter_no_change", p["n_iter_no_change"], 1)
    for name in ("alpha", "tol"):
        check_number(name, p[name], 0, math.inf)
    for name in ("learning_rate", "momentum"):
        check_number(name, p[name], 0, math.inf)
    check_hyperparameters(Hyperparameters(p["learning_rate"], p["momentum"]))
    for name in ("early_stopping", "warm_start"):
        check_flag(name, p[name])
    if not 0 < check_number("validation_fraction", p["validation_fraction"], 0, 1) < 1:
        raise InputError(f"validation_fraction is {p['validation_fraction']}, expected a share between 0 and 1")
    batch_size = 0 if p["batch_size"] == "auto" else check_whole("batch_size", p["batch_size"], 1)
    dtype = p["dtype"]
    if dtype != "auto" and dtype not in ("float32", "float64"):
        raise InputError(f"dtype is {dtype!r}, expected auto, float32 or float64")
    if not isinstance(p["verbose"], (bool, Integral)):
        raise InputError(f"verbose is {p['verbose']!r}, expected True or False")
    if not (p["random_state"] is None or isinstance(p["random_state"], np.random.RandomState)):
        check_seed(p["random_state"])
    weight = p["class_weight"]
    if not (weight is None or isinstance(weight, Mapping) or (isinstance(weight, str) and weight == "balanced")):
        raise InputError(f"class_weight is {weight!r}, expected None, balanced or a factor for each class")
    if p["init"] not in ("glorot", "lecture"):
        raise InputError(f"init is {p['init']!r}, expected glorot or lecture")
    _transform_layer(p["transform_layer"], len(hidden))
    if p["transform_stage"] not in ("activation", "pre-activation"):
        raise InputError(f"transform_stage is {p['transform_stage']!r}, expected activation or pre-activation")
    config = TrainingConfig(names, batch_size, optimizer_of(p["optimizer"]))
    fit = FitConfig(config, penalised=p["alpha"] > 0, early_stopping=bool(p["early_stopping"]))
    return EstimatorConfig(hidden, fit, None if dtype == "auto" else str(dtype))


def _hidden(sizes: Any) -> tuple[int, ...]:
    try:
        hidden: tuple[Any, ...] = (sizes,) if isinstance(sizes, (Integral, Real)) else tuple(sizes)
    except TypeError:
        raise InputError(f"hidden_layer_sizes is {sizes!r}, expected a width or a sequence of widths") from None
    return check_sizes((1, *hidden, 1))[1:-1]


def _transform_layer(layer: Any, hidden: int) -> None:
    if not isinstance(layer, Integral) or (hidden and not -hidden <= int(layer) < hidden):
        raise InputError(f"transform_layer is {layer!r}, expected {-hidden}..{hidden - 1}, one of the hidden layers")
