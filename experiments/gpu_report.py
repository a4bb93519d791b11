"""What a GPU would have to do: programs compiled for GPUs, without a GPU, and read.

python -m experiments.gpu_report

One network and a sweep by the scan, for an H100: their launches, their memory, the bytes that an update moves. The
fused kernel for three architectures: its registers, what spills, its barriers, how many networks a multiprocessor
holds. For each a lower bound on its time, which is not a measured time: where JAX finds a GPU, the programs run there
too, and their times stand in a column of their own.
"""

from experiments import actions
from experiments.support import command_line, parsing


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = parsing.parser("experiments.gpu_report", __doc__)
    parsing.add_hidden(parser, (20,))
    networks = "how many train side by side in the sweeps (%(default)s)"
    parser.add_argument("--networks", type=int, default=1024, metavar="N", help=networks)
    options = parser.parse_args(arguments)
    return command_line.call(lambda: actions.gpu_report.command(options), options.device)


if __name__ == "__main__":
    command_line.leave(main())
