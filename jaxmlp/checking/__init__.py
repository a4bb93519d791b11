"""Is this gradient right? Gradient functions compared leaf by leaf, by central differences, and diagnosed in words."""

from jaxmlp.checking.automatic import automatic_deltas, automatic_hessian_vector
from jaxmlp.checking.backward import compare_backward
from jaxmlp.checking.comparison import compare_gradients, compare_trees
from jaxmlp.checking.numerical import NumericalGradient, NumericalResult, StepSweep, numerical_gradient
from jaxmlp.checking.report import DifferentGradientsError, GradientReport, HessianVectorProduct, Row, Tolerance
from jaxmlp.checking.second_order import hand_derived_hessian_vector

__all__ = [
    "DifferentGradientsError", "GradientReport", "HessianVectorProduct", "NumericalGradient", "NumericalResult", "Row",
    "StepSweep", "Tolerance", "automatic_deltas", "automatic_hessian_vector", "compare_backward", "compare_gradients",
    "compare_trees", "hand_derived_hessian_vector", "numerical_gradient",
]  # fmt: skip
