"""What a program decides before JAX compiles: precision, devices; and what it records about where it ran."""

import os
import platform
from importlib import metadata
from typing import Any

import jax

from jaxmlp.data import check_dtype

__all__ = ["configure", "configure_sweep", "environment"]

# XLA runs each operation of a loop's body apart, unless the loop touches fewer bytes than the threshold: then it
# compiles the loop into one kernel, faster for networks that fit a cache. Without unrolling, compilation takes half
# the time and the kernel is no slower.
_SWEEP_FLAGS = (
    "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=20000000,xla_cpu_disable_loop_unrolling",
    "--xla_cpu_prefer_vector_width=512",
    f"--xla_force_host_platform_device_count={os.cpu_count() or 1}",
)


def configure(dtype: str) -> None:
    """Prepare JAX for ``dtype``: float64 turns on 64-bit mode for the whole process, float32 changes nothing.

    Raises:
        InputError: an unsupported dtype.
    """
    if dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    check_dtype(dtype)


def configure_sweep(dtype: str) -> None:
    """Prepare this process for many small networks: `configure`, and a CPU device a core.

    To be called before JAX's first computation, which fixes the devices. A flag of ``XLA_FLAGS`` that names one of ours
    stays as it is.

    Raises:
        InputError: an unsupported dtype.
    """
    given = os.environ.get("XLA_FLAGS", "")
    added = [flag for flag in _SWEEP_FLAGS if flag.split("=")[0] not in given]
    if added:
        os.environ["XLA_FLAGS"] = " ".join([given, *added]).strip()
    configure(dtype)


def environment() -> dict[str, Any]:
    """Versions, machine and device, as a JSON-ready dictionary: what one needs to judge or repeat a measurement."""
    device = jax.devices()[0]
    return {
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("jaxmlp", "jax", "jaxlib", "numpy", "optax", "scikit-learn")},
        },
        "machine": platform.machine(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": os.cpu_count(),
        "device": device.device_kind,
        "platform": device.platform,
        "devices": jax.device_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def _processor() -> str:
    """The processor's name: Linux tells it in a file only."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
