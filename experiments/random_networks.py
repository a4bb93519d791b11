"""Random networks with data, for checking gradients: every draw from one integer."""

import itertools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmlp import ACTIVATIONS, Layer, Params

__all__ = ["RandomNetwork", "random_network"]


class RandomNetwork(NamedTuple):
    """A network and a batch: ``params``, ``x [B, n_0]``, one-hot ``y [B, n_L]`` and one activation a hidden layer."""

    params: Params
    x: Array
    y: Array
    activation: tuple[str, ...]


def random_network(
    seed: int,
    dtype: str = "float64",
    depths: tuple[int, int] = (0, 6),
    widths: tuple[int, int] = (1, 64),
    batches: tuple[int, int] = (1, 33),
    activations: tuple[str, ...] = tuple(ACTIVATIONS),
    square: bool = False,
) -> RandomNetwork:
    """One network, all of it drawn from ``seed``: the same seed is the same network.

    Args:
        seed: 0 or more.
        dtype: float32 or float64.
        depths: lowest and highest number of hidden layers.
        widths: of every layer, inputs and outputs too.
        batches: of B, the samples.
        activations: each hidden layer draws one of them.
        square: all layers of one width.

    Returns:
        Weights normal with standard deviation ``1/sqrt(n_in)``, biases 0.3 times normal, inputs normal.
    """
    # NumPy draws: jax.random would compile a sampler for every new shape.
    random = np.random.default_rng(seed)
    n_hidden = int(random.integers(depths[0], depths[1] + 1))
    sizes = random.integers(widths[0], widths[1] + 1, n_hidden + 2)
    sizes = np.full_like(sizes, sizes[0]) if square else sizes
    samples = int(random.integers(batches[0], batches[1] + 1))
    params = tuple(
        Layer(
            jnp.asarray(random.normal(0, n_in**-0.5, (n_out, n_in)), dtype),
            jnp.asarray(random.normal(0, 0.3, n_out), dtype),
        )
        for n_in, n_out in itertools.pairwise(sizes)
    )
    x = random.normal(size=(samples, sizes[0]))
    y = np.eye(sizes[-1])[random.integers(0, sizes[-1], samples)]
    names = tuple(str(name) for name in random.choice(activations, n_hidden))
    return RandomNetwork(params, jnp.asarray(x, dtype), jnp.asarray(y, dtype), names)
