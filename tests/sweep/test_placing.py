"""Packing and placing: which trials share a program, and what stands in the lane of each. Nothing is compiled."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import load_digits
from jaxmlp.engine import layout
from jaxmlp.sweep import Trial
from jaxmlp.sweep.blocks import Block, Data, SweepJob, block_training, data_hash, hold_out, pack, packing
from jaxmlp.sweep.blocks.measures import Measures, columns
from jaxmlp.sweep.trial import initial_weights
from tests.helpers import assert_agree, random_dataset, rejects

LANES = layout.LANES["cpu"]

BASE = Trial((2, 3), "tanh", 4, "momentum", 0.1, 0.8, 0.01, 1.5, 7)
# One program for all: what differs is what a lane has of its own.
OWN: dict[str, Any] = {
    "hidden": (3, 2), "learning_rate": 0.3, "momentum": 0.5, "weight_decay": 0.02, "init_scale": 0.5, "seed": 8,
}  # fmt: skip
CROWD = [BASE, *(dataclasses.replace(BASE, **{name: value}) for name, value in OWN.items())]


@pytest.fixture(scope="module")
def data() -> Data:
    return jax.tree.map(np.asarray, hold_out(random_dataset(5, 24), 6))


def test_the_last_training_rows_are_held_out() -> None:
    dataset = jax.tree.map(np.asarray, random_dataset(5, 12))
    found = hold_out(dataset, 5)
    for name, part in zip(("x", "y", "labels"), found.validation, strict=True):
        whole = getattr(dataset, f"{name}_train")
        assert_agree(part, whole[7:])
        assert_agree(getattr(found.dataset, f"{name}_train"), whole[:7])
        assert_agree(getattr(found.dataset, f"{name}_test"), getattr(dataset, f"{name}_test"))
    samples = columns(found)
    for (x, labels), rows in (
        (samples.train, (dataset.x_train[:7], dataset.labels_train[:7])),
        (samples.validation, (dataset.x_train[7:], dataset.labels_train[7:])),
        (samples.test, (dataset.x_test, dataset.labels_test)),
    ):
        assert_agree((x.T, labels), rows)
    assert len(hold_out(dataset, 11).dataset.labels_train) == 1
    assert len(hold_out(jax.tree.map(np.asarray, random_dataset(5, 310))).validation.labels) == 300
    for count in (12, -1):
        with rejects(f"validation rows are {count}, expected 0..11"):
            hold_out(dataset, count)


def test_the_hash_of_data_sees_every_number_the_type_and_the_rows_that_validate() -> None:
    dataset = jax.tree.map(np.asarray, random_dataset(5, 12))
    found = hold_out(dataset, 5)
    others = [hold_out(dataset, 4), jax.tree.map(lambda leaf: leaf.view(leaf.dtype.newbyteorder()), found)]
    leaves, structure = jax.tree.flatten(found)
    for number, leaf in enumerate(leaves):
        changed = leaf.copy()
        changed.flat[-1] += 1
        others.append(jax.tree.unflatten(structure, [*leaves[:number], changed, *leaves[number + 1 :]]))
    others.append(found._replace(validation=found.validation._replace(x=found.validation.x.reshape(4, 5))))
    hashes = [data_hash(each) for each in others]
    assert len({data_hash(found), *hashes}) == len(others) + 1
    assert data_hash(jax.tree.map(jnp.asarray, found)) == data_hash(found)
    assert all(len(each) == 16 for each in hashes)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("hidden", (9, 3), SweepJob((20, 8), "tanh", 4, "momentum", True)),
        ("hidden", (3,), SweepJob((8,), "tanh", 4, "momentum", True)),
        ("activation", "relu", SweepJob((8, 8), "relu", 4, "momentum", True)),
        ("batch_size", 5, SweepJob((8, 8), "tanh", 5, "momentum", True)),
        ("optimizer", "nesterov", SweepJob((8, 8), "tanh", 4, "nesterov", True)),
        ("weight_decay", 0.0, SweepJob((8, 8), "tanh", 4, "momentum", False)),
    ],
)
def test_trials_of_another_program_are_in_a_block_of_their_own(
    data: Data, field: str, value: Any, expected: SweepJob
) -> None:
    other = dataclasses.replace(BASE, **{field: value})
    first, second = pack([BASE, other, *CROWD[1:]], data, LANES)
    mixed = field == "activation"
    assert first == Block(
        SweepJob((8, 8), "tanh", 4, "momentum", True), (tuple(CROWD),), False, (), LANES, layout.GROUPS, mixed
    )
    assert second == Block(expected, ((other,),), False, (), LANES, layout.GROUPS, mixed)


def test_groups_have_a_seed_each_where_few_lanes_stay_empty(data: Data) -> None:
    def of(*seeds: int) -> list[Trial]:
        return [Trial(learning_rate=0.1 + number, seed=seed) for number, seed in enumerate(seeds)]

    # Two lanes per group. Of 40 trials with 19 and 21, one group more than needed: 2 empty lanes are 5 %; of 38, more.
    (shared,) = pack(of(*[0] * 19, *[1] * 21), data, 2)
    assert shared.shared
    assert [len({trial.seed for trial in group}) for group in shared.groups] == [1] * 21
    (mixed,) = pack(of(*[0] * 19, *[1] * 19), data, 2)
    assert not mixed.shared
    assert [len(group) for group in mixed.groups] == [2] * 19
    # Trials of a seed come together, groups in the sequence in which the seeds were met.
    (block,) = pack(of(5, 3, 5, 3), data, 2)
    assert [[trial.seed for trial in group] for group in block.groups] == [[5, 5], [3, 3]]
    assert [trial.learning_rate for trial in block.trials] == [0.1, 2.1, 1.1, 3.1]
    batches = [dataclasses.replace(trial, batch_size=2) for trial in of(5, 3, 5, 3)]
    assert [block.shared for block in pack(batches, data, 2)] == [False]
    assert len(list(pack([Trial(batch_size=18)], data, 2))) == 1  # of all 18 training rows


def test_a_blocks_groups_fit_its_memory(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    config = packing.config_of(Trial((5,)))
    # 4 inputs, 8 padded units, 3 classes: 8 x 5 + 3 x 9 = 67 numbers, 3 copies and the optimiser's own.
    for optimizer, copies in (("sgd", 3), ("momentum", 4), ("nesterov", 4), ("adam", 5)):
        own = dataclasses.replace(config, optimizer=optimizer)
        assert packing.bytes_per_group(own, data, 16) == 67 * copies * 16 * 8
    networks = 67 * 3 * 16 * 8
    size = networks + 2 * 18 * 16 * 4  # and two epochs' orders of 18 rows
    for limit, groups in ((3 * size, 3), (3 * size - 1, 2), (10**9, 32), (size - 1, 1), (1, 1)):
        monkeypatch.setattr(layout, "MAX_BYTES", limit)
        assert packing.groups_per_block(config, data, 16) == groups
        assert len(list(pack([Trial((5,), seed=seed) for seed in range(16 * 32)], data, 16))) == -(-32 // groups)
    monkeypatch.setattr(packing, "MAX_GROUP_BYTES", networks)
    packing.groups_per_block(config, data, 16)
    monkeypatch.setattr(packing, "MAX_GROUP_BYTES", networks - 1)
    with rejects("hidden widths (8,) make blocks of"):
        packing.groups_per_block(config, data, 16)


def test_as_many_networks_go_together_as_a_cores_cache_holds() -> None:
    digits = jax.tree.map(np.asarray, hold_out(load_digits("float32")))

    def lanes(hidden: tuple[int, ...], batch_size: int, optimizer: str, most: int = 16) -> int:
        config = packing.config_of(Trial(hidden, batch_size=batch_size, optimizer=optimizer))
        return packing.lanes_for(config, digits, most)

    # One sample per update, interleaved or alone: 64-64-10 has 4,810 numbers of 4 bytes, and Adam's two beside each.
    assert [lanes((64,), 1, each) for each in ("sgd", "momentum", "adam")] == [16, 1, 1]
    assert [lanes((20,), 1, each) for each in ("sgd", "momentum", "adam")] == [16, 16, 16]
    # Batches: the gradient and the state before are there too.
    assert [lanes((64,), 32, each) for each in ("sgd", "momentum", "adam")] == [16, 8, 8]
    assert [lanes((width,), 32, "sgd") for width in (20, 128, 512, 30_000)] == [16, 8, 2, 1]
    assert [lanes((width,), 32, "sgd", 1024) for width in (20, 128, 512, 30_000)] == [1024, 1024, 1024, 16]


def test_a_large_block_has_room_for_no_more_than_there_is() -> None:
    digits = jax.tree.map(np.asarray, hold_out(load_digits("float32")))
    for width, count, capacity in ((20, 1, 32), (20, 600, 32), (2000, 1, 1), (2000, 3, 4), (2000, 300, 32)):
        blocks = list(pack([Trial((width,), batch_size=9, seed=seed) for seed in range(count)], digits, 16))
        assert {block.capacity for block in blocks} == {capacity}
        assert max(len(block.groups) for block in blocks) <= capacity


def test_each_lane_has_its_own_trials_weights_masks_and_settings(data: Data) -> None:
    groups, slots = tuple((BASE, other) for other in CROWD[1:]), [7, 5, 3, 1, 0, 2]
    where = layout.Layout((8, 3), slots, np.zeros(1, np.int32))
    lanes, settings = block_training.place(Block(packing.config_of(BASE), groups, False), data, where)
    taken = {(slot, lane): trial for slot, group in zip(slots, groups, strict=True) for lane, trial in enumerate(group)}
    rate, momentum, decay = settings.hyperparameters
    for at in np.ndindex(8, 3):
        trial = taken.get(at)
        own = [trial.learning_rate, trial.momentum, trial.weight_decay] if trial else [0, 0, 0]
        assert [np.asarray(value)[at] for value in (rate, momentum, decay)] == own
        assert lanes.alive[at] == (trial is not None)
        for mask, width in zip(settings.masks, trial.hidden if trial else (0, 0), strict=True):
            assert_agree(mask[at], (np.arange(8) < width).astype(float))
        weights = initial_weights(trial, 4, 3) if trial else [np.zeros((0, 0))] * 3
        for layer, values in zip(lanes.state.params, weights, strict=True):
            expected = np.zeros(layer.weights[at].shape)
            expected[: values.shape[0], : values.shape[1]] = values
            assert_agree(layer.weights[at], expected)
            assert not np.any(layer.biases[at])
    shapes = [layer.weights.shape for layer in lanes.state.params]
    assert shapes == [(8, 3, 8, 4), (8, 3, 8, 8), (8, 3, 3, 8)]
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(lanes.state.optimizer_state))


def test_without_momentum_or_decay_a_lane_has_none(data: Data) -> None:
    trial = Trial((3,))
    where = layout.Layout((1, 2), [0], np.zeros(1, np.int32))
    _, settings = block_training.place(Block(packing.config_of(trial), ((trial,),), True), data, where)
    assert np.asarray(settings.hyperparameters.momentum).tolist() == [[0, 0]]
    assert settings.hyperparameters.weight_decay is None


@pytest.mark.parametrize("shared", [False, True])
def test_each_lane_follows_the_orders_of_its_own_seed(shared: bool) -> None:
    groups = tuple(tuple(Trial((n,), seed=seed) for n in (2, 3)) for seed in (4, 6))
    if not shared:
        groups = ((groups[0][0], groups[1][0]), (groups[1][1],))
    block = Block(packing.config_of(groups[0][0]), groups, shared)
    drawn = list(block_training._orders(block, 3, [1, 0], (3, 2, 7)))  # pyright: ignore[reportPrivateUsage]
    streams = {seed: np.random.RandomState((seed, 2**32 - 1)) for seed in (4, 6)}
    assert len(drawn) == 3
    for orders in drawn:
        expected = {seed: stream.permutation(7).tolist() for seed, stream in streams.items()}
        nothing = [0] * 7
        rows = [[expected[6], nothing], [expected[4], expected[6]], [nothing, nothing]]
        if shared:
            rows = [[expected[6]], [expected[4]], [nothing]]
        assert orders.tolist() == rows


def test_an_outcome_is_of_the_finite_epochs_of_its_own_lane() -> None:
    # Two groups of two lanes, three epochs; lane (1, 0) is no longer finite in the third.
    numbers = np.arange(5 * 12, dtype=np.float32).reshape(5, 2, 2, 3)
    alive = np.ones((2, 2, 3), bool)
    alive[1, 0, 2] = False
    leaves: Any = [*numbers, alive]
    measures = Measures(*leaves)
    outcome = block_training._outcome  # pyright: ignore[reportPrivateUsage]
    stopped, whole = (outcome(measures, at, np.empty((3, 0))) for at in ((1, 0), (0, 1)))
    assert (whole.status, whole.loss.tolist(), whole.validation_loss.tolist()) == ("done", [3, 4, 5], [15, 16, 17])
    assert (whole.validation_accuracy.tolist(), *whole[4:]) == ([27, 28, 29], 41, 53)
    assert (stopped.status, stopped.loss.tolist(), stopped.validation_loss.tolist()) == ("diverged", [6, 7], [18, 19])
    assert (stopped.validation_accuracy.tolist(), *stopped[4:]) == ([30, 31], 44, 56)
    assert {curve.dtype for curve in stopped[1:4]} == {np.dtype(np.float64)}


def test_a_cpu_has_16_lanes_and_other_devices_1024() -> None:
    for platform, count in (("cpu", 16), ("gpu", 1024)):
        mesh: Any = SimpleNamespace(devices=np.array([SimpleNamespace(platform=platform)]))
        assert layout.lanes_of(mesh) == count
    assert layout.device_mesh().devices.tolist() == jax.devices()
