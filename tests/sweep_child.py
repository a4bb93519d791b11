"""A sweep in a process of its own, to be killed: ``python -m tests.sweep_child FILE [ENGINE]``; a line per block."""

import concurrent.futures
import sys

import jax

from jaxmlp import runtime
from jaxmlp.engine import layout
from jaxmlp.sweep import Space, make_space, run_sweep, store
from jaxmlp.sweep.blocks import Data, data_hash, hold_out
from tests.helpers import random_dataset

EPOCHS = 3


def space() -> Space:
    """8,000 trials in 63 blocks, some of which diverge."""
    rates = [0.1, 0.3, 1.0, 1e30]
    return make_space({"hidden": ["3", "6"], "activation": ["relu"], "learning_rate": rates, "seeds": ["0:1000"]})


def data() -> Data:
    """24 rows, 6 of which validate."""
    return hold_out(random_dataset(5, 24, "float32"), 6)


def main(path: str, engine: str = "scan") -> None:
    """Run or resume the sweep."""
    runtime.configure_sweep("float32")
    layout.GROUPS = 8  # more blocks to be killed in
    found = data()
    with store.opened(path, write=True) as connection, concurrent.futures.ThreadPoolExecutor(2) as executor:
        identity = store.Identity("child", data_hash(found), EPOCHS, 0)
        sweep, resumed = store.begin(connection, identity, space().trials(), {"devices": jax.device_count()})
        print("resumed" if resumed else "new", flush=True)
        run_sweep(connection, sweep, found, executor, lambda count: print(count, flush=True), engine=engine)


if __name__ == "__main__":
    main(*sys.argv[1:])
