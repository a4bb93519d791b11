"""Packing: trials into blocks, which a compiled program trains together."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from jaxmlp.engine import Data, Program, fused_refusal, load_kernel
from jaxmlp.errors import InputError
from jaxmlp.optimizers import OPTIMIZERS
from jaxmlp.sweep.trial import Trial, padded
from jaxmlp.training import Config

__all__ = [
    "ENGINES", "GROUPS", "Block", "group_bytes", "groups_a_block", "pack", "program_of", "refusal", "with_engine",
]  # fmt: skip

GROUPS = 32
"""Groups a block, where memory allows: what a crash can lose, against the time a call costs beside training."""
MAX_BYTES = 2**29
"""Of a block's parameters, gradients and optimiser states together, about."""
MAX_PADDING = 0.05
ENGINES = ("scan", "fused")


class Block(NamedTuple):
    """Trials that are trained together, in groups of up to B.

    ``shared``: one seed, so one order, in each group, gathered once; with one sample an update only, as products of
    batches would round differently.
    """

    program: Program
    groups: tuple[tuple[Trial, ...], ...]
    shared: bool

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All of them, group after group."""
        return tuple(itertools.chain.from_iterable(self.groups))


@functools.cache
def _program(hidden: tuple[int, ...], activation: str, batch_size: int, optimizer: str, decays: bool) -> Program:
    # Cached, so that the 100,000 trials of a sweep share a few objects.
    return Program(tuple(map(padded, hidden)), activation, batch_size, optimizer, decays)


def program_of(trial: Trial) -> Program:
    """The Program that trains ``trial``."""
    return _program(trial.hidden, trial.activation, trial.batch_size, trial.optimizer, trial.weight_decay > 0)


def group_bytes(program: Program, n_in: int, n_out: int, lanes: int, itemsize: int) -> int:
    """What a group of ``lanes`` takes, about: parameters, gradients, the state before, the optimiser's state."""
    widths = (n_in, *program.widths, n_out)
    parameters = sum(to * (fan_in + 1) for fan_in, to in itertools.pairwise(widths))
    copies = 3 + {"sgd": 0, "adam": 2}.get(program.optimizer, 1)
    return parameters * copies * lanes * itemsize


def groups_a_block(program: Program, n_in: int, n_out: int, lanes: int, itemsize: int) -> int:
    """How many groups make a block within `MAX_BYTES`; raises InputError where one group is more than eight times that.

    The digits' networks: always `GROUPS`.
    """
    size = group_bytes(program, n_in, n_out, lanes, itemsize)
    if size > 8 * MAX_BYTES:
        gib = size / 2**30
        raise InputError(f"hidden widths {program.widths} make blocks of {gib:,.0f} GiB, expected at most 4 GiB")
    return max(1, min(GROUPS, MAX_BYTES // size))


def refusal(program: Program, data: Data) -> str | None:
    """Why the fused engine cannot train this Program, in words, or None if it can."""
    sizes = (data.dataset.x_train.shape[1], *program.widths, data.dataset.y_train.shape[1])
    config = Config(program.activation, program.batch_size, OPTIMIZERS[program.optimizer])
    return fused_refusal(sizes, config, data.dataset.x_train.dtype)


def with_engine(program: Program, data: Data, engine: str) -> Program:
    """The same Program, with the fused engine where that is wanted and not refused.

    Raises:
        InputError: another engine, or the fused one where NVIDIA Warp is not installed.
    """
    if engine not in ENGINES:
        raise InputError(f"engine is {engine!r}, expected one of {', '.join(ENGINES)}")
    if engine == "scan":
        return program
    load_kernel()
    return program if refusal(program, data) else dataclasses.replace(program, engine=engine)


def pack(trials: Sequence[Trial], data: Data, lanes: int, engine: str = "scan") -> Iterator[Block]:
    """Sort trials into blocks: same program, then same seed.

    Args:
        trials: in any order.
        data: that they will be trained on.
        lanes: B.
        engine: "fused" for those programs that `refusal` doesn't refuse.

    Raises:
        InputError: an unknown engine, networks too large for a block, a batch larger than the training set.
    """
    x, y = data.dataset.x_train, data.dataset.y_train
    by_program: dict[Program, dict[int, list[Trial]]] = {}
    for trial in trials:
        by_program.setdefault(program_of(trial), {}).setdefault(trial.seed, []).append(trial)
    for program in by_program:
        groups_a_block(program, x.shape[1], y.shape[1], lanes, x.dtype.itemsize)
        if program.batch_size > len(x):
            raise InputError(f"batch size is {program.batch_size}, expected at most {len(x)}, the training rows")
    for program, by_seed in by_program.items():
        # Groups of one seed gather one order for all lanes, unless that leaves too many lanes empty.
        count = sum(map(len, by_seed.values()))
        alone = sum(-(-len(part) // lanes) for part in by_seed.values())
        shared = program.batch_size == 1 and (alone - -(-count // lanes)) * lanes <= MAX_PADDING * count
        parts = list(by_seed.values()) if shared else [list(itertools.chain.from_iterable(by_seed.values()))]
        groups = [tuple(group) for part in parts for group in _chunks(part, lanes)]
        size = groups_a_block(program, x.shape[1], y.shape[1], lanes, x.dtype.itemsize)
        for chunk in _chunks(groups, size):
            yield Block(with_engine(program, data, engine), tuple(chunk), shared)


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
