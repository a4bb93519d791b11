"""What a fit of the classifier works on, and the loop of compiled calls around it."""

import dataclasses
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from jaxmlp.checks import MAX_INT, check_held, class_weights
from jaxmlp.classifier.settings import Settings
from jaxmlp.classifier.stopping import FitConfig, FitHyperparameters, epochs_per_call, fit_epochs, start, training_data
from jaxmlp.data import Dataset
from jaxmlp.errors import InputError
from jaxmlp.network import Params
from jaxmlp.optimizers import Hyperparameters
from jaxmlp.randomness import LectureStream

__all__ = ["Fitted", "PreparedFit", "hyperparameters_of", "pieces", "prepare", "random_of", "report_to", "train"]

LOG = logging.getLogger("jaxmlp")
ROWS = 4096
"""Rows a prediction computes at a time, at most."""
Report = Callable[[int, list[float], list[float]], None]
"""Called with the epochs done before, and the losses and validation accuracies of those done since."""


class PreparedFit(NamedTuple):
    """What one fit works on.

    Attributes:
        params: initial parameters.
        data: see `training_data`.
        training: rows of ``data`` to train on.
        validation: rows of ``data`` that early stopping looks at.
        mean_weight: of the training rows; ``data`` has the weights divided by it.
        config: static.
        random: of the sample orders to come.
    """

    params: Params
    data: Dataset
    training: NDArray[Any]
    validation: NDArray[Any]
    mean_weight: float
    config: FitConfig
    random: np.random.RandomState


class Fitted(NamedTuple):
    """What a fit gives: NumPy arrays; ``scores`` are validation accuracies, NaN without early stopping."""

    params: Params
    optimizer_state: Any
    epochs: int
    losses: list[float]
    scores: list[float]


def random_of(random_state: Any) -> np.random.RandomState:
    """The random numbers of a fit from a seed or a RandomState; None gives new ones, never NumPy's global stream."""
    if random_state is None:
        return np.random.RandomState()
    return LectureStream(random_state).random


def prepare(
    settings: Settings, parameters: dict[str, Any], x: NDArray[Any], labels: NDArray[Any], classes: NDArray[Any],
    weights: NDArray[Any], random: np.random.RandomState, params: Params | None = None,
) -> PreparedFit:  # fmt: skip
    """The PreparedFit of one fit. Draws the initial parameters (unless given), then the validation rows.

    Args:
        settings: checked.
        parameters: of the classifier.
        x: ``[n, n_in]``.
        labels: ``[n]``, indices of ``classes``, which are sorted.
        classes: ``[n_classes]``.
        weights: ``[n]``, of the samples; those of weight 0 are left out.
        random: to draw from.
        params: to go on from.

    Raises:
        InputError: no sample is left; too few samples to hold some out (scikit-learn's own ValueError).
    """
    weights = weights * class_weights(parameters["class_weight"], classes, labels, weights)
    training, validation = np.flatnonzero(weights > 0), np.zeros(0, np.intp)
    if not len(training):
        raise InputError("class_weight is zero for every sample, expected a positive one")
    if params is None:
        params = LectureStream(random).params((x.shape[1], *settings.hidden, len(classes)), str(x.dtype))
    if settings.config.early_stopping:
        fraction = parameters["validation_fraction"]
        parts = train_test_split(training, test_size=fraction, stratify=labels[training], random_state=random)
        training, validation = map(np.asarray, parts)
    n, size = len(training), settings.config.training.batch_size
    if size > n:
        warnings.warn(f"batch_size is {size}, more than the {n} training samples: {n} is used", stacklevel=4)
    training_config = dataclasses.replace(settings.config.training, batch_size=min(size or 200, n))
    config = dataclasses.replace(settings.config, training=training_config)
    mean = float(np.mean(weights[training]))
    data = training_data(x, labels, len(classes), weights / mean)
    return PreparedFit(params, data, training, validation, mean, config, random)


def hyperparameters_of(parameters: dict[str, Any], prepared: PreparedFit, last_epoch: int) -> FitHyperparameters:
    """What the fit traces, as NumPy scalars; the penalty in the scale of the prepared weights."""
    scalar = np.dtype(prepared.data.x_train.dtype).type
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
    """
    n, last = len(prepared.training), int(given.last_epoch)
    losses: list[float] = []
    scores: list[float] = []
    chunk = epochs_per_call(n, sum(leaf.size for leaf in jax.tree.leaves(prepared.params)))
    data, validation, given = jax.device_put((prepared.data, prepared.validation.astype(np.int32), given))
    fit = start(jax.device_put(prepared.params), given, prepared.config)
    fit = fit._replace(epoch=jax.device_put(np.int32(done)))
    if jax.tree.structure(optimizer_state) == jax.tree.structure(fit.state.optimizer_state):
        state = fit.state._replace(optimizer_state=jax.device_put(optimizer_state))
        fit = fit._replace(state=state)
    running = True
    while running:
        orders = np.zeros((chunk, n), np.int32)
        drawn = min(chunk, last - done)
        orders[:drawn] = prepared.training[np.asarray(LectureStream(prepared.random).orders(drawn, n))]
        fit, *rows = fit_epochs(fit, orders, data, validation, given, prepared.config)
        before, done, running = done, int(fit.epoch), bool(fit.running)
        loss, score = (np.asarray(row, np.float64)[: done - before].tolist() for row in rows)
        if not running and not all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(fit.kept or fit.state.params)):
            loss[-1:] = [np.nan]  # that of the last update's parameters, which no update looked at
        losses += loss
        scores += score
        report(before, loss, score)
    state, kept = jax.tree.map(np.asarray, (fit.state, fit.kept))
    return Fitted(kept or state.params, state.optimizer_state, done, losses, scores)


def report_to(verbose: bool, learning_rate: float) -> Report:
    """A Report that, if ``verbose``, logs one line per epoch, like the lecture's; see `say`.

    It raises InputError for a loss that is no longer finite.
    """

    def report(done: int, losses: list[float], scores: list[float]) -> None:
        if not np.all(np.isfinite(losses)):
            epoch = done + int(np.argmin(np.isfinite(losses))) + 1
            raise InputError(
                f"the loss is no longer finite in epoch {epoch} with learning rate {learning_rate}, expected a smaller "
                "one, or inputs scaled to a standard deviation of 1"
            )
        for number, (loss, score) in enumerate(zip(losses, scores, strict=True), done + 1):
            validated = "" if np.isnan(score) else f", validation accuracy = {100 * score:.3f}%"
            if verbose:
                say(f"{number}-th epoch: loss = {loss:.3f}{validated}")

    return report


def say(line: str) -> None:
    """Log a line with the logger "jaxmlp"; it is shown on standard error unless the program has logging of its own."""
    if not LOG.hasHandlers():
        LOG.addHandler(logging.StreamHandler())
    if LOG.level == logging.NOTSET:
        LOG.setLevel(logging.INFO)
    LOG.info(line)


def pieces(x: Any) -> Iterator[tuple[NDArray[Any], int]]:
    """Dense pieces of ``x`` for prediction, padded with zeros, and how many rows of each count.

    Each new number of rows costs a compilation; padding to powers of two keeps them few.
    """
    for first in range(0, x.shape[0], ROWS):
        part = x[first : first + ROWS]
        part = part if isinstance(part, np.ndarray) else part.toarray()
        rows = max(16, 1 << (len(part) - 1).bit_length())
        yield np.concatenate([part, np.zeros((rows - len(part), part.shape[1]), part.dtype)]), len(part)
