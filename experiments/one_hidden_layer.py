"""The lecture's first network: 20 hidden units.

python -m experiments.one_hidden_layer
"""

from __future__ import annotations

from experiments import support, train
from experiments.support import command_line
from experiments.support.settings import RunConfig

PRESET = RunConfig(hidden=(20,))


def run() -> support.training_run.Result:
    """Train the network with the lecture's settings; prints nothing."""
    return support.training_run.run(PRESET)


def main(arguments: list[str] | None = None) -> int:
    """The command: that of `experiments.train` with this network's widths as the default."""
    return train.main(arguments, PRESET, "one_hidden_layer", __doc__)


if __name__ == "__main__":
    command_line.leave(main())
