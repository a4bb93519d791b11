"""``experiments.predict`` on the files that the experiments write."""

from pathlib import Path

import numpy as np
import pytest

from experiments import predict, train
from jaxmlp import Dataset, LectureStream, MLPClassifier, Model, load, save
from tests.test_experiments import assert_figure

FAST = ["--epochs", "3", "--quiet"]


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_it_shows_the_accuracies_of_the_run_and_every_mistake(
    dtype: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main([*FAST, "--hidden", "6", "--dtype", dtype, "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    assert predict.main([str(tmp_path / "model.safetensors"), "--out", str(tmp_path / "p")]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = load(tmp_path / "model.safetensors")
    assert isinstance(found, Model)
    assert found.details["epochs"] == 3
    result = predict.run(str(tmp_path / "model.safetensors"))
    assert result.test_accuracy == pytest.approx(found.details["test_accuracy"])
    mistakes = [line.split() for line in lines if line.startswith("row ")]
    assert len(mistakes) == round(300 * (1 - result.test_accuracy)) > 0
    for _, row, digit, taken, *_ in mistakes:
        assert int(digit) == result.labels[int(row)] != int(taken) == result.predicted[int(row)]
    assert f"test accuracy {100 * result.test_accuracy:.3f} %" in lines[-2]
    np.testing.assert_allclose(result.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert_figure(tmp_path / "p" / "mistakes.png")


def test_a_run_that_diverged_leaves_no_model(tmp_path: Path) -> None:
    arguments = ["--activation", "identity", "--learning-rate", "0.2", "--epochs", "10", "--quiet"]
    assert train.main([*arguments, "--out", str(tmp_path)]) == 1
    assert not (tmp_path / "model.safetensors").exists()


def test_a_classifier_of_digits_is_shown_too(digits: Dataset, tmp_path: Path) -> None:
    made = MLPClassifier((3,), max_iter=1, n_iter_no_change=9, random_state=0, batch_size=100)
    made.fit(np.asarray(digits.x_train), np.asarray(digits.labels_train))
    save(tmp_path / "c", made)
    assert predict.run(str(tmp_path / "c")).test_accuracy == made.score(digits.x_test, digits.labels_test)


def test_what_cannot_be_shown_is_one_line_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layers = LectureStream(0).params((4, 3), "float64")
    save(tmp_path / "small", Model(layers))
    digits_layers = LectureStream(0).params((64, 10), "float64")
    save(tmp_path / "letters", Model(digits_layers, classes=np.array(list("abcdefghij"))))
    (tmp_path / "text").write_text("hello")
    for name, said in (
        ("small", "network (4, 3), expected 64 inputs"), ("letters", "expected the digits 0..9"),
        ("text", "no model that can be loaded"), ("missing", "No such file"),
    ):  # fmt: skip
        assert predict.main([str(tmp_path / name), "--out", str(tmp_path / "p")]) == 2
        message = capsys.readouterr().err
        assert said in message
        assert len(message.splitlines()) == 1
    assert not (tmp_path / "p").exists()
