"""A person's own file, checked: its `loss`, `gradient` and `params`, and its `data` if it has one."""

import importlib.machinery
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from experiments.support import command_line
from jaxmlp import InputError, check_gradient, runtime
from jaxmlp.gradient_check import GradientCheck

__all__ = ["check_file", "show_file"]

Result = TypeVar("Result")


def check_file(file: str, seed: int = 0) -> GradientCheck:
    """The check of ``gradient`` in a Python file; what its functions print is printed.

    The file has ``loss(*params)``, ``gradient(*params)`` and ``params``: a tuple or list of what the functions take,
    or, where they take one argument, that one. ``data = (x, y)`` has the network recognised.

    Raises:
        InputError: a file that can't be read or lacks a name, or code in it that raises.
    """
    module = in_one_line(file, lambda: load_file(file))
    missing = [name for name in ("loss", "gradient", "params") if not hasattr(module, name)]
    if missing:
        raise InputError(f"{file!r} has no {', no '.join(missing)}, expected loss, gradient, params and perhaps data")
    loss, params = module.loss, module.params
    several = isinstance(params, (tuple, list)) and required_arguments(loss) != 1
    with command_line.bar(0, "number") as drawn:

        def progress(done: int, total: int) -> None:
            drawn.total, drawn.n = total, done
            drawn.update(0)

        given = tuple(params) if several else (params,)
        data = getattr(module, "data", None)
        return in_one_line(
            file, lambda: check_gradient(loss, module.gradient, *given, data=data, seed=seed, progress=progress)
        )


def load_file(file: str) -> ModuleType:
    """The file as a module; its folder comes first where it imports from."""
    path = Path(file)
    if not path.is_file():
        raise InputError(f"file is {file!r}, expected a Python file with loss, gradient and params")
    sys.path.insert(0, str(path.resolve().parent))
    loader = importlib.machinery.SourceFileLoader("checked_file", str(path))
    module = ModuleType("checked_file")
    module.__file__ = str(path)
    sys.modules["checked_file"] = module  # as dataclasses and pickles want it
    loader.exec_module(module)
    return module


def in_one_line(file: str, run: Callable[[], Result]) -> Result:
    """``run()``, with what a person's code raises told in one line: what, and in which line of the file."""
    try:
        return run()
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        own = Path(file).resolve()
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == own]
        line = getattr(error, "lineno", None) or (lines[-1] if lines else None)
        where = f", line {line}" if line else ""
        words = str(getattr(error, "msg", error)).splitlines() or [""]
        raise InputError(f"{file!r}{where}: {type(error).__name__}: {words[0]}"[:300]) from None


def required_arguments(function: Any) -> int | None:
    """How many arguments a function must get by position; None where it takes any number, or nobody knows."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return None
    positional = (each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD))
    return sum(each.default is each.empty for each in positional)


def show_file(file: str, seed: int, out: str) -> int:
    """Print the answer and the table, write them; returns the exit code."""
    runtime.configure("float64")
    folder = command_line.output_folder(out)
    check = check_file(file, seed)
    print(f"{check}\n\n{check.table()}")
    record = {"file": file, **check.to_json(), "environment": runtime.environment()}
    print(command_line.write(folder, {"check.json": record}))
    return 0 if check else 1
