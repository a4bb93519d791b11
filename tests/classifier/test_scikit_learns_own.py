"""scikit-learn's own tests of its networks and searches pass with ours in their places, but for those with a reason."""

import collections
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import sklearn

from tests.scikit_learns_own.reasons import REASONS

SKLEARN, ROOT = Path(sklearn.__file__).parent, Path(__file__).parents[2]


def run(path: str, folder: Path) -> tuple[collections.Counter[str], list[str], set[str]]:
    """The counts of outcomes, what failed, and the reasons that were given; in a process where ours stand in."""
    report = folder / "report.xml"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.scikit_learns_own.plugin", "-p", "no:cacheprovider",
         "-c", os.devnull, f"--rootdir={folder}", f"--junitxml={report}", "-q", "-W", "ignore", "-n", "2",
         str(SKLEARN / path)],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
    )  # fmt: skip
    counts, failed, given = collections.Counter[str](), list[str](), set[str]()
    for case in ElementTree.parse(report).iter("testcase"):
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            counts["failed"] += 1
            failed.append(str(case.get("name")))
        elif skipped is None:
            counts["passed"] += 1
        elif skipped.get("type") == "pytest.xfail":
            counts["with a reason"] += 1
            given.add(str(skipped.get("message")))
        else:
            counts["skipped"] += 1
    return counts, failed, given


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "least"),
    [("neural_network/tests/test_mlp.py", 40), ("model_selection/tests/test_search.py", 60)],
)
def test_its_own_tests_pass_or_have_a_reason(
    path: str, least: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    counts, failed, given = run(path, tmp_path)
    said = ", ".join(f"{counts[kind]} {kind}" for kind in ("passed", "with a reason", "skipped", "failed"))
    record_property("shown", f"scikit-learn {sklearn.__version__}, {path}: {said}")
    assert failed == []
    assert counts["passed"] >= least
    assert given <= set(REASONS.values())
