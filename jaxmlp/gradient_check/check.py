"""`check_gradient`: a user's loss and gradient functions, unchanged, checked in one call."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxmlp.checks import InputError
from jaxmlp.gradient_check.answer import GradientCheck, LeafCheck
from jaxmlp.gradient_check.calling import Parameters, scalar
from jaxmlp.gradient_check.diagnosis import recognise
from jaxmlp.gradient_check.gradients import cast_findings, returned_gradient
from jaxmlp.gradient_check.measurement.comparing import Comparison
from jaxmlp.gradient_check.measurement.differences import measure_scale
from jaxmlp.gradient_check.measurement.traced import traced_gradient
from jaxmlp.gradient_check.wording import diagnosed

__all__ = ["check_gradient"]


def check_gradient(
    loss: Callable[..., Any],
    gradient: Callable[..., Any],
    *params: Any,
    data: Any = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> GradientCheck:
    """Is ``gradient`` the gradient of ``loss`` at ``params``? Both are your functions, in NumPy, JAX or plain Python.

    >>> check_gradient(lambda W, b: my_loss(x, y, W, b), lambda W, b: my_backward(x, y, W, b), W, b)  # doctest: +SKIP

    Args:
        loss: ``loss(*params)`` gives one number.
        gradient: ``gradient(*params)`` gives a gradient with the structure of the params. For one param: its gradient
            or a 1-tuple; for several: a list or a tuple with one per param. ``(loss, gradient)`` is accepted too.
        *params: numbers or arrays, of NumPy or JAX, in lists, tuples, dicts and named tuples, nested. They are copied.
        data: ``(x, y)``, the data of the loss; with it the network is recognised and a mistake is named. Samples in
            rows or columns, or one sample; y as numbers, one-hot rows or labels.
        seed: of the random choice of elements and directions, if there are more than 4,096 numbers.
        progress: called after each compared number, with how many are done and how many there are.

    Returns:
        The answer: its truth value is whether all is well; printed, it says what is wrong.

    Raises:
        InputError: a loss that is not a function or does not give one number, a gradient that does not consist of
            numbers, parameters that are not finite numbers, data that is not a pair of arrays of numbers. Errors that
            the functions raise are passed on.

    Source: central differences of the loss in float64, `jaxmlp.gradient_check.measurement.differences`; the network's
    formulas, `jaxmlp.gradient_check.diagnosis`.
    """
    for name, function in (("loss", loss), ("gradient", gradient)):
        if not callable(function):
            raise InputError(f"{name} is {function!r:.40}, expected a function of the parameters")
    if data is not None:
        _check_data(data)
    parameters = Parameters(params, _names(loss, len(params)))
    random = np.random.default_rng(seed)
    exact = traced_gradient(loss, parameters)
    with np.errstate(all="ignore"):
        answer = _checked(loss, gradient, parameters, data, random, exact, progress)
        for function, name in ((loss, "loss"), (gradient, "gradient")):
            parameters.call(function, name, own=True)  # objects that remember their last call then have the user's
    return answer


def _check_data(data: Any) -> None:
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise InputError(f"data is a {type(data).__name__}, expected a pair (x, y)")
    for name, values in zip("xy", data, strict=True):
        try:
            array = np.asarray(values)
        except ValueError:
            raise InputError(f"{name} of data has rows of different lengths, expected an array") from None
        if array.dtype.kind not in "fiub" or not array.size:
            what = f"{array.dtype} values" if array.size else "no values"
            raise InputError(f"{name} of data contains {what}, expected numbers")


def _names(loss: Callable[..., Any], count: int) -> list[str]:
    """The names of the params: those of the loss's arguments."""
    try:
        found = [
            name for name, each in inspect.signature(loss).parameters.items()
            if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        ]  # fmt: skip
    except (TypeError, ValueError):
        found = []
    return found[:count] if len(found) >= count else [f"params[{place}]" for place in range(count)]


def _checked(
    loss: Callable[..., Any],
    gradient: Callable[..., Any],
    parameters: Parameters,
    data: Any,
    random: np.random.Generator,
    exact: Any,
    progress: Callable[[int, int], None] | None,
) -> GradientCheck:
    def value(theta: Any) -> float:
        return scalar(parameters.call(loss, "loss", theta), "the loss")

    first, second = (scalar(parameters.call(loss, "loss", own=True), "the loss") for _ in range(2))
    returned = returned_gradient(gradient, parameters)
    findings = list(returned.findings)
    if returned.loss is not None and not _near(returned.loss, first):
        findings.append(f"the loss that gradient returns is {returned.loss:.7g}, that of loss {first:.7g}")
    if not np.isfinite(first):
        findings.insert(0, f"the loss is {first} at these parameters: nothing can be compared with it")
        return _answer(parameters, _unknown(parameters, "the loss is not finite"), findings, [], "", (), first)
    if first != second:
        findings.insert(0, f"loss is random, or has a memory: two calls gave {first:.7g} and {second:.7g}")
        return _answer(parameters, _unknown(parameters, "two calls of loss differ"), findings, [], "", (), first)
    scale = measure_scale(value, parameters.theta, parameters.places, random)
    if not scale.variation:
        flat = "loss doesn't change with any parameter: does it use its arguments, or variables outside?"
        pairs = zip(returned.leaves, parameters.shapes, strict=True)
        if not returned.extra and all(leaf is not None and leaf.shape == n and not leaf.any() for leaf, n in pairs):
            rows = [row._replace(verdict="right", error=0.0, note="") for row in _unknown(parameters, "")]
            return _answer(parameters, rows, findings, [flat], "", (), first)
        rows = _unknown(parameters, "the loss doesn't change")
        return _answer(parameters, rows, [flat, *findings], [], "", (), first)
    network = None
    if data is not None:
        leaves = [array.copy() for array in parameters.split(parameters.theta)]

        def at(point: Sequence[Any]) -> float:
            return value(np.concatenate([np.ravel(leaf) for leaf in point]))

        network = recognise(leaves, at, *data, random=random, noise=scale.noise)
    comparison = Comparison(value, parameters, returned, scale, random, exact)
    rows = comparison.rows(network, progress)
    findings += cast_findings(parameters, returned, rows)
    words, sentences = diagnosed(network, parameters, returned, rows, comparison.formulas_hold, data is not None)
    return _answer(parameters, rows, findings, comparison.notes, words, sentences, first)


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-5 * max(abs(a), abs(b)) or (a != a and b != b)


def _unknown(parameters: Parameters, why: str) -> list[LeafCheck]:
    pairs = zip(parameters.leaves, parameters.shapes, strict=True)
    return [LeafCheck(leaf.path, "unknown", shape, why) for leaf, shape in pairs]


def _answer(
    parameters: Parameters,
    rows: list[LeafCheck],
    findings: list[str],
    notes: list[str],
    recognised: str,
    diagnosis: tuple[str, ...],
    loss: float,
) -> GradientCheck:
    for name, paths in parameters.changed.items():
        if paths:
            findings.append(f"{name} changes its parameters in place: {', '.join(paths)}")
    return GradientCheck(tuple(rows), tuple(findings), tuple(notes), recognised, diagnosis, loss)
