"""Strict settings for every test, made before JAX starts: 64 bits, no silent promotion, two CPU devices, no GPU.

Many statements are of bits, of lanes per group or of blocks of one thread, as a CPU has them. JAX_PLATFORMS wins.
A folder in JAX_COMPILATION_CACHE_DIR keeps what is compiled: the next run takes less than half the time.
"""

import gc
import json
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2".strip()

os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # in the first process: the workers inherit what it sets
    # What one process compiles serves the others, for this run alone.
    COMPILED = tempfile.TemporaryDirectory(prefix="jaxmlp-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED.name
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import hypothesis
import jax
import pytest

from jaxmlp import Dataset, load_digits

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, database=None, max_examples=50)
hypothesis.settings.load_profile("suite")

DATA = Path(__file__).parent / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chromium", metavar="PATH", help="the browser that tests marked 'browser' must start")


def pytest_collection_finish() -> None:
    """What has been imported stays: the garbage collector need not look through it again and again."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests have recorded as "shown": counts and measurements."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "shown":
                terminalreporter.write_line(value)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_digits("float64")


@pytest.fixture(scope="session")
def reference() -> dict[tuple[int, ...], dict[str, Any]]:
    """The notebook's three networks by hidden widths: histories, probes, first sample."""
    runs = json.loads((DATA / "lecture.json").read_text())["runs"]
    return {tuple(run["hidden"]): run for run in runs}


@pytest.fixture(scope="session")
def twins() -> dict[tuple[int, ...], dict[str, Any]]:
    """How far one rounding error in the initial weights carries, by hidden widths."""
    networks = json.loads((DATA / "ulp-twins.json").read_text())["networks"]
    return {tuple(json.loads(hidden)): spread for hidden, spread in networks.items()}
