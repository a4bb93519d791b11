"""What a GPU would be asked to do: three programs compiled for an H100 with no GPU present, and read.

python -m experiments.gpu_report

One network, a sweep by the scan, the same sweep by the fused kernel: how often each launches, what it keeps where, how
many bytes it moves an update, and the time that no H100 can be faster than. Nothing here says how fast it is: where JAX
finds a GPU, the programs are run there too, and their times stand in a column of their own.
"""

import functools
import itertools
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import command, gpu_compile
from jaxmlp import Config, Dataset, Hyperparameters, Layer, TrainingState, automatic_gradient, runtime, train_epochs
from jaxmlp.kernels import fused_epochs
from jaxmlp.losses import cross_entropy
from jaxmlp.network import check_sizes, forward
from jaxmlp.training import train_epoch

ROWS = 1497
NOTES = """All but the last column is read from compiled programs.
KiB an update: what every launch reads and writes, at most; the fused kernel: its weights and the data once an epoch.
Bound: of an update of all networks; no H100 is faster, by its 3.35 TB/s and 67 TFLOP/s. The time of launching is not in
it, nor is that of waiting for one step of a network before the next: only a GPU can tell them."""


class Task(NamedTuple):
    """A program: what it is called, the jitted function's ``lower``, a call, its arguments' shapes, its networks."""

    name: str
    function: Any
    arguments: Any
    networks: int


def shapes(sizes: tuple[int, ...], networks: int) -> tuple[Any, ...]:
    """State, data, orders, hyperparameters, masks and alive of so many networks; of a single one without that axis."""

    def of(*sides: int, dtype: str = "float32") -> Any:
        return jax.ShapeDtypeStruct(sides, jnp.dtype(dtype))

    many = (networks,)
    params: Any = tuple(Layer(of(*many, b, a), of(*many, b)) for a, b in itertools.pairwise(sizes))
    n_in, n_out = sizes[0], sizes[-1]
    data: Any = Dataset(
        of(ROWS, n_in), of(ROWS, n_out), of(ROWS, dtype="int32"), of(300, n_in), of(300, n_out), of(300, dtype="int32")
    )
    state = TrainingState(params, jax.eval_shape(Config().optimizer(Hyperparameters()).init, params))
    hyperparameters: Any = Hyperparameters(of(*many), of(*many))
    masks = tuple(of(*many, width) for width in sizes[1:-1])
    return state, data, of(1, 1, ROWS, dtype="int32"), hyperparameters, masks, of(*many, dtype="bool")


def tasks(sizes: tuple[int, ...], networks: int) -> list[Task]:
    """The programs of an epoch: one network by `train_epochs`, ``networks`` by its scan, the same by the kernel."""
    config = Config()
    everything = shapes(sizes, networks)
    state, data, orders, hyperparameters, *_ = shapes(sizes, 1)
    single = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (state, hyperparameters))
    one = functools.partial(train_epochs, config=config, gradient_function=automatic_gradient())

    def alone(state: Any, dataset: Any, orders: Any, hyperparameters: Any) -> Any:
        return one(state, dataset, orders[0], hyperparameters)

    def scan(state: Any, dataset: Any, orders: Any, hyperparameters: Any, masks: Any, alive: Any) -> Any:
        def each(state: Any, hyperparameters: Any, masks: Any) -> Any:
            def loss(params: Any, x: Any, y: Any) -> Any:
                return cross_entropy(forward(params, x, config.activation, masks), y)

            gradient = jax.value_and_grad(loss)
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
    """Bytes an update of all networks together, and the seconds below which no H100 makes it: moving and computing."""
    moved = found.loop_bytes if found.inner else found.loop_bytes / ROWS
    weights = sum(a * b for a, b in itertools.pairwise(sizes))
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


def run(sizes: tuple[int, ...], networks: int, done: Callable[[], object] = lambda: None) -> list[dict[str, Any]]:
    """Compile and read every program; a row each, ``measured`` None without a GPU. Prints nothing.

    Raises:
        InputError: no plugin to compile with; sizes that do not fit.
    """
    mesh, rows = gpu_compile.h100(), list[dict[str, Any]]()
    for task in tasks(sizes, networks):
        found = gpu_compile.compile_for(mesh, jax.jit(task.function).lower, task.arguments)
        moved, seconds = bound(found, sizes, task.networks)
        rows.append({
            "program": task.name, **found._asdict(), "launches_an_epoch": found.launches + found.inner * ROWS,
            "bytes_an_update": moved, "bound_seconds_an_update": seconds,
            "kernels": None if found.kernels is None else [kernel._asdict() for kernel in found.kernels],
            "measured_seconds_an_update": measured(task) / ROWS if jax.default_backend() == "gpu" else None,
        })  # fmt: skip
        done()
    return rows


def on_chip(row: dict[str, Any]) -> str:
    """Registers and shared memory of a block of the program's largest kernel, or that there was no ptxas to ask."""
    if row["kernels"] is None:
        return "no ptxas"
    most = 0
    for kernel in row["kernels"]:
        threads, shared = row["blocks"].get(kernel["name"], (0, 0))
        most = max(most, 4 * kernel["registers"] * threads + shared)
    return f"{most / 1024:.1f} KiB"


def table(rows: list[dict[str, Any]]) -> str:
    """Rows for reading."""
    header = ("compiled for an H100, not run", "launches an epoch", "an update", "a block on chip", "spilled",
              "MiB in and out", "MiB beside", "KiB an update", "bound, us", "measured, us")  # fmt: skip
    lines: list[tuple[str, ...]] = []
    for row in rows:
        spilled = "no ptxas" if row["kernels"] is None else f"{sum(kernel['spilled'] for kernel in row['kernels'])} B"
        seconds = row["measured_seconds_an_update"]
        lines.append((
            row["program"], f"{row['launches_an_epoch']:,}", str(row["inner"]), on_chip(row), spilled,
            f"{(row['arguments'] + row['outputs']) / 2**20:.1f}", f"{row['temporary'] / 2**20:.2f}",
            f"{row['bytes_an_update'] / 2**10:,.1f}", f"{1e6 * row['bound_seconds_an_update']:.3f}",
            "no GPU" if seconds is None else f"{1e6 * seconds:.3f}",
        ))  # fmt: skip
    return command.table(header, lines)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = command.parser("experiments.gpu_report", __doc__)
    parser.formatter_class = command.Lines
    parser.add_argument("--hidden", nargs="*", type=int, default=(20,), metavar="N", help="hidden widths (20)")
    parser.add_argument("--networks", type=int, default=1024, help="of the sweeps (%(default)s)")
    options = parser.parse_args(arguments)

    def body() -> int:
        sizes = check_sizes((64, *options.hidden, 10))
        networks = command.positive("networks", options.networks)
        folder = command.output_folder(options.out)
        runtime.configure("float32")
        with command.bar(3, "program") as progress:
            rows = run(sizes, networks, progress.update)
        print(table(rows))
        name = "-".join(map(str, sizes))
        print(f"\n{name}, one sample an update, float32, {ROWS:,} updates an epoch. {NOTES}")
        print(command.write(folder, {"gpu_report.json": {"rows": rows, "environment": runtime.environment()}}))
        return 0

    return command.call(body, options.device)


if __name__ == "__main__":
    sys.exit(main())
