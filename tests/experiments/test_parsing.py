"""Help that a person can use: every option says what it does, in groups, with examples; what is meant is understood."""

import argparse
import re
from collections.abc import Callable

import pytest

import experiments.__main__ as lecture
from experiments import (
    benchmark,
    bottleneck,
    digits_gallery,
    gpu_report,
    gradient_check,
    one_hidden_layer,
    page,
    predict,
    sensitivity,
    sweep,
    train,
    two_hidden_layers,
    width_or_luck,
)
from experiments.support import parsing
from tests.helpers import benchmark_main

Main = Callable[[list[str]], int]
COMMANDS: dict[str, Main] = {
    "": lecture.main, "bottleneck": bottleneck.main, "digits_gallery": digits_gallery.main, "page": page.main,
    "one_hidden_layer": one_hidden_layer.main, "two_hidden_layers": two_hidden_layers.main, "train": train.main,
    "predict": predict.main, "sensitivity": sensitivity.main, "width_or_luck": width_or_luck.main,
    "gradient_check": gradient_check.main, "gpu_report": gpu_report.main, "sweep": sweep.main,
    "benchmark": benchmark.main, **{f"benchmark {what}": benchmark_main(what) for what in benchmark.BENCHMARKS},
    **{f"sweep {action}": lambda given, action=action: sweep.main([action, *given])
       for action in ("run", "search", "report", "export")},
}  # fmt: skip


def help_of(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as end:
        COMMANDS[name](["--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does_and_what_holds_without_it(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = help_of(name, monkeypatch, capsys).split("options:")[1].split("examples:")[0]
    options = re.split(r"\n  (?=-)", shown)[1:]
    assert len(options) >= (1 if name == "benchmark" else 3)
    for option in options:
        words = re.sub(r"\([^()]*\)\s*$", "", option.split("\n\n")[0])
        words = re.sub(r"^-\S+( \{\S+\}| \[?[A-Z]+\b[^a-z]*)?", "", words)  # what is left says it in words
        assert len(re.findall(r"[A-Za-z]{2,}", words)) >= 3, option


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_have_lines_of_their_own_and_are_commands_that_are_there(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = help_of(name, monkeypatch, capsys)
    lines = shown.split("examples:\n")[1].splitlines()
    assert lines
    for line in lines:
        assert line.startswith("  python -m experiments"), line
        command = re.match(r"  python -m experiments\.?([\w ]*)", line)
        assert command is not None
        words = command[1].split()
        assert words == [] or words[0] in COMMANDS
    assert max(map(len, shown.splitlines())) <= 120


def test_options_are_in_groups_and_the_common_ones_come_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = re.findall(r"^([\w ,]+):$", help_of("train", monkeypatch, capsys), re.MULTILINE)
    assert groups == [
        "options", "the network", "training", "your own data, instead of the digits", "output and device", "examples",
    ]  # fmt: skip
    shown = help_of("sweep run", monkeypatch, capsys)
    assert shown.index("which networks") < shown.index("training:") < shown.index("output and device:")


@pytest.mark.parametrize(("main", "shown"), [(sweep.main, "report"), (benchmark.main, "estimator")])
def test_without_an_action_a_command_shows_what_there_is(
    main: Main, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 2
    said = capsys.readouterr()
    assert said.err == ""
    assert shown in said.out
    assert "examples:" in said.out


@pytest.mark.parametrize(
    ("words", "widths"),
    [
        (["20", "10"], (20, 10)), (["20,10"], (20, 10)), (["20,10", "5"], (20, 10, 5)), (["7"], (7,)), ([], ()),
        (["none"], ()), (None, (3,)),
    ],
)  # fmt: skip
def test_hidden_layers_may_have_blanks_or_commas_between_them(words: list[str] | None, widths: tuple[int, ...]) -> None:
    parser = parsing.Parser("x")
    parsing.add_hidden(parser, (3,))
    assert parser.parse_args([] if words is None else ["--hidden", *words]).hidden == widths


@pytest.mark.parametrize("words", [["20;10"], ["20,"], ["a"], ["20", "none"], ["2.5"]])
def test_widths_that_are_no_numbers_are_told_in_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = parsing.Parser("x")
    parsing.add_hidden(parser, (3,))
    with pytest.raises(SystemExit) as end:
        parser.parse_args(["--hidden", *words])
    assert end.value.code == 2
    said = f"x: error: --hidden is {' '.join(words)!r}, expected whole numbers, as 20 10 or 20,10\n"
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("train", ["--epochs", "1e3"], "--epochs is '1e3', expected a whole number"),
        ("train", ["--learning-rate", "0,2"], "--learning-rate is '0,2', expected a number"),
        ("sweep run", ["--epochs", "2.5"], "--epochs is '2.5', expected a whole number"),
        ("benchmark sweep", ["--networks", ""], "--networks is '', expected a whole number"),
        ("train", ["--epochs"], "argument --epochs: expected one argument"),
    ],
)
def test_what_is_no_number_is_told_as_all_else_is(
    name: str, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        COMMANDS[name](words)
    assert end.value.code == 2
    assert capsys.readouterr() == ("", f"python -m experiments.{name}: error: {said}\n")


def test_a_description_without_commands_has_no_examples() -> None:
    parser = parsing.Parser("x", "What it does.")
    assert parser.epilog is None
    assert isinstance(parser, argparse.ArgumentParser)
    assert parser.description == "What it does.\n\nDefaults are in brackets."
