"""From lanes to groups, through the search's compiled program, and back to one network each."""

import copy
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from jaxmlp.classifier.one_fit import numbers_of
from jaxmlp.classifier.search_fits import Folds, Lane, Samples, common_program, programs
from jaxmlp.classifier.search_program import (
    Groups,
    Table,
    accuracies,
    group_epochs,
    pad_params,
    start_groups,
    unpad_params,
)
from jaxmlp.classifier.stopping import Numbers, Program
from jaxmlp.engine import lanes_of
from jaxmlp.network import Params, sizes_of
from jaxmlp.randomness import LectureStream

__all__ = ["Outcome", "train_lanes"]

MAX_BYTES = 2**29
"""Of the parameters, gradients and optimiser states of the groups that one call trains, about."""


class Outcome(NamedTuple):
    """What became of a lane.

    Attributes:
        lane: which.
        params: NumPy arrays.
        epochs: done.
        diverged: whether the loss was no longer finite.
        test_accuracy: share of the fold's test rows classified correctly.
        seconds: the call's, over its lanes.
    """

    lane: Lane
    params: Params
    epochs: int
    diverged: bool
    test_accuracy: float
    seconds: float


def train_lanes(
    made: Sequence[Lane], samples: Samples, folds: Folds, device: str, report: Callable[[int, int], None]
) -> list[Outcome]:
    """Train all lanes, the same depth, program and number of updates in one compiled program.

    Args:
        made: from `lanes`, within `jaxmlp.runtime.scoped`, like this.
        samples: all rows.
        folds: training and test rows.
        device: "cpu", "gpu" or "auto"; all of that kind are used.
        report: called after each call with the lanes done and those running.

    Returns:
        An Outcome for each lane, in their order.
    """
    devices = np.asarray(jax.local_devices(backend=None if device == "auto" else device))
    mesh = Mesh(devices, ("devices",), axis_types=(AxisType.Auto,))
    x, labels = (np.concatenate([part, np.zeros_like(part[:1])]) for part in samples[:2])
    table = jax.device_put(Table(x, labels.astype(np.int32)), NamedSharding(mesh, PartitionSpec()))  # pyright: ignore
    outcomes: dict[tuple[int, int], Outcome] = {}
    for members in programs(made):
        plan = _plan(members, folds, len(x) - 1, mesh)
        for first in range(0, len(plan.groups), plan.shape[0]):
            groups = plan.groups[first : first + plan.shape[0]]
            for outcome in _train_block(plan, groups, table, len(samples.classes), mesh):
                outcomes[outcome.lane.candidate, outcome.lane.fold] = outcome
            report(len(outcomes), len(made))
    return [outcomes[lane.candidate, lane.fold] for lane in made]


class _Plan(NamedTuple):
    """How the lanes of one program are laid out: ``shape`` [G, B] of a call, everything padded to one length."""

    program: Program
    groups: list[list[Lane]]
    shape: tuple[int, int]
    sizes: tuple[int, ...]
    masked: bool
    length: int
    validation: int
    tests: list[NDArray[Any]]
    rows: int


def _plan(members: Sequence[Lane], folds: Folds, rows: int, mesh: Mesh) -> _Plan:
    by_task: dict[int, list[Lane]] = {}
    for lane in members:
        by_task.setdefault(id(lane.task), []).append(lane)
    largest = max(map(len, by_task.values()))
    side_by_side = -(-largest // -(-largest // lanes_of(mesh)))
    groups = [part[at : at + side_by_side] for part in by_task.values() for at in range(0, len(part), side_by_side)]
    all_sizes = {sizes_of(lane.task.params) for lane in members}
    sizes = tuple(map(max, zip(*all_sizes, strict=True)))
    dtype = members[0].task.data.x_train.dtype
    leaves = sum(n_out * (n_in + 1) for n_in, n_out in itertools.pairwise(sizes))
    devices = mesh.devices.size
    fitting = max(1, MAX_BYTES // (6 * leaves * side_by_side * dtype.itemsize * devices)) * devices
    return _Plan(
        common_program(members), groups, (min(fitting, -(-len(groups) // devices) * devices), side_by_side), sizes,
        len(all_sizes) > 1, max(len(lane.task.training) for lane in members),
        max(len(lane.task.validation) for lane in members), [test for _, test in folds], rows,
    )  # fmt: skip


def _train_block(plan: _Plan, groups: Sequence[list[Lane]], table: Table, classes: int, mesh: Mesh) -> list[Outcome]:
    """Train up to G groups; the rest of the shape is inert."""
    began = time.perf_counter()
    split = NamedSharding(mesh, PartitionSpec("devices"))
    filled = [*groups, *[groups[0]] * (plan.shape[0] - len(groups))]
    numbers, shared, params = jax.device_put(_placed(plan, filled), split)
    running = np.zeros(plan.shape, bool)
    for number, group in enumerate(groups):
        running[number, : len(group)] = True
    progress = start_groups(params, numbers, jax.device_put(running, split), plan.program, mesh)
    # By task: groups that share one draw its orders together, once.
    tasks = {id(group[0].task): group[0].task for group in groups}
    streams = {key: LectureStream(copy.deepcopy(task.random)) for key, task in tasks.items()}
    parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
    chunk = min(20, max(1, 10**10 // (plan.length * parameters)))  # epochs a call: seconds, for Ctrl-C to be heard
    diverged, done = np.zeros(plan.shape, bool), np.zeros(plan.shape, np.int32)
    while running.any():
        drawn = {key: np.asarray(streams[key].orders(chunk, len(task.training))) for key, task in tasks.items()}
        orders = np.full((plan.shape[0], chunk, plan.length), plan.rows, np.int32)
        for number, group in enumerate(groups):
            task = group[0].task
            orders[number, :, : len(task.training)] = task.training[drawn[id(task)]]
        placed = jax.device_put(orders, split)
        progress, losses, _ = group_epochs(progress, placed, shared, numbers, table, plan.program, classes, mesh)
        before, done, running = done, np.asarray(progress.epoch), np.asarray(progress.running)
        trained = np.arange(chunk)[None, :, None] < (done - before)[:, None, :]
        diverged |= np.any(trained & ~np.isfinite(losses), axis=1)
    found = progress.kept or progress.state.params
    rows = _filled([plan.tests[group[0].fold] for group in filled], plan.rows)
    shares = np.asarray(accuracies(found, jax.device_put(rows, split), table, plan.program, mesh))
    found = jax.tree.map(np.asarray, found)
    seconds = (time.perf_counter() - began) / sum(map(len, groups))
    return [
        Outcome(
            lane, unpad_params(found, (number, at), sizes_of(lane.task.params)), int(done[number, at]),
            bool(diverged[number, at]), float(shares[number, at]), seconds,
        )
        for number, group in enumerate(groups) for at, lane in enumerate(group)
    ]  # fmt: skip


def _filled(rows: Sequence[NDArray[Any]], filler: int, length: int = 0) -> NDArray[np.int32]:
    """Rows of different lengths as one array, filled up with ``filler``."""
    made = np.full((len(rows), max(length, *map(len, rows))), filler, np.int32)
    for number, row in enumerate(rows):
        made[number, : len(row)] = row
    return made


def _placed(plan: _Plan, groups: Sequence[list[Lane]]) -> tuple[Numbers, Groups, Params]:
    """What is traced, as NumPy arrays ``[G, B]``, ``[G, ...]`` and ``[G, B, ...]``."""
    tasks = [group[0].task for group in groups]
    size = plan.shape[1]
    rows = [[numbers_of(lane.parameters, lane.task, lane.parameters["max_iter"]) for lane in group] for group in groups]
    flat = [(row + row[:1] * (size - len(row))) for row in rows]
    numbers: Any = jax.tree.map(
        lambda *values: np.stack(values), *[jax.tree.map(lambda *v: np.stack(v), *row) for row in flat]
    )
    weights = np.stack([np.append(task.data.y_train.sum(axis=1), 0) for task in tasks])
    masks: list[Any] = []
    for layer, width in enumerate(plan.sizes[1:-1] if plan.masked else (), 1):
        widths = np.asarray([sizes_of(task.params)[layer] for task in tasks])
        masks.append((np.arange(width) < widths[:, None]).astype(weights.dtype))
    validation = _filled([task.validation for task in tasks], plan.rows, plan.validation)
    samples = np.asarray([len(task.training) for task in tasks], weights.dtype)
    leaves = zip(*(pad_params(task.params, plan.sizes) for task in tasks), strict=True)
    stacked = [np.stack([np.broadcast_to(leaf, (size, *leaf.shape)) for leaf in column]) for column in leaves]
    params = jax.tree.unflatten(jax.tree.structure(tasks[0].params), stacked)
    return numbers, Groups(weights, validation, samples, tuple(masks)), params
