"""Sweeps: space -> trials -> blocks -> devices -> store. Thousands of networks in one program, in one database."""

from jaxmlp.engine import Data, data_hash, hold_out
from jaxmlp.sweep import findings, one_call, preparation, store
from jaxmlp.sweep.asking import SAMPLERS, Searched, search, search_figures, study_of
from jaxmlp.sweep.blocks.block_training import Outcome, train_block, train_trial
from jaxmlp.sweep.blocks.packing import ENGINES, Block, bytes_per_group, pack, refusal
from jaxmlp.sweep.findings import Results, choosing, dataset_of, results, summary
from jaxmlp.sweep.halving import BY, planned, rungs, survivors
from jaxmlp.sweep.one_call import Pool, run
from jaxmlp.sweep.preparation import SweepConfig, prepared
from jaxmlp.sweep.runner import ATTEMPTS, IN_FLIGHT, run_sweep
from jaxmlp.sweep.space import Range, Space, make_space
from jaxmlp.sweep.store import reading
from jaxmlp.sweep.store.reading import trials
from jaxmlp.sweep.trial import Trial, initial_weights, order_streams, trial_of

__all__ = [
    "ATTEMPTS", "BY", "ENGINES", "IN_FLIGHT", "SAMPLERS", "Block", "Data", "Outcome", "Pool", "Range", "Results",
    "Searched", "Space", "SweepConfig", "Trial", "bytes_per_group", "choosing", "data_hash", "dataset_of", "findings",
    "hold_out", "initial_weights", "make_space", "one_call", "order_streams", "pack", "planned", "preparation",
    "prepared", "reading", "refusal", "results", "run", "run_sweep", "rungs", "search", "search_figures", "store",
    "study_of", "summary", "survivors", "train_block", "train_trial", "trial_of", "trials",
]  # fmt: skip
