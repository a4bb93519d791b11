from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import Dataset, load_digits
from jaxmlp.entrance import check_dataset
from jaxmlp.lecture import load_images, make_dataset, standardise
from jaxmlp.lecture.data import one_hot
from tests.helpers import assert_agree, random_dataset, rejects


def test_standardise_worked_by_hand() -> None:
    # Column 1: 1, 3: mean 2, population std 1, so -1/(1 + 1e-7), +1/(1 + 1e-7).
    # Column 2: 5, 5: std 0, so 0 / 1e-7 = 0: a constant pixel stays finite.
    z = 1 / 1.0000001
    np.testing.assert_allclose(standardise(np.array([[1.0, 5.0], [3.0, 5.0]])), [[-z, 0], [z, 0]], rtol=1e-15)


def test_one_hot_worked_by_hand() -> None:
    assert one_hot(np.array([2, 0]), 3, "float32").tolist() == [[0, 0, 1], [1, 0, 0]]


def test_digits_are_the_lectures(digits: Dataset) -> None:
    images, labels = load_images()
    assert images.shape == (1797, 8, 8)
    assert labels[:10].tolist() == list(range(10))
    assert (images.min(), images.max()) == (0, 16)
    assert [array.shape for array in digits] == [(1497, 64), (1497, 10), (1497,), (300, 64), (300, 10), (300,)]
    assert digits.labels_test.tolist() + digits.labels_train.tolist() == labels.tolist()
    # Row by row: pixel (2, 5) of image 7 is input 8 * 2 + 5 = 21 of row 7; of image 300, of training row 0.
    pixel = images[:, 2, 5]
    expected = (pixel - pixel.mean()) / (np.sqrt(((pixel - pixel.mean()) ** 2).mean()) + 1e-7)
    np.testing.assert_allclose(digits.x_test[7, 21], expected[7], rtol=1e-13)
    np.testing.assert_allclose(digits.x_train[:, 21], expected[300:], rtol=1e-13)
    for y, labels_ in ((digits.y_train, digits.labels_train), (digits.y_test, digits.labels_test)):
        np.testing.assert_array_equal(y, np.eye(10)[np.asarray(labels_)])


def test_float32_digits_are_the_float64_digits_rounded(digits: Dataset) -> None:
    rounded = [array.astype("float32") if array.dtype == "float64" else array for array in digits]
    assert_agree(load_digits("float32"), Dataset(*rounded))
    assert {str(array.dtype) for array in load_digits()} == {"float32", "int32"}


def test_the_split_is_a_parameter() -> None:
    assert load_digits("float64", n_test=1).x_train.shape == (1796, 64)
    assert load_digits("float64", n_test=1796).x_test.shape == (1796, 64)
    for n_test in (0, -1, 1797):
        with rejects(f"n_test is {n_test}, expected 1..1796"):
            load_digits("float64", n_test)


@pytest.mark.parametrize("dtype", ["int32", "float16", "bfloat16", "complex128", "banana", None])
def test_unsupported_dtype_is_rejected(dtype: Any) -> None:
    with rejects(f"dtype is {dtype}, expected float32 or float64"):
        load_digits(dtype)


def test_float64_without_64_bit_mode_is_rejected_rather_than_rounded() -> None:
    with jax.enable_x64(False), rejects("dtype is float64 while JAX computes in float32"):
        load_digits("float64")


def test_a_dataset_keeps_rows_in_their_order_and_both_halves_apart() -> None:
    made = make_dataset([[1, 2], [3, 4]], [1, 0], [[5, 6]], [2], 3)
    assert [str(array.dtype) for array in made] == ["float32", "float32", "int32"] * 2
    assert [array.tolist() for array in made] == [
        [[1, 2], [3, 4]], [[0, 1, 0], [1, 0, 0]], [1, 0], [[5, 6]], [[0, 0, 1]], [2],
    ]  # fmt: skip


X, LABELS = np.zeros((4, 3)), np.array([0, 1, 2, 1])


@pytest.mark.parametrize(
    ("x", "labels", "message"),
    [
        (X, [0, 1, 2, 3], "label 3 is outside 0..2"),
        (X, [0, -1, 2, 1], "label -1 is outside 0..2"),
        (X, [0.0, 1.0, 2.0, 1.0], "labels have dtype float64 and shape (4,), expected integers"),
        (X, LABELS[:, None], "shape (4, 1), expected integers [n]"),
        (X, LABELS[:3], "training data has shapes (4, 3), (3, 3), (3,), expected [n, 3]"),
        (np.where(np.eye(4, 3) > 0, np.nan, X), LABELS, "training input [0, 0] is nan"),
        (np.where(np.arange(12).reshape(4, 3) == 7, -np.inf, X), LABELS, "training input [2, 1] is -inf"),
        (np.zeros((0, 3)), np.zeros(0, int), "training data has shapes (0, 3), (0, 3), (0,), expected"),
        (X[:, :2], LABELS, "test data has shapes (4, 3), (4, 3), (4,), expected [n, 2]"),
    ],
)
def test_samples_that_cannot_be_used_are_rejected(x: Any, labels: Any, message: str) -> None:
    with rejects(message):
        make_dataset(x, labels, X, LABELS, 3, "float64")


@pytest.mark.parametrize(
    ("replacement", "message"),
    [
        ({"x_test": jnp.zeros((5, 7))}, "test data has shapes (5, 7), (5, 3), (5,), expected [n, 4]"),
        ({"y_test": jnp.zeros((5, 2))}, "test data has shapes (5, 4), (5, 2), (5,)"),
        ({"labels_train": jnp.zeros(3, "int32")}, "training data has shapes (12, 4), (12, 3), (3,)"),
        ({"x_test": jnp.zeros((5, 4), "float32")}, "test data has dtypes float32 and float64, expected float64"),
        ({"y_train": jnp.zeros((12, 3), "float32")}, "training data has dtypes float64 and float32"),
        ({"x_train": jnp.zeros((12, 4), "int32")}, "dtype is int32, expected float32 or float64"),
        ({"x_test": jnp.full((5, 4), jnp.inf)}, "test input [0, 0] is inf, expected a finite number"),
        ({"labels_test": jnp.full(5, 3)}, "label 3 is outside 0..2"),
        ({"labels_test": jnp.zeros(5)}, "labels have dtype float64"),
        ({"y_train": jnp.zeros((12, 3))}, "training targets are not the one-hot rows of the labels"),
    ],
)
def test_a_dataset_at_odds_with_itself_is_rejected(replacement: dict[str, Any], message: str) -> None:
    dataset = random_dataset(0)
    check_dataset(dataset)
    with rejects(message):
        check_dataset(dataset._replace(**replacement))
