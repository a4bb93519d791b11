"""Many networks in one program: groups of lanes on all devices, one epoch a call, by a scan or by the fused kernel."""

from jaxmlp.engine.fused import fused_epochs, fused_refusal, load_kernel, warps
from jaxmlp.engine.held_out import Data, data_hash, hold_out
from jaxmlp.engine.measures import Measures
from jaxmlp.engine.program import Lanes, Program, block_epoch, device_mesh, lanes_of

__all__ = [
    "Data", "Lanes", "Measures", "Program", "block_epoch", "data_hash", "device_mesh", "fused_epochs", "fused_refusal",
    "hold_out", "lanes_of", "load_kernel", "warps",
]  # fmt: skip
