import ast
import re
from pathlib import Path

import pytest

import jaxmlp
from tests.helpers import fresh_python

MODULES = {path.stem: path for path in Path(jaxmlp.__file__).parent.glob("*.py")}
# Each module imports from the rows above it only.
ROWS = [
    {"errors", "files"},
    {"data"},
    {"network"},
    {"losses", "mistakes", "gradient_report"},
    {"backprop", "second_order", "gradients", "numerical"},
    {"optimizers", "comparison", "diagnosis", "randomness", "runtime", "figures"},
    {"training", "gradient_figures", "model_format"},
    {"fitting", "engine"},
    {"sweep", "computing"},
    {"estimator_settings", "search_program"},
    {"estimator_task"},
    {"estimator", "search_tasks"},
    {"search_lanes", "estimator_file"},
    {"search"},
    {"model_file"},
    {"__init__"},
]
DIFFERENTIATION = {"grad", "value_and_grad", "vjp", "jvp", "jacobian", "jacrev", "jacfwd", "hessian", "linearize"}


def imported(module: str) -> set[str]:
    """The dotted names that ``module`` imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def mentioned(module: str) -> set[str]:
    """Every identifier in the code of ``module``, docstrings and comments left out."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        names |= {getattr(node, field) for field in ("id", "attr", "name") if isinstance(getattr(node, field, 0), str)}
    return names


def siblings(module: str) -> set[str]:
    return {name.split(".")[1] for name in imported(module) if re.match(r"jaxmlp\b", name)}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_one_way(module: str) -> None:
    assert module in set[str]().union(*ROWS), f"give {module}.py its row here"
    row = next(index for index, modules in enumerate(ROWS) if module in modules)
    assert siblings(module) <= set[str]().union(*ROWS[:row])


def test_the_two_gradients_are_independent() -> None:
    assert not (mentioned("backprop") | mentioned("second_order")) & DIFFERENTIATION
    assert not {"gradients", "numerical"} & (siblings("backprop") | siblings("second_order"))
    assert not {"backprop", "second_order"} & (siblings("gradients") | siblings("numerical"))
    assert not mentioned("gradients") & (mentioned("backprop") & {"delta", "derivative", "hand_derived_gradient"})


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_library_neither_prints_nor_parses_nor_reads_the_environment_nor_draws(module: str) -> None:
    roots = {name.split(".")[0] for name in imported(module)}
    assert not roots & {"argparse", "experiments", "tests", "tqdm"}
    assert "print" not in mentioned(module)
    assert module == "runtime" or not mentioned(module) & {"environ", "getenv", "putenv"}
    assert module.endswith("figures") or "matplotlib" not in roots


def test_importing_jaxmlp_starts_no_backend_and_changes_no_setting() -> None:
    program = """if True:
        import os, sys
        import jax
        before = dict(jax.config.values)
        import jaxmlp
        from jaxmlp.runtime import started
        assert dict(jax.config.values) == before
        print(started(), jax.config.jax_enable_x64, os.environ.get("XLA_FLAGS"),
              "matplotlib" in sys.modules)
        assert dict(jax.config.values) == before  # the question itself leaves nothing behind
    """
    assert fresh_python(program) == "False False None False"
