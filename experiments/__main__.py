"""The whole lecture: the digits, then its three networks, and a table at the end.

The other experiments are python -m experiments.NAME: page, train, predict, gradient_check, sensitivity, width_or_luck,
sweep, benchmark, gpu_report, digits_gallery, one_hidden_layer, two_hidden_layers, bottleneck.

python -m experiments
python -m experiments.train --help
"""

from experiments import actions
from experiments.support import command_line, parsing


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = parsing.parser("experiments", __doc__, out="runs")
    parsing.add_quiet(parser)
    parsing.add_no_cache(parser)
    options = parser.parse_args(arguments)
    return command_line.call(lambda: actions.lecture.command(options), options.device)


if __name__ == "__main__":
    command_line.leave(main())
