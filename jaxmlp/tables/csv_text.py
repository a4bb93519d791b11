"""How a CSV file is written: encoding, separator, decimal sign and header, recognised from its first lines.

pandas reads the values. Alone, it would make wrong guesses without a warning: it renames a second column with the
same name, takes a first line of numbers as the header, and takes the first column as an index if a row is too long.
"""

import csv
import itertools
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from jaxmlp.checks import InputError

__all__ = ["Dialect", "read_dialect"]

SEPARATORS = ",;\t|"
LINES = 1000
"""So many lines tell the decimal sign."""
MAGIC = {
    b"PK": "an Excel workbook or a zip file, expected CSV: save it as 'CSV UTF-8', or unpack it",
    b"\xd0\xcf": "an old Excel workbook, expected CSV: save it as 'CSV UTF-8'",
    b"\x1f\x8b": "compressed, expected CSV: unpack it with gunzip",
    b"PAR1": "a Parquet file, expected CSV: give it the ending .parquet",
}
NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s*")
THOUSANDS = re.compile(r"\s*[+-]?[1-9]\d{0,2}(,\d{3})+\s*")


class Dialect(NamedTuple):
    """How to read a CSV file.

    Attributes:
        encoding: for `open`.
        separator: between the cells of a line.
        decimal: the decimal sign, a point or a comma.
        header: the cells of the header line.
        skipped: lines before it.
    """

    encoding: str
    separator: str
    decimal: str
    header: list[str]
    skipped: int


def read_dialect(path: Path) -> Dialect:
    """The Dialect of a file.

    Raises:
        InputError: no text in UTF-8 (or UTF-16 with its mark), no header, numbers in its place, a name twice.
    """
    with path.open("rb") as file:
        start = file.read(4)
    for magic, said in MAGIC.items():
        if start.startswith(magic):
            raise InputError(f"{str(path)!r} is {said}")
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        with path.open(encoding=encoding, newline="") as file:
            first = file.readline(1000)
            skipped = int(
                bool(re.fullmatch(r'"?sep=.\s*"?\s*', first))
            )  # what Excel writes, and leaves out when it reads
        separator, rows = _separator(path, encoding, skipped)
    except UnicodeError as error:
        raise InputError(
            f"{str(path)!r} is not text in UTF-8 ({getattr(error, 'reason', error)}), expected it saved as 'CSV UTF-8'"
        ) from None
    except csv.Error as error:
        raise InputError(f"{str(path)!r} is no CSV ({error})") from None
    if not rows:
        raise InputError(f"{str(path)!r} is empty, expected a line of column names and rows")
    _check_header(path, rows)
    return Dialect(encoding, separator, _decimal(rows[1:]), rows[0], skipped)


def _separator(path: Path, encoding: str, skipped: int) -> tuple[str, list[list[str]]]:
    """The separator with the most cells, of those with equally many cells in all lines; and the first lines' cells."""
    found: list[tuple[tuple[bool, int], str, list[list[str]]]] = []
    for separator in SEPARATORS:
        with path.open(encoding=encoding, newline="") as file:
            lines = itertools.islice(file, skipped, None)
            cells = csv.reader(lines, delimiter=separator, skipinitialspace=True)
            rows = [row for row in itertools.islice(cells, LINES) if row]
        widths = {len(row) for row in rows}
        found.append(((len(widths) == 1, len(rows[0]) if rows else 0), separator, rows))
    wide = [item for item in found if item[0][1] > 1] or found
    _, separator, rows = max(wide, key=lambda item: item[0])
    return separator, rows


def _check_header(path: Path, rows: list[list[str]]) -> None:
    header = rows[0]
    named = [name for name in header if name.strip()]
    if all(NUMBER.fullmatch(name) for name in named):
        said = ", ".join(header[:3])
        raise InputError(f"{str(path)!r} begins with numbers ({said:.60}), expected a line of column names first")
    twice = [name for name, count in Counter(named).items() if count > 1]
    if twice:
        raise InputError(f"{str(path)!r} has two columns {twice[0]!r}, expected different names")
    wide = next((row for row in rows[1:] if len(row) > len(header) and any(row[len(header) :])), None)
    if wide:  # as R writes row names
        raise InputError(
            f"{str(path)!r} has {len(header)} column names and a row of {len(wide)} cells ({', '.join(wide):.40}), "
            "expected a name for each"
        )


def _decimal(rows: list[list[str]]) -> str:
    """The decimal sign: a comma only if a cell cannot be read otherwise, since 1,234 may be a thousand."""
    numbers = [cell for cell in itertools.chain.from_iterable(rows) if NUMBER.fullmatch(cell)]
    commas = any("," in cell and not THOUSANDS.fullmatch(cell) for cell in numbers)
    return "," if commas and not any("." in cell for cell in numbers) else "."


def parser_message(error: Any) -> str:
    """The message of pandas about a file that it cannot read, in one line."""
    return " ".join(str(error).removeprefix("Error tokenizing data. C error: ").split())[:160]
