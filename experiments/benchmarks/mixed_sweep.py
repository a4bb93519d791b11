"""A sweep of many kinds of small networks, in a process of its own: the time to its first and to its last result.

python -m experiments.benchmarks.mixed_sweep DATABASE BEGAN

BEGAN: when the process was asked for, as `time.time` tells it. Prints the seconds since as JSON.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from experiments.support import command_line

__all__ = ["measure", "table"]

SPACE: dict[str, Any] = {
    "hidden": ["20"], "activation": ["sigmoid", "tanh", "relu"], "optimizer": ["sgd", "momentum", "adam"],
    "batch_size": [1, 32], "seeds": ["0:5"],
}  # fmt: skip
EPOCHS = 5
RESULTS = ("first result", "last result")
TIMES = ("nothing compiled before", "in a second process")


def measure(repetitions: int) -> dict[str, list[float]]:
    """Seconds from the start of the command, for each of `RESULTS` and `TIMES` those of all repetitions."""
    found: dict[str, list[float]] = {f"{result}, {when}": [] for when in TIMES for result in RESULTS}
    with command_line.bar(2 * repetitions, "run") as progress:
        for _ in range(repetitions):
            with tempfile.TemporaryDirectory() as folder:
                for when in TIMES:
                    seconds = _timed(Path(folder), when)
                    for result in RESULTS:
                        found[f"{result}, {when}"].append(seconds[result])
                    progress.update()
    return found


def _timed(folder: Path, when: str) -> dict[str, float]:
    """One run with a database of its own and the folder's compiled programs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))}
    settings = {**kept, "XDG_CACHE_HOME": str(folder), "JAX_PLATFORMS": "cpu"}
    call = [sys.executable, "-m", "experiments.benchmarks.mixed_sweep", str(folder / when), str(time.time())]
    return json.loads(subprocess.run(call, env=settings, check=True, capture_output=True, text=True).stdout)


def table(found: dict[str, list[float]]) -> str:
    """Medians and quartiles."""
    lines: list[tuple[str, ...]] = []
    for name, seconds in found.items():
        low, middle, high = np.percentile(seconds, [25, 50, 75])
        lines.append((name, f"{middle:.1f}", f"{low:.1f}..{high:.1f}"))
    return command_line.table((f"a sweep of 90 networks of 18 kinds, {EPOCHS} epochs", "median s", "quartiles"), lines)


def main(database: str, began: str) -> None:
    """Run the sweep."""
    from jaxmlp import load_digits, runtime
    from jaxmlp.sweep import run, trials

    runtime.configure_sweep("float32", cache=True)
    seconds: dict[str, float] = {}

    def progress(done: float, _: float) -> None:
        if done and "first result" not in seconds and any(row["status"] == "done" for row in trials(database)):
            seconds["first result"] = time.time() - float(began)

    run(load_digits("float32"), SPACE, database, EPOCHS, progress=progress)
    seconds["last result"] = time.time() - float(began)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
