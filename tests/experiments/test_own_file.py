"""``experiments.gradient_check FILE.py``: a person's file is checked; what is wrong with it is one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from experiments import gradient_check

MINE = """
import numpy as np
random = np.random.default_rng(0)
x, y = random.normal(size=(8, 6)), np.eye(3)[random.integers(0, 3, 8)]
params = {params}
data = x, y


def forward(W1, W2):
    h = np.tanh(x @ W1)
    e = np.exp(h @ W2)
    return h, e / e.sum(axis=1, keepdims=True)


def loss({takes}):
    {unpack}
    return -np.sum(y * np.log(forward(W1, W2)[1])) / len(x)


def gradient({takes}):
    {unpack}
    h, p = forward(W1, W2)
    delta = (p - y) / len(x)
    return x.T @ (delta @ W2.T * {slope}), h.T @ delta
"""
TWO = "random.normal(size=(6, 4)), random.normal(size=(4, 3))"


def mine(slope: str = "(1 - h * h)", takes: str = "W1, W2", unpack: str = "pass") -> str:
    return MINE.format(params=TWO, slope=slope, takes=takes, unpack=unpack)


def run(tmp_path: Path, source: str, *more: str) -> int:
    file = tmp_path / "mine.py"
    file.write_text(source)
    return gradient_check.main([str(file), "--out", str(tmp_path / "out"), *more])


@pytest.mark.parametrize(("takes", "unpack"), [("W1, W2", "pass"), ("p", "W1, W2 = p")])
def test_a_right_file_exits_with_0_and_a_wrong_one_with_1_and_both_are_written(
    takes: str, unpack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, mine(takes=takes, unpack=unpack)) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("RIGHT: all 2 gradients\n")
    assert "recognised: 6-4-3, tanh, softmax and cross-entropy, mean of 8, weights [in, out], no biases" in " ".join(
        printed.split()
    )
    assert json.loads((tmp_path / "out" / "check.json").read_text())["ok"] is True
    assert run(tmp_path, mine("(1 - h)", takes, unpack)) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("WRONG: 1 of 2 gradients\n")
    assert "leaf " in printed  # the table
    assert "tolerance" in printed
    record = json.loads((tmp_path / "out" / "check.json").read_text())
    assert (record["ok"], record["rows"][0]["verdict"], record["file"]) == (False, "wrong", str(tmp_path / "mine.py"))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def loss(", "', line 1: SyntaxError"),
        ("loss = 1", "has no gradient, no params, expected loss, gradient, params and perhaps data"),
        ("params = 1.0\nloss = gradient = lambda p: p.q", "', line 2: AttributeError: 'float' object has no attribute"),
        ("import sys\nsys.exit(3)", "', line 2: SystemExit: 3"),
        ("import missing_everywhere", "', line 1: ModuleNotFoundError: No module named 'missing_everywhere'"),
        ("params = 'W'\nloss = gradient = lambda p: p", "p is a str, expected numbers or arrays"),
        ("params = 1.0\nloss = gradient = 3", "loss is 3, expected a function of the parameters"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_checked_is_one_line_and_exit_2(
    source: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, source) == 2
    written = capsys.readouterr().err
    assert said in written
    assert len(written.splitlines()) == 1
    assert not (tmp_path / "out" / "check.json").exists()


def test_a_missing_file_and_other_options_beside_it_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gradient_check.main([str(tmp_path / "none.py"), "--out", str(tmp_path)]) == 2
    assert "expected a Python file with loss, gradient and params" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        gradient_check.main(["mine.py", "--random-networks", "3"])
    assert caught.value.code == 2


def test_the_file_imports_what_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path: list[Any] = []
    monkeypatch.setattr("sys.path", [*__import__("sys").path, *path])
    (tmp_path / "beside_the_checked_file.py").write_text("factor = 2.0\n")
    source = "from beside_the_checked_file import factor\nparams = 3.0\n"
    source += "def loss(w): return factor * w\ndef gradient(w): return factor\n"
    assert run(tmp_path, source) == 0
