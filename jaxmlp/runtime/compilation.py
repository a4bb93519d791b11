"""Precision and CPU compilation, set before JAX computes anything."""

import itertools
import os
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from jaxmlp.checks import InputError, check_sizes
from jaxmlp.entrance import check_dtype
from jaxmlp.runtime.device import choose_device, started

__all__ = [
    "cache_folder", "caching", "compiles_whole_loops", "configure", "configure_sweep", "loop_options", "merge_flags",
]  # fmt: skip

EXTRA = "--xla_backend_extra_options="

# For blocks of small networks: the loop over updates is compiled as one kernel (see `loop_options`). Without unrolling,
# compilation takes half the time and the kernel is no slower.
SWEEP_OPTIONS = {"xla_cpu_small_while_loop_byte_threshold": "20000000", "xla_cpu_disable_loop_unrolling": ""}
SWEEP_FLAGS = (
    "--xla_cpu_prefer_vector_width=512",
    # Without it each update copies weights that it could change in place.
    "--xla_cpu_copy_insertion_use_region_analysis=true",
    f"--xla_force_host_platform_device_count={os.cpu_count() or 1}",
)


def configure(
    dtype: str,
    *,
    sizes: Sequence[int] | None = None,
    batch_size: int = 1,
    device: str = "auto",
    cache: bool | str | Path = False,
) -> None:
    """Prepare JAX for one kind of work; call it before anything is computed. Changes settings of the whole process.

    Args:
        dtype: float64 turns on 64-bit mode. With either dtype, products have full precision, unless
            ``JAX_DEFAULT_MATMUL_PRECISION`` is set: by default, a GPU would round float32 to TF32's 10 bits.
        sizes: ``(n_0, .., n_L)`` of the network to train, to choose its compilation on a CPU (`loop_options`); without
            ``sizes``, XLA chooses. Options in ``XLA_FLAGS`` are kept and take precedence.
        batch_size: samples per update, for the same choice.
        device: as in `choose_device`.
        cache: the folder that keeps compiled programs for later processes; True: `cache_folder()`, which keeps the
            digits as well; False: none. If JAX already has a cache folder, that folder stays. A folder that cannot be
            used gives a warning.

    Raises:
        InputError: an unsupported dtype, size or device; or JAX already runs and would ignore these settings.
    """
    if dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    check_dtype(dtype)
    if jax.config.values["jax_default_matmul_precision"] is None:
        jax.config.update("jax_default_matmul_precision", "highest")
    options = loop_options(check_sizes(sizes), batch_size) if sizes is not None and device != "gpu" else {}
    if options:
        _set_flags(options)
    choose_device(device)
    if cache:
        _use_cache(cache_folder() if cache is True else Path(cache))


# The gain of compiling the whole loop over updates as one kernel: time with XLA's default flags / time with one kernel,
# 64-w-10, float32, updates alone (jax 0.10.2, 2 cores of an AMD EPYC with AVX2, shared with other work: 10 % is noise).
#
#   batch, w    10    20    32    64   128   256   512
#       1       4.4   4.6   5.0   3.9   3.5   1.5   2.1     784-128-10: 1.6   784-512-10: 1.5
#       4       2.0   1.2   0.6   0.5   0.4   0.4   0.2
#      16       0.7   0.4   0.3   0.2   0.1   0.1   0.1
#      32       0.5   0.2   0.5   0.1   0.1   0.1   0.1     784-128-10: 0.1
#     128       0.15  0.09  0.08  0.06  0.06  0.06  0.04
#
# For batches, one kernel is forced here by turning the matrix library off. XLA's own loops over products are slower by
# these factors, and a loop that contains a product of the library is never compiled as one kernel. Therefore the
# options are for one sample per update.
#
# The further gain of not unrolling small loops: otherwise LLVM unrolls loops over 20 units into scalar code before it
# vectorises them. Processor time, float32 / float64, one sample per update:
#
#   w    10         12         16         20         24         32         64         128        20-10      20-20-2
#        0.7 / 0.8  0.8 / 1.1  1.2 / 1.1  1.4 / 1.2  1.4 / 1.1  1.1 / 1.0  0.9 / 1.0  0.9 / 1.0  1.0 / 1.0  1.4 / 1.4
def loop_options(sizes: Sequence[int], batch_size: int) -> dict[str, str]:
    """XLA's backend options for training this network on a CPU, by the tables above; none for batches.

    XLA's CPU backend runs each operation of a loop's body as a separate task, which costs more than the arithmetic
    of one sample. The threshold makes it compile a loop that touches fewer bytes per turn into one kernel.

    Args:
        sizes: ``(n_0, .., n_L)``.
        batch_size: samples per update.

    Returns:
        Option to value, for `merge_flags`; an empty value means an option without a value.

    Raises:
        InputError: unsuitable sizes.
    """
    parameters = sum(n_out * (n_in + 1) for n_in, n_out in itertools.pairwise(check_sizes(sizes)))
    if batch_size > 1:
        return {}
    # An update touches about 20 bytes per parameter in float32, 40 in float64. The threshold is no larger than needed:
    # the loop over epochs must stay outside the kernel. Otherwise XLA compiles the evaluation's products itself, ten
    # times slower than its library's.
    options = {"xla_cpu_small_while_loop_byte_threshold": str(100_000 + 64 * parameters)}
    if 16 <= max(sizes[1:-1], default=0) <= 32:
        options["xla_cpu_disable_loop_unrolling"] = ""
    return options


def merge_flags(flags: str, options: Mapping[str, str]) -> str:
    """``XLA_FLAGS`` with backend options added; options that ``flags`` already contains keep their values.

    Args:
        flags: as in the environment: flags separated by blanks, or the name of a file of flags.
        options: backend option to value; an empty value means an option without a value.
    """
    if flags.strip() and not flags.lstrip().startswith("-"):
        flags = Path(flags.strip()).read_text()
    words = flags.split()
    given = [word.removeprefix(EXTRA) for word in words if word.startswith(EXTRA)]
    present = [option for group in given for option in group.split(",") if option]
    names = {option.partition("=")[0] for option in present}
    added = [f"{name}={value}" if value else name for name, value in options.items() if name not in names]
    if not added:
        return flags
    others = [word for word in words if not word.startswith(EXTRA)]
    return " ".join([*others, EXTRA + ",".join([*present, *added])])


def cache_folder() -> Path:
    """The folder of this user's compiled programs: ``jaxmlp`` in the system's folder for caches."""
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "jaxmlp"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "jaxmlp" / "cache"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "jaxmlp"


def caching() -> bool:
    """Whether this process keeps compiled programs in `cache_folder`."""
    return jax.config.values["jax_compilation_cache_dir"] == str(cache_folder())


def configure_sweep(dtype: str, cache: bool | str | Path = False) -> None:
    """Prepare this process for many small networks: `configure`, and one CPU device per core.

    Call it before JAX's first computation, which fixes the devices. If JAX already runs, the devices stay as they are.
    A flag that ``XLA_FLAGS`` already contains keeps its value.

    Args:
        dtype: as in `configure`.
        cache: as in `configure`.

    Raises:
        InputError: an unsupported dtype.
    """
    if not started():
        flags = merge_flags(os.environ.get("XLA_FLAGS", ""), SWEEP_OPTIONS)
        added = [flag for flag in SWEEP_FLAGS if flag.split("=")[0] not in flags]
        os.environ["XLA_FLAGS"] = " ".join([flags, *added]).strip()
    configure(dtype, cache=cache)


def compiles_whole_loops() -> bool:
    """Whether XLA compiles a loop over updates of many networks as one kernel: `configure_sweep`'s options are set."""
    flags = os.environ.get("XLA_FLAGS", "")
    return all(option in flags for option in SWEEP_OPTIONS)


def _set_flags(options: Mapping[str, str]) -> None:
    flags = os.environ.get("XLA_FLAGS", "")
    try:
        merged = merge_flags(flags, options)
    except OSError as error:
        raise InputError(f"XLA_FLAGS is {flags!r}, expected flags or a readable file ({error.strerror})") from None
    if merged == flags:
        return
    if started():
        raise InputError("JAX already runs, so that compilation flags would be ignored: configure before using it")
    os.environ["XLA_FLAGS"] = merged


def _use_cache(folder: Path) -> None:
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        warnings.warn(f"no compilation cache: {str(folder)!r} cannot be written ({error.strerror})", stacklevel=3)
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # by default 1 s, longer than ours take
