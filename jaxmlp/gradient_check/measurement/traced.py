"""A second witness, if JAX can trace the loss: its gradient by `jax.grad`."""

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
    """The gradient of ``loss`` ``[P]``, or None if JAX cannot trace it, for example a loss in NumPy.

    Its precision is that of JAX's current mode. Turning on 64-bit mode here would spoil JAX's copies of user data.
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
        except Exception:  # NumPy, or the user's code, may raise any error for a tracer
            return None
        return np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in gradient])
