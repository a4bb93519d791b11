"""Precision and device for a stretch of code, where a program must not change the settings of the whole process."""

import contextlib
from collections.abc import Generator

import jax

from jaxmlp.runtime.device import find_device

__all__ = ["computing"]


@contextlib.contextmanager
def computing(dtype: str, device: str = "auto") -> Generator[None]:
    """Within it JAX computes in ``dtype`` on ``device``; afterwards this thread's settings are what they were.

    Args:
        dtype: 64-bit mode is on for float64 and off for float32; products are of full precision with either.
        device: "cpu" or "gpu"; "auto" is JAX's own choice.

    Raises:
        InputError: an unknown device, or one that JAX doesn't find on this machine.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.enable_x64(dtype == "float64"))
        stack.enter_context(jax.numpy_dtype_promotion("standard"))  # optax's Adam needs it
        stack.enter_context(jax.default_matmul_precision("highest"))  # a GPU's own default is TF32
        if device != "auto":
            stack.enter_context(jax.default_device(find_device(device)))
        yield
