"""The answer of `check_gradient`: the conclusion, then one line per leaf; a table, an error, HTML for notebooks."""

import math
import textwrap
from typing import Any, NamedTuple

from jaxmlp.showing import lines, page, table

__all__ = ["GradientCheck", "LeafCheck", "WrongGradientError"]

WIDTH = 79
HEADER = ("leaf", "shape", "verdict", "error", "tolerance", "checked", "kinks", "worst at", "mine", "right")
BAD = ("wrong", "missing", "extra", "shape", "not finite")


class WrongGradientError(AssertionError):
    """A gradient is wrong, or the check could not decide; the message is the answer."""


class LeafCheck(NamedTuple):
    """One leaf of the gradient, compared with the central differences of the loss.

    Attributes:
        leaf: its name, such as ``W[0]``.
        verdict: "right"; "nearly": an error of at most 1e-6 of the norm, in nearly all elements; "wrong";
            "unknown": the loss's noise or its kinks hide the error; "missing", "extra", "shape", "not finite".
        shape: of the leaf.
        note: what is wrong, in words.
        error: Euclidean norm of the difference, relative to the larger norm; NaN where nothing was compared.
        tolerance: the largest error that rounding can explain.
        checked: how many elements were compared one by one.
        directions: along how many random directions, in all elements at once, the leaf was compared.
        kinks: how many elements were left out, since the loss has a kink there.
        worst: index of the element with the largest difference, or None.
        mine: the gradient at ``worst``.
        right: the central difference at ``worst``.
    """

    leaf: str
    verdict: str
    shape: tuple[int, ...]
    note: str = ""
    error: float = math.nan
    tolerance: float = math.nan
    checked: int = 0
    directions: int = 0
    kinks: int = 0
    worst: tuple[int, ...] | None = None
    mine: float = math.nan
    right: float = math.nan

    @property
    def ok(self) -> bool:
        """Whether the leaf is right or nearly right."""
        return self.verdict in ("right", "nearly")


class GradientCheck(NamedTuple):
    """The answer: its ``bool`` says whether all is well, its ``str`` says what was found.

    Attributes:
        rows: one for each leaf.
        findings: what else is wrong: parameters changed in place, random functions, a cast to float32.
        notes: other facts: sampling, kinks, the agreement with ``jax.grad``.
        recognised: the network, in words, or "".
        diagnosis: where the backward pass first goes wrong, in sentences; empty if it was not recognised.
        loss: the loss at the parameters.
    """

    rows: tuple[LeafCheck, ...]
    findings: tuple[str, ...]
    notes: tuple[str, ...]
    recognised: str
    diagnosis: tuple[str, ...]
    loss: float

    @property
    def ok(self) -> bool:
        """Whether every leaf is right and there is no finding."""
        return all(row.ok for row in self.rows) and not self.findings

    def __bool__(self) -> bool:
        return self.ok

    @property
    def conclusion(self) -> str:
        """The first line of the answer."""
        bad, unknown = (sum(row.verdict in verdicts for row in self.rows) for verdicts in (BAD, ("unknown",)))
        n = len(self.rows)
        gradients = f"{n} gradient{'s' * (n != 1)}"
        if bad:
            return f"WRONG: {bad} of {gradients}"
        if unknown:
            return f"CAN'T TELL: {unknown} of {gradients}"
        return f"{'RIGHT, BUT' if self.findings else 'RIGHT'}: {'all ' * (n > 1)}{gradients}"

    def raise_if_wrong(self) -> None:
        """Raise WrongGradientError, with the answer as its message, unless `ok`."""
        if not self.ok:
            raise WrongGradientError(str(self))

    def __str__(self) -> str:
        """The answer in lines of at most 79 columns."""
        right = [row for row in self.rows if row.verdict == "right"]
        lines = [self.conclusion]
        if right:
            worst = max((row.error for row in right if not math.isnan(row.error)), default=0.0)
            lines += _wrapped(", ".join(row.leaf for row in right), f"right ({worst:.0e})")
        for row in self.rows:
            if row.verdict != "right":
                lines += _wrapped(row.leaf, _words(row))
        for words in self.findings:
            lines += textwrap.wrap(words, WIDTH, subsequent_indent="  ")
        if self.recognised:
            lines += textwrap.wrap(f"recognised: {self.recognised}", WIDTH, subsequent_indent="  ")
        for number, words in enumerate(self.diagnosis):
            lines += textwrap.wrap(words if number else f"first mistake: {words}", WIDTH, subsequent_indent="  ")
        for note in self.notes:
            lines += textwrap.wrap(f"note: {note}", WIDTH, subsequent_indent="  ")
        return "\n".join(lines)

    def __repr__(self) -> str:
        found = [*self.diagnosis[:1], *self.findings[:1]]
        return f"GradientCheck({'; '.join([self.conclusion, *found])})"

    def table(self) -> str:
        """All numbers, one line per leaf."""
        cells = [HEADER, *map(_cells, self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(
                f"{cell:{'<' if place in (0, 2) else '>'}{width}}"
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in cells
        )

    def to_json(self) -> dict[str, Any]:
        """The answer in types that JSON has; numbers that are not finite become null."""
        rows = [
            {name: (None if isinstance(value, float) and not math.isfinite(value) else value)
             for name, value in row._asdict().items()}
            for row in self.rows
        ]  # fmt: skip
        return {**self._asdict(), "ok": self.ok, "conclusion": self.conclusion, "rows": rows}

    def _repr_html_(self) -> str:
        """The answer for a notebook: the findings in words, and one line per leaf."""
        words = [f"first mistake: {self.diagnosis[0]}", *self.diagnosis[1:]] if self.diagnosis else []
        said = [*self.findings, *words, *([f"recognised: {self.recognised}"] if self.recognised else [])]
        told = table((*HEADER, ""), [(*_cells(row), "" if row.verdict == "right" else row.note) for row in self.rows])
        return page(self.conclusion, lines(said), told, lines([f"note: {note}" for note in self.notes]), ok=self.ok)


def _cells(row: LeafCheck) -> tuple[str, ...]:
    """A leaf's numbers, in the sequence of `HEADER`."""
    size = "x".join(map(str, row.shape)) or "number"
    checked = str(row.checked) + (f" + {row.directions}" if row.directions else "")
    at = "-" if row.worst is None else str(list(row.worst))
    return (row.leaf, size, row.verdict, f"{row.error:.1e}", f"{row.tolerance:.1e}", checked,
            str(row.kinks), at, f"{row.mine:.6g}", f"{row.right:.6g}")  # fmt: skip


def _words(row: LeafCheck) -> str:
    if row.verdict == "wrong" and row.worst is not None:
        at = f", at {list(row.worst)}" if row.shape and sum(row.shape) > len(row.shape) else ""
        return f"wrong: {row.mine:.4g} where {row.right:.4g} is right{at}" + (f"; {row.note}" if row.note else "")
    if row.verdict == "nearly":
        return f"right but for {row.error:.0e} of it, nearly everywhere: more than rounding"
    name = {"shape": "wrong", "unknown": "can't tell"}.get(row.verdict, row.verdict)
    return f"{name}: {row.note}" if row.note else name


def _wrapped(name: str, words: str) -> list[str]:
    """``name`` and ``words`` in two columns, or below each other if the name is long."""
    line = f"  {name:12} {words}"
    if len(line) <= WIDTH:
        return [line]
    if len(name) <= 24:
        return textwrap.wrap(line, WIDTH, subsequent_indent=" " * (3 + max(12, len(name))))
    return [*textwrap.wrap(name, WIDTH - 2, initial_indent="  ", subsequent_indent="  "),
            *textwrap.wrap(words, WIDTH, initial_indent="    ", subsequent_indent="    ")]  # fmt: skip
