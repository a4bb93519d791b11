"""What training does, for any data; `test_lecture` holds it to the lecture's numbers."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

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
    train,
)
from jaxmlp.lecture import TrainingState, initial_state, sgd, train_epochs
from jaxmlp.lecture.training import update
from tests import oracle
from tests.helpers import as_params, assert_agree, random_dataset, random_params, rejects, worked_by_hand

SIZES = (4, 5, 3)  # as other files, for one program
RATE = Hyperparameters(0.3)


def oracle_data(dataset: Dataset) -> oracle.Data:
    x_train, _, labels_train, x_test, _, labels_test = map(np.asarray, dataset)
    return oracle.Data(x_train, labels_train, x_test, labels_test, dataset.y_train.shape[1])


def momentum(hyperparameters: Hyperparameters) -> optax.GradientTransformation:
    return optax.sgd(hyperparameters.learning_rate, momentum=0.9)


LECTURE, MOMENTUM = TrainingConfig(), TrainingConfig("relu", 5, momentum)  # of 12 rows: the last batch of 5 has 2
configs = pytest.mark.parametrize("config", [LECTURE, MOMENTUM], ids=["lecture", "momentum"])


def assert_trains_as_the_oracle(
    dataset: Dataset, sizes: tuple[int, ...], seed: int, rate: float, batch_size: int, activation: str, by_hand: bool
) -> None:
    expected = oracle.train(oracle_data(dataset), sizes, seed, rate, 2, batch_size, activation)
    stream, make = LectureStream(seed), hand_derived_gradient if by_hand else automatic_gradient
    params, history = train(
        stream.params(sizes, "float64"), dataset, stream.orders(2, len(dataset.labels_train)), Hyperparameters(rate),
        TrainingConfig(activation, batch_size), make(activation),
    )  # fmt: skip
    assert_agree(params, as_params(expected.params), 1e-10)
    assert_agree(history, History(expected.loss, expected.train_accuracy, expected.test_accuracy), 1e-10)


@pytest.mark.parametrize(
    ("activation", "batch_size"),  # of 75 rows: the last batch of 7 has 5, that of 32 has 11
    [("identity", 1), ("sigmoid", 7), ("relu", 32), ("tanh", 75)],
)
def test_training_meets_the_lectures_arithmetic_for_every_activation_and_batch_size(
    activation: str, batch_size: int
) -> None:
    by_hand = activation in ("identity", "tanh")
    assert_trains_as_the_oracle(random_dataset(1, 75), SIZES, batch_size, 0.1, batch_size, activation, by_hand)


@pytest.mark.parametrize(
    ("hidden", "seed", "rate"), [((), 3, 0.05), ((7,), 1, 0.5), ((12, 5), 2**32 - 1, 0.01), ((3, 9, 4), 77, 1.0)]
)
def test_training_meets_the_lectures_arithmetic_for_other_widths_seeds_and_rates(
    digits: Dataset, hidden: tuple[int, ...], seed: int, rate: float
) -> None:
    some = Dataset(*(jnp.asarray(np.asarray(array)[:60]) for array in digits))
    assert_trains_as_the_oracle(some, (64, *hidden, 10), seed, rate, 1, "sigmoid", by_hand=len(hidden) % 2 == 0)


def test_update_worked_by_hand() -> None:
    # W_1 = (0.5, -0.25) - 0.5 (0.411980, 0.823959) = (0.294010, -0.661980), b_1 = -0.5 * 0.411980 = -0.205990,
    # W_2 = (2 ln 3, 0) - 0.5 (0.375, -0.375) = (2.009725, 0.1875), b_2 = -0.5 (0.75, -0.75) = (-0.375, 0.375).
    worked, rate = worked_by_hand(), Hyperparameters(0.5)
    state = initial_state(worked.params, rate, TrainingConfig())
    (params, _), loss = update(state, worked.x[None], worked.y[None], hand_derived_gradient(), sgd(rate))
    assert_agree(loss, worked.loss, 1e-15)
    (w_1, b_1), (w_2, b_2) = params
    np.testing.assert_allclose(w_1, [[0.294010, -0.661980]], atol=1e-6)
    np.testing.assert_allclose(b_1, [-0.205990], atol=1e-6)
    np.testing.assert_allclose(w_2, [[2.009725], [0.1875]], atol=1e-6)
    np.testing.assert_allclose(b_2, [-0.375, 0.375], atol=1e-6)


@configs
def test_the_compiled_scan_equals_a_plain_loop_over_updates(config: TrainingConfig) -> None:
    dataset, params, orders = random_dataset(2), random_params(3, SIZES), KeyStream(0).orders(2, 12)
    gradient_function = automatic_gradient(config.activation)
    step = jax.jit(lambda state, x, y: update(state, x, y, gradient_function, config.optimizer(RATE)))
    state, losses = initial_state(params, RATE, config), []
    for order in np.asarray(orders):
        total = 0.0
        for start in range(0, 12, config.batch_size):
            rows = order[start : start + config.batch_size]
            state, loss = step(state, np.asarray(dataset.x_train)[rows], np.asarray(dataset.y_train)[rows])
            total += float(loss) * len(rows)
        losses.append(total / 12)
    trained, history = train(params, dataset, orders, RATE, config)
    assert_agree(trained, state.params, 1e-13)
    assert_agree(history.loss, np.array(losses), 1e-13)


def test_a_users_optimiser_carries_its_state_from_update_to_update() -> None:
    dataset, params, orders = random_dataset(2), random_params(3, SIZES), KeyStream(0).orders(2, 12)
    gradient_function = jax.jit(automatic_gradient("relu"))
    expected = jax.tree.map(np.asarray, params)
    velocity = jax.tree.map(np.zeros_like, expected)
    for order in np.asarray(orders):
        for rows in (order[:5], order[5:10], order[10:]):
            batch = np.asarray(dataset.x_train)[rows], np.asarray(dataset.y_train)[rows]
            _, gradient = gradient_function(expected, *batch)
            velocity = jax.tree.map(lambda v, g: 0.9 * v + np.asarray(g), velocity, gradient)
            expected = jax.tree.map(lambda p, v: p - 0.3 * v, expected, velocity)
    assert_agree(train(params, dataset, orders, RATE, MOMENTUM)[0], expected, 1e-12)


@configs
def test_training_in_chunks_is_training_at_once_and_two_runs_are_the_same_bits(config: TrainingConfig) -> None:
    dataset, params, orders = random_dataset(2), random_params(3, SIZES), np.asarray(KeyStream(0).orders(2, 12))

    def run(orders: Any, state: TrainingState) -> tuple[TrainingState, History]:
        return train_epochs(state, dataset, jnp.asarray(orders), RATE, config, automatic_gradient(config.activation))

    start = initial_state(params, RATE, config)
    whole = run(orders, start)
    assert_agree(run(orders, start), whole)
    state, first = run(orders[:1], start)
    state, second = run(orders[1:], state)
    assert_agree((state, jax.tree.map(lambda *rows: np.concatenate(rows), first, second)), whole)


def test_an_order_cut_short_ends_the_epoch_there() -> None:
    dataset, params, orders = random_dataset(2), random_params(3, SIZES), np.asarray(KeyStream(0).orders(1, 12))
    halfway, first = train(params, dataset, jnp.asarray(orders[:, :6]), RATE)
    trained, second = train(halfway, dataset, jnp.asarray(orders[:, 6:]), RATE)
    expected, history = train(params, dataset, jnp.asarray(orders), RATE)
    assert_agree(trained, expected, 1e-13)
    assert_agree((np.asarray(first.loss) + np.asarray(second.loss)) / 2, history.loss, 1e-13)


@pytest.mark.parametrize(
    ("config", "rate"),
    [(LECTURE, 0.3), (LECTURE, jnp.float64(0.3)), (MOMENTUM, np.float64(0.3))],
    ids=["number", "array", "scalar"],
)
def test_float32_in_gives_float32_out_though_64_bits_are_on(config: TrainingConfig, rate: Any) -> None:
    single, double = (
        train(random_params(3, SIZES, dtype), random_dataset(2, dtype=dtype), KeyStream(0).orders(2, 12), given, config)
        for dtype, given in (("float32", Hyperparameters(rate)), ("float64", RATE))
    )
    assert_agree(single, jax.tree.map(lambda leaf: np.asarray(leaf, "float32"), double), 1e-4)


def test_a_users_gradient_function_trains_and_a_new_learning_rate_or_seed_compiles_nothing() -> None:
    traced: list[tuple[int, ...]] = []

    def counting(params: Params, x: jax.Array, y: jax.Array) -> tuple[jax.Array, Params]:
        traced.append(x.shape)
        loss, gradient = automatic_gradient()(params, x, y)
        return loss, jax.tree.map(lambda leaf: 2 * leaf, gradient)

    def run(seed: int, rate: float, gradient_function: Any) -> tuple[Params, History]:
        stream = KeyStream(seed)
        params, orders = stream.params(SIZES, "float64"), stream.orders(2, 12)
        return train(params, random_dataset(seed), orders, Hyperparameters(rate), gradient_function=gradient_function)

    doubled = run(0, 0.1, counting)
    once = len(traced)
    assert once >= 1
    for seed, rate in ((0, 0.3), (1, 0.1), (9, 1e-3)):
        run(seed, rate, counting)
    assert len(traced) == once
    assert_agree(doubled, run(0, 0.2, automatic_gradient()), 1e-13)  # twice the gradient is twice the rate


def test_by_default_training_is_the_lectures() -> None:
    stream, dataset = LectureStream(0), random_dataset(0)
    params, orders = stream.params(SIZES, "float64"), stream.orders(2, 12)
    spelled_out = train(
        params, dataset, orders, Hyperparameters(0.2), TrainingConfig("sigmoid", 1, sgd), automatic_gradient("sigmoid")
    )
    assert_agree(train(params, dataset, orders), spelled_out)


ORDERS = np.tile(np.arange(12, dtype="int32"), (2, 1))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hyperparameters": Hyperparameters(-0.2)}, "learning rate is -0.2, expected a positive finite number"),
        ({"hyperparameters": Hyperparameters(0.0)}, "learning rate is 0.0, expected a positive finite number"),
        ({"hyperparameters": Hyperparameters(float("nan"))}, "learning rate is nan"),
        ({"hyperparameters": Hyperparameters(float("inf"))}, "learning rate is inf"),
        ({"hyperparameters": Hyperparameters(jnp.ones(2))}, "learning rate is [1. 1.], expected a positive"),
        ({"orders": ORDERS[:0]}, "orders have dtype int32 and shape (0, 12), expected integers [epochs, n]"),
        ({"epochs": 0}, "epochs is 0, expected a whole number, 1 or more"),
        ({"epochs": 2.5}, "epochs is 2.5, expected a whole number, 1 or more"),
        ({"seed": -1}, "seed is -1, expected 0..4294967295"),
        ({"orders": ORDERS, "seed": 0}, "epochs are None and seed is 0, expected neither beside orders"),
        ({"config": TrainingConfig(batch_size=0)}, "batch size is 0, expected 1..12, the number of training samples"),
        ({"config": TrainingConfig(batch_size=-3)}, "batch size is -3, expected 1..12"),
        ({"config": TrainingConfig(batch_size=13)}, "batch size is 13, expected 1..12"),
        ({"config": TrainingConfig("swish")}, "activation is 'swish', expected one of identity, sigmoid, tanh, relu"),
        (
            {"config": TrainingConfig(("tanh", "tanh"))},
            "2 activations given, expected one, or one for each of 1 hidden layers",
        ),
        ({"params": random_params(0, (6, 5, 3))}, "network (6, 5, 3) for data with 4 inputs and 3 classes"),
        ({"params": random_params(0, (4, 5, 2))}, "network (4, 5, 2) for data with 4 inputs and 3 classes"),
        ({"params": random_params(0, SIZES, "float32")}, "parameters are float32, expected float64 as the data"),
        ({"dataset": random_dataset(0, 12, "float32")}, "parameters are float64, expected float32 as the data"),
        ({"orders": ORDERS[0]}, "orders have dtype int32 and shape (12,), expected integers [epochs, n]"),
        ({"orders": ORDERS.astype("float64")}, "orders have dtype float64 and shape (2, 12)"),
        ({"orders": ORDERS + 1}, "orders name rows outside 0..11, the training rows"),
        ({"orders": ORDERS - 1}, "orders name rows outside 0..11, the training rows"),
        ({"orders": ORDERS[:, :0]}, "orders have"),
        ({"dataset": random_dataset(0)._replace(x_test=jnp.full((5, 4), jnp.nan))}, "test input [0, 0] is nan"),
        ({"params": (*random_params(0, (4, 6)), *random_params(0, (5, 3)))}, "layer"),
        ({"params": ()}, "layer"),
    ],
)
def test_what_training_cannot_use_is_rejected(changed: dict[str, Any], message: str) -> None:
    usable: dict[str, Any] = {"params": random_params(0, SIZES), "dataset": random_dataset(0), "orders": ORDERS}
    arguments = usable | changed
    if not {"epochs", "seed"} & set(changed) or "orders" in changed:
        arguments["orders"] = jnp.asarray(arguments["orders"])
    else:
        del arguments["orders"]
    with rejects(message):
        train(**arguments)


# What people hand over, and what they are told.


def by_numpy(params: Any, x: Any, _: Any) -> Any:
    return np.tanh(np.asarray(x)).sum(), params


NUMPY = (
    "the gradient function cannot be compiled: it uses NumPy, or asks for values; expected jax.numpy alone: training "
    "compiles it, check_gradient checks NumPy's as they are"
)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"config": TrainingConfig("tanh"), "gradient_function": hand_derived_gradient()},
         "the gradient function is made for ('sigmoid', 'softmax'), expected ('tanh', 'softmax')"),
        ({"config": TrainingConfig("tanh"), "gradient_function": jax.jit(automatic_gradient("relu"))},
         "is made for ('relu', 'softmax'), expected ('tanh', 'softmax')"),
        ({"gradient_function": by_numpy}, NUMPY),
        ({"gradient_function": lambda one: one}, "the gradient function fails: "),
        ({"gradient_function": lambda *given: (given[1].sum(), [given[0]])}, "function returns something else"),
        ({"gradient_function": lambda *given: (given[1], given[0])}, "expected (loss, gradient), a pytree as params"),
        ({"gradient_function": lambda *given: given[1].sum()}, "expected (loss, gradient), a pytree as params"),
        ({"hyperparameters": 0.1}, "hyperparameters is 0.1, expected Hyperparameters(learning_rate, ..)"),
        ({"hyperparameters": Hyperparameters(1e39)}, "learning rate is 1e+39, expected 1.4e-45 to 3.4e+38, which"),
        ({"orders": 3}, "orders is 3, expected integers [epochs, n]"),
        ({"orders": [[0.5]]}, "orders have dtype float"),
        ({"config": "tanh"}, "config is 'tanh', expected TrainingConfig("),
        ({"config": TrainingConfig(optimizer=cast(Any, "adam"))},
         "optimizer is 'adam', expected a function such as OPTIMIZERS['adam']"),
        ({"config": TrainingConfig(cast(Any, 3))}, "activation is 3, expected one of"),
        ({"params": [1]}, "params is [1], expected a tuple of Layer"),
        ({"params": (1,)}, "params is 1, expected a tuple of Layer(weights, biases)"),
        ({"dataset": (1, 2)}, "dataset is (1, 2), expected a Dataset, as load_digits or load_table give"),
    ],
)  # fmt: skip
def test_what_training_cannot_use_is_one_line(given: dict[str, Any], said: str) -> None:
    arguments: Any = {"params": random_params(0, (4, 5, 3), "float32"), "dataset": random_dataset(0, 6, "float32"),
                 "orders": np.zeros((1, 6), np.int32), **given}  # fmt: skip
    with rejects(said):
        train(**arguments)


def test_orders_may_be_a_list_and_a_gradient_of_ones_own_trains() -> None:
    params, dataset = random_params(0, (4, 5, 3), "float32"), random_dataset(0, 6, "float32")

    def mine(params: Any, x: Any, y: Any) -> Any:
        return automatic_gradient()(params, x, y)

    ours = train(params, dataset, jnp.arange(6)[None])
    assert_agree(train(params, dataset, [[0, 1, 2, 3, 4, 5]], gradient_function=mine), ours)  # pyright: ignore[reportArgumentType]
