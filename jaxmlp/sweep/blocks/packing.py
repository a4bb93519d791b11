"""Packing: trials into blocks, which a compiled program trains together."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jaxmlp.engine import BlockConfig, Data, fused_refusal, ladder_width, layout, load_kernel
from jaxmlp.errors import InputError
from jaxmlp.sweep.blocks.continuing import Kept
from jaxmlp.sweep.trial import Trial

__all__ = ["ENGINES", "Block", "bytes_per_group", "config_of", "groups_per_block", "pack", "refusal", "with_engine"]

MAX_GROUP_BYTES = 2**32
MAX_PADDING = 0.05
"""Share of a program's lanes that may stay empty, so that each group has one seed."""
ENGINES = ("scan", "fused")


class Block(NamedTuple):
    """Trials that are trained together, in groups of up to B.

    ``shared``: each group has one seed, so one order, which is gathered once; only with one sample per update, since
    products of batches would round differently. ``kept``: of each trial, in the sequence of ``trials``, where it stands
    after as many epochs as the others; none where they begin.
    """

    config: BlockConfig
    groups: tuple[tuple[Trial, ...], ...]
    shared: bool
    kept: tuple[Kept, ...] = ()

    @property
    def start(self) -> int:
        """How many epochs its trials have done."""
        return self.kept[0].epochs if self.kept else 0

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All of them, group after group."""
        return tuple(itertools.chain.from_iterable(self.groups))


@functools.cache
def _config(hidden: tuple[int, ...], activation: str, batch_size: int, optimizer: str, decays: bool) -> BlockConfig:
    # Cached, so that the 100,000 trials of a sweep share a few objects.
    return BlockConfig(tuple(map(ladder_width, hidden)), activation, batch_size, optimizer, decays)


def config_of(trial: Trial) -> BlockConfig:
    """The BlockConfig that trains ``trial``."""
    return _config(trial.hidden, trial.activation, trial.batch_size, trial.optimizer, trial.weight_decay > 0)


def bytes_per_group(config: BlockConfig, data: Data, lanes: int) -> int:
    """The memory of a group, about: parameters, gradients, the state before, the optimiser's state."""
    copies = 3 + {"sgd": 0, "adam": 2}.get(config.optimizer, 1)
    return layout.group_bytes(sizes_of_block(config, data), copies, lanes, data.dataset.x_train.dtype.itemsize)


def sizes_of_block(config: BlockConfig, data: Data) -> tuple[int, ...]:
    """``(n_0, .., n_L)``, padded."""
    return (data.dataset.x_train.shape[1], *config.widths, data.dataset.y_train.shape[1])


def groups_per_block(config: BlockConfig, data: Data, lanes: int) -> int:
    """How many groups make a block; raises InputError where one takes more than 4 GiB. The digits' networks: 32."""
    size = bytes_per_group(config, data, lanes)
    if size > MAX_GROUP_BYTES:
        gib = size / 2**30
        raise InputError(f"hidden widths {config.widths} make blocks of {gib:,.0f} GiB, expected at most 4 GiB")
    # Two epochs' sample orders at a time, 4 bytes a row: of a million rows they take more than the networks.
    return layout.groups_within(size + 2 * 4 * lanes * len(data.dataset.x_train))


def refusal(config: BlockConfig, data: Data) -> str | None:
    """Why the fused engine cannot train these trials, in words, or None if it can."""
    return fused_refusal(sizes_of_block(config, data), config.config(), data.dataset.x_train.dtype)


def with_engine(config: BlockConfig, data: Data, engine: str) -> BlockConfig:
    """The same BlockConfig, with the fused engine where that is wanted and not refused.

    Raises:
        InputError: another engine, or the fused one where NVIDIA Warp is not installed.
    """
    if engine not in ENGINES:
        raise InputError(f"engine is {engine!r}, expected one of {', '.join(ENGINES)}")
    if engine == "scan":
        return config
    load_kernel()
    return config if refusal(config, data) else dataclasses.replace(config, engine=engine)


def pack(
    trials: Sequence[Trial], data: Data, lanes: int, engine: str = "scan", kept: Mapping[Trial, Kept] | None = None
) -> Iterator[Block]:
    """Sort trials into blocks: same configuration of the program, as many epochs done, then same seed.

    Args:
        trials: in any order.
        data: that they will be trained on.
        lanes: B.
        engine: "fused" for those trials that `refusal` does not refuse.
        kept: trials that have begun.

    Raises:
        InputError: an unknown engine, networks too large for a block, a batch larger than the training set.
    """
    n, kept = len(data.dataset.x_train), kept or {}
    by_config: dict[tuple[BlockConfig, int], dict[int, list[Trial]]] = {}
    for trial in trials:
        begun = kept[trial].epochs if trial in kept else 0
        by_config.setdefault((config_of(trial), begun), {}).setdefault(trial.seed, []).append(trial)
    for config, _ in by_config:
        groups_per_block(config, data, lanes)
        if config.batch_size > n:
            raise InputError(f"batch size is {config.batch_size}, expected at most {n}, the training rows")
    for (config, begun), by_seed in by_config.items():
        # Groups of one seed gather one order for all lanes, unless that leaves too many lanes empty.
        count = sum(map(len, by_seed.values()))
        alone = sum(-(-len(part) // lanes) for part in by_seed.values())
        shared = config.batch_size == 1 and (alone - -(-count // lanes)) * lanes <= MAX_PADDING * count
        parts = list(by_seed.values()) if shared else [list(itertools.chain.from_iterable(by_seed.values()))]
        groups = [tuple(group) for part in parts for group in _chunks(part, lanes)]
        for chunk in _chunks(groups, groups_per_block(config, data, lanes)):
            states = tuple(kept[trial] for group in chunk for trial in group) if begun else ()
            yield Block(with_engine(config, data, engine), tuple(chunk), shared, states)


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
