"""The contenders of `sweep_time`: sweeps, one network alone, scikit-learn and ``torch.func``."""

import concurrent.futures
import importlib.util
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmlp import Hyperparameters, KeyStream, TrainingConfig, automatic_gradient
from jaxmlp.engine import device_mesh, lanes_of
from jaxmlp.lecture import initial_state, train_epochs
from jaxmlp.sweep import IN_FLIGHT, Space, make_space, run_sweep, store
from jaxmlp.sweep.blocks import Data, data_hash, pack, train_block

__all__ = ["ALONE", "SKLEARN", "STORED", "TORCH", "UNEVALUATED", "calls", "spaces"]

WIDTHS = (4, 8, 12, 16, 20, 24, 32, 40, 48, 64)
RATES = tuple(round(0.02 * n, 2) for n in range(1, 11))
SKLEARN_NETWORKS, TORCH_NETWORKS, TORCH_UPDATES = 1, 1024, 30
ALONE, STORED = "one network alone", "sweep: the same, into a database"
UNEVALUATED = "sweep: the first, not evaluated"  # the next two evaluate nothing either
SKLEARN, TORCH = "scikit-learn, joblib on all cores", "torch.func, 1,024 networks"


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


def sweep_call(space: Space, epochs: int, data: Data, engine: str = "scan") -> Callable[[], int]:
    """A call that trains a sweep, evaluated after each epoch, from packing to outcomes, without a database."""
    trials = space.trials()

    def call() -> int:
        blocks = pack(trials, data, lanes_of(device_mesh()), engine)
        trained = sum(len(train_block(block, epochs, data)) for block in blocks)
        return trained * epochs * len(data.dataset.labels_train)

    return call


def stored_call(space: Space, epochs: int, data: Data) -> Callable[[], int]:
    """A call that does the same with the runner, into a new database."""
    trials = space.trials()

    def call() -> int:
        with (
            tempfile.TemporaryDirectory() as folder,
            store.opened(Path(folder) / "sweep.sqlite", write=True) as connection,
            concurrent.futures.ThreadPoolExecutor(IN_FLIGHT) as executor,
        ):
            sweep, _ = store.begin(connection, store.Identity("", data_hash(data), epochs, 0), trials, {})
            run_sweep(connection, sweep, data, executor, trials=trials)
        return len(trials) * epochs * len(data.dataset.labels_train)

    return call


def single_call(epochs: int, data: Data) -> Callable[[], int]:
    """A call that trains one network alone, evaluated after each epoch, as `jaxmlp.train` does."""
    n, stream = len(data.dataset.labels_train), KeyStream(0)
    params, orders = stream.params((64, 20, 10), "float32"), stream.orders(epochs, n)
    state = initial_state(params, Hyperparameters(), TrainingConfig())
    dataset, function = jax.device_put(data.dataset), automatic_gradient("sigmoid")

    def call() -> int:
        jax.block_until_ready(train_epochs(state, dataset, orders, Hyperparameters(), TrainingConfig(), function))
        return epochs * n

    return call


def sklearn_call(data: Data) -> Callable[[], int]:
    """scikit-learn's MLPClassifier on all cores by joblib, one epoch, one network per core."""
    from joblib import Parallel, delayed
    from sklearn.neural_network import MLPClassifier

    x, labels = np.asarray(data.dataset.x_train), np.asarray(data.dataset.labels_train)
    networks = SKLEARN_NETWORKS * (os.cpu_count() or 1)

    def fit(seed: int) -> None:
        classifier: Any = MLPClassifier
        network = classifier(
            (20,),
            activation="logistic",
            solver="sgd",
            batch_size=1,
            learning_rate_init=0.2,
            momentum=0,
            alpha=0,
            max_iter=1,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one epoch does not converge
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
