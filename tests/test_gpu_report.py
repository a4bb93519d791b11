"""What the GPU report reads from compiled programs; compiling for the H100 itself where the plugin is installed."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from experiments import gpu_compile, gpu_report
from tests.helpers import rejects

SCHEDULE = """\
001: kCopy         [source       | next=003 (1)] kCopy
002: kCustomKernel [source       | next=003 (2)] first grid: [8, 1, 1] threads: [128, 1, 1]  shared_memory: 0 bytes
003: kWhile        [prev=002 (1) | next=010 (1)]
condition:
    004: kCustomKernel [source | sink] test_outer grid: [1, 1, 1] threads: [1, 1, 1]  shared_memory: 0 bytes
  body:
    005: kCustomKernel [source | sink] outer grid: [1, 1, 1] threads: [64, 1, 1]  shared_memory: 0 bytes
    006: kWhile        [prev=005 (1) | sink]
      condition:
          007: kCustomKernel [source | sink] test_inner grid: [1, 1, 1] threads: [1, 1, 1]  shared_memory: 0 bytes
        body:
          008: kCopy [source | sink] kCopy
          009: kCustomKernel [source | sink] inner grid: [1600, 1, 1] threads: [256, 1, 1]  shared_memory: 1024 bytes
010: kCustomKernel [prev=003 (1) | sink] last grid: [8, 1, 1] threads: [128, 1, 1]  shared_memory: 0 bytes
"""
PROGRAM = """\
%pick (p.1: s32[], p.2: f32[100,64]) -> f32[64] {
  %p.2 = f32[100,64]{1,0} parameter(1)
  ROOT %row = f32[1,64]{1,0} dynamic-slice(%p.2, %p.1), dynamic_slice_sizes={1,64}
}

%body (t: (s32[], f32[10,64], f32[100,64])) -> (s32[], f32[10,64], f32[100,64]) {
  %i = s32[] get-tuple-element(%t), index=0
  %w = f32[10,64]{1,0} get-tuple-element(%t), index=1
  %x = f32[100,64]{1,0} get-tuple-element(%t), index=2
  %row.1 = f32[64]{0} fusion(%i, %x), kind=kLoop, calls=%pick
  %w.1 = f32[10,64]{1,0} fusion(%w, %row.1), kind=kLoop, calls=%other
}

ENTRY %main (a: f32[10,64]) -> f32[10,64] {
  %a = f32[10,64]{1,0} parameter(0)
  %loop = (s32[], f32[10,64]{1,0}, f32[100,64]{1,0}) while(%start), condition=%condition, body=%body
}
"""


def test_launches_are_counted_outside_loops_and_in_a_turn_of_the_innermost() -> None:
    outside, inner, blocks = gpu_compile.read_schedule(SCHEDULE)
    assert (outside, inner) == (3, 3)
    assert blocks["inner"] == (256, 1024)
    one = (
        "001: kCustomKernel [source | sink] fused_epochs grid: [9, 1, 1] threads: [128, 1, 1]  shared_memory: 512 bytes"
    )
    assert gpu_compile.read_schedule(one) == (1, 0, {"fused_epochs": (128, 512)})


def test_bytes_of_a_loop_are_those_of_its_operands_and_results_rows_of_a_table_alone() -> None:
    assert gpu_compile.loop_bytes(PROGRAM) == 2 * 256 + (2560 + 256) + 2560
    assert gpu_compile.size_of("(f32[2,3]{1,0}, pred[7], s32[])") == 24 + 7 + 4


def test_without_the_plugin_the_report_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(gpu_compile.metadata, "version", missing)
    assert gpu_report.main(["--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: jax-cuda12-plugin is missing, expected beside jax")
    assert "pip install 'jaxmlp[gpu-report]'" in said
    monkeypatch.setattr(gpu_compile.metadata, "version", lambda _: "0.1")  # pyright: ignore[reportUnknownArgumentType]
    with rejects("jax-cuda12-plugin is 0.1, expected jax's own version"):
        gpu_compile.h100()
    assert not list(tmp_path.iterdir())


def test_without_an_assembler_nothing_is_said_of_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_compile, "ptxas", lambda: None)
    assert gpu_compile.assembled([]) is None
    row = {"kernels": None}
    assert gpu_report.on_chip(row) == "no ptxas"


def test_programs_are_timed_on_the_device_there_is() -> None:
    one, *_ = gpu_report.tasks((64, 3, 10), 2)
    assert gpu_report.measured(one, 1) > 0


@pytest.mark.slow
def test_compiled_for_an_h100_an_epoch_of_the_fused_sweep_is_one_launch_without_spills(tmp_path: Path) -> None:
    try:
        metadata.version("jax-cuda12-plugin")
    except metadata.PackageNotFoundError:
        pytest.skip("needs jaxmlp[gpu-report]")
    rows = {}
    for networks in (512, 1024):
        folder = tmp_path / str(networks)
        call = [sys.executable, "-m", "experiments.gpu_report", "--networks", str(networks), "--out", str(folder)]
        subprocess.run(call, check=True, capture_output=True)
        rows[networks] = json.loads((folder / "gpu_report.json").read_text())["rows"]
    _, scan, fused = rows[1024]
    assert fused["launches_an_epoch"] == 1
    assert scan["inner"] >= 10
    assert fused["temporary"] == 0
    data = rows[512][2]["arguments"] + rows[512][2]["outputs"]
    grown = fused["arguments"] + fused["outputs"]
    parameters = 64 * 20 + 20 + 20 * 10 + 10
    assert grown - data == 512 * (
        4 * (2 * parameters + 20 + 2 + 1) + 2
    )  # two copies, mask, hyperparameters, loss, alive
    if fused["kernels"] is not None:
        assert [(kernel["name"], kernel["spilled"]) for kernel in fused["kernels"]] == [("fused_epochs", 0)]
    assert all(row["measured_seconds_an_update"] is None for row in rows[1024])
