"""Packing: trials into blocks, which a compiled program trains together."""

import collections
import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jaxmlp.checks import InputError, check_one_of
from jaxmlp.choices import ENGINES
from jaxmlp.engine import fused_refusal, ladder_width, layout, load_kernel
from jaxmlp.sweep.blocks.checkpoints import Checkpoint
from jaxmlp.sweep.blocks.held_out import Data
from jaxmlp.sweep.blocks.job import SweepJob
from jaxmlp.sweep.trial import Trial

__all__ = [
    "Block",
    "bytes_per_group",
    "config_of",
    "groups_per_block",
    "lanes_for",
    "pack",
    "refusal",
    "with_engine",
]

MAX_GROUP_BYTES = 2**32
SMALL_BLOCK = 2**24
"""Bytes; a larger block has room for no more groups than there are, though that may compile another program."""
CACHE = 2**20
"""Bytes that a core works with at full speed, about: its second cache."""
MAX_PADDING = 0.05
"""Share of a program's lanes that may stay empty, so that each group has one seed."""


class Block(NamedTuple):
    """Trials that are trained together, in groups of up to B.

    ``shared``: each group has one seed, so one order, which is gathered once; only with one sample per update, since
    products of batches would round differently. ``checkpoints``: one for each trial, in the sequence of ``trials``, all
    after the same number of epochs; none if the trials begin. ``lanes``: B. ``capacity``: how many groups the block has
    room for, the same in all blocks of a program. ``mixed``: whether other blocks differ in the activation alone, so
    that one program for all activations is worth it.
    """

    config: SweepJob
    groups: tuple[tuple[Trial, ...], ...]
    shared: bool
    checkpoints: tuple[Checkpoint, ...] = ()
    lanes: int = layout.LANES["cpu"]
    capacity: int = 1
    mixed: bool = False

    @property
    def start(self) -> int:
        """How many epochs its trials have done."""
        return self.checkpoints[0].epochs if self.checkpoints else 0

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All of them, group after group."""
        return tuple(itertools.chain.from_iterable(self.groups))


@functools.cache
def _config(hidden: tuple[int, ...], activation: str, batch_size: int, optimizer: str, decays: bool) -> SweepJob:
    # Cached, so that the 100,000 trials of a sweep share a few objects.
    return SweepJob(tuple(map(ladder_width, hidden)), activation, batch_size, optimizer, decays)


def config_of(trial: Trial) -> SweepJob:
    """The SweepJob that trains ``trial``."""
    return _config(trial.hidden, trial.activation, trial.batch_size, trial.optimizer, trial.weight_decay > 0)


def bytes_per_group(config: SweepJob, data: Data, lanes: int) -> int:
    """The memory of a group, about: parameters, gradients, the state before, the optimiser's state."""
    return _bytes(config, data, 3 + _states(config), lanes)


def _states(config: SweepJob) -> int:
    """How many numbers an optimiser keeps of each parameter."""
    return {"sgd": 0, "adam": 2}.get(config.optimizer, 1)


def _bytes(config: SweepJob, data: Data, copies: int, lanes: int) -> int:
    return layout.group_bytes(sizes_of_block(config, data), copies, lanes, data.dataset.x_train.dtype.itemsize)


def lanes_for(config: SweepJob, data: Data, most: int) -> int:
    """B of a program, a power of two up to ``most``, the device's: by the trial's own size, so that its bits are too.

    On a CPU a group has as many networks as fit into a core's cache: 16 networks of 784-128-10 with Adam take a third
    longer than one at a time, with one sample per update three times as long.
    """
    if most <= layout.LANES["cpu"] and config.batch_size == 1:
        # Interleaved, what 16 networks keep is read and written by every update, beside what they compute with.
        return most if 2 * _bytes(config, data, 1 + _states(config), most) <= CACHE else 1
    limit = CACHE if most <= layout.LANES["cpu"] else layout.MAX_BYTES
    fitting = max(1, limit // bytes_per_group(config, data, 1))
    return min(most, 1 << (fitting.bit_length() - 1))


def sizes_of_block(config: SweepJob, data: Data) -> tuple[int, ...]:
    """``(n_0, .., n_L)``, padded."""
    return (data.dataset.x_train.shape[1], *config.widths, data.dataset.y_train.shape[1])


def groups_per_block(config: SweepJob, data: Data, lanes: int) -> int:
    """How many groups make a block; raises InputError where one takes more than 4 GiB. The digits' networks: 32."""
    size = bytes_per_group(config, data, lanes)
    if size > MAX_GROUP_BYTES:
        gib = size / 2**30
        raise InputError(f"hidden widths {config.widths} make blocks of {gib:,.0f} GiB, expected at most 4 GiB")
    # Two epochs' sample orders at a time, 4 bytes a row: of a million rows they take more than the networks.
    return layout.groups_within(size + 2 * 4 * lanes * len(data.dataset.x_train))


def capacity(config: SweepJob, data: Data, lanes: int, groups: int) -> int:
    """How many of ``groups`` groups, all that there are, a block has room for."""
    most = groups_per_block(config, data, lanes)
    small = most * bytes_per_group(config, data, lanes) <= SMALL_BLOCK
    return most if small else min(most, 1 << (groups - 1).bit_length())


def refusal(config: SweepJob, data: Data) -> str | None:
    """Why the fused engine cannot train these trials, in words, or None if it can."""
    return fused_refusal(sizes_of_block(config, data), config.config(), data.dataset.x_train.dtype)


def with_engine(config: SweepJob, data: Data, engine: str) -> SweepJob:
    """The same SweepJob, with the fused engine where that is wanted and not refused.

    Raises:
        InputError: another engine, or the fused one where NVIDIA Warp is not installed.
    """
    if check_one_of("engine", engine, ENGINES) == "scan":
        return config
    load_kernel()
    return config if refusal(config, data) else dataclasses.replace(config, engine=engine)


def pack(
    trials: Sequence[Trial],
    data: Data,
    lanes: int,
    engine: str = "scan",
    checkpoints: Mapping[Trial, Checkpoint] | None = None,
) -> Iterator[Block]:
    """Sort trials into blocks: same configuration of the program, as many epochs done, then same seed.

    Args:
        trials: in any order.
        data: that they will be trained on.
        lanes: the device's B, see `lanes_for`.
        engine: "fused" for those trials that `refusal` does not refuse.
        checkpoints: of the trials that have begun.

    Raises:
        InputError: an unknown engine, networks too large for a block, a batch larger than the training set.
    """
    n, checkpoints = len(data.dataset.x_train), checkpoints or {}
    by_config: dict[tuple[SweepJob, int], dict[int, list[Trial]]] = {}
    for trial in trials:
        begun = checkpoints[trial].epochs if trial in checkpoints else 0
        by_config.setdefault((config_of(trial), begun), {}).setdefault(trial.seed, []).append(trial)
    alike = collections.Counter(dataclasses.replace(config, activation=None) for config, _ in by_config)
    for config, _ in by_config:
        groups_per_block(config, data, lanes_for(config, data, lanes))
        if config.batch_size > n:
            raise InputError(f"batch size is {config.batch_size}, expected at most {n}, the training rows")
    for (config, begun), by_seed in by_config.items():
        size = lanes_for(config, data, lanes)
        # Groups of one seed gather one order for all lanes, unless that leaves too many lanes empty.
        count = sum(map(len, by_seed.values()))
        alone = sum(-(-len(part) // size) for part in by_seed.values())
        shared = config.batch_size == 1 and (alone - -(-count // size)) * size <= MAX_PADDING * count
        parts = list(by_seed.values()) if shared else [list(itertools.chain.from_iterable(by_seed.values()))]
        groups = [tuple(group) for part in parts for group in _chunks(part, size)]
        room, mixed = capacity(config, data, size, len(groups)), alike[dataclasses.replace(config, activation=None)] > 1
        for chunk in _chunks(groups, room):
            states = tuple(checkpoints[trial] for group in chunk for trial in group) if begun else ()
            yield Block(with_engine(config, data, engine), tuple(chunk), shared, states, size, room, mixed)


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
