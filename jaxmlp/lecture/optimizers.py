"""What training traces (`Hyperparameters`), what it is compiled for (`TrainingConfig`), and the optax optimisers."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import optax
from jax import Array

from jaxmlp.checks import InputError, check_kind
from jaxmlp.lecture.network import ActivationName, hashable

__all__ = [
    "OPTIMIZERS",
    "Hyperparameters",
    "TrainingConfig",
    "adam",
    "check_hyperparameters",
    "momentum",
    "nesterov",
    "optimizer_of",
    "sgd",
]

Factory = Callable[["Hyperparameters"], optax.GradientTransformation]


class Hyperparameters(NamedTuple):
    """Numbers that training traces: a new value needs no compilation. All are scalars.

    Attributes:
        learning_rate: positive.
        momentum: 0 or more and below 1; used by the optimisers ``momentum`` and ``nesterov``.
        weight_decay: 0 or more. Weight decay times parameters is added to the gradient (in ``adam``: to the update, as
            in AdamW). None leaves the term out of the compiled program.
    """

    learning_rate: float | Array = 0.2
    momentum: float | Array = 0.9
    weight_decay: float | Array | None = None


def sgd(hyperparameters: Hyperparameters) -> optax.GradientTransformation:
    """Plain gradient descent, the lecture's update."""
    return _decayed(optax.sgd(hyperparameters.learning_rate), hyperparameters)


def momentum(hyperparameters: Hyperparameters) -> optax.GradientTransformation:
    """Gradient descent with Polyak's momentum: ``v = momentum v + gradient``, the step is ``-learning_rate v``."""
    return _decayed(optax.sgd(hyperparameters.learning_rate, hyperparameters.momentum), hyperparameters)


def nesterov(hyperparameters: Hyperparameters) -> optax.GradientTransformation:
    """`momentum` with Nesterov's look ahead: the step is ``-learning_rate (momentum v + gradient)``."""
    return _decayed(optax.sgd(hyperparameters.learning_rate, hyperparameters.momentum, nesterov=True), hyperparameters)


def adam(hyperparameters: Hyperparameters) -> optax.GradientTransformation:
    """Adam with optax's constants; its weight decay is decoupled from the gradient's scale (AdamW)."""
    if hyperparameters.weight_decay is None:
        return optax.adam(hyperparameters.learning_rate)
    return optax.adamw(hyperparameters.learning_rate, weight_decay=hyperparameters.weight_decay)


def _decayed(optimizer: optax.GradientTransformation, hyperparameters: Hyperparameters) -> optax.GradientTransformation:
    if hyperparameters.weight_decay is None:
        return optimizer
    return optax.chain(optax.add_decayed_weights(hyperparameters.weight_decay), optimizer)


OPTIMIZERS: dict[str, Factory] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adam": adam,
}


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The settings that training is compiled for, beside shapes and dtype.

    Attributes:
        activation: of the hidden layers, one name, or a tuple of one per hidden layer.
        batch_size: samples per update; the last batch of an epoch has the remaining samples.
        optimizer: makes the optax optimiser from the hyperparameters.
        output: of the last layer, with its loss: a name of `jaxmlp.OUTPUTS`.
    """

    activation: ActivationName = "sigmoid"
    batch_size: int = 1
    optimizer: Callable[[Hyperparameters], optax.GradientTransformation] = sgd
    output: str = "softmax"

    def __post_init__(self) -> None:
        object.__setattr__(self, "activation", hashable(self.activation))


def check_hyperparameters(hyperparameters: Hyperparameters) -> None:
    """Raise InputError, naming the value and what was expected, for numbers that no optimiser can use."""
    check_kind("hyperparameters", hyperparameters, Hyperparameters, "Hyperparameters(learning_rate, ..)")
    rate, momentum, decay = hyperparameters
    if np.ndim(rate) or not (math.isfinite(rate) and rate > 0):
        raise InputError(f"learning rate is {rate}, expected a positive finite number")
    if np.ndim(momentum) or not 0 <= momentum < 1:
        raise InputError(f"momentum is {momentum}, expected 0 <= momentum < 1")
    if decay is not None and (np.ndim(decay) or not (math.isfinite(decay) and decay >= 0)):
        raise InputError(f"weight decay is {decay}, expected a finite number, 0 or more")


@dataclasses.dataclass(frozen=True)
class _Fixed:
    """A ready-made optax transformation; it ignores the hyperparameters. Two are equal if their transformations are."""

    transformation: Any

    def __call__(self, _: Hyperparameters) -> optax.GradientTransformation:
        return self.transformation


@dataclasses.dataclass(frozen=True)
class _FromRate:
    """An optax optimiser built from the learning rate, such as ``optax.lion``. Two are equal if their parts are."""

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
    if isinstance(optimizer, functools.partial):  # copies of a partial are unequal even if their parts are equal
        return _FromRate(optimizer.func, optimizer.args, tuple(sorted(optimizer.keywords.items())))
    if callable(optimizer):
        return _FromRate(optimizer)
    names = ", ".join(OPTIMIZERS)
    raise InputError(f"optimizer is {optimizer!r}, expected {names}, an optax transformation or a function of the rate")
