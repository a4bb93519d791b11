"""Lanes side by side: the gradient by hand with networks in the last axis is `jaxmlp.backprop`'s of each."""

import operator

import jax
import jax.numpy as jnp
import pytest

from jaxmlp import hand_derived_gradient
from jaxmlp.sweep.side_by_side import lanes_gradient
from tests.helpers import assert_agree, random_batch, random_params

LANES = 3
# Sums of one term, of an odd number, of more than a turn of the loop and a rest.
CASES = [
    ((1, 1, 2), "sigmoid"), ((6, 5, 4, 3), "tanh"), ((21, 17, 9), "relu"), ((4, 3), "identity"), ((3, 8, 1), "tanh"),
]  # fmt: skip


@pytest.mark.parametrize(("sizes", "activation"), CASES)
@pytest.mark.parametrize("shared", [True, False], ids=["one sample", "a sample each"])
def test_each_lane_has_the_gradient_of_its_network(sizes: tuple[int, ...], activation: str, shared: bool) -> None:
    networks = [random_params(seed, sizes) for seed in range(LANES)]
    x, y = random_batch(1, sizes, (LANES,))
    if shared:
        x, y = x[0], y[0]
    masks = tuple(jnp.ones((width, LANES)) for width in sizes[1:-1])
    gradient = lanes_gradient(masks, activation, jnp.ones((max(sizes), LANES)))
    side_by_side = jax.tree.map(lambda *leaves: jnp.stack(leaves).T, *networks)
    losses, layers = jax.jit(gradient)(side_by_side, x, y)
    layers, by_hand = jax.tree.map(jnp.transpose, layers), hand_derived_gradient(activation)
    for lane, network in enumerate(networks):
        expected = by_hand(network, *((x, y) if shared else (x[lane], y[lane])))
        assert_agree((losses[lane], jax.tree.map(operator.itemgetter(lane), layers)), expected, 1e-14)


def test_units_that_are_masked_have_no_gradient() -> None:
    sizes = (4, 5, 3)
    params = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]).T, random_params(0, sizes))
    masks = (jnp.ones((5, 2)).at[3:, 0].set(0),)
    params = (params[0], params[1]._replace(weights=params[1].weights * masks[0][:, None]))
    _, (first, second) = lanes_gradient(masks, "sigmoid", jnp.ones((5, 2)))(params, *random_batch(1, sizes))
    for part in (first.weights[:, 3:, 0], first.biases[3:, 0], second.weights[3:, :, 0]):
        assert not jnp.any(part)
    assert jnp.all(first.weights[:, :, 1] != 0)
