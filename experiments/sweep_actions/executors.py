"""Where a sweep trains: threads of this process, or a Dask cluster."""

import concurrent.futures
import contextlib
import importlib
import logging
import sys
from collections.abc import Generator
from typing import Any

from jaxmlp import InputError, runtime
from jaxmlp.sweep import ATTEMPTS, Pool


@contextlib.contextmanager
def executor(name: str) -> Generator[Pool | None]:
    """The executor ``dask://HOST:PORT`` and the arguments that `run_sweep` needs for it; None for ``local``.

    Where no worker is connected it says so on stderr and waits for the first.

    Raises:
        InputError: another name, no such scheduler, one that is lost in between.
    """
    if name == "local":
        yield None
        return
    if not name.startswith("dask://"):
        raise InputError(f"--executor is {name!r}, expected local or dask://HOST:PORT")
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise InputError(
            f"--executor dask:// needs the package distributed: {runtime.install_command('cluster')}"
        ) from None
    address = f"tcp://{name.removeprefix('dask://')}"
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # it logs tracebacks of what is told below
    try:
        client = distributed.Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise InputError(f"--executor is {name!r}, expected a Dask scheduler's address ({error})") from None
    with client:
        try:
            with client.get_executor(retries=ATTEMPTS - 1) as cluster:
                # Dask repeats a failed task itself, on another worker.
                yield cluster, {"in_flight": 2 * _workers(client, address), "attempts": 1}
        except (concurrent.futures.CancelledError, OSError, RuntimeError) as error:
            if client.status == "running" or isinstance(error, InputError):
                raise
            said = "expected it to last: what was written stays, and the same command goes on from there"
            raise InputError(f"the Dask scheduler {address} is gone, {said}") from None


def _workers(client: Any, address: str) -> int:
    """How many workers there are, 1 or more."""
    if not client.nthreads():  # of all workers: what else the scheduler tells of itself may list five alone
        print(f"waiting for a worker: none is connected, start one with: dask worker {address}", file=sys.stderr)
        client.wait_for_workers(1)
    return len(client.nthreads())
