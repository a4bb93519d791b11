"""Fitting: epochs until a rule stops them, in one compiled program.

The classifier runs this program for one network, its search for many side by side. What scikit-learn's networks have
and the lecture's lack goes into the data and into the gradient, so that the update stays the same: a sample's weight
is the last column of its row of targets, the L2 penalty joins the loss.

A new number of samples compiles nothing as long as the arrays have the same shapes: they are filled up to a few sizes
(`row_count`) with rows of weight 0, how many samples there are is traced, and an epoch ends when they end.
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

from jaxmlp.engine import penalised_gradient
from jaxmlp.lecture.data import Dataset
from jaxmlp.lecture.network import Params, forward
from jaxmlp.lecture.optimizers import Hyperparameters, TrainingConfig
from jaxmlp.lecture.training import TrainingState, initial_state, typed, update

__all__ = [
    "FitConfig", "FitHyperparameters", "FitState", "after_epoch", "epochs_per_call", "fit_epochs", "row_count",
    "run_epochs", "score_of", "start", "training_data",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """What fitting is compiled for, beside shapes and dtype.

    Attributes:
        training: for `train_epoch`.
        penalised: whether there is an L2 penalty.
        early_stopping: whether the score on validation rows, rather than the loss, decides when to stop.
        padded: whether orders may end in rows whose weight is zero (padding), which train nothing.
    """

    training: TrainingConfig
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
        best: the lowest loss so far, or the highest validation score with its sign changed.
        stale: int32, epochs since the last improvement.
        epoch: int32, epochs done.
        running: whether training continues.
    """

    state: TrainingState
    kept: Any
    best: Array
    stale: Array
    epoch: Array
    running: Array


def training_data(x: NDArray[Any], values: NDArray[Any], weights: NDArray[Any], rows: int) -> Dataset:
    """Samples ``x [n, n_in]`` with targets ``values [n, n_L]`` and, as their last column, ``weights [n]``.

    Filled up with zeros to ``rows`` rows; without test rows, and without labels.
    """
    y = np.concatenate([values, weights[:, None]], axis=1).astype(x.dtype)
    whole: Any = [np.concatenate([part, np.zeros((rows - len(x), part.shape[1]), x.dtype)]) for part in (x, y)]
    whole.append(np.zeros(rows, np.int32))
    return Dataset(*whole, *(part[:0] for part in whole))


def row_count(n: int, row_bytes: int) -> int:
    """The number of rows that ``n`` are filled up to: 256, 1024, 4096 up to 2 MB, else a quarter of a power of two."""
    rows = 256
    while rows < n:
        rows *= 4
    step = 1 << max(0, (n - 1).bit_length() - 3)
    return rows if rows <= 4096 and rows * row_bytes <= 2**21 else -(-n // step) * step


@functools.partial(jax.jit, static_argnames="config")  # one program, where each array would cost one
def start(params: Params, given: FitHyperparameters, config: FitConfig) -> FitState:
    """Before the first epoch."""
    dtype = params[0].weights.dtype
    zero = jnp.zeros((), jnp.int32)
    state = initial_state(params, given.hyperparameters, config.training)
    kept = params if config.early_stopping else ()
    return FitState(state, kept, jnp.full((), jnp.inf, dtype), zero, zero, jnp.ones((), bool))


def score_of(output: str, logits: Array, y: Array, weights: Array) -> Array:
    """The score of outputs: a share of the samples' weight, or R2 (as scikit-learn's ``score``); to be traced.

    Args:
        output: "softmax": the share of samples whose largest output is their class; "sigmoid": of those whose labels
            are all right; "identity": R2, the mean over the outputs.
        logits: ``[n, n_L]``.
        y: targets ``[n, n_L]``.
        weights: ``[n]``; 0 for padding.
    """
    total = jnp.sum(weights)
    if output == "identity":
        mean = weights @ y / total
        rest, spread = weights @ (y - logits) ** 2, weights @ (y - mean) ** 2
        ratio = rest / jnp.where(spread > 0, spread, 1)
        return jnp.mean(jnp.where(spread > 0, 1 - ratio, jnp.where(rest > 0, 0.0, 1.0).astype(ratio.dtype)))
    if output == "softmax":
        right = jnp.argmax(logits, axis=-1) == jnp.argmax(y, axis=-1)
    else:
        right = jnp.all((logits > 0) == (y > 0), axis=-1)
    return jnp.sum(jnp.where(right, weights, 0)) / total


def after_epoch(
    fit: FitState,
    state: TrainingState,
    loss: Array,
    data: Dataset,
    validation: Array,
    given: FitHyperparameters,
    config: FitConfig,
) -> tuple[FitState, Array, Array]:
    """The stopping rule of one network: whether training continues after an epoch; to be traced.

    Args:
        fit: before the epoch; where it has stopped, nothing changes.
        state: after the epoch.
        loss: of the epoch, penalty included.
        data: see `training_data`.
        validation: ``[n_validation]``, rows of ``data`` to choose by, padding included; none without early stopping.
        given: traced settings.
        config: static settings.

    Returns:
        The new FitState, the loss, and the validation score (NaN without early stopping).
    """
    score = jnp.full_like(loss, jnp.nan)
    if config.early_stopping:
        logits, y = (
            forward(state.params, data.x_train[validation], config.training.activation),
            data.y_train[validation],
        )
        score = score_of(config.training.output, logits, y[:, :-1], y[:, -1])
        score = jnp.where(jnp.all(jnp.isfinite(logits)), score, jnp.nan)
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
        FitState, losses and validation scores ``[epochs, ...]``; rows of epochs not trained are to be ignored.
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
    fit: FitState,
    orders: Array,
    samples: Array,
    data: Dataset,
    validation: Array,
    given: FitHyperparameters,
    config: FitConfig,
) -> tuple[FitState, Array, Array]:
    """`run_epochs` of one network, compiled.

    Args:
        fit: see FitState.
        orders: ``[epochs, N]``: the ``samples`` rows in their order, then padding up to a whole number of batches.
        samples: int32, traced.
        data: see `training_data`.
        validation: as `after_epoch`, with the next ones.
        given: traced settings.
        config: static settings.
    """
    size, training = config.training.batch_size, config.training
    alpha = given.alpha if config.penalised else None
    optimizer = training.optimizer(typed(given.hyperparameters, fit.state.params))

    def epoch(fit: FitState, order: Array) -> tuple[FitState, Array, Array]:
        # On a CPU XLA divides a gather from a large array among threads, which takes longer than a small gather: short
        # rows are gathered once per epoch.
        once = size > 1 and data.x_train[0].nbytes <= 1024
        rows = (data.x_train[order], data.y_train[order]) if once else order

        def batch(number: Array, carry: tuple[TrainingState, Array]) -> tuple[TrainingState, Array]:
            own = jax.tree.map(lambda whole: jax.lax.dynamic_slice_in_dim(whole, number * size, size), rows)
            own = own if size > 1 else own[0]
            x, y = own if once else (data.x_train[own], data.y_train[own])
            count = jnp.minimum(size, samples - number * size) if size > 1 else None
            gradient = penalised_gradient(training.activation, alpha, True, output=training.output, count=count)
            state, loss = update(carry[0], x, y, gradient, optimizer)
            return state, carry[1] + (loss if count is None else loss * count.astype(loss.dtype))

        carry = fit.state, jnp.zeros((), data.x_train.dtype)
        state, total = jax.lax.fori_loop(0, (samples + size - 1) // size, batch, carry)
        return after_epoch(fit, state, total / samples.astype(total.dtype), data, validation, given, config)

    return run_epochs(fit, orders, epoch)


def epochs_per_call(rows: int, parameters: int) -> int:
    """How many epochs a compiled call trains at most, 1 to 100: a function of shapes alone, some 0.1 s of work."""
    return min(100, max(1, 2 * 10**8 // (rows * parameters)))
