"""The lecture's question, 20 hidden units or 20 and 10: both networks with 256 seeds, and the difference's interval.

python -m experiments.width_or_luck
"""

from experiments import actions
from experiments.support import command_line, parsing


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = parsing.parser("experiments.width_or_luck", __doc__)
    add = parser.add_argument
    add("--seeds", type=int, default=256, metavar="N", help="how often each network is trained (%(default)s)")
    add("--epochs", type=int, default=100, metavar="N", help="passes over the training rows (%(default)s)")
    database = "SQLite file with every trial; an interrupted run goes on (%(default)s)"
    parser.common.add_argument("--database", default="runs/sweep.sqlite", metavar="FILE", help=database)
    options = parser.parse_args(arguments)
    return command_line.call(lambda: actions.width_or_luck.command(options), options.device)


if __name__ == "__main__":
    command_line.leave(main())
