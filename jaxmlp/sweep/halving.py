"""Successive halving: which configurations continue after a rung, by their means over all seeds."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from jaxmlp.choices import BY
from jaxmlp.sweep.trial import Trial

__all__ = ["BY", "planned", "rungs", "survivors"]

Scores = tuple[float | None, float | None]
"""Validation loss and accuracy after a rung; None: none, for a trial that diverged or failed."""


def rungs(epochs: int, halving: int) -> list[int]:
    """Epochs at which successive halving chooses, and the last, ``epochs``, at which it ends; 0: it never chooses.

    It chooses first after a quarter of the epochs, and again whenever they have grown ``halving`` times, up to three
    quarters of all. Earlier, the networks that learn slowly but end best are still behind: of 20 spaces on the digits,
    choosing from the first epoch on found the best in 12, this in all. From four epochs and three configurations on it
    takes half the updates at most.
    """
    found = [max(1, epochs // 4)] if halving else []
    while found and found[-1] * halving <= 3 * epochs // 4:
        found.append(found[-1] * halving)
    return [*(step for step in found if step < epochs), epochs]


def planned(configurations: int, epochs: int, halving: int) -> list[tuple[int, int]]:
    """For each rung its epoch and how many configurations it trains, where none of them diverges."""
    found: list[tuple[int, int]] = []
    for step in rungs(epochs, halving):
        found.append((step, max(1, found[-1][1] // halving) if found else configurations))
    return found


def survivors(alive: Sequence[Trial], scores: Mapping[Trial, Scores], halving: int, by: str = "loss") -> list[Trial]:
    """The trials of the best share, 1/halving, of the configurations in ``alive``, at least of one, in their old order.

    A configuration is judged by the mean over its seeds, and continues with all of them: single trials that were kept
    would be the lucky seeds. One of which a seed has no score is out. Where all are out, nothing is left.

    Args:
        alive: with all seeds of each configuration.
        scores: of those that have one.
        halving: 2 or more.
        by: one of `BY`; where accuracies are equal the loss decides.
    """
    members: dict[Trial, list[Trial]] = {}
    for trial in alive:
        members.setdefault(dataclasses.replace(trial, seed=0), []).append(trial)
    ranked: list[tuple[tuple[float, float], int, Trial]] = []
    for number, (configuration, trials) in enumerate(members.items()):
        found = [scores.get(trial, (None, None)) for trial in trials]
        losses = [loss for loss, _ in found if loss is not None]
        accuracies = [accuracy for _, accuracy in found if accuracy is not None]
        if len(losses) == len(accuracies) == len(trials):
            loss, accuracy = math.fsum(losses) / len(losses), math.fsum(accuracies) / len(accuracies)
            ranked.append(((loss, 0.0) if by == "loss" else (-accuracy, loss), number, configuration))
    kept = {configuration for _, _, configuration in sorted(ranked)[: max(1, len(members) // halving)]}
    return [trial for trial in alive if dataclasses.replace(trial, seed=0) in kept]
