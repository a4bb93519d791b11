"""The mistakes that people make in a backward pass, each as the wrong quantity it produces and words for it.

Notation as in `jaxmlp.backprop`; the lecture's layer l is ``weights[l - 1]``, ``g[l - 1]``, and its input ``h[l - 1]``.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxmlp.network import Activation

__all__ = [
    "BackwardState", "Floats", "bias_gradients", "close", "deltas", "describe", "expected_delta", "factor",
    "leaf_shapes", "leaves", "scaled", "updated_weights", "weight_gradients",
]  # fmt: skip

Floats: TypeAlias = NDArray[Any]


class BackwardState(NamedTuple):
    """Where the backward pass stands.

    Attributes:
        layer: l, 1..L.
        weights: ``W_1 .. W_L``.
        g: ``g_1 .. g_L``, each ``[B, n_l]``.
        h: ``h_0 .. h_L``, each ``[B, n_l]``.
        y: ``[B, n_L]``.
        phi: activations of the hidden layers.
        above: delta of layer l + 1 ``[B, n_(l+1)]`` as the gradient under suspicion has it; None at the output.
        right: ``delta_1 .. delta_L``, right ones.
        floor: what rounding may leave of a leaf that is zero, relative to its largest possible magnitude.
    """

    layer: int
    weights: list[Floats]
    g: list[Floats]
    h: list[Floats]
    y: Floats
    phi: tuple[Activation, ...]
    above: Floats | None
    right: list[Floats]
    floor: float

    def slope(self, h: Floats) -> Floats:
        """Phi' of this layer's activation, the formula in terms of h, at any ``h``."""
        return np.asarray(self.phi[self.layer - 1].derivative(jnp.asarray(h)))


def expected_delta(state: BackwardState) -> Floats:
    """Delta of this layer if nothing goes wrong in it: right where the layers above were."""
    if state.above is None:
        return state.right[-1]
    return (state.above @ state.weights[state.layer]) * state.slope(state.h[state.layer])


def leaves(state: BackwardState, delta: Floats) -> tuple[Floats, Floats]:
    """dL/dW and dL/db that ``delta`` gives in this layer."""
    return delta.T @ state.h[state.layer - 1], delta.sum(axis=0)


def leaf_shapes(state: BackwardState) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of dL/dW and dL/db of this layer."""
    shape = state.weights[state.layer - 1].shape
    return shape, shape[:1]


def close(a: Floats, b: Floats, limit: float, state: BackwardState) -> bool:
    """Whether two leaves are equal by norm, or differ only by the rounding of a sum over samples that cancels."""
    if a.shape != b.shape or not np.isfinite(a).all():
        return False
    samples = state.right[state.layer - 1]
    noise = 20 * state.floor * float(np.linalg.norm(samples)) * (1 + float(np.linalg.norm(state.h[state.layer - 1])))
    error = float(np.linalg.norm(np.ravel(a - b)))
    return error <= limit * max(float(np.linalg.norm(np.ravel(leaf))) for leaf in (a, b)) + noise


def deltas(state: BackwardState) -> Iterator[tuple[str, Floats]]:
    """Wrong deltas of this layer, the likelier ones first: words that follow "delta of layer l", and the delta."""
    yield from _output_deltas(state) if state.above is None else _hidden_deltas(state)
    right = expected_delta(state)
    for precision in (np.float32, np.float16):
        yield f"is cast to {np.dtype(precision).name} on the way", right.astype(precision).astype(right.dtype)
    bfloat16 = jnp.asarray(right).astype(jnp.bfloat16)
    yield "is cast to bfloat16 on the way", np.asarray(bfloat16.astype(right.dtype))


def _output_deltas(state: BackwardState) -> Iterator[tuple[str, Floats]]:
    h, y, n = state.h[-1], state.y, len(state.y)
    right = (h - y) / n
    yield "has the derivative of softmax applied twice (elementwise, h(1-h))", right * h * (1 - h)
    jacobian = h * (right - np.sum(h * right, axis=-1, keepdims=True))
    yield "has the derivative of softmax applied twice", jacobian
    for by in (1, -1):
        yield f"uses the labels shifted by {by:+d} (classes)", (h - np.roll(y, by, axis=-1)) / n
        yield f"uses the labels shifted by {by:+d} (samples)", (h - np.roll(y, by, axis=0)) / n
    yield "uses g of the output layer instead of softmax(g)", (state.g[-1] - y) / n
    yield "does not subtract the labels", h / n
    with np.errstate(divide="ignore", invalid="ignore"):
        yield "misses the derivative of softmax", -y / h / n
    yield "is zero", np.zeros_like(h)
    for name, rows in (("first", slice(1, None)), ("last", slice(None, -1))):
        left = np.zeros_like(right)
        left[rows] = right[rows]
        yield f"leaves out the {name} sample", left


def _hidden_deltas(state: BackwardState) -> Iterator[tuple[str, Floats]]:
    layer, above, w = state.layer, state.above, state.weights[state.layer]
    assert above is not None
    h, g, passed = state.h[layer], state.g[layer - 1], above @ w
    slope = state.slope(h)
    yield f"misses the derivative of the activation, phi'(g_{layer})", passed
    yield f"takes phi' at g_{layer} with the formula written for h_{layer}", passed * state.slope(g)
    for other, name in ((layer - 1, "below"), (layer + 1, "above")):
        if state.h[other].shape == h.shape:
            wrong = passed * state.slope(state.h[other])
            yield f"takes phi' at h_{other}, the layer {name}, instead of h_{layer}", wrong
    for name, wrong in (
        ("h(1-h), the derivative of sigmoid", h * (1 - h)), ("1-h^2, the derivative of tanh", 1 - h * h),
        ("that of relu", (h > 0).astype(h.dtype)), (f"h_{layer} itself", h),
    ):  # fmt: skip
        yield f"takes for phi' {name}", passed * wrong
    yield f"has phi'(g_{layer}) applied twice", passed * slope * slope
    yield f"is zero: delta of layer {layer + 1} is not passed on", np.zeros_like(h)
    if w.shape[0] == w.shape[1]:
        yield f"goes through W of layer {layer + 1} transposed", (above @ w.T) * slope
        yield f"is that of layer {layer + 1}, not passed through W and phi'", above
        yield f"is not passed through W of layer {layer + 1}", above * slope
    if state.weights[layer - 1].shape == w.shape:
        wrong = (above @ state.weights[layer - 1]) * slope
        yield f"goes through W of layer {layer} instead of layer {layer + 1}", wrong


def weight_gradients(state: BackwardState, delta: Floats) -> Iterator[tuple[str, Floats]]:
    """Wrong dL/dW of this layer from its delta: words that follow "dL/dW of layer l", and the leaf."""
    layer, h = state.layer, state.h
    right = delta.T @ h[layer - 1]
    yield "is transposed", right.T
    yield "is zero", np.zeros_like(right)
    for other in range(len(h)):
        if other != layer - 1 and h[other].shape == h[layer - 1].shape:
            yield f"uses the activation of layer {other} instead of layer {layer - 1}", delta.T @ h[other]
    if layer > 1:
        wrong = delta.T @ state.g[layer - 2]
        yield f"uses the pre-activation g of layer {layer - 1} instead of its activation h", wrong
    yield "misses the first sample", delta[1:].T @ h[layer - 1][1:]
    yield "misses the last sample", delta[:-1].T @ h[layer - 1][:-1]


def bias_gradients(state: BackwardState, delta: Floats) -> Iterator[tuple[str, Floats]]:
    """Wrong dL/db of this layer from its delta: words that follow "dL/db of layer l", and the leaf."""
    del state
    yield "is zero: the biases are forgotten", np.zeros_like(delta[0])
    yield "misses the first sample", delta[1:].sum(axis=0)
    yield "misses the last sample", delta[:-1].sum(axis=0)
    yield "is that of the first sample alone", delta[0]


def factor(got: Floats, right: Floats, limit: float, state: BackwardState) -> float | None:
    """The c with ``got = c right``, or None; c is not 0."""
    square = float(np.vdot(right, right))
    found = float(np.vdot(right, got)) / square if square else 0.0
    return found if found and right.size > 1 and close(got, found * right, limit, state) else None


def scaled(c: float, state: BackwardState) -> str:
    """Words for a factor that should be 1."""
    samples, classes = state.y.shape
    known = {
        -1.0: "has its sign flipped",
        float(classes): f"is scaled by {classes}, the number of classes",
        1 / samples: "is divided by the batch size twice",
        float(samples): f"is scaled by {samples}, the batch size: a sum over the samples, not their mean",
    }
    return next((words for value, words in known.items() if abs(c / value - 1) < 1e-4), f"is scaled by {c:.6g}")


def updated_weights(state: BackwardState, dw: Floats, db: Floats, limit: float) -> tuple[float, Floats] | None:
    """Learning rate and delta, if this delta went through weights that were already updated: W - rate dL/dW."""
    if state.above is None:
        return None
    right, h = expected_delta(state), state.h[state.layer]
    change = (state.above @ (state.above.T @ h)) * state.slope(h)
    per_rate = np.concatenate([np.ravel(leaf) for leaf in leaves(state, change)])
    error = np.concatenate([np.ravel(a - b) for a, b in zip(leaves(state, right), (dw, db), strict=True)])
    rate = factor(error, per_rate, max(limit, 1e-7), state)
    return None if rate is None else (rate, right - rate * change)


def describe(got: Floats, right: Floats, limit: float, state: BackwardState) -> str:
    """What one can say of a leaf that no mistake above explains."""
    if not np.isfinite(got).all():
        where = [int(i) for i in np.argwhere(~np.isfinite(got))[0]]
        return f"is not finite, first at {where}: {got[tuple(where)]}"
    c = factor(got, right, limit, state)
    if c is not None:
        return scaled(c, state)
    error = np.abs(got - right)
    off = np.argwhere(error > max(limit * float(np.abs(right).max()), 1e-3 * float(error.max())))
    if len(off) == 1:
        where = tuple(int(i) for i in off[0])
        times = f", {got[where] / right[where]:.6g} times the right value" if right[where] else ""
        return f"is wrong in one element, {list(where)}: {got[where]:.6g} instead of {right[where]:.6g}{times}"
    relative = float(np.linalg.norm(error)) / (float(np.linalg.norm(right)) or 1.0)
    if relative < 1e-2:
        return f"has a relative error of {relative:.1e}: a cast to low precision on the way?"
    return f"is wrong, relative error {relative:.2g}"
