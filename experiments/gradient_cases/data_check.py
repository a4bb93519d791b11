"""The gradient check on data: three gradients, two products with the Hessian, the steps, and training by either.

The data are the lecture's digits, or a table of your own.
"""

import dataclasses
import math
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from experiments.support import command_line, own_data
from jaxmlp import (
    Dataset,
    GradientReport,
    Hyperparameters,
    InputError,
    LectureStream,
    Params,
    TrainingConfig,
    automatic_gradient,
    compare_gradients,
    figures,
    hand_derived_gradient,
    load_table,
    numerical_gradient,
    runtime,
)
from jaxmlp.gradient_check import (
    Diagnosis,
    StepSweep,
    automatic_hessian_vector,
    compare_backward,
    compare_trees,
    hand_derived_hessian_vector,
)
from jaxmlp.lecture import GradientFunction, initial_state, train_epochs

__all__ = ["CheckConfig", "Result", "run", "show_data"]

EPOCHS = 5


@dataclasses.dataclass(frozen=True)
class CheckConfig:
    """The settings of a check on data."""

    hidden: tuple[int, ...] = (20, 10)
    activation: str = "sigmoid"
    dtype: str = "float64"
    batch_size: int = 32
    seed: int = 0


class Result(NamedTuple):
    """What a check on data found.

    Attributes:
        settings: those of the check.
        gradients: the report on all three gradients.
        second_order: the report on the two Hessian-vector products along a random direction.
        sweeps: the numerical gradient's errors by step size, for each order.
        epochs: ``[5]``: a network of 20 hidden units is trained with either gradient; the largest difference of a
            parameter after each epoch.
        diagnosis: of the hand-derived backward pass.
        seconds_numerical: for the numerical gradient of all parameters, compilation included.
    """

    settings: CheckConfig
    gradients: GradientReport
    second_order: GradientReport
    sweeps: dict[str, StepSweep]
    epochs: NDArray[Any]
    diagnosis: Diagnosis
    seconds_numerical: float

    @property
    def ok(self) -> bool:
        """Whether everything agrees."""
        return self.gradients.ok and self.second_order.ok and self.diagnosis.ok


def run(settings: CheckConfig, table: Dataset | None = None) -> Result:
    """Compare the gradients of a fresh network on the first training rows; prints nothing.

    Args:
        settings: checked here.
        table: the data, of the settings' dtype; by default the lecture's digits.

    Raises:
        InputError: a setting that cannot be used.
    """
    runtime.configure(settings.dtype)
    table = load_table("digits", dtype=settings.dtype) if table is None else table
    dataset = jax.device_put(table)
    n = len(dataset.labels_train)
    if not 1 <= settings.batch_size <= n:
        raise InputError(f"batch size is {settings.batch_size}, expected 1..{n}, the number of training samples")
    stream, activation = LectureStream(settings.seed), settings.activation
    ends = dataset.x_train.shape[1], dataset.y_train.shape[1]
    params = stream.params((ends[0], *settings.hidden, ends[1]), settings.dtype)
    x, y = dataset.x_train[: settings.batch_size], dataset.y_train[: settings.batch_size]
    functions: dict[str, GradientFunction] = {
        "hand-derived": jax.jit(hand_derived_gradient(activation)),
        "automatic": jax.jit(automatic_gradient(activation)),
    }
    numerical = numerical_gradient(activation, order=4)
    start = time.perf_counter()
    jax.block_until_ready(numerical.result(params, x, y).gradient)
    seconds = time.perf_counter() - start
    report = compare_gradients({**functions, "numerical": numerical}, params, x, y)
    random = np.random.default_rng(settings.seed)
    direction = jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape), leaf.dtype), params)
    products = {"hand-derived": hand_derived_hessian_vector, "automatic": automatic_hessian_vector}
    second_order = compare_trees(
        {name: jax.jit(product(activation))(params, direction, x, y) for name, product in products.items()}
    )
    automatic = functions["automatic"](params, x, y)[1]
    return Result(
        settings,
        report,
        second_order,
        {f"order {order}": sweep(activation, order, params, x, y, automatic) for order in (2, 4)},
        drift(dataset, settings),
        compare_backward(functions["hand-derived"], params, x, y, activation),
        seconds,
    )


def sweep(activation: str, order: int, params: Params, x: jax.Array, y: jax.Array, automatic: Params) -> StepSweep:
    """The numerical gradient for many step sizes, each with its error against the automatic gradient."""
    found = numerical_gradient(activation, "sweep", order).result(params, x, y).sweep
    assert found is not None
    right = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(automatic)])
    each = np.concatenate([leaf.reshape(len(leaf), -1) for leaf in jax.tree.leaves(found.gradients)], axis=1)
    errors = np.linalg.norm(each - right, axis=1) / np.linalg.norm(right)
    return found._replace(steps=np.asarray(found.steps), errors=errors, plateau=np.asarray(found.plateau))


def drift(dataset: Dataset, settings: CheckConfig) -> NDArray[Any]:
    """Train a network of 20 hidden units with either gradient; a parameter's largest difference after each epoch."""
    stream, n, activation = LectureStream(settings.seed), len(dataset.labels_train), settings.activation
    start = stream.params((dataset.x_train.shape[1], 20, dataset.y_train.shape[1]), settings.dtype)
    orders, rate, config = stream.orders(EPOCHS, n), Hyperparameters(), TrainingConfig(activation)
    gradients = hand_derived_gradient(activation), automatic_gradient(activation)
    states = [initial_state(start, rate, config) for _ in gradients]
    differences: list[float] = []
    for epoch in range(EPOCHS):
        states = [
            train_epochs(state, dataset, orders[epoch : epoch + 1], rate, config, gradient)[0]
            for state, gradient in zip(states, gradients, strict=True)
        ]
        report = compare_trees({"hand-derived": states[0].params, "automatic": states[1].params})
        differences.append(max(row.max_absolute for row in report.rows))
    return np.asarray(differences)


def show_data(settings: CheckConfig, out: str, source: own_data.DataConfig) -> int:
    """Print the reports on the data and write the files; returns the exit code."""
    runtime.configure(settings.dtype)
    table = source.load(settings.dtype)
    command_line.show_notes(table)
    folder = command_line.output_folder(out)
    result = run(settings, table)
    print(result.gradients)
    print(f"\nHessian-vector product along a random direction\n{result.second_order}")
    print(f"\nbackward pass: {result.diagnosis}")
    pair = result.gradients.pair("automatic", "numerical")
    elements = sum(math.prod(row.shape or ()) for row in pair) - 1  # one row is the loss
    print(f"numerical, order 4: {elements:,} parameters in {result.seconds_numerical:.2f} s, compilation included")
    for name, (_, _, errors, plateau) in result.sweeps.items():
        plateau_words = f"plateau of steps {plateau[0]:.1e} to {plateau[1]:.1e}"
        print(f"numerical, {name}: best error {errors.min():.1e}, {plateau_words}")
    differences = ", ".join(f"{value:.1e}" if value else "0" for value in result.epochs)
    n_in, n_classes = table.x_train.shape[1], len(table.classes)
    print(f"{n_in}-20-{n_classes} trained with either gradient, largest difference by epoch:\n    {differences}")
    labels = {
        f"[{layer}].{field}": f"{letter}$_{layer + 1}$"
        for layer in range(len(settings.hidden) + 1)
        for field, letter in (("weights", "W"), ("biases", "b"))
    }
    sizes = "-".join(map(str, (n_in, *settings.hidden, n_classes)))
    what = "digits" if source.data == "digits" else "rows"
    title = f"{sizes}, {settings.activation}, {settings.dtype}, {settings.batch_size} {what}"
    figure = figures.agreement(result.gradients, labels, result.sweeps, result.epochs, title)
    print(command_line.write(folder, {"report.json": record(result), "agreement.png": figure}))
    return 0 if result.ok else 1


def record(result: Result) -> dict[str, Any]:
    """What ``report.json`` holds."""
    return {
        **dataclasses.asdict(result.settings),
        "ok": result.ok,
        "gradients": result.gradients.to_json(),
        "hessian_vector_products": result.second_order.to_json(),
        "backward_pass": str(result.diagnosis),
        "step_sweeps": {
            name: {key: command_line.finite_or_none(getattr(found, key)) for key in ("steps", "errors", "plateau")}
            for name, found in result.sweeps.items()
        },
        "seconds_numerical": result.seconds_numerical,
        "training_differences": command_line.finite_or_none(result.epochs),
        "environment": runtime.environment(),
    }
