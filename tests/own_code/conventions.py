"""Random networks in every convention that people use, with a right loss and gradient in NumPy, written for this.

What varies: depth, widths, activations, output and loss, sum or mean or half of it or minus it, L2, the orientation of
the weights, samples in rows or columns or one sample, biases of four shapes, in a column of W, or none, the containers
and their order, labels or one-hot rows, float64 or float32.
"""

from collections import namedtuple
from typing import Any, NamedTuple

import numpy as np

VALUE = {
    "sigmoid": lambda g: 1 / (1 + np.exp(-g)), "tanh": np.tanh, "relu": lambda g: np.maximum(g, 0),
    "leaky": lambda g: np.where(g > 0, g, g.dtype.type(0.01) * g), "identity": lambda g: g,
}  # fmt: skip
SLOPE = {  # at g
    "sigmoid": lambda g: VALUE["sigmoid"](g) * (1 - VALUE["sigmoid"](g)), "tanh": lambda g: 1 - np.tanh(g) ** 2,
    "relu": lambda g: (g > 0).astype(g.dtype), "leaky": lambda g: np.where(g > 0, 1, 0.01).astype(g.dtype),
    "identity": np.ones_like,
}  # fmt: skip
HEADS = (("softmax", "ce"), ("sigmoid", "bce"), ("sigmoid", "squares"), ("identity", "squares"), ("softmax", "squares"))
Layer = namedtuple("Layer", "W b")


class Case(NamedTuple):
    """A person's code: ``loss(*params)``, ``gradient(*params)``, and the data."""

    loss: Any
    gradient: Any
    params: tuple[Any, ...]
    data: tuple[Any, Any]
    words: str


def softmax(g):
    e = np.exp(g - g.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def value_and_gradient(layers, x, y, hidden, output, cost, scale, penalty):
    """The loss and the gradient of layers ``[(W [out, in], b [out])]`` for rows x, y."""
    h, g = [x], []
    for place, (w, b) in enumerate(layers):
        g.append(h[-1] @ w.T + b)
        last = place == len(layers) - 1
        h.append(softmax(g[-1]) if last and output == "softmax" else VALUE[output if last else hidden[place]](g[-1]))
    p = h[-1]
    if cost == "ce":
        total, delta = -np.sum(y * np.log(p)), p * y.sum(axis=1, keepdims=True) - y
    elif cost == "bce":
        total, delta = -np.sum(y * np.log(p) + (1 - y) * np.log(1 - p)), p - y
    else:
        total, by = np.sum((p - y) ** 2), 2 * (p - y)
        delta = p * (by - (p * by).sum(axis=1, keepdims=True)) if output == "softmax" else by * SLOPE[output](g[-1])
    value = scale * total + penalty * sum(np.sum(w**2) for w, _ in layers)
    made = []
    for place in reversed(range(len(layers))):
        w = layers[place][0]
        made.insert(0, (scale * delta.T @ h[place] + 2 * penalty * w, scale * delta.sum(axis=0)))
        if place:
            delta = (delta @ w) * SLOPE[hidden[place - 1]](g[place - 1])
    return value, made


def pack(layers, orient, bias):
    """Layers as a person's leaves: ``[(W,), ..]`` or ``[(W, b), ..]``."""
    leaves = []
    for w, b in layers:
        if bias in ("first", "last"):
            w = np.column_stack([b, w] if bias == "first" else [w, b])
        shaped = {"vector": b, "column": b[:, None], "row": b[None, :]}.get(bias)
        w = w.T.copy() if orient == "in-out" else w
        leaves.append((w,) if shaped is None else (w, shaped))
    return leaves


def unpack(leaves, orient, bias):
    layers = []
    for leaf in leaves:
        w = leaf[0].T if orient == "in-out" else leaf[0]
        if bias in ("first", "last"):
            layers.append((w[:, 1:], w[:, 0]) if bias == "first" else (w[:, :-1], w[:, -1]))
        else:
            layers.append((w, np.zeros(len(w), w.dtype) if bias == "none" else leaf[1].ravel()))
    return layers


CONTAINERS = {  # how leaves become params, and params leaves again
    "pairs": (lambda ls: ([tuple(l) for l in ls],), lambda n, p: [tuple(l) for l in p]),
    "reversed": (lambda ls: ([list(l) for l in ls[::-1]],), lambda n, p: [tuple(l) for l in p[::-1]]),
    "dict": (
        lambda ls: ({f"{'Wb'[k]}{i}": v for i, l in enumerate(ls, 1) for k, v in enumerate(l)},),
        lambda n, p: [tuple(p[f"{c}{i}"] for c in "Wb" if f"{c}{i}" in p) for i in range(1, n + 1)],
    ),
    "lists": (
        lambda ls: tuple([l[k] for l in ls] for k in range(len(ls[0]))),
        lambda n, *p: [tuple(v[i] for v in p) for i in range(n)],
    ),
    "dict of lists": (
        lambda ls: ({"Wb"[k]: [l[k] for l in ls] for k in range(len(ls[0]))},),
        lambda n, p: [tuple(v[i] for v in p.values()) for i in range(n)],
    ),
    "flat": (
        lambda ls: tuple(v for l in ls for v in l),
        lambda n, *p: [tuple(p[i * (len(p) // n) : (i + 1) * (len(p) // n)]) for i in range(n)],
    ),
    "named": (lambda ls: (tuple(Layer(*l) if len(l) == 2 else l for l in ls),), lambda n, p: [tuple(l) for l in p]),
}


def random_case(seed: int, dtype: str = "float64") -> Case:
    """One network, all of it drawn from ``seed``."""
    random = np.random.default_rng(seed)

    def pick(*items):
        return items[random.integers(len(items))]

    n_hidden = int(random.integers(0, 4))
    sizes = [int(random.integers(2, 9)), *map(int, random.integers(1, 9, n_hidden)), int(random.integers(2, 6))]
    output, cost = HEADS[random.integers(len(HEADS))]
    if output != "softmax" and pick(True, False):
        sizes[-1] = 1
    n = int(random.integers(1, 10))
    hidden = (
        [pick(*VALUE)] * n_hidden
        if n_hidden > 2 or pick(True, True, False)
        else [pick(*VALUE) for _ in range(n_hidden)]
    )
    orient, bias = pick("out-in", "in-out"), pick("vector", "column", "row", "none", "first", "last")
    name, columns = pick(*CONTAINERS), pick(True, False)
    scale = pick(1.0, 1 / n, 0.5, 0.5 / n, 1 / (n * sizes[-1]), -1 / n)
    penalty = pick(0.0, 0.0, 0.0, 0.01, 0.5 / n)
    layers = [
        (random.normal(0, a**-0.5, (b, a)).astype(dtype), random.normal(0, 0.3, b).astype(dtype))
        for a, b in zip(sizes, sizes[1:])
    ]
    rows = random.normal(size=(n, sizes[0])).astype(dtype)
    labels = random.integers(0, max(2, sizes[-1]), n)
    targets = np.eye(sizes[-1])[labels] if sizes[-1] > 1 else labels[:, None].astype(float)
    if cost == "squares" and output == "identity":
        targets = random.normal(size=targets.shape)
    targets = targets.astype(dtype)
    one_hot = (cost == "squares" and output == "identity") or sizes[-1] == 1 or pick(True, False)
    data = rows.T if columns else rows, (targets.T if columns else targets) if one_hot else labels
    put, take = CONTAINERS[name]
    if name == "lists" and bias in ("none", "first", "last"):
        put, take = CONTAINERS["pairs"]
    fixed = rows, targets, hidden, output, cost, rows.dtype.type(scale), rows.dtype.type(penalty)

    def loss(*params):
        return value_and_gradient(unpack(take(len(layers), *params), orient, bias), *fixed)[0]

    def gradient(*params):
        made = value_and_gradient(unpack(take(len(layers), *params), orient, bias), *fixed)[1]
        given = put(pack(made, orient, bias))
        return given if len(given) > 1 else given[0]

    words = f"{sizes} {hidden} {output} {cost} n={n} {orient} {bias} {name} columns={columns} {scale=} {penalty=}"
    return Case(loss, gradient, put(pack(layers, orient, bias)), data, words)


def with_one_error(case: Case, seed: int, relative: float):
    """``case.gradient`` with one element, drawn from those that aren't zero, off by ``relative``; and where it is."""
    random = np.random.default_rng([seed, 1])
    flat = _arrays(case.gradient(*case.params))
    places = [(k, i) for k, leaf in enumerate(flat) for i in range(leaf.size) if leaf.flat[i]]
    if not places:  # a dead network
        return None
    leaf, index = places[random.integers(len(places))]

    def gradient(*params):
        made = case.gradient(*params)
        array = _arrays(made)[leaf]
        array.reshape(-1)[index] *= 1 + relative
        return made

    return gradient, leaf, tuple(int(i) for i in np.unravel_index(index, flat[leaf].shape))


def _arrays(tree):
    if isinstance(tree, np.ndarray):
        return [tree]
    items = tree.values() if isinstance(tree, dict) else tree
    return [array for item in items for array in _arrays(item)]
