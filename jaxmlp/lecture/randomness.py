"""Random numbers: initial weights and sample orders, from the lecture's RandomState stream or from jax.random keys.

    (d)  W_l ~ normal(0, 1/sqrt(n_(l-1))), [n_l, n_(l-1)];  b_l = 0
    (f)  order of an epoch: a permutation of the training rows

The lecture draws everything from one Mersenne Twister stream: first the initial weights, layer by layer, then one
permutation per epoch. `LectureStream` draws in this sequence; with keys the sequence does not matter.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmlp.checks import check_seed, check_sizes
from jaxmlp.entrance import check_dtype
from jaxmlp.lecture.network import Layer, Params

__all__ = ["KeyStream", "LectureStream", "init_params", "lecture_orders"]


class LectureStream:
    """Initial weights and sample orders exactly as the lecture draws them (steps 2 and 3).

    Draw the parameters first, then the orders, one epoch after the other: each call advances the stream. Instead of a
    seed it accepts a RandomState, and advances that one.
    """

    def __init__(self, seed: int | np.random.RandomState) -> None:
        self.random = seed if isinstance(seed, np.random.RandomState) else np.random.RandomState(check_seed(seed))

    def params(self, sizes: Sequence[int], dtype: str = "float32") -> Params:
        """Initial weights ``normal(0, 1/sqrt(n_in), (n_out, n_in))`` in float64, cast to ``dtype``; biases zero."""
        sizes, dtype_ = check_sizes(sizes), check_dtype(dtype)
        return tuple(
            Layer(
                # Made by NumPy: outside a compiled program, JAX compiles each operation separately.
                jax.device_put(self.random.normal(0, 1 / np.sqrt(n_in), (n_out, n_in)).astype(dtype_)),  # (d)
                jax.device_put(np.zeros(n_out, dtype_)),
            )
            for n_in, n_out in itertools.pairwise(sizes)
        )

    def orders(self, epochs: int, n_train: int) -> Array:
        """The next ``epochs`` permutations of the training rows: int32 ``[epochs, n_train]``."""
        draws = [self.random.permutation(n_train) for _ in range(epochs)]  # (f)
        return jax.device_put(np.asarray(draws, np.int32).reshape(epochs, n_train))


def lecture_orders(seed: int, sizes: Sequence[int], epochs: int, n_train: int) -> Array:
    """The orders ``[epochs, n_train]`` that the lecture draws after the initial weights of a network of these sizes."""
    stream = LectureStream(seed)
    stream.params(sizes, "float32")
    return stream.orders(epochs, n_train)


class KeyStream:
    """Initial weights and sample orders from ``jax.random.key(seed)``: one key for the weights, one per epoch."""

    def __init__(self, seed: int) -> None:
        self._params_key, self._order_key = jax.random.split(jax.random.key(check_seed(seed)))
        self._epoch = 0

    def params(self, sizes: Sequence[int], dtype: str = "float32") -> Params:
        """`init_params` from this seed; the same at every call."""
        return init_params(self._params_key, sizes, dtype)

    def orders(self, epochs: int, n_train: int) -> Array:
        """The next ``epochs`` permutations: int32 ``[epochs, n_train]``; how calls split the epochs has no effect."""
        bits = np.asarray(_bits(self._order_key, np.uint32(self._epoch), epochs, n_train), np.uint64)
        self._epoch += epochs
        # Rows are sorted by random numbers, as in jax.random.permutation. On a CPU, XLA's sort would take a fifth of
        # the training time, NumPy's takes 3 %. The high 32 bits are the random number, the low 32 bits the row.
        numbered = np.sort(bits << np.uint64(32) | np.arange(n_train, dtype=np.uint64), axis=1)
        return jnp.asarray((numbered & np.uint64(2**32 - 1)).astype(np.int32))


@functools.partial(jax.jit, static_argnames=("epochs", "n"))
def _bits(key: Array, first: Any, epochs: int, n: int) -> Array:
    """Random numbers of the epochs from ``first`` on: uint32 ``[epochs, n]``."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, first + jnp.arange(epochs, dtype=jnp.uint32))
    return jax.vmap(lambda key: jax.random.bits(jax.random.split(key)[1], (n,), jnp.uint32))(keys)


def init_params(
    key: Array, sizes: Sequence[int], dtype: str | np.dtype[Any] | type = "float32", scale: float = 1.0
) -> Params:
    """Initial parameters: weights normal with standard deviation ``scale / sqrt(n_in)``, biases zero.

    Args:
        key: a ``jax.random.key``, consumed here (split once per layer).
        sizes: ``(n_0, .., n_L)``.
        dtype: float32 or float64.
        scale: factor of the standard deviation; 1 in the lecture.

    Raises:
        InputError: a width below 1, too many parameters, an unsupported dtype.
    """
    sizes, dtype = check_sizes(sizes), check_dtype(dtype)
    keys = jax.random.split(key, len(sizes) - 1)
    return tuple(
        Layer(jax.random.normal(k, (n_out, n_in), dtype) * (scale / n_in**0.5), jnp.zeros(n_out, dtype))
        for k, (n_in, n_out) in zip(keys, itertools.pairwise(sizes), strict=True)
    )
