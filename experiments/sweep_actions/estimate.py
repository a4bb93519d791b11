"""What a sweep would cost: trials and updates are counted, the time is estimated by training a few blocks briefly."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from jaxmlp.engine import device_mesh, lanes_of
from jaxmlp.sweep import Trial, planned
from jaxmlp.sweep.blocks import Block, Data, SweepJob, bytes_per_group, pack, train_block

CALIBRATED = 4
"""So many kinds of blocks are timed, from the smallest to the largest; the others are assumed to be between them."""
ROWS = 2000
"""So many training rows, about, are enough to time an epoch by."""


def estimate(trials: list[Trial], data: Data, epochs: int, halving: int, engine: str = "scan") -> str:
    """Lines with trials, blocks, compilations, updates, memory and seconds; keeps nothing of what it trains."""
    data = jax.tree.map(np.asarray, data)
    blocks = list(pack(trials, data, lanes_of(device_mesh()), engine))
    kinds: dict[SweepJob, list[Block]] = {}
    for block in blocks:
        # Activations that are chosen by data share a program.
        config = dataclasses.replace(block.config, activation=None) if block.mixed else block.config
        kinds.setdefault(config, []).append(block)
    configurations = len({dataclasses.replace(trial, seed=0) for trial in trials})
    steps = planned(configurations, epochs, halving)
    # Survivors go on where they stand.
    before = [0, *(step for step, _ in steps)]
    passes = sum((step - last) * count for last, (step, count) in zip(before, steps, strict=False)) / configurations
    size = max(block.capacity * bytes_per_group(block.config, data, block.lanes) for block in blocks)
    counts = np.array([sum(len(block.trials) for block in same) for same in kinds.values()])
    features = np.array([_features(same[0], data) for same in kinds.values()])
    training, compiling = _seconds(list(kinds.values()), features, data)
    seconds = float(counts @ training) * passes
    updates = float(counts @ features[:, 0]) * passes
    return (
        f"{len(trials):,} trials in {len(blocks):,} blocks, {len(kinds)} compilations, {updates:,.0f} updates\n"
        f"memory: about {size / 2**20:,.0f} MiB per block; "
        f"database: about {len(trials) * (500 + 50 * epochs) / 1e6:,.1f} MB\n"
        f"time: about {seconds + compiling:,.0f} s, of which {compiling:,.0f} s compiling, the first time"
    )


def _features(block: Block, data: Data) -> list[float]:
    """What the seconds of a trial's epoch are made of: updates, numbers updated, and numbers times rows."""
    n, parameters = len(data.dataset.x_train), bytes_per_group(block.config, data, 1)
    updates = -(-n // block.config.batch_size)
    return [updates, updates * parameters, n * parameters]


def _seconds(kinds: Sequence[Sequence[Block]], features: NDArray[Any], data: Data) -> tuple[NDArray[np.float64], float]:
    """For each kind the seconds of a trial's epoch, and those of compiling them all."""
    by_size = np.argsort(features[:, 2] + features[:, 1], kind="stable")
    places = np.unique(np.linspace(0, len(kinds) - 1, CALIBRATED).round().astype(int))
    timed = by_size[places]
    training, compiling = np.zeros(len(kinds)), 0.0
    for kind in timed:
        block = max(kinds[kind], key=lambda block: len(block.trials))
        share = min(1.0, max(ROWS, 4 * block.config.batch_size) / len(data.dataset.x_train))
        part = jax.tree.map(lambda array, share=share: array[: int(np.ceil(share * len(array)))], data)
        first, once, thrice = (_timed(block, count, part) for count in (1, 1, 3))
        # Where the clock's noise hides what two more epochs took, the whole call counts: too much rather than nothing.
        epoch = (thrice - once) / 2 if thrice > once else thrice / 3
        training[kind] = epoch / share / len(block.trials)
        compiling += max(first - once, 0.0) * len(kinds) / len(timed)
    # The seconds of the others: non-negative least squares of the relative errors.
    known = training[timed]
    scaled = features / features.max(axis=0)
    # (One row per update makes two features alike: rounding decides whether scipy's nnls calls that singular.)
    fit = scipy.optimize.lsq_linear(scaled[timed] / known[:, None], np.ones(len(timed)), (0, np.inf), method="bvls")
    found = np.maximum(scaled @ fit.x, known.min())
    found[timed] = known
    return found, compiling


def _timed(block: Block, epochs: int, data: Data) -> float:
    start = time.perf_counter()
    train_block(block, epochs, data)
    return time.perf_counter() - start
