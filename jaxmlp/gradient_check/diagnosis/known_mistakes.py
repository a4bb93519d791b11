"""Common mistakes in a backward pass: the wrong quantity that each produces, and words for it.

Notation as in `lecture.backprop`; the lecture's layer l is ``weights[l - 1]``, ``g[l - 1]``, its input ``h[l - 1]``.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxmlp.gradient_check.diagnosis.plain_network import (
    ACTIVATIONS,
    Floats,
    Form,
    Pass,
    cost_by_output,
    output_delta,
    slope,
    through_output,
)

__all__ = ["BackwardState", "bias_gradients", "deltas", "expected_delta", "factor_words", "leaves", "weight_gradients"]

CURVED = tuple(name for name, phi in ACTIVATIONS.items() if phi.curved)


class BackwardState(NamedTuple):
    """The state of a backward pass at one layer.

    Attributes:
        form: of the network.
        layer: l, 1..L.
        weights: ``W_1 .. W_L``.
        biases: ``b_1 .. b_L``.
        g: ``g_1 .. g_L``, each ``[N, n_l]``.
        h: ``h_0 .. h_L``, each ``[N, n_l]``.
        y: ``[N, n_L]``.
        above: delta of layer l + 1 ``[N, n_(l+1)]`` in the user's gradient; None at the output.
        right: the right ``delta_1 .. delta_L``.
    """

    form: Form
    layer: int
    weights: list[Floats]
    biases: list[Floats]
    g: list[Floats]
    h: list[Floats]
    y: Floats
    above: Floats | None
    right: list[Floats]


def expected_delta(state: BackwardState) -> Floats:
    """Delta of this layer if the layer has no mistake; the right one if the layers above have none either."""
    if state.above is None:
        return state.right[-1]
    return (state.above @ state.weights[state.layer]) * slope(state.form, state.layer, state.h[state.layer])


def leaves(state: BackwardState, delta: Floats) -> tuple[Floats, Floats]:
    """The parts of dL/dW and dL/db that ``delta`` gives in this layer, without penalties."""
    return delta.T @ state.h[state.layer - 1], delta.sum(axis=0)


def deltas(state: BackwardState) -> Iterator[tuple[str, Floats]]:
    """Wrong deltas of this layer, the most likely first: words that follow "delta of layer l", and the delta."""
    right = expected_delta(state)
    yield from _output_deltas(state, right) if state.above is None else _hidden_deltas(state)
    for index, row in enumerate(right if len(right) <= 64 else []):
        if np.any(row) and len(right) > 1:
            left = right.copy()
            left[index] = 0
            yield f"leaves out {_sample(index, len(right))}", left
    yield "has its negative elements set to 0, as if relu were applied to it", np.maximum(right, 0)
    yield "has its positive elements set to 0", np.minimum(right, 0)
    for precision in ("float32", "float16", "bfloat16"):
        yield f"is cast to {precision} on the way", right.astype(jnp.dtype(precision)).astype(right.dtype)
    for digits in range(1, 9):
        yield f"is rounded to {digits} decimals", np.round(right, digits)


def _sample(index: int, n: int) -> str:
    return "the first sample" if not index else "the last sample" if index == n - 1 else f"sample {index}"


def _output_deltas(state: BackwardState, right: Floats) -> Iterator[tuple[str, Floats]]:
    form, h, y, g = state.form, state.h[-1], state.y, state.g[-1]
    factor = form.scale * (1 + (form.loss == "squares"))
    name, plain = form.output, factor * (h - y)
    by_output = form.scale * cost_by_output(form, h, y)
    if name == "softmax":
        yield "has the derivative of softmax applied twice (elementwise, h(1-h))", right * h * (1 - h)
        yield "has the derivative of softmax applied twice", through_output(form, h, right)
        yield "takes of the derivative of softmax only its diagonal, h(1-h)", by_output * h * (1 - h)
    elif name != "identity":
        yield f"has the derivative of {name}, the output's activation, applied twice", through_output(form, h, right)
    if form.loss == "squares" and name != "identity":
        yield f"misses the derivative of the output's activation, {name}", plain
        if name != "softmax":
            yield (
                f"takes the derivative of {name} at g with the formula written for h",
                plain * slope(form, len(state.weights), g),
            )
    elif name != "identity":
        yield f"misses the derivative of {name}", by_output
    if form.loss != "squares" and name == "sigmoid":
        yield "is that of squares, not of cross-entropy: h(1-h) more", plain * h * (1 - h)
    if form.loss == "squares" and name in ("sigmoid", "softmax"):
        yield "is that of cross-entropy, h - y, not of squares", form.scale * (h - y)
    elif form.loss == "squares":
        yield "misses the factor 2 of the derivative of a square", right / 2
    for other, activation in ACTIVATIONS.items() if name != "softmax" else ():
        if other not in (name, "identity"):
            words = f"takes the derivative of {other} for that of {name}, the output's activation"
            yield words, by_output * activation.slope(h)
    if name in CURVED:
        at_h = ACTIVATIONS[name].slope(ACTIVATIONS[name].value(h))
        yield f"takes the derivative of {name} at h instead of g", by_output * at_h
    for by in (1, -1):
        for axis, words in ((-1, "classes"), (0, "samples")):
            if y.shape[axis] > 1:
                shifted = output_delta(form, Pass([], [h]), np.roll(y, by, axis=axis))
                yield f"uses the labels shifted by {by:+d} ({words})", shifted
    yield f"uses g of the output layer instead of {name}(g)", factor * (g - y)
    yield "does not subtract the labels", factor * h
    yield "is zero", np.zeros_like(h)


def _hidden_deltas(state: BackwardState) -> Iterator[tuple[str, Floats]]:
    layer, above, w = state.layer, state.above, state.weights[state.layer]
    assert above is not None
    h, g, passed = state.h[layer], state.g[layer - 1], above @ w

    def phi_slope(at: Floats) -> Floats:
        return slope(state.form, layer, at)

    yield f"misses the derivative of the activation, phi'(g_{layer})", passed
    yield f"takes phi' at g_{layer} with the formula written for h_{layer}", passed * phi_slope(g)
    wrapped = (layer - 2) % len(state.h)
    for other, name in (
        (layer - 1, "the layer below"),
        (layer + 1, "the layer above"),
        (len(state.h) - 1, "the last one"),
        (wrapped, "as an index of Python wraps"),
    ):
        if other != layer and state.h[other].shape == h.shape:
            yield f"takes phi' at h_{other}, {name}, instead of h_{layer}", passed * phi_slope(state.h[other])
    others = {"sigmoid": "h(1-h), the derivative of sigmoid", "tanh": "1-h^2, the derivative of tanh",
              "relu": "that of relu"}  # fmt: skip
    for name, activation in ACTIVATIONS.items():
        if name not in ("identity", state.form.hidden[layer - 1]):
            yield f"takes for phi' {others.get(name, f'that of {name}')}", passed * activation.slope(h)
    if state.form.hidden[layer - 1] in CURVED:
        at_h = phi_slope(ACTIVATIONS[state.form.hidden[layer - 1]].value(h))
        yield f"takes phi' at h_{layer} instead of g_{layer}: h is put through the activation twice", passed * at_h
    if layer == len(state.weights) - 1 and state.form.output != "identity":
        error = state.form.scale * (1 + (state.form.loss == "squares")) * (state.h[-1] - state.y)
        words = f"is made of the error h_{layer + 1} - y, not of delta of layer {layer + 1}"
        yield words, (error @ w) * phi_slope(h)
    yield "is masked where it is negative itself, not by phi'", np.maximum(passed, 0)
    if state.form.hidden[layer - 1] == "relu":
        yield "is masked where relu is on, not where it is off", passed * (1 - phi_slope(h))
    yield f"misses a factor h_{layer}: its phi' is 1-h", passed * (1 - h)
    yield f"takes for phi' h_{layer} itself", passed * h
    yield f"has phi'(g_{layer}) applied twice", passed * phi_slope(h) ** 2
    yield f"is zero: delta of layer {layer + 1} is not passed on", np.zeros_like(h)
    if w.shape[0] == w.shape[1]:
        yield f"goes through W of layer {layer + 1} transposed", (above @ w.T) * phi_slope(h)
        yield f"is that of layer {layer + 1}, not passed through W and phi'", above
        yield f"is not passed through W of layer {layer + 1}", above * phi_slope(h)
    for other, weights in enumerate(state.weights):
        if other != layer and weights.shape == w.shape:
            words = f"goes through W of layer {other + 1} instead of layer {layer + 1}"
            yield words, (above @ weights) * phi_slope(h)
    yield "takes the absolute value of W", (above @ np.abs(w)) * phi_slope(h)


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
    yield from _left_out(delta, h[layer - 1])
    n = len(delta)
    for index in range(n if 1 < n <= 64 else 0):
        yield f"is that of {_sample(index, n)} alone", np.outer(delta[index], h[layer - 1][index])


def bias_gradients(state: BackwardState, delta: Floats) -> Iterator[tuple[str, Floats]]:
    """Wrong dL/db of this layer from its delta: words that follow "dL/db of layer l", and the leaf."""
    del state
    right = delta.sum(axis=0)
    yield "is zero: the biases are forgotten", np.zeros_like(delta[0])
    for words, leaf in _left_out(delta, np.ones((len(delta), 1))):
        yield words, leaf[:, 0]
    for index in range(len(delta) if 1 < len(delta) <= 64 else 0):
        yield f"is that of {_sample(index, len(delta))} alone", delta[index]
    if len(delta) == delta.shape[1]:
        yield "is summed over the units, not over the samples", delta.sum(axis=1)
    for words, number in (("sum", right.sum()), ("mean", delta.mean())):
        if abs(number) <= 1e-9 * float(np.abs(right).max()):  # zero, as for softmax: no evidence
            continue
        yield f"is np.{words}(delta), one number for all units", np.full_like(right, number)


def _left_out(delta: Floats, h: Floats) -> Iterator[tuple[str, Floats]]:
    n = len(delta)
    right = delta.T @ h
    for index in range(n if 1 < n <= 64 else 0):
        one = np.outer(delta[index], h[index])
        yield f"misses {_sample(index, n)}", right - one
        yield f"counts {_sample(index, n)} twice", right + one


def factor_words(c: float, state: BackwardState) -> str:
    """Words for a factor that should be 1."""
    samples, outputs = state.y.shape
    known = [(-1.0, "has its sign flipped")]
    if state.form.loss != "squares":
        known.append((float(outputs), f"is scaled by {outputs}, the number of classes"))
    parts = (1, 0.5, 1 / outputs, 0.5 / outputs)
    if any(abs(abs(state.form.scale) * samples / part - 1) < 1e-6 for part in parts):
        words = f"is scaled by {samples}, the batch size: a sum over the samples, not their mean"
        known += [(1 / samples, "is divided by the batch size twice"), (float(samples), words)]
    elif any(abs(abs(state.form.scale) / part - 1) < 1e-6 for part in parts[:2]):
        words = f"is divided by {samples}, the batch size: a mean over the samples, not their sum"
        known += [(1 / samples, words), (float(samples), f"is scaled by {samples}, the batch size")]
    found = [words for value, words in known if abs(c / value - 1) < 1e-4 and abs(value - 1) > 1e-4]
    if len(found) > 1:  # two causes give this factor
        return f"is scaled by {c:.6g}: the batch size, or the number of classes"
    return found[0] if found else f"is scaled by {c:.6g}"
