"""What `benchmark gpu` shows, of seconds made up; and which engine a sweep takes by itself."""

import types

import pytest

from experiments import benchmark, benchmark_gpu, sweep
from experiments.benchmark_gpu import LARGE, SMALL, Row
from tests.helpers import MISSING_WARP, without_warp

ROWS = [
    Row(SMALL, "GPU, 2 networks", [4e-3, 1e-3, 2e-3], 1.5, 1000),
    Row(SMALL, "CPU, 2 networks", [8e-3, 8e-3, 8e-3], 0.0, 1000),
    Row(LARGE, "GPU, jaxmlp", [0.5], 2.0, 100),
]


def test_the_table_shows_median_quartiles_and_compiling_by_panel() -> None:
    first, second = benchmark_gpu.table(ROWS).split("\n\n")
    assert first.splitlines()[2].split()[3:] == ["2", "1.5..3", "1.5"]
    assert first.splitlines()[3].split()[3:] == ["8", "8..8", "0.0"]
    assert second.splitlines()[2].split()[2:] == ["5000", "5000..5000", "2.0"]


def test_the_figure_has_a_panel_each_and_marks_the_gpu() -> None:
    figure = benchmark_gpu.draw(ROWS, {"device": "H200", "cores": 16, "processor": "Xeon"})
    small, large = figure.axes
    assert [bar.get_width() for bar in small.patches] == pytest.approx([2.0, 8.0])
    assert [bar.get_width() for bar in large.patches] == pytest.approx([5000.0])
    assert small.patches[0].get_facecolor() == large.patches[0].get_facecolor() != small.patches[1].get_facecolor()
    assert figure.get_suptitle() == "float32, medians: H200 and 16 cores of Xeon"


@pytest.mark.parametrize(
    ("device", "said"), [("auto", "device is 'gpu', but JAX finds none"), ("cpu", "device is 'cpu', expected gpu")]
)
def test_without_a_gpu_there_is_nothing_to_compare(
    device: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert benchmark.main(["gpu", "--device", device]) == 2
    assert said in capsys.readouterr().err


def on(platform: str) -> object:
    """A mesh of devices of a kind that may not be here."""
    devices = types.SimpleNamespace(flat=[types.SimpleNamespace(platform=platform)])
    return lambda: types.SimpleNamespace(devices=devices)


def test_auto_is_the_fused_engine_on_a_gpu_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep.choose_engine("auto") == "scan"
    monkeypatch.setattr(sweep, "device_mesh", on("gpu"))
    assert sweep.choose_engine("auto") == "fused"
    assert sweep.choose_engine("scan") == "scan"
    assert sweep.choose_engine("auto", "dask://here:1") == "scan"
    assert not capsys.readouterr().out
    without_warp(monkeypatch, MISSING_WARP)
    assert sweep.choose_engine("auto") == "scan"
    assert capsys.readouterr().out.startswith("note: the scan trains, slower on a GPU: the fused engine needs NVIDIA")
