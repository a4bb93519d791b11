"""Fitting: epochs until a rule stops them, in one compiled program.

The classifier runs this program for one network, its search for many side by side. What scikit-learn's networks have
and the lecture's lack goes into the data and into the gradient, so that the epoch stays the same: a sample's weight
multiplies its row of targets, the L2 penalty joins the loss.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from jaxmlp.data import Dataset
from jaxmlp.engine import penalised_gradient
from jaxmlp.network import Params, forward
from jaxmlp.optimizers import Hyperparameters
from jaxmlp.training import Config, TrainingState, initial_state, train_epoch

__all__ = [
    "FitConfig", "FitHyperparameters", "FitState", "after_epoch", "epochs_per_call", "fit_epochs", "run_epochs",
    "start", "training_data",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """What fitting is compiled for, beside shapes and dtype.

    Attributes:
        training: for `train_epoch`.
        penalised: whether there is an L2 penalty.
        early_stopping: whether accuracy on validation rows, rather than the loss, decides when to stop.
        padded: whether orders may end in rows whose targets are all zero (padding), which train nothing.
    """

    training: Config
    penalised: bool = False
    early_stopping: bool = False
    padded: bool = False


class FitHyperparameters(NamedTuple):
    """What fitting traces: a new value compiles nothing. All are scalars, of the parameters' dtype or int32.

    Attributes:
        hyperparameters: without weight decay.
        alpha: of the L2 penalty, see `jaxmlp.engine.penalised_gradient`.
        tol: an improvement by less does not count.
        patience: training stops after more than this many epochs without improvement.
        last_epoch: the number of epochs after which training ends.
    """

    hyperparameters: Hyperparameters
    alpha: Any
    tol: Any
    patience: Any
    last_epoch: Any


class FitState(NamedTuple):
    """How far fitting has come.

    Attributes:
        state: parameters and the optimiser's state.
        kept: the parameters of the best epoch by validation; without early stopping ``()``.
        best: the lowest loss so far, or the highest validation accuracy with its sign changed.
        stale: int32, epochs since the last improvement.
        epoch: int32, epochs done.
        running: whether to go on.
    """

    state: TrainingState
    kept: Any
    best: Array
    stale: Array
    epoch: Array
    running: Array


def training_data(x: NDArray[Any], labels: NDArray[Any], n_classes: int, weights: NDArray[Any]) -> Dataset:
    """Samples ``x [n, n_in]`` with integer ``labels [n]``, their one-hot rows times ``weights [n]``; no test rows."""
    y = (labels[:, None] == np.arange(n_classes)) * weights[:, None]
    whole: Any = (x, y.astype(x.dtype), labels.astype(np.int32))
    return Dataset(*whole, *(part[:0] for part in whole))


def start(params: Params, given: FitHyperparameters, config: FitConfig) -> FitState:
    """Before the first epoch."""
    dtype = params[0].weights.dtype
    zero = jnp.zeros((), jnp.int32)
    state = initial_state(params, given.hyperparameters, config.training)
    kept = params if config.early_stopping else ()
    return FitState(state, kept, jnp.full((), jnp.inf, dtype), zero, zero, jnp.ones((), bool))


def _validation_accuracy(params: Params, data: Dataset, rows: Array, config: FitConfig) -> Array:
    """Share of the weight of ``rows`` that is classified correctly."""
    y = data.y_train[rows]
    predicted = jnp.argmax(forward(params, data.x_train[rows], config.training.activation), axis=-1)
    right = jnp.take_along_axis(y, predicted[:, None], axis=-1)
    return jnp.sum(right) / jnp.sum(y)


def after_epoch(
    fit: FitState, state: TrainingState, loss: Array, data: Dataset, validation: Array, given: FitHyperparameters,
    config: FitConfig,
) -> tuple[FitState, Array, Array]:  # fmt: skip
    """The stopping rule of one network: whether to go on after an epoch; to be traced.

    Args:
        fit: before the epoch; where it has stopped, nothing changes.
        state: after the epoch.
        loss: of the epoch, penalty included.
        data: see `training_data`.
        validation: ``[n_validation]``, rows of ``data`` to choose by; none without early stopping.
        given: traced settings.
        config: static settings.

    Returns:
        The new FitState, the loss, and the validation accuracy (NaN without early stopping).
    """
    score = jnp.full_like(loss, jnp.nan)
    if config.early_stopping:
        score = _validation_accuracy(state.params, data, validation, config)
    value = -score if config.early_stopping else loss
    better = value < fit.best
    stale = jnp.where(value > fit.best - given.tol, fit.stale + 1, 0)
    epoch = fit.epoch + 1
    going = jnp.isfinite(loss) & (stale <= given.patience) & (epoch < given.last_epoch)
    kept = jax.tree.map(lambda new, old: jnp.where(better, new, old), state.params, fit.kept or state.params)
    new = FitState(
        state, kept if config.early_stopping else (), jnp.where(better, value, fit.best), stale, epoch, going
    )
    return jax.tree.map(lambda new, old: jnp.where(fit.running, new, old), new, fit), loss, score


def run_epochs(
    fit: FitState, orders: Array, epoch: Callable[[FitState, Array], tuple[FitState, Array, Array]]
) -> tuple[FitState, Array, Array]:
    """Epochs until the orders end or every network has stopped; to be traced.

    Args:
        fit: of one network, or of many side by side: leaves ``[B, ...]``.
        orders: ``[epochs, n]``.
        epoch: trains one epoch in an order ``[n]`` and ends as `after_epoch`.

    Returns:
        FitState, losses and validation accuracies ``[epochs, ...]``; rows of epochs not trained are to be ignored.
    """

    def on(carry: tuple[Array, FitState, Array, Array]) -> Array:
        return (carry[0] < len(orders)) & jnp.any(carry[1].running)

    def turn(carry: tuple[Array, FitState, Array, Array]) -> tuple[Array, FitState, Array, Array]:
        number, fit, losses, scores = carry
        fit, loss, score = epoch(fit, orders[number])
        return number + 1, fit, losses.at[number].set(loss), scores.at[number].set(score)

    rows = jnp.full((len(orders), *fit.best.shape), jnp.nan, fit.best.dtype)
    return jax.lax.while_loop(on, turn, (jnp.zeros((), jnp.int32), fit, rows, rows))[1:]


@functools.partial(jax.jit, static_argnames=("config",))
def fit_epochs(
    fit: FitState, orders: Array, data: Dataset, validation: Array, given: FitHyperparameters, config: FitConfig
) -> tuple[FitState, Array, Array]:
    """`run_epochs` of one network, compiled; arguments as `after_epoch`, ``orders [epochs, n]``."""
    gradient = penalised_gradient(config.training.activation, given.alpha if config.penalised else None)

    def epoch(fit: FitState, order: Array) -> tuple[FitState, Array, Array]:
        state, loss = train_epoch(fit.state, data, order, given.hyperparameters, config.training, gradient)
        return after_epoch(fit, state, loss, data, validation, given, config)

    return run_epochs(fit, orders, epoch)


def epochs_per_call(samples: int, parameters: int) -> int:
    """How many epochs a compiled call trains at most, 1 to 100: a function of shapes alone, some 0.05 s of work."""
    return min(100, max(1, 10**8 // (samples * parameters)))
