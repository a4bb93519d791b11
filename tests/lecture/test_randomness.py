from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp import KeyStream, LectureStream, init_params, load_digits, train
from tests import oracle
from tests.helpers import as_params, assert_agree, random_dataset, rejects

Stream = Callable[[int], KeyStream | LectureStream]
both = pytest.mark.parametrize("stream", [KeyStream, LectureStream])
SIZES = (4, 6, 3)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_the_lectures_stream_draws_weights_layer_by_layer_then_permutations(seed: int) -> None:
    random, stream = np.random.RandomState(seed), LectureStream(seed)
    assert_agree(stream.params((4, 6, 5, 3), "float64"), as_params(oracle.initial(random, (4, 6, 5, 3))))
    orders = np.array([random.permutation(np.arange(12)) for _ in range(3)])
    np.testing.assert_array_equal(stream.orders(3, 12), orders)


def test_float32_parameters_of_the_lecture_are_the_float64_draws_rounded() -> None:
    single, double = LectureStream(0), LectureStream(0)
    rounded = jax.tree.map(lambda leaf: leaf.astype("float32"), double.params(SIZES, "float64"))
    assert_agree(single.params(SIZES, "float32"), rounded)
    assert_agree(single.orders(2, 12), double.orders(2, 12))


@both
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(stream: Stream) -> None:
    def draw(seed: int) -> tuple[object, jax.Array]:
        source = stream(seed)
        return source.params(SIZES, "float64"), source.orders(3, 50)

    assert_agree(draw(7), draw(7))
    (params, orders), (other_params, other_orders) = draw(7), draw(8)
    for leaf, other in zip(jax.tree.leaves(params)[::2], jax.tree.leaves(other_params)[::2], strict=True):
        assert not (np.asarray(leaf) == np.asarray(other)).any()
    assert not (np.asarray(orders) == np.asarray(other_orders)).all(axis=1).any()


@both
def test_every_order_is_a_permutation_and_no_two_are_the_same(stream: Stream) -> None:
    orders = np.asarray(stream(0).orders(3, 50))
    assert (orders.shape, orders.dtype) == ((3, 50), "int32")
    np.testing.assert_array_equal(np.sort(orders), np.tile(np.arange(50), (3, 1)))
    assert len({row.tobytes() for row in orders}) == 3


@both
def test_orders_asked_for_in_chunks_are_the_orders_asked_for_at_once(stream: Stream) -> None:
    chunked, whole = stream(3), stream(3)
    chunks = [chunked.orders(epochs, 50) for epochs in (2, 1)]
    assert_agree(np.concatenate(chunks), whole.orders(3, 50))


def test_parameters_and_orders_come_from_different_keys() -> None:
    stream = KeyStream(5)
    before = stream.params(SIZES, "float64")
    orders = stream.orders(1, 50)
    assert_agree(stream.params(SIZES, "float64"), before)  # the orders took nothing from it
    # Were the orders drawn from the parameters' key, or from one of its descendants, they would be one of these.
    root = jax.random.key(5)
    params_key, _ = jax.random.split(root)
    assert_agree(before, init_params(params_key, SIZES, "float64"))
    keys = [
        root,
        params_key,
        *jax.random.split(params_key),
        *(jax.random.fold_in(key, 0) for key in (root, params_key)),
    ]
    for key in keys:
        assert np.asarray(orders[0]).tolist() != jax.random.permutation(key, jnp.arange(50, dtype="int32")).tolist()


def test_the_key_of_an_epochs_order_is_the_second_half_of_the_seeds_folded_with_the_epochs_number() -> None:
    stream, (_, order_key) = KeyStream(5), jax.random.split(jax.random.key(5))
    first, second = (np.asarray(stream.orders(epochs, 50)) for epochs in (2, 1))
    for epoch, order in enumerate([*first, *second]):
        key, rows = jax.random.fold_in(order_key, epoch), jnp.arange(50, dtype="int32")
        assert order.tolist() == jax.random.permutation(key, rows).tolist()


@both
def test_no_layer_has_the_numbers_of_another(stream: Stream) -> None:
    # Equal widths: drawn from one key, the layers would be the same; a number has no reason to come twice.
    weights = [np.asarray(layer.weights) for layer in stream(0).params((6, 6, 6, 6), "float64")]
    assert [w.shape for w in weights] == [(6, 6)] * 3
    assert len(np.unique(np.concatenate(weights))) == 3 * 36


def test_each_layer_of_fresh_parameters_has_a_key_of_its_own() -> None:
    key, sizes = jax.random.key(3), (4, 6, 3)
    for k, layer, n_in in zip(jax.random.split(key, 2), init_params(key, sizes, "float64", 3.0), sizes, strict=False):
        normal = jax.random.normal(k, layer.weights.shape, "float64")
        np.testing.assert_allclose(layer.weights, 3 * np.asarray(normal) / np.sqrt(n_in), rtol=1e-15)


@both
def test_unusable_seeds_and_sizes_are_rejected(stream: Stream) -> None:
    for seed in (-1, 2**32, 1.5):
        with rejects(f"seed is {seed}, expected 0..4294967295"):
            stream(cast(int, seed))
    with rejects("width is 0, expected a whole number of 1 or more"):
        stream(0).params((4, 0, 3), "float64")
    with rejects("dtype is float16, expected float32 or float64"):
        stream(0).params(SIZES, "float16")


def test_nothing_touches_numpys_global_generator() -> None:
    before = np.random.get_state()
    for stream in (KeyStream(0), LectureStream(0)):
        train(stream.params(SIZES, "float64"), random_dataset(0, n_train=50), stream.orders(1, 50))
    load_digits("float64")
    for a, b in zip(before, np.random.get_state(), strict=True):
        np.testing.assert_array_equal(a, b)
