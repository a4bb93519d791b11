"""Thousands of networks: time per network and update, beside one network alone and what people would otherwise use.

python -m experiments.benchmark sweep
"""

import argparse
from typing import Any

import jax
import numpy as np

from experiments.benchmarks import larger_time, mixed_sweep
from experiments.benchmarks.bars import bars
from experiments.benchmarks.sweep_contenders import ALONE, SKLEARN, STORED, TORCH, UNEVALUATED, calls
from experiments.benchmarks.timing import Row, time_in_turns
from experiments.support import command_line
from jaxmlp import load_digits, runtime
from jaxmlp.sweep.blocks import Data, hold_out


def run(epochs: int = 10, repetitions: int = 5, networks: int = 2048) -> list[Row]:
    """Measure all contenders in turn; prints nothing."""
    runtime.configure_sweep("float32")
    data: Data = jax.tree.map(np.asarray, hold_out(load_digits("float32")))
    made = calls(epochs, data, networks)
    timed = time_in_turns(list(made.values()), repetitions)
    return [Row(name, *found) for name, found in zip(made, timed, strict=True)]


def table(rows: list[Row]) -> str:
    """Median, quartiles, microseconds per network and update, and their ratio to those of one network alone."""
    alone = rows[0].microseconds
    lines: list[tuple[str, ...]] = []
    for row in rows:
        low, middle, high = np.percentile(row.seconds, [25, 50, 75])
        lines.append(
            (
                row.name,
                f"{middle:.2f}",
                f"{low:.2f}..{high:.2f}",
                f"{row.microseconds:.3f}",
                f"{row.microseconds / alone:.2f}",
                f"{row.seconds_before:.1f}",
            )
        )
    header = ("64-20-10, float32, 1 sample per update", "median s", "quartiles", "us", "of one alone", "compiling s")
    return command_line.table(header, lines)


def facts(rows: list[Row]) -> list[str]:
    """The most important ratios: medians with quartiles of the ratios within each repetition."""
    seconds = {row.name: np.asarray(row.seconds) / row.updates for row in rows}
    first = next(name for name in seconds if name.startswith("sweep"))

    def ratio(above: str, below: str, words: str, scale: float = 1.0, less: float = 0.0) -> str:
        low, middle, high = np.percentile(scale * (seconds[above] / seconds[below] - less), [25, 50, 75])
        return f"{words.format(f'{middle:.3g}')} ({low:.3g}..{high:.3g})"

    said = [
        ratio(first, ALONE, "a network of the first sweep takes {} of one alone"),
        ratio(STORED, first, "the database takes {} % of its time", 100, 1),
    ]
    for name in (SKLEARN, TORCH):
        if name in seconds:
            words = f"{name.split(',')[0]} takes {{}} times as long as the sweep that is not evaluated either"
            said.append(ratio(name, UNEVALUATED, words))
    return said


def kept(rows: list[Row]) -> list[dict[str, Any]]:
    """The rows as JSON has them."""
    return [{**row._asdict(), "microseconds": row.microseconds} for row in rows]


def command(options: argparse.Namespace) -> int:
    """Measure, show the tables, draw, write the record."""
    folder = command_line.output_folder(options.out)
    rows = run(options.epochs, options.repetitions, options.networks)
    print("\n".join([table(rows), *facts(rows)]))
    larger = larger_time.measure(options.repetitions)
    for name, measured in larger.items():
        print("\n".join(["", larger_time.table(name, measured), *larger_time.facts(name, measured)]))
    mixed = mixed_sweep.measure(options.repetitions)
    print(f"\n{mixed_sweep.table(mixed)}")
    where = runtime.environment()
    record = {
        "rows": kept(rows), "larger": {name: kept(each) for name, each in larger.items()}, "mixed": mixed,
        "environment": where,
    }  # fmt: skip
    panels = {"thousands of networks, 64-20-10, float32": rows, **larger}
    values = {name: {row.name: row.microseconds for row in each} for name, each in panels.items()}
    values["90 networks of 18 kinds"] = {name: float(np.median(seconds)) for name, seconds in mixed.items()}
    labels = [*["microseconds per network and update"] * len(panels), "seconds of the whole command"]
    title = f"Sweeps, medians: {where['cores']} cores, {where['processor']}"
    figure = bars(values, labels, title, marked=("sweep", larger_time.OURS, "first", "last"))
    print(command_line.write(folder, {"benchmark_sweep.json": record, "benchmark_sweep.png": figure}))
    return 0
