"""Hand-derived, automatic and numerical gradients compared: on digits, on random networks, with planted mistakes.

python -m experiments.gradient_check --hidden 20 10
python -m experiments.gradient_check --random-networks 200
python -m experiments.gradient_check --planted-bug all
"""

import dataclasses
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from experiments import command, planted_bugs
from experiments.random_networks import Errors, RandomNetwork, measure, random_network
from jaxmlp import (
    ACTIVATIONS,
    Config,
    Dataset,
    Diagnosis,
    GradientFunction,
    GradientReport,
    Hyperparameters,
    InputError,
    LectureStream,
    Params,
    automatic_gradient,
    automatic_hessian_vector,
    compare_backward,
    compare_gradients,
    compare_trees,
    gradient_figures,
    hand_derived_gradient,
    hand_derived_hessian_vector,
    initial_state,
    load_digits,
    numerical_gradient,
    runtime,
    train_epochs,
)  # fmt: skip
from jaxmlp.gradient_figures import Sweep
from jaxmlp.network import sizes_of
from jaxmlp.randomness import check_seed

LIMITS = {"gradient": 1e-12, "hessian_vector": 1e-11, "numerical": 1e-7}
FLOAT32_LIMITS = {"gradient": 1e-5, "hessian_vector": 1e-4}
EPOCHS = 5


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is checked on the digits."""

    hidden: tuple[int, ...] = (20, 10)
    activation: str = "sigmoid"
    dtype: str = "float64"
    batch_size: int = 32
    seed: int = 0


class Result(NamedTuple):
    """What a check on the digits found.

    Attributes:
        settings: what was asked for.
        gradients: the three-way report.
        second_order: the report of the two Hessian-vector products along a random direction.
        sweeps: by order of the numerical gradient.
        epochs: ``[5]``, largest difference of a parameter of (20) after each epoch of training with either gradient.
        diagnosis: of the hand-derived backward pass.
    """

    settings: Settings
    gradients: GradientReport
    second_order: GradientReport
    sweeps: dict[str, Sweep]
    epochs: NDArray[Any]
    diagnosis: Diagnosis

    @property
    def ok(self) -> bool:
        """Whether everything agrees."""
        return self.gradients.ok and self.second_order.ok and self.diagnosis.ok


def run(settings: Settings) -> Result:
    """Compare the gradients of a fresh network on the first training digits; prints nothing.

    Raises:
        InputError: a setting that cannot be used.
    """
    runtime.configure(settings.dtype)
    dataset = load_digits(settings.dtype)
    n = len(dataset.labels_train)
    if not 1 <= settings.batch_size <= n:
        raise InputError(f"batch size is {settings.batch_size}, expected 1..{n}, the number of training samples")
    stream, activation = LectureStream(settings.seed), settings.activation
    params = stream.params((64, *settings.hidden, 10), settings.dtype)
    x, y = dataset.x_train[: settings.batch_size], dataset.y_train[: settings.batch_size]
    functions: dict[str, GradientFunction] = {
        "hand-derived": jax.jit(hand_derived_gradient(activation)),
        "automatic": jax.jit(automatic_gradient(activation)),
    }
    report = compare_gradients({**functions, "numerical": numerical_gradient(activation, order=4)}, params, x, y)
    random = np.random.default_rng(settings.seed)
    direction = jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape), leaf.dtype), params)
    products = {"hand-derived": hand_derived_hessian_vector, "automatic": automatic_hessian_vector}
    second_order = compare_trees(
        {name: jax.jit(product(activation))(params, direction, x, y) for name, product in products.items()}
    )
    automatic = functions["automatic"](params, x, y)[1]
    return Result(
        settings, report, second_order,
        {f"order {order}": sweep(activation, order, params, x, y, automatic) for order in (2, 4)},
        drift(dataset, settings), compare_backward(functions["hand-derived"], params, x, y, activation),
    )  # fmt: skip


def sweep(activation: str, order: int, params: Params, x: jax.Array, y: jax.Array, automatic: Params) -> Sweep:
    """The numerical gradient by step, against the automatic one."""
    found = numerical_gradient(activation, "sweep", order).result(params, x, y).sweep
    assert found is not None
    right = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(automatic)])
    each = np.concatenate([leaf.reshape(len(leaf), -1) for leaf in jax.tree.leaves(found.gradients)], axis=1)
    errors = np.linalg.norm(each - right, axis=1) / np.linalg.norm(right)
    return Sweep(np.asarray(found.steps), errors, np.asarray(found.plateau))


def drift(dataset: Dataset, settings: Settings) -> NDArray[Any]:
    """Largest difference of a parameter after each of 5 epochs of the lecture's training with either gradient."""
    stream, n, activation = LectureStream(settings.seed), len(dataset.labels_train), settings.activation
    start = stream.params((64, 20, 10), settings.dtype)
    orders, rate, config = stream.orders(EPOCHS, n), Hyperparameters(), Config(activation)
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


def planted(name: str, network: RandomNetwork) -> tuple[GradientReport, Diagnosis]:
    """The report and the diagnosis of one planted mistake on one network."""
    wrong = planted_bugs.planted_gradient(name, network.activation)
    right = automatic_gradient(network.activation)
    report = compare_gradients({"planted": wrong, "automatic": right}, network.params, network.x, network.y)
    return report, compare_backward(wrong, network.params, network.x, network.y, network.activation)


def bug_network(name: str, seed: int) -> RandomNetwork:
    """The random network number ``seed`` to which a mistake applies: ten seeds in a row are alike."""
    bug = planted_bugs.BUGS[name]
    network = random_network(
        seed, depths=(2, 4), widths=(4, 12), batches=(5, 9), activations=bug.activations, square=bug.square, alike=10
    )
    assert planted_bugs.applies(name, sizes_of(network.params), network.activation)
    return network


def diagnosed(name: str, network: RandomNetwork, diagnosis: Diagnosis) -> bool:
    """Whether the first finding names the mistake's layer and quantity, and says what it is."""
    bug = planted_bugs.BUGS[name]
    place = (planted_bugs.expected_layer(name, len(network.params)), bug.quantity)
    first = diagnosis.findings[0] if diagnosis.findings else None
    return first is not None and (first.layer, first.quantity) == place and bug.says in first.explanation


def show_planted(name: str, seed: int) -> int:
    """Print what the check says of one mistake, or a line for each of them; the exit code."""
    runtime.configure("float64")
    if name != "all":
        report, diagnosis = planted(name, bug_network(name, seed))
        print(f"{name}: {planted_bugs.BUGS[name].words}\n{report}\n\n{diagnosis}")
        return 0 if report.ok else 1
    rows: list[tuple[str, ...]] = []
    all_caught = True
    for bug in command_bar(list(planted_bugs.BUGS)):
        networks = [bug_network(bug, seed + number) for number in range(20)]
        found = [planted(bug, network) for network in networks]
        caught = sum(not report.ok for report, _ in found)
        right = sum(diagnosed(bug, network, words) for network, (_, words) in zip(networks, found, strict=True))
        all_caught = all_caught and caught == 20
        rows.append((bug, str(caught), str(right), str(found[0][1].findings[:1][0] if found[0][1].findings else "-")))
    print(command.table(("mistake", "caught", "diagnosed", "on the first of 20 networks"), rows))
    return 0 if all_caught else 1


def command_bar(items: list[str]) -> Any:
    """The items under a progress bar."""
    with command.bar(len(items), "mistake") as progress:
        for item in items:
            yield item
            progress.update()


def show_random(count: int, seed: int, dtype: str) -> int:
    """Print the largest errors of so many random networks; the exit code."""
    runtime.configure(dtype)
    if count < 1:
        raise InputError(f"random networks are {count}, expected 1 or more")
    double = dtype == "float64"
    depths = (0, 6) if double else (0, 3)
    errors: list[Errors] = []
    with command.bar(count, "network") as progress:
        for number in range(seed, seed + count):
            errors.append(measure(number, numerical=double, dtype=dtype, depths=depths, alike=5))
            progress.update()
    limits = LIMITS if double else FLOAT32_LIMITS
    rows: list[tuple[str, ...]] = []
    for name, limit in limits.items():
        worst = max(range(count), key=lambda index: getattr(errors[index], name))
        largest = getattr(errors[worst], name)
        verdict = "agree" if largest <= limit else "differ"
        rows.append((name.replace("_", "-"), f"{largest:.1e}", f"{limit:g}", str(seed + worst), verdict))
    print(f"{count} networks, {sum(error.elements for error in errors):,} parameters, {dtype}")
    print(command.table(("against automatic", "largest error", "limit", "network", "verdict"), rows))
    if double:
        print(f"{sum(error.kinks for error in errors)} elements cross a kink of relu and are left out")
    return 0 if all(row[-1] == "agree" for row in rows) else 1


def show_digits(settings: Settings, out: str) -> int:
    """Print the reports on the digits and write the files; the exit code."""
    folder = command.output_folder(out)
    result = run(settings)
    print(result.gradients)
    print(f"\nHessian-vector product along a random direction\n{result.second_order}")
    print(f"\nbackward pass: {result.diagnosis}")
    for name, (_, errors, plateau) in result.sweeps.items():
        plateau_words = f"plateau of steps {plateau[0]:.1e} to {plateau[1]:.1e}"
        print(f"numerical, {name}: best error {errors.min():.1e}, {plateau_words}")
    differences = ", ".join(f"{value:.1e}" if value else "0" for value in result.epochs)
    print(f"64-20-10 trained with either gradient, largest difference by epoch:\n    {differences}")
    labels = {
        f"[{layer}].{field}": f"{letter}$_{layer + 1}$"
        for layer in range(len(settings.hidden) + 1)
        for field, letter in (("weights", "W"), ("biases", "b"))
    }
    sizes = "-".join(map(str, (64, *settings.hidden, 10)))
    title = f"{sizes}, {settings.activation}, {settings.dtype}, {settings.batch_size} digits"
    figure = gradient_figures.agreement(result.gradients, labels, result.sweeps, result.epochs, title)
    print(command.write(folder, {"report.json": record(result), "agreement.png": figure}))
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
            name: {key: command.finite_or_none(values) for key, values in found._asdict().items()}
            for name, found in result.sweeps.items()
        },
        "training_differences": command.finite_or_none(result.epochs),
        "environment": runtime.environment(),
    }


def main(arguments: list[str] | None = None) -> int:
    """The command; exit code 0 where gradients agree, or with --planted-bug all where each mistake is caught."""
    parser = command.parser("experiments.gradient_check", __doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--hidden", nargs="*", type=int, default=(20, 10), metavar="N", help="hidden widths (20 10)")
    what.add_argument("--random-networks", type=int, metavar="N", help="this many random networks, not the digits")
    what.add_argument("--planted-bug", choices=(*planted_bugs.BUGS, "all"), metavar="NAME",
                      help=f"all, or one of {', '.join(planted_bugs.BUGS)}")  # fmt: skip
    parser.add_argument("--activation", choices=ACTIVATIONS, default="sigmoid", help="(%(default)s)")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="(%(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, metavar="B", help="digits (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="0..2**32-1 (%(default)s)")
    options = parser.parse_args(arguments)

    def body() -> int:
        check_seed(options.seed)
        if options.planted_bug:
            return show_planted(options.planted_bug, options.seed)
        if options.random_networks is not None:
            return show_random(options.random_networks, options.seed, options.dtype)
        hidden = tuple(options.hidden)
        settings = Settings(hidden, options.activation, options.dtype, options.batch_size, options.seed)
        return show_digits(settings, options.out)

    return command.call(body)


if __name__ == "__main__":
    sys.exit(main())
