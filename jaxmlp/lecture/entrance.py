"""What `train` checks before it computes: each raises InputError, naming the value and what was expected."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmlp.checks import InputError, check_held, check_kind, check_orders, check_whole, sizes_of
from jaxmlp.entrance import check_dataset, check_gradient_function
from jaxmlp.lecture.backprop import HandDerivedGradient
from jaxmlp.lecture.data import Dataset
from jaxmlp.lecture.gradients import AutomaticGradient
from jaxmlp.lecture.losses import GradientFunction, output_of
from jaxmlp.lecture.network import Layer, Params, hidden_activations
from jaxmlp.lecture.optimizers import Hyperparameters, TrainingConfig, check_hyperparameters

__all__ = ["check_made_for", "check_training", "checked_orders"]


def check_training(
    params: Params, dataset: Dataset, hyperparameters: Hyperparameters, config: TrainingConfig, epochs: int
) -> None:
    """Raise InputError for anything that training cannot use; arguments as `train`."""
    check_kind("dataset", dataset, Dataset, "a Dataset, as load_digits or load_table give")
    for layer in check_kind("params", params, tuple, "a tuple of Layer"):
        check_kind("params", layer, Layer, "a tuple of Layer(weights, biases)")
    check_kind("config", config, TrainingConfig, "TrainingConfig(activation, ..)")
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


def checked_orders(orders: Any, dataset: Dataset) -> Array:
    """``orders`` as a JAX array; raises InputError unless they are integers ``[epochs, n]`` that name training rows."""
    array = jnp.asarray(check_kind("orders", orders, (Array, np.ndarray, list), "integers [epochs, n]"))
    check_orders(np.asarray(array), len(dataset.labels_train))
    return array


def check_made_for(function: GradientFunction, params: Params, dataset: Dataset, config: TrainingConfig) -> None:
    """Raise InputError for the gradient of another network, or for a person's function that cannot be compiled."""
    ours = inspect.unwrap(function)  # jax.jit wraps one of ours
    if not isinstance(ours, (HandDerivedGradient, AutomaticGradient)):
        check_gradient_function(function, params, dataset.x_train[0], dataset.y_train[0])
        return
    given, expected = ((each.output, *hidden_activations(each.activation, len(params) - 1)) for each in (ours, config))
    if given != expected:
        made_for = ours.activation, ours.output
        raise InputError(f"the gradient function is made for {made_for}, expected {config.activation, config.output}")
