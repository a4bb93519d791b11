"""One process at a time runs a sweep: a second one would train everything again beside the first."""

import contextlib
import os
import socket
import time
from collections.abc import Generator
from pathlib import Path

from jaxmlp.checks import InputError

try:
    import fcntl
except ImportError:  # Windows, where sweeps go on without
    fcntl = None

__all__ = ["claimed"]


@contextlib.contextmanager
def claimed(path: str | os.PathLike[str], sweep: int) -> Generator[None]:
    """Within it this process alone runs the sweep; other sweeps of the same database may run.

    The claim is a lock of the operating system on a small file beside the database: it ends with the process, however
    that ends. Where the file system has no locks there is none.

    Raises:
        InputError: another process runs the sweep; the line says which.
    """
    place = Path(path).resolve()
    lock = place.with_name(f".{place.name}.sweep-{sweep}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:  # a folder that takes no new file
        yield
        return
    try:
        mine = _locked(descriptor) and lock.exists() and os.path.samestat(os.fstat(descriptor), lock.stat())
        if not mine:  # or it ended a moment ago
            who = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            raise InputError(f"sweep {sweep} of {str(path)!r} is being run by {who}, expected one run at a time")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {time.ctime()}".encode(), 0)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)  # before it is released: who comes then makes a new one
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Whether the lock is ours; True as well where there are no locks."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without them
        return True
    return True
