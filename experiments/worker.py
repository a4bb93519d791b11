"""One contender in a process of its own, so that its compilation flags and threads are its own.

python -m experiments.worker CONTENDER WORKLOAD FLAGS

Prints a JSON line when prepared, then one for each line read: what a repetition took and gave.
"""

import json
import sys
import time
from typing import Any

from experiments import contenders, contenders_torch
from experiments.contenders import Outcome, Prepared
from experiments.workloads import LEARNING_RATE, Workload, make

FLAGS = ("chosen", "as set")
"""Whose compilation flags: `jaxmlp.runtime`'s choice for the network, or those in the environment."""


def jaxmlp_training(workload: Workload, gradient: str, flags: str) -> Prepared:
    """jaxmlp, all epochs in one compiled call."""
    import jax

    from experiments.train import GRADIENTS
    from jaxmlp import Config, Hyperparameters, Layer, initial_state, make_dataset, runtime, train_epochs

    if flags == "chosen":
        runtime.configure(workload.dtype, sizes=workload.sizes, batch_size=workload.batch_size, device="cpu")
    else:
        runtime.configure(workload.dtype, device="cpu")
    task = make(workload)
    dataset = make_dataset(task.x_train, task.labels_train, task.x_test, task.labels_test, 10, workload.dtype)
    params = tuple(Layer(jax.numpy.asarray(w), jax.numpy.asarray(b)) for w, b in zip(*task[:2], strict=True))
    hyperparameters, config = Hyperparameters(LEARNING_RATE), Config(batch_size=workload.batch_size)
    arguments = (initial_state(params, hyperparameters, config), dataset, jax.numpy.asarray(task.orders))
    start = time.perf_counter()
    program = train_epochs.lower(*arguments, hyperparameters, config, GRADIENTS[gradient]("sigmoid")).compile()
    seconds = time.perf_counter() - start
    return lambda: Outcome(*(float(column[-1]) for column in program(*arguments, hyperparameters)[1])), seconds


CONTENDERS = {
    "jaxmlp, automatic": lambda workload, flags: jaxmlp_training(workload, "automatic", flags),
    "jaxmlp, hand-derived": lambda workload, flags: jaxmlp_training(workload, "hand-derived", flags),
    "Numba loops": lambda workload, _: contenders.numba_training(workload),
    "NumPy loop": lambda workload, _: contenders.numpy_training(workload),
    "scikit-learn": lambda workload, _: contenders.scikit_learn(workload),
    "PyTorch, eager": lambda workload, _: contenders_torch.eager(workload),
    "PyTorch, compiled": lambda workload, _: contenders_torch.with_compile(workload),
}  # fmt: skip


def answer(content: dict[str, Any]) -> None:
    """One JSON line for the process that waits for it."""
    print(json.dumps(content), flush=True)


def main(arguments: list[str]) -> None:
    """Prepare, then run once for each line of standard input."""
    name, workload, flags = arguments
    sizes, *rest = json.loads(workload)
    call, seconds_compiling = CONTENDERS[name](Workload(tuple(sizes), *rest), flags)
    answer({"seconds_compiling": seconds_compiling})
    for _ in sys.stdin:
        start = time.perf_counter()
        outcome = call()
        answer({"seconds": time.perf_counter() - start, **outcome._asdict()})


if __name__ == "__main__":
    main(sys.argv[1:])
