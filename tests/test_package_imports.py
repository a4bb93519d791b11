import ast
from pathlib import Path

import pytest

import jaxmlp

LIBRARY = Path(jaxmlp.__file__).parent
# In each package, a module imports from the rows above it only, and of the rest of the library whatever it needs.
ROWS = {
    "engine": [{"shares"}, {"passes"}, {"kernel"}, {"launch"}, {"__init__"}],
    "sweep": [
        {"lane_sums", "trials", "validation"},
        {"fused", "measures", "side_by_side"},
        {"space", "blocks"},
        {"packing", "database"},
        {"lanes"},
        {"store"},
        {"reading"},
        {"runner", "report"},
        {"__init__"},
    ],
}
MODULES = sorted((package, path.stem) for package in ROWS for path in (LIBRARY / package).glob("*.py"))
DIFFERENTIATION = {"grad", "value_and_grad", "vjp", "jvp", "jacobian", "jacrev", "jacfwd", "hessian", "linearize"}


def imported(package: str, module: str) -> set[str]:
    """The dotted names that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((LIBRARY / package / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


@pytest.mark.parametrize(("package", "module"), MODULES)
def test_imports_inside_a_package_run_one_way(package: str, module: str) -> None:
    rows = ROWS[package]
    row = next(index for index, modules in enumerate(rows) if module in modules)
    prefix = f"jaxmlp.{package}."
    siblings = {
        name.removeprefix(prefix).split(".")[0] for name in imported(package, module) if name.startswith(prefix)
    }
    assert siblings <= set[str]().union(*rows[:row])


@pytest.mark.parametrize(("package", "module"), MODULES)
def test_packages_neither_print_nor_parse_nor_read_the_environment(package: str, module: str) -> None:
    roots = {name.split(".")[0] for name in imported(package, module)}
    assert not roots & {"argparse", "experiments", "tests", "tqdm", "os"}
    assert "matplotlib" not in roots
    mentioned = {
        getattr(node, "id", None) for node in ast.walk(ast.parse((LIBRARY / package / f"{module}.py").read_text()))
    }
    assert "print" not in mentioned


def test_only_the_kernel_needs_warp_and_it_differentiates_nothing() -> None:
    needing = {
        module for package, module in MODULES if "warp" in {name.split(".")[0] for name in imported(package, module)}
    }
    assert needing == {"kernel", "passes", "launch"}
    for module in ("kernel", "passes"):
        text = (LIBRARY / "engine" / f"{module}.py").read_text()
        assert not {getattr(node, "attr", None) for node in ast.walk(ast.parse(text))} & DIFFERENTIATION
