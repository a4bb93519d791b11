"""What the engine does with a block of fits: `FitJob`, and the arrays that it works on."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh, PartitionSpec

from jaxmlp import engine
from jaxmlp.classifier.stopping import FitConfig, FitHyperparameters, FitState, after_epoch, run_epochs, score_of, start
from jaxmlp.lecture.data import Dataset
from jaxmlp.lecture.network import Params, forward

__all__ = ["FitJob", "Given", "Table", "start_block"]


class Table(NamedTuple):
    """The data of all fits, once on each device; the last row of each array is padding.

    Attributes:
        x: ``[V, n + 1, n_in]``, V the number of folds where each sees its own inputs, else 1.
        y: targets ``[n + 1, n_L]``.
        weights: ``[n + 1]``, of the samples when scored; 0 for padding.
    """

    x: Any
    y: Any
    weights: Any


class Given(NamedTuple):
    """What the fits of a block train with; NumPy's or JAX's arrays.

    Attributes:
        hyperparameters: leaves ``[G, B]``.
        masks: as in `jaxmlp.engine.LaneHyperparameters`.
        weights: ``[G, n + 1]``, of the samples; 0 outside the fold's training rows.
        validation: ``[G, V]``, rows for early stopping, filled up with n.
        samples: ``[G]``, how many rows of an order are samples.
        test: ``[G, R]``, the fold's test rows, filled up with n.
        view: ``[G]``, which of the inputs the fold sees.
    """

    hyperparameters: FitHyperparameters
    masks: tuple[Array, ...]
    weights: Any
    validation: Any
    samples: Any
    test: Any
    view: Any


@dataclasses.dataclass(frozen=True)
class FitJob:
    """Up to K epochs of each fit: a `jaxmlp.engine.Job` with FitState, Given, orders ``[G, K, n]`` and a Table.

    What is seen are losses ``[G, K, B]`` and the scores of the test rows ``[G, B]``.
    """

    config: FitConfig
    interleaved: bool

    def begin(
        self, lanes: FitState, given: Given, orders: Array, shared: Table, on_cpu: bool
    ) -> tuple[engine.Step, tuple[Array, Array]]:
        """See `jaxmlp.engine.Job`."""
        del given, on_cpu
        config, dtype = self.config, shared.x.dtype

        def step(_: Array, fit: FitState, given: Given, orders: Array) -> tuple[FitState, tuple[Array, Array]]:
            x = shared.x[given.view] if len(shared.x) > 1 else shared.x[0]
            y, none = jnp.concatenate([shared.y, given.weights[:, None]], axis=1), jnp.zeros(0, jnp.int32)
            data = Dataset(x, y, none, x[:0], y[:0], none)
            numbers = given.hyperparameters
            alpha = numbers.alpha if config.penalised else None
            settings = engine.LaneHyperparameters(numbers.hyperparameters, given.masks, alpha)

            def epoch(fit: FitState, order: Array) -> tuple[FitState, Array, Array]:
                state, loss = engine.train_group(
                    fit.state, settings, order, data, config.training, self.interleaved, True, config.padded
                )
                loss = loss * (len(order) / given.samples) if config.padded else loss
                rule = functools.partial(after_epoch, data=data, validation=given.validation, config=config)
                return jax.vmap(lambda *of: rule(*of[:3], given=of[3]))(fit, state, loss, numbers)

            def score(params: Params) -> Array:  # padded hidden units have weights of zero: no mask is needed
                logits = forward(params, x[given.test], config.training.activation)
                return score_of(config.training.output, logits, shared.y[given.test], shared.weights[given.test])

            fit, losses, _ = run_epochs(fit, orders, epoch)
            return fit, (losses, jax.vmap(score)(fit.kept or fit.state.params))

        groups, size = lanes.running.shape
        return step, (jnp.full((groups, orders.shape[1], size), jnp.nan, dtype), jnp.zeros((groups, size), dtype))


@functools.partial(jax.jit, static_argnames=("config", "mesh"))
def start_block(params: Params, given: FitHyperparameters, running: Array, config: FitConfig, mesh: Mesh) -> FitState:
    """Before the first epoch: leaves ``[G, B, ...]``; lanes that are not ``running`` are inert."""

    def body(params: Params, given: FitHyperparameters, running: Array) -> FitState:
        return jax.vmap(jax.vmap(functools.partial(start, config=config)))(params, given)._replace(running=running)

    split = PartitionSpec("devices")
    sharded = jax.shard_map(body, mesh=mesh, in_specs=split, out_specs=split, check_vma=False)
    return sharded(params, given, running)
