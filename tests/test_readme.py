"""The README is short, its programs and commands run, and say what it says they say."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from jaxmlp import load_table
from jaxmlp.runtime import install_command
from tests.helpers import code_lines

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n((?:import|from) .*?)```(?:\n\n```\n(.*?)```)?", README, re.DOTALL)
# Those that measure for minutes, and what makes them short.
SHORT = {"experiments.benchmark training": "--epochs 1 --repetitions 1"}
MODEL_NAMES = {"experiments.NAME"}


def commands() -> list[str]:
    """Every ``python -m ...`` of the page, in its sequence, without what is before it."""
    joined = README.replace("\\\n", " ")
    found = re.findall(r"python -m (experiments[^`\n&]*)", joined)
    return [command.strip() for command in found if command.split()[0] not in MODEL_NAMES]


def test_a_person_reads_it_to_the_end() -> None:
    lines = README.splitlines()
    assert len(lines) < 180
    assert max(map(len, lines)) <= 120
    first_screen = "\n".join(lines[:25])
    assert first_screen.count("python3 -m venv ") == 2
    assert len(sentences()) > 50
    assert [sentence for sentence in sentences() if len(sentence.split()) > 30] == []


def sentences() -> list[str]:
    """The sentences outside of code, tables and headings."""
    words = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    paragraphs: list[str] = []
    for block in re.split(r"\n\s*\n|\n(?=- )", words):
        text = " ".join(line for line in block.splitlines() if not line.startswith(("|", "#", "<img", "!")))
        paragraphs += re.split(r"(?<=[.!?])[\"*)]*\s+(?=[^a-z])", text)
    return [paragraph for paragraph in paragraphs if paragraph.strip()]


def test_there_are_programs_to_run() -> None:
    assert len(PROGRAMS) == 4
    assert len(PROGRAMS[0][0].splitlines()) <= 8


def agrees(line: str) -> bool:
    return line.endswith("agree") or " right (" in line


@pytest.mark.parametrize(("program", "printed"), PROGRAMS)
def test_programs_print_what_stands_below_them(
    program: str, printed: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "README.md", "exec"), {})
    said = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    # Rounding errors, in agreeing rows, differ between machines.
    steady = [line for line in printed.splitlines() if not agrees(line)]
    assert said
    assert [line for line in said if not agrees(line)] == steady or not printed


def test_the_formulas_shown_are_in_the_code() -> None:
    (shown,) = re.findall(r"```python\n(g\.append.*?)```", README, re.DOTALL)
    lines = [line.split("  # (") for line in shown.splitlines()]
    assert [line[1].split(")")[0] for line in lines] == list("1234567")
    files = {"network": "12", "backprop": "3456", "training": "7"}
    for module, numbers in files.items():
        code = code_lines(ROOT / "jaxmlp" / "lecture" / f"{module}.py")
        assert {line for line, number in lines if number[0] in numbers} <= code


def test_each_formula_and_step_of_the_lecture_is_beside_its_code() -> None:
    text = (ROOT / "jaxmlp" / "lecture" / "__init__.py").read_text()
    rows = [re.split(r" {3,}", line.strip()) for line in text.splitlines() if re.match(r" {4}.*\(\w\) ", line)]
    found = {mark: row[-1].split(";")[0] for row in rows for mark in re.findall(r"\((\w)\)", " ".join(row[:-1]))}
    assert sorted(found) == sorted("1234567abcdefgh")
    for mark, file in found.items():
        code = (ROOT / "jaxmlp" / "lecture" / f"{file}.py").read_text()
        assert re.search(rf"^ +\({mark}\)  ?\S", code, re.MULTILINE), f"({mark}) is not in the docstring of {file}.py"
        assert f"({mark})" in code.split('"""', 2)[2], f"({mark}) is not beside the code of {file}.py"


def test_files_and_extras_that_it_names_are_there() -> None:
    for path in re.findall(r"\]\((?!http)([^)]+)\)|src=\"([^\"]+)\"", README):
        assert (ROOT / "".join(path)).is_file(), path
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    named = {extra for group in re.findall(r"'\.\[([\w,-]+)\]'", README) for extra in group.split(",")}
    assert {"test", "tables", "notebook", "cuda13", "fused"} <= named <= extras
    (tree,) = re.findall(r"```\n(experiments/ .*?)```", README, re.DOTALL)
    for module in (ROOT / "experiments").glob("[a-z]*.py"):
        assert re.search(rf"\b{module.stem}\b", tree), module
    for folder in (ROOT / "jaxmlp").glob("*/__init__.py"):
        assert re.search(rf"\b{folder.parent.name}/", tree), folder


def test_what_contributors_are_sent_to_is_there() -> None:
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
    assert max(map(len, text.splitlines())) <= 120
    files = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.*") if ".venv" not in path.parts]
    named = re.findall(r"(?<![\w/])((?:[\w.]+/)*\w+\.(?:pyi?|js))\b", text)
    assert len(named) > 15
    missing = [name for name in named if not any(f"/{file}".endswith(f"/{name}") for file in files)]
    assert missing == ["experiments/NAME.py", "experiments/actions/NAME.py"]
    for file, test in re.findall(r"(tests/[\w/]+\.py)::(\w+)", text):
        assert f"def {test}(" in (ROOT / file).read_text()
    # Every room of the library, and no other.
    rooms = set(re.findall(r"`(\w+)/?`", text.split("## The rooms")[1].split("## What always holds")[0]))
    library = {
        path.stem for path in (ROOT / "jaxmlp").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert library - rooms == {"__init__"}


@pytest.mark.slow
def test_every_command_runs(tmp_path: Path) -> None:
    iris = load_table("iris")
    names = [f"c{place}" for place in range(4)]
    rows = zip(iris.x_train.tolist(), iris.classes[iris.labels_train].tolist(), strict=True)
    lines = [",".join([*names, "species"]), *(",".join(map(str, [*x, label])) for x, label in rows)]
    (tmp_path / "flowers.csv").write_text("\n".join(lines) + "\n")
    (program,) = [program for program, _ in PROGRAMS if "check_gradient" in program]
    (tmp_path / "mine.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BROWSER": "true"}  # a browser that opens nothing
    found = commands()
    assert len(found) >= 13
    for command in found:
        words = [sys.executable, "-m", *shlex.split(command), *SHORT.get(command, "").split()]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
        said = done.stdout.strip().splitlines()
        if command == "experiments.gpu_report" and find_spec("jax_cuda13_plugin") is None:
            assert install_command("gpu-report") in done.stderr
            assert done.returncode == 2
            continue
        expected = 1 if "mine.py" in command else 0  # its gradient is wrong
        assert done.returncode == expected, (command, said[-3:], done.stderr)
        assert not re.search("error|Traceback|Warning", done.stderr), command
        if command == "experiments":
            (promised,) = re.findall(r"The last line is `(.*)`", README)
            assert re.sub(r"[\d.]+ ", "N ", said[-1]) == re.sub(r"[\d.]+ ", "N ", promised)
        if "sweep run" in command:
            assert any(line.startswith("160 done: ") for line in said)
    assert (tmp_path / "runs" / "sweep" / "best.safetensors").is_file()
