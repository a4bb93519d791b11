"""The layout of a user's network: which leaf of the parameters belongs to which layer, which axis counts samples."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.gradient_check.diagnosis.plain_network import Floats

__all__ = ["Arrangement", "Leaves", "arrangements", "sample_rows", "target_rows"]

Leaves = tuple[Floats | None, Floats | None]
"""dL/dW and dL/db of a layer as the user has them; None for a missing one."""


class Arrangement(NamedTuple):
    """Where the layers of a network are in a list of leaves.

    Attributes:
        layers: per layer, from the input up: the index of its weights, and the index of its biases or None.
        inputs_first: whether weights are ``[n_in, n_out]``.
        bias: "leaf"; "none"; "first" or "last": a column of the weights (a row if inputs are first).
    """

    layers: tuple[tuple[int, int | None], ...]
    inputs_first: bool
    bias: str

    def split(self, leaves: Sequence[Floats]) -> list[tuple[Floats, Floats]]:
        """Weights ``[n_out, n_in]`` and biases ``[n_out]`` of each layer; zero biases where there are none."""
        split: list[tuple[Floats, Floats]] = []
        for at, biases in self.layers:
            w = _matrix(leaves[at], self.inputs_first)
            if self.bias == "first":
                split.append((w[:, 1:], w[:, 0]))
            elif self.bias == "last":
                split.append((w[:, :-1], w[:, -1]))
            else:
                split.append((w, np.zeros(len(w)) if biases is None else np.ravel(leaves[biases])))
        return split

    def split_gradient(self, leaves: Sequence[Floats | None], shapes: Sequence[tuple[int, ...]]) -> list[Leaves]:
        """dL/dW and dL/db of each layer from a returned gradient, None where a leaf is missing.

        A leaf that does not have its parameter's shape (in ``shapes``) keeps its own shape, with the axes of W in the
        lecture's sequence. If such a W has a column for the biases, the column is not split off.
        """
        split: list[Leaves] = []
        for at, biases in self.layers:
            w, b = leaves[at], None if biases is None else leaves[biases]
            fits = w is not None and w.shape == shapes[at]
            if w is not None and (fits or w.ndim == 2):
                w = _matrix(w, self.inputs_first)
            if w is not None and fits and self.bias in ("first", "last"):
                w, b = (w[:, 1:], w[:, 0]) if self.bias == "first" else (w[:, :-1], w[:, -1])
            elif b is not None and biases is not None and b.shape == shapes[biases]:
                b = b.ravel()
            split.append((w, b))
        return split

    def join(self, layers: Sequence[tuple[Floats, Floats]], leaves: Sequence[Floats]) -> list[Floats]:
        """The inverse of `split`: leaves with the shapes of ``leaves``."""
        joined: list[Floats] = [np.empty(0)] * len(leaves)
        for (at, biases), (w, b) in zip(self.layers, layers, strict=True):
            if self.bias in ("first", "last"):
                w = np.column_stack([b, w] if self.bias == "first" else [w, b])
            elif biases is not None:
                joined[biases] = np.reshape(b, np.shape(leaves[biases]))
            joined[at] = np.reshape(w.T if self.inputs_first else w, np.shape(leaves[at]))
        return joined

    def words(self) -> str:
        """The differences from the lecture's layout, in words; empty if there are none."""
        said = {"leaf": "", "none": "no biases", "first": "biases first in W", "last": "biases last in W"}[self.bias]
        return ", ".join(filter(None, ["weights [in, out]" if self.inputs_first else "", said]))


def _matrix(leaf: Floats, inputs_first: bool) -> Floats:
    if np.ndim(leaf) == 2:
        return leaf.T if inputs_first else leaf
    return np.reshape(leaf, (1, -1))  # one output


def arrangements(shapes: Sequence[tuple[int, ...]]) -> Iterator[Arrangement]:
    """All ways in which leaves of these shapes can be the layers of a network."""
    if not shapes or any(len(shape) > 2 for shape in shapes):
        return
    n = len(shapes)
    pairs: list[list[Any]] = []
    if n % 2 == 0:
        half = n // 2
        for first, second in ((range(0, n, 2), range(1, n, 2)), (range(half), range(half, n))):
            pairs += [list(zip(first, second, strict=True)), list(zip(second, first, strict=True))]
    pairs.append([(i, None) for i in range(n)])
    seen = set[Arrangement]()
    for layers, inputs_first in itertools.product([order for pair in pairs for order in (pair, pair[::-1])], [0, 1]):
        kinds = ["leaf"] if layers[0][1] is not None else ["none", "first", "last"]
        for kind in kinds:
            found = Arrangement(tuple(layers), bool(inputs_first), kind)
            # One arrangement may arise twice, and vectors look the same in both.
            if found not in seen and _fits(found, shapes):
                seen.add(found)
                yield found


def _fits(arrangement: Arrangement, shapes: Sequence[tuple[int, ...]]) -> bool:
    previous = None
    for place, (at, biases) in enumerate(arrangement.layers):
        shape = shapes[at]
        if len(shape) == 2:
            n_out, n_in = shape[::-1] if arrangement.inputs_first else shape
        elif len(shape) == 1 and place == len(arrangement.layers) - 1 and not arrangement.inputs_first:
            n_out, n_in = 1, shape[0]
        else:
            return False
        n_in -= arrangement.bias in ("first", "last")
        if n_in < 1 or (previous is not None and n_in != previous):
            return False
        if biases is not None and (
            math.prod(shapes[biases]) != n_out or (len(shapes[biases]) == 2 and 1 not in shapes[biases])
        ):
            return False
        previous = n_out
    return True


def sample_rows(x: Any, n_in: int) -> Iterator[tuple[Floats, str]]:
    """``x`` as ``[N, n_in]`` in each way that its shape allows, and words for it."""
    x = np.asarray(x, np.float64)
    if x.ndim <= 1:
        if x.size == n_in:
            yield x.reshape(1, -1), ""
        if n_in == 1 and x.size > 1:
            yield x.reshape(-1, 1), ""
    elif x.ndim == 2:
        if x.shape[1] == n_in:
            yield x, ""
        if x.shape[0] == n_in:
            yield x.T, "samples in columns" if x.shape[1] > 1 else ""
        for ones, others in ((0, slice(1, None)), (-1, slice(None, -1))):  # x already has the biases' column
            if x.shape[1] == n_in + 1 and np.all(x[:, ones] == 1):
                yield x[:, others], ""
    elif x.size == len(x) * n_in:
        yield x.reshape(len(x), -1), ""  # images


def target_rows(y: Any, n: int, n_out: int) -> Iterator[Floats]:
    """``y`` as ``[n, n_out]`` in each way that its shape allows: unchanged, its transpose, labels as one-hot rows."""
    y = np.asarray(y)
    y = y.reshape(y.shape[:2]) if y.ndim == 3 and y.shape[2] == 1 else y  # one column per sample
    if n_out == 1 and y.size == n and set(np.unique(y)) == {-1, 1}:
        yield (y.reshape(n, 1) + 1) / 2
    if y.size == n * n_out:
        if n_out == 1 or n == 1 or y.shape == (n, n_out):
            yield y.reshape(n, n_out).astype(np.float64)
        if y.shape == (n_out, n) and n > 1 and n_out > 1:
            yield y.T.astype(np.float64)
    if y.size == n and n_out > 1:
        labels = y.ravel()
        if np.all(labels == np.round(labels)):
            for first in (0, 1):
                if labels.min() >= first and labels.max() < n_out + first:
                    yield np.eye(n_out)[labels.astype(int) - first]
