"""The gradient by central differences: slow, but independent of every derivation.

For parameter i and step h:

    (1)  D(h)   = (L(p_i + h) - L(p_i - h)) / 2h          error of order h^2
    (2)  D_4(h) = (4 D(h / 2) - D(h)) / 3                 Richardson: error of order h^4

Both also have a rounding error of about eps |L| / h. The step that balances the two errors is eps^(1/3) in (1), or
eps^(1/5) in (2), times the parameter's magnitude; `step="sweep"` searches for it instead.
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

from jaxmlp.checks import InputError
from jaxmlp.lecture.network import ActivationName, Params, forward_trace, network_loss
from jaxmlp.showing import fields, shown

__all__ = [
    "FLOAT32_WARNING", "KinkFunction", "LossFunction", "NumericalGradient", "NumericalResult", "StepSweep",
    "numerical_gradient", "relu_pre_activations",
]  # fmt: skip

LossFunction: TypeAlias = Callable[[Any, Array, Array], Array]
"""``(params, x, y) -> loss``, a scalar."""
KinkFunction: TypeAlias = Callable[[Any, Array, Array], Array]
"""``(params, x, y) -> values``, an array of any shape: the loss has a kink where one of them passes zero."""

FLOAT32_WARNING = "a numerical gradient in float32 has 2 or 3 right digits at best, expected float64"
CHUNK_ELEMENTS = 2**20  # how many perturbed parameters are in memory at once: 8 MiB in float64


@shown(fields)
class StepSweep(NamedTuple):
    """The result of a sweep over S steps.

    Attributes:
        steps: ``[S]``, from large to small, each in units of ``max(1, |p_i|)``.
        gradients: a pytree like params with leading axis S.
        errors: ``[S]``: norm-wise relative distance of each gradient from its two neighbours, the larger one.
        plateau: ``[2]``: the smallest and the largest step of the plateau, the unbroken run of steps around the best
            one with errors of at most 10 times the best.
    """

    steps: Array | NDArray[Any]
    gradients: Any
    errors: Array | NDArray[Any]
    plateau: Array | NDArray[Any]


@shown(fields)
class NumericalResult(NamedTuple):
    """A numerical gradient with its kinks and steps.

    Attributes:
        loss: a scalar.
        gradient: a pytree like params.
        kinks: a pytree like params of bool: true where the step crosses a kink. The element then means nothing.
        steps: a pytree like params: the step of each element.
        sweep: the result of the sweep, or None.
    """

    loss: Array
    gradient: Any
    kinks: Any
    steps: Any
    sweep: StepSweep | None


@dataclasses.dataclass(frozen=True)
class NumericalGradient:
    """A `GradientFunction` by central differences of any loss of any pytree of parameters.

    Attributes:
        loss: ``(params, x, y) -> scalar``.
        step: ``"auto"``: per element, from dtype and magnitude; ``"sweep"``: per leaf, from a sweep; or one number.
        order: 2, or 4 for Richardson's extrapolation.
        kinks: ``(params, x, y) -> values``; the loss has a kink where one of them changes sign. None: no kinks.
        pure: whether the loss depends on its arguments alone. Only in this case, a compiled program is kept for
            the next call: outside variables that a loss reads may have other values then.

    Raises:
        InputError: a step that is none of these, an order other than 2 and 4.

    Source: equations (1) and (2) above.
    """

    loss: LossFunction
    step: float | str = "auto"
    order: int = 2
    kinks: KinkFunction | None = None
    pure: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.step, str):
            if self.step not in ("auto", "sweep"):
                raise InputError(f"step is {self.step!r}, expected 'auto', 'sweep' or a positive number")
        elif not (np.isfinite(self.step) and self.step > 0):
            raise InputError(f"step is {self.step}, expected 'auto', 'sweep' or a positive number")
        if self.order not in (2, 4):
            raise InputError(f"order is {self.order}, expected 2 or 4")

    def __call__(self, params: Any, x: Array, y: Array) -> tuple[Array, Any]:
        """The loss and its gradient, a pytree like ``params``; errors as `result`, and a warning below float64."""
        result = self.result(params, x, y)
        if result.loss.dtype != np.float64:
            warnings.warn(FLOAT32_WARNING, stacklevel=2)
        return result.loss, result.gradient

    def _compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if not self.pure:
            return jax.jit(functools.partial(function, self))
        return functools.partial({_differences: _compiled_differences, _sweep: _compiled_sweep}[function], self)

    def result(self, params: Any, x: Array, y: Array) -> NumericalResult:
        """The gradient with its kinks and steps.

        Args:
            params: any pytree of arrays, all of one floating dtype.
            x: as the loss takes it.
            y: as the loss takes it.

        Raises:
            InputError: no parameters, or parameters of several dtypes or of integers.
        """
        dtypes = sorted({str(jnp.result_type(leaf)) for leaf in jax.tree.leaves(params)})
        if len(dtypes) != 1 or not jnp.issubdtype(dtypes[0], jnp.floating):
            raise InputError(f"parameters have dtypes {dtypes}, expected one floating dtype")
        theta, unravel = ravel_pytree(params)
        scale, eps = jnp.maximum(1, jnp.abs(theta)), float(jnp.finfo(theta.dtype).eps)
        sweep = None
        if not isinstance(self.step, str):
            steps = jnp.full_like(theta, self.step)
        elif self.step == "sweep":
            sweep, chosen = self._compiled(_sweep)(params, x, y)
            steps = chosen * scale
        else:
            steps = eps ** (1 / (self.order + 1)) * scale
        loss, gradient, kinks = self._compiled(_differences)(params, steps, x, y)
        crossed = jax.tree.map(lambda mask: mask > 0, unravel(kinks.astype(theta.dtype)))
        return NumericalResult(loss, unravel(gradient), crossed, unravel(steps), sweep)


def relu_pre_activations(activation: ActivationName) -> KinkFunction | None:
    """The `KinkFunction` of a network: the pre-activations that pass through relu; None if none does."""
    if "relu" not in ((activation,) if isinstance(activation, str) else activation):
        return None
    return functools.partial(_relu_pre_activations, activation)


def _relu_pre_activations(activation: ActivationName, params: Params, x: Array, _: Array) -> Array:
    g = forward_trace(params, x, activation).pre_activations[:-1]
    names = (activation,) * len(g) if isinstance(activation, str) else activation
    return jnp.concatenate([jnp.ravel(values) for values, name in zip(g, names, strict=True) if name == "relu"])


@functools.cache
def numerical_gradient(
    activation: ActivationName = "sigmoid", step: float | str = "auto", order: int = 2, output: str = "softmax"
) -> NumericalGradient:
    """The numerical `GradientFunction` of a network with this activation; arguments as `NumericalGradient`.

    Kinks of relu are recognised. A call in float32 warns.

    Raises:
        InputError: as `NumericalGradient`, an unknown output; (when called) an unknown activation or a wrong number.
    """
    return NumericalGradient(network_loss(activation, output), step, order, relu_pre_activations(activation), pure=True)


def _differences(of: NumericalGradient, params: Any, steps: Array, x: Array, y: Array) -> tuple[Array, Array, Array]:
    """The loss, the gradient ``[P]`` and which elements cross a kink ``[P]``, for P parameters with ``steps [P]``."""
    theta, unravel = ravel_pytree(params)
    n = theta.size
    shifts = jnp.asarray([1, -1] if of.order == 2 else [1, -1, 0.5, -0.5], theta.dtype)

    def evaluate(at: Array) -> tuple[Array, Array]:
        signs = jnp.zeros(0, bool) if of.kinks is None else of.kinks(unravel(at), x, y) > 0
        return of.loss(unravel(at), x, y), signs

    loss, signs = evaluate(theta)

    def element(index: Array, step: Array) -> tuple[Array, Array]:
        values = theta[index] + shifts * step
        losses, shifted = jax.vmap(lambda value: evaluate(theta.at[index].set(value)))(values)
        # Divided by the actual distance, which rounding made a little different from 2h.
        quotients = (losses[0::2] - losses[1::2]) / (values[0::2] - values[1::2])  # (1)
        gradient = quotients[0] if of.order == 2 else (4 * quotients[1] - quotients[0]) / 3  # (2)
        return gradient, jnp.any(shifted != signs)

    chunk = max(1, min(n, CHUNK_ELEMENTS // (n * len(shifts))))
    padding = -n % chunk  # the last chunk is padded with element 0: a shorter one would compile again
    indices = jnp.pad(jnp.arange(n), (0, padding)).reshape(-1, chunk)
    chunks = indices, jnp.pad(steps, (0, padding), constant_values=1).reshape(-1, chunk)
    gradient, kinks = jax.lax.map(lambda elements: jax.vmap(element)(*elements), chunks)
    return loss, jnp.ravel(gradient)[:n], jnp.ravel(kinks)[:n]


def _sweep(of: NumericalGradient, params: Any, x: Array, y: Array) -> tuple[StepSweep, Array]:
    """A sweep from 1/8 down to eps^(2/3), below which rounding hides the gradient; and the chosen steps, ``[P]``."""
    theta, unravel = ravel_pytree(params)
    scale, eps = jnp.maximum(1, jnp.abs(theta)), float(jnp.finfo(theta.dtype).eps)
    steps = jnp.asarray(2.0 ** -np.arange(3, -np.log2(eps) * 2 / 3 + 1, 2), theta.dtype)
    found = jax.lax.map(lambda step: _differences(of, params, step * scale, x, y)[1], steps)  # [S, P]

    def distances(gradients: Array) -> Array:
        gaps = jnp.linalg.norm(jnp.diff(gradients.reshape(len(steps), -1), axis=0), axis=1)
        both = jnp.maximum(jnp.pad(gaps, (1, 0), mode="edge"), jnp.pad(gaps, (0, 1), mode="edge"))
        norms = jnp.linalg.norm(gradients.reshape(len(steps), -1), axis=1)
        return both / jnp.where(norms > 0, norms, 1)

    gradients = jax.vmap(unravel)(found)
    best = jax.tree.map(lambda leaf: jnp.full(leaf.shape[1:], steps[jnp.argmin(distances(leaf))]), gradients)
    errors = distances(found)
    near, index = errors <= 10 * errors.min(), jnp.arange(len(steps))
    middle = jnp.argmin(errors)
    first = jnp.max(jnp.where(~near & (index < middle), index + 1, 0))  # next after the last bad one before the best
    last = jnp.min(jnp.where(~near & (index > middle), index - 1, len(steps) - 1))
    return StepSweep(steps, gradients, errors, jnp.stack([steps[last], steps[first]])), ravel_pytree(best)[0]


_compiled_differences, _compiled_sweep = (jax.jit(function, static_argnums=0) for function in (_differences, _sweep))
