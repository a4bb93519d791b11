import ast
from pathlib import Path

import pytest

import jaxmlp.sweep

FOLDER = Path(jaxmlp.sweep.__file__).parent
# Each module imports from the rows above it only, and of the rest of the library whatever it needs.
ROWS = [
    {"lane_sums", "trials", "validation"},
    {"fused", "measures", "side_by_side"},
    {"space", "blocks"},
    {"packing", "database"},
    {"lanes"},
    {"store"},
    {"reading"},
    {"runner", "report"},
    {"figures", "__init__"},
]


@pytest.mark.parametrize("module", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_sweep_imports_run_one_way_and_only_figures_import_matplotlib(module: str) -> None:
    names: set[str] = set()
    for node in ast.walk(ast.parse((FOLDER / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    row = next(index for index, modules in enumerate(ROWS) if module in modules)
    siblings = {name.split(".")[2] for name in names if name.startswith("jaxmlp.sweep.")}
    assert siblings <= set[str]().union(*ROWS[:row])
    roots = {name.split(".")[0] for name in names}
    assert module == "figures" or "matplotlib" not in roots
    assert not roots & {"argparse", "experiments", "tests", "tqdm", "os"}
