"""The search's fits in the engine's blocks: laid out, trained together, and read as one network each.

A group is up to B fits with the same fold, seed and widths, which share the order of their samples.
"""

import copy
import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, PartitionSpec
from numpy.typing import NDArray

from jaxmlp import engine, runtime
from jaxmlp.classifier.one_fit import hyperparameters_of
from jaxmlp.classifier.search.fits import Fit, Folds, Samples, common_config, programs
from jaxmlp.classifier.stopping import FitConfig, FitHyperparameters, FitState, after_epoch, run_epochs, start
from jaxmlp.data import Dataset
from jaxmlp.engine import layout
from jaxmlp.network import Params, forward, sizes_of
from jaxmlp.optimizers import OPTIMIZERS
from jaxmlp.randomness import LectureStream

__all__ = ["FitOutcome", "train_fits"]


class FitOutcome(NamedTuple):
    """What became of a fit: its parameters (NumPy's), epochs done, whether the loss or a parameter was not finite.

    ``test_accuracy`` is the share of the fold's test rows classified correctly; ``seconds`` the time of its block,
    divided evenly between the block's fits.
    """

    fit: Fit
    params: Params
    epochs: int
    diverged: bool
    test_accuracy: float
    seconds: float


class Table(NamedTuple):
    """The data of all fits, once on each device: ``x [n + 1, n_in]``, ``labels [n + 1]``; the last row is padding."""

    x: Any
    labels: Any


class Given(NamedTuple):
    """What the fits of a block train with; NumPy's or JAX's arrays.

    Attributes:
        hyperparameters: leaves ``[G, B]``.
        masks: as in `jaxmlp.engine.Settings`.
        weights: ``[G, n + 1]``, of the samples; 0 outside the fold's training rows.
        validation: ``[G, V]``, rows for early stopping, filled up with n.
        samples: ``[G]``, how many rows of an order are samples.
        test: ``[G, R]``, the fold's test rows, filled up with n.
    """

    hyperparameters: FitHyperparameters
    masks: tuple[Array, ...]
    weights: Any
    validation: Any
    samples: Any
    test: Any


@dataclasses.dataclass(frozen=True)
class FitJob:
    """Up to K epochs of each fit: a `jaxmlp.engine.Job` with FitState, Given, orders ``[G, K, n]`` and a Table.

    What is seen are losses ``[G, K, B]`` and the share of the test rows classified correctly ``[G, B]``.
    """

    config: FitConfig
    classes: int
    interleaved: bool

    def begin(
        self, lanes: FitState, given: Given, orders: Array, shared: Table, on_cpu: bool
    ) -> tuple[engine.Step, tuple[Array, Array]]:
        """See `jaxmlp.engine.Job`."""
        del given, on_cpu
        config, dtype, (x, labels) = self.config, shared.x.dtype, shared

        def step(_: Array, fit: FitState, given: Given, orders: Array) -> tuple[FitState, tuple[Array, Array]]:
            y = jax.nn.one_hot(labels, self.classes, dtype=dtype) * given.weights[:, None]
            data = Dataset(x, y, labels, x[:0], y[:0], labels[:0])
            numbers = given.hyperparameters
            alpha = numbers.alpha if config.penalised else None
            settings = engine.Settings(numbers.hyperparameters, given.masks, alpha)

            def epoch(fit: FitState, order: Array) -> tuple[FitState, Array, Array]:
                state, loss = engine.train_group(
                    fit.state, settings, order, data, config.training, self.interleaved, True, config.padded
                )
                loss = loss * (len(order) / given.samples) if config.padded else loss
                rule = functools.partial(after_epoch, data=data, validation=given.validation, config=config)
                return jax.vmap(lambda *of: rule(*of[:3], given=of[3]))(fit, state, loss, numbers)

            def correct(params: Params) -> Array:  # padded hidden units have weights of zero: no mask is needed
                logits, there = forward(params, x[given.test], config.training.activation), given.test < len(labels) - 1
                right = (jnp.argmax(logits, axis=-1) == labels[given.test]) & there
                return jnp.sum(right, dtype=dtype) / jnp.sum(there, dtype=dtype)

            fit, losses, _ = run_epochs(fit, orders, epoch)
            return fit, (losses, jax.vmap(correct)(fit.kept or fit.state.params))

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


def train_fits(
    made: Sequence[Fit], samples: Samples, folds: Folds, device: str, report: Callable[[int, int], None]
) -> list[FitOutcome]:
    """A FitOutcome for each fit, in their order; those of one depth, program and number of updates train together.

    Args:
        made: from `fits`, within `jaxmlp.runtime.computing`, like this.
        samples: all rows.
        folds: training and test rows.
        device: "cpu", "gpu" or "auto"; all of that kind are used.
        report: called after each block with the number of fits done, and of all.
    """
    mesh = layout.device_mesh(jax.local_devices(backend=None if device == "auto" else device))
    x, labels = (np.concatenate([part, np.zeros_like(part[:1])]) for part in samples[:2])
    table = jax.device_put(Table(x, labels.astype(np.int32)), layout.shardings(mesh)[1])
    outcomes: dict[tuple[int, int], FitOutcome] = {}
    for members in programs(made):
        plan = _plan(members, folds, table, len(samples.classes), mesh)
        for first in range(0, len(plan.groups), plan.capacity):
            for outcome in _train_block(plan, plan.groups[first : first + plan.capacity], table, mesh):
                outcomes[outcome.fit.candidate, outcome.fit.fold] = outcome
            report(len(outcomes), len(made))
    return [outcomes[fit.candidate, fit.fold] for fit in made]


class _Plan(NamedTuple):
    """How the fits of one program are laid out: up to ``capacity`` groups of ``lanes`` per block."""

    job: FitJob
    groups: list[list[Fit]]
    capacity: int
    lanes: int
    sizes: tuple[int, ...]
    masked: bool
    folds: Folds
    length: int
    n_validation: int


def _plan(members: Sequence[Fit], folds: Folds, table: Table, classes: int, mesh: Mesh) -> _Plan:
    config, devices, lanes = common_config(members), mesh.devices.size, layout.lanes_of(mesh)
    by_rows: dict[int, list[Fit]] = {}
    for fit in members:
        by_rows.setdefault(id(fit.prepared), []).append(fit)
    known = config.training.batch_size == 1 and config.training.optimizer in OPTIMIZERS.values()
    largest, on_cpu = max(map(len, by_rows.values())), mesh.devices.flat[0].platform == "cpu"
    # The interleaved pass takes as long for half as many networks; other loops take no more lanes than they need.
    interleaved = known and on_cpu and 2 * largest >= lanes and runtime.compiles_whole_loops()
    if not interleaved:
        lanes = -(-largest // -(-largest // lanes))
    groups = [part[at : at + lanes] for part in by_rows.values() for at in range(0, len(part), lanes)]
    all_sizes = {sizes_of(fit.prepared.params) for fit in members}
    sizes = tuple(map(max, zip(*all_sizes, strict=True)))
    room = layout.groups_within(layout.group_bytes(sizes, 6, lanes, table.x.dtype.itemsize) * devices)
    return _Plan(
        FitJob(config, classes, interleaved), groups, min(room, -(-len(groups) // devices)) * devices, lanes, sizes,
        len(all_sizes) > 1, folds, max(len(fit.prepared.training) for fit in members),
        max(len(fit.prepared.validation) for fit in members),
    )  # fmt: skip


def _train_block(plan: _Plan, groups: Sequence[list[Fit]], table: Table, mesh: Mesh) -> list[FitOutcome]:
    """Train up to ``capacity`` groups."""
    began, filler, (split, _) = time.perf_counter(), len(table.labels) - 1, layout.shardings(mesh)
    laid_out = layout.lay_out(len(groups), plan.capacity, plan.lanes, mesh)
    params, given, running = _placed(plan, groups, laid_out, filler)
    params, given, placed, counts = jax.device_put((params, given, running, laid_out.counts), split)
    fit, shares = start_block(params, given.hyperparameters, placed, plan.job.config, mesh), placed
    # Groups with the same rows draw their orders together, once.
    shared = {id(group[0].prepared): group[0].prepared for group in groups}
    streams = {key: LectureStream(copy.deepcopy(prepared.random)) for key, prepared in shared.items()}
    parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
    epochs = min(20, max(1, 10**10 // (plan.length * parameters)))  # per call: seconds, for Ctrl-C to be heard
    diverged, done = np.zeros(laid_out.shape, bool), np.zeros(laid_out.shape, np.int32)
    while running.any():
        drawn = {key: np.asarray(streams[key].orders(epochs, len(shared[key].training))) for key in shared}
        orders = np.full((laid_out.shape[0], epochs, plan.length), filler, np.int32)
        for slot, group in zip(laid_out.slots, groups, strict=True):
            training = group[0].prepared.training
            orders[slot, :, : len(training)] = training[drawn[id(group[0].prepared)]]
        on_devices = jax.device_put(orders, split)
        fit, (losses, shares) = engine.run_block(fit, given, on_devices, counts, table, plan.job, mesh)
        before, done, running = done, np.asarray(fit.epoch), np.asarray(fit.running)
        trained = np.arange(epochs)[None, :, None] < (done - before)[:, None, :]
        diverged |= np.any(trained & ~np.isfinite(losses), axis=1)
    found, shares = jax.tree.map(np.asarray, (fit.kept or fit.state.params, shares))
    diverged |= ~layout.finite(found)  # no loss looked at them after the last update
    seconds = (time.perf_counter() - began) / sum(map(len, groups))
    return [
        FitOutcome(
            one, layout.unpad_params(found, at, sizes_of(one.prepared.params)), int(done[at]), bool(diverged[at]),
            float(shares[at]), seconds,
        )
        for slot, group in zip(laid_out.slots, groups, strict=True) for lane, one in enumerate(group)
        for at in [(slot, lane)]
    ]  # fmt: skip


def _placed(
    plan: _Plan, groups: Sequence[list[Fit]], laid_out: layout.Layout, filler: int
) -> tuple[Params, Given, NDArray[np.bool_]]:
    """Parameters, what is given and who runs, as NumPy arrays ``[G, B, ...]``."""
    shape, dtype = laid_out.shape, groups[0][0].prepared.data.x_train.dtype
    params, masks = layout.empty_block(shape, plan.sizes, dtype)
    first = hyperparameters_of(groups[0][0].parameters, groups[0][0].prepared, 1)
    numbers: Any = jax.tree.map(lambda scalar: np.zeros(shape, np.asarray(scalar).dtype), first)
    weights, samples, running = np.zeros((shape[0], filler + 1), dtype), np.ones(shape[0], dtype), np.zeros(shape, bool)
    rows = (plan.n_validation, max(len(test) for _, test in plan.folds))
    validation, test = (np.full((shape[0], length), filler, np.int32) for length in rows)
    for slot, group in zip(laid_out.slots, groups, strict=True):
        prepared, tested, at = group[0].prepared, plan.folds[group[0].fold][1], (slot, slice(0, len(group)))
        layout.put_network(params, masks, at, [np.asarray(layer.weights) for layer in prepared.params])
        own = [hyperparameters_of(fit.parameters, fit.prepared, fit.parameters["max_iter"]) for fit in group]
        for whole, *scalars in zip(jax.tree.leaves(numbers), *map(jax.tree.leaves, own), strict=True):
            whole[at] = scalars
        weights[slot, :filler] = prepared.data.y_train.sum(axis=1)
        validation[slot, : len(prepared.validation)], test[slot, : len(tested)] = prepared.validation, tested
        samples[slot], running[at] = len(prepared.training), True
    return params, Given(numbers, masks if plan.masked else (), weights, validation, samples, test), running
