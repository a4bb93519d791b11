"""The lecture's third network: the ten classes pass through a layer of 2 units.

python -m experiments.bottleneck
"""

from __future__ import annotations

from experiments import support, train
from experiments.support import command_line
from experiments.support.settings import RunConfig

PRESET = RunConfig(hidden=(20, 20, 2))


def run() -> support.training_run.Result:
    """Train the network with the lecture's settings; prints nothing."""
    return support.training_run.run(PRESET)


def main(arguments: list[str] | None = None) -> int:
    """The command: that of `experiments.train` with this network's widths as the default."""
    return train.main(arguments, PRESET, "bottleneck", __doc__)


if __name__ == "__main__":
    command_line.leave(main())
