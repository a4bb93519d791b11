"""What a sweep would cost: trials and updates are counted, the time is estimated by training a few blocks briefly."""

import time

import jax
import numpy as np

from jaxmlp.engine import device_mesh, lanes_of
from jaxmlp.sweep import Block, Data, Trial, bytes_per_group, groups_per_block, pack, rungs, train_block

CALIBRATED = 3  # so many programs are timed; the others are assumed to be like them


def estimate(trials: list[Trial], data: Data, epochs: int, halving: int, engine: str = "scan") -> str:
    """Lines with trials, blocks, compilations, updates, memory and seconds; keeps nothing of what it trains."""
    data = jax.tree.map(np.asarray, data)
    lanes = lanes_of(device_mesh())
    blocks = list(pack(trials, data, lanes, engine))
    programs = list(dict.fromkeys(block.config for block in blocks))
    n = len(data.dataset.x_train)
    # Each rung trains its survivors from the start: their share of all trials, times the epochs of the rung.
    passes = sum(step / (halving or 1) ** rung for rung, step in enumerate(rungs(epochs, halving)))
    updates = sum(len(block.trials) * -(-n // block.config.batch_size) for block in blocks) * passes
    size = max(groups_per_block(*of) * bytes_per_group(*of) for of in ((config, data, lanes) for config in programs))
    seconds = compiling = 0.0
    for program in programs[:CALIBRATED]:
        same = [block for block in blocks if block.config == program]
        first, once, twice = (_timed(same[0], count, data) for count in (1, 1, 3))
        epoch = max((twice - once) / 2, 0.0)
        compiling += max(first - once, 0.0)
        seconds += epoch * passes * sum(len(block.groups) for block in same) / len(same[0].groups)
    known = sum(block.config in programs[:CALIBRATED] for block in blocks)
    compiling *= len(programs) / min(CALIBRATED, len(programs))
    seconds *= len(blocks) / known
    return (
        f"{len(trials):,} trials in {len(blocks):,} blocks, {len(programs)} compilations, {updates:,.0f} updates\n"
        f"memory: about {size / 2**20:,.0f} MiB per block; "
        f"database: about {len(trials) * (500 + 50 * epochs) / 1e6:,.1f} MB\n"
        f"time: about {seconds + compiling:,.0f} s, of which {compiling:,.0f} s compiling"
    )


def _timed(block: Block, epochs: int, data: Data) -> float:
    start = time.perf_counter()
    train_block(block, epochs, data)
    return time.perf_counter() - start
