"""A search and its study: request a batch, report its results; the process or the study may have ended in between."""

import hashlib
import math
import os
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from jaxmlp.checks import InputError
from jaxmlp.sweep import store
from jaxmlp.sweep.findings import results
from jaxmlp.sweep.sampling.samplers import DIRECTIONS, load_optuna, new_study
from jaxmlp.sweep.sampling.suggesting import choices_of, suggest, trials_of
from jaxmlp.sweep.space import Range, Space, space_from
from jaxmlp.sweep.store import Asked, reading

__all__ = ["ATTRIBUTE", "Final", "ask", "check_study", "give_up", "study_of", "tell", "token_of"]

ATTRIBUTE = "jaxmlp"
"""The user attribute of a study's trials that are ours: ``TOKEN:NUMBER``."""

Final = tuple[str, float | None, float | None]
"""Of a trial: status, validation loss and accuracy."""


def token_of(connection: sqlite3.Connection, sweep: store.Sweep) -> str:
    """What tells this search's trials from others in a study: a hash of its identity and of when it began."""
    started = connection.execute("SELECT started FROM sweeps WHERE sweep = ?", (sweep.number,)).fetchone()[0]
    return hashlib.sha256(f"{sweep.identity}{started}".encode()).hexdigest()[:16]


def check_study(study: Any, by: str) -> None:
    """Raise InputError for a study that has another direction than what chooses."""
    found = [direction.name.lower() for direction in study.directions]
    if found != [DIRECTIONS[by]]:
        raise InputError(f"the study is to {' and '.join(found)}, expected it to {DIRECTIONS[by]} the {by}")


def ask(study: Any, space: Space, first: int, size: int, batch: int, token: str) -> list[Asked]:
    """Ask for ``size`` configurations, before any of them is trained; ``first``: the number of the first."""
    numbers: dict[int, int] = {}
    for number in range(first, first + size):
        trial = study.ask()
        trial.set_user_attr(ATTRIBUTE, f"{token}:{number}")
        suggest(trial, space)
        numbers[trial.number] = number
    running = study.get_trials(deepcopy=False, states=(load_optuna().trial.TrialState.RUNNING,))
    return [
        Asked(numbers[each.number], batch, dict(each.params), dict(each.system_attrs))
        for each in running
        if each.number in numbers
    ]


def _ours(study: Any, token: str) -> dict[int, Any]:
    """The study's trials of this search by number, but those that were given up."""
    failed = load_optuna().trial.TrialState.FAIL
    found: dict[int, Any] = {}
    for each in study.get_trials(deepcopy=False):
        owner, _, number = str(each.user_attrs.get(ATTRIBUTE, "")).rpartition(":")
        if owner == token and each.state != failed:
            found[int(number)] = each
    return found


def give_up(study: Any, token: str, known: int) -> None:
    """End the study's trials that the database lacks, from the number ``known`` on: they are requested again."""
    for number, each in _ours(study, token).items():
        if number >= known and not each.state.is_finished():
            study.tell(each.number, state=load_optuna().trial.TrialState.FAIL)


def tell(study: Any, asked: Sequence[Asked], finals: Mapping[str, Final], space: Space, by: str, token: str) -> None:
    """Tell the study what became of suggestions all of whose trials have ended, as far as it doesn't know.

    The value is the mean over the seeds. Where one of them diverged the trial is pruned, without a value, so that
    samplers avoid it.
    """
    optuna = load_optuna()
    known = _ours(study, token)
    for each in asked:
        there = known.get(each.number)
        if there and there.state.is_finished():  # most of them: before anything is made of them
            continue
        found = [finals.get(trial.id, ("pending", None, None)) for trial in trials_of(each.params, space)]
        if any(status not in ("done", "diverged") for status, *_ in found):
            continue
        values = [loss if by == "loss" else accuracy for status, loss, accuracy in found if status == "done"]
        known_values = [value for value in values if value is not None]
        good = len(known_values) == len(found)
        value = math.fsum(known_values) / len(found) if good else None
        state = optuna.trial.TrialState.COMPLETE if good else optuna.trial.TrialState.PRUNED
        if there:
            study.tell(there.number, value, state)
            continue
        distributions = {axis: _distribution(choices_of(space, axis)) for axis in each.params}
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=value,
                params=each.params,
                distributions=distributions,
                user_attrs={ATTRIBUTE: f"{token}:{each.number}"},
                system_attrs=each.attributes,
            )
        )


def _distribution(values: Range | tuple[Any, ...]) -> Any:
    kinds = load_optuna().distributions
    if isinstance(values, Range):
        return kinds.FloatDistribution(values.low, values.high, log=values.log)
    return kinds.CategoricalDistribution(values)


def study_of(database: str | os.PathLike[str], sweep: int | None = None) -> Any:
    """The Optuna study of a search, in memory, as far as its trials have ended; by default of the newest sweep.

    Raises:
        InputError: no such sweep, or it is no search; Optuna is missing.
    """
    found = results(database, sweep)
    search = found.search
    if search is None:
        raise InputError(f"sweep {found.sweep.number} is no search, expected one with a sampler")
    study = new_study(search["by"])
    with store.opened(database) as connection:
        asked = store.asked_of(connection, found.sweep.number)
        finals, token = reading.finals(connection, found.sweep.number), token_of(connection, found.sweep)
    tell(study, asked, finals, space_from(found.sweep.identity.space), search["by"], token)
    return study
