"""Finding careless edits: cosmic-ray's mutants of a module, less those that change nothing that runs."""

import ast
import difflib
import random
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ALIAS = re.compile("[A-Z][A-Za-z]*[a-z][A-Za-z]*")
"""A type is named like this: ``Params = tuple[Layer, ...]``."""


class Place(NamedTuple):
    path: str
    line: int
    column: int
    operator: str
    occurrence: int


class Mutant(NamedTuple):
    place: Place
    code: str
    old: str
    new: str
    diff: str

    @property
    def key(self) -> str:
        """The name of this mutant among all of this source."""
        return f"{self.place.path}:{self.place.operator}:{self.place.occurrence}"


def places(root: Path, paths: Iterable[str], exclude: Sequence[str] = ()) -> Iterator[Place]:
    """Every mutant of these files, but those of the operators that an expression in ``exclude`` matches whole."""
    wanted = [name for name in sorted(operator_names()) if not any(re.fullmatch(out, name) for out in exclude)]
    operators = {name: get_operator(name) for name in wanted}
    for path in sorted(set(paths)):
        nodes = list(ast_nodes(get_ast((root / path).read_text(encoding="utf-8"))))
        for name, operator in operators.items():
            if operator.arguments():  # one that can't guess what to insert
                continue
            found = (start for node in nodes for start, _ in operator().mutation_positions(node))
            for occurrence, (line, column) in enumerate(found):
                yield Place(path, line, column, name, occurrence)


def sample(root: Path, found: Iterable[Place], seed: int) -> Iterator[Mutant]:
    """All these mutants that do something, in an order drawn by ``seed``: the first n are a uniform sample of n."""
    order = sorted(found)
    random.Random(seed).shuffle(order)
    for place in order:
        source = (root / place.path).read_text(encoding="utf-8")
        code = mutate_code(source, get_operator(place.operator)(), place.occurrence)
        if code is not None and does_something(source, code):
            yield _mutant(place, source, code)


def does_something(source: str, code: str) -> bool:
    """Whether ``code`` can be run and differs from ``source`` in more than types and words for readers.

    An edit of a type does nothing, or breaks the import, which any test would notice: either way it says nothing about
    the tests. The same is true of what Python refuses, or warns of, on reading it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compile(code, "mutant", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return _what_runs(source) != _what_runs(code)


def _what_runs(source: str) -> str:
    return ast.dump(_Stripped().visit(ast.parse(source)))


class _Stripped(ast.NodeTransformer):
    """Takes out annotations, docstrings, ``__all__``, types given a name, and what only a type checker reads."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if isinstance(node.annotation, ast.Name) and node.annotation.id == "TypeAlias":
            return ast.Pass()
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        if any(name == "__all__" or ALIAS.fullmatch(name) for name in names):
            return ast.Pass()
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST:
        return ast.Pass() if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "cast":
            node.args[0] = ast.Constant(None)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if any("Protocol" in ast.unparse(base) for base in node.bases):
            return ast.Pass()
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return ast.Pass() if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        typing = ("overload", "override", "final", "runtime_checkable")
        node.decorator_list = [at for at in node.decorator_list if ast.unparse(at).split(".")[-1] not in typing]
        node.returns = None
        return self.generic_visit(node)


def _mutant(place: Place, source: str, code: str) -> Mutant:
    before, after = source.splitlines(), code.splitlines()
    diff = list(difflib.unified_diff(before, after, place.path, place.path, lineterm=""))
    old, new = (" ".join(line[1:].strip() for line in diff[2:] if line[0] == sign) for sign in "-+")
    return Mutant(place, code, old, new, "\n".join(diff))


def header(tree: ast.Module, line: int) -> range:
    """The lines that run where this one does: its smallest statement, without the block under it.

    Of a function that Warp compiles, Python runs the decorator alone: that stands for the whole function.
    """
    found = range(line, line + 1)
    for node in ast.walk(tree):  # breadth first: the innermost comes last
        if not isinstance(node, ast.stmt) or not isinstance(last := node.end_lineno, int):
            continue
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(at.lineno for at in decorators)])
        if first <= line <= last:
            body = getattr(node, "body", None)
            found = range(first, max(body[0].lineno, first + 1) if body else last + 1)
            if any(ast.unparse(at).startswith("wp.") for at in decorators):
                return found
    return found
