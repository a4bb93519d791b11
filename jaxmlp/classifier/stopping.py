"""Fitting: epochs of `jaxmlp.training.train_epoch` until a rule stops them, in one compiled program.

The classifier runs this program for one network, its search for many side by side. What scikit-learn's MLPs have and
the lecture's training lacks goes into the data and into the gradient, so that the epoch stays the same: a sample's
weight multiplies its row of targets, the L2 penalty joins the loss.
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
from jaxmlp.losses import GradientFunction, cross_entropy
from jaxmlp.network import ActivationName, Params, forward
from jaxmlp.optimizers import Hyperparameters
from jaxmlp.training import Config, TrainingState, initial_state, train_epoch

__all__ = [
    "Numbers", "Program", "Progress", "epochs_a_call", "fit_epochs", "penalised_gradient", "run_epochs", "start",
    "training_data",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Program:
    """What fitting is compiled for, beside shapes and dtype.

    Attributes:
        config: of `train_epoch`.
        penalised: whether there is an L2 penalty.
        early_stopping: whether accuracy on validation rows, rather than the loss, decides when to stop.
        padded: whether orders may end in rows without a target, which then count for nothing.
    """

    config: Config
    penalised: bool = False
    early_stopping: bool = False
    padded: bool = False


class Numbers(NamedTuple):
    """What fitting traces: a new value compiles nothing. Scalars all, of the parameters' dtype or int32.

    Attributes:
        hyperparameters: without weight decay.
        alpha: of the L2 penalty, see `penalised_gradient`.
        tol: an improvement by less does not count.
        patience: epochs without an improvement that are borne; one more ends training.
        last_epoch: the number of epochs after which training ends.
    """

    hyperparameters: Hyperparameters
    alpha: Any
    tol: Any
    patience: Any
    last_epoch: Any


class Progress(NamedTuple):
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


Step = Callable[[Progress, Array], tuple[Progress, Array, Array]]


def penalised_gradient(
    activation: ActivationName, alpha: Any = None, masks: tuple[Array, ...] | None = None, padded: bool = False
) -> GradientFunction:
    """The gradient of the weighted cross-entropy with an L2 penalty: ``(sum_i w_i L_i + alpha/2 |W|^2) / B``.

    B is the number of the batch's samples, |W|^2 the sum of all squared weights (not biases): scikit-learn's scaling.

    Args:
        activation: of the hidden layers.
        alpha: of the penalty, traced; None leaves it out of the program.
        masks: see `jaxmlp.forward`.
        padded: whether rows of ``y`` may be zero: these count for nothing, in B neither. The loss returned, though not
            its gradient, is then divided by all rows.

    Returns:
        A `GradientFunction` for use inside a trace; its ``y [B, n_L]`` has ``w_i`` in the place of the one.
    """

    def loss(params: Params, x: Array, y: Array) -> tuple[Array, Array]:
        value = cross_entropy(forward(params, x, activation, masks), y)
        samples: Any = y.size // y.shape[-1]
        rows = present = samples
        if padded:
            present = jnp.sum(jnp.any(y > 0, axis=-1), dtype=value.dtype)
            samples = jnp.maximum(present, 1)
            value = value * (rows / samples)
        if alpha is not None:
            squares = sum(jnp.vdot(layer.weights, layer.weights) for layer in params)
            scale = jnp.minimum(present, 1) * alpha if padded else alpha
            value = value + (0.5 / samples) * scale * squares
        return value, value * (present / rows) if padded else value

    def gradient(params: Params, x: Array, y: Array) -> tuple[Array, Params]:
        (_, reported), slopes = jax.value_and_grad(loss, has_aux=True)(params, x, y)
        return reported, slopes

    return gradient


def training_data(x: NDArray[Any], labels: NDArray[Any], n_classes: int, weights: NDArray[Any]) -> Dataset:
    """Samples whose one-hot rows are multiplied by their weights; no test rows.

    Args:
        x: ``[n, n_in]``.
        labels: integers ``[n]``.
        n_classes: columns of the targets.
        weights: ``[n]``, 0 or more.
    """
    y = (labels[:, None] == np.arange(n_classes)) * weights[:, None]
    whole: Any = (x, y.astype(x.dtype), labels.astype(np.int32))
    return Dataset(*whole, *(part[:0] for part in whole))


def start(params: Params, numbers: Numbers, program: Program) -> Progress:
    """Before the first epoch."""
    dtype = params[0].weights.dtype
    zero = jnp.zeros((), jnp.int32)
    state = initial_state(params, numbers.hyperparameters, program.config)
    kept = params if program.early_stopping else ()
    return Progress(state, kept, jnp.full((), jnp.inf, dtype), zero, zero, jnp.ones((), bool))


def _validation_accuracy(params: Params, data: Dataset, rows: Array, program: Program) -> Array:
    """Share of the weight of ``rows`` that is classified correctly."""
    y = data.y_train[rows]
    predicted = jnp.argmax(forward(params, data.x_train[rows], program.config.activation), axis=-1)
    right = jnp.take_along_axis(y, predicted[:, None], axis=-1)
    return jnp.sum(right) / jnp.sum(y)


def one_epoch(
    progress: Progress, order: Array, data: Dataset, validation: Array, numbers: Numbers, samples: Any,
    masks: tuple[Array, ...] | None, program: Program,
) -> tuple[Progress, Array, Array]:  # fmt: skip
    """One epoch, and whether to go on; of a network that has stopped, nothing changes. To be traced.

    Args:
        progress: so far.
        order: ``[n]``, the training rows in sequence.
        data: see `training_data`.
        validation: ``[n_validation]``, rows of ``data``; none without early stopping.
        numbers: scalars.
        samples: how many rows of ``order`` are samples; used where the program is padded.
        masks: see `jaxmlp.forward`.
        program: static.

    Returns:
        The new Progress, the epoch's loss, its validation accuracy (NaN without early stopping).
    """
    gradient = penalised_gradient(
        program.config.activation, numbers.alpha if program.penalised else None, masks, program.padded
    )
    state, loss = train_epoch(progress.state, data, order, numbers.hyperparameters, program.config, gradient)
    if program.padded:
        loss = loss * (len(order) / samples)
    score = jnp.full_like(loss, jnp.nan)
    if program.early_stopping:
        score = _validation_accuracy(state.params, data, validation, program)
    value = -score if program.early_stopping else loss
    better = value < progress.best
    stale = jnp.where(value > progress.best - numbers.tol, progress.stale + 1, 0)
    epoch = progress.epoch + 1
    going = jnp.isfinite(loss) & (stale <= numbers.patience) & (epoch < numbers.last_epoch)
    kept = jax.tree.map(lambda new, old: jnp.where(better, new, old), state.params, progress.kept or state.params)
    new = Progress(
        state, kept if program.early_stopping else (), jnp.where(better, value, progress.best), stale, epoch, going
    )
    return jax.tree.map(lambda new, old: jnp.where(progress.running, new, old), new, progress), loss, score


def run_epochs(progress: Progress, orders: Array, step: Step) -> tuple[Progress, Array, Array]:
    """Epochs until the orders end or every network has stopped: the loop around `one_epoch`, to be traced.

    Args:
        progress: of one network, or of many side by side: leaves ``[B, ...]``.
        orders: ``[epochs, n]``.
        step: `one_epoch` of progress and an order.

    Returns:
        Progress, losses and validation accuracies ``[epochs, ...]``; rows of epochs not trained are to be ignored.
    """

    def on(carry: tuple[Array, Progress, Array, Array]) -> Array:
        return (carry[0] < len(orders)) & jnp.any(carry[1].running)

    def epoch(carry: tuple[Array, Progress, Array, Array]) -> tuple[Array, Progress, Array, Array]:
        number, progress, losses, scores = carry
        progress, loss, score = step(progress, orders[number])
        return number + 1, progress, losses.at[number].set(loss), scores.at[number].set(score)

    rows = jnp.full((len(orders), *progress.best.shape), jnp.nan, progress.best.dtype)
    return jax.lax.while_loop(on, epoch, (jnp.zeros((), jnp.int32), progress, rows, rows))[1:]


@functools.partial(jax.jit, static_argnames=("program",))
def fit_epochs(
    progress: Progress, orders: Array, data: Dataset, validation: Array, numbers: Numbers, program: Program
) -> tuple[Progress, Array, Array]:
    """`run_epochs` of one network, compiled; arguments as `one_epoch`, ``orders [epochs, n]``."""

    def step(progress: Progress, order: Array) -> tuple[Progress, Array, Array]:
        return one_epoch(progress, order, data, validation, numbers, len(order), None, program)

    return run_epochs(progress, orders, step)


def epochs_a_call(samples: int, parameters: int) -> int:
    """How many epochs a compiled call trains at most, 1 to 100: a function of shapes alone, some 0.05 s of work."""
    return min(100, max(1, 10**8 // (samples * parameters)))
