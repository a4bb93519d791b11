"""The data: shapes, one image as numbers, the first ten digits as a figure (lecture, step 1).

python -m experiments.digits_gallery
"""

from experiments import actions
from experiments.support import command_line, parsing


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    options = parsing.parser("experiments.digits_gallery", __doc__).parse_args(arguments)
    return command_line.call(lambda: actions.digits_gallery.command(options), options.device)


if __name__ == "__main__":
    command_line.leave(main())
