"""Is this gradient right? Yours, in a file; or ours: on digits, on random networks, with planted mistakes.

python -m experiments.gradient_check MINE.py
python -m experiments.gradient_check --hidden 20 10
python -m experiments.gradient_check --data flowers.csv --target species --hidden 8
python -m experiments.gradient_check --random-networks 200
python -m experiments.gradient_check --planted-mistake all
"""

from experiments import actions
from experiments.gradient_cases.mistake_names import MISTAKE_NAMES
from experiments.support import command_line, own_data, parsing
from jaxmlp import choices


def main(arguments: list[str] | None = None) -> int:
    """The command; exit code 0 where gradients agree, with --planted-mistake all where all are caught; else 1."""
    parser = parsing.parser("experiments.gradient_check", __doc__)
    what = parser.add_argument_group("what is checked, one of these").add_mutually_exclusive_group()
    what.add_argument("file", nargs="?", metavar="FILE.py", help="yours: loss, gradient and params, perhaps data")
    parsing.add_hidden(what, (20, 10))
    what.add_argument("--random-networks", type=int, metavar="N", help="this many random networks, not the digits")
    what.add_argument(
        "--planted-mistake",
        "--planted-bug",
        choices=(*MISTAKE_NAMES, "all"),
        metavar="NAME",
        help=f"is it found? all, or one of {', '.join(MISTAKE_NAMES)}",
    )
    add = parser.add_argument_group("how").add_argument
    activation = "phi of the hidden layers (sigmoid; random networks: all of them)"
    add("--activation", choices=choices.ACTIVATIONS, help=activation)
    precision = "precision of all numbers (%(default)s)"
    add("--dtype", choices=("float64", "float32"), default="float64", help=precision)
    add("--batch-size", type=int, default=32, metavar="B", help="samples in the loss (%(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="of the random numbers, 0..2**32-1 (%(default)s)")
    own_data.add_arguments(parser)
    options = parser.parse_args(arguments)
    source = own_data.read(options)
    if source != own_data.DataConfig() and (options.file or options.planted_mistake or options.random_networks):
        parser.error("--data goes with --hidden alone")
    return command_line.call(lambda: actions.gradient_check.command(options), options.device)


if __name__ == "__main__":
    command_line.leave(main())
