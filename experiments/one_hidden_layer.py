"""The lecture's first network: 20 hidden units.

python -m experiments.one_hidden_layer
"""

import sys

from experiments import run_one, train

PRESET = run_one.Settings(hidden=(20,))


def run() -> run_one.Result:
    """Train the network with the lecture's settings; prints nothing."""
    return run_one.run(PRESET)


def main(arguments: list[str] | None = None) -> int:
    """The command: that of `experiments.train` with this network's widths as the default."""
    return train.main(arguments, PRESET, "one_hidden_layer", __doc__)


if __name__ == "__main__":
    sys.exit(main())
