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

__all__ = ["Checkpoint", "Checkpoints", "checkpoint_from_bytes", "checkpoint_of", "checkpoint_to_bytes", "restore"]

MEMORY = 2**30
"""Bytes that checkpoints may take between two rungs of successive halving."""


class Checkpoint(NamedTuple):
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


class Checkpoints(dict[Trial, Checkpoint]):
    """Checkpoints of trials, up to `MEMORY` bytes. A trial without a place in it starts again, to the same bits."""

    def __init__(self, checkpoints: Mapping[Trial, Checkpoint]) -> None:
        super().__init__(checkpoints)
        self._room = MEMORY - sum(checkpoint.size for checkpoint in checkpoints.values())

    def replace(self, trials: Iterable[Trial], new: Mapping[Trial, Checkpoint]) -> None:
        """Drop the checkpoints of ``trials``, and add those of ``new`` that fit."""
        for trial in trials:
            if trial in self:
                self._room += self.pop(trial).size
            if trial in new and new[trial].size <= self._room:
                self[trial] = new[trial]
                self._room -= new[trial].size


def checkpoint_of(state: TrainingState, at: tuple[int, int], epochs: int, curves: NDArray[np.float64]) -> Checkpoint:
    """The checkpoint of the lane ``at``, a group and a place in it, from a block's state of NumPy ``[G, B, ...]``."""
    return Checkpoint(epochs, curves, tuple(np.array(leaf[at]) for leaf in jax.tree.leaves(state)))


def restore(state: TrainingState, at: tuple[int, int], checkpoint: Checkpoint) -> None:
    """Write a checkpoint into the lane ``at`` of a block's state."""
    for leaf, values in zip(jax.tree.leaves(state), checkpoint.leaves, strict=True):
        leaf[at] = values


def checkpoint_to_bytes(checkpoint: Checkpoint) -> bytes:
    """A checkpoint in the format of safetensors."""
    leaves = {str(number): leaf for number, leaf in enumerate(checkpoint.leaves)}
    curves = np.ascontiguousarray(checkpoint.curves)
    return to_bytes({"epochs": np.array([checkpoint.epochs]), "curves": curves, **leaves})


def checkpoint_from_bytes(data: bytes) -> Checkpoint | None:
    """The checkpoint that `checkpoint_to_bytes` wrote.

    None for other bytes, for example of another version. The trial then starts again, to the same bits.
    """
    try:
        found = from_bytes(data)
        (epochs,), curves = found.pop("epochs"), found.pop("curves")
        return Checkpoint(int(epochs), curves, tuple(found[str(number)] for number in range(len(found))))
    except (safetensors.SafetensorError, KeyError, ValueError):
        return None
