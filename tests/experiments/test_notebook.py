"""The lecture as a notebook: it runs from top to bottom, and says what is stored in it where that is the lecture's."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from experiments import actions
from tests.helpers import code_lines

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "experiments" / "lecture.ipynb"
JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")


def cells(notebook: Any, kind: str, tag: str | None = None) -> list[Any]:
    found = [cell for cell in notebook.cells if cell.cell_type == kind]
    return [cell for cell in found if tag is None or tag in cell.metadata.get("tags", [])]


def printed(cell: Any) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def forms(cell: Any) -> list[set[str]]:
    """The forms of each output: "stream", or those that a notebook chooses from, as text/html and image/png."""
    found = [set(output.get("data", {output.output_type: ""})) for output in cell.outputs]
    # What is printed may come in one piece or in several.
    return [form for form, _ in itertools.groupby(found)]


@pytest.fixture(scope="module")
def stored() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_every_heading_is_there_in_japanese_too(stored: Any) -> None:
    headings = [line for cell in cells(stored, "markdown") for line in cell.source.splitlines() if line.startswith("#")]
    assert len(headings) >= 14
    for heading in headings:
        english, japanese = heading.split(" · ")
        assert JAPANESE.search(japanese), heading
        assert not JAPANESE.search(english), heading


def test_the_lines_beside_the_formulas_are_in_the_code(stored: Any) -> None:
    shown: list[str] = []
    for cell in cells(stored, "markdown", "formulas"):
        (file,) = set(re.findall(r"in `(jaxmlp/[\w/]+\.py)`", cell.source))
        code = code_lines(ROOT / file)
        rows = re.findall(r"^- .*?\$.*?(?=\n-|\n\n|\Z)", cell.source, re.DOTALL | re.MULTILINE)
        for row in rows:
            (line,) = re.findall(r"`([^`]+)`", row)
            assert line in code or any(line in other for other in code), line
            shown.append(line)
    assert len(shown) == 8


def test_stored_outputs_are_whole_and_name_no_ones_folders(stored: Any) -> None:
    for number, cell in enumerate(cells(stored, "code"), 1):
        assert cell.execution_count == number
        assert "error" not in [output.output_type for output in cell.outputs]
    assert not re.search(r"/(home|Users|tmp|work|root)/", json.dumps(stored.cells))
    shown = [form for cell in cells(stored, "code") for form in forms(cell)]
    assert sum("image/png" in form for form in shown) == 6
    assert sum("text/html" in form for form in shown) == 8


def test_stored_lines_are_the_lectures(stored: Any, reference: dict[tuple[int, ...], dict[str, Any]]) -> None:
    said = [line for cell in cells(stored, "code", "lecture") for line in printed(cell).splitlines() if "-th" in line]
    wanted = {(20,): [*range(1, 11), *range(20, 101, 10)], (20, 10): range(1, 7), (20, 20, 2): range(1, 8)}
    theirs = [
        actions.train.line(
            epoch, *(reference[hidden][name][epoch - 1] for name in ("loss", "train_accuracy", "test_accuracy"))
        )
        for hidden, epochs in wanted.items()
        for epoch in epochs
    ]
    assert said == theirs


def assert_the_loaded_model_is_as_good_as_the_trained(notebook: Any) -> None:
    trained, loaded = cells(notebook, "code")[-2:]
    (percent,) = re.findall(r"test accuracy ([\d.]+) %", trained.outputs[0].data["text/plain"])
    (right,) = re.findall(r"^(\d+) of 300 test pictures right", printed(loaded))
    assert f"{int(right) / 3:.1f}" == percent


def test_the_stored_model_predicts_raw_pictures(stored: Any) -> None:
    assert_the_loaded_model_is_as_good_as_the_trained(stored)


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom_and_prints_the_lectures_numbers(stored: Any, tmp_path: Path) -> None:
    run = nbformat.read(NOTEBOOK, as_version=4)
    for cell in cells(run, "code"):
        cell.outputs = []
    NotebookClient(run, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert len(cells(stored, "code", "lecture")) == 5
    for before, after in zip(cells(stored, "code"), cells(run, "code"), strict=True):
        assert forms(after) == forms(before), after.source
        if "lecture" in before.metadata.get("tags", []):
            assert printed(after) == printed(before)
    assert list(tmp_path.iterdir()) == []  # what it writes goes elsewhere
    assert_the_loaded_model_is_as_good_as_the_trained(run)
