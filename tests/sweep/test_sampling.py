"""Searches: what a sampler is asked, what it is told, and that a search that was killed ends as if it had not been."""

import dataclasses
import importlib
import json
import pickle
import random
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from jaxmlp import Dataset, InputError
from jaxmlp.runtime import install_command
from jaxmlp.sweep import (
    Range,
    Searched,
    Space,
    make_space,
    preparation,
    results,
    run,
    search,
    search_figures,
    store,
    study_of,
)
from jaxmlp.sweep import session as sessions
from jaxmlp.sweep.blocks import streaming
from jaxmlp.sweep.sampling import one_search, samplers, studies, suggesting
from jaxmlp.sweep.space import space_from
from tests.helpers import fresh_python, random_dataset, rejects

VALUES = {"hidden": [3, 4], "optimizer": ["sgd", "momentum"], "learning_rate": "log:0.001:1",
          "momentum": "uniform:0:0.9", "batch_size": 6, "seeds": ["0:2"]}  # fmt: skip
HOW: dict[str, Any] = {"trials": 20, "batch": 8, "epochs": 2, "validation": 6}


def look(study: Any, data: Dataset, values: dict[str, Any], path: Path, **how: Any) -> Searched:
    """A small search."""
    return search(study, data, values, path, **{**HOW, **how})


DIVERGING = {"hidden": 3, "learning_rate": [0.1, 0.3, 1e38], "batch_size": 6}


@pytest.fixture(scope="module")
def data() -> Dataset:
    return random_dataset(5, 24, "float32")


@pytest.fixture(scope="module")
def found(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    return look(None, data, VALUES, tmp_path_factory.mktemp("search") / "s.sqlite")


def known_of(study: Any) -> list[tuple[Any, ...]]:
    """All that a study knows but for the times of day."""
    return [
        (each.number, each.state.name, each.values, each.params, each.distributions, each.user_attrs, each.system_attrs)
        for each in study.trials
    ]


def untagged(study: Any) -> list[tuple[Any, ...]]:
    """The same without our mark, which has the moment in it when the search was begun."""
    return [(*each[:5], each[6]) for each in known_of(study)]


def test_a_study_gets_the_mean_over_the_seeds_of_each_configuration(found: Searched) -> None:
    values: dict[tuple[Any, ...], list[float]] = {}
    for row in found.results.rows:
        assert row["status"] == "done"
        key = row["hidden"], row["optimizer"], row["learning_rate"], row["momentum"]
        values.setdefault(key, []).append(row["validation_loss"])
    assert len(found.study.trials) == len(values) == 20
    assert {len(losses) for losses in values.values()} == {2}
    for each in found.study.trials:
        params = each.params
        key = params["hidden"], params["optimizer"], params["learning_rate"], params.get("momentum")
        assert each.value == pytest.approx(np.mean(values[key]), rel=1e-12)
    assert found.study.best_value == pytest.approx(found.results.best.loss.mean, rel=1e-12)
    assert found.results.best.values["learning_rate"] == found.study.best_params["learning_rate"]


def test_ranges_are_numbers_lists_are_categories_and_momentum_is_asked_where_it_is_used(found: Searched) -> None:
    kinds = {
        "hidden": optuna.distributions.CategoricalDistribution(("3", "4")),
        "optimizer": optuna.distributions.CategoricalDistribution(("sgd", "momentum")),
        "learning_rate": optuna.distributions.FloatDistribution(0.001, 1.0, log=True),
        "momentum": optuna.distributions.FloatDistribution(0.0, 0.9),
    }
    for each in found.study.trials:
        asked = [*kinds] if each.params["optimizer"] == "momentum" else [*kinds][:3]
        assert each.distributions == {name: kinds[name] for name in asked}
    assert {each.params["optimizer"] for each in found.study.trials} == {"sgd", "momentum"}
    assert {each.params["hidden"] for each in found.study.trials} == {"3", "4"}


def test_several_hidden_layers_are_one_category() -> None:
    space = make_space({**VALUES, "hidden": [3, (4, 2), ()]}, searched=True)
    assert suggesting.choices_of(space, "hidden") == ("3", "4,2", "none")
    for text, hidden in (("3", (3,)), ("4,2", (4, 2)), ("none", ())):
        made = suggesting.trials_of({"hidden": text, "optimizer": "sgd", "learning_rate": 0.5}, space)
        assert [(trial.hidden, trial.seed) for trial in made] == [(hidden, 0), (hidden, 1)]


def test_a_batch_is_asked_for_before_any_of_it_is_trained(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    modules: dict[str, Any] = {"ask": one_search, "run_sweep": sessions}

    def noted(name: str) -> Callable[..., Any]:
        call = getattr(modules[name], name)

        def stepped(*of: Any, **how: Any) -> Any:
            steps.append(name)
            return call(*of, **how)

        return stepped

    for name, module in modules.items():
        monkeypatch.setattr(module, name, noted(name))
    made = look(None, data, VALUES, tmp_path / "s", sampler="random")
    assert steps == ["run_sweep", *["ask", "run_sweep"] * 3]
    with store.opened(tmp_path / "s") as connection:
        asked = store.asked_of(connection, 1)
    assert [each.batch for each in asked] == [0] * 8 + [1] * 8 + [2] * 4
    assert [each.params for each in asked] == [each.params for each in made.study.trials]
    assert made.results.search == {"batch": 8, "by": "loss", "sampler": "random", "seed": 0}


def test_the_seconds_are_those_of_the_call(data: Dataset, tmp_path: Path) -> None:
    began = time.perf_counter()
    seconds = look(None, data, VALUES, tmp_path / "s", sampler="random").seconds
    assert list(seconds) == ["sampler", "training", "other"]
    assert min(seconds.values()) > 0
    assert sum(seconds.values()) < time.perf_counter() - began


def test_the_same_seed_asks_for_the_same_and_another_for_others(data: Dataset, found: Searched, tmp_path: Path) -> None:
    again, other = (look(None, data, VALUES, tmp_path / f"{seed}", seed=seed) for seed in (0, 1))
    assert untagged(again.study) == untagged(found.study)
    params = [each.params for each in found.study.trials]
    assert [each.params for each in other.study.trials] != params
    assert len({json.dumps(each) for each in params}) == 20  # each batch has draws of its own


def test_more_trials_go_on_and_fewer_or_as_many_ask_for_nothing(data: Dataset, tmp_path: Path) -> None:
    first = look(None, data, VALUES, tmp_path / "s", trials=8)
    before = known_of(first.study)
    more = look(None, data, VALUES, tmp_path / "s")
    assert known_of(more.study)[:8] == before
    assert len(more.study.trials) == 20
    same = look(None, data, VALUES, tmp_path / "s", trials=3)
    assert known_of(same.study) == known_of(more.study) == known_of(study_of(tmp_path / "s"))
    assert {row["sweep"] for row in same.results.rows} == {1}


def test_by_accuracy_the_greatest_is_looked_for(data: Dataset, tmp_path: Path) -> None:
    found = look(None, data, VALUES, tmp_path / "s", by="accuracy")
    assert [direction.name for direction in found.study.directions] == ["MAXIMIZE"]
    assert found.study.best_value == max(each.value for each in found.study.trials)
    assert found.study.best_value == pytest.approx(found.results.best.accuracy.mean, rel=1e-12)


def test_what_diverged_is_pruned_and_has_no_value(data: Dataset, tmp_path: Path) -> None:
    found = look(None, data, DIVERGING, tmp_path / "s")
    states = {(each.params["learning_rate"], each.state.name, each.value is None) for each in found.study.trials}
    assert states == {(0.1, "COMPLETE", False), (0.3, "COMPLETE", False), (1e38, "PRUNED", True)}
    # What is asked for twice is trained once.
    assert len(found.results.rows) == 3
    assert untagged(study_of(tmp_path / "s")) == untagged(found.study)


class Killed(BaseException):
    """The process is gone."""


def killed_at(moments: random.Random, monkeypatch: pytest.MonkeyPatch, most: int = 30) -> None:
    """From here on one of the next steps is the last: of asking, of writing, before or after training, of telling."""
    left = [moments.randint(1, most)]

    def step(call: Callable[..., Any], after: bool = False) -> Callable[..., Any]:
        def stepped(*of: Any, **how: Any) -> Any:
            result = call(*of, **how) if after else None
            left[0] -= 1
            if not left[0]:
                raise Killed
            return result if after else call(*of, **how)

        return stepped

    monkeypatch.setattr(studies, "suggest", step(suggesting.suggest, after=moments.random() < 0.5))
    monkeypatch.setattr(one_search.store, "extend", step(store.extend, after=moments.random() < 0.5))
    monkeypatch.setattr(sessions, "run_sweep", step(sessions.run_sweep, after=moments.random() < 0.5))
    monkeypatch.setattr(optuna.Study, "tell", step(optuna.Study.tell))
    monkeypatch.setattr(optuna.Study, "add_trial", step(optuna.Study.add_trial))


NUMBERS = {**VALUES, "hidden": 3, "init_scale": "log:0.1:10"}


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "random"])
def test_killed_five_times_it_ends_with_the_study_of_an_uninterrupted_search(
    sampler: str, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = look(None, data, NUMBERS, tmp_path / "whole", sampler=sampler)
    moments, kills = random.Random(len(sampler)), 0
    while kills < 5:
        with monkeypatch.context() as patch:
            killed_at(moments, patch)
            with pytest.raises(Killed):
                look(None, data, NUMBERS, tmp_path / "s", sampler=sampler)
        kills += 1
    ended = look(None, data, NUMBERS, tmp_path / "s", sampler=sampler)
    assert untagged(ended.study) == untagged(whole.study)
    bits = [
        [(row["id"], row["loss"], row["validation_loss"], row["test_accuracy"]) for row in each.results.rows]
        for each in (ended, whole)
    ]
    assert bits[0] == bits[1]


def test_a_study_of_ones_own_is_asked_by_its_own_sampler_and_keeps_what_it_had(data: Dataset, tmp_path: Path) -> None:
    class Own(optuna.samplers.RandomSampler):
        asked = 0

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            self.asked += 1
            return super().sample_independent(study, trial, param_name, param_distribution)

    own = Own(seed=3)
    study = optuna.create_study(sampler=own)
    study.add_trial(
        optuna.trial.create_trial(
            params={"x": 1.0}, distributions={"x": optuna.distributions.FloatDistribution(0, 1)}, value=9.0
        )
    )
    study.enqueue_trial({"learning_rate": 0.5, "hidden": "4"})
    made = look(study, data, VALUES, tmp_path / "s")
    assert made.study is study
    assert len(study.trials) == 21
    assert study.trials[0].value == 9.0
    first = study.trials[1]
    assert (first.params["learning_rate"], first.params["hidden"]) == (0.5, "4")
    assert all("momentum" in each.params or each.params["optimizer"] == "sgd" for each in study.trials[1:])
    assert study.sampler is own
    assert own.asked >= 19 * 3
    assert made.results.search == {
        "batch": 8, "by": "loss", "sampler": f"Own of {study.study_name}", "seed": 0,
    }  # fmt: skip
    # A sampler by name is asked instead.
    look(study, data, VALUES, tmp_path / "s", sampler="tpe")
    assert isinstance(study.sampler, optuna.samplers.TPESampler)
    assert len(study.trials) == 41


def test_a_study_that_was_lost_is_filled_again_and_nothing_is_trained_twice(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fresh() -> Any:
        return optuna.create_study(study_name="mine", sampler=optuna.samplers.RandomSampler(seed=3))

    study = fresh()
    look(study, data, VALUES, tmp_path / "s")
    later = fresh()
    later.add_trial(optuna.trial.create_trial(value=7.0))
    trained: list[Any] = []
    monkeypatch.setattr(streaming, "train_watched", lambda *of: trained.append(of))
    look(later, data, VALUES, tmp_path / "s")
    assert not trained
    assert [each[1:] for each in known_of(later)[1:]] == [each[1:] for each in known_of(study)]


def test_in_a_storage_a_kill_leaves_what_was_not_written_down_as_failed_and_the_rest_goes_on(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = JournalStorage(JournalFileBackend(str(tmp_path / "studies")))
    optuna.create_study(storage=place, study_name="mine")

    def mine() -> Any:
        return optuna.load_study(storage=place, study_name="mine", sampler=optuna.samplers.RandomSampler(seed=3))

    with monkeypatch.context() as patch:  # amid asking
        calls: list[int] = []

        def suggest(*of: Any) -> None:
            calls.append(1)
            if len(calls) == 4:
                raise Killed
            suggesting.suggest(*of)

        patch.setattr(studies, "suggest", suggest)
        with pytest.raises(Killed):
            look(mine(), data, VALUES, tmp_path / "s")
    assert [each.state.name for each in mine().trials] == ["RUNNING"] * 4
    with monkeypatch.context() as patch:  # written down, not trained

        def run_sweep(connection: Any, sweep: Any, *_: Any, **__: Any) -> float:
            if store.asked_of(connection, sweep.number):
                raise Killed
            return 0.0

        patch.setattr(sessions, "run_sweep", run_sweep)
        with pytest.raises(Killed):
            look(mine(), data, VALUES, tmp_path / "s")
    assert [each.state.name for each in mine().trials] == ["FAIL"] * 4 + ["RUNNING"] * 8
    look(mine(), data, VALUES, tmp_path / "s")
    assert [each.state.name for each in mine().trials] == ["FAIL"] * 4 + ["COMPLETE"] * 20
    marks = [each.user_attrs["jaxmlp"].split(":") for each in mine().trials[4:]]
    assert [int(number) for _, number in marks] == list(range(20))
    assert len({token for token, _ in marks}) == 1


def test_a_batch_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    asked = [store.Asked(number, 0, {"learning_rate": 0.1 * (number + 1)}, {}) for number in range(2)]
    trials = [suggesting.trials_of(each.params, Space(learning_rate=Range(1e-9, 1))) for each in asked]
    with store.opened(tmp_path / "s", write=True) as connection:
        sweep, _ = store.begin(connection, store.Identity("{}", "d", 2, 0), [], {})
        with pytest.raises(sqlite3.IntegrityError):
            store.extend(connection, sweep, [asked[0], asked[0]], trials[0])
        assert (store.asked_of(connection, 1), store.pending(connection, 1)) == ([], {})
        for each, made in zip(asked, trials, strict=True):
            store.extend(connection, sweep, [each], [*made, *made])
        assert store.asked_of(connection, 1) == asked
        assert list(store.pending(connection, 1)) == [made[0] for made in trials]
        connection.execute("UPDATE asked SET params = 'x'")
        with rejects("the table of requested configurations is damaged"):
            store.asked_of(connection, 1)


@pytest.mark.parametrize("values", [VALUES, {"hidden": ["none", 3, (4, 2)], "learning_rate": [0.1, 0.2, 0.3]}, {}])
def test_a_space_comes_back_from_the_database_as_it_was(values: dict[str, Any]) -> None:
    space = make_space(values, searched=True)
    assert space_from(json.dumps({**dataclasses.asdict(space), "search": {}})) == space


def test_kinds_have_every_program_and_the_ends_of_every_axis() -> None:
    space = make_space({"hidden": ["3", "4"], "batch_size": [1, 2], "learning_rate": ["log:0.001:1"],
                        "weight_decay": [0, 0.5], "init_scale": [2, 3, 1]}, searched=True)  # fmt: skip
    kinds = space.kinds()
    assert {(trial.hidden, trial.batch_size) for trial in kinds} == {((3,), 1), ((3,), 2), ((4,), 1), ((4,), 2)}
    assert {trial.learning_rate for trial in kinds} == {0.001, 1}
    assert {trial.weight_decay for trial in kinds} == {0, 0.5}
    assert {trial.init_scale for trial in kinds} == {1, 2, 3}


@pytest.mark.parametrize(
    ("values", "how", "said"),
    [
        ({"hidden": 3}, {}, "the space has one configuration, expected an axis with several values or a range"),
        ({**VALUES, "random": 9}, {}, "random draws are a sweep of their own, expected none in a search"),
        (VALUES, {"sampler": "diesel"}, "sampler is 'diesel', expected one of tpe, gp, cmaes, random"),
        (VALUES, {"trials": 0}, "trials is 0, expected a whole number, 1 or more"),
        (VALUES, {"batch": 2.5}, "batch is 2.5, expected"),
        (VALUES, {"validation": 0}, "validation is 0, expected rows for the sampler to learn from"),
        (VALUES, {"by": "luck"}, "by is 'luck', expected one of loss, accuracy"),
        (VALUES, {"study": "maximize"}, "the study is to maximize, expected it to minimize the loss"),
        (VALUES, {"study": "minimize", "by": "accuracy"}, "the study is to minimize, expected it to maximize the acc"),
        ({"learning_rate": "log:1e-60:1"}, {}, "learning_rate is 1e-60"),
        ({"hidden": 3, "batch_size": [1, 99]}, {}, "batch size is 99, expected at most 18, the training rows"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_told_before_anything_is_written(
    values: dict[str, Any], how: dict[str, Any], said: str, data: Dataset, tmp_path: Path
) -> None:
    direction = how.pop("study", None)
    study = optuna.create_study(direction=direction) if direction else None
    with rejects(said):
        look(study, data, values, tmp_path / "s", **how)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("queued", "said"),
    [
        ({"learning_rate": 4.0}, "the study has a trial with learning_rate 4.0 in its queue, expected 0.001 to 1"),
        ({"hidden": "99"}, "the study has a trial with hidden of another value in its queue, expected 3, 4"),
    ],
)
@pytest.mark.filterwarnings("ignore:Fixed parameter")
def test_a_value_outside_the_space_in_a_studys_queue_is_told(
    queued: dict[str, Any], said: str, data: Dataset, tmp_path: Path
) -> None:
    study = optuna.create_study()
    study.enqueue_trial(queued)
    with rejects(said):
        look(study, data, VALUES, tmp_path / "s")
    with store.opened(tmp_path / "s") as connection:
        assert store.asked_of(connection, 1) == []
    # The next call gives up what was asked for, the bad one too, and goes on.
    look(study, data, VALUES, tmp_path / "s")
    states = [each.state.name for each in study.trials]
    assert set(states[:-20]) == {"FAIL"}
    assert states[-20:] == ["COMPLETE"] * 20


def test_trials_that_fail_end_it_and_are_tried_again_by_the_next_call(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(streaming, "train_watched", fails)
        with rejects("16 trials failed (MemoryError: no room), expected all to train: run it again"):
            look(None, data, VALUES, tmp_path / "s")
    found = look(None, data, VALUES, tmp_path / "s")
    assert {each.state.name for each in found.study.trials} == {"COMPLETE"}


@pytest.mark.parametrize(
    ("missing", "call", "said"),
    [
        ("optuna", lambda: samplers.new_study("loss"), f"needs the package optuna: {install_command('optuna')}"),
        ("cmaes", lambda: samplers.make_sampler("cmaes", 0, 0, 8), "the sampler cmaes needs the package cmaes"),
        ("torch", lambda: samplers.make_sampler("gp", 0, 0, 8), "the sampler gp needs the package torch"),
    ],
)  # fmt: skip
def test_a_package_that_is_missing_is_told_with_what_installs_it(
    missing: str, call: Callable[[], Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "optuna":
        monkeypatch.setitem(sys.modules, "optuna", None)
    else:
        monkeypatch.setattr(samplers, "find_spec", lambda name: None if name == missing else True)
    with rejects(said):
        call()


def test_the_library_needs_no_optuna_until_a_search_is_asked_for() -> None:
    fresh_python("import sys, jaxmlp.sweep; assert 'optuna' not in sys.modules")


def test_a_sweep_that_is_no_search_has_no_study(data: Dataset, tmp_path: Path) -> None:
    run(data, {"hidden": 3, "batch_size": 6}, tmp_path / "s", 2, 6)
    assert results(tmp_path / "s").search is None
    with rejects("sweep 1 is no search, expected one with a sampler"):
        study_of(tmp_path / "s")


def test_optunas_own_pictures_are_drawn_as_far_as_there_is_something_to_see(found: Searched) -> None:
    figures = search_figures(found.study, "mean loss")
    assert list(figures) == ["search_history.png", "search_importance.png"]
    history, importance = (figure.axes[0] for figure in figures.values())
    assert history.get_ylabel() == "mean loss"
    assert {label.get_text() for label in importance.get_yticklabels()} == {"learning_rate", "hidden", "optimizer"}
    assert not importlib.import_module("matplotlib.pyplot").get_fignums()
    assert search_figures(optuna.create_study()) == {}
    one = optuna.create_study()
    one.add_trial(found.study.trials[0])
    assert list(search_figures(one)) == ["search_history.png"]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_gaussian_process_is_asked_too(data: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    found = look(None, data, NUMBERS, tmp_path / "s", trials=14, batch=12, sampler="gp")
    assert isinstance(found.study.sampler, optuna.samplers.GPSampler)
    assert {each.state.name for each in found.study.trials} == {"COMPLETE"}


def test_a_search_with_a_study_of_two_directions_is_refused(data: Dataset, tmp_path: Path) -> None:
    study = optuna.create_study(directions=["minimize", "minimize"])
    with pytest.raises(InputError, match="the study is to minimize and minimize, expected it to minimize the loss"):
        look(study, data, VALUES, tmp_path / "s")


@pytest.mark.filterwarnings("always:JAX already runs without its settings")
def test_where_jax_has_computed_before_the_callers_own_line_is_warned_of(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation.runtime, "compiles_whole_loops", lambda: False)
    said = "call jaxmlp.runtime.configure_sweep"
    with pytest.warns(UserWarning, match=said) as told:
        run(data, {"hidden": 3, "batch_size": 6}, tmp_path / "s", 1, 6)
    with pytest.warns(UserWarning, match=said) as told_too:
        look(None, data, {"hidden": [3, 4], "batch_size": 6}, tmp_path / "s", trials=2)
    assert [told[0].filename, Path(told_too[0].filename)] == [__file__, Path(__file__)]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_tpe_keeps_away_from_what_its_batch_has_asked_for_already(found: Searched) -> None:
    seed = int(np.random.SeedSequence((0, 2)).generate_state(1)[0])  # of the third batch of a search with seed 0
    asked: dict[bool, list[dict[str, Any]]] = {}
    for liar in (True, False):
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=liar))
        study.add_trials(found.study.trials[:16])  # it begins with ten at random
        trials = [study.ask() for _ in range(4)]
        space = make_space(VALUES, searched=True)
        for trial in trials:
            suggesting.suggest(trial, space)
        asked[liar] = [trial.params for trial in trials]
    third = [trial.params for trial in found.study.trials[16:]]
    assert third == asked[True] != asked[False]


def test_a_generation_of_cma_es_is_a_batch(data: Dataset, tmp_path: Path) -> None:
    study = look(None, data, NUMBERS, tmp_path / "s", sampler="cmaes", trials=24).study
    generations = [trial.system_attrs.get("cma:generation") for trial in study.trials]
    assert generations == [None] * 8 + [0] * 8 + [1] * 8
    (kept,) = [trial.system_attrs for trial in study.trials if "cma:optimizer:0" in trial.system_attrs][:1]
    state = "".join(kept[name] for name in sorted(kept) if name.startswith("cma:optimizer"))
    assert pickle.loads(bytes.fromhex(state)).population_size == 8


def test_a_configuration_of_which_one_seed_diverged_is_pruned_and_one_that_is_training_is_not_told() -> None:
    space = make_space({"learning_rate": ["log:0.01:1"], "seeds": ["0:2"]}, searched=True)
    asked = [store.Asked(number, 0, {"learning_rate": 0.1 * (number + 1)}, {}) for number in range(3)]
    ends = [("done", 0.5, 0.9), ("diverged", None, None), ("done", 0.25, 0.8), ("done", 0.75, 0.6), ("done", 0.1, 0.9)]
    trials = [trial for each in asked for trial in suggesting.trials_of(each.params, space)]
    finals = {trial.id: end for trial, end in zip(trials, ends, strict=False)}
    for by, value in (("loss", 0.5), ("accuracy", 0.7)):
        study = samplers.new_study(by)
        studies.tell(study, asked, finals, space, by, "token")
        assert [(trial.state.name, trial.value) for trial in study.trials] == [("PRUNED", None), ("COMPLETE", value)]


def test_a_database_that_was_deleted_begins_anew_in_the_same_study(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    look(study, data, VALUES, tmp_path / "s", trials=8)
    (tmp_path / "s").unlink()
    monkeypatch.setattr(one_search, "token_of", lambda *of: f"later {studies.token_of(*of)}")  # a second has passed
    look(study, data, VALUES, tmp_path / "s", trials=8)
    assert [each.state.name for each in study.trials] == ["COMPLETE"] * 16


def test_a_search_is_known_by_the_moment_when_it_was_begun(tmp_path: Path) -> None:
    with store.opened(tmp_path / "s", write=True) as connection:
        sweep, _ = store.begin(connection, store.Identity("{}", "d", 2, 0), [], {})
        first = studies.token_of(connection, sweep)
        assert studies.token_of(connection, sweep) == first
        connection.execute("UPDATE sweeps SET started = '2026-01-01 00:00:00'")
        assert studies.token_of(connection, sweep) != first
