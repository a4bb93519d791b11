"""The sweep's fused engine equals its scan; and sweeps on more devices or processes give the same."""

import concurrent.futures
import dataclasses
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from experiments import sweep
from jaxmlp.choices import ENGINES
from jaxmlp.engine import layout, program
from jaxmlp.runtime import install_command
from jaxmlp.sweep import Trial, make_space, reading, run_sweep, store, trials
from jaxmlp.sweep.blocks import Data, block_training, data_hash, hold_out, pack, refusal, train_block, train_trial
from tests.helpers import MISSING_WARP, assert_agree, random_dataset, rejects, without_warp

LANES = layout.LANES["cpu"]


@pytest.fixture(scope="module")
def doubles() -> Data:
    return jax.tree.map(np.asarray, hold_out(random_dataset(5, 24), 6))


def test_a_trial_of_the_fused_engine_equals_the_scans(doubles: Data) -> None:
    trial = Trial((6,), "relu", 2, "adam", 0.01, None, 0.001)
    # Optax raises Adam's constants to a power of its count, an integer.
    with jax.numpy_dtype_promotion("standard"):
        (params, outcome), (expected, scanned) = (
            train_trial(trial, 2, doubles, engine) for engine in ("fused", "scan")
        )
    assert_agree(jax.tree.map(np.asarray, params), jax.tree.map(np.asarray, expected), 1e-11)
    assert_agree(outcome[1:4], scanned[1:4], 1e-11)
    assert (outcome.status, *outcome[4:]) == (scanned.status, *scanned[4:])


def test_the_fused_engine_alone_calls_the_kernel(doubles: Data) -> None:
    called: dict[str, bool] = {}
    for engine in ENGINES:
        (block,) = pack([Trial((5, 3), "tanh", 4)], doubles, LANES, engine)
        mesh = layout.device_mesh()
        laid_out = layout.lay_out(1, 2, LANES, mesh)
        placed, orders = block_training.place(block, doubles, laid_out), np.zeros((2, LANES, 18), np.int32)
        shared = doubles.dataset, np.int32(0)
        lowered = program.run_block.lower(*placed, orders, laid_out.counts, shared, block.config, mesh)
        called[engine] = "epochs_kernel" in lowered.as_text()
    assert called == {"scan": False, "fused": True}


@pytest.mark.slow
def test_the_engines_stop_the_same_trials_and_each_group_follows_its_own_order(doubles: Data) -> None:
    calm = [Trial((width,), "identity", 3, "sgd", 0.05, seed=seed) for seed in (1, 2) for width in range(1, 9)]
    crowd = [*calm, *(dataclasses.replace(trial, learning_rate=10.0 ** (20 * trial.hidden[0])) for trial in calm)]
    found = {
        engine: [train_block(block, 3, doubles) for block in pack(crowd, doubles, LANES, engine)]
        for engine in ("scan", "fused")
    }
    assert {block.config.engine for block in pack(crowd, doubles, LANES, "fused")} == {"fused"}
    statuses = [[outcome.status for outcomes in trained for outcome in outcomes] for trained in found.values()]
    assert statuses[0] == statuses[1]
    assert 4 < statuses[0].count("diverged") <= 16
    for fused, scanned in zip(found["fused"][0], found["scan"][0], strict=True):
        if scanned.status == "done" and np.max(scanned.loss) < 10:
            assert_agree(fused.loss, scanned.loss, 1e-9)


def test_what_the_kernel_cannot_train_is_left_to_the_scan_with_a_notice(doubles: Data) -> None:
    wanted = [Trial((20,)), Trial((20,), optimizer="adam", learning_rate=0.01), Trial((64, 512))]
    packed = list(pack(wanted, doubles, LANES, "fused"))
    assert [block.config.engine for block in packed] == ["fused", "fused", "scan"]
    pattern = r"4-64-512-3 takes [\d,]+ numbers of 4 bytes in a thread of"
    assert re.match(pattern, refusal(packed[2].config, doubles) or "")
    with rejects("engine is 'diesel', expected one of scan, fused"):
        list(pack(wanted, doubles, LANES, "diesel"))


def test_without_warp_the_command_names_the_extra_and_leaves_no_database(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    without_warp(monkeypatch, MISSING_WARP)
    database = tmp_path / "sweep.sqlite"
    assert sweep.main(["run", "--hidden", "3", "--engine", "fused", "--database", str(database)]) == 2
    told = capsys.readouterr().err
    assert told == (
        f"error: the fused engine needs NVIDIA Warp, which is not installed, expected: {install_command('fused')}\n"
    )
    assert not list(tmp_path.iterdir())


def sweep_process(path: Path, devices: int, *others: str) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if name[:4] != "JAX_"}
    environment |= {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}
    call = [sys.executable, "-m", "tests.sweep_process", str(path), *others]
    return subprocess.Popen(call, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(child: "subprocess.Popen[str]") -> list[int]:
    """The numbers it printed: devices, devices of its own, processes."""
    said, errors = child.communicate(timeout=600)
    assert child.returncode == 0, errors
    return [int(word) for word in said.splitlines()[-1].split()]  # Gloo prints its own lines before


def records(database: Path) -> list[dict[str, object]]:
    rows = [{name: row[name] for name in row if name != "seconds"} for row in trials(database)]
    with store.opened(database) as connection:
        (found,) = store.find_sweeps(connection)
        return [{**row, "curves": reading.curves_of(connection, found, str(row["id"]))} for row in rows]


def test_both_engines_fill_the_same_database(doubles: Data, tmp_path: Path) -> None:
    rates = [0.1, 0.5, 1e300]
    space = make_space(
        {
            "hidden": ["3", "6"],
            "activation": ["relu"],
            "optimizer": ["momentum"],
            "learning_rate": rates,
            "seeds": ["0:6"],  # 36 trials: three groups, two of them on one device
        }
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for engine in ENGINES:
        path = tmp_path / engine
        with store.opened(path, write=True) as connection, concurrent.futures.ThreadPoolExecutor(1) as executor:
            identity = store.Identity("both", data_hash(doubles), 3, 0)
            sweep_here, _ = store.begin(connection, identity, space.trials(), {})
            run_sweep(connection, sweep_here, doubles, executor, engine=engine)
        found[engine] = records(path)
    assert {row["status"] for row in found["scan"]} == {"done", "diverged"}
    for scanned, fused in zip(*found.values(), strict=True):
        assert scanned.keys() == fused.keys()
        for name, value in scanned.items():
            if name == "curves" or isinstance(value, float):
                np.testing.assert_allclose(np.array(fused[name], float), np.array(value, float), rtol=1e-9)
            else:
                assert fused[name] == value


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_eight_devices_and_two_processes_give_the_records_of_one(engine: str, tmp_path: Path) -> None:
    assert ended(sweep_process(tmp_path / "one", 1, engine)) == [1, 1, 1]
    expected = records(tmp_path / "one")
    assert len(expected) == 240
    assert {row["status"] for row in expected} == {"done", "diverged"}
    assert ended(sweep_process(tmp_path / "eight", 8, engine)) == [8, 8, 1]
    assert records(tmp_path / "eight") == expected
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    pair = [sweep_process(tmp_path / str(number), 1, engine, address, "2", str(number)) for number in range(2)]
    try:
        for number, child in enumerate(pair):
            assert ended(child) == [2, 1, 2]
            assert records(tmp_path / str(number)) == expected
    finally:
        for child in pair:
            child.kill()
