"""Lanes side by side: the gradient by hand with networks in the last axis is `jaxmlp.lecture.backprop`'s of each."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import OUTPUTS, hand_derived_gradient
from jaxmlp.engine import layout, penalised_gradient
from jaxmlp.engine.interleaved import interleaved_gradient
from jaxmlp.engine.interleaved_sums import output_loss
from jaxmlp.lecture.network import hidden_activations
from tests.helpers import assert_agree, random_batch, random_params

LANES = 3
# Sums of one term, of an odd number, of more than a turn of the loop and a rest.
CASES = [
    ((1, 1, 2), "sigmoid"), ((6, 5, 4, 3), ("tanh", "sigmoid")), ((21, 17, 9), "relu"), ((4, 3), "identity"),
    ((3, 8, 1), "tanh"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sizes", "activation", "shared"),
    # A sample each differs in how samples are read: from one, two and three layers.
    [(*case, shared) for number, case in enumerate(CASES) for shared in (True, False) if shared or number in (0, 1, 3)],
)
@pytest.mark.parametrize("updates", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_each_lane_has_the_gradients_of_its_networks_updates(
    sizes: tuple[int, ...], activation: Any, shared: bool, updates: int
) -> None:
    # NumPy's arrays: between the two programs compared nothing is compiled.
    networks = [jax.tree.map(np.asarray, random_params(seed, sizes)) for seed in range(LANES)]
    x, y = map(np.asarray, random_batch(1, sizes, (updates,) if shared else (updates, LANES)))
    rate = np.asarray([0.1, 0.3, 1.0])
    phi = hidden_activations(activation, len(sizes) - 2)
    gradient = interleaved_gradient(phi, jnp.asarray(rate), jnp.asarray(np.ones((max(sizes), LANES))))
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves).T, *networks)
    losses, layers = jax.tree.map(np.asarray, jax.jit(gradient)(stacked, x, y))
    layers, by_hand = jax.tree.map(np.transpose, layers), jax.jit(hand_derived_gradient(activation))
    for lane, network in enumerate(networks):
        now, seen = network, []
        for update in range(updates):
            loss, step = by_hand(now, *((x[update], y[update]) if shared else (x[update, lane], y[update, lane])))
            now = jax.tree.map(lambda value, part, lane=lane: value - rate[lane] * np.asarray(part), now, step)
            seen.append(loss)
        total = jax.tree.map(lambda before, after, lane=lane: (before - after) / rate[lane], network, now)
        found = losses[lane], jax.tree.map(operator.itemgetter(lane), layers)
        assert_agree(found, (np.mean(seen), total), 1e-12)


@pytest.mark.parametrize(("updates", "output"), [(3, "softmax"), (3, "sigmoid"), (1, "identity")])
def test_with_weights_and_a_penalty_they_are_those_of_the_penalised_loss(updates: int, output: str) -> None:
    # The second sample is padding: no weight, no update, no penalty.
    sizes, rate, alpha = (3, 4, 2, 3), np.asarray([0.1, 0.3, 1.0]), np.asarray([0.0, 0.2, 0.7])
    networks = [jax.tree.map(np.asarray, random_params(seed, sizes)) for seed in range(LANES)]
    x, y = map(np.asarray, random_batch(1, sizes, (updates,)))
    y = np.concatenate([y, np.asarray([2.0, 0.0, 0.5])[:updates, None]], axis=1)
    phi = hidden_activations("tanh", 2)
    gradient = interleaved_gradient(
        phi, jnp.asarray(rate), jnp.asarray(np.ones((4, LANES))), jnp.asarray(alpha), weighted=True, output=output
    )
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves).T, *networks)

    @jax.jit
    def both(stacked: Any, x: Any, y: Any, squares: Any) -> Any:
        carried = list(squares)
        known = gradient(stacked, x, y, carried)
        return gradient(stacked, x, y), known, carried

    squares = [np.sum(layer.weights**2, (0, 1)) for layer in stacked]
    (losses, layers), known, carried = jax.tree.map(np.asarray, both(stacked, x, y, squares))
    assert_agree(known, (losses, layers), 1e-12)  # |W|^2 given, not computed
    layers = jax.tree.map(np.transpose, layers)

    @jax.jit
    def one(strength: Any, *given: Any) -> Any:
        return penalised_gradient("tanh", strength, True, True, output)(*given)

    for lane, network in enumerate(networks):
        now, seen = network, []
        for update in range(updates):
            loss, step = one(alpha[lane], now, x[update], y[update])
            now = jax.tree.map(lambda value, part, lane=lane: value - rate[lane] * np.asarray(part), now, step)
            seen.append(loss)
        total = jax.tree.map(lambda before, after, lane=lane: (before - after) / rate[lane], network, now)
        assert_agree((losses[lane], jax.tree.map(operator.itemgetter(lane), layers)), (np.mean(seen), total), 1e-12)
        assert_agree(
            [value[lane] for value in carried], [np.sum(np.asarray(layer.weights) ** 2) for layer in now], 1e-12
        )


def test_units_that_are_masked_have_no_gradient() -> None:
    sizes = (4, 5, 3)
    params: Any = jax.tree.map(lambda leaf: np.stack([leaf, leaf]).T, random_params(0, sizes))
    mask, ones = np.ones((5, 2)), jnp.asarray(np.ones((5, 2)))
    mask[3:, 0] = 0
    params = (params[0], params[1]._replace(weights=params[1].weights * mask[:, None]))
    gradient = interleaved_gradient(layout.masked("sigmoid", (jnp.asarray(mask),)), ones[0], ones)
    _, (first, second) = jax.tree.map(np.asarray, jax.jit(gradient)(params, *random_batch(1, sizes, (3,))))
    for part in (first.weights[:, 3:, 0], first.biases[3:, 0], second.weights[3:, :, 0]):
        assert not np.any(part)
    assert np.all(first.weights[:, :, 1] != 0)


def test_a_logit_of_1000_overflows_nowhere() -> None:
    # Two lanes: (1000, 0, -1000) of class 1 loses ln(e^1000 + 1 + e^-1000) - 0 = 1000; (0, -1000, 1000) of class 2, 0.
    g = np.array([[1000.0, 0.0], [0.0, -1000.0], [-1000.0, 1000.0]])
    y = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    loss, delta = map(np.asarray, jax.jit(output_loss, static_argnums=0)("softmax", g, y))
    assert loss.tolist() == [1000, 0]
    assert delta.T.tolist() == [[1, -1, 0], [0, 0, 0]]
    # By sigmoid the first loses ln(1 + e^1000) for the 0 there, ln(2) each for the 0 and 1, and nothing for the last.
    loss, delta = map(np.asarray, jax.jit(output_loss, static_argnums=0)("sigmoid", g[:, :1], np.zeros((3, 1))))
    assert loss.tolist() == pytest.approx([1000 + np.log(2)], rel=1e-15)
    assert delta[:, 0].tolist() == [1, 0.5, 0]


@pytest.mark.parametrize("output", OUTPUTS)
def test_losses_and_their_derivatives_are_those_of_the_table(output: str) -> None:
    rng = np.random.default_rng(4)
    g, y = rng.normal(0, 2, (21, 3)), np.eye(21)[[4, 0, 20]].T
    loss, delta = jax.jit(output_loss, static_argnums=0)(output, g, y)
    table: Any = OUTPUTS[output]
    expected, value = jax.jit(lambda g, y: (table.loss(g, y), table.value(g)))(g.T, y.T)
    assert_agree(loss, expected, 1e-13)
    assert_agree(delta, np.asarray(value).T - y, 1e-13)
