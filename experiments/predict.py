"""A saved network used: on digits its accuracy and its mistakes; on a table of yours, a prediction for each row.

python -m experiments.predict runs/train/model.safetensors
python -m experiments.predict runs/sweep/best.safetensors --data flowers.csv --target species
"""

from typing import Any

from experiments import actions
from experiments.support import command_line, parsing


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = parsing.parser("experiments.predict", __doc__)
    add: Any = parser.add_argument
    add("model", metavar="MODEL", help="a file written by an experiment or by jaxmlp.save")
    add = parser.add_argument_group("your own data, instead of the digits").add_argument
    add("--data", metavar="FILE", help="CSV, Parquet, .npz, or the name of a bundled set (the digits)")
    add("--target", metavar="COLUMN", help="the column with the labels, where they are known")
    add("--drop", nargs="+", action="extend", default=[], metavar="COLUMN", help="columns to leave out")
    options = parser.parse_args(arguments)
    return command_line.call(lambda: actions.predict.command(options), options.device)


if __name__ == "__main__":
    command_line.leave(main())
