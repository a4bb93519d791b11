"""Copies of this checkout in which mutants are made and tests run, and their processes ended."""

import collections
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import coverage

from tests.mutation import Mutant

PYTEST = ("pytest", "-x", "-n", "0", "-p", "no:cacheprovider")
FOREVER = "1e9"


class SetupError(Exception):
    """The set-up is wrong, not a mutant."""


class Sandbox:
    """A copy of the checkout in a folder of its own, and the processes that run in it."""

    def __init__(self, folder: Path, original: Path, shared: Path) -> None:
        self.code, self.temporary, self.shared = folder / "code", folder / "tmp", shared
        self._process: subprocess.Popen[bytes] | None = None
        self._lock, self._closed = threading.Lock(), False
        shutil.copytree(original, self.code)

    def run(self, arguments: Sequence[str], limit: float | None = None, compiled: Path | None = None) -> int | None:
        """The exit status of ``python -m`` with these arguments, None where it is killed at the limit.

        Programs that JAX compiles are read from a folder that all share, or read and written in ``compiled``: what a
        mutant compiles is not kept, as it may be killed amid writing.
        """
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir(parents=True)
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COVERAGE", "JAX_"))
        }
        settings = {
            # A mutant as long as its source, made in the same second, would be taken for the one compiled before it.
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(self.code),
            "TMPDIR": str(self.temporary),
            "XDG_CACHE_HOME": str(self.temporary / "cache"),
            "MPLCONFIGDIR": str(self.shared / "matplotlib"),
            "WARP_CACHE_PATH": str(self.shared / "warp"),
            "JAX_COMPILATION_CACHE_DIR": str(compiled or self.shared / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0" if compiled else FOREVER,
        }
        with self._lock:
            if self._closed:
                raise SetupError("stopped")
            with (self.temporary.parent / "output").open("wb") as output:
                process = self._process = subprocess.Popen(
                    [sys.executable, "-m", *arguments], cwd=self.code, env={**kept, **settings}, start_new_session=True,
                    stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                )  # fmt: skip
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self._end()

    def _end(self) -> None:
        """The process and all that it left running in its group end."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """What runs ends, and nothing starts any more."""
        with self._lock:
            self._closed = True
            process = self._process
            if process is not None and process.poll() is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)

    def output(self) -> str:
        """The last lines that the latest process printed."""
        return "\n".join((self.temporary.parent / "output").read_text(errors="replace").strip().splitlines()[-15:])

    def watch(self, test: str, packages: Sequence[str]) -> tuple[float, dict[str, list[int]]]:
        """One test file on the code as it is: its seconds, and the lines of each source that ran."""
        folder, own = self.temporary.parent / "coverage", self.temporary.parent / "compiled"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        sources = ",".join(str(self.code / package) for package in packages)
        settings = f"data_file={folder / 'data'}\nsource={sources}\nparallel=true\npatch=subprocess,_exit\n"
        quiet = "no-data-collected,module-not-measured,module-not-imported,couldnt-parse"
        (folder / "rc").write_text(f"[run]\n{settings}concurrency=thread,multiprocessing\ndisable_warnings={quiet}\n")
        start = time.perf_counter()
        status = self.run(["coverage", "run", f"--rcfile={folder / 'rc'}", "-m", *PYTEST, test], compiled=own)
        seconds = time.perf_counter() - start
        if status not in (0, 5):  # 5: it has slow tests alone
            raise SetupError(f"{test} fails without a mutant:\n{self.output()}")
        lines: dict[str, set[int]] = collections.defaultdict(set)
        for path in folder.glob("data*"):
            data = coverage.CoverageData(str(path))
            data.read()
            for file in data.measured_files():
                if Path(file).is_relative_to(self.code):
                    lines[Path(file).relative_to(self.code).as_posix()].update(data.lines(file) or ())
        for path in own.iterdir() if own.exists() else ():
            path.replace(self.shared / "compiled" / path.name)
        return seconds, {file: sorted(found) for file, found in lines.items()}

    def attempt(self, mutant: Mutant, tests: Sequence[str], limit: float) -> str:
        """What becomes of a mutant: failed, time-out, survived, not reached."""
        if not tests:
            return "not reached"
        path = self.code / mutant.place.path
        source = path.read_bytes()
        path.write_text(mutant.code, encoding="utf-8", newline="")
        try:
            status = self.run([*PYTEST, *tests], limit)
        finally:
            path.write_bytes(source)
        return "time-out" if status is None else "failed" if status else "survived"
