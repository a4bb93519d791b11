"""Precision and device for a part of a program, without changing the settings of the whole process."""

import contextlib
import os
import warnings
from collections.abc import Generator

import jax

from jaxmlp.runtime.device import find_device, started

__all__ = ["computing"]


class _Fork:
    """Whether this process was forked from one in which JAX had started: JAX's threads do not exist here."""

    lost = False

    @classmethod
    def after(cls) -> None:
        cls.lost = started()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_Fork.after)


@contextlib.contextmanager
def computing(dtype: str, device: str = "auto") -> Generator[None]:
    """A context in which JAX computes in ``dtype`` on ``device``; afterwards this thread's settings are restored.

    Args:
        dtype: 64-bit mode is on for float64 and off for float32; products have full precision with either dtype.
        device: "cpu" or "gpu"; "auto" is JAX's own choice.

    Warns:
        RuntimeWarning: in a process that was forked after JAX had started: computing is likely to wait for ever.

    Raises:
        InputError: an unknown device, or one that JAX doesn't find on this machine.
    """
    if _Fork.lost:
        said = "this process was forked after JAX had started, and JAX is likely to wait for its threads for ever"
        warnings.warn(f'{said}: start processes with "spawn" or "forkserver"', RuntimeWarning, stacklevel=5)
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.enable_x64(dtype == "float64"))
        stack.enter_context(jax.numpy_dtype_promotion("standard"))  # optax's Adam needs it
        stack.enter_context(jax.default_matmul_precision("highest"))  # a GPU's own default is TF32
        if device != "auto":
            stack.enter_context(jax.default_device(find_device(device)))
        yield
