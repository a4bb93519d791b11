"""Programs compiled for GPUs, without a GPU, and read."""

import argparse
import functools
import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.support import command_line, fused_compile, gpu_compile
from jaxmlp import Dataset, Hyperparameters, Layer, TrainingConfig, automatic_gradient, runtime
from jaxmlp.checks import check_sizes
from jaxmlp.engine import fused_epochs, layout, penalised_gradient
from jaxmlp.lecture import TrainingState, train_epochs
from jaxmlp.lecture.training import train_epoch

ROWS = 1497
NOTES = """All but the last column is read from compiled programs.
KiB per update: what every launch reads and writes, at most.
Bound of the scan: per update of all networks; an H100 with its 3.35 TB/s and 67 TFLOP/s cannot be faster. Bound of the
fused kernel: per network and update on a full card: the least instructions of its PTX, one per cycle and scheduler; the
assembler may fuse some. Neither includes the time of launches, nor of waiting for a network's previous step: only a GPU
can show these."""


class Task(NamedTuple):
    """A program: its name, the function to jit, the shapes of its arguments, how many networks it trains."""

    name: str
    function: Any
    arguments: Any
    networks: int


def shapes(sizes: tuple[int, ...], networks: int) -> tuple[Any, ...]:
    """The shapes of state, data, orders, hyperparameters, masks and alive for so many networks."""

    def of(*sides: int, dtype: str = "float32") -> Any:
        return jax.ShapeDtypeStruct(sides, jnp.dtype(dtype))

    many = (networks,)
    params: Any = tuple(Layer(of(*many, b, a), of(*many, b)) for a, b in itertools.pairwise(sizes))
    n_in, n_out = sizes[0], sizes[-1]
    data: Any = Dataset(
        of(ROWS, n_in), of(ROWS, n_out), of(ROWS, dtype="int32"), of(300, n_in), of(300, n_out), of(300, dtype="int32")
    )
    state = TrainingState(params, jax.eval_shape(TrainingConfig().optimizer(Hyperparameters()).init, params))
    hyperparameters: Any = Hyperparameters(of(*many), of(*many))
    masks = tuple(of(*many, width) for width in sizes[1:-1])
    return state, data, of(1, 1, ROWS, dtype="int32"), hyperparameters, masks, of(*many, dtype="bool")


def tasks(sizes: tuple[int, ...], networks: int) -> list[Task]:
    """The programs that train an epoch: one network, ``networks`` by the scan, as many by the fused kernel."""
    config = TrainingConfig()
    everything = shapes(sizes, networks)
    state, data, orders, hyperparameters, *_ = shapes(sizes, 1)
    single = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (state, hyperparameters))
    one = functools.partial(train_epochs, config=config, gradient_function=automatic_gradient())

    def alone(state: Any, dataset: Any, orders: Any, hyperparameters: Any) -> Any:
        return one(state, dataset, orders[0], hyperparameters)

    def scan(state: Any, dataset: Any, orders: Any, hyperparameters: Any, masks: Any, alive: Any) -> Any:
        def each(state: Any, hyperparameters: Any, masks: Any) -> Any:
            gradient = penalised_gradient(layout.masked(config.activation, masks))
            return train_epoch(state, dataset, orders[0, 0], hyperparameters, config, gradient)

        new, losses = jax.vmap(each)(state, hyperparameters, masks)
        return new, losses, alive & jnp.isfinite(losses)

    def fused(state: Any, dataset: Any, orders: Any, hyperparameters: Any, masks: Any, alive: Any) -> Any:
        return fused_epochs(state, dataset, orders, hyperparameters, config, masks, alive)

    return [
        Task("one network", alone, (single[0], data, orders, single[1]), 1),
        Task(f"{networks:,} by the scan", scan, everything, networks),
        Task(f"{networks:,} by the fused kernel", fused, everything, networks),
    ]


def bound(found: gpu_compile.Compiled, sizes: tuple[int, ...], networks: int) -> tuple[float, float]:
    """Per update of all networks: the bytes moved, and the least seconds that an H100 needs to move and to compute."""
    weights = sum(a * b for a, b in itertools.pairwise(sizes))
    moved = found.loop_bytes
    return moved, max(moved / gpu_compile.BANDWIDTH, 6 * weights * networks / gpu_compile.FLOPS)


def measured(task: Task, repetitions: int = 5) -> float:
    """Median seconds of the program on the device that JAX uses, with ones for data: times don't depend on values."""
    arguments = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), task.arguments)
    program = jax.jit(task.function)
    seconds: list[float] = []
    for _ in range(repetitions + 1):
        start = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))


class Report(NamedTuple):
    """All that was read: a row per program of the scan, and a row per architecture of the fused kernel."""

    scan: list[dict[str, Any]]
    fused: list[dict[str, Any]]


def run(sizes: tuple[int, ...], networks: int, done: Callable[[], object] = lambda: None) -> Report:
    """Compile and read every program, and time it where JAX has a GPU (else None). Prints nothing.

    Raises:
        InputError: no plugin or no Warp to compile with; sizes that do not fit.
    """
    *scans, fused = tasks(sizes, networks)
    # The mesh comes before a backend starts, since that looks for CUDA's libraries.
    mesh, rows = gpu_compile.h100(), list[dict[str, Any]]()
    has_gpu = jax.default_backend() == "gpu"
    kernels = [found._asdict() for found in fused_compile.compiled(sizes)]
    seconds = measured(fused) / ROWS / networks if has_gpu else None
    done()
    for task in scans:
        found = gpu_compile.compile_for(mesh, jax.jit(task.function).lower, task.arguments)
        moved, least = bound(found, sizes, task.networks)
        rows.append(
            {
                "program": task.name,
                **found._asdict(),
                "launches_per_epoch": found.launches + found.inner * ROWS,
                "bytes_per_update": moved,
                "bound_seconds_per_update": least,
                "kernels": None if found.kernels is None else [kernel._asdict() for kernel in found.kernels],
                "measured_seconds_per_update": measured(task) / ROWS if has_gpu else None,
            }
        )
        done()
    return Report(rows, [{**kernel, "measured_seconds": seconds} for kernel in kernels])


def on_chip(row: dict[str, Any]) -> str:
    """Registers and shared memory that a block of the program's largest kernel takes, or "no ptxas" without ptxas."""
    if row["kernels"] is None:
        return "no ptxas"
    most = 0
    for kernel in row["kernels"]:
        threads, shared = row["blocks"].get(kernel["name"], (0, 0))
        most = max(most, 4 * kernel["registers"] * threads + shared)
    return f"{most / 1024:.1f} KiB"


def microseconds(seconds: float | None, digits: int) -> str:
    """The text of a cell: microseconds, or "no GPU"."""
    return "no GPU" if seconds is None else f"{1e6 * seconds:.{digits}f}"


def table(rows: list[dict[str, Any]]) -> str:
    """The table of the scan's programs."""
    header = ("compiled for an H100, not run", "launches per epoch", "per update", "a block on chip", "spilled",
              "MiB in and out", "MiB beside", "KiB per update", "bound, us", "measured, us")  # fmt: skip
    lines: list[tuple[str, ...]] = []
    for row in rows:
        spilled = "no ptxas" if row["kernels"] is None else f"{sum(kernel['spilled'] for kernel in row['kernels'])} B"
        lines.append(
            (
                row["program"],
                f"{row['launches_per_epoch']:,}",
                str(row["inner"]),
                on_chip(row),
                spilled,
                f"{(row['arguments'] + row['outputs']) / 2**20:.1f}",
                f"{row['temporary'] / 2**20:.2f}",
                f"{row['bytes_per_update'] / 2**10:,.1f}",
                microseconds(row["bound_seconds_per_update"], 3),
                microseconds(row["measured_seconds_per_update"], 3),
            )
        )
    return command_line.table(header, lines)


def fused_table(rows: list[dict[str, Any]]) -> str:
    """The table of the fused kernel."""
    header = ("fused kernel, not run", "threads", "registers", "spilled", "local", "shared", "barriers",
              "instructions", "networks at a time", "bound, us", "measured, us")  # fmt: skip
    lines: list[tuple[str, ...]] = []
    for row in rows:
        told = ["no ptxas"] * 4
        if row["registers"] is not None:
            held = fused_compile.CARDS[row["architecture"]].multiprocessors * row["at_a_time"]
            told = [str(row["registers"]), f"{row['spilled']} B", f"{row['shared']} B", f"{row['at_a_time']}, {held:,}"]
        registers, spilled, shared, at_a_time = told
        lines.append(
            (
                f"{row['card']} (sm_{row['architecture']})",
                str(row["threads"]),
                registers,
                spilled,
                str(row["local"]),
                shared,
                str(row["barriers"]),
                f"{row['instructions']:,}",
                at_a_time,
                "no ptxas" if row["bound_seconds"] is None else microseconds(row["bound_seconds"], 5),
                microseconds(row["measured_seconds"], 5),
            )
        )
    return command_line.table(header, lines)


def command(options: argparse.Namespace) -> int:
    """Compile, show the tables, write the record."""
    sizes = check_sizes((64, *options.hidden, 10))
    networks = command_line.positive("networks", options.networks)
    runtime.configure("float32")
    with command_line.bar(3, "program") as progress:
        report = run(sizes, networks, progress.update)
    folder = command_line.output_folder(options.out)  # not before: where nothing can be compiled, no folder is left
    print(table(report.scan), fused_table(report.fused), sep="\n\n")
    name = "-".join(map(str, sizes))
    print(f"\n{name}, one sample per update, float32, {ROWS:,} updates per epoch. {NOTES}")
    content = {**report._asdict(), "environment": runtime.environment()}
    print(command_line.write(folder, {"gpu_report.json": content}))
    return 0
