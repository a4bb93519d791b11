"""Random networks with data, each drawn from one integer; and how far their gradients differ."""

import functools
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.support import command_line
from jaxmlp import (
    ACTIVATIONS,
    InputError,
    Layer,
    Params,
    automatic_gradient,
    hand_derived_gradient,
    numerical_gradient,
    runtime,
)
from jaxmlp.gradient_check import automatic_hessian_vector, compare_trees, hand_derived_hessian_vector

__all__ = ["FLOAT32_LIMITS", "LIMITS", "Errors", "RandomNetwork", "measure", "random_network", "show_random"]

# The largest norm-wise error of a leaf that counts as agreement.
LIMITS = {"gradient": 1e-12, "hessian_vector": 1e-11, "numerical": 1e-7}
FLOAT32_LIMITS = {"gradient": 1e-5, "hessian_vector": 1e-4}

# These programs run only a few times: LLVM's optimisations would take more time than they save.
COMPILER_OPTIONS: dict[str, Any] = {"xla_backend_optimization_level": 0}


class RandomNetwork(NamedTuple):
    """A network and a batch: ``params``, ``x [B, n_0]``, one-hot ``y [B, n_L]``, one activation per hidden layer."""

    params: Params
    x: Array
    y: Array
    activation: tuple[str, ...]


def random_network(
    seed: int,
    dtype: str = "float64",
    depths: tuple[int, int] = (0, 6),
    widths: tuple[int, int] = (1, 64),
    batches: tuple[int, int] = (1, 33),
    activations: tuple[str, ...] = tuple(ACTIVATIONS),
    square: bool = False,
    alike: int = 1,
) -> RandomNetwork:
    """One network, all of it drawn from ``seed``: the same seed is the same network.

    Args:
        seed: 0 or more.
        dtype: float32 or float64.
        depths: least and greatest number of hidden layers.
        widths: least and greatest width of a layer, inputs and outputs included.
        batches: least and greatest B.
        activations: each hidden layer draws one of them.
        square: whether all layers have the same width.
        alike: how many seeds in a row share sizes, activations and B, with other numbers: each new shape costs a
            compilation.

    Returns:
        Weights normal with standard deviation ``1/sqrt(n_in)``, biases 0.3 times normal, inputs normal.
    """
    # NumPy draws: jax.random would compile a sampler for every new shape.
    random = np.random.default_rng([0, seed // alike])
    n_hidden = int(random.integers(depths[0], depths[1] + 1))
    sizes = random.integers(widths[0], widths[1] + 1, n_hidden + 2)
    sizes = np.full_like(sizes, sizes[0]) if square else sizes
    samples = int(random.integers(batches[0], batches[1] + 1))
    names = tuple(str(name) for name in random.choice(activations, n_hidden))
    random = np.random.default_rng([1, seed])
    params = tuple(
        Layer(
            jnp.asarray(random.normal(0, n_in**-0.5, (n_out, n_in)), dtype),
            jnp.asarray(random.normal(0, 0.3, n_out), dtype),
        )
        for n_in, n_out in itertools.pairwise(sizes)
    )
    x = random.normal(size=(samples, sizes[0]))
    y = np.eye(sizes[-1])[random.integers(0, sizes[-1], samples)]
    return RandomNetwork(params, jnp.asarray(x, dtype), jnp.asarray(y, dtype), names)


class Errors(NamedTuple):
    """The largest norm-wise relative error of a leaf of one network, for each comparison.

    Attributes:
        gradient: hand-derived against automatic.
        hessian_vector: hand-derived against automatic, along a random direction.
        numerical: central differences of fourth order against automatic, without elements that cross a kink of relu;
            None if not asked for.
        kinks: how many elements cross a kink.
        elements: how many numbers the parameters hold.
        ok: whether the hand-derived and the automatic gradient agree by the report's default tolerances.
    """

    gradient: float
    hessian_vector: float
    numerical: float | None
    kinks: int
    elements: int
    ok: bool


@functools.lru_cache(maxsize=1)  # networks of the same shape follow each other
def _program(activation: tuple[str, ...]) -> Any:
    """One compiled program for all derivatives but the numerical one."""

    def derivatives(params: Params, direction: Params, x: Array, y: Array) -> tuple[Any, ...]:
        return (
            hand_derived_gradient(activation)(params, x, y)[1],
            automatic_gradient(activation)(params, x, y)[1],
            hand_derived_hessian_vector(activation)(params, direction, x, y),
            automatic_hessian_vector(activation)(params, direction, x, y),
        )

    return jax.jit(derivatives, compiler_options=COMPILER_OPTIONS)


@functools.lru_cache(maxsize=1)
def _numerical_program(activation: tuple[str, ...]) -> Any:
    return jax.jit(numerical_gradient(activation, order=4).result, compiler_options=COMPILER_OPTIONS)


def measure(seed: int, numerical: bool = True, **drawn: Any) -> Errors:
    """The `Errors` of ``random_network(seed, **drawn)``."""
    network = random_network(seed, **drawn)
    random = np.random.default_rng([2, seed])
    direction = jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape), leaf.dtype), network.params)
    found = _program(network.activation)(network.params, direction, network.x, network.y)
    hand, automatic, hand_product, automatic_product = jax.device_get(found)
    gradients = compare_trees({"hand-derived": hand, "automatic": automatic})
    products = compare_trees({"hand-derived": hand_product, "automatic": automatic_product})
    numerical_error, kinks = None, 0
    if numerical:
        result = jax.device_get(_numerical_program(network.activation)(network.params, network.x, network.y))
        masks = jax.tree.leaves(result.kinks)
        pairs = zip(jax.tree.leaves(result.gradient), jax.tree.leaves(automatic), masks, strict=True)
        numerical_error = max(_error(a[~mask], b[~mask]) for a, b, mask in pairs)
        kinks = sum(int(mask.sum()) for mask in masks)
    return Errors(
        max(row.norm_relative for row in gradients.rows),
        max(row.norm_relative for row in products.rows),
        numerical_error,
        kinks,
        sum(leaf.size for leaf in jax.tree.leaves(hand)),
        gradients.ok,
    )


def _error(a: Any, b: Any) -> float:
    norm = max(float(np.linalg.norm(a)), float(np.linalg.norm(b)))
    return float(np.linalg.norm(a - b)) / norm if norm else 0.0


def show_random(count: int, seed: int, dtype: str, activations: tuple[str, ...], out: str) -> int:
    """Print and write the largest errors of ``count`` random networks; returns the exit code."""
    runtime.configure(dtype)
    if count < 1:
        raise InputError(f"random networks are {count}, expected 1 or more")
    folder = command_line.output_folder(out)
    double = dtype == "float64"
    drawn: dict[str, Any] = {"dtype": dtype, "depths": (0, 6) if double else (0, 3), "activations": activations}
    numbers = range(seed, seed + count)
    errors = [measure(n, numerical=double, alike=5, **drawn) for n in command_line.progress(numbers, "network")]
    limits = LIMITS if double else FLOAT32_LIMITS
    rows: list[tuple[str, ...]] = []
    for name, limit in limits.items():
        worst = max(range(count), key=lambda index: getattr(errors[index], name))
        largest = getattr(errors[worst], name)
        verdict = "agree" if largest <= limit else "differ"
        rows.append((name.replace("_", "-"), f"{largest:.1e}", f"{limit:g}", str(seed + worst), verdict))
    print(f"{count} networks, {sum(error.elements for error in errors):,} parameters, {dtype}")
    print(command_line.table(("against automatic", "largest error", "limit", "network", "verdict"), rows))
    if double:
        print(f"{sum(error.kinks for error in errors)} elements cross a kink of relu and are left out")
    found = [error._asdict() for error in errors]
    record = {**drawn, "seed": seed, "networks": found, "environment": runtime.environment()}
    print(command_line.write(folder, {"random_networks.json": record}))
    return 0 if all(row[-1] == "agree" for row in rows) else 1
