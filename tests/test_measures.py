"""Samples in columns: the same measures as `jaxmlp.cross_entropy` and `jaxmlp.accuracy` give of rows."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jaxmlp import accuracy, cross_entropy, forward
from jaxmlp.engine.held_out import hold_out
from jaxmlp.engine.measures import columns, measure, scores
from tests.helpers import assert_agree, random_dataset, random_params

# Few different numbers, so that ties are common.
LOGITS = arrays(np.float64, (7, 4), elements=st.sampled_from([-1e9, -2.0, 0.0, -0.0, 0.5, 1000.0, np.nan, np.inf]))


@given(LOGITS, arrays(np.int32, 7, elements=st.integers(0, 3)))
def test_scores_of_columns_are_those_of_rows(logits: np.ndarray, labels: np.ndarray) -> None:
    loss, right = jax.jit(scores)(logits.T, labels)
    assert_agree(right, accuracy(jnp.asarray(logits), jnp.asarray(labels)))
    expected = cross_entropy(jnp.asarray(logits), jnp.eye(4)[labels])
    np.testing.assert_allclose(loss, expected, rtol=1e-14, atol=1e-14)


def test_a_group_is_measured_as_its_networks_are_alone() -> None:
    data = hold_out(random_dataset(3, 30), 8)
    networks = [random_params(seed, (4, 5, 6, 3)) for seed in range(3)]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks)
    masks, loss, alive = (jnp.ones((3, 5)), jnp.ones((3, 6))), jnp.arange(3.0), jnp.ones(3, bool)
    group = jax.jit(lambda last: measure(params, masks, loss, alive, columns(data), last, "tanh"))
    ended, under_way = (group(jnp.asarray(last)) for last in (True, False))
    for lane, network in enumerate(networks):
        g = forward(network, data.validation.x, "tanh")
        assert_agree(ended.validation_loss[lane], cross_entropy(g, data.validation.y), 1e-14)
        assert_agree(ended.validation_accuracy[lane], accuracy(g, data.validation.labels))
        train, test = forward(network, data.dataset.x_train, "tanh"), forward(network, data.dataset.x_test, "tanh")
        assert_agree(ended.train_accuracy[lane], accuracy(train, data.dataset.labels_train))
        assert_agree(ended.test_accuracy[lane], accuracy(test, data.dataset.labels_test))
    assert_agree(under_way[:3], ended[:3])
    assert np.all(np.isnan(under_way.train_accuracy))
    assert np.all(np.isnan(under_way.test_accuracy))
