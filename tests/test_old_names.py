"""Names that were at the top of jaxmlp before: they work in this version, and a warning says the new name."""

import importlib

import pytest

import jaxmlp
from jaxmlp import old_names


@pytest.mark.parametrize("name", sorted(old_names.NEW))
def test_an_old_name_gives_the_object_with_the_new_name_and_one_line(name: str) -> None:
    new = old_names.NEW[name]
    with pytest.warns(FutureWarning) as told:
        found = getattr(jaxmlp, name)
    (warning,) = told
    assert str(warning.message) == f"jaxmlp.{name} is now jaxmlp.{new}; version 0.2 will not have the old name"
    assert warning.filename == __file__
    home, _, last = f"jaxmlp.{new}".rpartition(".")
    assert found is getattr(importlib.import_module(home), last)
    assert name not in dir(jaxmlp)


def test_the_names_at_the_top_are_few() -> None:
    names = [name for name in dir(jaxmlp) if not hasattr(getattr(jaxmlp, name), "__path__")]
    assert len(names) <= 34
