"""What is opened when: the digits kept for the next process, names that need no JAX, and the benchmark of starting."""

import io
import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
import pytest
import sklearn.datasets
from matplotlib.image import imread
from sklearn.metrics import confusion_matrix

from experiments import benchmark
from experiments.benchmarks import start_time
from experiments.benchmarks.start_time import Case, Row
from experiments.gradient_cases import mistake_names, planted_mistakes
from experiments.support import command_line, settings, training_run
from experiments.support.confusion import confusion_counts
from jaxmlp import ACTIVATIONS, bundled, choices, figures, load_digits, load_table, runtime
from jaxmlp.sweep.blocks import hold_out
from jaxmlp.tables import read_columns
from tests.commands import catch_writes
from tests.helpers import assert_agree, rejects

BUNCH: Any = sklearn.datasets.load_digits()


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The user's folder of caches, empty, where this process keeps its compiled programs as commands do."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(bundled.kept_digits.runtime, "caching", lambda: True)
    runtime.cache_folder().mkdir()
    return runtime.cache_folder()


def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An entry for each time that scikit-learn's loader is asked from here on."""
    asked: list[int] = []
    load = bundled.load_digits_images
    monkeypatch.setattr(bundled, "load_digits_images", lambda: asked.append(1) or load())
    return asked


def is_the_bunch(images: Any, labels: Any) -> bool:
    return bool(
        images.dtype == np.float64
        and labels.dtype == np.int32
        and np.array_equal(images, BUNCH.images)
        and np.array_equal(labels, BUNCH.target)
    )


def test_a_later_process_gets_the_digits_without_scikit_learn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = loads(monkeypatch)
    assert is_the_bunch(*bundled.read_digits())
    assert is_the_bunch(*bundled.read_digits())
    assert len(asked) == 1
    (kept,) = folder.iterdir()
    assert kept.name == f"digits-{sklearn.__version__}.npz"
    assert kept.stat().st_size < 130_000
    # What another version of scikit-learn had is not asked.
    kept.rename(folder / "digits-0.1.npz")
    bundled.read_digits()
    assert len(asked) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no archive"),
        lambda path: path.write_bytes(path.read_bytes()[:-70_000]),
        lambda path: path.write_bytes(path.read_bytes().replace(bytes(BUNCH.images[5].astype(np.uint8)), bytes(64), 1)),
        lambda path: np.savez(path, images=np.zeros((1797, 8, 8), np.uint8)),
        lambda path: np.savez(path, images=np.zeros((1797, 8, 9), np.uint8), labels=np.zeros(1797, np.uint8)),
        lambda path: np.savez(path, images=np.zeros((1797, 8, 8)), labels=np.zeros(1797, np.uint8)),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["empty", "text", "cut", "one image", "no labels", "shape", "dtype", "folder"],
)
def test_what_is_damaged_is_loaded_anew(damage: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled.read_digits()
    asked = loads(monkeypatch)
    damage(next(folder.iterdir()))
    assert is_the_bunch(*bundled.read_digits())
    assert asked == [1]


def test_nothing_is_kept_unasked_nor_where_nothing_can_be(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bundled.kept_digits.runtime, "caching", lambda: False)
        assert is_the_bunch(*bundled.read_digits())
        assert list(folder.iterdir()) == []
    folder.rmdir()
    folder.write_text("a file where the folder should be")
    assert is_the_bunch(*bundled.read_digits())
    assert folder.is_file()


def test_a_process_keeps_what_it_compiles_in_our_folder_or_elsewhere() -> None:
    before = jax.config.values["jax_compilation_cache_dir"]
    try:
        for place, caching in ((str(runtime.cache_folder()), True), ("/elsewhere", False), (None, False)):
            jax.config.update("jax_compilation_cache_dir", place)
            assert runtime.caching() is caching
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_the_digits_as_a_table_are_scikit_learns() -> None:
    found = read_columns("digits")
    np.testing.assert_array_equal(found.x, BUNCH.data)
    assert found.labels is not None
    assert (found.labels.tolist(), found.names) == (BUNCH.target.tolist(), tuple(BUNCH.feature_names))
    assert found.labels.dtype == BUNCH.target.dtype  # a sweep's identity has it
    for name in ("iris", "wine", "breast_cancer"):
        bunch: Any = getattr(sklearn.datasets, f"load_{name}")()
        columns = read_columns(name)
        np.testing.assert_array_equal(columns.x, bunch.data)
        assert (columns.names, columns.test, columns.notes) == (tuple(bunch.feature_names), None, ())
        assert columns.labels is not None
        assert columns.labels.tolist() == bunch.target_names[bunch.target].tolist()


def test_names_for_options_are_the_keys_of_the_tables() -> None:
    assert tuple(ACTIVATIONS) == choices.ACTIVATIONS
    assert tuple(figures.PALETTES) == choices.PALETTES
    assert tuple(training_run.GRADIENTS) == settings.GRADIENTS
    assert tuple(training_run.RANDOMNESS) == settings.RANDOMNESS
    assert tuple(planted_mistakes.MISTAKES) == mistake_names.MISTAKE_NAMES


def test_confusions_are_counted_as_scikit_learn_does() -> None:
    labels, predicted = np.random.default_rng(0).integers(0, [[4], [3]], (2, 50))
    counts = confusion_counts(labels, predicted, 5)
    np.testing.assert_array_equal(counts, confusion_matrix(labels, predicted, labels=range(5)))
    assert counts.shape == (5, 5)


def test_what_is_needed_later_is_opened_in_another_thread() -> None:
    opened, release = list[str](), threading.Event()

    class Package(ModuleType):
        def __getattr__(self, name: str) -> None:
            release.wait(60)
            opened.append(f"{name} in {threading.current_thread().name}")

    command_line.open_meanwhile(Package("package"), "curves")
    assert opened == []
    (thread,) = (thread for thread in threading.enumerate() if "getattr" in thread.name)
    assert thread.daemon  # a command that ends does not wait for it
    release.set()
    thread.join(60)
    assert opened == [f"curves in {thread.name}"]


def test_a_figures_file_has_the_pixels_of_savefig() -> None:
    def drawn() -> Any:
        return figures.curves(np.array([2.0, 1.0]), np.array([0.5, 0.75]), np.array([0.25, 0.5]), "a title")

    ours, theirs = io.BytesIO(), io.BytesIO()
    figures.write_png(drawn(), ours)
    drawn().savefig(theirs, format="png", dpi=120)
    ours.seek(0)
    theirs.seek(0)
    np.testing.assert_array_equal(imread(ours), imread(theirs))
    assert imread(io.BytesIO(ours.getvalue())).shape == (480, 1200, 4)


def test_rows_held_out_of_a_table_leave_a_plain_dataset() -> None:
    table, plain = load_table("digits", dtype="float64"), load_digits("float64")
    data = hold_out(table, 300)
    assert type(data.dataset) is type(plain)
    assert_agree(jax.tree.map(np.asarray, data), jax.tree.map(np.asarray, hold_out(plain, 300)))


TOLD = [Case("quick", "a panel", ("-c", "print(3)")), Case("cold", "another", ("-c", "print(4)"), cold=True)]


def test_cases_take_turns_and_only_a_cold_one_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[tuple[str, Path]] = []

    def start(arguments: list[str], cache: Path) -> tuple[float, float]:
        began.append((arguments[-1], cache))
        return float(len(began)), 0.5

    monkeypatch.setattr(start_time, "_start", start)
    done: list[int] = []
    rows = start_time.run(TOLD, 2, lambda: done.append(1))
    prepared, counted = began[:2], began[4:]
    assert [name for name, _ in counted] == ["print(3)", "print(4)"] * 2
    assert rows == [Row("quick", "a panel", [5, 7], [0.5, 0.5]), Row("cold", "another", [6, 8], [0.5, 0.5])]
    shared = {cache for name, cache in began if name != "print(4)"}
    own = [cache for name, cache in began if name == "print(4)"]
    assert len(shared) == 1
    assert len(set(own)) == 3
    assert not shared & set(own)
    assert len(prepared) == 2
    assert len(done) == 1 + 3 * len(TOLD)


def test_seconds_of_a_process_are_its_own_and_those_of_its_children(tmp_path: Path) -> None:
    spin = "import time\nwhile time.process_time() < 0.2: pass"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"
    for code in (spin, child):
        wall, processor = start_time._start(("-c", code), tmp_path)  # pyright: ignore[reportPrivateUsage]
        assert processor >= 0.2
        assert wall > 0.1
    with rejects("-c raise ValueError('no') ended with code 1, expected 0: ValueError: no"):
        start_time._start(("-c", "raise ValueError('no')"), tmp_path)  # pyright: ignore[reportPrivateUsage]


def test_every_case_can_be_started() -> None:
    for case in start_time.cases():
        if case.arguments[0] == "-m":
            module = case.arguments[1]
            assert subprocess.run([sys.executable, "-c", f"import {module}"], check=False).returncode == 0
        elif case.arguments[0] != "-c":
            compile(Path(case.arguments[0]).read_text(), case.arguments[0], "exec")
    assert {case.cold for case in start_time.cases()} == {True, False}


def test_the_table_has_medians_and_quartiles_of_both_clocks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = catch_writes(monkeypatch)
    measured = [Row("import jaxmlp", "imports", [1.0, 2.0, 9.0], [0.25, 0.5, 1.0])]
    monkeypatch.setattr(
        start_time, "run", lambda todo, repetitions, _: measured * (len(todo) > 10 and repetitions == 3)
    )
    assert benchmark.main(["start", "--repetitions", "3"]) == 0
    lines = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    assert lines[2] == ["import jaxmlp", "2.00", "1.50..5.50", "0.50", "0.38..0.75", "imports"]
    assert json.loads(json.dumps(files["benchmark_start.json"]["rows"]))[0]["wall"] == [1.0, 2.0, 9.0]
    (axes,) = files["benchmark_start.png"].axes
    assert [bar.get_width() for bar in axes.patches] == [2.0]
