"""From a space to Optuna's parameters and back to trials."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxmlp.checks import InputError
from jaxmlp.sweep.space import AXES, Range, Space, configured
from jaxmlp.sweep.trial import MOMENTUM_OPTIMIZERS, Trial, parse_hidden

__all__ = ["choices_of", "searched", "suggest", "trials_of"]


def searched(space: Space) -> list[str]:
    """The axes that a sampler chooses on: those with more than one value."""
    return [axis for axis in AXES if isinstance(getattr(space, axis), Range) or len(getattr(space, axis)) > 1]


def choices_of(space: Space, axis: str) -> Range | tuple[Any, ...]:
    """The values of an axis as Optuna takes them: a range, or numbers and words."""
    values = getattr(space, axis)
    return tuple(",".join(map(str, widths)) or "none" for widths in values) if axis == "hidden" else values


def suggest(trial: Any, space: Space) -> None:
    """Let an Optuna trial choose a configuration; momentum only where the optimiser has it.

    Ranges are floats, lists categories. Raises InputError as `trials_of`.
    """
    optimizer: str = space.optimizer[0]
    for axis in searched(space):
        values = choices_of(space, axis)
        if axis == "momentum" and optimizer not in MOMENTUM_OPTIMIZERS:
            continue
        if isinstance(values, Range):
            trial.suggest_float(axis, values.low, values.high, log=values.log)
        else:
            try:
                chosen = trial.suggest_categorical(axis, values)
            except ValueError:  # Optuna's own check
                raise _queued(axis, "of another value", ", ".join(map(str, values))) from None
            optimizer = chosen if axis == "optimizer" else optimizer


def trials_of(params: Mapping[str, Any], space: Space) -> list[Trial]:
    """The trials of what was suggested, one per seed.

    Raises:
        InputError: a value that the space doesn't have: somebody enqueued it in the study.
    """
    values = {axis: getattr(space, axis)[0] for axis in AXES}
    for axis, value in params.items():
        choices = choices_of(space, axis)
        if isinstance(choices, Range) and not choices.low <= value <= choices.high:
            raise _queued(axis, repr(value), f"{choices.low:g} to {choices.high:g}")
        values[axis] = parse_hidden(value) if axis == "hidden" else value
    trial = configured(tuple(values.values()))
    return [dataclasses.replace(trial, seed=seed) for seed in space.seeds]


def _queued(axis: str, value: str, expected: str) -> InputError:
    return InputError(f"the study has a trial with {axis} {value} in its queue, expected {expected}")
