"""Blocks: a lane equals the same network alone, and its bits depend on nothing else."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from jaxmlp import OPTIMIZERS, Hyperparameters, Layer, Params, TrainingConfig, load_digits, train
from jaxmlp.engine import layout
from jaxmlp.lecture import initial_state
from jaxmlp.sweep import Outcome, Trial, make_space
from jaxmlp.sweep.blocks import Block, Data, block_training, hold_out, pack, packing, programs, train_block, train_trial
from jaxmlp.sweep.trial import initial_weights, order_streams
from tests.helpers import assert_agree, random_dataset, rejects

LANES = layout.LANES["cpu"]


# Most tests are of one program, compiled once: 1 hidden layer of 8, sigmoid, 18 rows of float32, room for 32 groups.


@pytest.fixture(scope="module")
def singles() -> Data:
    return jax.tree.map(np.asarray, hold_out(random_dataset(5, 24, "float32"), 6))


@pytest.fixture(scope="module")
def doubles() -> Data:
    return jax.tree.map(np.asarray, hold_out(random_dataset(5, 24), 6))


def alone(trial: Trial, epochs: int, data: Data) -> tuple[Params, Any]:
    """The trial trained by `jaxmlp.train`, without lanes, padding or masks."""
    dtype = data.dataset.x_train.dtype
    params: Any = tuple(  # NumPy's arrays, as below: JAX would compile for every shape that is cast, sliced or filled
        Layer(weights.astype(dtype), np.zeros(len(weights), dtype))  # pyright: ignore[reportArgumentType]
        for weights in initial_weights(trial, 4, 3)
    )
    stream, n = order_streams([trial.seed])[trial.seed], len(data.dataset.labels_train)
    orders: Any = np.stack([stream.permutation(n) for _ in range(epochs)])
    config = TrainingConfig(trial.activation, trial.batch_size, OPTIMIZERS[trial.optimizer])
    hyperparameters = Hyperparameters(trial.learning_rate, trial.momentum or 0.0, trial.weight_decay or None)
    params, history = train(params, data.dataset, orders, hyperparameters, config)
    return params, jax.tree.map(np.asarray, history)


def by_id(blocks: list[Block], epochs: int, data: Data) -> dict[str, Outcome]:
    return {
        trial.id: outcome
        for block in blocks
        for trial, outcome in zip(block.trials, train_block(block, epochs, data), strict=True)
    }


def assert_same_bits(actual: dict[str, Outcome], expected: dict[str, Outcome]) -> None:
    assert actual
    for key, outcome in actual.items():
        assert_agree(outcome[1:], expected[key][1:])
        assert outcome.status == expected[key].status


@pytest.mark.parametrize(
    "trial",
    [
        # Sigmoid: a padded unit that is not masked sends 0.5 on.
        Trial((5, 3), "sigmoid", 1, "nesterov", 0.1, 0.8, 0.01, 1.5, 7),
        Trial((), learning_rate=0.3),
        # 18 rows in batches of 4: a last one of 2.
        Trial((5, 3), "sigmoid", 4, "momentum", 0.1, 0.8, 0.01, 1.5, 7),
        pytest.param(Trial((5, 3), "tanh", 1, "momentum", 0.1, 0.8, 0.01, 1.5, 7), marks=pytest.mark.slow),
        Trial((9,), "relu", 1, learning_rate=0.01),
        pytest.param(Trial((3,), "identity", 1, "adam", 0.01, weight_decay=0.1), marks=pytest.mark.slow),
        pytest.param(Trial((3,), "identity", 6, "adam", 0.01, weight_decay=0.1), marks=pytest.mark.slow),
    ],
    ids=lambda trial: f"{trial.optimizer}-{trial.activation}-{trial.batch_size}",
)
def test_a_lane_equals_the_same_network_alone(trial: Trial, doubles: Data) -> None:
    assert_lane_equals_alone(trial, doubles, 1e-12)


def test_a_lane_equals_the_same_network_alone_in_float32(singles: Data) -> None:
    assert_lane_equals_alone(Trial((5,), learning_rate=0.1, init_scale=1.5, seed=7), singles, 2e-5)


def assert_lane_equals_alone(trial: Trial, data: Data, tolerance: float) -> None:
    # optax's Adam counts its updates in integers and takes powers of them: not a strict program.
    with jax.numpy_dtype_promotion("standard" if trial.optimizer == "adam" else "strict"):
        params, outcome = train_trial(trial, 2, data)
        expected, history = alone(trial, 2, data)
    assert_agree(jax.tree.map(np.asarray, params), jax.tree.map(np.asarray, expected), tolerance)
    assert_agree(outcome.loss, np.asarray(history.loss, np.float64), tolerance)
    assert outcome.train_accuracy == pytest.approx(float(history.train_accuracy[-1]))
    assert outcome.test_accuracy == pytest.approx(float(history.test_accuracy[-1]))
    assert outcome.status == "done"
    # In company of lanes that differ from it in one thing each: every one is itself.
    group = (trial, *(dataclasses.replace(trial, **{name: value}) for name, value in others(trial).items()))
    with jax.numpy_dtype_promotion("standard" if trial.optimizer == "adam" else "strict"):
        block = Block(packing.config_of(trial), (group,), trial.batch_size == 1)
        for lane, found in zip(group, train_block(block, 2, data), strict=True):
            history = alone(lane, 2, data)[1]
            assert_agree(found.loss, np.asarray(history.loss, np.float64), tolerance)
            assert found.train_accuracy == pytest.approx(float(history.train_accuracy[-1]))


def others(trial: Trial) -> dict[str, Any]:
    """Other values for what lanes of one program have of their own; the seed not where the group shares its order."""
    found: dict[str, Any] = {"learning_rate": trial.learning_rate / 2, "init_scale": 0.7}
    found |= {} if trial.momentum is None else {"momentum": 0.3}
    found |= {"weight_decay": 0.1} if trial.weight_decay else {}
    return found | ({} if trial.batch_size == 1 else {"seed": 1})


@pytest.mark.parametrize("batch_size", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_padded_units_stay_zero_however_they_are_trained(batch_size: int, doubles: Data) -> None:
    trial = Trial((5, 3), "sigmoid", batch_size, "nesterov", 0.5, 0.9, 0.01)
    state = block_training._train(Block(packing.config_of(trial), ((trial,),), True), 3, doubles, None)[0].state  # pyright: ignore[reportPrivateUsage]
    first, second, third = jax.tree.map(np.asarray, state.params)  # slices of JAX's arrays would be compiled
    assert first.weights.shape[2:] == (8, 4)
    for padding in (first.weights[0, 0, 5:], first.biases[0, 0, 5:], second.weights[0, 0, 3:],
                    second.weights[0, 0, :, 5:], second.biases[0, 0, 3:],
                    third.weights[0, 0, :, 3:]):  # fmt: skip
        assert not np.any(padding)
    assert np.all(first.weights[0, 0, :5])


def test_every_optimiser_starts_from_zeros() -> None:
    # `block_training.place` lays their states out as zeros.
    for optimizer in OPTIMIZERS.values():
        params: Any = (Layer(np.ones((2, 3)), np.ones(2)),)  # pyright: ignore[reportArgumentType]
        state = initial_state(params, Hyperparameters(0.1, 0.5, 0.1), TrainingConfig(optimizer=optimizer))
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(state.optimizer_state))


@pytest.fixture(scope="module")
def crowd() -> list[Trial]:
    """Widths, rates and seeds mixed: 3 x 3 x 17 trials of one program."""
    space = {"hidden": ["3", "5", "8"], "learning_rate": [0.05, 0.2, 1.0], "seeds": ["0:17"]}
    return make_space(space).trials()


def test_bits_depend_on_the_trial_alone(crowd: list[Trial], singles: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {trial.activation for trial in crowd} == {"sigmoid"}  # computed for all lanes at once
    sweep = by_id(list(pack(crowd, singles, LANES)), 2, singles)
    random = np.random.RandomState(0)
    shuffled = [crowd[number] for number in random.permutation(len(crowd))]
    program = packing.config_of(crowd[0])
    groups = tuple(tuple(shuffled[start : start + 5]) for start in range(0, len(shuffled), 5))
    halves = [Block(program, part, False, capacity=32) for part in (groups[:20], groups[20:])]
    assert_same_bits(by_id(halves, 2, singles), sweep)
    # One order gathered for a whole group gives the bits of an order per lane; as does room for fewer groups.
    one_seed = [trial for trial in crowd if trial.seed == 3]
    (shared,) = pack(one_seed, singles, LANES)
    assert shared.shared
    assert_same_bits(by_id([shared._replace(capacity=1)], 2, singles), sweep)
    assert_same_bits({crowd[50].id: train_trial(crowd[50], 2, singles)[1]}, sweep)
    # One device instead of two: sharded equals unsharded.
    one = Mesh(np.asarray(jax.local_devices()[:1]), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))
    monkeypatch.setattr(layout, "device_mesh", lambda: one)
    assert_same_bits(by_id(list(pack(crowd, singles, LANES)), 2, singles), sweep)


@pytest.mark.slow
def test_bits_of_batches_depend_on_the_trial_alone(singles: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = make_space({"hidden": ["5,4"], "batch_size": [5], "seeds": ["0:20"]}).trials()
    sweep = by_id(list(pack(trials, singles, LANES)), 2, singles)
    for trial in trials[13::20]:
        assert_same_bits({trial.id: train_trial(trial, 2, singles)[1]}, sweep)
    one = Mesh(np.asarray(jax.local_devices()[:1]), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))
    monkeypatch.setattr(layout, "device_mesh", lambda: one)
    assert_same_bits(by_id(list(pack(trials, singles, LANES)), 2, singles), sweep)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 5])
def test_bits_on_the_digits_depend_on_the_trial_alone(batch_size: int) -> None:
    data = jax.tree.map(np.asarray, hold_out(load_digits("float32")))
    space = {"hidden": ["20", "14"], "batch_size": [batch_size], "learning_rate": [0.05, 0.2], "seeds": ["0:6"]}
    trials = make_space(space).trials()
    program = packing.config_of(trials[0])
    sweep = by_id(list(pack(trials, data, LANES)), 1, data)
    shuffled = [trials[number] for number in np.random.RandomState(0).permutation(len(trials))]
    groups = tuple(tuple(shuffled[start : start + 7]) for start in range(0, len(shuffled), 7))
    assert_same_bits(by_id([Block(program, groups, False)], 1, data), sweep)
    one_seed = tuple(trial for trial in trials if trial.seed == 3)
    assert_same_bits(by_id([Block(program, (one_seed,), batch_size == 1)], 1, data), sweep)


def test_neighbours_of_a_trial_that_diverges_keep_every_bit(crowd: list[Trial], singles: Data) -> None:
    calm = crowd[:LANES]
    wild = [dataclasses.replace(trial, learning_rate=1e38) for trial in calm[::3]]
    program = packing.config_of(calm[0])
    expected = by_id([Block(program, (tuple(calm),), False, capacity=32)], 3, singles)
    mixed = [wild[number // 3] if number % 3 == 0 else trial for number, trial in enumerate(calm)]
    found = by_id([Block(program, (tuple(mixed),), False, capacity=32)], 3, singles)
    for trial in wild:
        outcome = found.pop(trial.id)
        assert outcome.status == "diverged"
        assert len(outcome.loss) == len(outcome.validation_loss) == 0
        # Its parameters, and so its accuracies, stay those of the last finite epoch: here, the initial ones.
        first, second = initial_weights(trial, 4, 3)
        for x, labels, share in (
            (singles.dataset.x_test, singles.dataset.labels_test, outcome.test_accuracy),
            (singles.dataset.x_train, singles.dataset.labels_train, outcome.train_accuracy),
        ):
            right = np.argmax(1 / (1 + np.exp(-x @ first.T)) @ second.T, axis=1) == labels
            assert share == pytest.approx(np.mean(right))
    assert_same_bits(found, expected)


def test_a_lane_that_is_not_alive_is_never_trained_nor_one_with_an_infinite_parameter_done(
    crowd: list[Trial], singles: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = block_training.place

    def without_the_second(*arguments: Any) -> Any:
        lanes, settings = place(*arguments)
        np.asarray(lanes.alive)[0, 1] = False
        np.asarray(lanes.state.params[0].biases)[0, 2, 0] = -np.inf  # a unit that is off: no loss sees it
        return lanes, settings

    monkeypatch.setattr(block_training, "place", without_the_second)
    block = Block(packing.config_of(crowd[0]), (tuple(crowd[:3]),), False, capacity=32)
    after, measures, *_ = block_training._train(block, 2, singles, None)  # pyright: ignore[reportPrivateUsage]
    assert np.asarray(measures.alive)[0, :3].tolist() == [[True, True], [False, False], [False, False]]
    assert np.all(np.isfinite(np.asarray(measures.loss)[0, :3]))
    for number, weights in enumerate(initial_weights(crowd[1], 4, 3)):
        n_out, n_in = weights.shape
        found = np.asarray(after.state.params[number].weights)[0, :3, :n_out, :n_in]
        assert_agree(found[1], weights.astype("float32"))
        assert np.all(found[0] != found[1])


@pytest.fixture
def nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process. What then comes from the compilation cache is logged as if it had been compiled."""
    monkeypatch.setattr(programs, "_COMPILED", {})
    jax.clear_caches()


@pytest.mark.usefixtures("nothing_compiled")
def test_a_sweep_compiles_once_a_program(singles: Data, caplog: pytest.LogCaptureFixture) -> None:
    space = make_space({"hidden": [str(width) for width in (2, 4, 6, 7, 8, 20, 24, 32, 40, 64)],
                        "learning_rate": [0.1 * n for n in range(1, 11)], "seeds": ["0:10"]})  # fmt: skip
    packed = list(pack(space.trials(), singles, LANES))
    assert sum(len(block.trials) for block in packed) == 1000
    assert len({(block.config, block.shared) for block in packed}) == 4
    eight = [block for block in packed if block.config.widths == (8,)]
    with jax.log_compiles(), caplog.at_level("WARNING"):
        for block in eight:
            train_block(block, 1, singles)
        train_block(eight[0], 3, singles)  # more epochs compile nothing
    assert compilations(caplog) == 2  # what trains, and what measures


def compilations(caplog: pytest.LogCaptureFixture) -> int:
    return sum("XLA compilation of jit(run_block)" in line for line in caplog.messages)


@pytest.mark.usefixtures("nothing_compiled")
def test_networks_of_all_activations_share_a_program_and_all_optimisers_what_measures(
    doubles: Data, caplog: pytest.LogCaptureFixture
) -> None:
    shared: dict[str, Any] = {"hidden": ["7"], "activation": ["sigmoid", "tanh", "relu", "identity"]}
    kinds = [
        make_space({**shared, "batch_size": [size], "optimizer": [name]})
        for size, name in ((2, "sgd"), (3, "momentum"))
    ]
    with jax.log_compiles(), caplog.at_level("WARNING"):
        for block in pack([trial for kind in kinds for trial in kind.trials()], doubles, LANES):
            train_block(block, 1, doubles)
    assert compilations(caplog) == 2 + 1


def two_seeds() -> list[Trial]:
    """Of the program that the crowd has."""
    return [Trial((6,)), Trial((6,), seed=1)]


@pytest.mark.usefixtures("nothing_compiled")
def test_what_was_compiled_ahead_is_not_compiled_again(singles: Data, caplog: pytest.LogCaptureFixture) -> None:
    (block,) = pack(two_seeds(), singles, LANES)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        pool = programs.compile_ahead([lambda: block_training.compile_block(block, singles)] * 3)
        pool.shutdown()  # waits for them; what their threads compile is not logged
        train_block(block, 1, singles)
    assert compilations(caplog) == 0


@pytest.mark.usefixtures("nothing_compiled")
def test_a_program_that_could_not_be_compiled_is_tried_again(singles: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = pack(two_seeds(), singles, LANES)
    with monkeypatch.context() as broken:
        broken.setattr(programs.engine, "run_block", None)
        with pytest.raises(AttributeError):
            train_block(block, 1, singles)
    assert [outcome.status for outcome in train_block(block, 1, singles)] == ["done"] * 2


@pytest.mark.parametrize(("batch_size", "lanes"), [(1, 1), (6, 2)])
def test_a_large_network_is_trained_with_few_beside_it_or_none(doubles: Data, batch_size: int, lanes: int) -> None:
    # Two groups: as many as one trial has room for on two devices, so that one program trains both.
    seeds = range(2 if lanes == 1 else 3)
    trials = [Trial((1500,), "tanh", batch_size, learning_rate=0.01, seed=seed) for seed in seeds]
    (block,) = pack(trials, doubles, LANES)
    assert (block.lanes, [len(group) for group in block.groups]) == (lanes, [1, 1] if lanes == 1 else [2, 1])
    for trial, outcome in zip(trials, train_block(block, 2, doubles), strict=True):
        assert_agree(outcome.loss, alone(trial, 2, doubles)[1].loss, 1e-11)
        assert_same_bits({"": train_trial(trial, 2, doubles)[1]}, {"": outcome})


@pytest.mark.slow
def test_the_shape_of_a_block_keeps_within_its_memory(doubles: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = pack([Trial((5,))], doubles, LANES)
    one_group = packing.bytes_per_group(block.config, doubles, LANES) + 2 * 18 * LANES * 4  # and orders
    for limit, groups in ((2**29, layout.GROUPS), (4 * one_group, 4)):
        monkeypatch.setattr(layout, "MAX_BYTES", limit)
        (block,) = pack([Trial((5,))], doubles, LANES)
        assert block_training._train(block, 1, doubles, None)[0].alive.shape == (groups, LANES)  # pyright: ignore[reportPrivateUsage]


def test_packing_fills_groups_and_shares_orders_where_seeds_allow(doubles: Data) -> None:
    rates: list[Any] = [0.01 * n for n in range(1, 33)]
    (block,) = pack(make_space({"learning_rate": rates, "seeds": ["0:3"]}).trials(), doubles, LANES)
    assert block.shared
    assert [len({trial.seed for trial in group}) for group in block.groups] == [1] * 6
    (block,) = pack(make_space({"learning_rate": rates[:10], "seeds": ["0:8"]}).trials(), doubles, LANES)
    assert not block.shared
    assert [len(group) for group in block.groups] == [16] * 5
    assert len(list(pack(make_space({"seeds": ["0:1300"]}).trials(), doubles, LANES))) == 3


def test_what_cannot_be_trained_is_refused_before_anything_is_compiled(doubles: Data) -> None:
    with rejects("make blocks of"):
        list(pack([Trial((40000, 8000))], doubles, LANES))
    with rejects("batch size is 19, expected at most 18"):
        list(pack([Trial(batch_size=19)], doubles, LANES))
    with rejects("validation rows are 18, expected 0..17"):
        hold_out(jax.tree.map(jnp.asarray, doubles.dataset), 18)


def test_without_validation_rows_there_are_no_validation_measures() -> None:
    data = jax.tree.map(np.asarray, hold_out(random_dataset(5, 18, "float32"), 0))
    outcome = train_trial(Trial((5,)), 2, data)[1]
    assert np.all(np.isnan(outcome.validation_loss))
    assert np.all(np.isfinite(outcome.loss))
