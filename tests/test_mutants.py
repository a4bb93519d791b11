import json
import re
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("cosmic_ray", reason="needs the extra dev")
from tests import mutants, mutation
from tests.mutation import Mutant

SOURCE = textwrap.dedent('''\
    """Words."""
    from typing import TYPE_CHECKING, TypeAlias, cast
    if TYPE_CHECKING and True:
        import numpy
    __all__ = ["half"] * 1
    Number = int | float
    Named: TypeAlias = int | None


    def half(x: int | None, /, *, by: "int | None" = None, **more: int | str) -> int | None:
        size: int | float
        rest: int | None = cast(int | None, x)
        return rest
    ''')


def written(tmp_path: Path, source: str) -> Path:
    (tmp_path / "m.py").write_text(source)
    return tmp_path


def found(tmp_path: Path, source: str) -> list[Mutant]:
    return list(mutation.sample(tmp_path, mutation.places(written(tmp_path, source), ["m.py"]), 0))


def test_what_changes_types_or_words_alone_or_is_no_python_is_no_mutant(tmp_path: Path) -> None:
    assert found(tmp_path, SOURCE) == []
    assert {m.new for m in found(tmp_path, SOURCE.replace("return rest", "return 1 < x"))} >= {"return 1 <= x"}


def test_a_mutant_that_python_warns_of_is_none(tmp_path: Path) -> None:
    assert not any(" is " in mutant.new for mutant in found(tmp_path, 'same = x == "one"\n'))


def test_each_mutant_is_one_edit_of_its_line(tmp_path: Path) -> None:
    source = "def f(a, b):\n    return a - b\n"
    edits = found(tmp_path, source)
    assert {"return a + b", "return a / b"} <= {mutant.new for mutant in edits}
    assert {(mutant.place.line, mutant.old) for mutant in edits} == {(2, "return a - b")}
    assert all(mutant.code == source.replace("return a - b", mutant.new) for mutant in edits)
    assert "-    return a - b\n+    return a + b" in "\n".join(mutant.diff for mutant in edits)


def test_a_seed_names_the_sample_and_a_larger_sample_goes_on_from_it(tmp_path: Path) -> None:
    source = "x = 1 + 2 + 3\n"
    places = list(mutation.places(written(tmp_path, source), ["m.py"]))
    first = list(mutation.sample(tmp_path, places, 0))
    assert list(mutation.sample(tmp_path, reversed(places), 0)) == first
    other = list(mutation.sample(tmp_path, places, 1))
    assert other != first
    assert sorted(other) == sorted(first)


def test_every_mutant_is_as_likely(tmp_path: Path) -> None:
    places = list(mutation.places(written(tmp_path, "x = 1\ny = 2 < 3\n"), ["m.py"]))
    firsts = Counter(next(mutation.sample(tmp_path, places, seed)).place for seed in range(400))
    each = 400 / len(firsts)
    assert len(firsts) == len(list(mutation.sample(tmp_path, places, 0)))
    # Binomial: 400 draws with the chance 1 / 13 are within five standard deviations, 5 * sqrt(400 * 12) / 13 = 27.
    assert all(abs(count - each) < 27 for count in firsts.values())


def test_a_line_stands_for_its_statement_without_the_block_below() -> None:
    tree = mutation.ast.parse(
        "@cache\ndef f(\n    a=1,\n):\n    x = g(\n        2,\n    )\n    if x:\n        return 3\n"
        "@wp.func\ndef k():\n    return 4\n"
    )
    expected = {3: range(1, 5), 6: range(5, 8), 8: range(8, 9), 9: range(9, 10), 12: range(10, 12)}
    assert {line: mutation.header(tree, line) for line in expected} == expected


PROJECT = {
    "pyproject.toml": """
        [tool.mutants]
        packages = ["signs"]
        default = ["all"]
        not-tests = []
        exclude = ["core/AddNot", "core/NumberReplacer", "core/ReplaceBinaryOperator_Sub_[^A].*"]
        areas = {all = ["signs"], part = ["signs/[!s]*.py"]}
        """,
    "signs/__init__.py": "",
    "signs/signs.py": """
        from time import sleep  # a loop that never ends must not take the processor from other tests

        def sign(x):
            return x > 0

        def down(x):
            while x:
                sleep(0.01)
                x = x - 1
            return x

        def unused(x):
            return not x
        """,
    "tests/test_signs.py": """
        from signs.signs import down, sign

        def test_signs():
            assert sign(2) and not sign(-2) and down(2) == 0
        """,
    mutants.EQUIVALENT: """
        [[mutant]]
        file = "signs/signs.py"
        line = "return x > 0"
        becomes = "return x != 0"
        reason = "no zero here"
        """,
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    for name, text in PROJECT.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(textwrap.dedent(text))
    subprocess.run(["git", "init", "-q", root], check=True)
    monkeypatch.setattr(mutants, "ROOT", root)
    monkeypatch.setattr(mutants, "SPARE", 0)
    return root


def test_what_no_test_notices_is_told_and_the_rest_is_caught(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    out = tmp_path / "out.json"
    assert mutants.main(["--workers", "2", "--out", str(out), "--fail-under", "60"]) == 0
    results = json.loads(out.read_text())["mutants"].values()
    outcomes = {re.findall(r"^\+ +(.*)", result["diff"], re.MULTILINE)[0]: result["outcome"] for result in results}
    assert outcomes == {
        "return x < 0": "failed",
        "return x <= 0": "failed",
        "return x == 0": "failed",
        "return x >= 0": "survived",  # no test has 0
        "return x != 0": "equivalent",
        "x = x + 1": "time-out",
        "return  x": "not reached",
    }
    printed = capsys.readouterr().out
    assert "signs/signs.py:5 survived\n" in printed
    assert "-    return x > 0\n+    return x >= 0" in printed
    assert "signs/signs.py:5 equivalent: no zero here\n" in printed
    assert "signs/signs.py:14 not reached\n" in printed
    assert printed.splitlines()[-1].split() == ["caught", "4", "/", "6", "66.7", "%"]
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


def test_an_interrupted_run_goes_on_where_it_was(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "map", tmp_path / "out.json"
    command = ["--workers", "1", "--map", str(folder), "--out", str(out)]
    assert mutants.main([*command, "--sample", "1"]) == 0
    first = json.loads(out.read_text())["mutants"]
    assert len(first) == 1

    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("tests.sandbox.Sandbox.attempt", interrupted)
    assert mutants.main([*command, "--sample", "1"]) == 0
    assert mutants.main(command) == 130
    assert json.loads(out.read_text())["mutants"].items() >= first.items()
    monkeypatch.setattr("tests.sandbox.Sandbox.attempt", lambda *_: "failed")
    assert mutants.main([*command, "--fail-under", "90"]) == 0
    (project / "signs" / "signs.py").write_text("x = 1 < 2\n")
    capsys.readouterr()
    assert mutants.main(command) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"{out} is of other code: expected a new file"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    "words", [["--sample", "0"], ["--out", "/no/x"], ["--area", "none"], ["signs/none.py"], ["--area", "part"]]
)
def test_what_is_asked_for_and_cannot_be_is_told(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        sys.exit(mutants.main(words))
    assert caught.value.code == 2
    assert capsys.readouterr().out == ""


def test_tests_that_fail_without_a_mutant_are_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "tests" / "test_signs.py").write_text("def test_wrong():\n    assert 1 == 2\n")
    assert mutants.main(["--workers", "1"]) == 2
    assert "tests/test_signs.py fails without a mutant" in capsys.readouterr().err


def test_a_line_that_runs_on_import_is_for_the_tests_that_run_more_of_its_module(tmp_path: Path) -> None:
    root = written(tmp_path, "A = 1\ndef f():\n    return A + 1\n")
    lines = {"1": ["a", "b", "m"], "2": ["a", "b", "m"], "3": ["b", "m"]}
    seen = mutants.Seen({"a": 1, "b": 2, "m": 3}, {"m.py": lines})
    numbered = {mutant.place.line: seen.tests(root, mutant) for mutant in found(root, (root / "m.py").read_text())}
    assert numbered == {1: ["m", "b"], 3: ["m", "b"]}
    only = mutants.Seen(seen.seconds, {"m.py": {"1": ["a", "b"], "2": ["a", "b"]}})
    assert only.tests(root, found(root, "A = 1\n")[0]) == ["a", "b"]


def test_what_is_said_to_change_nothing_are_mutants_of_the_code_as_it_is() -> None:
    said = mutants.read_equivalent(mutants.ROOT / mutants.EQUIVALENT).keys()
    text = {file: (mutants.ROOT / file).read_text(encoding="utf-8").splitlines() for file, *_ in said}
    lines = {(file, line) for file, line, _ in said}
    places = (
        at for at in mutation.places(mutants.ROOT, text) if (at.path, text[at.path][at.line - 1].strip()) in lines
    )
    here = {(each.place.path, each.old, each.new) for each in mutation.sample(mutants.ROOT, places, 0)}
    assert said - here == set()
