"""The options that say which data a command works on: ``--data`` and how it is read and split."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

import jaxmlp
from jaxmlp import choices


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which data, and how it is split; arguments of `jaxmlp.load_table`. The default are the lecture's digits."""

    data: str = "digits"
    target: str | None = None
    test: float | None = None
    split_seed: int = 0
    drop: tuple[str, ...] = ()
    keep_constant: bool = False

    def load(self, dtype: str) -> jaxmlp.Table:
        """The Table; errors as `jaxmlp.load_table`."""
        return jaxmlp.load_table(
            self.data, self.target, self.test, self.split_seed, self.drop, self.keep_constant, dtype
        )


FIELDS = tuple(field.name for field in dataclasses.fields(DataConfig))


def add_arguments(parser: Any) -> None:
    """The options, all None where they are not given."""
    add = parser.add_argument_group("your own data, instead of the digits").add_argument
    add("--data", metavar="FILE", help=f"CSV, Parquet, .npz with x and y, or one of {', '.join(choices.BUNDLED)}")
    add("--target", metavar="COLUMN", help="the column with the labels")
    add("--test", type=float, metavar="SHARE", help="of the rows that test; each class has its share of them (0.2)")
    add("--split-seed", type=int, metavar="N", help="which rows these are (0)")
    add("--drop", nargs="+", action="extend", metavar="COLUMN", help="columns to leave out")
    add("--keep-constant", action="store_true", default=None, help="allow columns that are constant, as in images")


def config_of(given: dict[str, Any]) -> DataConfig:
    """The DataConfig of options or of a file's values, of which others and None are left out."""
    values = {name: given[name] for name in FIELDS if given.get(name) is not None}
    drop: Any = values.get("drop", ())
    values["drop"] = (drop,) if isinstance(drop, str) else tuple(drop)  # a file may have one name
    return DataConfig(**values)


def read(options: argparse.Namespace) -> DataConfig:
    """The DataConfig of a command's options."""
    return config_of(vars(options))
