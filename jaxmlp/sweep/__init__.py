"""Sweeps: space -> trials -> blocks -> devices -> store. Thousands of networks in one program, in one database."""

from jaxmlp.sweep.lanes import Outcome, train_block, train_trial
from jaxmlp.sweep.packing import Block, pack
from jaxmlp.sweep.reading import trials
from jaxmlp.sweep.runner import run_sweep
from jaxmlp.sweep.space import Range, Space, make_space
from jaxmlp.sweep.trials import Trial
from jaxmlp.sweep.validation import Data, data_hash, hold_out

__all__ = [
    "Block", "Data", "Outcome", "Range", "Space", "Trial", "data_hash", "hold_out", "make_space", "pack", "run_sweep",
    "train_block", "train_trial", "trials",
]  # fmt: skip
