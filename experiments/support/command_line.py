"""What every experiment's command shares: arguments, one-line errors, an output folder, files written whole."""

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from matplotlib.figure import Figure
from tqdm import tqdm

from jaxmlp import runtime
from jaxmlp.errors import InputError
from jaxmlp.models import Model, encode, whole_file

Item = TypeVar("Item")

INTERRUPTED = 130  # what a shell reports for a program ended by Ctrl-C


Lines = argparse.RawDescriptionHelpFormatter  # for a description whose lines are to stay


class Parser(argparse.ArgumentParser):
    """argparse with one line, not the whole usage, for a wrong argument."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and ``message``."""
        self.exit(2, f"{self.prog}: error: {message}\n")


def parser(module: str, description: str | None, out: str | None = None) -> Parser:
    """The parser of ``python -m experiments.MODULE``, with ``--out`` (default ``runs/MODULE``) and ``--device``."""
    made = Parser(f"python -m {module}", description=description, allow_abbrev=False)
    folder = out or f"runs/{module.removeprefix('experiments').removeprefix('.') or 'lecture'}"
    made.add_argument("--out", default=folder, metavar="DIR", help="folder for the files written (%(default)s)")
    add_device(made)
    return made


def add_device(made: argparse.ArgumentParser, default: str = "auto") -> None:
    """The option ``--device``."""
    about = "auto: a GPU where JAX finds one (%(default)s)" if default == "auto" else "auto: a GPU where JAX finds one"
    made.add_argument("--device", choices=runtime.DEVICES, default=default, help=about)


def call(body: Callable[[], int], device: str = "auto") -> int:
    """``body()``'s exit code, on this kind of device.

    Bad input gives one line on stderr and 2, Ctrl-C 130, a closed pipe 1.
    """
    try:
        runtime.choose_device(device)
        return body()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone (| head): nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def leave(code: int) -> NoReturn:
    """End the process; after Ctrl-C at once, without waiting for what threads still do."""
    if code == INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def prepare(dtype: str, sizes: tuple[int, ...], batch_size: int, cache: bool) -> None:
    """What a command asks of JAX before the first computation: compilation for its network, programs kept or not.

    A command called from code where JAX already runs asks for the precision only: the same results, more slowly.
    """
    if runtime.started():
        runtime.configure(dtype)
    else:
        runtime.configure(dtype, sizes=sizes, batch_size=batch_size, cache=cache)


def add_no_cache(made: argparse.ArgumentParser) -> None:
    """The option ``--no-cache``."""
    made.add_argument("--no-cache", action="store_true", help="compile anew, keep no compiled program")


def output_folder(out: str) -> Path:
    """``out`` as a folder that exists and can be written to; raises InputError otherwise."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"--out is {out!r}, expected a folder that can be written to ({error.strerror})") from None
    return folder


def positive(name: str, value: int) -> int:
    """``value``; raises InputError below 1."""
    if value < 1:
        raise InputError(f"{name} is {value}, expected 1 or more")
    return value


def write(folder: Path, files: dict[str, Figure | Model | dict[str, Any] | str]) -> str:
    """Write figures (``.png``), models (``.safetensors``), dictionaries (``.json``) and texts; a line that says so.

    A file of the same name that stood there, an earlier run's, is replaced, and the line says so.
    """
    replaced = [name for name in files if (folder / name).exists()]
    for name, content in files.items():
        try:
            with whole_file(folder / name) as file:
                if isinstance(content, Figure):
                    content.savefig(file, format="png", dpi=120)
                elif isinstance(content, Model):
                    file.write(encode(content))
                elif isinstance(content, str):
                    file.write(content.encode())
                else:
                    text = json.dumps(content, indent=1, allow_nan=False)
                    file.write(text.encode() + b"\n")
        except OSError as error:
            raise InputError(f"cannot write {str(folder / name)!r}: {error.strerror}") from None
    note = f" (replacing an earlier {', '.join(replaced)})" if replaced else ""
    return f"wrote {', '.join(str(folder / name) for name in files)}{note}"


def finite_or_none(values: Any) -> list[float | None]:
    """Floats as JSON knows them: NaN and infinity become null."""
    return [float(value) if math.isfinite(value) else None for value in values]


def bar(total: int, unit: str) -> "tqdm[NoReturn]":
    """A progress bar on stderr, on a terminal only."""
    return tqdm(total=total, unit=unit, disable=None, leave=False, dynamic_ncols=True)


def progress(items: Collection[Item], unit: str) -> Iterator[Item]:
    """The items one after the other, with a `bar`."""
    with bar(len(items), unit) as drawn:
        for item in items:
            yield item
            drawn.update()


def show(line: str, quiet: bool = False) -> None:
    """Print a line, above the bar where one is drawn."""
    if not quiet:
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Aligned columns: the first and the last to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    sides = ["<", *">" * (len(header) - 2), "<"]
    lines = [header, tuple("-" * width for width in widths), *rows]
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True)).rstrip()
        for line in lines
    )
