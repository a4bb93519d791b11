"""The compiled programs of a sweep, each compiled once a process, by any thread, while others train.

A block needs two: one trains an epoch, one measures. Compiling takes a second or two; a sweep of many kinds of networks
would spend nearly all of its time on it, if its programs waited for one another.
"""

import concurrent.futures
import dataclasses
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from jaxmlp import engine
from jaxmlp.engine import layout
from jaxmlp.sweep.blocks.held_out import Data
from jaxmlp.sweep.blocks.job import SweepJob
from jaxmlp.sweep.blocks.measures import Evaluation

__all__ = ["Call", "Programs", "compile_ahead", "programs_for"]

Call = Callable[..., Any]
"""``(lanes, given, orders, counts, shared) -> (lanes, seen)``: `jaxmlp.engine.run_block` of one job, compiled."""

_COMPILED: dict[Any, concurrent.futures.Future[Call]] = {}
_LOCK = threading.Lock()


class Programs(NamedTuple):
    """What trains an epoch of a block, and what measures it afterwards."""

    train: Call
    evaluate: Call


def programs_for(
    config: SweepJob, placed: tuple[Any, Any], orders: tuple[int, ...], data: Data, mixed: bool
) -> Programs:
    """The programs of blocks of this kind, compiled if they are not yet; waits where another thread compiles them.

    Args:
        config: of the block.
        placed: lanes and settings, leaves ``[G, B, ...]`` of NumPy: shapes and dtypes alone are read.
        orders: the shape of an epoch's.
        data: the same.
        mixed: as of a `Block`.
    """
    mesh = layout.device_mesh()
    split, whole = layout.shardings(mesh)
    counts = np.zeros(mesh.devices.size, np.int32)
    (lanes, given), data, last, number, counts, rows = jax.eval_shape(
        lambda *of: of, placed, data, np.bool_(False), np.int32(0), counts, np.empty(orders, np.int32)
    )
    (lanes, given), counts, rows = _placed((lanes, given), split), _placed(counts, split), _placed(rows, split)
    data, last, number = _placed((data, last, number), whole)
    if mixed and mesh.devices.flat[0].platform == "cpu" and config.engine == "scan":
        config = dataclasses.replace(config, activation=None)
    train = compiled(config, mesh, lanes, given, rows, counts, (data.dataset, number))
    losses = _placed(jax.ShapeDtypeStruct(lanes.alive.shape, data.dataset.x_train.dtype), split)
    trained = lanes.state.params, given.masks, losses, lanes.alive
    evaluation = Evaluation(config.activation)
    return Programs(train, compiled(evaluation, mesh, (), trained, None, counts, (data, last, number)))


def _placed(tree: Any, sharding: NamedSharding) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)


def compiled(job: Any, mesh: Mesh, *arguments: Any) -> Call:
    """`jaxmlp.engine.run_block` of ``job`` for ``arguments`` of these shapes, dtypes and places."""
    leaves, tree = jax.tree.flatten(arguments)
    key = job, mesh, tree, tuple(leaves)
    with _LOCK:
        future = _COMPILED.get(key)
        mine = future is None
        future = _COMPILED.setdefault(key, concurrent.futures.Future()) if future is None else future
    if mine:
        try:
            future.set_result(engine.run_block.lower(*arguments, job, mesh).compile())
        except BaseException as error:
            del _COMPILED[key]  # a block is tried more than once
            future.set_exception(error)
    return future.result()


def compile_ahead(calls: Iterable[Callable[[], object]]) -> concurrent.futures.Executor:
    """Threads that make these calls of `programs_for` in turn, as many at a time as there are cores; to be shut down.

    Errors in them are not reported: they occur again where the program is needed.
    """
    pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
    for call in calls:
        pool.submit(call)
    return pool
