"""Is this gradient right? Yours, in a file; or ours: on digits, on random networks, with planted mistakes.

python -m experiments.gradient_check MINE.py
python -m experiments.gradient_check --hidden 20 10
python -m experiments.gradient_check --data flowers.csv --target species --hidden 8
python -m experiments.gradient_check --random-networks 200
python -m experiments.gradient_check --planted-mistake all
"""

import sys

from experiments.gradient_cases import planted_mistakes
from experiments.gradient_cases.data_check import Settings, show_data
from experiments.gradient_cases.own_file import show_file
from experiments.gradient_cases.planted_check import show_planted
from experiments.gradient_cases.random_networks import show_random
from experiments.support import command_line, own_data, parsing
from jaxmlp import ACTIVATIONS
from jaxmlp.checks import check_seed


def main(arguments: list[str] | None = None) -> int:
    """The command; exit code 0 where gradients agree, with --planted-mistake all where all are caught; else 1."""
    parser = parsing.parser("experiments.gradient_check", __doc__)
    what = parser.add_argument_group("what is checked, one of these").add_mutually_exclusive_group()
    what.add_argument("file", nargs="?", metavar="FILE.py", help="yours: loss, gradient and params, perhaps data")
    parsing.add_hidden(what, (20, 10))
    what.add_argument("--random-networks", type=int, metavar="N", help="this many random networks, not the digits")
    what.add_argument("--planted-mistake", "--planted-bug", choices=(*planted_mistakes.MISTAKES, "all"), metavar="NAME",
                      help=f"is it found? all, or one of {', '.join(planted_mistakes.MISTAKES)}")  # fmt: skip
    add = parser.add_argument_group("how").add_argument
    add("--activation", choices=ACTIVATIONS, help="phi of the hidden layers (sigmoid; random networks: all of them)")
    precision = "precision of all numbers (%(default)s)"
    add("--dtype", choices=("float64", "float32"), default="float64", help=precision)
    add("--batch-size", type=int, default=32, metavar="B", help="samples in the loss (%(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="of the random numbers, 0..2**32-1 (%(default)s)")
    own_data.add_arguments(parser)
    options = parser.parse_args(arguments)
    source = own_data.read(options)
    if source != own_data.DataConfig() and (options.file or options.planted_mistake or options.random_networks):
        parser.error("--data goes with --hidden alone")

    def body() -> int:
        check_seed(options.seed)
        if options.file is not None:
            return show_file(options.file, options.seed, options.out)
        if options.planted_mistake:
            return show_planted(options.planted_mistake, options.seed)
        if options.random_networks is not None:
            activations = (options.activation,) if options.activation else tuple(ACTIVATIONS)
            return show_random(options.random_networks, options.seed, options.dtype, activations, options.out)
        phi = options.activation or "sigmoid"
        settings = Settings(options.hidden, phi, options.dtype, options.batch_size, options.seed)
        return show_data(settings, options.out, source)

    return command_line.call(body, options.device)


if __name__ == "__main__":
    sys.exit(main())
