"""Where chance enters: the lecture's RandomState stream, or jax.random keys. Nothing else here draws anything.

The lecture draws everything from one legacy Mersenne Twister stream: first the weights, layer by layer, then one
permutation an epoch. `LectureStream` keeps that order; with keys the order does not matter.
"""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmlp.data import check_dtype
from jaxmlp.errors import InputError, is_integer
from jaxmlp.network import Layer, Params, check_sizes, init_params

__all__ = ["KeyStream", "LectureStream", "check_seed"]


def check_seed(seed: int) -> int:
    """``seed``; raises InputError unless it is a whole number in 0..2**32-1, the range of the lecture's generator."""
    if not is_integer(seed) or not 0 <= seed < 2**32:
        raise InputError(f"seed is {seed}, expected 0..{2**32 - 1}")
    return seed


class LectureStream:
    """Initial parameters and sample orders exactly as the lecture draws them (steps 2 and 3).

    Ask for the parameters first, then for the orders epoch after epoch: each call moves the stream on. In the place of
    a seed it takes a RandomState, which it moves on.
    """

    def __init__(self, seed: int | np.random.RandomState) -> None:
        self.random = seed if isinstance(seed, np.random.RandomState) else np.random.RandomState(check_seed(seed))

    def params(self, sizes: Sequence[int], dtype: str) -> Params:
        """Weights ``normal(0, 1/sqrt(n_in), (n_out, n_in))`` in float64, cast to ``dtype``; biases zero."""
        sizes, dtype_ = check_sizes(sizes), check_dtype(dtype)
        return tuple(
            Layer(
                jnp.asarray(self.random.normal(0, 1 / np.sqrt(n_in), (n_out, n_in)), dtype_),
                jnp.zeros(n_out, dtype_),
            )
            for n_in, n_out in itertools.pairwise(sizes)
        )

    def orders(self, epochs: int, n_train: int) -> Array:
        """The next ``epochs`` permutations of the training rows: int32 ``[epochs, n_train]``."""
        draws = [self.random.permutation(n_train) for _ in range(epochs)]
        return jnp.asarray(np.asarray(draws, np.int32).reshape(epochs, n_train))


class KeyStream:
    """The same from ``jax.random.key(seed)``: one key for the parameters, one for each epoch's order."""

    def __init__(self, seed: int) -> None:
        self._params_key, self._order_key = jax.random.split(jax.random.key(check_seed(seed)))
        self._epoch = 0

    def params(self, sizes: Sequence[int], dtype: str) -> Params:
        """`jaxmlp.init_params` from this seed; the same at every call."""
        return init_params(self._params_key, sizes, dtype)

    def orders(self, epochs: int, n_train: int) -> Array:
        """The next ``epochs`` permutations: int32 ``[epochs, n_train]``, the same however the epochs are cut."""
        numbers = jnp.arange(self._epoch, self._epoch + epochs, dtype=jnp.uint32)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(self._order_key, numbers)
        self._epoch += epochs
        return jax.vmap(lambda key: jax.random.permutation(key, jnp.arange(n_train, dtype=jnp.int32)))(keys)
