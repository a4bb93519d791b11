"""One training run: its settings, the training, its result. Prints nothing."""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from experiments.support.settings import RunConfig
from jaxmlp import (
    Dataset,
    History,
    Hyperparameters,
    KeyStream,
    LectureStream,
    Params,
    TrainingConfig,
    automatic_gradient,
    hand_derived_gradient,
    load_table,
    runtime,
)
from jaxmlp.checks import check_one_of
from jaxmlp.lecture import initial_state, train_epochs
from jaxmlp.lecture.entrance import check_training
from jaxmlp.lecture.network import hidden_activations
from jaxmlp.showing import fields, shown

__all__ = ["GRADIENTS", "RANDOMNESS", "Result", "epochs_per_call", "run"]

GRADIENTS = {"automatic": automatic_gradient, "hand-derived": hand_derived_gradient}
RANDOMNESS = {"lecture": LectureStream, "jax": KeyStream}


@shown(fields)
class Result(NamedTuple):
    """The result of a training run.

    Attributes:
        settings: those of the run.
        dataset: the data it was trained on.
        params: the parameters after the last epoch.
        history: NumPy arrays, one row per epoch with a finite loss.
        seconds_compiling: for tracing and compiling the training program.
        seconds_training: for all epochs with their evaluation, without printing.
        ended: "finished", "interrupted" (Ctrl-C) or "diverged" (a loss that is not finite, in the epoch after
            the last one of the history, or parameters that are not finite after the last epoch).
        snapshots: the parameters after 0, 1, .. epochs as NumPy arrays, where they were asked for.
    """

    settings: RunConfig
    dataset: Dataset
    params: Params
    history: History
    seconds_compiling: float
    seconds_training: float
    ended: str
    snapshots: tuple[Params, ...] = ()


def epochs_per_call(epochs: int, samples: int, params: Params) -> int:
    """How many epochs one compiled call trains: a divisor of ``epochs``, so that one compiled program is enough.

    Up to 10, since a call costs about 0.3 ms, a fifth of an epoch of the lecture's network. Fewer where an epoch takes
    more than about 0.1 s, so that lines appear and Ctrl-C works during training.
    """
    weights = sum(leaf.size for leaf in jax.tree.leaves(params))
    most = min(10, max(1, 10**8 // (samples * weights)))
    return max(n for n in range(1, most + 1) if epochs % n == 0)


def run(
    settings: RunConfig,
    report: Callable[[int, History], None] | None = None,
    table: Dataset | None = None,
    snapshots: bool = False,
) -> Result:
    """Train the network that ``settings`` describe; prints nothing.

    Args:
        settings: checked here.
        report: called after each compiled call, with the number of epochs before it and the History of its own epochs.
        table: the data, of the settings' dtype and sizes; by default the lecture's digits.
        snapshots: whether the parameters after each epoch are kept; then a compiled call trains one epoch.

    Returns:
        The Result. Ctrl-C ends training early: the Result says so, and nothing is raised.

    Raises:
        InputError: a setting that cannot be used.
    """
    runtime.configure(settings.dtype)
    table = load_table("digits", dtype=settings.dtype) if table is None else table
    stream = RANDOMNESS[check_one_of("randomness", settings.randomness, RANDOMNESS)](settings.seed)
    gradient_function = GRADIENTS[check_one_of("gradient", settings.gradient, GRADIENTS)](settings.activation)
    hyperparameters = Hyperparameters(settings.learning_rate)
    config = TrainingConfig(settings.activation, settings.batch_size)
    hidden_activations(settings.activation, len(settings.hidden))
    params = stream.params(settings.sizes, settings.dtype)
    dataset = jax.device_put(table)  # once, not with every call
    check_training(params, dataset, hyperparameters, config, settings.epochs)
    state = initial_state(params, hyperparameters, config)
    n = len(dataset.labels_train)
    chunk = 1 if snapshots else epochs_per_call(settings.epochs, n, params)

    start = time.perf_counter()
    shape = jax.ShapeDtypeStruct((chunk, n), np.int32)
    program = train_epochs.lower(state, dataset, shape, hyperparameters, config, gradient_function).compile()
    # What draws the orders is compiled too, by a stream that is not the training's own.
    jax.block_until_ready(type(stream)(settings.seed).orders(chunk, n))
    seconds_compiling = time.perf_counter() - start

    rows: list[History] = []
    kept = [jax.tree.map(np.asarray, params)]
    seconds_training, ended = 0.0, "finished"
    try:
        for done in range(0, settings.epochs, chunk):
            start = time.perf_counter()
            state, history = program(state, dataset, stream.orders(chunk, n), hyperparameters)
            history = jax.tree.map(np.asarray, history)
            seconds_training += time.perf_counter() - start
            finite = int(np.argmin([*np.isfinite(history.loss), False]))
            if snapshots and finite:
                kept.append(jax.tree.map(np.asarray, state.params))
            rows.append(jax.tree.map(lambda column: column[:finite], history))  # noqa: B023 - used at once
            if report:
                report(done, rows[-1])
            if finite < chunk:
                ended = "diverged"
                break
    except KeyboardInterrupt:
        ended = "interrupted"
    if ended == "finished" and not all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state.params)):
        ended = "diverged"  # in the last update, whose loss no other update computed
    empty = History(*[np.empty(0)] * 3)
    history = History(*(np.concatenate(columns) for columns in zip(empty, *rows, strict=True)))
    parameters = tuple(kept) if snapshots else ()
    return Result(settings, table, state.params, history, seconds_compiling, seconds_training, ended, parameters)
