"""The lecture's second network: hidden layers of 20 and 10 units.

python -m experiments.two_hidden_layers
"""

from __future__ import annotations

from experiments import support, train
from experiments.support import command_line
from experiments.support.settings import RunConfig

PRESET = RunConfig(hidden=(20, 10))


def run() -> support.training_run.Result:
    """Train the network with the lecture's settings; prints nothing."""
    return support.training_run.run(PRESET)


def main(arguments: list[str] | None = None) -> int:
    """The command: that of `experiments.train` with this network's widths as the default."""
    return train.main(arguments, PRESET, "two_hidden_layers", __doc__)


if __name__ == "__main__":
    command_line.leave(main())
