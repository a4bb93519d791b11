"""Anybody's gradient, checked by central differences of its loss; in NumPy, JAX or plain Python."""

from jaxmlp.gradient_check.answer import GradientCheck, LeafCheck, WrongGradientError
from jaxmlp.gradient_check.calling import Parameters
from jaxmlp.gradient_check.check import check_gradient
from jaxmlp.gradient_check.diagnosis import Diagnosis, Finding, diagnose, recognise
from jaxmlp.gradient_check.gradients import returned_gradient

__all__ = [
    "Diagnosis", "Finding", "GradientCheck", "LeafCheck", "Parameters", "WrongGradientError",
    "check_gradient", "diagnose", "recognise", "returned_gradient",
]  # fmt: skip
