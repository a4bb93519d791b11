"""The fused kernel, interpreted: it equals the scan, whatever the network, and stops what diverges as the scan does."""

import functools
import itertools
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from jax import Array

from jaxmlp import (
    OPTIMIZERS,
    Config,
    Dataset,
    Hyperparameters,
    Layer,
    LectureStream,
    Params,
    TrainingState,
    initial_state,
    load_digits,
)  # fmt: skip
from jaxmlp.kernels import fused_epochs, fused_refusal
from jaxmlp.losses import cross_entropy
from jaxmlp.network import forward
from jaxmlp.training import train_epoch
from tests.helpers import assert_agree, random_dataset, rejects

Widths = list[tuple[int, ...]]


class Networks(NamedTuple):
    """Arguments of `fused_epochs`, beside ``interpret``."""

    state: TrainingState
    dataset: Dataset
    orders: Array
    hyperparameters: Hyperparameters
    config: Config
    masks: tuple[Array, ...]
    alive: Array


def networks(
    seed: int, widths: Widths, dataset: Dataset, config: Config, rates: Any = 0.05, epochs: int = 1,
    decay: float | None = None, rows: int | None = None,
) -> Networks:  # fmt: skip
    """Networks of these hidden widths, padded to the widest, that share an order of the first ``rows`` rows."""
    rng, count, dtype = np.random.default_rng(seed), len(widths), dataset.x_train.dtype
    ends = dataset.x_train.shape[1], dataset.y_train.shape[1]
    padded = [max(layer) for layer in zip(*widths, strict=True)]
    layers: list[Layer] = []
    for number, (n_in, n_out) in enumerate(itertools.pairwise((ends[0], *padded, ends[1]))):
        weights, biases = np.zeros((count, n_out, n_in)), np.zeros((count, n_out))
        for trial, hidden in enumerate(widths):
            own_in, own_out = (ends[0], *hidden, ends[1])[number : number + 2]
            weights[trial, :own_out, :own_in] = rng.normal(0, own_in**-0.5, (own_out, own_in))
            biases[trial, :own_out] = rng.normal(0, 0.1, own_out)
        layers.append(Layer(as_array(weights, dtype), as_array(biases, dtype)))
    masks = [
        np.arange(width)[None] < np.asarray([hidden[number] for hidden in widths])[:, None]
        for number, width in enumerate(padded)
    ]
    hyperparameters = Hyperparameters(
        as_array(np.broadcast_to(rates, count), dtype), as_array(np.full(count, 0.6), dtype),
        None if decay is None else as_array(np.full(count, decay), dtype),
    )  # fmt: skip
    n = rows or len(dataset.x_train)
    orders = np.stack([rng.permutation(len(dataset.x_train))[:n] for _ in range(epochs)])
    return Networks(
        started(tuple(layers), hyperparameters, config), dataset, as_array(orders[None], "int32"), hyperparameters,
        config, tuple(as_array(mask, dtype) for mask in masks), as_array(np.ones(count), "bool"),
    )  # fmt: skip


def as_array(values: Any, dtype: Any) -> Any:
    """NumPy's array where JAX's is promised: it becomes one in the compiled call, and costs no compilation here."""
    return np.asarray(values, dtype)


def started(params: Any, hyperparameters: Hyperparameters, config: Config) -> TrainingState:
    """The state before the first update, whose velocities are 0."""
    shapes = jax.eval_shape(jax.vmap(functools.partial(initial_state, config=config)), params, hyperparameters)
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes.optimizer_state)
    return TrainingState(params, zeros)


@functools.partial(jax.jit, static_argnames="config")
def _fused(given: Networks, config: Config) -> tuple[TrainingState, Array, Array]:
    return fused_epochs(*given._replace(config=config), interpret=True)


def fused(given: Networks) -> tuple[TrainingState, Array, Array]:
    return jax.tree.map(np.asarray, _fused(without_config(given), given.config))


def without_config(given: Networks) -> Any:
    return given._replace(config=None)  # pyright: ignore[reportArgumentType]


@functools.partial(jax.jit, static_argnames="config")
def _scanned(given: Networks, config: Config) -> tuple[TrainingState, Array]:
    def one(
        state: TrainingState, hyperparameters: Hyperparameters, masks: tuple[Array, ...], order: Array
    ) -> tuple[TrainingState, Array]:
        def loss(params: Params, x: Array, y: Array) -> Array:
            return cross_entropy(forward(params, x, config.activation, masks), y)

        gradient = jax.value_and_grad(loss)
        return train_epoch(state, given.dataset, order, hyperparameters, config, gradient)

    trained = jax.vmap(one, (0, 0, 0, None))
    return trained(given.state, given.hyperparameters, given.masks, given.orders[0, 0])


def scanned(given: Networks) -> tuple[TrainingState, Array, Array]:
    """One epoch of the scan; a network that is no longer finite stays as it was, as in `jaxmlp.sweep.blocks`."""
    new, loss = jax.tree.map(np.asarray, _scanned(without_config(given), given.config))
    finite = [np.isfinite(leaf).reshape(len(leaf), -1).all(axis=1) for leaf in jax.tree.leaves((new, loss))]
    alive = np.logical_and.reduce([np.asarray(given.alive), *finite])
    kept = jax.tree.map(lambda a, b: np.where(alive.reshape(-1, *[1] * (a.ndim - 1)), a, b), new, given.state)
    return kept, loss[:, None], as_array(alive[:, None], "bool")


def assert_fused_equals_scan(given: Networks, tolerance: float, velocities: float) -> None:
    (state, losses, alive), (expected, expected_losses, expected_alive) = fused(given), scanned(given)
    for trial in range(len(given.alive)):  # one by one: a large network must not hide a small one's error
        one = functools.partial(jax.tree.map, lambda leaf: leaf[trial])  # noqa: B023 - used at once
        assert_agree(one(state.params), one(expected.params), tolerance)
        assert_agree(one(state.optimizer_state), one(expected.optimizer_state), velocities)
    assert np.all(alive)
    assert np.all(expected_alive)
    assert_agree(losses, expected_losses, tolerance)
    for layer, mask in zip(state.params, given.masks, strict=False):
        assert not np.any(np.asarray(layer.biases)[np.asarray(mask) == 0])
        assert not np.any(np.asarray(layer.weights)[np.asarray(mask) == 0])


@pytest.fixture(scope="module")
def singles() -> Dataset:
    return load_digits("float32")


def random_networks(
    seed: int, count: int, depth: int, dataset: Dataset, rows: int | None, rates: tuple[float, float] = (0.001, 0.01)
) -> Networks:
    """``count`` networks of one depth; activation, batch, optimiser, decay, widths and rates in a range at random."""
    rng = np.random.default_rng(seed)
    activation = ("sigmoid", "tanh", "relu", "identity")[seed % 4]
    optimizer = OPTIMIZERS[("sgd", "momentum", "nesterov")[seed % 3]]
    config = Config(activation, 1 if seed % 5 == 1 else int(rng.integers(1, 9)), optimizer)
    widths: Widths = [tuple(int(width) for width in rng.integers(1, 65, depth)) for _ in range(count)]
    low, high = np.log10(rates)
    drawn, decay = 10 ** rng.uniform(low, high, count), 0.001 if seed % 3 == 0 else None
    return networks(seed, widths, dataset, config, drawn, 1, decay, rows)


@pytest.mark.parametrize(
    ("seed", "depth"), [(2, 2), *(pytest.param(depth, depth, marks=pytest.mark.slow) for depth in (0, 1, 3, 4))]
)
def test_the_fused_kernel_equals_the_scan_on_thirty_networks(seed: int, depth: int, singles: Dataset) -> None:
    # A velocity is what is left of gradients that nearly cancel: rounding shows more in it than in the parameters.
    assert_fused_equals_scan(random_networks(seed, 6, depth, singles, rows=150), 1e-5, 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_the_fused_kernel_equals_the_scan_over_a_whole_epoch(seed: int, singles: Dataset) -> None:
    assert_fused_equals_scan(random_networks(seed, 3, seed % 5, singles, rows=None), 1e-5, 1e-3)


def one_unit_away(given: Networks, seed: int) -> Networks:
    """The same networks, every parameter moved to a neighbouring floating-point number."""
    rng = np.random.default_rng(seed)

    def moved(leaf: Any) -> Any:
        to = np.where(rng.random(leaf.shape) < 0.5, -np.inf, np.inf).astype(leaf.dtype)
        return np.where(leaf == 0, leaf, np.nextafter(leaf, to))  # padding stays 0

    return given._replace(state=given.state._replace(params=jax.tree.map(moved, given.state.params)))


def distance(params: Params, expected: Params, trial: int) -> float:
    """Of one network's parameters: the worst leaf's relative difference, by norm."""
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(expected), strict=True)
    return max(float(np.linalg.norm((a - b)[trial]) / np.linalg.norm(b[trial])) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_at_higher_rates_the_kernel_leaves_the_scan_no_further_than_rounding_takes_the_scan_itself(
    seed: int, singles: Dataset
) -> None:
    # At rates of 0.01 to 0.2 some networks are chaotic in float32: two scans whose starts differ by one rounding end
    # 1e-3 or more apart. No other program can come nearer; the calm ones, most of them, agree to 1e-5 there too.
    given = random_networks(seed, 3, seed % 5, singles, None, (0.01, 0.2))
    found, expected = fused(given)[0].params, scanned(given)[0].params
    twins = [scanned(one_unit_away(given, twin))[0].params for twin in range(6)]
    for trial in range(3):
        spread = max(distance(twin, expected, trial) for twin in twins)
        assert distance(found, expected, trial) <= max(1e-5, 3 * spread)


@pytest.mark.slow
def test_in_float64_the_two_agree_at_rates_where_float32_rounding_grows() -> None:
    config = Config("tanh", 4, OPTIMIZERS["nesterov"])
    given = networks(2, [(5, 3), (4, 4), (1, 1)], random_dataset(1, 50), config, [0.5, 0.1, 2.0], decay=0.01)
    assert_fused_equals_scan(given, 1e-11, 1e-11)


@pytest.mark.parametrize("hidden", [(20,), (20, 10), (20, 20, 2)], ids=str)
def test_in_lecture_mode_the_first_epochs_loss_is_the_notebooks(
    hidden: tuple[int, ...], singles: Dataset, reference: dict[tuple[int, ...], dict[str, Any]]
) -> None:
    stream, config = LectureStream(0), Config()
    params = jax.tree.map(lambda leaf: np.asarray(leaf)[None], stream.params((64, *hidden, 10), "float32"))
    hyperparameters = Hyperparameters(as_array([0.2], "float32"), as_array([0], "float32"))
    state = started(params, hyperparameters, config)
    masks = tuple(as_array(np.ones((1, width)), "float32") for width in hidden)
    order, alive = as_array(stream.orders(1, 1497)[None], "int32"), as_array([True], "bool")
    _, losses, _ = fused(Networks(state, singles, order, hyperparameters, config, masks, alive))
    assert float(losses[0, 0]) == pytest.approx(reference[hidden]["loss"][0], rel=1e-4)


def test_the_same_networks_diverge_and_stay_as_they_were() -> None:
    data, rates = random_dataset(3, 40, "float32"), [*np.logspace(-2, 8, 21), np.inf, np.nan, 0.1]
    config = Config("relu", 3, OPTIMIZERS["momentum"])
    given = networks(4, [(5, 3)] * len(rates), data, config, rates)
    given = given._replace(alive=as_array(np.arange(len(rates)) < len(rates) - 1, "bool"))
    state, losses, alive = fused(given)
    expected, expected_losses, expected_alive = scanned(given)
    assert 5 < np.sum(alive) < 20
    assert np.array_equal(alive, expected_alive)
    lost = ~np.asarray(alive[:, 0])
    frozen = functools.partial(jax.tree.map, lambda leaf: leaf[lost])
    assert_agree(frozen(state), frozen(given.state))
    assert_agree(losses[:3], expected_losses[:3], 1e-5)  # the largest finite losses are chaotic
    assert_agree(frozen(state), frozen(expected))


def test_three_epochs_in_one_call_are_three_calls_bit_for_bit() -> None:
    config = Config("sigmoid", 1, OPTIMIZERS["momentum"])
    given = networks(5, [(5,), (3,), (4,)], random_dataset(3, 10, "float32"), config, [0.1, 1e38, 1.0], epochs=3)
    state, losses, alive = fused(given)
    step = given
    for epoch in range(3):
        after = fused(step._replace(orders=given.orders[:, epoch : epoch + 1]))
        assert np.array_equal(after[2][:, 0], alive[:, epoch])
        assert_agree(after[1][step.alive, 0], losses[step.alive, epoch])
        step = step._replace(state=after[0], alive=after[2][:, 0])
    assert_agree(state, step.state)
    assert np.asarray(alive).sum(axis=1).tolist() == [3, 0, 3]


def test_each_network_follows_the_order_of_its_share() -> None:
    config, data = Config("tanh"), random_dataset(3, 10, "float32")
    given = networks(6, [(5,)] * 4, data, config, 0.3)
    orders = as_array([given.orders[0], given.orders[0, :, ::-1]], "int32")
    state = fused(given._replace(orders=orders))[0].params
    for order, own in ((orders[:1], slice(0, 2)), (orders[1:], slice(2, 4))):
        expected = fused(given._replace(orders=order))[0].params
        assert_agree(jax.tree.map(lambda leaf: leaf[own], state), jax.tree.map(lambda leaf: leaf[own], expected))  # noqa: B023
    assert not np.array_equal(state[0].weights, fused(given)[0].params[0].weights)


def cuda_program(function: Any, *arguments: Any) -> str:
    """The StableHLO text of ``function`` for CUDA, by JAX's CPU packages alone."""
    check = jax.export.DisabledSafetyCheck.custom_call("__gpu$xla.gpu.triton")
    return jax.export.export(jax.jit(function), platforms=["cuda"], disabled_checks=[check])(*arguments).mlir_module()


def test_the_fused_kernel_is_exported_for_cuda_as_one_custom_call(singles: Dataset) -> None:
    given = networks(7, [(20,), (13,)], singles, Config())

    def epoch(state: TrainingState, dataset: Dataset, orders: Array, masks: tuple[Array, ...], alive: Array) -> Any:
        return fused_epochs(state, dataset, orders, given.hyperparameters, given.config, masks, alive)

    text = cuda_program(epoch, given.state, singles, given.orders, given.masks, given.alive)
    assert text.count("stablehlo.custom_call @__gpu$xla.gpu.triton") == 1
    assert not [name for name in ("while", "dot_general", "reduce", "exponential") if f"stablehlo.{name}" in text]


def test_what_the_kernel_cannot_train_is_refused_by_name(singles: Dataset) -> None:
    given = networks(8, [(4,), (4,)], random_dataset(3, 10, "float32"), Config())

    def refused(message: str, **changed: Any) -> None:
        arguments = given._replace(**changed)
        with rejects(message):
            fused_epochs(*arguments)

    nobody = networks(8, [(4,)], random_dataset(3, 10, "float32"), Config())
    none = jax.tree.map(lambda leaf: leaf[:0], (nobody.state, nobody.masks, nobody.alive))
    refused("there are 0 networks, expected 1 or more", state=none[0], masks=none[1], alive=none[2])
    refused("is float64, expected float32 as the data", state=jax.tree.map(lambda a: a.astype("float64"), given.state))
    refused("is float64, expected float32 as the data", masks=(given.masks[0].astype("float64"),))
    refused("networks (4, 4, 3) for data (1497, 64)", dataset=singles)
    refused("masks are [(2, 3)], expected one a hidden layer", masks=(given.masks[0][:, :3],))
    refused("orders are int32(3, 1, 10), expected int32 [O, epochs, n], O a divisor of 2",
            orders=np.tile(given.orders, (3, 1, 1)))  # fmt: skip
    refused("orders are float32(1, 1, 10)", orders=given.orders.astype("float32"))
    refused("the fused kernel has no optimiser 'adam'", config=Config(optimizer=OPTIMIZERS["adam"]))
    wide = networks(8, [(512,)], singles, Config())
    refused("64-512-10 takes 49,408 registers of a fused program, expected at most 20,480", **wide._asdict())


def test_what_fits_depends_on_sizes_batches_optimiser_and_dtype() -> None:
    def fits(*sizes: int, dtype: str = "float32", **config: Any) -> bool:
        return fused_refusal(sizes, Config(**config), dtype) is None

    assert fits(64, 20, 10)
    assert fits(64, 20, 20, 2, 10, batch_size=8, optimizer=OPTIMIZERS["nesterov"])
    assert fits(64, 64, 64, 64, 10)
    assert not fits(64, 64, 64, 64, 10, batch_size=2)
    assert not fits(64, 64, 64, 64, 10, optimizer=OPTIMIZERS["momentum"])
    assert not fits(64, 64, 64, 64, 10, dtype="float64")
    assert not fits(784, 128, 10)
