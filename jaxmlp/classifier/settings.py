"""The classifier's parameters, checked when it fits: scikit-learn's constructors only store what they are given."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple, cast

import numpy as np
import optax
from numpy.typing import NDArray

from jaxmlp.classifier.stopping import Program
from jaxmlp.errors import InputError
from jaxmlp.network import ActivationName, check_sizes, hidden_activations
from jaxmlp.optimizers import OPTIMIZERS, Hyperparameters, check_hyperparameters
from jaxmlp.randomness import check_seed
from jaxmlp.training import Config

__all__ = ["Settings", "check_settings", "check_weights", "class_weights", "optimizer_of"]

MAX_INT = 2**31 - 1
Factory = Callable[[Hyperparameters], optax.GradientTransformation]


class Settings(NamedTuple):
    """Checked parameters.

    Attributes:
        hidden: widths of the hidden layers.
        program: static; its batch size is the one asked for, or 0 for "auto".
        dtype: float32, float64, or None for the data's own.
    """

    hidden: tuple[int, ...]
    program: Program
    dtype: str | None


@dataclasses.dataclass(frozen=True)
class _Fixed:
    """A ready-made optax transformation in the place of one made from hyperparameters; equal where that is."""

    transformation: Any

    def __call__(self, _: Hyperparameters) -> optax.GradientTransformation:
        return self.transformation


@dataclasses.dataclass(frozen=True)
class _FromRate:
    """An optax optimiser that is made from the learning rate, such as ``optax.lion``; equal where its parts are."""

    make: Any
    arguments: tuple[Any, ...] = ()
    keywords: tuple[tuple[str, Any], ...] = ()

    def __call__(self, hyperparameters: Hyperparameters) -> optax.GradientTransformation:
        return self.make(*self.arguments, hyperparameters.learning_rate, **dict(self.keywords))


def optimizer_of(optimizer: Any) -> Factory:
    """The optimiser's factory from a name of `OPTIMIZERS`, an optax transformation, or a function of the rate."""
    if isinstance(optimizer, str) and optimizer in OPTIMIZERS:
        return OPTIMIZERS[optimizer]
    if isinstance(optimizer, optax.GradientTransformation):
        return _Fixed(optimizer)
    if isinstance(optimizer, functools.partial):  # clones have copies of it, which are unequal though of equal parts
        return _FromRate(optimizer.func, optimizer.args, tuple(sorted(optimizer.keywords.items())))
    if callable(optimizer):
        return _FromRate(optimizer)
    names = ", ".join(OPTIMIZERS)
    raise InputError(f"optimizer is {optimizer!r}, expected {names}, an optax transformation or a function of the rate")


def check_settings(parameters: Mapping[str, Any]) -> Settings:
    """The checked parameters of a classifier, as its ``get_params`` gives them; raises InputError."""
    p = parameters
    hidden = _hidden(p["hidden_layer_sizes"])
    activation = p["activation"]
    if not isinstance(activation, (str, list, tuple)):
        raise InputError(f"activation is {activation!r}, expected a name, or a sequence of one for each hidden layer")
    names: ActivationName = activation if isinstance(activation, str) else tuple(cast(Any, activation))
    hidden_activations(names, len(hidden))
    _whole("max_iter", p["max_iter"], 1)
    if p["n_iter_no_change"] != math.inf:
        _whole("n_iter_no_change", p["n_iter_no_change"], 1)
    for name in ("alpha", "tol"):
        _number(name, p[name], 0, math.inf)
    for name in ("learning_rate", "momentum"):
        _number(name, p[name], 0, math.inf)
    check_hyperparameters(Hyperparameters(p["learning_rate"], p["momentum"]))
    for name in ("early_stopping", "warm_start"):
        if not isinstance(p[name], (bool, np.bool_)):
            raise InputError(f"{name} is {p[name]!r}, expected True or False")
    if not 0 < _number("validation_fraction", p["validation_fraction"], 0, 1) < 1:
        raise InputError(f"validation_fraction is {p['validation_fraction']}, expected a share between 0 and 1")
    batch_size = 0 if p["batch_size"] == "auto" else _whole("batch_size", p["batch_size"], 1)
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
    _transform_layer(p["transform_layer"], len(hidden))
    if p["transform_stage"] not in ("activation", "pre-activation"):
        raise InputError(f"transform_stage is {p['transform_stage']!r}, expected activation or pre-activation")
    config = Config(names, batch_size, optimizer_of(p["optimizer"]))
    program = Program(config, penalised=p["alpha"] > 0, early_stopping=bool(p["early_stopping"]))
    return Settings(hidden, program, None if dtype == "auto" else str(dtype))


def _hidden(sizes: Any) -> tuple[int, ...]:
    try:
        hidden: tuple[Any, ...] = (sizes,) if isinstance(sizes, (Integral, Real)) else tuple(sizes)
    except TypeError:
        raise InputError(f"hidden_layer_sizes is {sizes!r}, expected a width or a sequence of widths") from None
    return check_sizes((1, *hidden, 1))[1:-1]


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) <= MAX_INT:
        raise InputError(f"{name} is {value!r}, expected a whole number, {least} or more")
    return int(value)


def _number(name: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) < math.inf:
        raise InputError(f"{name} is {value!r}, expected a finite number, {low} or more")
    return min(float(value), high)


def _transform_layer(layer: Any, hidden: int) -> None:
    if not isinstance(layer, Integral) or (hidden and not -hidden <= int(layer) < hidden):
        raise InputError(f"transform_layer is {layer!r}, expected {-hidden}..{hidden - 1}, one of the hidden layers")


def check_weights(sample_weight: Any, n: int) -> NDArray[np.float64]:
    """Sample weights as float64 ``[n]``, ones for None; raises InputError unless finite, 0 or more, one positive."""
    if sample_weight is None:
        return np.ones(n)
    try:
        weights = np.asarray(sample_weight, np.float64)
    except (TypeError, ValueError):
        raise InputError("sample_weight has entries that are not numbers, expected a number for each sample") from None
    if weights.ndim == 0:
        weights = np.full(n, float(weights))
    if weights.shape != (n,):
        raise InputError(f"sample_weight has shape {weights.shape}, expected ({n},), a number for each sample")
    if not (np.all(np.isfinite(weights)) and np.all(weights >= 0)):
        worst = weights[np.argmin(np.where(np.isfinite(weights), weights, -np.inf))]
        raise InputError(f"sample_weight has {worst}, expected finite numbers, 0 or more")
    if not np.any(weights > 0):
        raise InputError("sample_weight is zero for every sample, expected a positive one")
    return weights


def class_weights(class_weight: Any, classes: NDArray[Any], labels: NDArray[Any], weights: NDArray[Any]) -> Any:
    """A factor for each sample, ``[n]``: of its class.

    Args:
        class_weight: checked: None; a mapping from class to factor, 1 for classes it leaves out; or "balanced": each
            class gets the same total weight.
        classes: sorted, ``[n_classes]``.
        labels: ``[n]``, indices of classes.
        weights: of the samples, ``[n]``.

    Raises:
        InputError: a class that is not in the data, a factor that is not a finite number, 0 or more.
    """
    if class_weight is None:
        return np.ones(len(labels))
    if isinstance(class_weight, str) and class_weight == "balanced":
        totals = np.bincount(labels, weights, len(classes))
        factors = np.divide(np.sum(totals), np.sum(totals > 0) * totals, out=np.zeros(len(totals)), where=totals > 0)
        return factors[labels]
    factors = np.ones(len(classes))
    for name, factor in cast(Mapping[Any, Any], class_weight).items():
        at = np.flatnonzero(classes == name)
        if len(at) != 1:
            raise InputError(f"class_weight names {name!r}, expected one of the classes {classes.tolist()}")
        factors[at[0]] = _number(f"class_weight of {name!r}", factor, 0, math.inf)
    return factors[labels]
