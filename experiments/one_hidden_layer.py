"""The lecture's first network: 20 hidden units.

python -m experiments.one_hidden_layer
"""

import sys

from experiments import train
from experiments.support import training_run

PRESET = training_run.Settings(hidden=(20,))


def run() -> training_run.Result:
    """Train the network with the lecture's settings; prints nothing."""
    return training_run.run(PRESET)


def main(arguments: list[str] | None = None) -> int:
    """The command: that of `experiments.train` with this network's widths as the default."""
    return train.main(arguments, PRESET, "one_hidden_layer", __doc__)


if __name__ == "__main__":
    sys.exit(main())
