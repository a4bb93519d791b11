"""Recognition of a network and its loss from the values of the loss alone, at several parameters.

A candidate (layout, activations, output, loss) gives a cost T at each of K random parameters near the user's own. It is
accepted if the user's loss is ``scale T + penalties + offset`` at all K. K is 8, and at most four numbers are unknown:
the scale, two penalties, the offset. A wrong candidate would have to agree by accident in four numbers or more.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.gradient_check.diagnosis.layouts import Arrangement, arrangements, sample_rows, target_rows
from jaxmlp.gradient_check.diagnosis.plain_network import (
    ACTIVATIONS,
    HEADS,
    Floats,
    Form,
    cost,
    forward,
    leaf_gradients,
    with_output,
)

__all__ = ["Recognised", "recognise"]

POINTS = 8
EXACT = 1e-8  # relative to the loss's variation between points; rounding errors are about 1e-13
NEAR = 1e-4  # allows for an epsilon in a logarithm
EPSILONS = (1e-15, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5)
WORK = 200_000_000  # most parameters times combinations of different activations

Evaluate = Callable[[list[Floats]], float]


class Recognised(NamedTuple):
    """A recognised network: its loss equals the user's at `POINTS` parameters.

    Attributes:
        form: activations, loss, scale, penalties.
        arrangement: where its layers are in the parameters.
        x: ``[N, n_0]``.
        y: ``[N, n_L]``.
        columns: words for samples in columns, or "".
        error: the largest difference of the two losses, relative to the variation of the loss.
        also: other activations with the same loss, for example if no unit is negative.
    """

    form: Form
    arrangement: Arrangement
    x: Floats
    y: Floats
    columns: str
    error: float
    also: tuple[str, ...] = ()

    def gradient(self, leaves: Sequence[Floats]) -> list[Floats]:
        """The gradient at ``leaves``, by this network's formulas, in their layout."""
        weights, biases = map(list, zip(*self.arrangement.split(leaves), strict=True))
        passed = forward(self.form, weights, biases, self.x)
        return self.arrangement.join(leaf_gradients(self.form, weights, biases, passed, self.y)[1], leaves)

    def sizes(self, leaves: Sequence[Floats]) -> tuple[int, ...]:
        """The widths ``n_0 .. n_L``."""
        layers = self.arrangement.split(leaves)
        return (layers[0][0].shape[1], *(len(w) for w, _ in layers))

    def words(self, leaves: Sequence[Floats]) -> str:
        """The network in words: "64-20-10, sigmoid, softmax and cross-entropy, mean of 32"."""
        form, n = self.form, len(self.x)
        hidden = ", ".join(form.hidden if len(set(form.hidden)) > 1 else form.hidden[:1])
        hidden += f" (or {', '.join(self.also)}: no unit tells)" if self.also else ""
        said = ["-".join(map(str, self.sizes(leaves))), hidden, f"{form.output} and {form.loss}"]
        if form.epsilon:
            said[-1] += f" with log(p + {form.epsilon:g})"
        said.append(_scale_words(form.scale, n, self.y.shape[1]))
        if form.weight_penalty:
            said.append(f"plus {form.weight_penalty:.4g} |W|^2")
        if form.bias_penalty:
            said.append(f"plus {form.bias_penalty:.4g} |b|^2")
        if form.offset:
            said.append(f"plus {form.offset:.6g}")
        said += [self.arrangement.words(), self.columns]
        if self.error > EXACT:
            said.append(f"its loss to {self.error:.0e}")
        return ", ".join(filter(None, said))


def _scale_words(scale: float, n: int, n_out: int) -> str:
    if n == 1 and abs(scale - 1) < 1e-6:
        return "one sample"
    sizes = {f"mean of {n}": 1 / n} if n > 1 else {}
    outputs = {f"mean of {n} x {n_out}": 1 / n / n_out} if n > 1 else {}
    for known in ({"sum": 1.0, **sizes}, {**outputs, "mean over outputs": 1 / n_out}):
        for sign, (half, factor), (name, value) in itertools.product(
            (1, -1), (("", 1.0), ("half the ", 0.5)), known.items()
        ):
            if abs(scale / (sign * factor * value) - 1) < 1e-6:
                return f"{'minus ' if sign < 0 else ''}{half}{name}"
    return f"{scale:.6g} times the sum"


def recognise(
    leaves: Sequence[Floats],
    evaluate: Evaluate,
    x: Any,
    y: Any,
    random: np.random.Generator,
    noise: float = 0.0,
    hidden: str | tuple[str, ...] | None = None,
) -> Recognised | None:
    """The network with the loss ``evaluate``, or None if no network known here has it.

    Args:
        leaves: of the parameters, float64, each ``[n_out, n_in]``, ``[n_in, n_out]``, ``[n]``, ``[n, 1]``, ..
        evaluate: the loss at such leaves.
        x: samples as rows, as columns, or one sample.
        y: targets: one-hot rows or columns, labels, or numbers.
        random: for the parameters to try.
        noise: of ``evaluate``, absolute.
        hidden: the activations, where they are known: one name, or one for each hidden layer.
    """
    tried = [list(leaves)]
    for _ in range(POINTS - 1):
        tried.append([leaf + 0.2 * _scale(leaf) * random.standard_normal(leaf.shape) for leaf in leaves])
    values = np.array([evaluate(point) for point in tried])
    usable = np.isfinite(values)
    values = values[usable]
    if len(values) < POINTS - 2 or not np.ptp(values) > 10 * noise:
        return None
    points = _Points([point for point, good in zip(tried, usable, strict=True) if good], values)
    exact = max(EXACT, 10 * noise / float(np.ptp(values)))
    places = list(_places(leaves, x, y))
    size = sum(leaf.size for leaf in leaves)
    with np.errstate(all="ignore"):
        # Penalties, an offset and different activations are tried only if nothing simpler fits.
        for mixed, few, most in ((False, True, 1), (False, False, 1), (True, True, 3000), (True, False, 400)):
            candidates = (
                place._replace(form=form)
                for place in places
                for form in _forms(len(place.arrangement.layers) - 1, mixed, min(most, WORK // size), hidden)
            )
            found = _best(candidates, points, few, exact)
            if found is not None:
                alike = () if hidden is not None or len(set(found.form.hidden)) != 1 else ACTIVATIONS
                forms = (found.form._replace(hidden=(name,) * len(found.form.hidden)) for name in alike)
                fits = [_fitted(found._replace(form=form), points, few, exact) for form in forms]
                others = [fit.form.hidden[0] for fit in fits if fit is not None and fit.error <= exact]
                return found._replace(also=tuple(name for name in others if name != found.form.hidden[0]))
    return None


def _best(candidates: Iterator[Recognised], points: "_Points", few: bool, exact: float) -> Recognised | None:
    """The candidate that fits best, if it fits."""
    best: Recognised | None = None
    for candidate in candidates:
        found = _fitted(candidate, points, few, exact)
        if found is not None and (best is None or found.error < 0.1 * best.error):
            best = found
        if best is not None and best.error <= 1e-3 * exact:
            return best
    if best is not None and best.error > exact:
        tries = (best._replace(form=best.form._replace(epsilon=e)) for e in EPSILONS)
        fits = [fit for each in tries if (fit := _fitted(each, points, few, exact)) is not None]
        best = min([best, *fits], key=lambda fit: fit.error)
    return best if best is not None and best.error <= max(exact, 1e-6) else None


def _scale(leaf: Floats) -> float:
    return float(np.sqrt(np.mean(leaf**2))) or 0.5 if leaf.size else 0.5


def _places(leaves: Sequence[Floats], x: Any, y: Any) -> Iterator[Recognised]:
    """All layouts that fit the shapes, with x and y in rows."""
    for arrangement in arrangements([leaf.shape for leaf in leaves]):
        layers = arrangement.split(leaves)
        for rows, columns in sample_rows(x, layers[0][0].shape[1]):
            for targets in target_rows(y, len(rows), len(layers[-1][0])):
                yield Recognised(Form((), "identity", "squares"), arrangement, rows, targets, columns, np.inf)


def _forms(n_hidden: int, mixed: bool, most: int, known: str | tuple[str, ...] | None) -> Iterator[Form]:
    """Forms with one activation or, if ``mixed``, with several; none if more than ``most`` combinations exist."""
    if known is not None:
        hidden = [] if mixed else [(known,) * n_hidden if isinstance(known, str) else tuple(known)]
        hidden = [names for names in hidden if len(names) == n_hidden]
    elif not mixed:
        hidden = list(dict.fromkeys((name,) * n_hidden for name in ACTIVATIONS))
    elif len(ACTIVATIONS) ** n_hidden > most:
        hidden = []
    else:
        hidden = [names for names in itertools.product(ACTIVATIONS, repeat=n_hidden) if len(set(names)) > 1]
    for names in hidden:
        for output, loss in HEADS:
            yield Form(names, output, loss)


def _fitted(place: Recognised, points: "_Points", few: bool, exact: float) -> Recognised | None:
    """``place`` with the numbers that give the user's loss, or None. ``few``: no penalty, no offset."""
    values = points.values
    if few:  # two points rule out most candidates: without penalties the losses have one ratio
        first, second = (points.columns(place, number)[0] for number in (0, 1))
        if not abs(first * values[1] - second * values[0]) <= NEAR * abs(second * values[0]):
            return None
    table = np.array([points.columns(place, number) for number in range(len(values))])
    if not np.isfinite(table).all():
        return None
    for unknown in ((0,),) if few else ((0, 1), (0, 3), (0, 1, 2), (0, 1, 3), (0, 1, 2, 3)):
        chosen = table[:, unknown]
        units = np.linalg.norm(chosen, axis=0)
        if not units.all():
            continue
        solved = np.linalg.lstsq(chosen / units, values, rcond=None)[0] / units
        error = float(np.max(np.abs(chosen @ solved - values)) / np.ptp(values))
        if solved[0] and error <= (NEAR if few else exact):
            numbers = dict(zip(unknown, map(float, solved), strict=True))
            form = place.form._replace(
                scale=numbers[0],
                weight_penalty=numbers.get(1, 0.0),
                bias_penalty=numbers.get(2, 0.0),
                offset=numbers.get(3, 0.0),
            )
            return place._replace(form=form, error=error)
    return None


class _Points:
    """The tried parameters and their losses; the hidden layers' forward passes are computed once for all outputs."""

    def __init__(self, leaves: list[list[Floats]], values: Floats) -> None:
        self.leaves, self.values = leaves, values
        self.passed: dict[Any, Any] = {}  # keys contain id(x): x stays alive in the places

    def columns(self, place: Recognised, number: int) -> list[float]:
        """The possible terms of the loss at a point: the cost, the squared weights, the squared biases, 1."""
        key = place.arrangement, id(place.x), place.form.hidden, number
        if key not in self.passed:
            weights, biases = map(list, zip(*place.arrangement.split(self.leaves[number]), strict=True))
            squares = [sum(float(np.sum(leaf**2)) for leaf in each) for each in (weights, biases)]
            self.passed[key] = forward(place.form, weights, biases, place.x), squares
        passed, squares = self.passed[key]
        return [cost(place.form, with_output(place.form, passed), place.y), *squares, 1.0]
