"""Is 93 % against 92 % chance? Twins of one network, one rounding error apart at the start, trained together.

python -m experiments.sensitivity
python -m experiments.sensitivity --data wine --hidden 5
"""

from experiments import actions
from experiments.support import command_line, own_data, parsing


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = parsing.parser("experiments.sensitivity", __doc__)
    add = parser.add_argument
    parsing.add_hidden(parser, (20, 10))
    add("--twins", type=int, default=64, metavar="N", help="how many networks, one rounding error apart (%(default)s)")
    add("--epochs", type=int, default=100, metavar="N", help="passes over the training rows (%(default)s)")
    rate = "eta of the update W - eta dL/dW, above 0 (%(default)s)"
    add("--learning-rate", type=float, default=0.2, metavar="ETA", help=rate)
    add("--seed", type=int, default=0, metavar="N", help="of the random numbers, 0..2**32-1 (%(default)s)")
    parsing.add_quiet(parser)
    own_data.add_arguments(parser)
    options = parser.parse_args(arguments)
    return command_line.call(lambda: actions.sensitivity.command(options), options.device)


if __name__ == "__main__":
    command_line.leave(main())
