"""A sweep in one of several processes: ``python -m tests.sweep_process FILE ENGINE [ADDRESS PROCESSES NUMBER]``."""

import concurrent.futures
import sys

import jax

from jaxmlp import runtime
from jaxmlp.sweep import make_space, run_sweep, store
from jaxmlp.sweep.blocks import data_hash, hold_out
from tests.helpers import random_dataset

EPOCHS = 3


def main(path: str, engine: str, *others: str) -> None:
    """Run the sweep; prints how many devices and processes it had."""
    runtime.configure_sweep("float32")
    if others:
        address, processes, number = others[0], int(others[1]), int(others[2])
        jax.distributed.initialize(address, num_processes=processes, process_id=number)
    rates = [0.1, 0.3, 1.0, 1e30]
    space = make_space({"hidden": ["3", "6"], "activation": ["relu"], "learning_rate": rates, "seeds": ["0:30"]})
    data = hold_out(random_dataset(5, 24, "float32"), 6)
    with store.opened(path, write=True) as connection, concurrent.futures.ThreadPoolExecutor(1) as executor:
        identity = store.Identity("several", data_hash(data), EPOCHS, 0)
        sweep, _ = store.begin(connection, identity, space.trials(), {})
        run_sweep(connection, sweep, data, executor, engine=engine)
    print(jax.device_count(), jax.local_device_count(), jax.process_count())


if __name__ == "__main__":
    main(*sys.argv[1:])
