"""Central differences of any loss in float64; its noise limits their accuracy, and its kinks are found.

For an element and a step h,

    D(h)  = (L(theta + h) - L(theta - h)) / 2h               error of order h^2
    R(h)  = (4 D(h/2) - D(h)) / 3                            error of order h^4, and noise / h from rounding

The loss may have any size and any offset. Its noise is measured, from the differences of high order of values that
lie close together (J. More, S. Wild, Estimating computational noise, 2011). The step follows from the noise.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Loss", "Scale", "Slope", "measure_scale", "slope"]

Floats = NDArray[np.float64]
Loss = Callable[[Floats], float]
SAFETY = 8.0
LEVELS = 5  # steps h, h/16, .., tried if the first one does not agree
FINER = 16.0


class Scale(NamedTuple):
    """The quantities that determine the steps.

    Attributes:
        loss: its value at the parameters.
        noise: standard deviation of the loss's rounding errors, absolute.
        variation: the change of the loss when the parameters change by a tenth.
        typical: ``[P]``, the size of a change of each parameter: its magnitude, or that of its leaf.
        step: relative to ``typical``.
    """

    loss: float
    noise: float
    variation: float
    typical: Floats
    step: float

    @property
    def resolution(self) -> float:
        """The noise of a difference, relative to the loss's variation: 1e-13 is usual; near 1 it hides everything."""
        return self.noise / self.step / self.variation if self.variation else np.inf


class Slope(NamedTuple):
    """A derivative of the loss along a direction: its value, its possible error, and whether there is a kink."""

    value: float
    error: float
    kink: bool


def measure_scale(loss: Loss, theta: Floats, places: list[slice], random: np.random.Generator) -> Scale:
    """The `Scale` of the loss around ``theta [P]``, with leaves at ``places``; takes about 30 evaluations or more."""
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
    for part in (0.1, 1e-3, 1e-5, 1e-7):  # the loss may be undefined a tenth away, as a logarithm is
        changes = [abs(loss(theta + t * typical * sign) - value) for sign in signs for t in (part, -part)]
        variation = max(variation, max((each for each in changes if np.isfinite(each)), default=0.0) * 0.1 / part)
        if np.isfinite(changes).all():
            break
    lines = typical * random.standard_normal((2, len(theta)))
    # The noise is at least the last digit of the loss, even if the measured noise is smaller.
    near_by = [value, *(loss(theta + 0.01 * typical * sign) for sign in signs[:2])]
    digit = float(np.finfo(np.float32 if all(float(np.float32(v)) == v for v in near_by) else np.float64).eps)
    noise = max(_noise(loss, theta, lines), digit * abs(value))
    step = float(np.clip((noise / variation) ** 0.2, 2.0**-12, 2.0**-3)) if variation else 2.0**-10
    return Scale(value, noise, variation, typical, 2.0 ** np.round(np.log2(step)))


def _unequal(size: int) -> Floats:
    """Unequal numbers from 1 to 1/2: an equal shift of all biases below a softmax would not change the loss."""
    return np.linspace(1, 0.5, size)


def _scale_of_zeros(loss: Loss, theta: Floats, at: slice, value: float, random: np.random.Generator) -> float:
    """A scale for a leaf of zeros: 1, unless the loss does not react to such a change, or breaks."""
    unequal = _unequal(at.stop - at.start)
    directions = np.zeros((4, len(theta)))
    # Four directions, since slope and curvature may cancel out in one of them.
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
    """The noise, from differences of order 6 of values so close together that only noise is left in the differences."""

    def lines(spacing: float) -> list[Floats]:
        return [np.array([loss(theta + k * spacing * line) for k in range(-4, 5)]) for line in directions]

    for spacing in (1e-12, 1e-10, 1e-8, 1e-6, 1e-4):
        # If rounding hides the change of the parameters, they must be further apart. A kink makes the noise larger.
        told = [line for line in lines(spacing) if np.isfinite(line).all() and len(np.unique(line)) >= 6]
        found = [np.sqrt(np.mean(np.diff(line, 6) ** 2) / 924) for line in told]
        if found:
            return float(min(found))
    # Either the loss is coarse (all of its values are multiples of one step), or it is flat here.
    values = np.unique(np.concatenate([line for spacing in (1e-4, 1e-3, 1e-2, 1e-1) for line in lines(spacing)]))
    steps = np.diff(values[np.isfinite(values)])
    multiples = steps / steps.min(initial=np.inf)
    coarse = len(steps) > 1 and bool(np.all(np.abs(multiples - np.round(multiples)) < 1e-3))
    return float(steps.min()) / 2 if coarse else 0.0


def slope(loss: Loss, theta: Floats, direction: Floats, scale: Scale, expected: Sequence[float], near: float) -> Slope:
    """The derivative of ``loss`` along ``direction``, a change of the parameters by their typical size.

    Args:
        loss: of ``theta [P]``.
        theta: the parameters, ``[P]``.
        direction: ``[P]``.
        scale: of the loss.
        expected: the derivative by the gradient in question, or nothing.
        near: a difference from ``expected`` of at most this ends the search: two independent ways give one number.
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
        # The slopes on the two sides approach each other with smaller steps if the loss is smooth, but not at a kink.
        apart = [abs(up - 2 * scale.loss + down) / step for up, down, step in sides]
        kink = apart[2] > max(0.6 * apart[0], 4 * rounding)
        if not kink and here.error < best.error:
            best = here
        if not kink and here.error <= near + 4 * rounding:  # no smaller step gives more
            return best
    if kink and not best.error <= 0.1 * min([abs(best.value - each) for each in expected], default=0.0):
        return Slope(found, np.inf, True)
    return best


def _sides(loss: Loss, theta: Floats, direction: Floats, h: float) -> tuple[float, float, float]:
    return loss(theta + h * direction), loss(theta - h * direction), h


def _central(up: float, down: float, h: float) -> float:
    return (up - down) / (2 * h)
