"""Samples in columns: the same measures as `lecture.cross_entropy` and `lecture.accuracy` give of rows."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jaxmlp import forward
from jaxmlp.lecture import accuracy, cross_entropy
from jaxmlp.sweep.blocks.held_out import hold_out
from jaxmlp.sweep.blocks.measures import columns, measure, scores
from tests.helpers import assert_agree, random_dataset, random_params

# Few different numbers, so that ties are common.
LOGITS = arrays(np.float64, (7, 4), elements=st.sampled_from([-1e9, -2.0, 0.0, -0.0, 0.5, 1000.0, np.nan, np.inf]))


@jax.jit
def of_rows(logits: Any, y: Any, labels: Any) -> tuple[Any, Any]:
    return cross_entropy(logits, y), accuracy(logits, labels)


@given(LOGITS, arrays(np.int32, 7, elements=st.integers(0, 3)))
def test_scores_of_columns_are_those_of_rows(logits: np.ndarray, labels: np.ndarray) -> None:
    loss, right = jax.jit(scores)(logits.T, labels)
    expected, share = of_rows(logits, np.eye(4)[labels], labels)
    assert_agree(right, share)
    np.testing.assert_allclose(loss, expected, rtol=1e-14, atol=1e-14)


def test_a_group_is_measured_as_its_networks_are_alone() -> None:
    data = hold_out(random_dataset(3, 30), 8)
    networks = [random_params(seed, (4, 5, 6, 3)) for seed in range(3)]
    params: Any = jax.tree.map(lambda *leaves: np.stack(leaves), *networks)
    masks, loss, alive = (np.ones((3, 5)), np.ones((3, 6))), np.arange(3.0), np.ones(3, bool)
    lanes = jax.tree.map(jnp.asarray, (params, masks, loss, alive))
    group = jax.jit(lambda last: measure(lanes[0], lanes[1], lanes[2], lanes[3], columns(data), last, "tanh"))
    ended, under_way = (jax.tree.map(np.asarray, group(np.bool_(last))) for last in (True, False))

    @jax.jit
    def alone(network: Any) -> Any:
        outputs = [forward(network, x, "tanh") for x in (data.validation.x, data.dataset.x_train, data.dataset.x_test)]
        labels = data.validation.labels, data.dataset.labels_train, data.dataset.labels_test
        return cross_entropy(outputs[0], data.validation.y), *map(accuracy, outputs, labels)

    for lane, network in enumerate(networks):
        validation_loss, *shares = alone(network)
        assert_agree(ended.validation_loss[lane], validation_loss, 1e-14)
        found = ended.validation_accuracy, ended.train_accuracy, ended.test_accuracy
        assert_agree([share[lane] for share in found], shares)
    assert_agree(under_way[:3], ended[:3])
    assert np.all(np.isnan(under_way.train_accuracy))
    assert np.all(np.isnan(under_way.test_accuracy))
