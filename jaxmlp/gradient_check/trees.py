"""Parameters in any containers: arrays and numbers in lists, tuples and dicts, read as leaves and rebuilt.

Lists and tuples are treated alike. A list of only numbers is one leaf, a vector (or a matrix, as a list of lists). A
Python number is one leaf too. An array of objects is read as a list of its elements.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Number
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from jaxmlp.checks import InputError

__all__ = ["Leaf", "build", "leaves_like", "leaves_of", "renamed"]


class Leaf(NamedTuple):
    """A leaf of a tree: its path in Python's notation, and its value."""

    path: str
    value: Any

    @property
    def array(self) -> NDArray[Any]:
        """The value as an array of its own dtype."""
        return np.asarray(self.value)


def leaves_of(tree: Any, path: str) -> Iterator[Leaf]:
    """The leaves in order; None contains no leaf.

    Raises:
        InputError: something that is neither a number nor an array nor a container of them.
    """
    if tree is None:
        return
    if isinstance(tree, Mapping):
        for key in tree:
            yield from leaves_of(tree[key], f"{path}[{key!r}]")
    elif _is_leaf(tree):
        if np.asarray(tree).dtype.kind not in "fiu":
            raise InputError(f"{path} contains {np.asarray(tree).dtype} values, expected real numbers")
        yield Leaf(path, tree)
    elif isinstance(tree, (Sequence, np.ndarray)) and not isinstance(tree, (str, bytes)):
        names = getattr(tree, "_fields", None)
        for place, value in enumerate(tree):
            yield from leaves_of(value, f"{path}.{names[place]}" if names else f"{path}[{place}]")
    else:
        raise InputError(f"{path} is a {type(tree).__name__}, expected numbers or arrays, in lists, tuples or dicts")


def leaves_like(tree: Any, like: Any, path: str) -> Iterator[Leaf]:
    """The leaves of ``tree`` with the paths of ``like``; a leaf that ``like`` does not have gets a path of its own.

    Raises:
        InputError: as `leaves_of`.
    """
    if isinstance(like, Mapping) and isinstance(tree, Mapping):
        tree = renamed(tree, like)
        for key in [*(key for key in like if key in tree), *(key for key in tree if key not in like)]:
            yield from leaves_like(tree[key], like.get(key), f"{path}[{key!r}]")
    elif _is_list(like) and (
        _is_list(tree) or (isinstance(tree, (list, tuple, np.ndarray)) and len(tree) == len(like))
    ):
        names = getattr(like, "_fields", ())
        for place, value in enumerate(tree):
            name = f".{names[place]}" if place < len(names) else f"[{place}]"
            yield from leaves_like(value, like[place] if place < len(like) else None, path + name)
    else:
        yield from leaves_of(tree, path)


def renamed(tree: Mapping[Any, Any], names: Iterable[Any]) -> dict[Any, Any]:
    """``tree`` with keys such as "dW1", "d_W1", "grad_W1", "W1_grad" renamed to "W1", unless it has "W1" itself."""
    wanted = {f"{before}{name}{after}": name for name in names if isinstance(name, str) and name not in tree
              for before, after in (("d", ""), ("d_", ""), ("grad_", ""), ("g", ""), ("", "_grad"))}  # fmt: skip
    return {wanted.get(key, key) if isinstance(key, str) else key: value for key, value in tree.items()}


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, np.ndarray)) and not _is_leaf(value)


def _is_leaf(value: Any) -> bool:
    if isinstance(value, (np.ndarray, jax.Array)):
        return value.dtype != object
    if isinstance(value, (Number, np.generic)):
        return True
    return isinstance(value, (list, tuple)) and not hasattr(value, "_fields") and _shape(value) is not None


def _shape(value: Any) -> tuple[int, ...] | None:
    """The shape of a number or of nested lists of numbers with equal lengths; None for anything else."""
    if isinstance(value, (Number, np.generic)):
        return ()
    if not isinstance(value, (list, tuple)) or not value:
        return None
    shapes = {_shape(item) for item in value}
    inner = shapes.pop() if len(shapes) == 1 else None
    return None if inner is None else (len(value), *inner)


def build(tree: Any, values: Iterator[Any], as_given: bool = False) -> Any:
    """A tree like ``tree`` with new containers; its leaves are ``values``, arrays in order.

    Where ``tree`` has a number or a list as a leaf, the new tree has one too, unless ``as_given``.
    """
    if tree is None:
        return None
    if isinstance(tree, Mapping):
        made: Any = {key: build(tree[key], values, as_given) for key in tree}
        return made if type(tree) is dict else _like(tree, made)
    if _is_leaf(tree):
        value = next(values)
        if as_given:
            return value
        if isinstance(tree, (list, tuple)):
            return type(tree)(value.tolist())
        if isinstance(tree, np.generic):
            return value[()]
        return value.item() if isinstance(tree, Number) else value
    items = [build(item, values, as_given) for item in tree]
    if isinstance(tree, np.ndarray):
        array = np.empty(len(items), object)
        array[:] = items
        return array
    return type(tree)(*items) if hasattr(tree, "_fields") else _like(tree, items)


def _like(tree: Any, items: Any) -> Any:
    """``items`` in a container of the same class if its constructor accepts them; else in a plain one."""
    try:
        return type(tree)(items)
    except Exception:  # a user's class; its constructor may need other arguments
        return items
