"""What is wrong with a backward pass, in words: its first wrong quantity and the layer it belongs to.

The deltas that JAX derives are the truth. From the output layer down, each layer's leaves are compared with those
that the right delta gives. Where they differ, every mistake of `known_mistakes.py` is tried, until one reproduces the
wrong leaves. The search goes on below with the delta of that mistake, so that its consequences are not reported.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from jaxmlp.checking import known_mistakes
from jaxmlp.checking.automatic import automatic_deltas
from jaxmlp.checking.known_mistakes import BackwardState, Floats
from jaxmlp.errors import InputError
from jaxmlp.losses import GradientFunction
from jaxmlp.network import ActivationName, Layer, Params, forward_trace, hidden_activations

__all__ = ["Diagnosis", "Finding", "compare_backward"]


class Finding(NamedTuple):
    """One wrong quantity: "delta", "dL/dW" or "dL/db" of ``layer`` (1..L, as in the lecture) and what is wrong."""

    layer: int
    quantity: str
    explanation: str

    def __str__(self) -> str:
        """A sentence."""
        return f"{self.quantity} of layer {self.layer} {self.explanation}"


class Diagnosis(NamedTuple):
    """The wrong quantities in the order of the backward pass, the first of ``findings`` first."""

    findings: tuple[Finding, ...]
    n_layers: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def __str__(self) -> str:
        """Sentences, one per line: up to where the backward pass is right, then what is wrong."""
        if self.ok:
            return "every delta, dL/dW and dL/db is right"
        first = self.findings[0]
        if first.quantity == "delta":
            right = f"everything down to layer {first.layer + 1} is right" if first.layer < self.n_layers else ""
        else:
            right = f"delta of layer {first.layer} is right"
        return "\n".join([*([right] if right else []), *map(str, self.findings)])


@jax.default_matmul_precision("highest")  # as `compare_gradients`
def compare_backward(
    function: GradientFunction, params: Params, x: Array, y: Array, activation: ActivationName = "sigmoid",
    tolerance: float | None = None,
) -> Diagnosis:  # fmt: skip
    """Find the first wrong quantity of a backward pass from the gradient it returns.

    Args:
        function: the gradient function under suspicion.
        params: L layers of widths ``n_0 .. n_L``, float32 or float64.
        x: ``[B, n_0]``, or ``[n_0]``. With B of 2 or more and widths of 2 or more fewer mistakes look alike.
        y: ``[B, n_L]``, or ``[n_L]``.
        activation: of the network; the right one.
        tolerance: norm-wise relative error up to which leaves are equal; default 1e-11 (float64), 3e-5 (float32).

    Returns:
        Findings from the output layer down; empty where all is right.

    Raises:
        InputError: a gradient without ``weights`` and ``biases`` for each layer, an unknown activation.
    """
    _, gradient = function(params, x, y)
    return diagnose(gradient, params, x, y, activation, tolerance)


def diagnose(
    gradient: Any, params: Params, x: Array, y: Array, activation: ActivationName, tolerance: float | None = None
) -> Diagnosis:
    """`compare_backward` of a gradient already evaluated."""
    if len(gradient) != len(params) or not all(isinstance(layer, Layer) for layer in gradient):
        raise InputError(f"gradient is {type(gradient).__name__}, expected a tuple of {len(params)} Layers")
    x, y = (values.reshape(-1, values.shape[-1]) for values in (x, y))
    double = params[0].weights.dtype == np.float64
    limit = tolerance or (1e-11 if double else 3e-5)
    g, h = forward_trace(params, x, activation)
    state = BackwardState(
        layer=len(params), weights=[np.asarray(layer.weights) for layer in params],
        g=[np.asarray(values) for values in g], h=[np.asarray(values) for values in h], y=np.asarray(y),
        phi=hidden_activations(activation, len(params) - 1), above=None,
        right=[np.asarray(delta) for delta in automatic_deltas(params, x, y, activation)],
        floor=float(np.finfo(params[0].weights.dtype).eps),
    )  # fmt: skip
    findings: list[Finding] = []
    for layer in reversed(range(1, len(params) + 1)):
        state = state._replace(layer=layer)
        leaves = np.asarray(gradient[layer - 1].weights), np.asarray(gradient[layer - 1].biases)
        delta, found = _layer(state, *leaves, limit)
        findings += [Finding(layer, *words) for words in found]
        state = state._replace(above=delta)
    return Diagnosis(tuple(findings), len(params))


def _layer(state: BackwardState, dw: Floats, db: Floats, limit: float) -> tuple[Floats, list[tuple[str, str]]]:
    """The delta that this layer's leaves were made from, as far as one can tell, and what is wrong with them."""
    right = known_mistakes.expected_delta(state)
    if _explains(state, right, dw, db, limit):
        return right, []
    shapes = known_mistakes.leaf_shapes(state)
    if (dw.shape, db.shape) != shapes:
        wrong = [("dL/dW", dw.shape, shapes[0]), ("dL/db", db.shape, shapes[1])]
        return right, [
            (name, f"has shape {list(got)}, expected {list(expected)}"
             + (", it is transposed" if got == expected[::-1] else ""))
            for name, got, expected in wrong if got != expected
        ]  # fmt: skip
    right_dw, right_db = known_mistakes.leaves(state, right)
    dw_ok, db_ok = (known_mistakes.close(a, b, limit, state) for a, b in ((dw, right_dw), (db, right_db)))
    candidates = {
        "dL/dW": known_mistakes.weight_gradients(state, right),
        "dL/db": known_mistakes.bias_gradients(state, right),
    }
    found: list[tuple[str, str]] = []
    explained = dw_ok != db_ok  # where both are wrong, one wrong delta explains them better than two mistakes
    for name, ok, got, expected in (("dL/dW", dw_ok, dw, right_dw), ("dL/db", db_ok, db, right_db)):
        if not ok:
            words = next(
                (words for words, leaf in candidates[name] if known_mistakes.close(got, leaf, limit, state)), None
            )
            explained = explained and words is not None
            found.append((name, words or known_mistakes.describe(got, expected, limit, state)))
    return (None if explained else _wrong_delta(state, right, dw, db, limit)) or (right, found)


def _wrong_delta(
    state: BackwardState, right: Floats, dw: Floats, db: Floats, limit: float
) -> tuple[Floats, list[tuple[str, str]]] | None:
    """A wrong delta that reproduces both leaves, and words for it."""
    for words, delta in known_mistakes.deltas(state):
        if delta.shape == right.shape and _explains(state, delta, dw, db, limit):
            return delta, [("delta", words)]
    both, both_right = (np.concatenate([np.ravel(w), b]) for w, b in ((dw, db), known_mistakes.leaves(state, right)))
    factor = known_mistakes.factor(both, both_right, limit, state)
    if factor is not None:
        return factor * right, [("delta", known_mistakes.scaled(factor, state))]
    step = known_mistakes.updated_weights(state, dw, db, limit)
    if step is not None:
        words = f"goes through W of layer {state.layer + 1} after its update (learning rate {step[0]:.3g})"
        return step[1], [("delta", words)]
    return None


def _explains(state: BackwardState, delta: Floats, dw: Floats, db: Floats, limit: float) -> bool:
    made = known_mistakes.leaves(state, delta)
    return all(known_mistakes.close(got, leaf, limit, state) for got, leaf in zip((dw, db), made, strict=True))
