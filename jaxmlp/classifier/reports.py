"""What a fit says while it runs, with the logger "jaxmlp"."""

import logging
from collections.abc import Callable

import numpy as np

__all__ = ["Report", "report_to", "say"]

LOG = logging.getLogger("jaxmlp")
Report = Callable[[int, list[float], list[float]], None]
"""Called with the epochs done before, and the losses and validation scores of those done since."""


def report_to(verbose: bool) -> Report:
    """A Report that, if ``verbose``, logs one line per epoch, like the lecture's; see `say`."""

    def report(done: int, losses: list[float], scores: list[float]) -> None:
        for number, (loss, score) in enumerate(zip(losses, scores, strict=True), done + 1):
            validated = "" if np.isnan(score) else f", validation score = {score:.5f}"
            if verbose:
                say(f"{number}-th epoch: loss = {loss:.3f}{validated}")

    return report


def say(line: str) -> None:
    """Log a line with the logger "jaxmlp"; it is shown on standard error unless the program has logging of its own."""
    if not LOG.hasHandlers():
        LOG.addHandler(logging.StreamHandler())
    if LOG.level == logging.NOTSET:
        LOG.setLevel(logging.INFO)
    LOG.info(line)
