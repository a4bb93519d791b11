"""Sweeps: space -> trials -> blocks -> devices -> store. Thousands of networks in one program, in one database."""

from jaxmlp.engine import Data, data_hash, hold_out
from jaxmlp.sweep import choosing, reading, store
from jaxmlp.sweep.block_training import Outcome, train_block, train_trial
from jaxmlp.sweep.packing import ENGINES, Block, bytes_per_group, groups_per_block, pack, refusal
from jaxmlp.sweep.reading import trials
from jaxmlp.sweep.runner import ATTEMPTS, IN_FLIGHT, run_sweep, rungs
from jaxmlp.sweep.space import Range, Space, make_space
from jaxmlp.sweep.trial import Trial, trial_of

__all__ = [
    "ATTEMPTS", "ENGINES", "IN_FLIGHT", "Block", "Data", "Outcome", "Range", "Space", "Trial", "bytes_per_group",
    "choosing", "data_hash", "groups_per_block", "hold_out", "make_space", "pack", "reading", "refusal", "run_sweep",
    "rungs", "store", "train_block", "train_trial", "trial_of", "trials",
]  # fmt: skip
