"""Checks that need JAX: of dtypes, of what a gradient function returns, of a Dataset.

They are separate from `jaxmlp.checks`, which must work without importing JAX.
"""

from typing import Any, cast

import jax
import numpy as np

from jaxmlp.checks import InputError, check_finite, check_labels

__all__ = ["check_dataset", "check_dtype", "check_gradient_function"]


def check_dtype(dtype: str | np.dtype[Any] | type | None) -> np.dtype[Any]:
    """``dtype`` as a NumPy dtype.

    Raises:
        InputError: neither float32 nor float64, or float64 while JAX's 64-bit mode is off.
    """
    try:
        checked = None if dtype is None else np.dtype(dtype)  # NumPy reads None as float64
    except TypeError:
        checked = None
    if checked is None or checked not in (np.dtype("float32"), np.dtype("float64")):
        raise InputError(f"dtype is {dtype!s}, expected float32 or float64")
    if jax.dtypes.canonicalize_dtype(checked) != checked:
        raise InputError("dtype is float64 while JAX computes in float32, expected jax_enable_x64 to be set first")
    return checked


def check_gradient_function(gradient_function: Any, params: Any, x: Any, y: Any) -> None:
    """Raise InputError unless ``gradient_function(params, x, y)`` can be compiled and returns loss and gradient."""
    try:
        found = jax.eval_shape(gradient_function, params, x, y)
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError):
        said = "it uses NumPy, or asks for values"
        expected = "expected jax.numpy alone: training compiles it, check_gradient checks NumPy's as they are"
        raise InputError(f"the gradient function cannot be compiled: {said}; {expected}") from None
    except TypeError as error:
        raise InputError(f"the gradient function fails: {' '.join(str(error).split()):.120}") from None
    shapes = jax.tree.map(np.shape, params)
    pair = isinstance(found, tuple) and len(cast(tuple[Any, ...], found)) == 2
    if not pair or np.shape(found[0]) != () or jax.tree.map(np.shape, found[1]) != shapes:
        raise InputError("the gradient function returns something else, expected (loss, gradient), a pytree as params")


def check_dataset(dataset: Any) -> None:
    """Raise InputError unless shapes and dtypes of a Dataset agree, inputs are finite and labels match the rows."""
    dtype = check_dtype(dataset.x_train.dtype)
    (n_in,), (n_classes,) = dataset.x_train.shape[-1:], dataset.y_train.shape[-1:]
    for name, (x, y, labels) in {"training": dataset[:3], "test": dataset[3:]}.items():
        n = len(labels)
        if n < 1 or (x.shape, y.shape, labels.shape) != ((n, n_in), (n, n_classes), (n,)):
            raise InputError(
                f"{name} data has shapes {x.shape}, {y.shape}, {labels.shape}, "
                f"expected [n, {n_in}], [n, {n_classes}], [n] with n >= 1"
            )
        if not x.dtype == y.dtype == dtype:
            raise InputError(f"{name} data has dtypes {x.dtype} and {y.dtype}, expected {dtype} for both")
        check_finite(np.asarray(x), name)
        check_labels(np.asarray(labels), n_classes)
        if not np.array_equal(y, np.asarray(labels)[:, None] == np.arange(n_classes)):
            raise InputError(f"{name} targets are not the one-hot rows of the labels")
