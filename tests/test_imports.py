"""One walk over every file of the library: who may import whom, and what nobody may do."""

import ast
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import pytest

import jaxmlp
from tests.helpers import fresh_python

LIBRARY = Path(jaxmlp.__file__).parent
EXPERIMENTS = LIBRARY.parent / "experiments"
MODULES = {".".join(path.relative_to(LIBRARY).with_suffix("").parts): path for path in sorted(LIBRARY.rglob("*.py"))}
# The rooms of the house: each imports from those above it only.
ROOMS = [
    {"checks", "showing"},
    {"data", "network", "losses", "backprop", "gradients", "optimizers", "randomness", "training"},
    {"runtime"},
    {"tables"},
    {"gradient_check"},
    {"checking"},
    {"engine"},
    {"classifier"},
    {"models"},
    {"figures"},
    {"sweep"},
    {"__init__"},
]
PACKAGES = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
DIFFERENTIATION = {"grad", "value_and_grad", "vjp", "jvp", "jacobian", "jacrev", "jacfwd", "hessian", "linearize"}
BY_HAND = [
    "backprop", "checking.second_order", "engine.interleaved", "engine.interleaved_sums",
    "engine.fused.kernel", "engine.fused.passes",
]  # fmt: skip
AUTOMATIC = ["gradients", "checking.automatic", "checking.numerical"]


def imported(path: Path) -> set[str]:
    """The dotted names that a file imports, anywhere in it."""
    names: set[str] = set()
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
    return {".".join(words[:n]) for words in parts for n in (1, 2, 3) if ".".join(words[:n]) in MODULES or n == 1}


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
    doors = {package: mentioned_in_all(LIBRARY / package / "__init__.py") for package in PACKAGES}
    assert {name for name in past_the_door if name.split(".")[1] not in doors[name.split(".")[0]]} == set()
    # Whoever is inside doesn't: the door waits for everything inside.
    inside = {
        ".".join(name.split(".")[1:3]) for name in imported(path) if own in PACKAGES and name[7:].startswith(f"{own}.")
    }
    assert {name for name in inside if name not in MODULES and f"{name}.__init__" not in MODULES} == set()


def mentioned_in_all(door: Path) -> set[str]:
    """The names of a door's ``__all__``."""
    for node in ast.parse(door.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return set(ast.literal_eval(node.value))
    raise AssertionError(f"{door} has no __all__")


def test_doors_are_narrow_and_modules_fit_in_a_head() -> None:
    lines = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {module: n for module, n in lines.items() if n > 250} == {}
    assert [path for path in EXPERIMENTS.rglob("*.py") if len(path.read_text().splitlines()) > 250] == []
    assert {module: n for module, n in lines.items() if module.endswith(".__init__") and n > 25} == {}
    folders = Counter[Path]()
    for module, path in MODULES.items():
        folders[path.parent] += lines[module]
    assert {path: n for path, n in folders.items() if n > 1300} == {}
    lecture = ["data", "network", "losses", "backprop", "gradients", "training"]
    assert sum(lines[module] for module in lecture) <= 600
    # Beside the mark for type checkers, py.typed.
    assert len({module.split(".")[0] for module in MODULES}) <= 20


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


def test_importing_jaxmlp_starts_no_backend_and_changes_no_setting() -> None:
    program = """if True:
        import os, sys
        import jax
        before = dict(jax.config.values)
        there = set(sys.modules)  # a tool that measures the tests has modules of its own
        import jaxmlp
        heavy = "matplotlib", "sqlite3", "sklearn.neural_network"
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
        assert {*jaxmlp.__all__, "__version__"} <= set(dir(jaxmlp))
        print(jaxmlp.sweep.make_space({}).trials()[0].hidden, jaxmlp.figures.curves.__name__)
        assert all(getattr(jaxmlp, name) is not None for name in jaxmlp.__all__)
        print(jaxmlp.MLPClassifier().max_iter, jaxmlp.save.__name__, hasattr(jaxmlp, "nothing"), jaxmlp.__version__)
    """
    assert fresh_python(program).split() == ["(20,)", "curves", "200", "save", "False", version("jaxmlp")]
