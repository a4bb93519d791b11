"""What a sweep is made ready with: its configuration checked, validation rows held out, the engine chosen."""

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxmlp import runtime
from jaxmlp.checks import InputError, check_held, check_one_of, check_whole
from jaxmlp.choices import ENGINES
from jaxmlp.engine import device_mesh, lanes_of, load_kernel
from jaxmlp.entrance import check_dataset
from jaxmlp.lecture.data import Dataset
from jaxmlp.sweep.blocks.held_out import Data, hold_out
from jaxmlp.sweep.blocks.packing import pack, refusal
from jaxmlp.sweep.halving import BY
from jaxmlp.sweep.space import Space
from jaxmlp.sweep.trial import Trial

__all__ = ["Say", "SweepConfig", "choose_engine", "prepared"]

VALIDATION = 0.2
DIGITS_VALIDATION = 300

Say = Callable[[str], None]


class SweepConfig(NamedTuple):
    """How the trials of a sweep are trained.

    Attributes:
        epochs: of each.
        validation: the last training rows, held out to choose by; None: a fifth of them, of the lecture's digits 300.
        halving: the best 1/halving of the configurations continue after a quarter of the epochs, and again, see
            `jaxmlp.sweep.rungs`; 0: all are trained to the end.
        engine: one of `ENGINES`, or "auto".
        by: what chooses, "loss" or "accuracy" of the validation rows, a configuration's mean over its seeds.
    """

    epochs: int = 20
    validation: int | None = None
    halving: int = 0
    engine: str = "auto"
    by: str = "loss"


def prepared(
    dataset: Dataset,
    space: Space,
    config: SweepConfig,
    local: bool = True,
    say: Say = lambda _: None,
    searched: bool = False,
) -> tuple[Data, list[Trial], str]:
    """Data with the validation rows held out, the trials, and the engine; raises InputError for what can't be trained.

    Configures JAX for many networks, if JAX has not started yet.

    Args:
        dataset: to train on.
        space: of the trials.
        config: how they are trained.
        local: whether this process trains.
        say: called with notes for a person.
        searched: whether a sampler will draw the trials; then there are none yet, and the space is checked by its ends.
    """
    data = _held_out(dataset, config)
    if searched and not len(data.validation.labels):
        raise InputError("validation is 0, expected rows for the sampler to learn from")
    trials = [] if searched else space.trials()
    return data, trials, _checked_engine(space.kinds() if searched else trials, data, config, local, say)


def _held_out(dataset: Dataset, config: SweepConfig) -> Data:
    """Data with the validation rows held out; JAX is configured for many networks, where it has not started yet."""
    check_whole("epochs", config.epochs, 1)
    if config.validation is not None:
        check_whole("validation", config.validation, 0)
    if check_whole("halving", config.halving, 0) == 1:
        raise InputError("halving is 1, expected 0 for none or a factor of 2 or more")
    check_one_of("by", config.by, BY)
    check_dataset(dataset)
    dtype = str(dataset.x_train.dtype)
    runtime.configure_sweep(dtype)
    if device_mesh().devices.flat[0].platform == "cpu" and not runtime.compiles_whole_loops():
        # Six frames up, past the session and its context manager, is who called `run` or `search`.
        said = "JAX already runs without its settings for many networks: training takes several times as long"
        warnings.warn(f"{said}; call jaxmlp.runtime.configure_sweep({dtype!r}) before it computes", stacklevel=6)
    data = hold_out(dataset, _validation(dataset, config.validation))
    if config.halving and not len(data.validation.labels):
        raise InputError(f"validation is 0, expected rows for halving {config.halving} to choose by")
    return data


def _checked_engine(trials: Sequence[Trial], data: Data, config: SweepConfig, local: bool, say: Say) -> str:
    """The engine that will train these trials; raises InputError for one that it cannot train."""
    engine, notes = choose_engine(config.engine, local)
    for name in ("learning_rate", "weight_decay", "init_scale"):
        for value in {getattr(trial, name) for trial in trials}:
            check_held(name, value, data.dataset.x_train.dtype)
    configs = {block.config for block in pack(trials, data, lanes_of(device_mesh()), engine)}
    if engine == "fused":
        notes += [
            f"the scan trains some networks instead: {refusal(each, data)}" for each in configs if each.engine == "scan"
        ]
    for note in dict.fromkeys(notes):
        say(f"note: {note}")
    return engine


def _validation(dataset: Dataset, given: int | None) -> int:
    if given is not None:
        return given
    source = getattr(dataset, "source", None)  # of a Table, whose package need not be opened for this
    digits = source is None or source["data"] == "digits"
    n = len(dataset.labels_train)
    return DIGITS_VALIDATION if digits and n > 2 * DIGITS_VALIDATION else round(VALIDATION * n)


def choose_engine(engine: str, local: bool = True) -> tuple[str, list[str]]:
    """The engine that "auto" means, the fused one on a GPU, else the scan; and notes on that choice.

    On a GPU the fused engine was measured faster with 64 to 16,384 networks. With an executor it is the scan, since
    nobody knows the devices of its workers. It is also the scan where NVIDIA Warp is missing.
    """
    check_one_of("engine", engine, (*ENGINES, "auto"))
    on_cpu = device_mesh().devices.flat[0].platform == "cpu"
    if engine == "fused" and on_cpu:
        return engine, ["on a CPU the scan is faster than the fused engine, which is made for GPUs"]
    if engine != "auto" or not local or on_cpu:
        return ("scan" if engine == "auto" else engine), []
    try:
        load_kernel()
    except InputError as reason:
        return "scan", [f"the scan trains, slower on a GPU: {reason}"]
    return "fused", []
