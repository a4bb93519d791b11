"""One walk over every file of the library: who may import whom, and what nobody may do."""

import ast
from pathlib import Path

import pytest

import jaxmlp
from tests.helpers import fresh_python

LIBRARY = Path(jaxmlp.__file__).parent
MODULES = {".".join(path.relative_to(LIBRARY).with_suffix("").parts): path for path in sorted(LIBRARY.rglob("*.py"))}
# The rooms of the house: each imports from those above it only.
ROOMS = [
    {"errors", "checks"},
    {"data", "network", "losses", "backprop", "gradients", "optimizers", "randomness", "training"},
    {"runtime"},
    {"checking"},
    {"engine"},
    {"sweep"},
    {"classifier"},
    {"models"},
    {"figures"},
    {"__init__"},
]
DIFFERENTIATION = {"grad", "value_and_grad", "vjp", "jvp", "jacobian", "jacrev", "jacfwd", "hessian", "linearize"}
BY_HAND = ["backprop", "checking.second_order"]
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
    assert "print" not in mentioned(MODULES[module])
    assert module.startswith("runtime") or not mentioned(MODULES[module]) & {"environ", "getenv", "putenv"}
    assert module.startswith("figures.") or "matplotlib" not in roots


def test_importing_jaxmlp_starts_no_backend_and_changes_no_setting() -> None:
    program = """if True:
        import os, sys
        import jax
        before = dict(jax.config.values)
        import jaxmlp
        from jaxmlp.runtime import started
        assert dict(jax.config.values) == before
        print(started(), jax.config.jax_enable_x64, os.environ.get("XLA_FLAGS"), "matplotlib" in sys.modules)
        assert dict(jax.config.values) == before  # the question itself leaves nothing behind
    """
    assert fresh_python(program) == "False False None False"
