"""Comparison of a returned gradient with the central differences of the loss, leaf by leaf; sampled if it is large."""

from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxmlp.gradient_check.answer import LeafCheck
from jaxmlp.gradient_check.calling import Parameters
from jaxmlp.gradient_check.diagnosis import Recognised
from jaxmlp.gradient_check.gradients import Returned
from jaxmlp.gradient_check.measurement.differences import Loss, Scale, Slope, slope
from jaxmlp.gradient_check.measurement.verdicts import Measured, judged, not_comparable

__all__ = ["Comparison"]

Floats = NDArray[Any]
MOST = 4096  # up to so many numbers, all are compared one by one
WORK = 50_000_000  # above MOST: largest product of sampled and all numbers; each sample takes 4 losses or more
DIRECTIONS = 3  # per leaf
# Rounding error of an element, relative to the elements of its leaf, by the dtype of the returned gradient.
ROUNDING = {"float64": 1e-10, "float32": 1e-4, "float16": 3e-2, "bfloat16": 2e-1}


class Comparison:
    """The measurements of one check.

    Attributes:
        notes: what a reader should know about them.
        formulas_hold: whether the gradient by a recognised network's formulas equals the central differences.
    """

    def __init__(
        self,
        loss: Loss,
        parameters: Parameters,
        returned: Returned,
        scale: Scale,
        random: np.random.Generator,
        traced: Floats | None,
    ) -> None:
        self.loss, self.parameters, self.returned, self.scale, self.random = loss, parameters, returned, scale, random
        double = jnp.result_type(float) == np.float64
        self.witnesses = {} if traced is None or not double else {"jax.grad": traced}
        self.traced, self.digits = traced, 1e-6 if double else 1e-3
        self.notes: list[str] = []
        if parameters.in_jax and not double:
            self.notes.append('JAX computes in float32: jax.config.update("jax_enable_x64", True) shows far more')
        self.formulas_hold, self.blind = False, 0.0
        self.sampled = len(parameters.theta) > MOST

    def rows(self, network: Recognised | None, progress: Callable[[int, int], None] | None = None) -> list[LeafCheck]:
        """A row for each leaf of the parameters, and for each extra leaf of the gradient."""
        if network is not None:
            made = network.gradient(self.parameters.split(self.parameters.theta))
            self.witnesses["formulas"] = np.concatenate([np.ravel(leaf) for leaf in made])
        chosen = [self._choice(at) for at in self.parameters.places]
        measured: list[list[Slope]] = []
        for place, indices in enumerate(chosen):
            measured.append([])
            for each in self._measure(place, indices):
                measured[-1].append(each)
                if progress is not None:
                    progress(sum(map(len, measured)), sum(map(len, chosen)))
        self._judge_witnesses(chosen, measured)
        rows = [self._row(place, *each) for place, each in enumerate(zip(chosen, measured, strict=True))]
        if self.sampled:
            self.notes.insert(0, self._sampling(sum(map(len, chosen)), sum(row.directions for row in rows)))
        pairs = zip(rows, self.returned.dtypes, strict=True)
        hidden, dtype = max(((row.tolerance, dtype) for row, dtype in pairs if row.ok), default=(0.0, ""))
        if hidden > 1e-7:
            narrow = dtype in ROUNDING and dtype != "float64"
            what = f"{dtype}, in which it came," if narrow else f"the loss's own rounding, {self.scale.noise:.1g},"
            self.notes.append(f"{what} hides errors of up to {hidden:.1g} of a gradient")
        extra = [LeafCheck(path, "extra", (), "the parameters have no such leaf") for path in self.returned.extra]
        return [*rows, *extra]

    def _sampling(self, elements: int, directions: int) -> str:
        total = len(self.parameters.theta)
        said = f"of {total:,} numbers {elements:,} were compared one by one"
        if directions:
            said += f", all of them along {directions} random directions"
        if self.witnesses:
            return f"{said}, and all with {' and '.join(self.witnesses)}"
        seen = directions and np.isfinite(self.blind)
        return f"{said}; an error of less than {self.blind:.0e} of a leaf's norm may stay unseen" if seen else said

    def _choice(self, at: slice) -> NDArray[np.intp]:
        """Which numbers of a leaf are compared one by one."""
        size = at.stop - at.start
        if not self.sampled:
            return np.arange(at.start, at.stop)
        total = len(self.parameters.theta)
        most = int(np.clip(WORK // total, 64, MOST))
        share = max(4, most * size // total)
        return np.sort(self.random.choice(size, min(size, share), replace=False)) + at.start

    def _mine(self, place: int) -> Floats | None:
        """The returned leaf, flat; None if it is missing or has another shape (one number may have any shape)."""
        leaf, shape = self.returned.leaves[place], self.parameters.shapes[place]
        same = leaf is not None and (leaf.shape == shape or leaf.size == 1 == int(np.prod(shape)))
        return np.ravel(leaf) if leaf is not None and same else None

    def _measure(self, place: int, indices: NDArray[np.intp]) -> Iterator[Slope]:
        """The derivatives by these numbers, each times its typical size."""
        at, typical = self.parameters.places[place], self.scale.typical
        mine = self._mine(place)
        near = self._near(place, mine)
        for index in indices:
            direction = np.zeros(len(typical))
            direction[index] = typical[index]
            # No other witness is used here: at a kink it may agree with central differences although both are wrong.
            expected = [] if mine is None else [float(mine[index - at.start] * typical[index])]
            found = slope(self.loss, self.parameters.theta, direction, self.scale, expected, near)
            own = abs(float(self.parameters.theta[index])) / float(typical[index])
            if not np.isfinite(found.value) and 0 < own < 1:  # a small number among large ones, in a logarithm
                found = slope(self.loss, self.parameters.theta, own * direction, self.scale, [], 0.0)
                found = Slope(found.value / own, found.error / own, found.kink)
            yield found

    def _near(self, place: int, mine: Floats | None) -> float:
        """The largest difference, times the typical size, at which two derivatives of this leaf count as equal."""
        at, typical = self.parameters.places[place], self.scale.typical
        if mine is None:
            return 1e-10 * self.scale.variation
        relative = self._rounding(place)
        if not mine.size:
            return 0.0
        size = float(np.sqrt(np.mean(np.square(np.nan_to_num(mine * typical[at])))))
        scatter = 8 * self.returned.scatter[place] * float(typical[at].max())
        return relative * min(size, 10 * self.scale.variation) + scatter

    def _judge_witnesses(self, chosen: list[NDArray[np.intp]], measured: list[list[Slope]]) -> None:
        """Drop a witness that contradicts the central differences; note whether that of JAX does."""
        typical = self.scale.typical
        indices, slopes = np.concatenate(chosen), [each for leaf in measured for each in leaf]
        values, errors = (np.array([getattr(each, name) for each in slopes]) for name in ("value", "error"))
        smooth = np.array([not each.kink and bool(np.isfinite(each.value)) for each in slopes], bool)
        for name, gradient, digits in (
            ("formulas", self.witnesses.get("formulas"), 1e-6),
            ("jax.grad", self.traced, self.digits),
        ):
            if gradient is None:
                continue
            near = 10 * errors + digits * np.maximum(np.abs(values), digits * self.scale.variation)
            away = int(np.sum(smooth & ~(np.abs(gradient[indices] * typical[indices] - values) <= near)))
            if name == "formulas":
                self.formulas_hold = not away
            elif away:
                self.notes.append(
                    f"jax.grad of this loss differs from its central differences in {away} numbers: a"
                    " stop_gradient, or a derivative of its own?"
                )
            else:
                self.notes.append("jax.grad of this loss agrees with its central differences")
            if away:
                self.witnesses.pop(name, None)

    def _row(self, place: int, indices: NDArray[np.intp], slopes: list[Slope]) -> LeafCheck:
        """The row of one leaf; its elements that were not measured are compared in other ways."""
        leaf, shape = self.parameters.leaves[place].path, self.parameters.shapes[place]
        at, mine = self.parameters.places[place], self._mine(place)
        if mine is None or not np.isfinite(mine).all():
            return not_comparable(leaf, shape, self.returned.leaves[place])
        if not mine.size:
            return LeafCheck(leaf, "right", shape, error=0.0, tolerance=0.0)
        kinks = np.array([each.kink for each in slopes], bool)
        values, errors = (np.array([getattr(each, name) for each in slopes]) for name in ("value", "error"))
        values, errors = (each / self.scale.typical[indices] for each in (values, errors))
        known, bad = np.full(len(mine), np.nan), np.zeros(len(mine), bool)
        told = ~kinks & np.isfinite(values)
        known[indices[told] - at.start] = values[told]
        bad[indices - at.start] = told & (np.abs(mine[indices - at.start] - values) > 2 * errors)
        directions = self._along(place, mine, known, bad) if self.sampled and not kinks.any() else 0
        if kinks.any():
            at_kink = f"{int(kinks.sum())} of {len(kinks)} numbers of {leaf}"
            self.notes.append(f"{at_kink} lie at a kink of the loss and are left out")
        measured = Measured(
            mine,
            known,
            bad,
            float(np.linalg.norm(errors[told])),
            int(told.sum()),
            directions,
            int(kinks.sum()),
            int(np.sum(~told & ~kinks)),
            float(self.scale.typical[at].max()),
        )
        return judged(leaf, shape, measured, self.scale)

    def _along(self, place: int, mine: Floats, known: Floats, bad: NDArray[np.bool_]) -> int:
        """Compare the unsampled elements with the witnesses and along random directions; mark the wrong ones."""
        at, typical = self.parameters.places[place], self.scale.typical
        for gradient in self.witnesses.values():
            left = ~np.isfinite(known)
            known[left] = gradient[at][left]
            limit = max(1e-7, 5 * self._rounding(place))
            bad |= left & (np.abs(mine - known) > limit * np.maximum(np.abs(known), np.sqrt(np.mean(known**2))))
        done = 0
        for _ in range(DIRECTIONS):
            sign = self.random.choice([-1.0, 1.0], len(mine))
            if bad.any():
                break
            done += 1
            if not self._differs(place, mine, sign):
                continue
            while np.count_nonzero(sign) > 1:  # halve the set of numbers that differ, until one is left
                inside = np.flatnonzero(sign)
                half = np.zeros_like(sign)
                half[inside[: len(inside) // 2]] = sign[inside[: len(inside) // 2]]
                sign = half if self._differs(place, mine, half) else sign - half
            index = int(np.flatnonzero(sign)[0])
            direction = np.zeros(len(typical))
            direction[at.start + index] = typical[at.start + index]
            found = slope(self.loss, self.parameters.theta, direction, self.scale, [], 0.0)
            known[index], bad[index] = found.value / typical[at.start + index], True
        return done

    def _rounding(self, place: int) -> float:
        return ROUNDING.get(self.returned.dtypes[place], ROUNDING["float64"])

    def _differs(self, place: int, mine: Floats, sign: Floats) -> bool:
        at = self.parameters.places[place]
        direction = np.zeros(len(self.scale.typical))
        direction[at] = sign * self.scale.typical[at] / np.sqrt(np.count_nonzero(sign))
        expected = float(np.sum(mine * direction[at]))
        size = float(np.linalg.norm(mine * direction[at]))
        near = max(1e-9, 10 * self._rounding(place)) * size
        near += 8 * self.returned.scatter[place] * float(np.linalg.norm(direction[at]))
        found = slope(self.loss, self.parameters.theta, direction, self.scale, [expected], near)
        if sign.all() and size:  # a smaller error of the leaf may not show in this direction
            self.blind = max(self.blind, (4 * found.error + near) / size)
        return not found.kink and abs(found.value - expected) > 4 * found.error + near
