"""Successive halving as a statistician would: by means over seeds, and what the seeds allow to say of a choice."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.stats

from jaxmlp import load_digits
from jaxmlp.sweep import Outcome, Results, Space, choosing, make_space, planned, run, store, summary, trials
from jaxmlp.sweep.findings.rungs import Rung, rung_lines, rungs_of
from jaxmlp.sweep.trial import Trial
from tests.helpers import random_dataset

SEEDS = (7, 8, 9)


def rows_of(values: Mapping[str, Sequence[float]], seeds: Sequence[int] = SEEDS) -> list[dict[str, Any]]:
    """A finished trial for each number, its loss, and one minus the loss as its accuracy, by width."""
    blank = {**dict.fromkeys(choosing.AXES, 0), "status": "done", "test_accuracy": 0.5}
    return [
        {**blank, "hidden": hidden, "seed": seed, "validation_loss": loss, "validation_accuracy": 1 - loss}
        for hidden, losses in values.items()
        for seed, loss in zip(seeds, losses, strict=False)
    ]


# 3's seeds are all a little worse than 2's, and all by about as much: the seeds differ more than the widths do. 4 is
# better than 2 on one seed of three.
PAIRED = {"2": [0.10, 0.30, 0.50], "3": [0.12, 0.321, 0.52], "4": [0.05, 0.42, 0.61], "5": [0.1, 0.3, 0.5]}


@pytest.mark.parametrize("by", ["loss", "accuracy"])
def test_configurations_are_told_apart_seed_by_seed(by: str) -> None:
    found = choosing.configurations(rows_of(PAIRED), by)
    assert [item.values["hidden"] for item in found] == ["2", "5", "3", "4"]
    assert choosing.alike(found, by) == [2, 4]
    # SciPy's own paired test agrees.
    for place, width in ((3, "3"), (4, "4")):
        assert (p_value(scipy.stats.ttest_rel, PAIRED[width]) > 0.05) == (place in choosing.alike(found, by))
    # Where the accuracies are all the same, nothing is told by them.
    equal = [{**row, "validation_accuracy": 0.5} for row in rows_of(PAIRED)]
    found = choosing.configurations(equal, "loss")
    assert (choosing.alike(found), choosing.alike(found, "accuracy")) == ([2, 4], [2, 3, 4])
    # Without pairs not even 3 would be told from 2.
    assert p_value(scipy.stats.ttest_ind, PAIRED["3"]) > 0.5


def p_value(test: Any, values: Sequence[float]) -> float:
    """Of SciPy's ``test`` of ``values`` against width 2's."""
    return test(values, PAIRED["2"]).pvalue


def test_who_has_other_seeds_or_one_is_not_compared() -> None:
    found = choosing.configurations([*rows_of({"2": [0.1, 0.3]}), *rows_of({"3": [0.1, 0.3, 0.5]})])
    assert choosing.alike(found) == []
    assert choosing.alike(choosing.configurations(rows_of({"2": [0.1], "3": [0.1]}))) == []


@pytest.mark.parametrize(
    ("values", "by", "said"),
    [
        (PAIRED, "loss", "by loss; with 3 seeds 2 of 3 others cannot be told from it, seed by seed (95 % intervals of"
         " the differences): 2, 4"),
        (PAIRED, "accuracy", "by accuracy; with 3 seeds 2 of 3 others cannot be told from it, seed by seed (95 %"
         " intervals of the differences): 2, 4"),
        ({"2": [0.1], "3": [0.2]}, "loss", "by loss; one seed each: the order may be luck, more --seeds would tell"),
        ({"2": [0.1, 0.2], "3": [0.201, 0.3]}, "loss", "by loss; no other is as good, seed by seed (95 % intervals of"
         " the differences)"),
    ],
)  # fmt: skip
def test_the_choice_is_said_with_what_the_seeds_allow(values: dict[str, list[float]], by: str, said: str) -> None:
    assert summary.summary(rows_of(values), by=by).splitlines()[-1] == f"chosen {said}"


def test_one_configuration_is_no_choice_and_many_equals_are_not_all_named() -> None:
    assert summary.summary(rows_of({"2": [0.1, 0.2]})).splitlines()[-1].startswith("chosen: 1, test accuracy")
    equal = rows_of({str(width): [0.1, 0.2] for width in range(12)})
    assert summary.summary(equal).endswith("11 of 11 others cannot be told from it, seed by seed (95 % intervals of "
                                           "the differences): 2, 3, 4, 5, 6, 7, 8, 9, ..")  # fmt: skip


# Of each width, the validation losses after epochs 1, 2, .. 4 of its three seeds, moved by the seed's own luck.
LEVELS = {2: [0.9, 0.8, 0.7, 0.6], 3: [0.5, 0.4, 0.3, 0.2], 4: [0.62, 0.3, 0.2, 0.1], 5: [0.6, 0.51, 0.4, 0.4]}
LUCK = {7: 0.0, 8: 0.2, 9: -0.1}


def entered(path: Path, by: str = "loss", seeds: Sequence[int] = SEEDS) -> Results:
    """A sweep of 4 epochs whose halving left out widths 2 and 4 after one epoch, 5 after two."""
    ends = {2: 1, 4: 1, 5: 2, 3: 4}
    made = [Trial((width,), seed=seed) for width in LEVELS for seed in seeds]
    with store.opened(path, write=True) as connection:
        sweep, _ = store.begin(connection, store.Identity("s", "d", 4, 2), made, {"by": by})
        entries = store.pending(connection, sweep.number)
        for trial in made:
            width, end = trial.hidden[0], ends[trial.hidden[0]]
            loss = np.array(LEVELS[width][:end]) + LUCK[trial.seed] + 0.001 * math.sin(width * trial.seed)
            accuracy, luck = 1 - loss, 0.03 * (trial.seed - 8)
            if width == 4:  # its seeds cannot tell its loss from 5's, but from 3's
                loss = loss + luck
            if width in (2, 4):  # nor the accuracies of these two
                accuracy = np.array([1 - 0.62 - LUCK[trial.seed] - luck])
            outcome = Outcome("done", loss, loss, accuracy, 0.5, 0.5)
            store.record(connection, [(entries[trial], outcome)], 0.1, "done" if end == 4 else "pruned")
        for step, widths in ((1, (2, 4)), (2, (5,))):
            out = [entries[trial].number for trial in made if trial.hidden[0] in widths]
            store.prune(connection, sweep.number, out, step, step - 1)
        rows = store.reading.rows_of(connection, sweep.number)
    rows.sort(key=lambda row: row["seed"] * int(row["hidden"]) % 11)
    return Results(path, sweep, rows)


@pytest.mark.parametrize("by", ["loss", "accuracy"])
def test_each_choice_of_a_halving_is_told_with_those_that_may_have_been_as_good(tmp_path: Path, by: str) -> None:
    found = entered(tmp_path / "s", by)
    with store.opened(found.database) as connection:
        rungs = rungs_of(connection, found.sweep, found.rows, by)
    alike = 1 if by == "loss" else 2
    assert rungs == [Rung(1, 4, 2, alike, 3), Rung(2, 2, 1, 0, 3)]
    lines = found.summary().splitlines()
    told = f"{alike} of the 2 left out cannot be told from the last of them by 3 seeds"
    assert lines[:2] == [
        f"after 1 epoch 2 of 4 configurations went on; {told}",
        "after 2 epochs 1 of 2 configurations went on; all left out are worse than the last of them, seed by seed",
    ]
    assert lines[4].startswith("1       3   3/3")


def test_with_one_seed_a_choice_may_be_luck(tmp_path: Path) -> None:
    found = entered(tmp_path / "s", seeds=(7,))
    first = str(found).splitlines()[0]
    assert first == "after 1 epoch 2 of 4 configurations went on; one seed each: the choice may be luck"
    assert rung_lines([]) == []


SPACE = make_space({"hidden": [2, 4, 6, 8], "learning_rate": [0.05, 0.5], "seeds": ["0:3"]})


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What does not depend on when, and after which sweep, it was trained."""
    return [{**row, "seconds": 0, "environment": 0, "sweep": 0} for row in rows]


def test_a_later_full_sweep_leaves_the_outcome_of_the_halving_as_it_was(tmp_path: Path) -> None:
    data = random_dataset(5, 24, "float32")
    half = run(data, SPACE, tmp_path / "s", 8, 6, halving=2)
    before = str(half), timeless(half.rows)
    assert {row["status"] for row in half.rows} == {"done", "pruned"}
    assert {row["epochs_done"] for row in half.rows} == {2, 4, 8}
    full = run(data, SPACE, tmp_path / "s", 8, 6)
    assert {row["status"] for row in full.rows} == {"done"}
    assert {row["epochs_done"] for row in full.rows} == {8}
    later = trials(tmp_path / "s", 1)
    assert timeless(later) == before[1]
    # How long it took to train the others, and where, is not known any more.
    assert {row["seconds"] is None for row in later if row["status"] == "pruned"} == {True}
    again = run(data, SPACE, tmp_path / "s", 8, 6, halving=2)
    assert (str(again), timeless(again.rows)) == before
    # What both trained is the same, whether it began anew or went on from a rung.
    alone = run(data, SPACE, tmp_path / "alone", 8, 6)
    assert timeless(alone.rows) == timeless(full.rows)


def test_survivors_go_on_where_they_stand_and_no_epoch_is_trained_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[int, int, int]] = []
    from jaxmlp.sweep.blocks import streaming

    train = streaming.train_watched

    def watched(block: Any, epochs: int, *rest: Any) -> Any:
        trained.append((block.start, epochs, len(block.trials)))
        return train(block, epochs, *rest)

    clock = itertools.count()
    monkeypatch.setattr(streaming, "train_watched", watched)
    monkeypatch.setattr(streaming, "time", SimpleNamespace(perf_counter=lambda: next(clock)))  # a second a block
    found = run(random_dataset(5, 24, "float32"), SPACE, tmp_path / "s", 8, 6, halving=2)
    counts = {(start, end): 0 for start, end, _ in trained}
    for start, end, n in trained:
        counts[start, end] += n
    assert counts == {(0, 2): 24, (2, 4): 12, (4, 8): 6}
    seconds = {row["epochs_done"]: row["seconds"] for row in found.rows}  # of each trial its share, in every rung
    assert seconds == pytest.approx({2: 1 / 24, 4: 1 / 24 + 1 / 12, 8: 1 / 24 + 1 / 12 + 1 / 6})


def test_by_accuracy_another_configuration_survives_and_it_is_another_sweep(tmp_path: Path) -> None:
    data = random_dataset(3, 24, "float32")
    space = make_space({"hidden": [3, 5], "learning_rate": [0.1, 0.5, 2.0, 5.0], "seeds": ["0:2"]})
    chosen: dict[str, Any] = {}
    for by in ("loss", "accuracy"):
        found = run(data, space, tmp_path / "s", 8, 6, halving=2, by=by)
        assert (found.by, {row["status"] for row in found.rows}) == (by, {"done", "pruned"})
        chosen[by] = found
    assert chosen["accuracy"].sweep.number == 2
    full = run(data, space, tmp_path / "s", 8, 6)
    at_first = {
        (row["hidden"], row["learning_rate"], row["seed"]): [full.curves(row["id"])[f"validation_{by}"][1] for by in
                                                             ("loss", "accuracy")]
        for row in full.rows
    }  # fmt: skip
    for by, found in chosen.items():
        column = by == "accuracy"
        means = {key[:2]: np.mean([at_first[*key[:2], seed][column] for seed in (0, 1)]) for key in at_first}
        kept = {(row["hidden"], row["learning_rate"]) for row in found.rows if row["epochs_done"] > 2}
        assert len(kept) == 4
        values = sorted(means.values(), reverse=by == "accuracy")
        assert sorted((means[key] for key in kept), reverse=by == "accuracy") == values[:4]


def space_of(number: int) -> Space:
    """A space as people make them: a few widths and rates, perhaps activations, decays and scales, some seeds."""
    random = np.random.RandomState(number)

    def some(values: Sequence[Any], least: int, most: int) -> list[Any]:
        return [values[at] for at in sorted(random.choice(len(values), random.randint(least, most), replace=False))]

    values: dict[str, Any] = {
        "hidden": some(["4", "8", "12", "16", "20", "32", "20,10", "16,16"], 2, 5),
        "learning_rate": some([0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5], 3, 6),
    }
    for name, given, share in (("activation", ["sigmoid", "tanh"], 0.4), ("weight_decay", [0.0, 1e-4, 1e-3], 0.4),
                               ("init_scale", [0.5, 1.0, 2.0], 0.3)):  # fmt: skip
        if random.random_sample() < share:
            values[name] = given
    values["batch_size"] = [int(random.choice([1, 8, 32]))]
    values["seeds"] = [f"0:{random.choice([4, 8, 16])}"]
    return make_space(values)


@pytest.mark.slow
def test_of_twenty_spaces_it_finds_the_best_or_one_within_its_interval_at_half_the_updates(tmp_path: Path) -> None:
    digits, found = load_digits("float32"), {"loss": 0, "accuracy": 0}
    for number in range(20):
        space = space_of(number)
        full = run(digits, space, tmp_path / f"{number}")
        for by in found:
            half, full = run(digits, space, tmp_path / f"{number}", halving=2, by=by), dataclasses.replace(full, by=by)
            assert {len(item.rows) for item in half.configurations} == {len(space.seeds)}  # all seeds of a survivor
            assert planned(len(full.configurations), 20, 2)[-1][1] == len(half.configurations)
            assert 2 * sum(row["epochs_done"] for row in half.rows) <= sum(row["epochs_done"] for row in full.rows)
            chosen, best = (item.loss if by == "loss" else item.accuracy for item in (half.best, full.best))
            found[by] += half.best.values == full.best.values or best.low <= chosen.mean <= best.high
    assert min(found.values()) >= 18, found
