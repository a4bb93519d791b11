"""The device on which JAX computes, and whether JAX has started."""

from typing import Any

import jax

from jaxmlp.checks import InputError, check_one_of
from jaxmlp.choices import DEVICES
from jaxmlp.runtime.installation import install_command

__all__ = ["DEVICES", "choose_device", "find_device", "platforms_missing", "started"]


def choose_device(device: str) -> None:
    """Compute on a "cpu", a "gpu" (starts JAX to see whether there is one), or by JAX's own choice ("auto").

    JAX's own settings decide how much of a GPU's memory it takes. Raises InputError for another name, if JAX finds no
    such device, or if JAX already runs on the other kind.
    """
    check_one_of("device", device, DEVICES)
    if device == "auto":
        return
    if device == "cpu" and not started():
        jax.config.update("jax_platforms", "cpu")
        return
    find_device(device)
    if jax.default_backend() != device:
        raise InputError(f"device is {device!r} while JAX already runs on {jax.default_backend()}: choose it first")


def find_device(device: str) -> Any:
    """The first `jax.Device` that is a "cpu" or a "gpu" (starts JAX); raises InputError for another name or none."""
    check_one_of("device", device, DEVICES[1:])
    try:
        return jax.devices(device)[0]
    except (RuntimeError, AssertionError):  # an AssertionError if JAX_PLATFORMS names no existing platform
        install = f"expected a driver for it, and: {install_command('cuda13')} (an older driver: cuda12)"
        raise InputError(f"device is {device!r}, but JAX finds none: {install}") from None


def platforms_missing() -> str | None:
    """The setting ``JAX_PLATFORMS``, if JAX cannot start with it; None if it can, or if there is none."""
    platforms = jax.config.values["jax_platforms"]
    if not platforms:
        return None
    try:
        jax.devices()
    except (RuntimeError, AssertionError):
        return platforms
    return None


def started() -> bool:
    """Whether JAX has already started its devices, after which flags and choice of device are ignored."""
    # JAX has no public function for this, but documents that this setting raises once the devices have started.
    current = jax.config.values["jax_num_cpu_devices"]
    try:
        jax.config.update("jax_num_cpu_devices", 2 if current == 1 else 1)
    except RuntimeError:
        return True
    jax.config.update("jax_num_cpu_devices", current)
    return False
