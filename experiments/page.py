"""A page to draw a digit on and to look inside the network: one HTML file that needs nothing else.

It trains the lecture's first network, or shows the network of a model file that learned from the digits.

python -m experiments.page --open
python -m experiments.page runs/train/model.safetensors
"""

from experiments import actions
from experiments.support import command_line, parsing


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = parsing.parser("experiments.page", __doc__)
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL", help="a file written by an experiment or by jaxmlp.save")
    add("--bottleneck", action="store_true", help="the lecture's third network instead of its first")
    parser.common.add_argument("--open", action="store_true", help="show the page in the browser")
    parsing.add_no_cache(parser)
    options = parser.parse_args(arguments)
    if options.model is not None and options.bottleneck:
        parser.error(f"MODEL is {options.model!r} and --bottleneck is given, expected one of the two")
    return command_line.call(lambda: actions.page.command(options), options.device)


if __name__ == "__main__":
    command_line.leave(main())
