"""Training: stochastic gradient descent, compiled as a scan over updates inside a scan over epochs (lecture, step 3).

    (7)  W_l <- W_l - eta dL/dW_l,   b_l <- b_l - eta dL/db_l       eta: the learning rate

`optax.sgd` gives the changes ``-eta dL/dW``; other optimisers of optax give other changes. With batch size 1, the same
code uses one sample per update. Each new value of a static argument (`Config`, the gradient function) costs a
compilation. A new value of a traced argument (`Hyperparameters`, parameters, data, orders) does not.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from numpy.typing import NDArray

from jaxmlp.checks import InputError, check_held, check_kind, check_orders, check_whole, sizes_of
from jaxmlp.data import Dataset
from jaxmlp.entrance import check_dataset, check_gradient_function
from jaxmlp.gradients import automatic_gradient
from jaxmlp.losses import GradientFunction, accuracy
from jaxmlp.network import ActivationName, Layer, Params, forward, hidden_activations, output_of
from jaxmlp.optimizers import Hyperparameters, check_hyperparameters, sgd
from jaxmlp.randomness import lecture_orders
from jaxmlp.showing import history_line, history_page, shown

__all__ = [
    "Config", "History", "Hyperparameters", "TrainingState", "check_training", "initial_state", "sgd", "train",
    "train_epoch", "train_epochs", "typed", "update",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Config:
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


def initial_state(params: Params, hyperparameters: Hyperparameters, config: Config) -> TrainingState:
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
    config: Config,
    gradient_function: GradientFunction,
) -> tuple[TrainingState, Array]:
    """One epoch, the loop that all ways of training share; to be traced. Arguments as `train_epochs`; ``order [n]``.

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
    carry, _ = jax.lax.scan(batch, carry, order[:full].reshape(-1, size) if size > 1 else order)
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
    config: Config,
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
            accuracy(forward(state.params, dataset.x_train, config.activation), dataset.labels_train),
            accuracy(forward(state.params, dataset.x_test, config.activation), dataset.labels_test),
        )

    return jax.lax.scan(epoch, state, orders)


def check_training(
    params: Params, dataset: Dataset, hyperparameters: Hyperparameters, config: Config, epochs: int
) -> None:
    """Raise InputError, naming the value and what was expected, for anything that training cannot use."""
    check_kind("dataset", dataset, Dataset, "a Dataset, as load_digits or load_table give")
    for layer in check_kind("params", params, tuple, "a tuple of Layer"):
        check_kind("params", layer, Layer, "a tuple of Layer(weights, biases)")
    check_kind("config", config, Config, "Config(activation, ..)")
    check_kind("optimizer", config.optimizer, Callable, "a function such as OPTIMIZERS['adam']")
    check_dataset(dataset)
    check_hyperparameters(hyperparameters)
    check_held("learning rate", hyperparameters.learning_rate, dataset.x_train.dtype)
    check_whole("epochs", epochs, 1)
    n = len(dataset.labels_train)
    if not 1 <= config.batch_size <= n:
        raise InputError(f"batch size is {config.batch_size}, expected 1..{n}, the number of training samples")
    sizes, ends = sizes_of(params), (dataset.x_train.shape[1], dataset.y_train.shape[1])
    if (sizes[0], sizes[-1]) != ends:
        raise InputError(f"network {sizes} for data with {ends[0]} inputs and {ends[1]} classes")
    hidden_activations(config.activation, len(params) - 1)
    output_of(config.output)
    for leaf in jax.tree.leaves(params):
        if leaf.dtype != dataset.x_train.dtype:
            raise InputError(f"parameters are {leaf.dtype}, expected {dataset.x_train.dtype} as the data")


def train(
    params: Params,
    dataset: Dataset,
    orders: Array | None = None,
    hyperparameters: Hyperparameters | None = None,
    config: Config | None = None,
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
    hyperparameters, config = hyperparameters or Hyperparameters(), config or Config()
    if orders is not None and (epochs, seed) != (None, None):
        raise InputError(f"epochs are {epochs} and seed is {seed}, expected neither beside orders, which say both")
    epochs = 20 if epochs is None else epochs
    check_training(params, dataset, hyperparameters, config, epochs)
    if orders is None:
        orders = lecture_orders(0 if seed is None else seed, sizes_of(params), epochs, len(dataset.labels_train))
    orders = jnp.asarray(check_kind("orders", orders, (Array, np.ndarray, list), "integers [epochs, n]"))
    check_orders(np.asarray(orders), len(dataset.labels_train))
    network = (config.output, *hidden_activations(config.activation, len(params) - 1))
    gradient_function = gradient_function or automatic_gradient(config.activation, config.output)
    if (made_for := getattr(gradient_function, "network", None)) is None:  # the user's own function
        check_gradient_function(gradient_function, params, dataset.x_train[0], dataset.y_train[0])
    elif (made_for[1], *hidden_activations(made_for[0], len(params) - 1)) != network:
        raise InputError(f"the gradient function is made for {made_for}, expected {config.activation, config.output}")
    state = initial_state(params, hyperparameters, config)
    state, history = train_epochs(state, dataset, orders, hyperparameters, config, gradient_function)
    return state.params, history
