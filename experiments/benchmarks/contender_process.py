"""One contender in a process of its own, with its own compilation flags and threads: both ends of the pipe.

python -m experiments.benchmarks.contender_process CONTENDER WORKLOAD FLAGS DEVICE

Prints a JSON line when it is ready. Then, for each line that it reads, it trains once and prints a JSON line with the
result.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from experiments.benchmarks import contenders, contenders_torch
from experiments.benchmarks.contenders import Outcome, Prepared
from experiments.benchmarks.contenders_many import MANY
from experiments.benchmarks.workloads import LEARNING_RATE, Workload, make

SWEEP = 1024


class Entry(NamedTuple):
    """A row to measure.

    Attributes:
        name: in the table.
        contender: a name in `CONTENDERS`.
        flags: "chosen": compilation flags as `jaxmlp.runtime` chooses them for the network; "as set": those of
            the environment.
        xla_flags: ``XLA_FLAGS`` of its environment.
        device: what jaxmlp trains on, "cpu" or "gpu"; the others always on the CPU.
    """

    name: str
    contender: str
    flags: str = "chosen"
    xla_flags: str = ""
    device: str = "cpu"


def environment(xla_flags: str = "", device: str = "cpu") -> dict[str, str]:
    """A worker's environment: no cache of compiled programs, no settings for NumPy's matrix library."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS_", "JAX_"))}
    return {**kept, "XLA_FLAGS": xla_flags, **({"JAX_PLATFORMS": "cpu"} if device == "cpu" else {})}


class ContenderError(Exception):
    """A contender that could not run; the message is the last line of its errors."""


class Worker:
    """A contender in its own process; ``ask`` returns its next answer."""

    def __init__(self, entry: Entry, workload: Workload) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by end()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "experiments.benchmarks.contender_process",
                entry.contender,
                json.dumps(workload),
                entry.flags,
                entry.device,
            ],
            env=environment(entry.xla_flags, entry.device),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )

    def ask(self, line: str = "") -> dict[str, float]:
        """Send ``line``, if any, and wait; raises ContenderError where the process has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line)
            self.process.stdin.flush()
        said = self.process.stdout.readline()
        if not said:
            self.errors.seek(0)
            raise ContenderError((self.errors.read().strip().splitlines() or ["no reason given"])[-1])
        return json.loads(said)

    def end(self) -> None:
        """Stop the process and wait for it."""
        self.process.terminate()
        self.process.communicate()
        self.errors.close()


def on_gpu(device: str) -> bool:
    """Whether jaxmlp is to train on a GPU too. Another process looks for it, since JAX takes all of a GPU's memory.

    Raises InputError where ``device`` is "gpu" and there is none.
    """
    from jaxmlp import InputError  # here, since the other contenders start without JAX

    if device == "cpu":
        return False
    probe = Worker(Entry("probe", "jaxmlp, automatic", device="gpu"), Workload((64, 20, 10), 1, "float32", 1))
    try:
        probe.ask()
    except ContenderError as reason:
        if device == "gpu":
            raise InputError(str(reason).partition(": ")[2]) from None
        return False
    finally:
        probe.end()
    return True


def jaxmlp_training(workload: Workload, gradient: str, flags: str, device: str) -> Prepared:
    """jaxmlp, all epochs in one compiled call."""
    import jax

    from experiments.support.training_run import GRADIENTS
    from jaxmlp import Hyperparameters, Layer, TrainingConfig, runtime
    from jaxmlp.lecture import initial_state, make_dataset, train_epochs

    if flags == "chosen":
        runtime.configure(workload.dtype, sizes=workload.sizes, batch_size=workload.batch_size, device=device)
    else:
        runtime.configure(workload.dtype, device=device)
    task = make(workload)
    dataset = make_dataset(task.x_train, task.labels_train, task.x_test, task.labels_test, 10, workload.dtype)
    params = tuple(Layer(jax.numpy.asarray(w), jax.numpy.asarray(b)) for w, b in zip(*task[:2], strict=True))
    hyperparameters, config = Hyperparameters(LEARNING_RATE), TrainingConfig(batch_size=workload.batch_size)
    arguments = (initial_state(params, hyperparameters, config), dataset, jax.numpy.asarray(task.orders))
    start = time.perf_counter()
    program = train_epochs.lower(*arguments, hyperparameters, config, GRADIENTS[gradient]("sigmoid")).compile()
    seconds = time.perf_counter() - start

    def call() -> Outcome:
        history = program(*arguments, hyperparameters)[1]
        return Outcome(float(history.loss[0]), *(float(column[-1]) for column in history))

    return call, seconds


def jaxmlp_sweep(workload: Workload, *_: str) -> Prepared:
    """A sweep of `SWEEP` networks of one seed on all cores of the CPU; the `Outcome` is that of the first."""
    import jax
    import numpy as np

    from jaxmlp import load_digits, runtime
    from jaxmlp.engine import device_mesh, lanes_of
    from jaxmlp.sweep import make_space
    from jaxmlp.sweep.blocks import hold_out, pack, train_block

    runtime.configure_sweep(workload.dtype)
    data: Any = jax.tree.map(np.asarray, hold_out(load_digits(workload.dtype)))
    trials = make_space({"learning_rate": [LEARNING_RATE * (n + 1) / SWEEP for n in range(SWEEP)]}).trials()
    assert workload == Workload((64, 20, 10), 1, workload.dtype, workload.epochs)

    def call() -> Outcome:
        outcomes = [train_block(block, workload.epochs, data) for block in pack(trials, data, lanes_of(device_mesh()))]
        first = outcomes[0][0]
        return Outcome(float(first.loss[0]), float(first.loss[-1]), first.train_accuracy, first.test_accuracy)

    return call, 0.0


CONTENDERS: dict[str, Callable[..., Prepared]] = {
    **MANY,
    "jaxmlp, automatic": lambda workload, *how: jaxmlp_training(workload, "automatic", *how),
    "jaxmlp, hand-derived": lambda workload, *how: jaxmlp_training(workload, "hand-derived", *how),
    "jaxmlp, a sweep": jaxmlp_sweep,
    "Numba loops": lambda workload, *_: contenders.numba_training(workload),
    "NumPy loop": lambda workload, *_: contenders.numpy_training(workload),
    "scikit-learn": lambda workload, *_: contenders.scikit_learn(workload),
    "PyTorch, eager": lambda workload, *_: contenders_torch.eager(workload),
    "PyTorch, compiled": lambda workload, *_: contenders_torch.with_compile(workload),
}  # fmt: skip


def answer(content: dict[str, Any]) -> None:
    """One JSON line for the process that waits for it."""
    print(json.dumps(content), flush=True)


def main(arguments: list[str]) -> None:
    """Prepare, then train once for each line of standard input."""
    name, workload, *how = arguments
    sizes, *rest = json.loads(workload)
    task = Workload(tuple(sizes), *rest)
    if task.small:
        threadpool_limits(1)  # NumPy's matrix library
    call, seconds_compiling = CONTENDERS[name](task, *how)
    answer({"seconds_compiling": seconds_compiling})
    for _ in sys.stdin:
        start = time.perf_counter()
        outcome = call()
        answer({"seconds": time.perf_counter() - start, **outcome._asdict()})


if __name__ == "__main__":
    main(sys.argv[1:])
