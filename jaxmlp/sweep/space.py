"""The space of a sweep: values and ranges by axis, as a grid or as random draws. A Space checks itself."""

import dataclasses
import itertools
import json
import math
import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from jaxmlp.checks import InputError, check_one_of, check_seed, check_sizes, check_whole
from jaxmlp.lecture.network import ACTIVATIONS
from jaxmlp.lecture.optimizers import OPTIMIZERS, Hyperparameters, check_hyperparameters
from jaxmlp.sweep.trial import MOMENTUM_OPTIMIZERS, Trial

__all__ = ["AXES", "MAX_TRIALS", "NUMBERS", "Range", "Space", "configured", "no_momentum", "space_from"]

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

    An axis takes one value or several: a list, a tuple, a range or an array. They are checked and become tuples of
    Python's own numbers, so that equal spaces are equal however they were written.

    Attributes:
        hidden: networks, each given by the widths of its hidden layers. A whole number is one layer. A tuple of whole
            numbers is one network, a list has several: ``(20, 10)`` is one network of two layers, ``[20, 10]`` are two
            networks of one layer. ``()`` has no hidden layer.
        seeds: every configuration is trained with each of them: ``range(8)``; 8 is the one seed 8.
        random: None for the grid of all values, otherwise how many configurations to draw.
        random_seed: of these draws.
        others: numbers, or one `Range`; names for activation and optimizer. See `Trial`.

    Raises:
        InputError: an axis without values, one with the same value twice, a value that no training can use, a momentum
            that no optimizer of the space has, a Range beside other values.
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

    if TYPE_CHECKING:  # more is taken than what is kept

        def __init__(
            self,
            hidden: Any = ...,
            activation: Any = ...,
            batch_size: Any = ...,
            optimizer: Any = ...,
            learning_rate: Any = ...,
            momentum: Any = ...,
            weight_decay: Any = ...,
            init_scale: Any = ...,
            seeds: Any = ...,
            random: int | None = ...,
            random_seed: int = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        """Check every axis and make it a tuple, or a Range."""
        for axis in (*AXES, "seeds"):
            object.__setattr__(self, axis, _checked_axis(axis, getattr(self, axis)))
        if self.random is not None:
            object.__setattr__(self, "random", check_whole("random", self.random, 1, MAX_TRIALS))
        object.__setattr__(self, "random_seed", check_whole("random_seed", self.random_seed, 0, MAX_TRIALS))
        if self.momentum != (0.9,) and not set(self.optimizer) & set(MOMENTUM_OPTIMIZERS):
            raise no_momentum(self.optimizer)

    def check_trials(self) -> None:
        """Raise InputError for a Range without ``random``, and for more than ten million trials."""
        for name in NUMBERS:
            if isinstance(getattr(self, name), Range) and not self.random:
                raise InputError(f"{name} is a range, expected values to make a grid of, or a number of random draws")
        configurations = self.random or math.prod(len(getattr(self, axis)) for axis in AXES)
        _check_count(configurations * len(self.seeds))

    def check_search(self) -> None:
        """Raise InputError for random draws: in a search a sampler draws, also from each Range."""
        if self.random or self.random_seed:
            raise InputError("random draws are a sweep of their own, expected none in a search")

    def trials(self) -> list[Trial]:
        """All trials, seeds innermost; trials never differ only in a number that their optimiser does not use.

        Raises:
            InputError: as `check_trials`.
        """
        self.check_trials()
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
"""The axes of numbers: those that may be a `Range`."""
TABLES: dict[str, Any] = {"activation": ACTIVATIONS, "optimizer": OPTIMIZERS}


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


def _checked_axis(name: str, given: Any) -> Any:
    """The values of an axis as a tuple, or its Range."""
    listed = given.tolist() if hasattr(given, "tolist") else given  # of NumPy, JAX or pandas
    if isinstance(listed, Range) or not isinstance(listed, (list, tuple, range)) or _is_one_network(name, listed):
        listed = [listed]
    if len(cast("Sequence[Any]", listed)) > MAX_TRIALS:  # before a range of a million million seeds is a tuple
        _check_count(len(cast("Sequence[Any]", listed)))
    values = [_checked_value(name, value) for value in cast("Sequence[Any]", listed)]
    if not values:
        raise InputError(f"{name} has no values, expected one or more")
    if any(isinstance(value, Range) for value in values):
        if len(values) > 1:
            raise InputError(f"{name} has a range beside other values, expected one range or a list")
        return values[0]
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        raise InputError(f"{name} has {twice!r} twice, expected different values")
    return tuple(values)


def _is_one_network(name: str, listed: Any) -> bool:
    return name == "hidden" and isinstance(listed, tuple) and all(map(_is_whole, cast("tuple[Any, ...]", listed)))


def _is_whole(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, numbers.Integral)


def _checked_value(name: str, value: Any) -> Any:
    """One value of an axis, of Python's own types; the data's own limits are checked with the data."""
    if name == "hidden":
        widths = value if isinstance(value, (list, tuple)) else [value]
        if not all(map(_is_whole, cast("Sequence[Any]", widths))):
            raise InputError(f"hidden is {value!r}, expected widths such as 20 or (20, 10), or () for none")
        hidden = tuple(map(int, cast("Sequence[Any]", widths)))
        check_sizes((1, *hidden, 1))
        return hidden
    if name == "seeds":
        if not _is_whole(value):
            raise InputError(f"seeds are {value!r}, expected whole numbers such as range(8)")
        return int(check_seed(int(value)))
    if name == "batch_size":
        return check_whole(name, int(value) if _is_whole(value) else value, 1, MAX_TRIALS)
    if name in TABLES:
        return str(check_one_of(name, value, TABLES[name]))
    return _checked_range(name, value) if isinstance(value, Range) else _checked_number(name, value)


def _checked_number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InputError(f"{name} is {value!r}, expected a number or a Range")
    number = float(value)
    if name != "init_scale":
        check_hyperparameters(Hyperparameters()._replace(**{name: number}))
    elif not (math.isfinite(number) and number > 0):
        raise InputError(f"init_scale is {number}, expected a positive finite number")
    return number


def _checked_range(name: str, given: Range) -> Range:
    low, high, log = given
    if not (low < high and (low > 0 or not log)):
        raise InputError(f"{name} has the range {low:g}:{high:g}, expected LOW < HIGH (log: 0 < LOW)")
    return Range(_checked_number(name, low), _checked_number(name, high), bool(log))


def _check_count(trials: int) -> None:
    if trials > MAX_TRIALS:
        raise InputError(f"the space has {trials:,} trials, expected at most {MAX_TRIALS:,}")


def no_momentum(optimizers: Sequence[str]) -> InputError:
    """The error of a momentum that no optimiser of the space has."""
    users = " or ".join(MOMENTUM_OPTIMIZERS)
    return InputError(f"momentum is given for {', '.join(optimizers)}, expected the optimizer {users} too")
