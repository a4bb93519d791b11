"""The search's fits in the engine's blocks: laid out, trained together, and read as one network each.

A group is up to B fits with the same fold, seed and widths, which share the order of their samples.
"""

import copy
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from jaxmlp import engine, runtime
from jaxmlp.checks import sizes_of
from jaxmlp.classifier.grid.fits import Failed, Fit, Folds, Samples, common_config, programs
from jaxmlp.classifier.grid.job import FitJob, Given, Table, start_block
from jaxmlp.classifier.one_fit import hyperparameters_of
from jaxmlp.engine import layout
from jaxmlp.lecture.network import Params
from jaxmlp.lecture.optimizers import OPTIMIZERS
from jaxmlp.lecture.randomness import LectureStream

__all__ = ["FitOutcome", "train_fits"]


class FitOutcome(NamedTuple):
    """What became of a fit: its parameters (NumPy's), epochs done, whether it has diverged (see `one_fit.train`).

    ``converged``: whether the stopping rule ended it, not the last epoch; ``test_score``: of the fold's test rows (see
    `score_of`); ``seconds``: the time of its block, divided evenly between the block's fits.
    """

    fit: Fit
    params: Params
    epochs: int
    diverged: bool
    converged: bool
    test_score: float
    seconds: float


def train_fits(
    made: Sequence[Fit], samples: Samples, folds: Folds, device: str, report: Callable[[int], None], failed: Failed
) -> list[FitOutcome]:
    """A FitOutcome for each fit; those of one depth, program and number of updates train together.

    Args:
        made: from `fits`, within `jaxmlp.runtime.computing`, like this.
        samples: all rows.
        folds: training and test rows.
        device: "cpu", "gpu" or "auto"; all of that kind are used.
        report: called after each block with the number of its fits.
        failed: gets the fits of a program that cannot be run, such as of an optimiser that raises.
    """
    mesh = layout.device_mesh(jax.local_devices(backend=None if device == "auto" else device))
    dtype = samples.x[0].dtype
    y, weights = (part.astype(dtype) for part in (samples.targets.values, samples.score_weights))
    y, weights, *x = (np.concatenate([part, np.zeros_like(part[:1])]) for part in (y, weights, *samples.x))
    table = jax.device_put(Table(np.stack(x), y, weights), layout.shardings(mesh)[1])
    outcomes: list[FitOutcome] = []
    for members in programs(made):
        try:
            plan = _plan(members, folds, table, mesh)
            for first in range(0, len(plan.groups), plan.capacity):
                found = _train_block(plan, plan.groups[first : first + plan.capacity], table, mesh)
                outcomes += found
                report(len(found))
        except Exception as error:  # whatever an optimiser of a person's own brings about
            failed |= {(fit.candidate, fit.fold): error for fit in members}
    return outcomes


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


def _plan(members: Sequence[Fit], folds: Folds, table: Table, mesh: Mesh) -> _Plan:
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
        FitJob(config, interleaved),
        groups,
        min(room, -(-len(groups) // devices)) * devices,
        lanes,
        sizes,
        len(all_sizes) > 1,
        folds,
        max(len(fit.prepared.training) for fit in members),
        max(len(fit.prepared.validation) for fit in members),
    )


def _train_block(plan: _Plan, groups: Sequence[list[Fit]], table: Table, mesh: Mesh) -> list[FitOutcome]:
    """Train up to ``capacity`` groups."""
    began, filler, (split, _) = time.perf_counter(), len(table.y) - 1, layout.shardings(mesh)
    laid_out = layout.lay_out(len(groups), plan.capacity, plan.lanes, mesh)
    params, given, running = _placed(plan, groups, laid_out, filler)
    params, given, placed, counts = jax.device_put((params, given, running, laid_out.counts), split)
    fit, scores = start_block(params, given.hyperparameters, placed, plan.job.config, mesh), placed
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
        fit, (losses, scores) = engine.run_block(fit, given, on_devices, counts, table, plan.job, mesh)
        before, done, running = done, np.asarray(fit.epoch), np.asarray(fit.running)
        trained = np.arange(epochs)[None, :, None] < (done - before)[:, None, :]
        diverged |= np.any(trained & ~np.isfinite(losses), axis=1)
    found, scores, stale = jax.tree.map(np.asarray, (fit.kept or fit.state.params, scores, fit.stale))
    if plan.job.config.early_stopping:  # which may have kept an epoch from before
        diverged &= ~np.isfinite(np.asarray(fit.best))
    diverged |= ~layout.finite(found)  # no loss looked at them after the last update
    converged = stale > np.asarray(given.hyperparameters.patience)
    seconds = (time.perf_counter() - began) / sum(map(len, groups))
    return [
        FitOutcome(
            one, layout.unpad_params(found, at, sizes_of(one.prepared.params)), int(done[at]), bool(diverged[at]),
            bool(converged[at]), float(scores[at]), seconds,
        )
        for slot, group in zip(laid_out.slots, groups, strict=True) for lane, one in enumerate(group)
        for at in [(slot, lane)]
    ]  # fmt: skip


def _placed(
    plan: _Plan, groups: Sequence[list[Fit]], laid_out: layout.Layout, filler: int
) -> tuple[Params, Given, NDArray[np.bool_]]:
    """Parameters, what is given and who runs, as NumPy arrays ``[G, B, ...]``."""
    shape, dtype = laid_out.shape, groups[0][0].prepared.x.dtype
    params, masks = layout.empty_block(shape, plan.sizes, dtype)
    first = hyperparameters_of(groups[0][0].parameters, groups[0][0].prepared, 1)
    numbers: Any = jax.tree.map(lambda scalar: np.zeros(shape, np.asarray(scalar).dtype), first)
    weights, samples, running = np.zeros((shape[0], filler + 1), dtype), np.ones(shape[0], dtype), np.zeros(shape, bool)
    rows = (plan.n_validation, max(len(test) for _, test in plan.folds))
    validation, test = (np.full((shape[0], length), filler, np.int32) for length in rows)
    view = np.zeros(shape[0], np.int32)
    for slot, group in zip(laid_out.slots, groups, strict=True):
        prepared, tested, at = group[0].prepared, plan.folds[group[0].fold][1], (slot, slice(0, len(group)))
        first_weights, first_biases = zip(*jax.tree.map(np.asarray, prepared.params), strict=True)
        layout.put_network(params, masks, at, first_weights, first_biases)
        own = [hyperparameters_of(fit.parameters, fit.prepared, fit.parameters["max_iter"]) for fit in group]
        for whole, *scalars in zip(jax.tree.leaves(numbers), *map(jax.tree.leaves, own), strict=True):
            whole[at] = scalars
        weights[slot, :filler], view[slot] = prepared.weights, group[0].view
        validation[slot, : len(prepared.validation)], test[slot, : len(tested)] = prepared.validation, tested
        samples[slot], running[at] = len(prepared.training), True
    return params, Given(numbers, masks if plan.masked else (), weights, validation, samples, test, view), running
