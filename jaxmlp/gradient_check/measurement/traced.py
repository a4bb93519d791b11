"""A second witness where JAX can trace the loss: its gradient by `jax.grad`."""

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxmlp.gradient_check.calling import Parameters

__all__ = ["traced_gradient"]


def traced_gradient(loss: Callable[..., Any], parameters: Parameters) -> NDArray[np.float64] | None:
    """The gradient of ``loss`` ``[P]``, or None where JAX can't trace it, as where NumPy computes it.

    It has the digits of the mode that JAX is in: turned on here, 64-bit mode would spoil what JAX keeps of their data.
    """

    def of_leaves(arrays: list[Any]) -> Any:
        return jnp.reshape(loss(*parameters.rebuild(arrays, as_given=True)), ())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dtype = jnp.result_type(float)
        views = parameters.split(parameters.theta)
        try:
            kind = jax.eval_shape(of_leaves, [jax.ShapeDtypeStruct(view.shape, dtype) for view in views])
            if not jnp.issubdtype(kind.dtype, jnp.floating):
                return None
            arrays = [jnp.asarray(np.array(view)) for view in views]
            gradient = jax.grad(of_leaves)(arrays)
        except Exception:  # what NumPy, or code of theirs, says to a tracer may be anything
            return None
        return np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in gradient])
