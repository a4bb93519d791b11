"""Larger networks, many at a time, beside hand-written JAX and PyTorch; each contender in a process of its own."""

import importlib.util
import os

import numpy as np

from experiments.benchmarks.contender_process import Entry, Worker
from experiments.benchmarks.contenders_many import LARGER, MANY, name_of
from experiments.benchmarks.timing import Row, time_in_turns
from experiments.benchmarks.workloads import N_TRAIN, Workload
from experiments.support import command_line

__all__ = ["OURS", "facts", "measure", "table"]

OURS, *_ = MANY
NEEDS = {"PyTorch, batched by hand": "torch"}


def measure(repetitions: int) -> dict[str, list[Row]]:
    """Seconds of each contender that is installed, by what is trained; raises ContenderError if one cannot run."""
    return {name_of(workload): _measured(workload, repetitions) for workload in LARGER}


def _measured(workload: Workload, repetitions: int) -> list[Row]:
    names = [name for name in MANY if name not in NEEDS or importlib.util.find_spec(NEEDS[name])]
    # What a person sets by hand to have a device per core; a sweep does so itself.
    flags = f"--xla_force_host_platform_device_count={os.cpu_count()}"
    workers = [Worker(Entry(name, name, xla_flags="" if name == OURS else flags), workload) for name in names]
    many = LARGER[workload]
    updates = many.networks * workload.epochs * (N_TRAIN[workload.sizes[0]] - many.validation) // workload.batch_size
    try:
        for worker in workers:
            worker.ask()
        timed = time_in_turns([lambda worker=worker: worker.ask("\n") for worker in workers], repetitions)
    finally:
        for worker in workers:
            worker.end()
    return [Row(name, seconds, before, updates) for name, (seconds, before, _) in zip(names, timed, strict=True)]


def table(title: str, rows: list[Row]) -> str:
    """Median, quartiles, microseconds per network and update, and how many times the sweep's."""
    lines: list[tuple[str, ...]] = []
    for row in rows:
        low, middle, high = np.percentile(row.seconds, [25, 50, 75])
        times = row.microseconds / rows[0].microseconds
        lines.append(
            (
                row.name,
                f"{middle:.2f}",
                f"{low:.2f}..{high:.2f}",
                f"{row.microseconds:.1f}",
                f"{times:.2f}",
                f"{row.seconds_before:.1f}",
            )
        )
    return command_line.table((title, "median s", "quartiles", "us", "of the sweep", "compiling s"), lines)


def facts(title: str, rows: list[Row]) -> list[str]:
    """How long the sweep takes of the best other contender: the ratio within each repetition."""
    if len(rows) < 2:
        return []
    ours, *others = rows
    best = min(others, key=lambda row: row.microseconds)
    low, middle, high = np.percentile(np.asarray(ours.seconds) / np.asarray(best.seconds), [25, 50, 75])
    return [f"{title}: a sweep takes {middle:.2f} ({low:.2f}..{high:.2f}) of the time of {best.name}"]
