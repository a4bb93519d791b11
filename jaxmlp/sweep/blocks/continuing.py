"""Checkpoints: all that a trial needs to continue after an epoch, to the same bits, beside any neighbours."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load as from_bytes
from safetensors.numpy import save as to_bytes

from jaxmlp.lecture.training import TrainingState
from jaxmlp.sweep.trial import Trial

__all__ = ["Kept", "States", "freeze", "kept_of", "put_back", "thaw"]

MEMORY = 2**30
"""Bytes that the states of trials may take between two rungs of successive halving."""


class Kept(NamedTuple):
    """A trial after some of its epochs.

    Attributes:
        epochs: how many, 1 or more.
        curves: loss, validation loss and validation accuracy, ``[3, epochs]``, float64; fewer where it diverged.
        leaves: of its padded parameters and its optimiser's state, in the sequence of `jax.tree.leaves`.
    """

    epochs: int
    curves: NDArray[np.float64]
    leaves: tuple[NDArray[Any], ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return self.curves.nbytes + sum(leaf.nbytes for leaf in self.leaves)

    @property
    def alive(self) -> bool:
        """Whether it has not diverged."""
        return self.curves.shape[1] == self.epochs


class States(dict[Trial, Kept]):
    """Checkpoints of trials, up to `MEMORY` bytes. A trial without a place in it starts again, to the same bits."""

    def __init__(self, states: Mapping[Trial, Kept]) -> None:
        super().__init__(states)
        self._room = MEMORY - sum(state.size for state in states.values())

    def replace(self, trials: Iterable[Trial], states: Mapping[Trial, Kept]) -> None:
        """Forget where ``trials`` stood; keep of the new ``states`` those that fit."""
        for trial in trials:
            if trial in self:
                self._room += self.pop(trial).size
            if trial in states and states[trial].size <= self._room:
                self[trial] = states[trial]
                self._room -= states[trial].size


def kept_of(state: TrainingState, at: tuple[int, int], epochs: int, curves: NDArray[np.float64]) -> Kept:
    """What is kept of the lane ``at`` group and number of a block's state, whose leaves are NumPy's ``[G, B, ...]``."""
    return Kept(epochs, curves, tuple(np.array(leaf[at]) for leaf in jax.tree.leaves(state)))


def put_back(state: TrainingState, at: tuple[int, int], kept: Kept) -> None:
    """Write what was kept into the lane ``at`` of a block's state."""
    for leaf, values in zip(jax.tree.leaves(state), kept.leaves, strict=True):
        leaf[at] = values


def freeze(kept: Kept) -> bytes:
    """As bytes."""
    leaves = {str(number): leaf for number, leaf in enumerate(kept.leaves)}
    return to_bytes({"epochs": np.array([kept.epochs]), "curves": np.ascontiguousarray(kept.curves), **leaves})


def thaw(data: bytes) -> Kept | None:
    """What `freeze` was given; None for other bytes, of another version perhaps: the trial then starts anew."""
    try:
        found = from_bytes(data)
        (epochs,), curves = found.pop("epochs"), found.pop("curves")
        return Kept(int(epochs), curves, tuple(found[str(number)] for number in range(len(found))))
    except (safetensors.SafetensorError, KeyError, ValueError):
        return None
