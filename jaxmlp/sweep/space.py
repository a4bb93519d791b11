"""The space of a sweep: lists of values and ranges, as a grid or as random draws."""

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from jaxmlp.checks import InputError, check_seed, check_sizes, check_whole
from jaxmlp.network import ACTIVATIONS
from jaxmlp.optimizers import OPTIMIZERS, Hyperparameters, check_hyperparameters
from jaxmlp.sweep.trial import MOMENTUM_OPTIMIZERS, Trial, parse_hidden

__all__ = [
    "AXES", "MAX_TRIALS", "Range", "Space", "configured", "make_space", "parse_number", "parse_seeds",
    "space_from",
]  # fmt: skip

MAX_TRIALS = 10_000_000


class Range(NamedTuple):
    """Numbers from ``low`` to ``high``, drawn uniformly, or uniformly in their logarithm."""

    low: float
    high: float
    log: bool = False


Axis = tuple[float, ...] | Range


@dataclasses.dataclass(frozen=True)
class Space:
    """The values of each axis; fields as those of `Trial`.

    Attributes:
        hidden: each a tuple of widths.
        seeds: every configuration is trained with each of them.
        random: None for the grid of all values, otherwise how many configurations to draw.
        random_seed: of these draws.
        others: see `Trial`.
    """

    hidden: tuple[tuple[int, ...], ...] = ((20,),)
    activation: tuple[str, ...] = ("sigmoid",)
    batch_size: tuple[int, ...] = (1,)
    optimizer: tuple[str, ...] = ("sgd",)
    learning_rate: Axis = (0.2,)
    momentum: Axis = (0.9,)
    weight_decay: Axis = (0.0,)
    init_scale: Axis = (1.0,)
    seeds: tuple[int, ...] = (0,)
    random: int | None = None
    random_seed: int = 0

    def trials(self) -> list[Trial]:
        """All trials, seeds innermost; trials never differ only in a number that their optimiser does not use."""
        configurations = self._drawn() if self.random else itertools.product(*(getattr(self, axis) for axis in AXES))
        unique = dict.fromkeys(configured(configuration) for configuration in configurations)
        return [dataclasses.replace(trial, seed=seed) for trial in unique for seed in self.seeds]

    def kinds(self) -> list[Trial]:
        """Trials of every kind of network, and of the least and greatest number of every axis, for what checks them."""
        least = {axis: getattr(self, axis)[0] for axis in NUMBERS}
        made = [
            configured((*kind, *least.values()))
            for kind in itertools.product(*(getattr(self, axis) for axis in AXES[:4]))
        ]
        ends = ((axis, value) for axis in NUMBERS for value in _values(getattr(self, axis)))
        return [*made, *(dataclasses.replace(made[0], **{axis: value}) for axis, value in ends)]

    def _drawn(self) -> list[tuple[Any, ...]]:
        random = np.random.RandomState(self.random_seed)
        return [tuple(_draw(random, getattr(self, axis)) for axis in AXES) for _ in range(self.random or 0)]


def space_from(text: str) -> Space:
    """The Space whose fields, as JSON, ``text`` has among others."""
    fields = {field.name for field in dataclasses.fields(Space)}
    values = {name: value for name, value in json.loads(text).items() if name in fields}
    for name, value in values.items():
        if isinstance(value, list):
            listed = cast(list[Any], value)
            # A Range's third field is a bool, which no list of values has.
            range_ = name in NUMBERS and isinstance(listed[-1], bool)
            values[name] = Range(*listed) if range_ else tuple(tuple(v) if name == "hidden" else v for v in listed)
    return Space(**values)


AXES = tuple(field.name for field in dataclasses.fields(Space))[:8]
NUMBERS = AXES[4:]


def _values(axis: Axis) -> tuple[float, ...]:
    return axis[:2] if isinstance(axis, Range) else axis


def configured(values: Sequence[Any]) -> Trial:
    """A trial of these values of `AXES`; without momentum where its optimiser has none."""
    trial = Trial(*values)
    return trial if trial.optimizer in MOMENTUM_OPTIMIZERS else dataclasses.replace(trial, momentum=None)


def _draw(random: np.random.RandomState, axis: Any) -> Any:
    share = random.random_sample()  # one number per axis, whatever its kind
    if not isinstance(axis, Range):
        return axis[int(share * len(axis))]
    low, high = (math.log(axis.low), math.log(axis.high)) if axis.log else (axis.low, axis.high)
    value = low + share * (high - low)
    return math.exp(value) if axis.log else value


def parse_number(text: Any, name: str = "value") -> float | Range:
    """A number, or a Range from ``uniform:LOW:HIGH`` or ``log:LOW:HIGH``; raises InputError, which has the ``name``."""
    try:
        kind, *ends = str(text).split(":")
        if isinstance(text, bool):
            raise ValueError
        if not ends:
            return float(text)
        low, high = map(float, ends)
        if kind not in ("uniform", "log"):
            raise ValueError
        return Range(low, high, kind == "log")
    except (TypeError, ValueError):
        raise InputError(f"{name} is {text!r}, expected a number, uniform:LOW:HIGH or log:LOW:HIGH") from None


def parse_seeds(text: Any) -> list[int]:
    """Seeds from a number, or from ``FIRST:END`` (END left out); raises InputError."""
    try:
        ends = [int(part) for part in str(text).split(":")]
        if isinstance(text, (bool, float)) or len(ends) > 2:
            raise ValueError
    except ValueError:
        raise InputError(f"seeds are {text!r}, expected numbers or FIRST:END") from None
    if len(ends) == 1:
        return ends
    if ends[1] <= ends[0]:
        raise InputError(f"seeds {text!r} are none, expected FIRST:END with END after FIRST")
    if ends[1] - ends[0] > MAX_TRIALS:
        raise InputError(f"seeds {text!r} are {ends[1] - ends[0]:,}, expected at most {MAX_TRIALS:,}")
    return list(range(*ends))


def make_space(values: Mapping[str, Any], others: Sequence[str] = (), searched: bool = False) -> Space:
    """A checked Space from lists of unparsed values by axis, as a command line or a TOML file has them.

    Args:
        values: by axis.
        others: names that may stand beside them where they come from, for the message on an unknown one.
        searched: whether a sampler will draw from it, so that ranges need no ``random``.

    Raises:
        InputError: an unknown axis, an empty or repeated one, a value that training cannot use, momentum that no
            optimiser uses, a range without ``random``, more than ten million trials.
    """
    known = {field.name for field in dataclasses.fields(Space)}
    for name in values:
        if name not in known:
            raise InputError(f"the space has an unknown key {name!r}, expected {', '.join(sorted({*known, *others}))}")
    made: dict[str, Any] = {}
    for name, given in values.items():
        if name in ("random", "random_seed"):
            made[name] = check_whole(name, given, 1 if name == "random" else 0, MAX_TRIALS)
        else:
            made[name] = _axis(name, cast(list[Any], given) if isinstance(given, list) else [given])
    space = Space(**made)
    _check(space, searched)
    if "momentum" in made and not set(space.optimizer) & set(MOMENTUM_OPTIMIZERS):
        users = " or ".join(MOMENTUM_OPTIMIZERS)
        raise InputError(f"momentum is given for {', '.join(space.optimizer)}, expected the optimizer {users} too")
    return space


PARSERS: dict[str, Callable[[Any], Any]] = {"hidden": parse_hidden, "activation": str, "optimizer": str}


def _axis(name: str, given: list[Any]) -> Any:
    if name == "seeds":
        parsed: list[Any] = [seed for part in given for seed in parse_seeds(part)]
    elif name == "batch_size":
        parsed = [check_whole(name, value, 1, MAX_TRIALS) for value in given]
    else:
        parsed = [PARSERS[name](value) if name in PARSERS else parse_number(value, name) for value in given]
    if not parsed:
        raise InputError(f"{name} has no values, expected one or more")
    if any(isinstance(value, Range) for value in parsed):
        if len(parsed) > 1:
            raise InputError(f"{name} has a range beside other values, expected one range or a list")
        return parsed[0]
    if len(set(parsed)) < len(parsed):
        twice = next(value for value in parsed if parsed.count(value) > 1)
        raise InputError(f"{name} has {twice!r} twice, expected different values")
    return tuple(parsed)


def _check(space: Space, searched: bool) -> None:
    """Raise InputError for a value that no trial can use; the data's own limits are checked with the data."""
    for seed in space.seeds:
        check_seed(seed)
    for hidden in space.hidden:
        check_sizes((1, *hidden, 1))
    for name, table in (("activation", ACTIVATIONS), ("optimizer", OPTIMIZERS)):
        for value in getattr(space, name):
            if value not in table:
                raise InputError(f"{name} is {value!r}, expected one of {', '.join(table)}")
    for name in NUMBERS:
        axis: Axis = getattr(space, name)
        if isinstance(axis, Range):
            if not (space.random or searched):
                raise InputError(f"{name} is a range, expected values to make a grid of, or a number of random draws")
            if not (axis.low < axis.high and (axis.low > 0 or not axis.log)):
                raise InputError(f"{name} has the range {axis.low:g}:{axis.high:g}, expected LOW < HIGH (log: 0 < LOW)")
        for value in _values(axis):
            if name == "init_scale":
                if not (math.isfinite(value) and value > 0):
                    raise InputError(f"init_scale is {value}, expected a positive finite number")
            else:
                check_hyperparameters(Hyperparameters()._replace(**{name: value}))
    if searched and (space.random or space.random_seed):
        raise InputError("random draws are a sweep of their own, expected none in a search")
    configurations = 1 if searched else space.random or math.prod(len(getattr(space, axis)) for axis in AXES)
    if configurations * len(space.seeds) > MAX_TRIALS:
        raise InputError(f"the space has {configurations * len(space.seeds):,} trials, expected at most {MAX_TRIALS:,}")
