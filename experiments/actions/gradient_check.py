"""Which gradient is checked: a file's, on data, on random networks, or with planted mistakes."""

import argparse

from experiments import gradient_cases
from experiments.support import own_data
from jaxmlp import choices
from jaxmlp.checks import check_seed


def command(options: argparse.Namespace) -> int:
    """The check that the options ask for; returns the exit code."""
    check_seed(options.seed)
    if options.file is not None:
        return gradient_cases.own_file.show_file(options.file, options.seed, options.out)
    if options.planted_mistake:
        return gradient_cases.planted_check.show_planted(options.planted_mistake, options.seed)
    if options.random_networks is not None:
        activations = (options.activation,) if options.activation else choices.ACTIVATIONS
        return gradient_cases.random_networks.show_random(
            options.random_networks, options.seed, options.dtype, activations, options.out
        )
    phi = options.activation or "sigmoid"
    settings = gradient_cases.data_check.CheckConfig(
        options.hidden, phi, options.dtype, options.batch_size, options.seed
    )
    return gradient_cases.data_check.show_data(settings, options.out, own_data.read(options))
