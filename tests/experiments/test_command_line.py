"""What commands share: exit codes, one-line errors, files written whole, tables."""

import errno
import gc
import io
import json
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import experiments.__main__ as lecture
from experiments import benchmark, digits_gallery, gradient_check, predict, sensitivity, sweep, train, width_or_luck
from experiments.benchmarks import classifier_time, gpu_time, start_time, sweep_time, training_time
from experiments.support import command_line, parsing
from jaxmlp import InputError, Model, load, runtime
from tests.commands import catch_writes
from tests.helpers import assert_agree, benchmark_main, random_params, rejects

Main = Callable[[list[str]], int]
COMMANDS: dict[str, tuple[Main, list[str]]] = {
    "experiments": (lecture.main, []),
    "experiments.train": (train.main, []),
    "experiments.digits_gallery": (digits_gallery.main, []),
    "experiments.gradient_check": (gradient_check.main, []),
    "experiments.predict": (predict.main, ["model"]),
    "experiments.sensitivity": (sensitivity.main, []),
    "experiments.sweep": (sweep.main, ["run"]),
    "experiments.sweep report": (sweep.main, ["report"]),
    "experiments.width_or_luck": (width_or_luck.main, []),
    "experiments.benchmark estimator": (benchmark_main("estimator"), []),
    "experiments.benchmark sweep": (benchmark_main("sweep"), []),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_computes_on_the_device_it_is_asked_for(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def call(_: Callable[[], int], device: str = "auto") -> int:
        asked.append(device)
        return 2

    monkeypatch.setattr(command_line, "call", call)
    main, arguments = COMMANDS[name]
    for option, device in (([], "auto"), (["--device", "gpu"], "gpu"), (["--device", "cpu"], "cpu")):
        for given in ([*arguments, *option], [*option, *arguments]):
            assert main(given) == 2
            assert asked.pop() == device
    assert capsys.readouterr() == ("", "")


def test_the_garbage_collector_looks_rarely_while_a_command_runs_and_then_as_before() -> None:
    before, within = gc.get_threshold(), list[tuple[int, int, int]]()

    def body() -> int:
        within.append(gc.get_threshold())
        if len(within) > 1:
            raise InputError("x is 1, expected 2")
        return 0

    assert (command_line.call(body), command_line.call(body)) == (0, 2)
    assert within == [(command_line.GARBAGE_THRESHOLD, *before[1:])] * 2
    assert gc.get_threshold() == before
    assert before[0] < command_line.GARBAGE_THRESHOLD


def test_ctrl_c_while_the_garbage_collector_works_ends_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    pressed: list[str] = []

    def interrupted(phase: str, _: dict[str, int]) -> None:  # as a person who presses the keys at that moment
        if phase == "stop" and not pressed:
            pressed.append(phase)
            signal.raise_signal(signal.SIGINT)

    def body() -> int:
        gc.callbacks.append(interrupted)
        try:
            gc.collect()
        finally:
            gc.callbacks.remove(interrupted)
        for _ in range(1000):
            time.sleep(0.01)
        return 0

    assert command_line.call(body) == command_line.INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_ends_a_command_at_once_and_a_handler_of_somebody_else_stays() -> None:
    def body() -> int:
        signal.raise_signal(signal.SIGINT)
        return 0

    assert command_line.call(body) == command_line.INTERRUPTED
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        assert command_line.call(body) == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(command_line.call(lambda: 0)))
    thread.start()
    thread.join()
    assert codes == [0]


def test_the_device_is_chosen_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def choose(device: str) -> None:
        raise InputError(f"{device} is not there")

    monkeypatch.setattr(runtime, "choose_device", choose)
    done: list[int] = []
    for device in ("gpu", "cpu"):
        assert command_line.call(lambda: done.append(1) or 0, device) == 2
        assert capsys.readouterr() == ("", f"error: {device} is not there\n")
    assert done == []
    assert command_line.call(lambda: done.append(1) or 0) == 0  # JAX's own choice: it need not be opened for it
    assert done == [1]


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [(InputError("x is 1"), 2, "error: x is 1\n"), (KeyboardInterrupt(), 130, "interrupted\n"), (None, 7, "")],
)
def test_a_commands_end_is_its_exit_code_and_at_most_one_line(
    raised: BaseException | None, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def body() -> int:
        if raised:
            raise raised
        return 7

    assert command_line.call(body) == code
    assert capsys.readouterr() == ("", said)


def test_other_errors_are_not_hidden() -> None:
    def body() -> int:
        raise ValueError("a fault of ours")

    with pytest.raises(ValueError, match="ours"):
        command_line.call(body)


def test_a_reader_that_has_gone_ends_a_command_with_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def body() -> int:
        raise BrokenPipeError

    with open(tmp_path / "pipe", "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert command_line.call(body) == 1
        pipe.write("lost")
    assert (tmp_path / "pipe").read_text() == ""


def test_after_ctrl_c_a_command_leaves_at_once_and_otherwise_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    frozen: list[None] = []
    monkeypatch.setattr(command_line.os, "_exit", left.append)
    monkeypatch.setattr(command_line.gc, "freeze", lambda: frozen.append(None))
    for code in (0, 1, 2, 130):
        with pytest.raises(SystemExit) as stop:
            command_line.leave(code)
        assert stop.value.code == code
    assert left == [130]
    assert len(frozen) == 4


@pytest.mark.parametrize(
    ("running", "expected"),
    [
        (False, {"sizes": (64, 3, 10), "batch_size": 4, "cache": True}),
        (True, {}),
    ],
)
def test_a_command_prepares_jax_for_its_network_unless_it_already_runs(
    running: bool, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    configured: list[Any] = []
    monkeypatch.setattr(runtime, "started", lambda: running)
    monkeypatch.setattr(runtime, "configure", lambda *values, **named: configured.append((values, named)))
    command_line.prepare("float32", (64, 3, 10), 4, True)
    assert configured == [(("float32",), expected)]


def test_a_parser_has_the_folder_of_its_module_and_a_wrong_argument_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = parsing.parser("experiments.predict", "about")
    parsing.add_no_cache(made)
    assert vars(made.parse_args([])) == {"out": "runs/predict", "device": "auto", "no_cache": False}
    given = made.parse_args(["--out", "a", "--device", "cpu", "--no-cache"])
    assert vars(given) == {"out": "a", "device": "cpu", "no_cache": True}
    assert parsing.parser("experiments", None).parse_args([]).out == "runs/lecture"
    assert parsing.parser("experiments.a", None, "runs/b").parse_args([]).out == "runs/b"
    with pytest.raises(SystemExit) as stop:
        made.parse_args(["--dev", "cpu"])  # no abbreviations: an option to come may begin alike
    assert stop.value.code == 2
    said = "unrecognized arguments: --dev cpu; --help lists the options"
    assert capsys.readouterr().err == f"python -m experiments.predict: error: {said}\n"


def test_what_is_written_is_read_again_and_replacing_is_told(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text("earlier")
    model = Model(random_params(0, (3, 2)), "tanh")
    figure = Figure(figsize=(2, 1))
    files = {"a.png": figure, "b.json": {"x": [1, None]}, "c.safetensors": model, "d.csv": "é\r\n"}
    said = command_line.write(tmp_path, files)
    names = ", ".join(str(tmp_path / name) for name in files)
    assert said == f"wrote {names} (replacing an earlier b.json)"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "b.json").read_text()) == {"x": [1, None]}
    assert (tmp_path / "b.json").read_text().endswith("}\n")
    assert (tmp_path / "d.csv").read_bytes() == "é\r\n".encode()
    found = load(tmp_path / "c.safetensors")
    assert isinstance(found, Model)
    assert_agree(found.params, model.params)
    assert command_line.write(tmp_path, {"e.txt": ""}) == f"wrote {tmp_path / 'e.txt'}"


def test_an_output_folder_is_made_with_those_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    assert command_line.output_folder(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    assert command_line.output_folder(str(tmp_path / "a" / "b")).is_dir()
    assert not list((tmp_path / "a" / "b").iterdir())
    with monkeypatch.context() as patched, rejects("expected a folder that can be written to (Permission denied)"):
        patched.setattr(command_line.tempfile, "TemporaryFile", refuse)
        command_line.output_folder(str(tmp_path))
    (tmp_path / "file").touch()
    with rejects(f"--out is {str(tmp_path / 'file')!r}, expected a folder that can be written to (File exists)"):
        command_line.output_folder(str(tmp_path / "file"))


def test_positive_begins_at_1() -> None:
    assert command_line.positive("seeds", 1) == 1
    with rejects("seeds is 0, expected 1 or more"):
        command_line.positive("seeds", 0)


def test_json_has_null_for_what_is_not_finite() -> None:
    assert command_line.finite_or_none(np.array([1.5, np.nan, np.inf, -np.inf, 0])) == [1.5, None, None, None, 0.0]


def test_columns_are_aligned_the_first_and_last_to_the_left() -> None:
    text = command_line.table(("name", "n", "words"), [("a", "10", "x"), ("longer", "2", "yy")])
    assert text.splitlines() == ["name     n  words", "------  --  -----", "a       10  x", "longer   2  yy"]


def test_lines_are_shown_unless_quiet_and_progress_passes_every_item(capsys: pytest.CaptureFixture[str]) -> None:
    command_line.show("seen")
    command_line.show("hidden", quiet=True)
    assert list(command_line.progress("abc", "letter")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("seen\n", "")


def test_the_benchmark_named_first_gets_the_other_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = {
        "start": start_time, "training": training_time, "sweep": sweep_time, "estimator": classifier_time,
        "gpu": gpu_time,
    }  # fmt: skip
    assert list(modules) == list(benchmark.BENCHMARKS)
    for what, module in modules.items():
        option = benchmark.BENCHMARKS[what].options[-1][0]
        monkeypatch.setattr(module, "command", lambda options, option=option: getattr(options, option))
        assert benchmark.main([what, f"--{option}", "7"]) == 7
    with pytest.raises(SystemExit) as stop:
        benchmark.main(["z"])
    assert stop.value.code == 2


def test_the_gallery_prints_the_first_image_and_draws_ten(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = catch_writes(monkeypatch)
    assert digits_gallery.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "images: (1797, 8, 8), labels: (1797,)", "image 0, a 0, as numbers:",
        "[[ 0  0  5 13  9  1  0  0]", " [ 0  0 13 15 10 15  5  0]",
    ]  # fmt: skip
    assert lines[10] == "first ten targets: [0 1 2 3 4 5 6 7 8 9]"
    axes = files["digits.png"].axes
    assert [each.get_title() for each in axes] == [*"0123456789"]
    np.testing.assert_array_equal(axes[0].images[0].get_array()[0], [0, 0, 5, 13, 9, 1, 0, 0])
    buffer = io.BytesIO()
    files["digits.png"].savefig(buffer, format="png")
    assert buffer.tell() > 5_000


FOLDER = Path(lecture.__file__).parent
WRONG = {
    "__main__": ["--out", __file__], "benchmark": ["gpu", "--device", "cpu"], "bottleneck": ["--learning-rate", "nan"],
    "digits_gallery": ["--out", __file__], "gpu_report": ["--networks", "0"], "gradient_check": ["--batch-size", "0"],
    "one_hidden_layer": ["--epochs", "0"], "page": ["nothing"], "predict": ["nothing"], "sensitivity": ["--twins", "1"],
    "sweep": ["report", "--database", "nothing"], "train": ["--hidden", "0"], "two_hidden_layers": ["--seed", "-1"],
    "width_or_luck": ["--seeds", "1"],
}  # fmt: skip


def test_each_module_of_the_folder_is_a_command_and_there_is_nothing_else_in_it() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} == set(WRONG)
    folders = {"actions", "benchmarks", "gradient_cases", "images", "page_parts", "support", "sweep_actions"}
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} - {"__pycache__"} == folders


@pytest.mark.parametrize("module", WRONG)
def test_a_module_run_by_its_name_ends_with_its_commands_exit_code(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [module, *WRONG[module]])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(FOLDER / f"{module}.py"), run_name="__main__")
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")


# Where a command cannot print or compute, and where nobody watches.


class Full(io.StringIO):
    """A standard output that takes no more."""

    def __init__(self, path: Path, fails: str) -> None:
        super().__init__()
        self.file, self.fails = open(path, "w"), fails  # noqa: SIM115 - closed by the test

    def write(self, _: str) -> int:
        if self.fails == "write":
            raise OSError(errno.ENOSPC, "No space left on device")
        return 0

    def flush(self) -> None:
        if self.fails == "flush":
            raise OSError(errno.ENOSPC, "No space left on device")

    def fileno(self) -> int:
        return self.file.fileno()


@pytest.mark.parametrize("fails", ["write", "flush"])
def test_a_full_standard_output_is_one_line_and_exit_2(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Full(tmp_path / "out", fails)
    monkeypatch.setattr(sys, "stdout", out)
    assert command_line.call(lambda: print("a line") or 0) == 2
    said = "error: the standard output takes no more (No space left on device), expected room there\n"
    assert capsys.readouterr().err == said
    out.file.close()


def test_an_error_of_a_file_is_not_taken_for_one_of_the_output(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        command_line.call(lambda: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space", str(tmp_path))))


@pytest.mark.parametrize("error", [RuntimeError("Unable to initialize backend"), AssertionError()])
def test_a_platform_that_is_not_there_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def body() -> int:
        raise error

    with pytest.raises(type(error)):
        command_line.call(body)
    monkeypatch.setattr(runtime, "platforms_missing", lambda: "cuda")
    assert command_line.call(body) == 2
    said = "error: JAX_PLATFORMS is 'cuda', but JAX finds no such device, expected cpu\n"
    assert capsys.readouterr().err == said


def test_a_log_gets_a_line_every_ten_seconds_and_none_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(command_line.time, "monotonic", lambda: clock[0])
    with command_line.bar(4096, "trial") as progress:
        for now in (1.0, 9.9, 12.0, 13.0, 21.9, 22.0):
            clock[0] = now
            progress.update(100)
    assert capsys.readouterr().err.splitlines() == [
        "300 of 4096 trials, 00:12 so far, about 02:31 left", "600 of 4096 trials, 00:22 so far, about 02:08 left",
    ]  # fmt: skip


def test_files_of_an_earlier_run_that_would_show_something_else_are_removed(tmp_path: Path) -> None:
    for name in ("old.png", "kept.png", "mine.txt"):
        (tmp_path / name).write_text("earlier")
    said = command_line.write(tmp_path, {"a.json": {}, "kept.png": Figure()}, ("old.png", "kept.png", "never.png"))
    assert said.endswith("(replacing an earlier kept.png, removing an earlier old.png)")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "kept.png", "mine.txt"]
