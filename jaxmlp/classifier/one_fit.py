"""What a fit of the classifier works on, and the loop of compiled calls around it."""

import dataclasses
import itertools
import warnings
from typing import Any, NamedTuple, cast

import jax
import numpy as np
import sklearn
from numpy.typing import NDArray

from jaxmlp.checks import MAX_INT, InputError, check_held, class_weights
from jaxmlp.classifier.reports import Report
from jaxmlp.classifier.settings import EstimatorConfig
from jaxmlp.classifier.stopping import (
    FitConfig,
    FitHyperparameters,
    epochs_per_call,
    fit_epochs,
    row_count,
    start,
    training_data,
)
from jaxmlp.classifier.targets import Targets
from jaxmlp.lecture.network import ActivationName, Layer, Params
from jaxmlp.lecture.optimizers import Hyperparameters
from jaxmlp.lecture.randomness import LectureStream

__all__ = ["Fitted", "PreparedFit", "hyperparameters_of", "initial_params", "prepare", "random_of", "train"]


class PreparedFit(NamedTuple):
    """What one fit works on.

    Attributes:
        params: initial parameters.
        x: ``[n, n_in]``, of the dtype to compute in.
        targets: what to learn.
        weights: ``[n]`` of the samples, divided by the mean of the training rows.
        training: rows to train on.
        validation: rows that early stopping looks at.
        mean_weight: what the weights were divided by.
        batch_size: as requested; 200 for "auto".
        config: static; its batch size is at most the number of training rows.
        random: of the sample orders to come.
    """

    params: Params
    x: NDArray[Any]
    targets: Targets
    weights: NDArray[Any]
    training: NDArray[Any]
    validation: NDArray[Any]
    mean_weight: float
    batch_size: int
    config: FitConfig
    random: np.random.RandomState


class Fitted(NamedTuple):
    """What a fit gives: NumPy arrays; ``scores`` are those of validation, NaN without early stopping.

    ``converged``: whether the stopping rule ended it, not the last epoch.
    """

    params: Params
    optimizer_state: Any
    epochs: int
    losses: list[float]
    scores: list[float]
    converged: bool


def random_of(random_state: Any) -> np.random.RandomState:
    """The random numbers of a fit from a seed or a RandomState; None gives new ones, never NumPy's global stream."""
    if random_state is None:
        return np.random.RandomState()
    return LectureStream(random_state).random


def initial_params(
    init: str, random: np.random.RandomState, sizes: tuple[int, ...], activation: ActivationName, dtype: str
) -> Params:
    """Initial parameters, drawn layer by layer.

    Args:
        init: "lecture" (see `LectureStream.params`), or "glorot": weights, then biases, uniform in ``-bound..bound``,
            ``bound = sqrt(6 / (n_in + n_out))``, of a sigmoid layer ``sqrt(2 / (n_in + n_out))``; an output layer
            counts as the hidden layer before it. They are scikit-learn's.
        random: to draw from.
        sizes: ``(n_0, .., n_L)``.
        activation: of the hidden layers.
        dtype: float32 or float64.

    Source: X. Glorot and Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010.
    """
    if init == "lecture":
        return LectureStream(random).params(sizes, dtype)
    names = [activation] * (len(sizes) - 1) if isinstance(activation, str) else [*activation, *activation[-1:]]
    layers: list[Layer] = []
    for (n_in, n_out), name in zip(itertools.pairwise(sizes), names or ["identity"], strict=True):
        bound = np.sqrt((2 if name == "sigmoid" else 6) / (n_in + n_out))
        weights = random.uniform(-bound, bound, (n_in, n_out))  # scikit-learn's shape: the same numbers
        layers.append(Layer(weights.T.astype(dtype), random.uniform(-bound, bound, n_out).astype(dtype)))  # pyright: ignore[reportArgumentType]
    return tuple(layers)


def prepare(
    settings: EstimatorConfig,
    parameters: dict[str, Any],
    x: NDArray[Any],
    targets: Targets,
    weights: NDArray[Any],
    random: np.random.RandomState,
    params: Params | None = None,
) -> PreparedFit:
    """The PreparedFit of one fit. Draws the initial parameters (unless given), then the validation rows.

    Args:
        settings: checked.
        parameters: of the classifier.
        x: ``[n, n_in]``.
        targets: what to learn.
        weights: ``[n]``, of the samples; those of weight 0 are left out.
        random: to draw from.
        params: to continue from.

    Raises:
        InputError: no sample is left; class weights without classes; too few samples to hold some out (of a class,
            scikit-learn's own ValueError).
    """
    if targets.labels is not None and targets.classes is not None:
        weights = weights * class_weights(parameters["class_weight"], targets.classes, targets.labels, weights)
    elif parameters["class_weight"] is not None:
        raise InputError(f"class_weight is {parameters['class_weight']!r}, expected None: no sample has one class")
    training, validation = np.flatnonzero(weights > 0), np.zeros(0, np.intp)
    if not len(training):
        raise InputError("class_weight is zero for every sample, expected a positive one")
    if params is None:
        sizes = (x.shape[1], *settings.hidden, targets.values.shape[1])
        params = initial_params(parameters["init"], random, sizes, settings.config.training.activation, str(x.dtype))
    if settings.config.early_stopping:
        fraction, labels, classes = parameters["validation_fraction"], targets.labels, targets.classes
        strata = None if labels is None or classes is None else classes[labels[training]]  # errors name the class
        # scikit-learn opens its packages when they are first used: only a fit with early stopping needs this one.
        split = cast(Any, sklearn).model_selection.train_test_split
        parts = split(training, test_size=fraction, stratify=strata, random_state=random)
        training, validation = map(np.asarray, parts)
        if len(validation) < 2:
            raise InputError(f"The validation set is too small: {len(validation)} of {len(x)} samples, expected 2")
    n, size = len(training), settings.config.training.batch_size or 200
    if size > n and parameters["batch_size"] != "auto":
        warnings.warn(f"batch_size is {size}, more than the {n} training samples: {n} is used", stacklevel=4)
    training_config = dataclasses.replace(settings.config.training, batch_size=min(size, n), output=targets.output)
    config = dataclasses.replace(settings.config, training=training_config)
    mean = float(np.mean(weights[training]))
    return PreparedFit(params, x, targets, weights / mean, training, validation, mean, size, config, random)


def hyperparameters_of(parameters: dict[str, Any], prepared: PreparedFit, last_epoch: int) -> FitHyperparameters:
    """What the fit traces, as NumPy scalars; the penalty in the scale of the prepared weights."""
    scalar = prepared.x.dtype.type
    check_held("learning_rate", parameters["learning_rate"], scalar)
    hyperparameters = Hyperparameters(scalar(parameters["learning_rate"]), scalar(parameters["momentum"]))
    alpha, tol = scalar(parameters["alpha"] / prepared.mean_weight), scalar(parameters["tol"])
    patience = np.int32(min(parameters["n_iter_no_change"], MAX_INT))
    return FitHyperparameters(hyperparameters, alpha, tol, patience, np.int32(last_epoch))


def train(
    prepared: PreparedFit, given: FitHyperparameters, report: Report, done: int = 0, optimizer_state: Any = None
) -> Fitted:
    """Call the compiled program until training stops; ``done`` epochs lie behind the prepared parameters.

    How the epochs are divided into calls makes no difference beyond rounding. To be called within
    `jaxmlp.runtime.computing`, like `prepare`.

    Raises:
        InputError: a loss or parameter that is no longer finite, unless early stopping has kept an epoch before.
    """
    n, last, size = len(prepared.training), int(given.last_epoch), prepared.config.training.batch_size
    if size < prepared.batch_size:  # one batch of all, filled up: another number of samples is the same program
        size = min(prepared.batch_size, max(16, _power_of_two(n)))
    config = dataclasses.replace(
        prepared.config, training=dataclasses.replace(prepared.config.training, batch_size=size)
    )
    filler, row_bytes = len(prepared.x), prepared.x[0].nbytes
    length = -(-row_count(n, row_bytes) // size) * size
    data = training_data(prepared.x, prepared.targets.values, prepared.weights, row_count(filler + 1, row_bytes))
    held_out = len(prepared.validation)
    validation = np.full(max(64, _power_of_two(held_out)) if held_out else 0, filler, np.int32)
    validation[:held_out] = prepared.validation
    chunk = epochs_per_call(length, sum(leaf.size for leaf in jax.tree.leaves(prepared.params)))
    data, validation, given = jax.device_put((data, validation, given))
    fit = start(jax.device_put(prepared.params), given, config)
    fit = fit._replace(epoch=jax.device_put(np.int32(done)))
    if jax.tree.structure(optimizer_state) == jax.tree.structure(fit.state.optimizer_state):
        state = fit.state._replace(optimizer_state=jax.device_put(optimizer_state))
        fit = fit._replace(state=state)
    losses: list[float] = []
    scores: list[float] = []
    running = True
    while running:
        orders, drawn = np.full((chunk, length), filler, np.int32), min(chunk, last - done)
        orders[:drawn, :n] = prepared.training[np.asarray(LectureStream(prepared.random).orders(drawn, n))]
        fit, *rows = fit_epochs(fit, orders, np.int32(n), data, validation, given, config)
        before, done, running = done, int(fit.epoch), bool(fit.running)
        loss, score = (np.asarray(row, np.float64)[: done - before].tolist() for row in rows)
        losses, scores = losses + loss, scores + score
        report(before, loss, score)
    state, kept = jax.tree.map(np.asarray, (fit.state, fit.kept))
    found = kept or state.params
    # Of no use: parameters that the last update spoilt, which no loss has seen, or with early stopping those before
    # the first epoch.
    if not all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(found)) or (
        not np.isfinite(losses[-1]) and not (kept and np.isfinite(fit.best))
    ):
        epoch = done - len(losses) + int(np.argmin(np.isfinite([*losses[:-1], np.nan]))) + 1
        said = (
            f"the loss is no longer finite in epoch {epoch} with learning rate {given.hyperparameters.learning_rate!s}"
        )
        scaled = "inputs and targets" if prepared.targets.output == "identity" else "inputs"
        raise InputError(f"{said}, expected a smaller one, or {scaled} scaled to a standard deviation of 1")
    return Fitted(found, state.optimizer_state, done, losses, scores, int(fit.stale) > int(given.patience))


def _power_of_two(n: int) -> int:
    """The smallest one that is not less than ``n``, which is 1 or more."""
    return 1 << (n - 1).bit_length()
