"""The README's own programs run, and say what it says they say."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n((?:import|from) .*?)```(?:\n\n```\n(.*?)```)?", README, re.DOTALL)


def test_there_are_programs_to_run() -> None:
    assert len(PROGRAMS) >= 2


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
    library = "\n".join(path.read_text() for path in (Path(__file__).parents[1] / "jaxmlp").glob("*.py"))
    shown = README.split("## From formula to code")[1].split("`gradient_function` is")[0]
    lines = [line.split("#")[0].strip() for block in re.findall(r"```python\n(.*?)```", shown, re.DOTALL)
             for line in block.splitlines()]  # fmt: skip
    assert len(lines) >= 10
    for line in filter(None, lines):
        assert line in library, line
