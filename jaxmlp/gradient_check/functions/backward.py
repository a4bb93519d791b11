"""Diagnosis of a backward pass from the loss and the gradient that it returns: its network, and its mistakes."""

from typing import Any

import jax
import numpy as np

from jaxmlp.checks import InputError
from jaxmlp.gradient_check.calling import Parameters
from jaxmlp.gradient_check.diagnosis import Diagnosis, diagnose, recognise
from jaxmlp.gradient_check.functions.comparison import loss_and_gradient
from jaxmlp.gradient_check.gradients import returned_gradient
from jaxmlp.lecture.losses import GradientFunction
from jaxmlp.lecture.network import ActivationName

__all__ = ["compare_backward"]


@jax.default_matmul_precision("highest")  # as in `compare_gradients`
def compare_backward(
    function: GradientFunction,
    params: Any,
    x: Any,
    y: Any,
    activation: ActivationName | None = None,
    tolerance: float | None = None,
) -> Diagnosis:
    """Find the first wrong quantity of a backward pass from the gradient it returns.

    Its network is recognised from the loss that it returns, at several parameters near ``params``: depth, layout,
    activations, softmax with cross-entropy or another output and loss, sum or mean, L2.

    Args:
        function: the gradient function to diagnose.
        params: of L layers of widths ``n_0 .. n_L``, in any containers, float32 or float64.
        x: ``[B, n_0]``, ``[n_0, B]`` or ``[n_0]``. If B and all widths are 2 or more, fewer mistakes look alike.
        y: ``[B, n_L]``, ``[n_L, B]``, ``[n_L]``, or labels ``[B]``.
        activation: of the hidden layers, one name or one per layer; None: recognised too.
        tolerance: norm-wise relative error up to which leaves are equal; default 1e-11 (float64), 3e-5 (float32).

    Returns:
        Findings from the output layer down; empty if all is right.

    Raises:
        InputError: a function that does not return a pair, a gradient that lacks a leaf of params, a loss that no
            network known here has.
    """
    parameters = Parameters([params], ["params"])

    def call(theta: Any = None) -> tuple[Any, Any]:
        return loss_and_gradient(parameters.call(lambda p: function(p, x, y), "function", theta, own=True), "function")

    returned = returned_gradient(lambda p: loss_and_gradient(function(p, x, y), "function")[1], parameters)
    for leaf, gradient in zip(parameters.leaves, returned.leaves, strict=True):
        if gradient is None:
            raise InputError(f"the gradient has no {leaf.path}, expected the structure of the parameters")
    leaves = parameters.split(parameters.theta)
    loss, _ = call()
    noise = 4 * float(np.finfo(loss.dtype).eps) * abs(float(loss))

    def evaluate(point: list[Any]) -> float:
        return float(call(np.concatenate([np.ravel(each) for each in point]))[0])

    network = recognise(leaves, evaluate, x, y, np.random.default_rng(0), noise, activation)
    if network is None:
        shapes = f"x {list(np.shape(x))}, y {list(np.shape(y))}"
        raise InputError(
            f"the loss that the function returns, {float(loss):.6g}, is that of no network known here with {shapes}:"
            " expected one of its layers alone, with samples and labels in pairs"
        )
    double = all(name == "float64" for name in returned.dtypes)
    limit = (max(1e-11, 1e3 * network.error) if double else 3e-5) if tolerance is None else tolerance
    made = network.arrangement.split_gradient(returned.leaves, parameters.shapes)
    return diagnose(network, leaves, made, limit, float(np.finfo(np.float64 if double else np.float32).eps))
