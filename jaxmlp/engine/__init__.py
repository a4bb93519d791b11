"""Many networks in one program: groups of lanes on all devices, trained by a scan or by the fused kernel."""

from jaxmlp.engine import layout
from jaxmlp.engine.fused import fused_epochs, fused_refusal, load_kernel, warps
from jaxmlp.engine.held_out import Data, data_hash, hold_out
from jaxmlp.engine.layout import device_mesh, ladder_width, lanes_of
from jaxmlp.engine.measures import Evaluation, Measures
from jaxmlp.engine.numbered import number_of
from jaxmlp.engine.penalty import penalised_gradient
from jaxmlp.engine.program import BlockConfig, Lanes, Settings, Step, run_block, train_group

__all__ = [
    "BlockConfig", "Data", "Evaluation", "Lanes", "Measures", "Settings", "Step", "data_hash", "device_mesh",
    "fused_epochs", "fused_refusal", "hold_out", "ladder_width", "lanes_of", "layout", "load_kernel", "number_of",
    "penalised_gradient", "run_block", "train_group", "warps",
]  # fmt: skip
