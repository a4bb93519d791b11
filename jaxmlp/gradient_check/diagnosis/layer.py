"""One layer of a backward pass: the delta that its leaves come from, and what is wrong with them."""

from typing import NamedTuple

import numpy as np

from jaxmlp.gradient_check.diagnosis import known_mistakes
from jaxmlp.gradient_check.diagnosis.known_mistakes import BackwardState
from jaxmlp.gradient_check.diagnosis.looks import close, factor, looks
from jaxmlp.gradient_check.diagnosis.plain_network import Floats, slope

__all__ = ["Step", "examine"]

NAMES = ("dL/dW", "dL/db")


class Step(NamedTuple):
    """The findings on one layer.

    Attributes:
        delta: that of the user's backward pass; None if no leaf shows it.
        found: what is wrong, as (quantity, words).
    """

    delta: Floats | None
    found: list[tuple[str, str]]


def _penalties(state: BackwardState) -> tuple[Floats, Floats]:
    """What the penalties add to dL/dW and dL/db of this layer."""
    at, form = state.layer - 1, state.form
    return 2 * form.weight_penalty * state.weights[at], 2 * form.bias_penalty * state.biases[at]


def examine(state: BackwardState, dw: Floats | None, db: Floats | None, limit: float, floor: float) -> Step:
    """The delta that this layer's leaves come from, if they show it, and what is wrong with them."""
    right = known_mistakes.expected_delta(state)
    given: list[Floats | None] = [dw, db]
    shapes = [leaf.shape for leaf in known_mistakes.leaves(state, right)]
    misshapen = [place for place, got in enumerate(given) if got is not None and got.shape != shapes[place]]
    # Penalties are subtracted. The rest depends on the delta alone.
    minus = _penalties(state)
    turned = [got.T if place in misshapen and got is not None else got for place, got in enumerate(given)]
    pure = [
        got - off if got is not None and got.shape == off.shape else None
        for got, off in zip(turned, minus, strict=True)
    ]
    noise = 20 * floor * float(np.linalg.norm(right)) * (1 + float(np.linalg.norm(state.h[state.layer - 1])))
    fit = _Fit(state, pure, limit, noise)
    if all(fit.matches(right)):
        step = Step(right if pure[0] is not None or (pure[1] is not None and len(right) == 1) else None, [])
    else:
        step = _explained(fit, right) or _recovered(fit, right) or _unexplained(fit, right)
    delta = right if step.delta is None else step.delta
    shaped = [(NAMES[place], _shape_words(delta, given[place], shapes[place], place)) for place in misshapen]
    return Step(step.delta, step.found + shaped)


def _shape_words(right: Floats, got: Floats | None, shape: tuple[int, ...], place: int) -> str:
    assert got is not None
    if place and got.ndim == 0:
        for name, number in (("sum", right.sum()), ("mean", right.mean())):
            if abs(float(got) - number) <= 1e-7 * (abs(number) + float(np.abs(right).max())):
                return f"is np.{name}(delta), one number for all units"
    if place and got.size == right.size and sorted(got.shape) == sorted(right.shape) and len(right) > 1:
        return f"has shape {list(got.shape)}, expected {list(shape)}: not summed over the samples"
    transposed = ", it is transposed" if got.shape == shape[::-1] and len(shape) > 1 else ""
    return f"has shape {list(got.shape)}, expected {list(shape)}{transposed}"


class _Fit(NamedTuple):
    """Leaves of a layer, without penalties, to be explained."""

    state: BackwardState
    pure: list[Floats | None]
    limit: float
    noise: float

    def matches(self, delta: Floats, c: float = 1.0) -> list[bool]:
        """Whether each leaf is that of ``c delta``; true for a missing leaf."""
        made = known_mistakes.leaves(self.state, delta)
        pairs = zip(self.pure, made, strict=True)
        return [got is None or close(got, c * leaf, self.limit, self.noise) for got, leaf in pairs]

    def factor(self, delta: Floats) -> float | None:
        """The factor by which ``delta`` explains dL/dW, or dL/db if there is no dL/dW."""
        place = 0 if self.pure[0] is not None else 1
        got = self.pure[place]
        assert got is not None
        return factor(got, known_mistakes.leaves(self.state, delta)[place], self.limit, self.noise)


def _explained(fit: _Fit, right: Floats) -> Step | None:
    """The first explanation that reproduces both leaves: right delta, known delta, a factor, then two mistakes."""
    state = fit.state
    both = all(got is not None for got in fit.pure)
    dw_right, db_right = fit.matches(right)
    if both and dw_right:
        return _one_leaf(fit, right, 1)
    known = list(known_mistakes.deltas(state))
    for words, delta in known:
        if all(fit.matches(delta)):
            return Step(delta, [("delta", words)])
    if both and db_right:
        return _one_leaf(fit, right, 0)
    c = fit.factor(right)
    if c is not None and all(fit.matches(right, c)):
        return Step(c * right, [("delta", known_mistakes.factor_words(c, state))])
    if (step := _updated(fit, right)) is not None:
        return step
    for words, delta in known:
        c = fit.factor(delta) if delta.any() and delta.size > 2 else None
        if c is not None and all(fit.matches(delta, c)):
            return Step(c * delta, [("delta", f"{words}, and {known_mistakes.factor_words(c, state)}")])
    if not both:
        return None
    # dL/dW shows the delta, and dL/db has a mistake of its own.
    for words, delta in [("", right), *known]:
        c = 1.0 if fit.matches(delta)[0] else fit.factor(delta) if delta.any() and delta.shape[1] > 1 else None
        if c is None:
            continue
        said = [] if not words and c == 1 else [("delta", _join(words, c, state))]
        other = _leaf(fit, c * delta, 1, known_only=True)
        if other is not None:
            return Step(c * delta, [*said, other])
    return _two_leaves(fit, right)


def _one_leaf(fit: _Fit, right: Floats, place: int) -> Step:
    """The other leaf is that of the right delta. dL/dW shows the delta, dL/db shows only its sum over the samples."""
    known = _leaf(fit, right, place, known_only=True)
    found = known or _leaf(fit, right, place)
    assert found is not None
    got, leaf = fit.pure[place], known_mistakes.leaves(fit.state, right)[place]
    alone = got is not None and np.sum(np.abs(got - leaf) > 1e-6 * np.abs(leaf).max()) == 1
    shown = place == 1 or len(right) == 1 or known is not None or alone
    return Step(right if shown else None, [found])


def _join(words: str, c: float, state: BackwardState) -> str:
    return ", and ".join(filter(None, [words, known_mistakes.factor_words(c, state) if abs(c - 1) > 1e-9 else ""]))


def _two_leaves(fit: _Fit, right: Floats) -> Step | None:
    """The delta is right, and each leaf has a known mistake of its own."""
    found = [_leaf(fit, right, place, known_only=True) for place in (0, 1)]
    return Step(right, [each for each in found if each]) if all(found) else None


def _leaf(fit: _Fit, delta: Floats, place: int, known_only: bool = False) -> tuple[str, str] | None:
    """What is wrong with dL/dW (``place`` 0) or dL/db (1), from ``delta``; None if ``known_only`` and none fits."""
    state, got = fit.state, fit.pure[place]
    assert got is not None
    name, right = NAMES[place], known_mistakes.leaves(state, delta)[place]
    made = (known_mistakes.weight_gradients, known_mistakes.bias_gradients)[place](state, delta)
    for words, leaf in made:
        if (leaf.any() and close(got, leaf, fit.limit, fit.noise)) or (not leaf.any() and not got.any()):
            return name, words
    parameter = (state.weights, state.biases)[place][state.layer - 1]
    penalty = 2 * (state.form.weight_penalty, state.form.bias_penalty)[place]
    if penalty and close(got, right - penalty * parameter, fit.limit, fit.noise):
        return name, "misses the L2 penalty's part"
    telling = parameter.size > 2 and np.ptp(parameter) > 0  # constant leaves are multiples of each other
    c = factor(got - right, parameter, max(fit.limit, 1e-7), fit.noise) if telling else None
    if c is not None:
        if penalty:
            right_part = f"2 * {penalty / 2:.4g} * {'Wb'[place]} is right"
            return name, f"has {(c + penalty) / penalty:.4g} times the L2 penalty's part: {right_part}"
        return name, f"has an L2 part, {c:.4g} times {'Wb'[place]}, which the loss has not"
    c = factor(got, right, fit.limit, fit.noise)
    if right.size == 1 and right.any():
        c = float(got.ravel()[0] / right.ravel()[0])
    if c is None and penalty:  # the penalty's part is scaled as well
        c = factor(got + penalty * parameter, right + penalty * parameter, fit.limit, fit.noise)
    if c is not None:
        return name, known_mistakes.factor_words(c, state)
    return None if known_only else (name, looks(got, right, fit.limit, fit.noise))


def _updated(fit: _Fit, right: Floats) -> Step | None:
    """A delta that was passed through already updated weights: W - rate dL/dW."""
    state = fit.state
    if state.above is None or fit.pure[0] is None:
        return None
    layer, h = state.layer, state.h[state.layer]
    gradient = state.above.T @ h + 2 * state.form.weight_penalty * state.weights[layer]
    change = (state.above @ gradient) * slope(state.form, layer, h)
    per_rate, made = known_mistakes.leaves(state, change), known_mistakes.leaves(state, right)
    error = [a - b for a, b in zip(made, fit.pure, strict=True) if b is not None]
    together = [leaf for leaf, got in zip(per_rate, fit.pure, strict=True) if got is not None]
    off, changed = (np.concatenate([np.ravel(leaf) for leaf in each]) for each in (error, together))
    rate = factor(off, changed, max(fit.limit, 1e-7), fit.noise)
    if rate is None or right.shape[1] < 2:
        return None
    words = f"goes through W of layer {layer + 1} after its update (learning rate {rate:.3g})"
    return Step(right - rate * change, [("delta", words)])


def _recovered(fit: _Fit, right: Floats) -> Step | None:
    """The user's delta itself, if the leaves determine it: at most as many samples as inputs, and both leaves agree."""
    state, (dw, db) = fit.state, fit.pure
    if dw is None or db is None or not (np.isfinite(dw).all() and np.isfinite(db).all()):
        return None
    inputs = np.column_stack([state.h[state.layer - 1], np.ones(len(right))])
    if len(right) >= inputs.shape[1] or np.linalg.cond(inputs) > 1e6:
        return None
    delta = (np.column_stack([dw, db]) @ np.linalg.pinv(inputs)).T
    if not all(_Fit(state, fit.pure, max(fit.limit, 1e-9), fit.noise).matches(delta)):
        return None
    words = looks(*((delta[0], right[0]) if len(delta) == 1 else (delta, right)), 1e-6)
    for array, network in (("column", "unit"), ("elements", "units"), ("row", "sample")):
        words = words.replace(array, network)
    return Step(delta, [("delta", words)])


def _unexplained(fit: _Fit, right: Floats) -> Step:
    """Nothing reproduces the leaves: the step describes how they look. Their delta stays unknown."""
    made = known_mistakes.leaves(fit.state, right)
    wrong = [
        (name, looks(got, leaf, fit.limit, fit.noise))
        for name, got, leaf, good in zip(NAMES, fit.pure, made, fit.matches(right), strict=True)
        if got is not None and not good
    ]
    if len(wrong) < 2:
        return Step(None, wrong)
    return Step(None, [("dL/dW and dL/db", f"are wrong: dL/dW {wrong[0][1]}; dL/db {wrong[1][1]}")])
