"""The hand-derived gradient against the automatic one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmlp import ACTIVATIONS, Params, automatic_gradient, hand_derived_gradient
from jaxmlp.lecture.network import ActivationName
from tests.helpers import DEPTHS, assert_agree, random_batch, random_params


def assert_both_agree(
    params: Params, x: jax.Array, y: jax.Array, activation: ActivationName, tolerance: float = 1e-12
) -> None:
    by_hand = hand_derived_gradient(activation)(params, x, y)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(by_hand))
    assert_agree(by_hand, automatic_gradient(activation)(params, x, y), tolerance)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("depth", "batch"), [*((depth, 6) for depth in DEPTHS), (2, 1)])
def test_hand_derived_equals_automatic_for_every_activation_and_depth(activation: str, depth: int, batch: int) -> None:
    sizes = DEPTHS[depth]
    assert_both_agree(random_params(depth, sizes), *random_batch(depth + 1, sizes, (batch,)), activation)


def test_hand_derived_equals_automatic_where_every_layer_has_its_own_activation() -> None:
    for mixed in (("relu", "tanh", "sigmoid", "identity"), ("sigmoid", "identity", "relu", "tanh")):
        assert_both_agree(random_params(0, DEPTHS[4]), *random_batch(1, DEPTHS[4], (6,)), mixed)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_extreme_logits_give_finite_and_equal_gradients(activation: str, dtype: str) -> None:
    x, y = random_batch(1, DEPTHS[1], (6,), dtype)
    *hidden, output = random_params(0, DEPTHS[1], dtype)
    for logits in ([1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]):
        params = (*hidden, output._replace(biases=jnp.asarray(np.asarray(logits, dtype))))
        assert_both_agree(params, x, y, activation, 1e-12 if dtype == "float64" else 1e-5)
        loss, _ = hand_derived_gradient(activation)(params, x, y)
        assert 1e3 < float(loss) < 2.1e4


def test_hand_derived_equals_automatic_at_the_kink_of_relu() -> None:
    # No input and no biases: every hidden pre-activation is exactly 0, and so is its derivative, by our convention.
    hidden, output = random_params(0, DEPTHS[1])
    params = (hidden._replace(biases=jnp.asarray(np.zeros(5))), output)
    x, y = jnp.asarray(np.zeros((6, 4))), random_batch(1, DEPTHS[1], (6,))[1]
    assert_both_agree(params, x, y, "relu")
    _, (hidden_gradient, _) = hand_derived_gradient("relu")(params, x, y)
    assert not np.asarray(hidden_gradient.biases).any()


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.sampled_from(sorted(ACTIVATIONS)))
def test_hand_derived_equals_automatic_at_any_scale_of_the_parameters(seed: int, scale: float, activation: str) -> None:
    params = jax.tree.map(lambda leaf: jnp.asarray(scale * np.asarray(leaf)), random_params(seed, DEPTHS[2]))
    x, y = random_batch(seed, DEPTHS[2], (6,))
    # One norm over all leaves: a saturated unit's 1 - h has lost digits, which a leaf near zero would show.
    by_hand, automatic = (
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(make(activation)(params, x, y))])
        for make in (hand_derived_gradient, automatic_gradient)
    )
    assert_agree(by_hand, automatic, 1e-10)
