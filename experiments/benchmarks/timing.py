"""Calls timed in turns."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.support import command_line

__all__ = ["Row", "time_in_turns"]


class Row(NamedTuple):
    """A contender: seconds of each repetition, seconds before them (compiling), network-updates per repetition."""

    name: str
    seconds: list[float]
    seconds_before: float
    updates: int

    @property
    def microseconds(self) -> float:
        """Per network and update, the median."""
        return 1e6 * float(np.median(self.seconds)) / self.updates


def time_in_turns(calls: Sequence[Callable[[], Any]], repetitions: int) -> list[tuple[list[float], float, Any]]:
    """Run every call once to compile, then ``repetitions`` times, with a progress bar.

    The calls take turns, so that a machine that is slow for a while is slow for all of them.

    Returns:
        For each call: the seconds of each repetition, how much longer the first run took than the fastest repetition
        (compiling), and what the last run returned.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    results: list[Any] = []
    with command_line.bar((repetitions + 1) * len(calls), "run") as progress:
        for _ in range(repetitions + 1):
            results = []
            for call, taken in zip(calls, seconds, strict=True):
                start = time.perf_counter()
                results.append(call())
                taken.append(time.perf_counter() - start)
                progress.update()
    return [
        (repeated, max(first - min(repeated), 0.0), result)
        for (first, *repeated), result in zip(seconds, results, strict=True)
    ]
