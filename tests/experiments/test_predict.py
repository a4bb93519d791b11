"""``experiments.predict`` on the files that the experiments write, and beside what NumPy makes of the same network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
from sklearn.exceptions import ConvergenceWarning

from experiments import actions, predict, train
from jaxmlp import Dataset, LectureStream, MLPClassifier, Model, load, load_table, save
from jaxmlp.tables import read_columns
from tests import oracle
from tests.commands import catch_writes
from tests.helpers import as_params


def test_mistakes_come_with_image_digit_and_probabilities_the_surest_first(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # 40 digits to train on, the first 14 of the test set: few pictures. Random weights are mostly wrong.
    random, few = np.random.default_rng(5), [column[: 40 if number < 3 else 14] for number, column in enumerate(digits)]
    table = load_table("digits", dtype="float64")
    rows = table.rows[0][:40], table.rows[1][:14]
    monkeypatch.setattr(actions.predict, "load_table", lambda *_, **__: table)
    table.rows = rows
    layers = [(random.normal(0, 0.3, (3, 64)), random.normal(0, 1, 3)), (random.normal(0, 2, (10, 3)), np.zeros(10))]
    save(tmp_path / "m", Model(as_params(layers), "tanh", preparation=table.preparation))
    train_shares, shares = (
        np.array([oracle.forward(layers, row, ["tanh"])[1][-1] for row in np.asarray(rows)])
        for rows in (few[0], few[3])
    )
    loaded: Any = sklearn.datasets.load_digits()  # the test set first
    images, labels, taken = loaded.images, loaded.target[:14], shares.argmax(axis=1)
    train_right = np.mean(train_shares.argmax(axis=1) == np.asarray(few[2]))
    wrong = sorted(np.flatnonzero(taken != labels), key=lambda row: -shares[row].max())
    assert 1 < len(wrong) < 14
    files = catch_writes(monkeypatch)
    assert predict.main([str(tmp_path / "m")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[2:-2]] == [
        ["row", str(row), str(labels[row]), str(taken[row]), f"{100 * shares[row].max():.1f}", "%",
         f"{100 * shares[row, labels[row]]:.1f}", "%"]
        for row in wrong
    ]  # fmt: skip
    right = 100 * (1 - len(wrong) / 14)
    said = f"64-3-10: training accuracy {100 * train_right:.3f} %, test accuracy {right:.3f} %"
    assert lines[-2:] == [said, "wrote mistakes.png"]
    figure = files["mistakes.png"]
    title = f"m, 64-3-10: {len(wrong)} of 14 test digits wrong ({right:.1f} % right), the surest mistakes first\n"
    assert figure.get_suptitle().startswith(title)
    for row, image, bars in zip(wrong, figure.axes[::2], figure.axes[1::2], strict=False):
        np.testing.assert_array_equal(image.images[0].get_array(), images[row])
        assert image.get_title() == f"{labels[row]}, taken for {taken[row]}"
        np.testing.assert_allclose([bar.get_height() for bar in bars.patches], 100 * shares[row], atol=1e-9)


def test_a_run_of_the_experiments_is_shown_with_the_accuracy_that_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions.train, "draw", lambda *_: {})
    arguments = ["--epochs", "3", "--quiet", "--hidden", "6", "--dtype", "float32"]
    assert train.main([*arguments, "--out", str(tmp_path)]) == 0
    found = load(tmp_path / "model.safetensors")
    assert isinstance(found, Model)
    assert found.details["epochs"] == 3
    result = actions.predict.run(str(tmp_path / "model.safetensors"))
    assert result.accuracy("test") == pytest.approx(found.details["test_accuracy"])
    rows, labels, shares = result.parts["test"]
    assert labels is not None
    assert (len(rows), len(labels), shares.shape, shares.dtype) == (300, 300, (300, 10), np.float32)


def test_a_classifier_of_digits_is_shown_too(digits: Dataset, tmp_path: Path) -> None:
    made = MLPClassifier((9,), max_iter=9, learning_rate=0.01, random_state=0, batch_size=100)
    with pytest.warns(ConvergenceWarning):
        made.fit(np.asarray(digits.x_train), np.asarray(digits.labels_train))
    save(tmp_path / "c", made)
    shown = actions.predict.run(str(tmp_path / "c"))
    assert shown.accuracy("test") == made.score(digits.x_test, digits.labels_test)
    assert shown.note.endswith("the training digits fit it best standardised as the lecture does")
    # One that learned from grey values is shown them.
    raw = read_columns("digits")
    assert raw.labels is not None
    with pytest.warns(ConvergenceWarning):
        made.set_params(max_iter=20).fit(raw.x[300:], raw.labels[300:])
    save(tmp_path / "raw", made)
    shown = actions.predict.run(str(tmp_path / "raw"))
    assert shown.accuracy("test") == made.score(raw.x[:300], raw.labels[:300])
    assert shown.note.endswith("the training digits fit it best as they are, 0 to 16")


def test_what_cannot_be_shown_is_one_line_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layers = LectureStream(0).params((4, 3), "float64")
    save(tmp_path / "small", Model(layers))
    save(tmp_path / "few", Model(LectureStream(0).params((64, 3), "float64")))
    digits_layers = LectureStream(0).params((64, 10), "float64")
    save(tmp_path / "letters", Model(digits_layers, classes=np.array(list("abcdefghij"))))
    (tmp_path / "text").write_text("hello")
    for name, said in (
        ("small", "network (4, 3), expected 64 inputs"), ("few", "network (64, 3), expected 64 inputs"),
        ("letters", "expected the digits 0..9"), ("text", "no model that can be loaded"), ("missing", "No such file"),
    ):  # fmt: skip
        assert predict.main([str(tmp_path / name), "--out", str(tmp_path / "p")]) == 2
        message = capsys.readouterr().err
        assert said in message
        assert len(message.splitlines()) == 1
    assert not (tmp_path / "p").exists()
