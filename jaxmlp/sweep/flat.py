"""Activations of lanes side by side, computed as one long vector, forward and backward.

A lane's layer of 20 units is no whole number of a CPU's vectors of 16 (float32), and LLVM then computes exponentials by
fours, a fifth of an update's time. All lanes' units together are: the same numbers, in a third of that.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_batching import custom_vmap

from jaxmlp.network import ACTIVATIONS, Activation

__all__ = ["flat"]


def flat(name: str, one: Array) -> Activation:
    """The row of `jaxmlp.network.ACTIVATIONS`; under `jax.vmap`, with values computed as one vector for all lanes.

    ``one``: the scalar 1 as a traced value, which XLA does not know to be 1. The deltas are divided by it: XLA repeats
    cheap arithmetic wherever its result is read, here once for every weight of a row; a division it does once.
    """
    # The others are cheap, and better fused with what surrounds them.
    value = _value(name) if name in ("sigmoid", "tanh") else None
    return ACTIVATIONS[name] if value is None else ACTIVATIONS[name]._replace(value=lambda g: value(g, one))


@functools.cache
def _value(name: str) -> Callable[[Array, Array], Array]:
    row = ACTIVATIONS[name]
    forward = _side_by_side(row.value)
    backward = _side_by_side(lambda h, cotangent, one: cotangent * row.derivative(h) / one)

    @jax.custom_vjp
    def value(g: Array, one: Array) -> Array:
        del one
        return forward(g)

    def first(g: Array, one: Array) -> tuple[Array, tuple[Array, Array]]:
        h = forward(g)
        return h, (h, one)

    def second(kept: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
        h, one = kept
        return backward(h, cotangent, jnp.broadcast_to(one, h.shape)), jnp.zeros_like(one)

    value.defvjp(first, second)
    return value


def _side_by_side(function: Callable[..., Array]) -> Any:
    """``function``, elementwise, for arrays of one shape; under `jax.vmap` called once, with one long vector each."""

    @custom_vmap
    def lanes(*values: Array) -> Array:
        return function(*values)

    def together(_size: int, batched: list[bool], *values: Array) -> tuple[Array, bool]:
        assert all(batched)
        # The barriers keep XLA from moving the reshapes to where they would do nothing.
        result = function(*(jax.lax.optimization_barrier(value.reshape(-1)) for value in values))
        return jax.lax.optimization_barrier(result).reshape(values[0].shape), True

    lanes.def_vmap(together)
    return lanes
