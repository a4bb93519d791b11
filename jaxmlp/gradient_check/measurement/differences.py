"""Central differences of any loss in float64, with what its own noise and its kinks leave of them.

For an element and a step h,

    D(h)  = (L(theta + h) - L(theta - h)) / 2h               error of order h^2
    R(h)  = (4 D(h/2) - D(h)) / 3                            error of order h^4, and noise / h from rounding

Nothing is assumed of the loss's size or of its offset: its noise is measured, from the differences of high order of
values that lie close together (J. More, S. Wild, Estimating computational noise, 2011), and the step follows from it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Loss", "Scale", "Slope", "measure_scale", "slope"]

Floats = NDArray[np.float64]
Loss = Callable[[Floats], float]
SAFETY = 8.0
LEVELS = 5  # steps h, h/16, .., tried where the first one doesn't agree
FINER = 16.0


class Scale(NamedTuple):
    """What the steps are chosen by.

    Attributes:
        loss: at the parameters.
        noise: standard deviation of its rounding errors, absolute.
        variation: by how much it changes when the parameters change by a tenth.
        typical: ``[P]``, by how much a parameter can change: its magnitude, or that of its leaf.
        step: relative to ``typical``.
    """

    loss: float
    noise: float
    variation: float
    typical: Floats
    step: float

    @property
    def resolution(self) -> float:
        """The noise of a difference, relative to what the loss varies: 1e-13 is usual, near 1 it can't tell."""
        return self.noise / self.step / self.variation if self.variation else np.inf


class Slope(NamedTuple):
    """A derivative of the loss along a direction: its value, how far it may be off, and whether there is a kink."""

    value: float
    error: float
    kink: bool


def measure_scale(loss: Loss, theta: Floats, places: list[slice], random: np.random.Generator) -> Scale:
    """How the loss behaves around ``theta [P]``, whose leaves are at ``places``; from some 30 evaluations on."""
    typical = np.empty_like(theta)
    places = [at for at in places if at.stop > at.start]
    known = [float(np.sqrt(np.mean(theta[at] ** 2))) for at in places]
    for at, size in zip(places, known, strict=True):
        typical[at] = np.maximum(np.abs(theta[at]), size)
    value = loss(theta)
    for at, size in zip(places, known, strict=True):
        if not size:
            typical[at] = _scale_of_zeros(loss, theta, at, value, random)
    signs = random.choice([-1.0, 1.0], (3, len(theta)))
    signs[2] *= _unequal(len(theta))
    variation = 0.0
    for part in (0.1, 1e-3, 1e-5, 1e-7):  # a loss may end within a tenth of the parameters, as a logarithm does
        changes = [abs(loss(theta + t * typical * sign) - value) for sign in signs for t in (part, -part)]
        variation = max(variation, max((each for each in changes if np.isfinite(each)), default=0.0) * 0.1 / part)
        if np.isfinite(changes).all():
            break
    lines = typical * random.standard_normal((2, len(theta)))
    # Whatever the measurement says, a loss is no better than its own last digit.
    near_by = [value, *(loss(theta + 0.01 * typical * sign) for sign in signs[:2])]
    digit = float(np.finfo(np.float32 if all(float(np.float32(v)) == v for v in near_by) else np.float64).eps)
    noise = max(_noise(loss, theta, lines), digit * abs(value))
    step = float(np.clip((noise / variation) ** 0.2, 2.0**-12, 2.0**-3)) if variation else 2.0**-10
    return Scale(value, noise, variation, typical, 2.0 ** np.round(np.log2(step)))


def _unequal(size: int) -> Floats:
    """Numbers from 1 to 1/2: shifted all by the same, the biases below a softmax change no loss."""
    return np.linspace(1, 0.5, size)


def _scale_of_zeros(loss: Loss, theta: Floats, at: slice, value: float, random: np.random.Generator) -> float:
    """A scale for a leaf of zeros: 1, unless the loss is blind to that, or breaks with it."""
    unequal = _unequal(at.stop - at.start)
    directions = np.zeros((4, len(theta)))
    # Four, since slope and curvature may cancel out in one of them.
    directions[:, at] = np.array([unequal, -unequal, unequal[::-1], -unequal[::-1]])
    directions[:, at] *= random.choice([-1.0, 1.0], at.stop - at.start)
    best, largest = 1.0, 0.0
    for exponent in (0, 4, -4, 8, -8, 12, -12, 16, -16, 20, -20):
        wide, narrow = (
            max(abs(loss(theta + t * 10.0**exponent * direction) - value) for direction in directions)
            for t in (0.1, 0.01)
        )
        # Smooth: a tenth of the step changes the loss by about a tenth or, at a minimum, a hundredth.
        if not (wide > largest and 0.003 < narrow / wide < 0.3):
            continue
        best, largest = 10.0**exponent, wide
        if not exponent and wide > 1e-8 * abs(value):
            break
    return best


def _noise(loss: Loss, theta: Floats, directions: Floats) -> float:
    """Of differences of order 6 of values so close together that nothing else is left in them."""

    def lines(spacing: float) -> list[Floats]:
        return [np.array([loss(theta + k * spacing * line) for k in range(-4, 5)]) for line in directions]

    for spacing in (1e-12, 1e-10, 1e-8, 1e-6, 1e-4):
        # Where rounding hides that the parameters change, they must be further apart. A kink makes noise larger.
        told = [line for line in lines(spacing) if np.isfinite(line).all() and len(np.unique(line)) >= 6]
        found = [np.sqrt(np.mean(np.diff(line, 6) ** 2) / 924) for line in told]
        if found:
            return float(min(found))
    # Either the loss is coarse, all of its values are multiples of one step, or it is flat here.
    values = np.unique(np.concatenate([line for spacing in (1e-4, 1e-3, 1e-2, 1e-1) for line in lines(spacing)]))
    steps = np.diff(values[np.isfinite(values)])
    multiples = steps / steps.min(initial=np.inf)
    coarse = len(steps) > 1 and bool(np.all(np.abs(multiples - np.round(multiples)) < 1e-3))
    return float(steps.min()) / 2 if coarse else 0.0


def slope(loss: Loss, theta: Floats, direction: Floats, scale: Scale, expected: Sequence[float], near: float) -> Slope:
    """The derivative of ``loss`` along ``direction``, whose length is that of a change of the typical size.

    Args:
        loss: of ``theta [P]``.
        theta: where.
        direction: ``[P]``.
        scale: of the loss.
        expected: what the gradient says, or nothing.
        near: agreement with it up to here ends the search: two independent ways to one number.
    """
    h = scale.step
    sides = [_sides(loss, theta, direction, h * part) for part in (1, 0.5)]
    wide, half = (_central(*each) for each in sides)
    found, rounding = (4 * half - wide) / 3, SAFETY * scale.noise / h
    if any(abs(found - each) <= near + rounding for each in expected):
        return Slope(found, near + rounding, False)
    best, kink = Slope(found, np.inf, False), False
    for level in range(LEVELS):
        h = scale.step / FINER**level
        sides = [*(sides if not level else (_sides(loss, theta, direction, h * part) for part in (1, 0.5))),
                 _sides(loss, theta, direction, h / 4)]  # fmt: skip
        wide, half, quarter = (_central(*each) for each in sides)
        found, rounding = (4 * quarter - half) / 3, 2 * SAFETY * scale.noise / h
        here = Slope(found, abs(found - (4 * half - wide) / 3) + rounding, False)
        # The slopes on either side: of a smooth loss they approach each other as the step falls, at a kink they don't.
        apart = [abs(up - 2 * scale.loss + down) / step for up, down, step in sides]
        kink = apart[2] > max(0.6 * apart[0], 4 * rounding)
        if not kink and here.error < best.error:
            best = here
        if not kink and here.error <= near + 4 * rounding:  # no smaller step can tell more
            return best
    if kink and not best.error <= 0.1 * min([abs(best.value - each) for each in expected], default=0.0):
        return Slope(found, np.inf, True)
    return best


def _sides(loss: Loss, theta: Floats, direction: Floats, h: float) -> tuple[float, float, float]:
    return loss(theta + h * direction), loss(theta - h * direction), h


def _central(up: float, down: float, h: float) -> float:
    return (up - down) / (2 * h)
