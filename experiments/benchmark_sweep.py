"""Thousands of networks: time for one network and update, beside one network alone and what people would otherwise use.

python -m experiments.benchmark sweep
"""

import concurrent.futures
import importlib.util
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments import command
from jaxmlp import (
    Config,
    Hyperparameters,
    KeyStream,
    automatic_gradient,
    figures,
    initial_state,
    load_digits,
    runtime,
    train_epochs,
)
from jaxmlp.sweep import Data, Space, data_hash, hold_out, make_space, pack, run_sweep, store, train_block
from jaxmlp.sweep.blocks import device_mesh, lanes_of
from jaxmlp.sweep.runner import IN_FLIGHT

WIDTHS = (4, 8, 12, 16, 20, 24, 32, 40, 48, 64)
RATES = tuple(round(0.02 * n, 2) for n in range(1, 11))
SKLEARN_NETWORKS, TORCH_NETWORKS, TORCH_UPDATES = 1, 1024, 30
ALONE, STORED = "one network alone", "sweep: the same, into a database"
UNEVALUATED = "sweep: the first, not evaluated"  # nor do the next two evaluate anything
SKLEARN, TORCH = "scikit-learn, joblib on all cores", "torch.func, 1,024 networks"


class Row(NamedTuple):
    """A contender: seconds of each repetition, seconds before them (compiling), network-updates a repetition."""

    name: str
    seconds: list[float]
    seconds_before: float
    updates: int

    @property
    def microseconds(self) -> float:
        """Of one network and update, the median."""
        return 1e6 * float(np.median(self.seconds)) / self.updates


def spaces(networks: int) -> dict[str, Space]:
    """The sweeps that are timed."""
    rates = [0.01 + 0.2 * n / networks for n in range(networks)]
    mixed = {"learning_rate": list(RATES), "seeds": ["0:10"]}
    return {
        f"sweep: {networks:,} of 64-20-10, one seed": make_space({"learning_rate": rates}),
        f"sweep: {networks:,} of 64-20-10, a seed each": make_space({"seeds": [f"0:{networks}"]}),
        "sweep: 1,000, widths 4 to 64": make_space({**mixed, "hidden": [str(width) for width in WIDTHS]}),
        "sweep: 1,000, all 64 wide": make_space(
            {"hidden": ["64"], "learning_rate": [0.002 * n for n in range(1, 101)], "seeds": ["0:10"]}
        ),
    }


def sweep_call(space: Space, epochs: int, data: Data) -> Callable[[], int]:
    """Train a sweep with its evaluation each epoch, from packing to outcomes, without a database."""
    trials = space.trials()

    def call() -> int:
        blocks = pack(trials, data, lanes_of(device_mesh()))
        trained = sum(len(train_block(block, epochs, data)) for block in blocks)
        return trained * epochs * len(data.dataset.labels_train)

    return call


def stored_call(space: Space, epochs: int, data: Data) -> Callable[[], int]:
    """The same through the runner into a new database."""
    trials = space.trials()

    def call() -> int:
        with (
            tempfile.TemporaryDirectory() as folder,
            store.opened(Path(folder) / "sweep.sqlite", write=True) as connection,
            concurrent.futures.ThreadPoolExecutor(IN_FLIGHT) as executor,
        ):
            sweep, _ = store.begin(connection, store.Identity("", data_hash(data), epochs, 0), trials, {})
            run_sweep(connection, sweep, data, executor)
        return len(trials) * epochs * len(data.dataset.labels_train)

    return call


def single_call(epochs: int, data: Data) -> Callable[[], int]:
    """One network alone, with its evaluation each epoch: what `jaxmlp.train` runs."""
    n, stream = len(data.dataset.labels_train), KeyStream(0)
    params, orders = stream.params((64, 20, 10), "float32"), stream.orders(epochs, n)
    state = initial_state(params, Hyperparameters(), Config())
    dataset, function = jax.device_put(data.dataset), automatic_gradient("sigmoid")

    def call() -> int:
        jax.block_until_ready(train_epochs(state, dataset, orders, Hyperparameters(), Config(), function))
        return epochs * n

    return call


def sklearn_call(data: Data) -> Callable[[], int]:
    """scikit-learn's MLPClassifier on all cores by joblib, one epoch, one network a core."""
    from joblib import Parallel, delayed
    from sklearn.neural_network import MLPClassifier

    x, labels = np.asarray(data.dataset.x_train), np.asarray(data.dataset.labels_train)
    networks = SKLEARN_NETWORKS * (os.cpu_count() or 1)

    def fit(seed: int) -> None:
        classifier: Any = MLPClassifier
        network = classifier(
            (20,), activation="logistic", solver="sgd", batch_size=1, learning_rate_init=0.2, momentum=0, alpha=0,
            max_iter=1, random_state=seed,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that one epoch has not converged
            network.fit(x, labels)

    def call() -> int:
        Parallel(n_jobs=-1)(delayed(fit)(seed) for seed in range(networks))
        return networks * len(labels)

    return call


def torch_call(data: Data) -> Callable[[], int]:
    """``torch.func``: `TORCH_NETWORKS` stacked networks, one order, ``vmap(grad(loss))`` and a plain step."""
    import torch  # pyright: ignore

    t: Any = torch
    x, labels = t.tensor(np.asarray(data.dataset.x_train)), t.tensor(np.asarray(data.dataset.labels_train)).long()
    shapes = ((20, 64), (20,), (10, 20), (10,))

    def loss(params: Any, x: Any, label: Any) -> Any:
        h = t.sigmoid(params[0] @ x + params[1])
        return t.nn.functional.cross_entropy(params[2] @ h + params[3], label)

    gradient = t.func.vmap(t.func.grad(loss), in_dims=(0, None, None))

    start = tuple(t.randn((TORCH_NETWORKS, *shape)) / 8 for shape in shapes)

    def call() -> int:
        params = start
        for row in range(TORCH_UPDATES):
            params = tuple(p - 0.2 * g for p, g in zip(params, gradient(params, x[row], labels[row]), strict=True))
        return TORCH_NETWORKS * TORCH_UPDATES

    return call


def _without_validation(data: Data) -> Data:
    """The same training rows; only the last epoch's accuracies are measured then."""
    return data._replace(validation=jax.tree.map(lambda leaf: leaf[:0], data.validation))


def calls(epochs: int, data: Data, networks: int) -> dict[str, Callable[[], int]]:
    """Every contender that is installed, by name."""
    made: dict[str, Callable[[], int]] = {ALONE: single_call(10 * epochs, data)}
    for number, (name, space) in enumerate(spaces(networks).items()):
        made[name] = sweep_call(space, epochs, data)
        if number == 0:
            made[STORED] = stored_call(space, epochs, data)
    made[UNEVALUATED] = sweep_call(next(iter(spaces(networks).values())), epochs, _without_validation(data))
    if importlib.util.find_spec("joblib"):
        made[SKLEARN] = sklearn_call(data)
    if importlib.util.find_spec("torch"):
        made[TORCH] = torch_call(data)
    return made


def run(epochs: int = 10, repetitions: int = 5, networks: int = 2048) -> list[Row]:
    """Measure all contenders in turn; prints nothing."""
    runtime.configure_sweep("float32")
    data: Data = jax.tree.map(np.asarray, hold_out(load_digits("float32")))
    made = calls(epochs, data, networks)
    rows: dict[str, Row] = {}
    with command.bar((repetitions + 1) * len(made), "run") as progress:
        for repetition in range(repetitions + 1):
            for name, call in made.items():
                start = time.perf_counter()
                updates = call()
                seconds = time.perf_counter() - start
                if repetition == 0:
                    rows[name] = Row(name, [], seconds, updates)
                else:
                    rows[name].seconds.append(seconds)
                progress.update()
    return [row._replace(seconds_before=max(row.seconds_before - min(row.seconds), 0.0)) for row in rows.values()]


def table(rows: list[Row]) -> str:
    """Median, quartiles, microseconds a network and update, and that as a multiple of the single network's."""
    alone = rows[0].microseconds
    lines: list[tuple[str, ...]] = []
    for row in rows:
        low, middle, high = np.percentile(row.seconds, [25, 50, 75])
        lines.append(
            (row.name, f"{middle:.2f}", f"{low:.2f}..{high:.2f}", f"{row.microseconds:.3f}",
             f"{row.microseconds / alone:.2f}", f"{row.seconds_before:.1f}")
        )  # fmt: skip
    header = ("64-20-10, float32, 1 sample an update", "median s", "quartiles", "us", "of one alone", "compiling s")
    return command.table(header, lines)


def facts(rows: list[Row]) -> list[str]:
    """The ratios that count, each from pairs that ran one after the other: medians with quartiles."""
    seconds = {row.name: np.asarray(row.seconds) / row.updates for row in rows}
    first = next(name for name in seconds if name.startswith("sweep"))

    def ratio(above: str, below: str, words: str, scale: float = 1.0, less: float = 0.0) -> str:
        low, middle, high = np.percentile(scale * (seconds[above] / seconds[below] - less), [25, 50, 75])
        return f"{words.format(f'{middle:.3g}')} ({low:.3g}..{high:.3g})"

    said = [
        ratio(first, ALONE, "a network of the first sweep takes {} of one alone"),
        ratio(STORED, first, "the database takes {} % of its time", 100, 1),
    ]
    for name in (SKLEARN, TORCH):
        if name in seconds:
            words = f"{name.split(',')[0]} takes {{}} times as long as the sweep that is not evaluated either"
            said.append(ratio(name, UNEVALUATED, words))
    return said


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = command.parser("experiments.benchmark sweep", __doc__, "runs/benchmark")
    parser.add_argument("--epochs", type=int, default=10, help="(%(default)s)")
    parser.add_argument("--networks", type=int, default=2048, help="of the sweeps of one shape (%(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, help="(%(default)s)")
    options = parser.parse_args(arguments)

    def body() -> int:
        for name in ("epochs", "repetitions", "networks"):
            command.positive(name, getattr(options, name))
        folder = command.output_folder(options.out)
        rows = run(options.epochs, options.repetitions, options.networks)
        print("\n".join([table(rows), *facts(rows)]))
        where = runtime.environment()
        record = {
            "rows": [{**row._asdict(), "microseconds": row.microseconds} for row in rows], "environment": where,
        }  # fmt: skip
        panel = {"thousands of networks, 64-20-10, float32": {row.name: row.microseconds for row in rows}}
        title = f"Sweeps, medians: {where['cores']} cores, {where['processor']}"
        figure = figures.bars(panel, ["microseconds a network and update"], title, marked="sweep")
        print(command.write(folder, {"benchmark_sweep.json": record, "benchmark_sweep.png": figure}))
        return 0

    return command.call(body, options.device)
