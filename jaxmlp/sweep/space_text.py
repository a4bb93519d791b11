"""A Space from text: values as a command line or a TOML file has them, ``0:8``, ``20,10`` or ``log:0.001:1``."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, cast

from jaxmlp.checks import InputError
from jaxmlp.sweep.space import MAX_TRIALS, NUMBERS, Range, Space, no_momentum
from jaxmlp.sweep.trial import MOMENTUM_OPTIMIZERS, parse_hidden

__all__ = ["make_space", "parse_number", "parse_seeds"]


def make_space(values: Mapping[str, Any], others: Sequence[str] = (), searched: bool = False) -> Space:
    """A Space from values by axis; each may be text.

    Args:
        values: by axis, as `Space` takes them. Text is read: widths ``20,10`` or ``none``, seeds ``FIRST:END`` (END
            left out), numbers, and ranges ``uniform:LOW:HIGH`` and ``log:LOW:HIGH``.
        others: further names that the source of the values allows; the message on an unknown name lists them.
        searched: whether a sampler will draw from it, so that ranges need no ``random``.

    Raises:
        InputError: an unknown axis, text that is none of these, and all that `Space` refuses; without ``searched`` a
            range without ``random`` and more than ten million trials, with it random draws.
    """
    known = {field.name for field in dataclasses.fields(Space)}
    for name in values:
        if name not in known:
            raise InputError(f"the space has an unknown key {name!r}, expected {', '.join(sorted({*known, *others}))}")
    space = Space(**{name: _read(name, given) for name, given in values.items()})
    if "momentum" in values and not set(space.optimizer) & set(MOMENTUM_OPTIMIZERS):
        raise no_momentum(space.optimizer)
    if searched:
        space.check_search()
    else:
        space.check_trials()
    return space


def _read(name: str, given: Any) -> Any:
    """The values of an axis, with text replaced by what it says."""
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, (list, tuple)) or not any(isinstance(value, str) for value in cast(list[Any], listed)):
        return given
    values: list[Any] = []
    for value in cast(list[Any], listed):
        if not isinstance(value, str):
            values.append(value)
        elif name == "seeds":
            values.extend(parse_seeds(value))
        elif name == "hidden":
            values.append(parse_hidden(value))
        else:
            values.append(parse_number(value, name) if name in NUMBERS else value)
    return values


def parse_number(text: str, name: str = "value") -> float | Range:
    """A number, or a Range from ``uniform:LOW:HIGH`` or ``log:LOW:HIGH``; raises InputError, which has the ``name``."""
    try:
        kind, *ends = text.split(":")
        if not ends:
            return float(text)
        low, high = map(float, ends)
        if kind not in ("uniform", "log"):
            raise ValueError
        return Range(low, high, kind == "log")
    except ValueError:
        raise InputError(f"{name} is {text!r}, expected a number, uniform:LOW:HIGH or log:LOW:HIGH") from None


def parse_seeds(text: str) -> range:
    """Seeds from a number, or from ``FIRST:END`` (END left out); raises InputError."""
    try:
        first, *rest = (int(part) for part in text.split(":"))
        end = rest.pop() if rest else first + 1
        if rest:
            raise ValueError
    except ValueError:
        raise InputError(f"seeds are {text!r}, expected numbers or FIRST:END") from None
    if end <= first:
        raise InputError(f"seeds {text!r} are none, expected FIRST:END with END after FIRST")
    if end - first > MAX_TRIALS:
        raise InputError(f"seeds {text!r} are {end - first:,}, expected at most {MAX_TRIALS:,}")
    return range(first, end)
