"""A session: what tells sweeps apart, who trains, and that one process at a time has it; nothing is trained here."""

import concurrent.futures
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from jaxmlp.sweep import Range, Space, SweepConfig, search, session, trials
from tests.helpers import random_dataset, rejects

DATA = random_dataset(5, 24, "float32")
SPACE = Space(hidden=4, seeds=range(2))


@pytest.mark.parametrize(
    ("config", "asked", "more"),
    [
        (SweepConfig(3, 6), None, {}),
        (SweepConfig(3, 6, by="accuracy"), None, {}),  # which only sorts what is found
        (SweepConfig(4, 6, halving=2), None, {}),
        (SweepConfig(4, 6, halving=2, by="accuracy"), None, {"by": "accuracy"}),
        (SweepConfig(3, 6), {"sampler": "tpe"}, {"search": {"sampler": "tpe", "by": "loss"}}),
    ],
)
def test_only_what_changes_the_training_makes_another_sweep(
    config: SweepConfig, asked: dict[str, Any] | None, more: dict[str, Any], tmp_path: Path
) -> None:
    with session.opened_session(DATA, SPACE, config, tmp_path / "s", search=asked) as begun:
        text, _, epochs, halving = begun.sweep.identity
        expected = json.dumps({**dataclasses.asdict(SPACE), **more}, sort_keys=True)
        assert (text, epochs, halving) == (expected, config.epochs, config.halving)
        assert begun.trials == ([] if asked else SPACE.trials())
        assert begun.sweep.environment["validation"] == len(begun.data.validation.labels) == 6
    assert len(trials(tmp_path / "s")) == (0 if asked else 2)


def test_a_sweep_is_run_by_one_session_at_a_time(tmp_path: Path) -> None:
    config = SweepConfig(3, 6)
    with session.opened_session(DATA, SPACE, config, tmp_path / "s"):
        with (
            rejects(" is being run by process "),
            session.opened_session(DATA, SPACE, config, tmp_path / "s"),
        ):
            pytest.fail("expected the first to have it")
        other = session.opened_session(DATA, dataclasses.replace(SPACE, seeds=5), config, tmp_path / "s")
        with other as begun:
            assert begun.sweep.number == 2
    with session.opened_session(DATA, SPACE, config, tmp_path / "s") as again:
        assert again.sweep.number == 1


def test_without_a_pool_this_process_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local: list[bool] = []
    prepared = session.prepared

    def noted(dataset: Any, space: Any, config: Any, here: bool, *rest: Any) -> Any:
        local.append(here)
        return prepared(dataset, space, config, here, *rest)

    monkeypatch.setattr(session, "prepared", noted)
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        for pool in (None, (executor, {"in_flight": 1})):
            with session.opened_session(DATA, SPACE, SweepConfig(3, 6), tmp_path / "s", pool=pool) as begun:
                assert (begun.pool is pool) == (pool is not None)
    assert local == [True, False]


def test_a_search_draws_by_its_sampler_alone(tmp_path: Path) -> None:
    for drawn in (Space(learning_rate=Range(0.1, 1), random=3), Space(learning_rate=Range(0.1, 1), random_seed=1)):
        with rejects("random draws are a sweep of their own, expected none in a search"):
            search(None, DATA, drawn, tmp_path / "s")
    assert not (tmp_path / "s").exists()
