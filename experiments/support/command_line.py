"""What all commands share: errors in one line, the output folder, files written whole or not at all, progress."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import math
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NoReturn, TypeVar

import lazy_loader

import jaxmlp
from jaxmlp import figures, models, runtime
from jaxmlp.files import whole_file
from jaxmlp.text_table import aligned

# What draws the bars is opened with the first of them, and not to read options.
tqdm: Any = lazy_loader.load("tqdm")

Item = TypeVar("Item")

table = aligned

LOG_SECONDS = 10.0

INTERRUPTED = 130  # what a shell reports for a program ended by Ctrl-C

# Importing and tracing make objects that stay. At Python's own threshold, the collector looks through them so often
# that it takes a tenth of a short command.
GARBAGE_THRESHOLD = 50_000


def call(body: Callable[[], int], device: str = "auto") -> int:
    """Run ``body`` on this kind of device and return its exit code.

    An InputError gives one line on stderr and exit code 2, as do a standard output that takes no more and a setting of
    ``JAX_PLATFORMS`` with which JAX can't start. Ctrl-C gives 130, a closed pipe 1.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(GARBAGE_THRESHOLD, *thresholds[1:])
    try:
        with _interrupts_raised():
            if device != "auto":
                runtime.choose_device(device)
            code = body()
        sys.stdout.flush()  # a full disk shows here at the latest
        return code
    except jaxmlp.InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the program that read our output has ended, as head does
        _discard_output()
        return 1
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise
        _discard_output()
        print(f"error: the standard output takes no more ({error.strerror}), expected room there", file=sys.stderr)
        return 2
    except (RuntimeError, AssertionError):  # an AssertionError if no plugin of the platform is installed
        if not (platforms := runtime.platforms_missing()):
            raise
        print(f"error: JAX_PLATFORMS is {platforms!r}, but JAX finds no such device, expected cpu", file=sys.stderr)
        return 2
    finally:
        gc.set_threshold(*thresholds)


@contextlib.contextmanager
def _interrupts_raised() -> Generator[None]:
    """Within it Ctrl-C raises KeyboardInterrupt even if it comes while the garbage collector works.

    JAX has a function called after each collection. Python drops all exceptions of such functions.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        after_collections = {getattr(function, "__code__", None) for function in gc.callbacks}
        at = frame
        while at is not None:
            if at.f_code in after_collections:  # nothing can be raised here: the same signal again, in a moment
                threading.Timer(0.02, os.kill, (os.getpid(), number)).start()
                return
            at = at.f_back
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _discard_output() -> None:
    """What is still to be printed goes nowhere, so that the interpreter's end is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def leave(code: int) -> NoReturn:
    """End the process; after Ctrl-C at once, without waiting for threads that still run."""
    gc.freeze()  # the interpreter's end looks through all objects for cycles otherwise, which takes up to a second
    if code == INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def prepare(dtype: str, sizes: tuple[int, ...], batch_size: int, cache: bool) -> None:
    """Configure JAX before the first computation: precision, compilation for this network, the program cache.

    Where JAX already runs, since other code called the command, only the precision can be set: the results are the
    same, but slower.
    """
    if runtime.started():
        runtime.configure(dtype)
    else:
        runtime.configure(dtype, sizes=sizes, batch_size=batch_size, cache=cache)


def open_meanwhile(package: ModuleType, name: str) -> None:
    """Import in a thread where a package's door has this name: needed later, while XLA compiles what is needed now.

    XLA lets Python run meanwhile. Whoever needs the name before it is there waits for it, as for any import.
    """
    threading.Thread(target=getattr, args=(package, name), daemon=True).start()


def output_folder(out: str) -> Path:
    """``out`` as a folder, made if it is missing; raises InputError if it cannot be written to."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        expected = f"expected a folder that can be written to ({error.strerror})"
        raise jaxmlp.InputError(f"--out is {out!r}, {expected}") from None
    return folder


def positive(name: str, value: int) -> int:
    """``value``; raises InputError below 1."""
    if value < 1:
        raise jaxmlp.InputError(f"{name} is {value}, expected 1 or more")
    return value


def write(folder: Path, files: dict[str, Any], drawn: Collection[str] = ()) -> str:
    """Write figures (``.png``), models (``.safetensors``), dictionaries (``.json``) and texts into ``folder``.

    Files of an earlier run are replaced. Of those that the command may write, ``drawn``, the ones that it does not
    write now are removed: they would stand beside the new ones and show something else. Returns a line that names the
    files, and those that were replaced or removed.
    """
    stale = [name for name in drawn if name not in files and (folder / name).is_file()]
    replaced = [name for name in files if (folder / name).exists()]
    for name, content in files.items():
        try:
            with whole_file(folder / name) as file:
                if name.endswith(".png"):
                    figures.write_png(content, file)
                elif name.endswith(".safetensors"):
                    file.write(models.encode(content))
                elif name.endswith(".json"):
                    text = json.dumps(content, indent=1, allow_nan=False)
                    file.write(text.encode() + b"\n")
                else:
                    file.write(content.encode())
        except OSError as error:
            raise jaxmlp.InputError(f"cannot write {str(folder / name)!r}: {error.strerror}") from None
    for name in stale:
        (folder / name).unlink(missing_ok=True)
    parts = [f"{what} an earlier {', '.join(of)}" for what, of in (("replacing", replaced), ("removing", stale)) if of]
    note = f" ({', '.join(parts)})" if parts else ""
    return f"wrote {', '.join(str(folder / name) for name in files)}{note}"


def finite_or_none(values: Any) -> list[float | None]:
    """Floats for JSON, which has no NaN and no infinity: they become null."""
    return [float(value) if math.isfinite(value) else None for value in values]


class LogLines(contextlib.AbstractContextManager["LogLines"]):
    """In the place of a bar, where stderr is a log: a line every 10 s at most."""

    def __init__(self, total: int, unit: str) -> None:
        self.total, self.n, self._unit = total, 0, unit
        self._start = self._told = time.monotonic()

    def __exit__(self, *_: object) -> None:
        """Nothing is left to be done."""

    def update(self, n: int = 1) -> None:
        """``n`` more are done."""
        self.n += n
        now = time.monotonic()
        if now - self._told >= LOG_SECONDS:
            self._told = now
            line = f"{{n_fmt}} of {{total_fmt}} {self._unit}s, {{elapsed}} so far, about {{remaining}} left"
            said = tqdm.tqdm.format_meter(self.n, self.total, now - self._start, bar_format=line)
            print(said, file=sys.stderr, flush=True)


def bar(total: int, unit: str) -> Any:
    """A progress bar on stderr where that is a terminal, else `LogLines`; ``update(n)``, a context manager."""
    if not sys.stderr.isatty():
        return LogLines(total, unit)
    return tqdm.tqdm(total=total, unit=unit, leave=False, dynamic_ncols=True)


def progress(items: Collection[Item], unit: str) -> Iterator[Item]:
    """Yield the items one after the other, with a `bar`."""
    with bar(len(items), unit) as drawn:
        for item in items:
            yield item
            drawn.update()


def show(line: str, quiet: bool = False) -> None:
    """Print a line, above the progress bar if there is one."""
    if not quiet:
        if sys.stderr.isatty():  # where there may be a bar
            tqdm.tqdm.write(line, file=sys.stdout)
        else:
            print(line)
        sys.stdout.flush()


def show_notes(found: jaxmlp.Table) -> None:
    """Print what was left out of a table, a line each."""
    for note in found.notes:
        print(f"note: {note}")
