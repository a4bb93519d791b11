import json
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jaxlib
import numpy as np
import optax
import pytest
import sklearn

import jaxmlp
from jaxmlp import Hyperparameters, TrainingConfig, automatic_gradient, hand_derived_gradient, runtime
from jaxmlp.lecture import initial_state, train_epochs
from jaxmlp.runtime import (
    cache_folder,
    compilation,
    configure,
    configure_sweep,
    device,
    environment,
    install_command,
    loop_options,
    merge_flags,
)
from tests.helpers import fresh_python, random_dataset, random_params, rejects


def test_float64_turns_on_64_bits_in_a_fresh_process_and_float32_changes_nothing() -> None:
    program = """if True:
        import jax, jaxmlp
        from jaxmlp.runtime import configure
        configure("float32")
        before = jax.config.jax_enable_x64
        configure("float64")
        print(before, jax.config.jax_enable_x64, jaxmlp.load_digits("float64").x_train.dtype)
    """
    assert fresh_python(program) == "False True float64"


@pytest.mark.parametrize("dtype", ["float16", "int32", "banana"])
def test_an_unsupported_dtype_is_rejected_by_name(dtype: str) -> None:
    with rejects(f"dtype is {dtype}, expected float32 or float64"):
        configure(dtype)


def test_the_environment_says_what_a_measurement_needs_and_goes_into_json() -> None:
    found = environment()
    assert json.loads(json.dumps(found)) == found
    versions = {"jax": jax, "jaxlib": jaxlib, "numpy": np, "optax": optax, "scikit-learn": sklearn}
    assert {name: found["versions"][name] for name in versions} == {
        name: module.__version__ for name, module in versions.items()
    }
    assert found["versions"]["python"] == platform.python_version()
    assert found["machine"] == platform.machine()
    assert found["device"] == jax.devices()[0].device_kind
    assert found["devices"] == jax.device_count()
    assert found["platform"] == jax.devices()[0].platform
    assert found["cores"] == os.cpu_count()
    assert found["xla_flags"] == os.environ["XLA_FLAGS"]
    assert all(found.values())


def test_each_fact_of_the_environment_stands_under_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "devices", lambda: [SimpleNamespace(device_kind="kind", platform="gpu")] * 3)
    monkeypatch.setattr(jax, "device_count", lambda: 3)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    monkeypatch.setattr(platform, "system", lambda: "Plan")
    monkeypatch.setattr(platform, "release", lambda: "9")
    found = environment()
    names = ("device", "platform", "devices", "cores", "system")
    assert [found[name] for name in names] == ["kind", "gpu", 3, 7, "Plan 9"]


BIG = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=101728"


def test_one_sample_an_update_gets_loop_options_and_batches_do_not() -> None:
    for sizes in ((64, 20, 10), (64, 20, 20, 2, 10), (64, 512, 10)):
        assert "xla_cpu_small_while_loop_byte_threshold" in loop_options(sizes, 1)
        assert ("xla_cpu_disable_loop_unrolling" in loop_options(sizes, 1)) == (sizes[1] == 20)
        assert not loop_options(sizes, 2)
        assert not loop_options(sizes, 128)
    with rejects("width is 0"):
        loop_options((64, 0, 10), 1)


def test_loops_stay_rolled_where_the_widest_hidden_layer_has_16_to_32_units() -> None:
    def rolled(*sizes: int) -> bool:
        return "xla_cpu_disable_loop_unrolling" in loop_options(sizes, 1)

    assert {width: rolled(64, width, 10) for width in (15, 16, 32, 33)} == {15: False, 16: True, 32: True, 33: False}
    assert rolled(64, 4, 20, 10)
    assert not rolled(64, 20, 40, 10)
    assert not rolled(20, 4, 20)  # inputs and outputs are not hidden
    assert not rolled(20, 20)
    # 3 (4 + 1) + 3 (3 + 1) = 27 parameters: 100,000 + 64 * 27 bytes.
    assert loop_options((4, 3, 3), 1) == {"xla_cpu_small_while_loop_byte_threshold": "101728"}


@pytest.mark.parametrize(
    ("flags", "merged"),
    [
        ("", "--xla_backend_extra_options=a=1,b"),
        ("--xla_dump_to=/x  --y", "--xla_dump_to=/x --y --xla_backend_extra_options=a=1,b"),
        ("--xla_backend_extra_options=c=3,d --y", "--y --xla_backend_extra_options=c=3,d,a=1,b"),
        ("--xla_backend_extra_options=a=9", "--xla_backend_extra_options=a=9,b"),
        ("--xla_backend_extra_options=b,a=9  --y", "--xla_backend_extra_options=b,a=9  --y"),  # theirs, untouched
        ("--xla_backend_extra_options=b --xla_backend_extra_options=c", "--xla_backend_extra_options=b,c,a=1"),
    ],
)
def test_flags_are_merged_and_the_users_win(flags: str, merged: str) -> None:
    assert merge_flags(flags, {"a": "1", "b": ""}) == merged


def test_flags_in_a_file_are_kept(tmp_path: Path) -> None:
    (tmp_path / "flags").write_text("--y\n--z=1\n")
    assert merge_flags(str(tmp_path / "flags"), {"a": "1"}) == "--y --z=1 --xla_backend_extra_options=a=1"


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """JAX's settings that the code under test changes, of a process where JAX has not started; nothing is changed."""
    found: dict[str, Any] = {}
    unset = {"jax_default_matmul_precision": None, "jax_compilation_cache_dir": None}
    monkeypatch.setattr(type(jax.config), "values", jax.config.values | unset)
    monkeypatch.setattr(jax.config, "update", found.__setitem__)
    for module in (compilation, device):
        monkeypatch.setattr(module, "started", lambda: False)
    monkeypatch.setenv("XLA_FLAGS", "")
    return found


def test_each_option_of_configure_changes_its_own_setting_and_no_other(
    changed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    full = {"jax_default_matmul_precision": "highest"}
    kept = {"jax_persistent_cache_min_compile_time_secs": 0.0}
    cases: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("float32", {}, full),
        ("float64", {}, full | {"jax_enable_x64": True}),
        ("float32", {"device": "cpu"}, full | {"jax_platforms": "cpu"}),
        ("float32", {"cache": True}, full | kept | {"jax_compilation_cache_dir": str(tmp_path / "jaxmlp")}),
        ("float32", {"cache": tmp_path / "a"}, full | kept | {"jax_compilation_cache_dir": str(tmp_path / "a")}),
        ("float32", {"cache": str(tmp_path / "b")}, full | kept | {"jax_compilation_cache_dir": str(tmp_path / "b")}),
    ]
    for dtype, options, expected in cases:
        changed.clear()
        configure(dtype, **options)
        assert (changed, os.environ["XLA_FLAGS"]) == (expected, ""), options
    assert {path.name for path in tmp_path.iterdir()} == {"jaxmlp", "a", "b"}


def test_a_device_is_looked_for_by_its_own_name() -> None:
    with rejects("device is 'auto', expected one of cpu, gpu"):
        device.find_device("auto")
    with rejects("device is 'tpu', expected one of auto, cpu, gpu"):
        device.choose_device("tpu")
    assert device.find_device("cpu").platform == "cpu"


def test_sizes_set_flags_for_one_sample_an_update_which_is_the_default_but_none_for_a_gpu(
    changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "find_device", lambda _: None)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    configure("float32", sizes=(4, 3, 3), device="gpu")
    configure("float32", sizes=(4, 3, 3), batch_size=2)
    assert os.environ["XLA_FLAGS"] == ""
    configure("float32", sizes=(4, 3, 3))
    assert os.environ["XLA_FLAGS"] == BIG
    assert "jax_platforms" not in changed


def test_where_the_user_chose_a_precision_or_a_cache_it_stays(
    changed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = {"jax_default_matmul_precision": "tensorfloat32", "jax_compilation_cache_dir": "theirs"}
    monkeypatch.setattr(type(jax.config), "values", jax.config.values | theirs)
    configure("float32", cache=tmp_path / "ours")
    assert changed == {}
    assert not (tmp_path / "ours").exists()


def test_a_cache_that_cannot_be_written_is_warned_about_and_not_used(changed: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match=r"no compilation cache: .*file/cache' cannot be written \(Not a directory\)"):
        configure("float32", cache=tmp_path / "file" / "cache")
    assert "jax_compilation_cache_dir" not in changed


def test_a_sweep_has_a_device_a_core_and_whole_loops_and_the_users_flags_stay(
    changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = "xla_cpu_small_while_loop_byte_threshold=20000000,xla_cpu_disable_loop_unrolling"
    configure_sweep("float64")
    assert os.environ["XLA_FLAGS"].split() == [
        f"--xla_backend_extra_options={options}", "--xla_cpu_prefer_vector_width=512",
        "--xla_cpu_copy_insertion_use_region_analysis=true",
        f"--xla_force_host_platform_device_count={os.cpu_count()}",
    ]  # fmt: skip
    assert changed["jax_enable_x64"] is True
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=7 --xla_cpu_prefer_vector_width=256")
    configure_sweep("float32")
    flags = os.environ["XLA_FLAGS"]
    assert "count=7" in flags
    assert "width=256" in flags
    assert flags.count("device_count") == flags.count("vector_width") == 1
    for module in (compilation, device):
        monkeypatch.setattr(module, "started", lambda: True)
    monkeypatch.setenv("XLA_FLAGS", "--theirs")
    configure_sweep("float64")
    assert os.environ["XLA_FLAGS"] == "--theirs"


def test_flags_in_a_file_that_is_not_there_are_named(changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    del changed
    monkeypatch.setenv("XLA_FLAGS", "/nowhere/flags")
    message = "XLA_FLAGS is '/nowhere/flags', expected flags or a readable file (No such file or directory)"
    with rejects(message):
        configure("float32", sizes=(4, 3, 3))


def test_asking_whether_jax_has_started_changes_nothing() -> None:
    jax.devices()
    before = dict(jax.config.values)
    assert runtime.started()
    assert dict(jax.config.values) == before


def test_flags_are_set_by_configure_not_on_import_and_reach_the_compiler() -> None:
    program = """if True:
        import os, jax, jaxmlp
        from jaxmlp import runtime
        print("XLA_FLAGS" in os.environ, jax.config.jax_compilation_cache_dir, end=" ")
        runtime.configure("float32", sizes=(4, 3, 3), cache=False)
        print(os.environ["XLA_FLAGS"], runtime.started(), end=" ")
        params = jaxmlp.init_params(jax.random.key(0), (4, 3, 3))
        data = jaxmlp.lecture.make_dataset([[0.0] * 4] * 8, [0] * 8, [[0.0] * 4], [0], 3)
        state = jaxmlp.lecture.initial_state(params, jaxmlp.Hyperparameters(), jaxmlp.TrainingConfig())
        orders = jax.numpy.zeros((2, 8), int)
        program = jaxmlp.lecture.train_epochs.lower(
            state, data, orders, jaxmlp.Hyperparameters(), jaxmlp.TrainingConfig(), jaxmlp.automatic_gradient()
        )
        print("xla_cpu_small_call" in program.compile().as_text(), runtime.started())
    """
    assert fresh_python(program) == f"False None {BIG} False True True"


def test_flags_and_device_are_refused_when_jax_already_runs() -> None:
    program = """if True:
        import jax, jaxmlp
        from jaxmlp import runtime
        jax.devices()
        runtime.configure("float32", device=jax.default_backend())  # already so
        runtime.configure("float32", sizes=(64, 20, 10), batch_size=32)  # no flags wanted
        for wanted in ({"sizes": (64, 20, 10)}, {"device": "gpu" if jax.default_backend() == "cpu" else "cpu"}):
            try:
                runtime.configure("float32", **wanted)
            except jaxmlp.InputError as error:
                print(error)
    """
    said = fresh_python(program).splitlines()
    assert said[0] == "JAX already runs, so that compilation flags would be ignored: configure before using it"
    assert "while JAX already runs on" in said[1] or "JAX finds none" in said[1]


def test_a_device_that_does_not_exist_is_rejected_by_name() -> None:
    with rejects("device is 'abacus', expected one of auto, cpu, gpu"):
        configure("float32", device="abacus")


@pytest.mark.parametrize("platforms", ["cpu", "cuda"])
def test_a_gpu_that_is_not_there_is_refused_with_what_to_install(platforms: str) -> None:
    program = f"""if True:
        import os
        os.environ["JAX_PLATFORMS"], os.environ["CUDA_VISIBLE_DEVICES"] = {platforms!r}, ""
        import jax, jaxmlp
        from jaxmlp import runtime
        try:
            runtime.configure("float32", device="gpu", sizes=(64, 20, 10))
        except jaxmlp.InputError as error:
            print(error)
    """
    said = fresh_python(program)
    assert said.startswith("device is 'gpu', but JAX finds none")
    assert install_command("cuda13") in said


def test_devices_and_precision_are_set_before_jax_starts_and_memory_is_left_alone() -> None:
    program = """if True:
        import os, jax
        from jaxmlp import runtime
        before = dict(os.environ)
        runtime.configure("float32", device="cpu")
        print(runtime.started(), jax.config.jax_platforms, jax.config.jax_default_matmul_precision,
              before == dict(os.environ), end=" ")
        jax.config.update("jax_default_matmul_precision", "tensorfloat32")
        runtime.configure("float32", device="auto")
        print(jax.config.jax_default_matmul_precision, jax.default_backend())
    """
    assert fresh_python(program) == "False cpu highest True tensorfloat32 cpu"


def products_for_cuda(function: Any, *arguments: Any) -> list[str]:
    """The matrix products in the program that JAX lowers for CUDA, with CPU packages alone."""
    text = jax.export.export(jax.jit(function), platforms=["cuda"])(*arguments).mlir_module()
    return [line for line in text.splitlines() if "stablehlo.dot_general" in line]


@pytest.mark.parametrize("gradient_function", [automatic_gradient(), hand_derived_gradient()], ids=["jax", "hand"])
def test_training_is_exported_for_cuda_and_at_full_precision_where_configured(
    gradient_function: Any,
) -> None:
    params, data = random_params(0, (4, 5, 3), "float32"), random_dataset(1, 12, "float32")
    rate, config = Hyperparameters(0.1), TrainingConfig(batch_size=4)

    def program(params: Any, orders: Any) -> Any:
        return train_epochs(initial_state(params, rate, config), data, orders, rate, config, gradient_function)

    orders = np.zeros((2, 12), np.int32)
    with jax.default_matmul_precision("default"):
        assert not any("HIGHEST" in product for product in products_for_cuda(program, params, orders))
    with jax.default_matmul_precision("highest"):  # what `configure` sets
        products = products_for_cuda(program, params, orders)
    assert len(products) >= 6
    assert all("precision = [HIGHEST, HIGHEST]" in product for product in products)


TRAIN = """if True:
    import numpy as np, jaxmlp, jax
    from jaxmlp import runtime
    runtime.configure("float64", sizes=(64, 7, 10), cache={cache!r})
    stream = jaxmlp.LectureStream(0)
    params = stream.params((64, 7, 10), "float64")
    params, history = jaxmlp.train(params, jaxmlp.load_digits("float64"), stream.orders(2, 1497))
    print(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves((params, history))).hex())
"""


def training(cache: str | bool) -> tuple[str, str]:
    """What `TRAIN` prints in a fresh process, the bits of its outcome, and what it says on stderr."""
    settings = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS" and name[:4] != "JAX_"}
    program = [sys.executable, "-c", TRAIN.format(cache=cache)]
    done = subprocess.run(program, env=settings, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


@pytest.mark.slow
def test_the_same_bits_with_without_and_from_a_corrupt_cache(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    bits, said = training(cache=False)
    assert said == ""
    assert training(str(folder)) == (bits, "")
    programs = [path for path in folder.iterdir() if "train_epochs" in path.name and path.name.endswith("-cache")]
    assert len(programs) == 1
    before = programs[0].read_bytes()
    assert training(str(folder)) == (bits, "")
    assert programs[0].read_bytes() == before
    for path in folder.iterdir():
        path.write_bytes(b"garbage")
    again, said = training(str(folder))
    assert again == bits
    assert "UserWarning" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_cache_folder_that_cannot_be_written_costs_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bits, said = training(str(tmp_path / "file" / "cache"))
    assert bits == training(cache=False)[0]
    assert said.count("Warning") == 1
    assert "no compilation cache" in said


@pytest.mark.slow
def test_other_flags_are_another_entry_of_the_cache(tmp_path: Path) -> None:
    program = """if True:
        import sys, jax
        from jaxmlp import runtime
        runtime.configure("float32", sizes=(64, 20, 10), batch_size={batch}, cache={cache!r})
        jax.jit(lambda x: jax.lax.fori_loop(0, 9, lambda i, x: x * 2 + i, x))(1.0)
    """
    counts: list[int] = []
    for batch in (1, 32):
        fresh_python(program.format(batch=batch, cache=str(tmp_path)))
        counts.append(len([path for path in tmp_path.iterdir() if path.name.endswith("-cache")]))
    assert counts[1] == 2 * counts[0] > 0


def test_the_cache_lies_in_the_users_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "jaxmlp"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == tmp_path / ".cache" / "jaxmlp"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == tmp_path / "Library" / "Caches" / "jaxmlp"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder() == tmp_path / "local" / "jaxmlp" / "cache"
    monkeypatch.delenv("LOCALAPPDATA")
    assert cache_folder() == tmp_path / "AppData" / "Local" / "jaxmlp" / "cache"


@pytest.mark.parametrize(
    ("url", "installer", "words"),
    [
        ({"url": "file:///my%20code/jaxmlp", "dir_info": {"editable": True}}, "pip", "-e '/my code/jaxmlp[tables]'"),
        ({"url": "file:///code/jaxmlp", "dir_info": {}}, "pip", "'/code/jaxmlp[tables]'"),
        (
            {"url": "https://h/j.git", "vcs_info": {"vcs": "git", "commit_id": "1", "requested_revision": "main"}},
            "uv", "'jaxmlp[tables] @ git+https://h/j.git@main'",
        ),
        (
            {"url": "https://h/j.git", "vcs_info": {"vcs": "git", "commit_id": "1"}}, "pip",
            "'jaxmlp[tables] @ git+https://h/j.git'",
        ),
        ({"url": "https://h/j.whl", "archive_info": {}}, "pip", "'jaxmlp[tables] @ https://h/j.whl'"),
        (None, "pip", "'jaxmlp[tables]'"),
    ],
)  # fmt: skip
def test_what_is_missing_is_installed_as_jaxmlp_was(
    url: Any, installer: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"direct_url.json": url and json.dumps(url), "INSTALLER": f"{installer}\n"}
    found = SimpleNamespace(read_text=files.get)
    monkeypatch.setattr("importlib.metadata.distribution", lambda _: found)
    monkeypatch.setattr("sys.executable", "/py/bin/python")
    how = {"pip": "/py/bin/python -m pip install", "uv": "uv pip install --python /py/bin/python"}[installer]
    assert install_command("tables") == f"{how} {words}"
    assert install_command("", "torch") == f"{how} torch"
    assert install_command("tables", "a==1") == f"{how} {words} a==1"


def test_a_clone_that_was_never_installed_is_installed_from_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.distribution", missing)
    root = Path(jaxmlp.__file__).parents[1]
    assert shlex.split(install_command("tables"))[-2:] == ["-e", f"{root}[tables]"]
