"""How a network's parameters are divided among the threads of a block, for the fused kernel.

Layers alternate. Layers 1, 3, .. lie by rows: a thread holds some of the layer's units, each with the weights that lead
into it. Layers 2, 4, .. lie by columns: a thread holds some units of the layer before, each with the weights that lead
out of it. So what comes out of a layer by rows is divided, as its units are, and what comes out of a layer by columns
every thread knows, after a sum over the block; forward and backward pass each need one such sum for two layers.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["COPIES", "KINDS", "Division", "Share", "divide", "thread_size", "warps"]

COPIES = {"sgd": 1, "momentum": 2, "nesterov": 2, "adam": 3}
"""Numbers kept of each parameter by optimiser: itself, and its velocity or two moments."""
KINDS = ("identity", "sigmoid", "tanh", "relu")
"""Names of `jaxmlp.ACTIVATIONS`; the kernel knows them by their number."""


class Share(NamedTuple):
    """A thread's part of one layer; the weight from its input j to its output k is parameter ``at + j * n_out + k``.

    Attributes:
        by_rows: whether the layer's outputs are divided among the threads, else its inputs are.
        n_in: inputs that the thread reads: all of them by rows, its own by columns.
        n_out: outputs that the thread keeps: its own by rows, all of them by columns. Thread t's own units are t,
            t + threads, t + 2 threads, ..; where it has one unit too many, its parameters and masks are 0.
        at: where the layer's weights begin among the thread's parameters.
        biases: where its biases begin.
        inputs: where its inputs begin among the hidden activations that the thread keeps (first layer: the sample).
        outputs: where its outputs begin among them.
        delta: where its deltas begin among the deltas that the thread keeps.
    """

    by_rows: bool
    n_in: int
    n_out: int
    at: int
    biases: int
    inputs: int
    outputs: int
    delta: int


class Division(NamedTuple):
    """A network divided among threads.

    Attributes:
        shares: one per layer.
        parameters: integers ``[threads, size]``: which of the network's P parameters, in the order of
            `jax.tree.leaves`, each parameter of a thread is; P for none.
        owners: integers ``[P]``: the way back, into ``[threads * size]``.
        hidden: integers ``[threads, kept]``: the same of the hidden layers' units, first to last; at least one column.
    """

    shares: tuple[Share, ...]
    parameters: NDArray[Any]
    owners: NDArray[Any]
    hidden: NDArray[Any]


def warps(sizes: Sequence[int]) -> int:
    """Threads of a GPU's block: one for each unit of the widest layer that is divided, in warps of 32."""
    divided = sizes[1::2]  # the last one's too, where there is an odd number of layers
    return 32 * -(-max(divided) // 32)


def thread_size(sizes: Sequence[int], threads: int) -> int:
    """How many parameters each thread has."""
    size = 0
    for number, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        own = -(-(n_in if number % 2 else n_out) // threads)
        size += own * n_out + n_out if number % 2 else own * (n_in + 1)
    return size


def divide(sizes: Sequence[int], threads: int) -> Division:
    """Divide a network of ``sizes = (n_0, .., n_L)`` among ``threads`` threads."""
    shares: list[Share] = []
    parameters: list[NDArray[Any]] = []
    hidden: list[NDArray[Any]] = []
    at = inputs = outputs = delta = first = units = 0
    none, nobody = sum(b * (a + 1) for a, b in itertools.pairwise(sizes)), sum(sizes[1:-1])
    for number, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        by_rows = number % 2 == 0
        whole = np.broadcast_to(np.arange(n_in if by_rows else n_out), (threads, n_in if by_rows else n_out))
        own = np.arange(threads)[:, None] + threads * np.arange(-(-(n_out if by_rows else n_in) // threads))
        source, to = (whole, own) if by_rows else (own, whole)  # each [threads, units of a thread]
        beside = (source[:, :, None] >= n_in) | (to[:, None, :] >= n_out)
        weights = np.where(beside, none, first + source[:, :, None] + to[:, None, :] * n_in)
        biases = np.where(to >= n_out, none, first + n_in * n_out + to)
        parameters += [weights.reshape(threads, -1), biases]
        hidden.append(np.where(to >= n_out, nobody, units + to))
        kept = to.shape[1]
        shares.append(Share(by_rows, source.shape[1], kept, at, at + weights[0].size, inputs, outputs, delta))
        at, delta, first, units = at + weights[0].size + kept, delta + kept, first + n_out * (n_in + 1), units + n_out
        inputs, outputs = outputs, outputs + kept
    places = np.concatenate(parameters, 1)
    filled = np.flatnonzero(places.ravel() < none)[::-1]
    owners = np.zeros(none, np.int64)
    owners[places.ravel()[filled]] = filled  # of biases that all threads have, the first thread's is written last
    kept_units = np.concatenate([*hidden[:-1], np.full((threads, 0 if nobody else 1), nobody)], 1)
    return Division(tuple(shares), places, owners, kept_units)
