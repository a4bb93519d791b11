"""Training: stochastic gradient descent, compiled as a scan over updates inside a scan over epochs (lecture, step 3).

    (7)  W_l <- W_l - eta dL/dW_l,   b_l <- b_l - eta dL/db_l       eta: the learning rate
    (g)  epoch: one update (7) for each batch of the order; its loss is the mean of the losses before the updates

`optax.sgd` gives the changes ``-eta dL/dW``; other optimisers of optax give other changes. With batch size 1, the same
code uses one sample per update. Each new value of a static argument (`TrainingConfig`, the gradient function) costs a
compilation. A new value of a traced argument (`Hyperparameters`, parameters, data, orders) does not.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from numpy.typing import NDArray

from jaxmlp.checks import InputError, sizes_of
from jaxmlp.lecture.data import Dataset
from jaxmlp.lecture.entrance import check_made_for, check_training, checked_orders
from jaxmlp.lecture.gradients import automatic_gradient
from jaxmlp.lecture.losses import GradientFunction, accuracy
from jaxmlp.lecture.network import Params, forward
from jaxmlp.lecture.optimizers import Hyperparameters, TrainingConfig
from jaxmlp.lecture.randomness import lecture_orders
from jaxmlp.showing import history_line, history_page, shown

__all__ = [
    "History",
    "TrainingState",
    "initial_state",
    "train",
    "train_epoch",
    "train_epochs",
    "typed",
    "update",
]


class TrainingState(NamedTuple):
    """What training carries from update to update: parameters and the optimiser's own state."""

    params: Params
    optimizer_state: Any


@shown(history_line, history_page)
class History(NamedTuple):
    """One row per epoch, each ``[epochs]`` of the parameters' dtype.

    Attributes:
        loss: mean over samples of the loss seen before each update.
        train_accuracy: share of training rows classified correctly after the epoch, 0..1.
        test_accuracy: the same for the test rows.
    """

    loss: Array | NDArray[Any]
    train_accuracy: Array | NDArray[Any]
    test_accuracy: Array | NDArray[Any]


def initial_state(params: Params, hyperparameters: Hyperparameters, config: TrainingConfig) -> TrainingState:
    """The state before the first update."""
    return TrainingState(params, config.optimizer(hyperparameters).init(params))


def update(
    state: TrainingState,
    x: Array,
    y: Array,
    gradient_function: GradientFunction,
    optimizer: optax.GradientTransformation,
) -> tuple[TrainingState, Array]:
    """One update (7) from a batch ``x [B, n_0], y [B, n_L]`` or one sample: the new state, and the loss before it."""
    loss, gradient = gradient_function(state.params, x, y)
    changes, optimizer_state = optimizer.update(gradient, state.optimizer_state, state.params)
    params = jax.tree.map(jnp.add, state.params, changes)  # (7): W + (-eta dL/dW), and the same for b
    return TrainingState(params, optimizer_state), loss


def train_epoch(
    state: TrainingState,
    dataset: Dataset,
    order: Array,
    hyperparameters: Hyperparameters,
    config: TrainingConfig,
    gradient_function: GradientFunction,
) -> tuple[TrainingState, Array]:
    """One epoch (g), the loop that all ways of training share; to be traced.

    Arguments as `train_epochs`; ``order [n]``.

    Returns:
        The state after the epoch, and the mean over samples of the loss seen before each update.
    """
    optimizer = config.optimizer(typed(hyperparameters, state.params))
    n, size = len(order), config.batch_size
    full = n - n % size

    def batch(carry: tuple[TrainingState, Array], rows: Array) -> tuple[tuple[TrainingState, Array], None]:
        state, total = carry
        state, loss = update(state, dataset.x_train[rows], dataset.y_train[rows], gradient_function, optimizer)
        return (state, total + (loss * len(rows) if size > 1 else loss)), None

    carry = (state, jnp.zeros((), state.params[0].weights.dtype))
    # With one sample per update, x has shape [n_0], not [1, n_0]: a vmap over networks then multiplies matrices by
    # vectors. On a CPU this is twice as fast as matrices of one row.
    carry, _ = jax.lax.scan(batch, carry, order[:full].reshape(-1, size) if size > 1 else order)  # (g)
    if full < n:
        carry, _ = batch(carry, order[full:])
    state, total = carry
    return state, total / n


def typed(hyperparameters: Hyperparameters, params: Params) -> Hyperparameters:
    """The hyperparameters in the parameters' dtype: a float64 learning rate would make float32 parameters float64."""
    return jax.tree.map(lambda value: jnp.asarray(value, params[0].weights.dtype), hyperparameters)


@functools.partial(jax.jit, static_argnames=("config", "gradient_function"))
def train_epochs(
    state: TrainingState,
    dataset: Dataset,
    orders: Array,
    hyperparameters: Hyperparameters,
    config: TrainingConfig,
    gradient_function: GradientFunction,
) -> tuple[TrainingState, History]:
    """The compiled program behind `train`; it checks nothing, so that it can be traced, vmapped and called in chunks.

    Args:
        state: from `initial_state`, or from the previous chunk of epochs.
        dataset: the data, of the parameters' dtype.
        orders: integers ``[epochs, n]``: the training rows in the sequence in which each epoch visits them.
        hyperparameters: scalars.
        config: static.
        gradient_function: static.

    Returns:
        The state after the last epoch and a History of ``epochs`` rows.
    """

    def epoch(state: TrainingState, order: Array) -> tuple[TrainingState, History]:
        state, loss = train_epoch(state, dataset, order, hyperparameters, config, gradient_function)
        return state, History(
            loss,
            accuracy(forward(state.params, dataset.x_train, config.activation), dataset.labels_train),  # (h)
            accuracy(forward(state.params, dataset.x_test, config.activation), dataset.labels_test),
        )

    return jax.lax.scan(epoch, state, orders)


def train(
    params: Params,
    dataset: Dataset,
    orders: Array | None = None,
    hyperparameters: Hyperparameters | None = None,
    config: TrainingConfig | None = None,
    gradient_function: GradientFunction | None = None,
    *,
    epochs: int | None = None,
    seed: int | None = None,
) -> tuple[Params, History]:
    """Train a network in one compiled call.

    Args:
        params: initial parameters, L layers.
        dataset: checked here; of the same dtype as the parameters.
        orders: integers ``[epochs, n]``, as `LectureStream` and `KeyStream` draw them; by default the lecture's.
        hyperparameters: traced; by default the lecture's.
        config: static; by default one sample per update, sigmoid, plain SGD.
        gradient_function: any `GradientFunction`; by default the automatic one for the network of ``config``.
        epochs: number of epochs if ``orders`` are not given; by default 20.
        seed: of the default orders, 0..2**32-1; by default 0.

    Returns:
        The trained parameters and the `History`, one row per epoch.

    Raises:
        InputError: shapes, dtypes or values that disagree, named in one line.

    Source: lecture, step 3.
    """
    hyperparameters, config = hyperparameters or Hyperparameters(), config or TrainingConfig()
    if orders is not None and (epochs, seed) != (None, None):
        raise InputError(f"epochs are {epochs} and seed is {seed}, expected neither beside orders, which say both")
    epochs, seed = 20 if epochs is None else epochs, 0 if seed is None else seed
    check_training(params, dataset, hyperparameters, config, epochs)
    if orders is None:
        orders = lecture_orders(seed, sizes_of(params), epochs, len(dataset.labels_train))
    orders = checked_orders(orders, dataset)
    gradient_function = gradient_function or automatic_gradient(config.activation, config.output)
    check_made_for(gradient_function, params, dataset, config)
    state = initial_state(params, hyperparameters, config)
    state, history = train_epochs(state, dataset, orders, hyperparameters, config, gradient_function)
    return state.params, history
