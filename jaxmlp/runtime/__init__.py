"""What a program decides before JAX computes anything: precision, device, CPU compilation; and where it ran."""

from jaxmlp.runtime.compilation import (
    cache_folder,
    compiles_whole_loops,
    configure,
    configure_sweep,
    loop_options,
    merge_flags,
)  # fmt: skip
from jaxmlp.runtime.device import DEVICES, choose_device, find_device, platforms_missing, started
from jaxmlp.runtime.installation import install_command
from jaxmlp.runtime.manifest import environment
from jaxmlp.runtime.scoped import computing

__all__ = [
    "DEVICES", "cache_folder", "choose_device", "compiles_whole_loops", "computing", "configure", "configure_sweep",
    "environment", "find_device", "install_command", "loop_options", "merge_flags", "platforms_missing", "started",
]  # fmt: skip
