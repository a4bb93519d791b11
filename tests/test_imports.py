"""One walk over every file of the library: who may import whom, and what nobody may do."""

import ast
import importlib
from importlib.metadata import version
from pathlib import Path

import pytest

import jaxmlp
from tests.helpers import fresh_python

LIBRARY = Path(jaxmlp.__file__).parent
EXPERIMENTS = LIBRARY.parent / "experiments"
MODULES = {".".join(path.relative_to(LIBRARY).with_suffix("").parts): path for path in sorted(LIBRARY.rglob("*.py"))}
"""Of a package its door: the stub says which names it has, and where each of them lives."""
# The rooms of the house: each imports from those above it only.
ROOMS = [
    {"checks", "choices", "files", "old_names", "showing", "text_table"},
    {"entrance"},
    {"runtime"},
    {"bundled"},
    {"lecture"},
    {"tables"},
    {"gradient_check"},
    {"engine"},
    {"classifier"},
    {"models"},
    {"figures"},
    {"sweep"},
    {"__init__"},
]
COMMANDS = sorted(path.stem for path in EXPERIMENTS.glob("*.py") if path.stem != "__init__")
ACTIONS = sorted(path.stem for path in (EXPERIMENTS / "actions").glob("[!_]*.py"))
PACKAGES = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
DIFFERENTIATION = {"grad", "value_and_grad", "vjp", "jvp", "jacobian", "jacrev", "jacfwd", "hessian", "linearize"}
BY_HAND = [
    "lecture.backprop", "gradient_check.functions.second_order", "engine.interleaved", "engine.interleaved_sums",
    "engine.fused.kernel", "engine.fused.passes",
]  # fmt: skip
AUTOMATIC = ["lecture.gradients", "gradient_check.functions.automatic", "gradient_check.functions.numerical"]


def imported(path: Path) -> set[str]:
    """The dotted names that a file imports, anywhere in it; a package's door, what its names are imported from."""
    names: set[str] = set()
    if path.name == "__init__.py":
        package = ".".join(path.relative_to(LIBRARY.parent).parent.parts)
        names |= {f"{package}.{name}" for name in door_of(path).values()}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def mentioned(path: Path) -> set[str]:
    """Every identifier in the code of a file, docstrings and comments left out."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names |= {getattr(node, field) for field in ("id", "attr", "name") if isinstance(getattr(node, field, 0), str)}
    return names


def modules_of(names: set[str]) -> set[str]:
    """The modules of the library, without its own name, that hold these dotted names."""
    found = {name.removeprefix("jaxmlp.") for name in names if name.startswith("jaxmlp.")} | (names & {"jaxmlp"})
    parts = [name.split(".") for name in found]
    return {".".join(words[:n]) for words in parts for n in (1, 2, 3, 4) if ".".join(words[:n]) in MODULES or n == 1}


def room_of(module: str) -> int:
    return next(rank for rank, room in enumerate(ROOMS) if module.split(".")[0] in room)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_one_way(module: str) -> None:
    assert module.split(".")[0] in set[str]().union(*ROOMS), f"give {module} its room here"
    theirs = {name for name in modules_of(imported(MODULES[module])) if name.split(".")[0] != module.split(".")[0]}
    assert {name for name in theirs if room_of(name) > room_of(module)} == set()


def test_no_module_waits_for_itself() -> None:
    remaining = {
        name: {other for other in modules_of(imported(path)) if other in MODULES and other != name}
        for name, path in MODULES.items()
    }
    while ready := {name for name, needs in remaining.items() if not needs & remaining.keys()}:
        for name in ready:
            del remaining[name]
    assert remaining == {}, "these import each other in a circle"


@pytest.mark.parametrize("path", [*MODULES.values(), *sorted(EXPERIMENTS.rglob("*.py"))], ids=str)
def test_whoever_is_outside_a_package_comes_through_its_door(path: Path) -> None:
    own = path.relative_to(LIBRARY).parts[0] if path.is_relative_to(LIBRARY) else ""
    past_the_door = {
        name
        for name in modules_of(imported(path))
        if "." in name and name in MODULES and name.split(".")[0] in PACKAGES - {own}
    }
    doors = {package: door_of(LIBRARY / package / "__init__.py") for package in PACKAGES}
    assert {name for name in past_the_door if name.split(".")[1] not in doors[name.split(".")[0]]} == set()
    # Whoever is inside doesn't: the door waits for everything inside.
    inside = {
        ".".join(name.split(".")[1:3]) for name in imported(path) if own in PACKAGES and name[7:].startswith(f"{own}.")
    }
    assert {name for name in inside if name not in MODULES and f"{name}.__init__" not in MODULES} == set()


def door_of(door: Path) -> dict[str, str]:
    """The names of a package and where each lives, below the package, as its stub tells them; none without a stub."""
    stub, names = door.with_suffix(".pyi"), dict[str, str]()
    for node in ast.parse(stub.read_text()).body if stub.exists() else ():
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1, f"{stub} has names of another package"
            names |= {alias.name: f"{node.module}.{alias.name}" if node.module else alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("door", sorted(path.with_suffix(".py") for path in LIBRARY.rglob("__init__.pyi")), ids=str)
def test_a_door_gives_what_its_stub_says(door: Path) -> None:
    package = importlib.import_module(".".join(door.relative_to(LIBRARY.parent).parent.parts))
    for name, place in door_of(door).items():
        module, _, last = f"{package.__name__}.{place}".rpartition(".")
        found = getattr(importlib.import_module(module), last)
        assert getattr(package, name) is found, name
    assert set(package.__all__) == set(door_of(door))
    with pytest.raises(AttributeError):
        package.nothing  # noqa: B018


def test_doors_hold_no_code_of_their_own() -> None:
    stubs = sorted([*LIBRARY.glob("*/**/__init__.pyi"), *EXPERIMENTS.rglob("__init__.pyi")])
    assert len(stubs) > 10
    for stub in stubs:
        _, *code = ast.parse(stub.with_suffix(".py").read_text()).body
        opened = "__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)"
        assert [ast.unparse(line) for line in code] == ["import lazy_loader", opened]


def test_formulas_by_hand_and_automatic_gradients_know_nothing_of_each_other() -> None:
    for module in BY_HAND:
        assert not mentioned(MODULES[module]) & DIFFERENTIATION, module
        assert not modules_of(imported(MODULES[module])) & set(AUTOMATIC), module
    for module in AUTOMATIC:
        assert not modules_of(imported(MODULES[module])) & set(BY_HAND), module
        assert not mentioned(MODULES[module]) & {"delta", "derivative", "hand_derived_gradient"}, module


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_library_neither_prints_nor_parses_nor_reads_the_environment(module: str) -> None:
    roots = {name.split(".")[0] for name in imported(MODULES[module])}
    assert not roots & {"argparse", "experiments", "tests", "tqdm"}
    assert not mentioned(MODULES[module]) & {"print", "stdout", "stderr", "__stdout__", "__stderr__"}
    assert module.startswith("runtime.") or not mentioned(MODULES[module]) & {"environ", "getenv", "putenv"}
    assert module.startswith("figures.") or "matplotlib" not in roots
    assert module.startswith("engine.fused.") or "warp" not in roots


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import jaxmlp", "numpy jax"),
        ("from jaxmlp import train, load_digits, Dataset, check_gradient, load_table, Model, runtime", ""),
        ("from jaxmlp.sweep import results", "jax optax"),
        ("import jaxmlp; jaxmlp.load_digits", ""),
        *((f"import experiments.{name}", "numpy jax tqdm.std") for name in COMMANDS),
        *((f"import experiments.actions.{name}", "") for name in ACTIONS),
        ("import experiments.sweep_actions.report_and_export", "jax"),
        ("import experiments.sweep_actions.running", ""),
    ],
    ids=str,
)
def test_what_is_not_used_is_not_opened(code: str, heavy: str) -> None:
    names = ("sklearn", "pandas", "scipy.stats", "matplotlib", "optuna", "warp", *heavy.split())
    # A tool that measures the tests has modules of its own.
    program = f"""if True:
        import sys
        there = set(sys.modules)
        {code}
        print([name for name in {names} if name in set(sys.modules) - there])
    """
    assert fresh_python(program) == "[]"


def test_a_sweep_in_one_call_opens_few_modules(tmp_path: Path) -> None:
    program = f"""if True:
        import sys
        import jaxmlp
        jaxmlp.runtime.configure_sweep("float32")
        data = jaxmlp.load_digits(n_test=1777)
        assert jaxmlp.sweep.run(data, {{"hidden": 2, "seeds": 1}}, {str(tmp_path / "a.sqlite")!r}, 1, 4).rows
        print(sum(name.split(".")[0] == "jaxmlp" for name in sys.modules))
    """
    assert int(fresh_python(program)) <= 70


def test_importing_jaxmlp_starts_no_backend_and_changes_no_setting() -> None:
    program = """if True:
        import os, sys
        import jax
        before = dict(jax.config.values)
        there = set(sys.modules)  # a tool that measures the tests has modules of its own
        import jaxmlp
        jaxmlp.train, jaxmlp.figures, jaxmlp.tables, jaxmlp.check_gradient, jaxmlp.sweep.results
        heavy = "matplotlib", "sklearn", "pandas"
        loaded = [name for name in heavy if name in sys.modules and name not in there]
        assert dict(jax.config.values) == before
        started = jaxmlp.runtime.started()
        print(started, jax.config.jax_enable_x64, os.environ.get("XLA_FLAGS"), loaded)
        assert dict(jax.config.values) == before  # the question itself leaves nothing behind
    """
    assert fresh_python(program) == "False False None []"


def test_import_jaxmlp_is_enough() -> None:
    program = """if True:
        import jaxmlp
        assert set(jaxmlp.__all__) <= set(dir(jaxmlp))
        print(jaxmlp.sweep.make_space({}).trials()[0].hidden, jaxmlp.figures.curves.__name__)
        assert all(getattr(jaxmlp, name) is not None for name in jaxmlp.__all__)
        print(jaxmlp.MLPClassifier().max_iter, jaxmlp.save.__name__, hasattr(jaxmlp, "nothing"), jaxmlp.__version__)
    """
    assert fresh_python(program).split() == ["(20,)", "curves", "200", "save", "False", version("jaxmlp")]
