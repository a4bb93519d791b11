"""The options that commands share, and the help that shows them: in groups, the examples in lines of their own."""

import argparse
import re
from typing import Any, NoReturn

from jaxmlp import choices

NUMBERS = {"int": "a whole number", "float": "a number"}
"""What argparse calls by the type that reads it, in the words of all other messages."""


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong argument gives one line, without the usage.

    The lines of a description that are commands stand below the options, as examples. ``common`` is the group of
    options that has the last place.
    """

    def __init__(self, prog: str | None = None, description: str | None = None, **settings: Any) -> None:
        lines = (description or "").strip().split("\n")
        examples = [f"  {line}" for line in lines if line.startswith("python -m ")]
        words = "\n".join(line for line in lines if not line.startswith("python -m ")).strip()
        words += "\n\nDefaults are in brackets."
        super().__init__(
            prog,
            description=words,
            epilog="\n".join(["examples:", *examples]) if examples else None,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **settings,
        )
        self.common = self.add_argument_group("output and device")

    def format_help(self) -> str:
        """The help, the group ``common`` at its end."""
        self._action_groups.sort(key=lambda group: group is self.common)
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and ``message``, which tells of numbers as all other messages do."""
        if wrong := re.fullmatch(r"argument (\S+): invalid (int|float) value: (.+)", message):
            message = f"{wrong[1]} is {wrong[3]}, expected {NUMBERS[wrong[2]]}"
        if message.startswith("unrecognized arguments"):
            message += "; --help lists the options"
        self.exit(2, f"{self.prog}: error: {message}\n")


def parser(module: str, description: str | None, out: str | None = None) -> Parser:
    """The parser of ``python -m experiments.MODULE``, with ``--out`` (default ``runs/MODULE``) and ``--device``."""
    made = Parser(f"python -m {module}", description)
    add_out(made, out or f"runs/{module.removeprefix('experiments').removeprefix('.') or 'lecture'}")
    add_device(made)
    return made


def add_out(made: Parser, folder: str, default: str | None = None) -> None:
    """The option ``--out``, of which ``folder`` is told as the default."""
    about = f"folder for the files written ({folder})"
    made.common.add_argument("--out", default=folder if default is None else default, metavar="DIR", help=about)


def add_device(made: Parser, default: str = "auto") -> None:
    """The option ``--device``."""
    about = "where JAX computes; auto: on a GPU where it finds one, else on the CPU (auto)"
    made.common.add_argument("--device", choices=choices.DEVICES, default=default, help=about)


class Widths(argparse.Action):
    """Units of the hidden layers, as ``20 10`` or ``20,10``; ``none`` or nothing: no hidden layer."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Keep them as a tuple."""
        words = [word for value in values for word in value.split(",")]
        try:
            widths = () if words == ["none"] else tuple(map(int, words))
        except ValueError:
            parser.error(f"{option} is {' '.join(values)!r}, expected whole numbers, as 20 10 or 20,10")
        setattr(namespace, self.dest, widths)


def add_hidden(made: Any, default: tuple[int, ...]) -> None:
    """The option ``--hidden`` of commands that have one network."""
    shown = " ".join(map(str, default))
    about = f"units of each hidden layer, as 20 10 or 20,10: one network; without a number: no hidden layer ({shown})"
    made.add_argument("--hidden", nargs="*", action=Widths, default=default, metavar="N", help=about)


def add_no_cache(made: Parser) -> None:
    """The option ``--no-cache``."""
    made.common.add_argument("--no-cache", action="store_true", help="compile anew, keep no compiled program")


def add_quiet(made: Parser) -> None:
    """The option ``--quiet``."""
    made.common.add_argument("--quiet", action="store_true", help="print no line per epoch")
