"""What is measured of a group of lanes after an epoch: loss and accuracy on whole sets of rows.

Samples stand in columns here. A table with one row per sample would loop over ten classes, which do not fill the CPU's
vectors evenly; over samples in columns every loop runs over whole vectors, and measuring takes half the time.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.engine import masked
from jaxmlp.lecture.network import Activations, Params
from jaxmlp.sweep.blocks.held_out import Data
from jaxmlp.sweep.blocks.job import numbered

__all__ = ["Columns", "Evaluation", "Measures", "columns", "measure", "scores"]


class Measures(NamedTuple):
    """Measures of one epoch, each ``[G, B]``; accuracies are shares 0..1; NaN where nothing was measured.

    Attributes:
        loss: mean over the training rows of the loss seen before each update.
        validation_loss: after the epoch.
        validation_accuracy: after the epoch.
        train_accuracy: after the last epoch only.
        test_accuracy: after the last epoch only.
        alive: whether the trial is still finite.
    """

    loss: Array
    validation_loss: Array
    validation_accuracy: Array
    train_accuracy: Array
    test_accuracy: Array
    alive: Array


class Columns(NamedTuple):
    """Three sets of samples, each as ``x [n_in, n]`` and ``labels [n]``."""

    train: tuple[Array, Array]
    validation: tuple[Array, Array]
    test: tuple[Array, Array]


def columns(data: Data) -> Columns:
    """The rows of ``data`` as columns."""
    dataset, rows = data
    train, test = (dataset.x_train.T, dataset.labels_train), (dataset.x_test.T, dataset.labels_test)
    return Columns(train, (rows.x.T, rows.labels), test)


def measure(
    params: Params,
    masks: tuple[Array, ...],
    loss: Array,
    alive: Array,
    samples: Columns,
    last: Array,
    activation: Activations,
) -> Measures:
    """The measures of a group; leaves of ``params`` and ``masks`` are ``[B, ...]``, ``loss`` and ``alive`` ``[B]``.

    ``last``: whether to measure training and test accuracy, a traced boolean.
    """

    def scored(rows: tuple[Array, Array]) -> tuple[Array, Array]:
        def lane(params: Params, masks: tuple[Array, ...]) -> tuple[Array, Array]:
            return scores(_logits(params, masks, rows[0], activation), rows[1])

        return jax.vmap(lane)(params, masks)

    nothing = jnp.full_like(loss, jnp.nan)
    validation_loss, validation_accuracy = scored(samples.validation) if samples.validation[1].size else (nothing,) * 2
    train_accuracy, test_accuracy = jax.lax.cond(
        last, lambda: (scored(samples.train)[1], scored(samples.test)[1]), lambda: (nothing, nothing)
    )
    return Measures(loss, validation_loss, validation_accuracy, train_accuracy, test_accuracy, alive)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What measures the trials of a sweep after an epoch. A `jaxmlp.engine.Job`.

    There are no lanes and no orders. What is given are the parameters, masks, losses and who is alive, as in `measure`;
    shared are a `Data`, a boolean: whether to measure training and test accuracy, and the activation's number in
    `ACTIVATIONS`. What is seen are `Measures`.

    Attributes:
        activation: of the hidden layers; None for the one whose number is shared.
    """

    activation: str | None

    def begin(
        self, lanes: tuple[()], given: Any, orders: None, shared: tuple[Data, Array, Array], on_cpu: bool
    ) -> tuple[Callable[..., tuple[tuple[()], Measures]], Measures]:
        """See `jaxmlp.engine.Job`."""
        del lanes, orders, on_cpu
        (data, last, chosen), (_, _, losses, lives) = shared, given
        samples, phi = columns(data), self.activation or numbered(chosen)

        def step(number: Array, own: tuple[()], given: Any, order: None) -> tuple[tuple[()], Measures]:
            del number, order
            params, masks, loss, alive = given
            return own, measure(params, masks, loss, alive, samples, last, phi)

        nothing = jnp.full_like(losses, jnp.nan)
        return step, Measures(nothing, nothing, nothing, nothing, nothing, lives)


def _logits(params: Params, masks: tuple[Array, ...], x: Array, activation: Activations) -> Array:
    """`jaxmlp.forward` for samples in columns: ``x [n_0, n]`` gives logits ``[n_L, n]``."""
    h = x
    for layer, phi in zip(params, masked(activation, [mask[:, None] for mask in masks]), strict=False):
        h = phi.value(layer.weights @ h + layer.biases[:, None])
    return params[-1].weights @ h + params[-1].biases[:, None]


def scores(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Mean cross-entropy and accuracy of ``logits [n_classes, n]`` for ``labels [n]``: two scalars.

    As `lecture.cross_entropy` of one-hot labels and `lecture.accuracy`: where several logits are the largest, the first
    counts; a column with a NaN is wrong. Loops over the classes, as XLA's reduction over rows would not be vectorised.
    """
    classes, n = logits.shape

    def largest(k: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        top, own = carry
        return jnp.maximum(top, logits[k]), jnp.where(labels == k, logits[k], own)

    def compared(k: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        total, right = carry
        g = logits[k]
        return total + jnp.exp(g - top), right & ((own > g) | ((own == g) & (labels <= k)))

    top, own = jax.lax.fori_loop(0, classes, largest, (logits[0], logits[0]))
    start = jnp.zeros_like(top), jnp.ones(n, bool)
    total, right = jax.lax.fori_loop(0, classes, compared, start)
    return jnp.mean(jnp.log(total) - (own - top)), jnp.mean(right, dtype=logits.dtype)
