"""Trials: one network of a sweep, its identity, its initial weights and its sample orders.

Everything here is a pure function of the trial's own configuration. Weights and orders come from NumPy's RandomState,
whose streams never change between versions: trials of one seed share the beginning of a stream whatever their widths.
Its permutations cost a tenth of JAX's, whose sort would take a sixth of a sweep's time on a CPU.
"""

import dataclasses
import functools
import hashlib
import itertools
import json
import threading
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from jaxmlp.checks import InputError
from jaxmlp.engine import ladder_width

__all__ = [
    "MOMENTUM_OPTIMIZERS", "Outcome", "Trial", "id_of", "initial_weights", "order_streams", "parse_hidden", "trial_of",
]  # fmt: skip

MOMENTUM_OPTIMIZERS = ("momentum", "nesterov")
_ORDERS = 2**32 - 1  # beside the seed, where the weights' streams have the layer's number
_VERSION = 1  # part of every id: new weights or orders make new trials (different rounding, as by a new JAX, does not)


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """The configuration and the seed of one network.

    Attributes:
        hidden: widths of the hidden layers.
        activation: of the hidden layers.
        batch_size: samples per update.
        optimizer: a name of `jaxmlp.OPTIMIZERS`.
        learning_rate: positive.
        momentum: None where the optimiser has none.
        weight_decay: 0 or more.
        init_scale: of the initial weights' standard deviation ``scale / sqrt(n_in)``.
        seed: of initial weights and sample orders.
    """

    hidden: tuple[int, ...] = (20,)
    activation: str = "sigmoid"
    batch_size: int = 1
    optimizer: str = "sgd"
    learning_rate: float = 0.2
    momentum: float | None = None
    weight_decay: float = 0.0
    init_scale: float = 1.0
    seed: int = 0

    @property
    def configuration(self) -> str:
        """The trial as canonical JSON: names in alphabetical sequence, no spaces."""
        # By hand: json's encoder takes three times as long, and a sweep has 100,000 of them.
        hidden, momentum = ",".join(map(str, self.hidden)), "null" if self.momentum is None else _text(self.momentum)
        return (
            f'{{"activation":"{self.activation}","batch_size":{self.batch_size},"hidden":[{hidden}],'
            f'"init_scale":{_text(self.init_scale)},"learning_rate":{_text(self.learning_rate)},"momentum":{momentum},'
            f'"optimizer":"{self.optimizer}","seed":{self.seed},"weight_decay":{_text(self.weight_decay)}}}'
        )

    @property
    def id(self) -> str:
        """16 hexadecimal digits, the hash of the configuration."""
        return id_of(self.configuration)


def _text(number: float) -> str:
    """As json writes it, also for an int or NumPy's float64."""
    return float.__repr__(number) if isinstance(number, float) else str(number)


def id_of(configuration: str) -> str:
    """The id of the trial with this `Trial.configuration`."""
    return hashlib.sha256(f"{_VERSION}:{configuration}".encode()).hexdigest()[:16]


def trial_of(configuration: str) -> Trial:
    """Parse a Trial from its `Trial.configuration`."""
    fields: dict[str, Any] = json.loads(configuration)
    fields["hidden"] = tuple(fields["hidden"])
    return Trial(**fields)


def parse_hidden(text: Any) -> tuple[int, ...]:
    """Hidden widths from ``20,10``, a number, a list of numbers, or ``none``; raises InputError."""
    if text in ("none", []):
        return ()
    parts = cast(list[Any], text) if isinstance(text, list) else str(text).split(",")
    try:
        if any(isinstance(part, (bool, float)) for part in parts):
            raise ValueError
        return tuple(int(part) for part in parts)
    except (TypeError, ValueError):
        raise InputError(f"hidden is {text!r}, expected widths such as 20 or 20,10, or none") from None


class Outcome(NamedTuple):
    """What became of a trial.

    Attributes:
        status: "done", or "diverged": a loss or parameter was no longer finite in the epoch after the last one here.
        loss: ``[epochs done]``, float64, like the next two.
        validation_loss: NaN without validation rows.
        validation_accuracy: a share, 0..1, like the next two.
        train_accuracy: after the last finite epoch.
        test_accuracy: the same.
    """

    status: str
    loss: NDArray[Any]
    validation_loss: NDArray[Any]
    validation_accuracy: NDArray[Any]
    train_accuracy: float
    test_accuracy: float

    @property
    def curves(self) -> NDArray[np.float64]:
        """Loss, validation loss and validation accuracy, ``[3, epochs done]``."""
        return np.stack((self.loss, self.validation_loss, self.validation_accuracy))


_KEPT = threading.local()  # this thread's RandomStates: making one takes ten times as long as seeding it again


def _seeded(use: str, seeds: Sequence[tuple[int, int]]) -> list[np.random.RandomState]:
    """One stream per pair. They are the objects of this thread's last call for the same use, seeded again."""
    streams: list[np.random.RandomState] = _KEPT.__dict__.setdefault(use, [])
    streams.extend(np.random.RandomState() for _ in range(len(seeds) - len(streams)))
    for stream, pair in zip(streams, seeds, strict=False):
        stream.seed(pair)
    return streams[: len(seeds)]


@functools.lru_cache(maxsize=32)
def _draw(seed: int, layer: int, rows: int, columns: int, square: bool) -> NDArray[np.float64]:
    """Standard normal numbers ``[rows, columns]``, the corner of one unlimited table for each seed and layer.

    ``square``: the table grows in both directions, shell by shell; otherwise it always has ``columns`` columns.
    """
    (random,) = _seeded("weights", [(seed, layer)])
    if not square:
        return random.standard_normal((rows, columns))
    return random.standard_normal(max(rows, columns) ** 2)[_places(rows, columns)]


@functools.lru_cache(maxsize=32)
def _places(rows: int, columns: int) -> NDArray[np.intp]:
    """``[rows, columns]``: where a table that grows by shells has its numbers, in the sequence they are drawn in."""
    row, column = np.indices((rows, columns))
    shell = np.maximum(row, column)
    within = np.where(row == shell, column, shell + 1 + row)  # shell m: its row up to the corner, then its column
    return shell * shell + within


def initial_weights(trial: Trial, n_in: int, n_out: int) -> list[NDArray[np.float64]]:
    """``W_l [n_l, n_(l-1)]`` for every layer: normal, standard deviation ``init_scale / sqrt(n_(l-1))``; read only.

    Trials of one seed are cut from one draw: a network of fewer units has the first rows and columns of a larger one.
    """
    return _weights((n_in, *trial.hidden, n_out), trial.seed, trial.init_scale)


@functools.lru_cache(maxsize=32)  # the trials of a group often differ in their learning rate alone
def _weights(sizes: tuple[int, ...], seed: int, scale: float) -> list[NDArray[np.float64]]:
    # Few different draws, so that they are found in the cache.
    steps = (sizes[0], *map(ladder_width, sizes[1:-1]), sizes[-1])
    weights: list[NDArray[np.float64]] = []
    for layer, ((n_from, n_to), (columns, rows)) in enumerate(
        zip(itertools.pairwise(sizes), itertools.pairwise(steps), strict=True)
    ):
        draw = _draw(seed, layer, rows, columns, layer > 0)
        weights.append(draw[:n_to, :n_from] * (scale / np.sqrt(n_from)))
        weights[-1].setflags(write=False)  # the next trial of this seed gets the same arrays
    return weights


def order_streams(seeds: Iterable[int]) -> dict[int, np.random.RandomState]:
    """One stream per seed; each gives one ``permutation(n)`` per epoch, the sample order of all trials of its seed.

    They are valid in the calling thread until it calls this again, which seeds the same streams again.
    """
    wanted = list(seeds)
    return dict(zip(wanted, _seeded("orders", [(seed, _ORDERS) for seed in wanted]), strict=True))
