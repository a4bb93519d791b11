"""The Hessian-vector product derived by hand."""

from typing import Any

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from jaxmlp import ACTIVATIONS, automatic_gradient
from jaxmlp.gradient_check import automatic_hessian_vector, hand_derived_hessian_vector
from jaxmlp.lecture.losses import cross_entropy
from jaxmlp.lecture.network import ActivationName, forward
from tests.helpers import DEPTHS, assert_agree, random_batch, random_params, rejects

MIXED = {0: ["tanh"], 1: [*ACTIVATIONS], 3: [("tanh", "relu", "sigmoid"), ("sigmoid", "identity", "tanh")]}
"""By depth. Where every layer has its own activation, the derivative of a neighbour's is a mistake that shows."""


@pytest.mark.parametrize(("depth", "activation"), [(depth, name) for depth, names in MIXED.items() for name in names])
def test_hand_derived_equals_automatic(depth: int, activation: ActivationName) -> None:
    sizes = DEPTHS[depth]
    params, direction, (x, y) = random_params(0, sizes), random_params(1, sizes), random_batch(2, sizes, (5,))
    hand = jax.jit(hand_derived_hessian_vector(activation))(params, direction, x, y)
    assert_agree(hand, jax.jit(automatic_hessian_vector(activation))(params, direction, x, y), 1e-13)


def test_one_sample_is_a_batch_of_one_and_a_batch_of_two_axes_is_a_batch() -> None:
    sizes, product = DEPTHS[1], jax.jit(hand_derived_hessian_vector("sigmoid"))
    params, direction, (x, y) = random_params(0, sizes), random_params(1, sizes), random_batch(2, sizes, (5,))
    x, y = np.asarray(x), np.asarray(y)
    whole = product(params, direction, x, y)
    assert_agree(product(params, direction, x[None], y[None]), whole, 1e-13)
    samples = [product(params, direction, *sample) for sample in zip(x, y, strict=True)]
    assert_agree(whole, jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *samples), 1e-13)


def test_by_default_the_second_derivative_is_that_of_sigmoid() -> None:
    sizes = DEPTHS[1]
    given = random_params(0, sizes), random_params(1, sizes), *random_batch(2, sizes, (5,))
    sigmoid = jax.jit(hand_derived_hessian_vector("sigmoid"))(*given)
    assert_agree(jax.jit(hand_derived_hessian_vector())(*given), sigmoid)
    assert_agree(jax.jit(automatic_hessian_vector())(*given), sigmoid, 1e-13)


def flat(tree: Any) -> Any:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def test_it_is_the_product_with_the_hessian_matrix() -> None:
    sizes = (2, 3, 2)
    params, direction, (x, y) = random_params(0, sizes), random_params(1, sizes), random_batch(2, sizes, (4,))
    theta, unravel = ravel_pytree(params)
    hessian = jax.jit(jax.hessian(lambda at: cross_entropy(forward(unravel(at), x, "tanh"), y)))(theta)
    product = flat(jax.jit(hand_derived_hessian_vector("tanh"))(params, direction, x, y))
    assert_agree(product, np.asarray(hessian) @ flat(direction), 1e-13)


@pytest.mark.slow
def test_it_is_the_slope_of_the_gradient_along_the_direction() -> None:
    sizes = DEPTHS[2]
    params, direction, (x, y) = random_params(0, sizes), random_params(1, sizes), random_batch(2, sizes, (4,))

    def gradient_at(t: float) -> object:
        return automatic_gradient("sigmoid")(jax.tree.map(lambda p, v: p + t * v, params, direction), x, y)[1]

    slope = jax.tree.map(lambda a, b: (a - b) / 2e-5, gradient_at(1e-5), gradient_at(-1e-5))
    assert_agree(hand_derived_hessian_vector("sigmoid")(params, direction, x, y), slope, 1e-7)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_second_derivatives_of_the_table_are_those_of_jax(activation: str) -> None:
    phi, g = ACTIVATIONS[activation], np.linspace(-3, 3, 12)
    second = jax.jit(jax.vmap(jax.grad(jax.grad(phi.value))))(g)
    table = jax.jit(lambda g: phi.second_derivative(phi.value(g)))(g)
    np.testing.assert_allclose(table, second, rtol=0, atol=1e-14)


def test_unknown_activations_are_named() -> None:
    params, (x, y) = random_params(0, (3, 4, 2)), random_batch(1, (3, 4, 2))
    with rejects("activation is 'cosine', expected one of"):
        hand_derived_hessian_vector("cosine")(params, params, x, y)
