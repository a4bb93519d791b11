"""Every place that must know an activation knows each row of the table, and computes the same.

A new activation begins as a row of `jaxmlp.ACTIVATIONS`. These tests name the other places, until each of them has it.
"""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import experiments
from experiments.gradient_cases import planted_mistakes
from jaxmlp import ACTIVATIONS, choices
from jaxmlp.engine.fused import shares
from jaxmlp.gradient_check.diagnosis import known_mistakes, plain_network
from tests import oracle
from tests.helpers import assert_agree

PAGE = Path(experiments.__file__).parent / "page_parts" / "network.js"
G = np.linspace(-3, 3, 25) + 0.01  # nowhere at a kink


def names_of_the_page() -> list[str]:
    table = re.search(r"^const ACTIVATIONS = \{(.*?)^\};", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert table, "expected a table of activations"
    return re.findall(r"^  (\w+): \{ value:", table[1], re.MULTILINE)


def test_all_who_name_activations_name_the_same() -> None:
    places = {
        "jaxmlp/choices.py: ACTIVATIONS": list(choices.ACTIVATIONS),
        "jaxmlp/engine/fused/shares.py: KINDS (and passes.py: activation)": list(shares.KINDS),
        "jaxmlp/gradient_check/diagnosis/plain_network.py: ACTIVATIONS": [
            name for name in plain_network.ACTIVATIONS if "leaky" not in name
        ],
        "experiments/page_parts/network.js: ACTIVATIONS": names_of_the_page(),
    }
    assert {place: set(ACTIVATIONS) ^ set(names) for place, names in places.items()} == {
        place: set[str]() for place in places
    }
    # Where the number of an activation is written down, the sequence matters too.
    assert list(ACTIVATIONS) == list(choices.ACTIVATIONS) == list(shares.KINDS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_rows_agree_with_the_oracle_numpys_own_and_jax(name: str) -> None:
    phi = ACTIVATIONS[name]
    h = phi.value(jnp.asarray(G))
    values, slopes = oracle.activate(name, G), oracle.slope(name, G)
    assert_agree((h, phi.derivative(h)), (values, slopes), 1e-12)
    # What JAX derives of the values, which the table's own derivatives must be.
    first = jax.vmap(jax.grad(phi.value))
    second = jax.vmap(jax.grad(jax.grad(phi.value)))
    assert_agree((phi.derivative(h), phi.second_derivative(h)), (first(jnp.asarray(G)), second(jnp.asarray(G))), 1e-12)
    plain = plain_network.ACTIVATIONS[name]
    assert_agree((plain.value(G), plain.slope(plain.value(G))), (values, slopes), 1e-12)


def test_an_activation_is_curved_where_its_second_derivative_is_not_zero() -> None:
    h = {name: phi.value(jnp.asarray(G)) for name, phi in ACTIVATIONS.items()}
    curved = {name for name, phi in ACTIVATIONS.items() if np.any(phi.second_derivative(h[name]))}
    assert set(known_mistakes.CURVED) == curved == set(planted_mistakes.CURVED)
    assert set(planted_mistakes.BENT) == {name for name in ACTIVATIONS if np.ptp(oracle.slope(name, G)) > 0}
