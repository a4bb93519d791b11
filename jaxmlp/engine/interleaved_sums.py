"""Sums over units with B networks in the last axis: products of weights, and the losses of outputs.

Each is a loop over the terms, a few per turn. Each term is one vector instruction; partial sums stay in registers and
are written to memory once. XLA's own reductions over a leading axis are scalar; it repeats written-out sums per reader.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["dot", "output_loss", "product", "product_back", "sum_of_squares"]

TURN = 8
"""Terms that a turn of a loop adds."""

Carry = TypeVar("Carry")


def product(weights: Array, h: Array) -> Array:
    """``W h``: ``[n_in, n_out, B]`` and ``[..., n_in, B or 1]`` give ``[..., n_out, B]``."""
    return _sum_of(len(weights), lambda i, k: _rows(weights, i, k, 0), lambda i, k: _rows(h, i, k)[..., None, :], -3)


def product_back(weights: Array, delta: Array) -> Array:
    """``delta W``: ``[n_in, n_out, B]`` and ``[n_out, B]`` give ``[n_in, B]``."""
    return _sum_of(len(delta), lambda i, k: _rows(weights, i, k), lambda i, k: _rows(delta, i, k), -2)


def dot(a: Array, b: Array) -> Array:
    """``a . b``: twice ``[n, B or 1]`` give ``[B or 1]``."""
    return _sum_of(len(a), lambda i, k: _rows(a, i, k), lambda i, k: _rows(b, i, k), -2)


def sum_of_squares(weights: Array) -> Array:
    """``|W|^2``: ``[n_in, n_out, B]`` gives ``[B]``."""
    rows = _sum_of(len(weights), lambda i, k: _rows(weights, i, k, 0), lambda i, k: _rows(weights, i, k, 0), -3)
    return dot(rows, jnp.ones_like(rows))


def output_loss(output: str, g: Array, y: Array) -> tuple[Array, Array]:
    """Losses ``[B]`` of logits ``g [n_L, B]`` for ``y [n_L, B or 1]``, and their derivative ``h - y`` (3).

    ``output``: a name of `jaxmlp.OUTPUTS`.
    """
    if output == "softmax":
        return _cross_entropy(g, y)
    if output == "identity":
        return dot(g - y, g - y) / 2, g - y
    losses = jax.nn.softplus(g) - y * g
    return dot(losses, jnp.ones_like(g)), jax.nn.sigmoid(g) - y


def _cross_entropy(g: Array, y: Array) -> tuple[Array, Array]:
    top = _turns(len(g), lambda i, k, top: _each(_rows(g, i, k), _larger, top), g[0])
    shifted = g - top
    exponentials = jnp.exp(shifted)
    total = _turns(len(g), lambda i, k, total: _each(_rows(exponentials, i, k), jnp.add, total), jnp.zeros_like(top))
    return jnp.log(total) - dot(y, shifted), exponentials / total - y


def _larger(a: Array, b: Array) -> Array:
    """Not `jax.numpy.maximum`: its care for NaN takes a third of the loop. A NaN makes all later sums NaN anyway."""
    return jnp.where(a > b, a, b)


def _sum_of(n: int, left: Callable[[Any, int], Array], right: Callable[[Any, int], Array], axis: int) -> Array:
    """The sum over ``axis`` of n products of slices, ``left(start, count) * right(start, count)``."""

    def products(start: Any, count: int) -> Array:
        return jnp.moveaxis(left(start, count) * right(start, count), axis, 0)

    def add(start: Any, count: int, total: Array) -> Array:
        return _each(products(start, count), jnp.add, total)

    return _turns(n, add, jnp.zeros_like(products(0, 1)[0]))


def _rows(values: Array, start: Any, count: int, axis: int = -2) -> Array:
    return jax.lax.dynamic_slice_in_dim(values, start, count, axis)


def _each(rows: Array, step: Callable[[Array, Array], Array], carry: Array) -> Array:
    for row in rows:
        carry = step(carry, row)
    return carry


def _turns(n: int, step: Callable[[Any, int, Carry], Carry], carry: Carry) -> Carry:
    """``carry = step(start, count, carry)`` over n terms, `TURN` at a time, by a loop of two turns or more.

    XLA would undo a loop of one turn, and then repeat the sum in each place that reads it.
    """
    turn = max(1, min(TURN, n // 2))
    rest = n % turn
    if rest:
        carry = step(0, rest, carry)
    return jax.lax.fori_loop(0, n // turn, lambda i, carry: step(rest + i * turn, turn, carry), carry)
