"""What the GPU report reads from compiled programs; an H100's, where plugin and assembler are installed."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from experiments import actions, gpu_report
from experiments.support import fused_compile, gpu_compile
from jaxmlp.runtime import install_command
from tests.helpers import rejects

needs_gpu_compiler = pytest.mark.skipif(sys.platform == "darwin", reason="Warp has no compiler for GPUs on macOS")
installed = {distribution.name for distribution in metadata.distributions()}
# An assembler on the PATH may be older than Warp's PTX.
needs_extra = pytest.mark.skipif(
    not {"jax-cuda13-plugin", "nvidia-cuda-nvcc"} <= installed, reason="needs jaxmlp[gpu-report]"
)

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
    assert said.startswith("error: jax-cuda13-plugin is missing, expected beside jax")
    assert install_command("gpu-report") in said
    monkeypatch.setattr(gpu_compile.metadata, "version", lambda _: "0.1")  # pyright: ignore[reportUnknownArgumentType]
    with rejects("jax-cuda13-plugin is 0.1, expected jax's own version"):
        gpu_compile.h100()
    assert not list(tmp_path.iterdir())


def test_without_an_assembler_nothing_is_said_of_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_compile, "ptxas", lambda: None)
    assert gpu_compile.assembled([]) is None
    row = {"kernels": None}
    assert actions.gpu_report.on_chip(row) == "no ptxas"


def test_programs_are_timed_on_the_device_there_is() -> None:
    one, *_ = actions.gpu_report.tasks((64, 3, 10), 2)
    assert actions.gpu_report.measured(one, 1) > 0


PTX = """\
.visible .entry epochs(
$L__BB0_1:
mov.f32 %f1, 0f00000000;
$L__BB0_2:
ld.global.f32 %f2, [%rd1];
mov.b32 %r1, %f2;
bar.sync 0;
@%p1 bra $L__BB0_4;
bra.uni $L__BB0_3;
$L__BB0_3:
add.f32 %f3, %f2, %f2;
add.f32 %f3, %f3, %f2;
add.f32 %f3, %f3, %f2;
bra.uni $L__BB0_5;
$L__BB0_4:
@%p3 mov.f32 %f3, %f2;
st.local.f32 [%rd2], %f3;
$L__BB0_5:
bar.sync 0;
@%p2 bra $L__BB0_2;
bar.sync 0;
@%p4 bra $L__BB0_1;
ret;
"""


def test_of_the_fused_kernels_ptx_the_loop_of_one_update_is_read_along_its_shorter_branch() -> None:
    loop = fused_compile.update_loop(PTX)
    assert loop[0] == "$L__BB0_2:"
    assert loop[-1] == "@%p2 bra $L__BB0_2;"
    assert sum("bar.sync" in line for line in loop) == 2
    # Load, barrier, branch; store in local memory; barrier, branch: register moves are no work.
    assert fused_compile.fewest(loop) == 6
    # With a longer way past the store, the other one is shorter: branch, three additions, branch.
    assert fused_compile.fewest([*loop[:12], *["st.local.f32 [%rd2], %f3;"] * 9, *loop[12:]]) == 10


@needs_gpu_compiler
def test_the_fused_kernel_is_compiled_for_four_architectures_without_local_memory(tmp_path: Path) -> None:
    files = fused_compile.ptx((64, 20, 10), (75, 86, 90, 100), tmp_path)
    assert list(files) == [75, 86, 90, 100]
    for architecture, path in files.items():
        text = path.read_text()
        assert f".target sm_{architecture}" in text
        assert text.count(".entry") == 1
        assert not [line for line in text.splitlines() if ".local" in line.split("//")[0]]
        loop = fused_compile.update_loop(text)
        assert sum("bar.sync" in line for line in loop) == 2
        # Each thread multiplies and adds 64 weights forward and 64 in the update, at least.
        assert 128 < fused_compile.fewest(loop) < 1000


@needs_gpu_compiler
def test_without_an_assembler_the_ptx_is_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_compile, "ptxas", lambda: None)
    (found,) = fused_compile.compiled((5, 3), (90,))
    assert (found.card, found.threads, found.registers, found.bound_seconds) == ("H100", 32, None, None)
    assert "no ptxas" in actions.gpu_report.fused_table([{**found._asdict(), "measured_seconds": None}])


def test_an_assembler_that_is_too_old_and_networks_too_large_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old, kernel = tmp_path / "ptxas", tmp_path / "kernel.ptx"
    old.write_text("#!/bin/sh\necho 'fatal : Unsupported .version 9.4' >&2\nexit 255\n")
    old.chmod(0o755)
    kernel.write_text(PTX)
    monkeypatch.setattr(fused_compile, "ptxas", lambda: str(old))
    with rejects("does not take the PTX (fatal : Unsupported .version 9.4), expected the one of CUDA 13.4 or newer"):
        fused_compile.read(90, kernel, 32)
    with rejects("64-600-600-10 takes"):
        fused_compile.ptx((64, 600, 600, 10), (90,), tmp_path)


@pytest.mark.slow
@needs_extra
def test_assembled_the_fused_kernel_spills_nothing_and_its_bound_is_a_nanosecond() -> None:
    for found in fused_compile.compiled((64, 20, 10), (75, 86, 90, 100)):
        assert (found.spilled, found.local) == (0, 0)
        assert found.registers is not None
        assert found.at_a_time is not None
        assert found.bound_seconds is not None
        assert 96 < found.registers <= 255
        assert found.at_a_time == 65536 // (32 * -(-found.registers // 8) * 8)
        if found.architecture == 90:
            assert found.bound_seconds < 1e-9


@pytest.mark.slow
@needs_extra
def test_the_whole_report_of_two_scans_and_three_architectures(tmp_path: Path) -> None:
    call = [sys.executable, "-m", "experiments.gpu_report", "--networks", "512", "--out", str(tmp_path)]
    said = subprocess.run(call, check=True, capture_output=True, text=True).stdout
    report = json.loads((tmp_path / "gpu_report.json").read_text())
    assert [row["program"] for row in report["scan"]] == ["one network", "512 by the scan"]
    assert report["scan"][1]["inner"] >= 10
    assert [row["architecture"] for row in report["fused"]] == [75, 90, 100]
    assert all(row["measured_seconds_per_update"] is None for row in report["scan"])
    assert all(row["measured_seconds"] is None for row in report["fused"])
    assert "H100 (sm_90)" in said


def test_the_tables_show_each_number_in_its_column() -> None:
    kernels = [{"name": "a", "registers": 16, "spilled": 8}, {"name": "b", "registers": 64, "spilled": 4}]
    row = {
        "program": "one network", "launches_per_epoch": 17982, "inner": 12, "arguments": 3 * 2**20, "outputs": 2**19,
        "temporary": 2**18, "bytes_per_update": 1536, "bound_seconds_per_update": 2.5e-6, "kernels": kernels,
        "blocks": {"a": (512, 0), "b": (32, 1024)}, "measured_seconds_per_update": 1.25e-5,
    }  # fmt: skip
    # The larger of 16 registers of 4 bytes in 512 threads and of 64 in 32 beside 1,024 bytes: 32 KiB and 9.
    cells = "one network 17,982 12 32.0 KiB 12 B 3.5 0.25 1.5 2.500 12.500"
    without = {**row, "kernels": None, "measured_seconds_per_update": None}
    lines = actions.gpu_report.table([row, without]).splitlines()
    assert " ".join(lines[2].split()) == cells
    assert " ".join(lines[3].split()) == "one network 17,982 12 no ptxas no ptxas 3.5 0.25 1.5 2.500 no GPU"
    fused = {
        "architecture": 90, "card": "H100", "threads": 32, "registers": 168, "spilled": 4, "shared": 128, "local": 2,
        "barriers": 3, "instructions": 1748, "at_a_time": 12, "bound_seconds": 7.2e-10, "measured_seconds": 1.46e-9,
    }  # fmt: skip
    bare = {**fused, "registers": None, "bound_seconds": None, "measured_seconds": None}
    lines = actions.gpu_report.fused_table([fused, bare]).splitlines()
    # An H100 has 132 multiprocessors: 1,584 networks at a time.
    assert " ".join(lines[2].split()) == "H100 (sm_90) 32 168 4 B 2 128 B 3 1,748 12, 1,584 0.00072 0.00146"
    nothing = "no ptxas no ptxas 2 no ptxas 3 1,748 no ptxas no ptxas no GPU"
    assert " ".join(lines[3].split()) == f"H100 (sm_90) 32 {nothing}"


def test_a_bound_is_the_longer_of_moving_and_computing() -> None:
    found = gpu_compile.Compiled(0, 0, {}, 0, 0, 0, 3000, None)
    # Weights of 2-3-4: 6 + 12 = 18; six operations of each in every network.
    assert actions.gpu_report.bound(found, (2, 3, 4), 1) == (3000, 3000 / gpu_compile.BANDWIDTH)
    assert actions.gpu_report.bound(found, (2, 3, 4), 10**9) == (3000, 6 * 18 * 10**9 / gpu_compile.FLOPS)


def test_the_tasks_are_one_network_and_a_sweep_by_either_program() -> None:
    assert [(task.name, task.networks) for task in actions.gpu_report.tasks((64, 3, 10), 2048)] == [
        ("one network", 1), ("2,048 by the scan", 2048), ("2,048 by the fused kernel", 2048),
    ]  # fmt: skip
    assert [actions.gpu_report.microseconds(each, 2) for each in (None, 1.5e-6)] == ["no GPU", "1.50"]
