"""What several test modules share: one comparator, random networks and data, rejection of bad input."""

import contextlib
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from experiments import benchmark
from jaxmlp import Dataset, InputError, Layer, Params, Trace
from jaxmlp.lecture import make_dataset

DEPTHS = {depth: (4, *(5, 4, 5, 4)[:depth], 3) for depth in range(5)}
"""Sizes with 0..4 hidden layers, no two neighbours equally wide, so that no transposed matrix fits. Few shapes: JAX
compiles for each. The data's 4-5-3 in batches of 6 is the network of many files."""


def assert_agree(actual: Any, expected: Any, tolerance: float = 0.0) -> None:
    """Equal structure, shapes and dtypes; each leaf within ``tolerance`` by norm, bit for bit where that is zero."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for (path, a), e in zip(jax.tree.leaves_with_path(actual), jax.tree.leaves(expected), strict=True):
        name, a, e = jax.tree_util.keystr(path), np.asarray(a), np.asarray(e)
        assert (a.shape, a.dtype) == (e.shape, e.dtype), f"{name}: {a.dtype}{a.shape}, expected {e.dtype}{e.shape}"
        if tolerance == 0:
            assert a.tobytes() == e.tobytes(), f"{name} differs"
        else:
            error, scale = np.linalg.norm(a - e), np.linalg.norm(e)
            assert error <= tolerance * scale, f"{name}: relative error {error / scale if scale else error:.2e}"


def as_params(pairs: Iterable[tuple[Any, Any]]) -> Params:
    """The oracle's list of (W, b) as the library's parameters."""
    return tuple(Layer(jnp.asarray(w), jnp.asarray(b)) for w, b in pairs)


def random_params(seed: int, sizes: Sequence[int], dtype: str = "float64") -> Params:
    """Weights normal(0, 1) / sqrt(n_in), biases normal(0, 0.5): unlike a fresh network's, not zero."""
    rng = np.random.default_rng(seed)
    return tuple(
        Layer(
            jnp.asarray(rng.normal(0, n_in**-0.5, (n_out, n_in)), dtype), jnp.asarray(rng.normal(0, 0.5, n_out), dtype)
        )
        for n_in, n_out in itertools.pairwise(sizes)
    )


def random_batch(
    seed: int, sizes: Sequence[int], batch: tuple[int, ...] = (), dtype: str = "float64"
) -> tuple[Array, Array]:
    """Inputs ``[*batch, n_in]`` and one-hot targets ``[*batch, n_classes]`` for a network of ``sizes``."""
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(0, 1, (*batch, sizes[0])), rng.integers(0, sizes[-1], batch)
    return jnp.asarray(x, dtype), jnp.asarray(np.eye(sizes[-1])[labels], dtype)


def random_dataset(seed: int, n_train: int = 12, dtype: str = "float64", n_test: int = 5) -> Dataset:
    """Four inputs, three classes."""
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(0, 1, (n_train + n_test, 4)), rng.integers(0, 3, n_train + n_test)
    return make_dataset(x[:n_train], labels[:n_train], x[n_train:], labels[n_train:], 3, dtype)


def notebook_form(value: Any) -> str:
    """What a notebook shows of ``value``."""
    shown: str = value._repr_html_()
    return shown


@contextlib.contextmanager
def rejects(message: str) -> Generator[pytest.ExceptionInfo[InputError]]:
    """The block raises InputError, in one line that contains ``message``."""
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        yield caught
    assert "\n" not in str(caught.value)


MISSING_WARP = ModuleNotFoundError("No module named 'warp'", name="warp")


def without_warp(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """From here on, importing Warp raises ``error``."""

    class Finder:
        def find_spec(self, name: str, *_: Any) -> None:
            if name == "warp":
                raise error

    for name in [name for name in sys.modules if name.split(".")[0] == "warp" or name == "jaxmlp.engine.fused.kernel"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("jaxmlp.engine.fused.kernel", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])


def fresh_python(program: str) -> str:
    """What ``program`` prints in an interpreter of its own, with JAX's settings at their defaults."""
    settings = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS" and name[:4] != "JAX_"}
    done = subprocess.run([sys.executable, "-c", program], env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Worked(NamedTuple):
    params: Params
    x: Array
    y: Array
    trace: Trace
    loss: Array
    gradient: Params


def worked_by_hand() -> Worked:
    """A sigmoid network of 2 inputs, 1 hidden unit and 2 classes, on one sample, with a pencil.

    x = (1, 2), W_1 = (0.5, -0.25), b_1 = 0:       g_1 = 0.5 - 0.5 = 0, h_1 = sigmoid(0) = 0.5
    W_2 = (2 ln 3, 0) as a column, b_2 = (0, 0):   g_2 = (ln 3, 0), h_2 = (3/4, 1/4), for e^(ln 3) : e^0 = 3 : 1
    y = (0, 1):                                    L = -ln(1/4) = ln 4 = 1.386294
    delta_2 = h_2 - y = (0.75, -0.75):             dL/dW_2 = delta_2 * 0.5 = (0.375, -0.375), dL/db_2 = delta_2
    delta_1 = (0.75 * 2 ln 3 - 0) * 0.5 * (1 - 0.5) = 0.375 ln 3 = 0.411980
                                                   dL/dW_1 = delta_1 * (1, 2) = (0.411980, 0.823959), dL/db_1 = delta_1
    """

    def layer(weights: list[list[float]], biases: list[float]) -> Layer:
        return Layer(jnp.array(weights), jnp.array(biases))

    ln3 = 1.0986122886681098
    x, y = jnp.array([1.0, 2.0]), jnp.array([0.0, 1.0])
    return Worked(
        params=(layer([[0.5, -0.25]], [0.0]), layer([[2 * ln3], [0.0]], [0.0, 0.0])),
        x=x,
        y=y,
        trace=Trace((jnp.array([0.0]), jnp.array([ln3, 0.0])), (x, jnp.array([0.5]), jnp.array([0.75, 0.25]))),
        loss=jnp.array(1.3862943611198906),
        gradient=(
            layer([[0.4119796082505412, 0.8239592165010823]], [0.4119796082505412]),
            layer([[0.375], [-0.375]], [0.75, -0.75]),
        ),
    )


def told_by(caplog: pytest.LogCaptureFixture) -> str:
    """What has been logged since this was last asked, one line each."""
    lines = "".join(f"{line}\n" for line in caplog.messages)
    caplog.clear()
    return lines


def code_lines(path: Path) -> set[str]:
    """The lines of a module, without blanks and comments."""
    return {line.split("  # ")[0].strip() for line in path.read_text().splitlines()}


def benchmark_main(what: str) -> Callable[[list[str]], int]:
    """The command ``python -m experiments.benchmark WHAT``, called with its options."""
    return lambda options: benchmark.main([what, *options])
