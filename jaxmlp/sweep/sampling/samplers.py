"""Optuna, where it is installed, and its samplers by name."""

import importlib
import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np

from jaxmlp.checks import InputError, check_one_of
from jaxmlp.choices import SAMPLERS
from jaxmlp.runtime import install_command

__all__ = ["SAMPLERS", "load_optuna", "make_sampler", "new_study"]

DIRECTIONS = {"loss": "minimize", "accuracy": "maximize"}
NEEDS = {"gp": "torch", "cmaes": "cmaes"}


def load_optuna() -> Any:
    """The package; raises InputError where it is missing."""
    try:
        return importlib.import_module("optuna")
    except ImportError:
        raise InputError(f"a search needs the package optuna: {install_command('optuna')}") from None


def new_study(by: str) -> Any:
    """An empty study in memory, which chooses by ``by``."""
    optuna = load_optuna()
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(direction=DIRECTIONS[by])
    finally:
        optuna.logging.set_verbosity(verbosity)


def make_sampler(name: str, seed: int, number: int, size: int) -> Any:
    """The sampler of a batch: all that it knows are the seed, the batch's ``number`` and the trials of the study.

    So a search that was killed asks for the same batch again. ``size``: of a batch, and of a generation of CMA-ES.

    Raises:
        InputError: an unknown name, a package that it needs is missing.
    """
    samplers = load_optuna().samplers
    check_one_of("sampler", name, SAMPLERS)
    if (package := NEEDS.get(name)) and find_spec(package) is None:
        raise InputError(f"the sampler {name} needs the package {package}: {install_command('', package)}")
    start = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", load_optuna().exceptions.ExperimentalWarning)
        if name == "tpe":
            # Those of the batch that were asked for before count as bad: the next is asked for elsewhere.
            return samplers.TPESampler(seed=start, constant_liar=True)
        if name == "gp":
            return samplers.GPSampler(seed=start)
        if name == "cmaes":
            # Categories are drawn at random: it has numbers only.
            return samplers.CmaEsSampler(seed=start, popsize=max(size, 5), warn_independent_sampling=False)
        return samplers.RandomSampler(seed=start)
