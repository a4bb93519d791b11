import math

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp.lecture import accuracy, cross_entropy
from tests.helpers import assert_agree


def test_cross_entropy_worked_by_hand() -> None:
    # Logits 0 and ln 3: probabilities 1/4 and 3/4. Targets: class 1, class 0, half and half, so
    # ln(4/3) = 0.287682, ln 4 = 1.386294, (0.287682 + 1.386294) / 2 = 0.836988, and their mean is 0.836988.
    logits = jnp.tile(jnp.array([0.0, math.log(3)]), (3, 1))
    y = jnp.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])
    for row, expected in enumerate([0.287682072451781, 1.386294361119891, 0.836988216785836]):
        assert float(cross_entropy(logits[row], y[row])) == pytest.approx(expected, rel=1e-14)
    assert float(cross_entropy(logits, y)) == pytest.approx(0.836988216785836, rel=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits_give_finite_losses(dtype: str) -> None:
    logits, y = jnp.array([[1e4, -1e4], [1e4, -1e4]], dtype), jnp.eye(2, dtype=dtype)
    # Right by 20,000: loss 0; wrong by 20,000: loss 20,000.
    assert_agree(cross_entropy(logits, y), jnp.asarray(10_000, dtype))


def test_cross_entropy_ignores_a_shift_of_the_logits() -> None:
    logits, y = jnp.array([[0.3, -1.0, 2.0]]), jnp.array([[0.0, 1.0, 0.0]])
    assert_agree(cross_entropy(logits + 100, y), cross_entropy(logits, y), 1e-13)


def test_accuracy_counts_rows_and_gives_a_tie_to_the_first_class() -> None:
    logits = jnp.array([[1.0, 2.0, 0.0], [5.0, 5.0, 1.0], [0.0, 0.0, 3.0], [2.0, 2.0, 2.0]], "float32")
    # The predictions are 1, 0, 2, 0.
    for labels, share in [([1, 0, 2, 0], 1.0), ([1, 1, 2, 2], 0.5), ([0, 1, 1, 1], 0.0)]:
        assert_agree(accuracy(logits, jnp.array(labels, "int32")), np.float32(share))


def test_a_row_with_a_nan_is_wrong_and_so_is_a_row_of_them() -> None:
    # Whether it is the own logit that is NaN, or another, before or behind: rows 0 to 2. Row 3 is right.
    nan = jnp.nan
    logits = jnp.array([[nan, 1.0, 2.0], [9.0, nan, 2.0], [9.0, 1.0, nan], [9.0, 1.0, -jnp.inf], [nan, nan, nan]])
    assert_agree(accuracy(logits, jnp.zeros(5, "int32")), jnp.asarray(0.2))


def test_the_loss_is_the_mean_over_all_axes_but_the_last() -> None:
    # A uniform guess costs ln 4 whatever the class: 1.386294, for 2 x 3 samples as for one.
    y = jnp.tile(jnp.eye(4)[jnp.array([0, 3, 1])], (2, 1, 1))
    assert float(cross_entropy(jnp.zeros((2, 3, 4)), y)) == pytest.approx(math.log(4), rel=1e-14)
