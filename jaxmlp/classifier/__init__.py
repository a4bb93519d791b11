"""Estimators for scikit-learn and their searches, trained by the same update as everything else here."""

from jaxmlp.classifier.estimator import MLPClassifier
from jaxmlp.classifier.network_estimator import NetworkEstimator
from jaxmlp.classifier.regressor import MLPRegressor
from jaxmlp.classifier.search import MLPClassifierSweep, MLPRegressorSweep
from jaxmlp.classifier.settings import check_settings

__all__ = [
    "MLPClassifier", "MLPClassifierSweep", "MLPRegressor", "MLPRegressorSweep", "NetworkEstimator", "check_settings",
]  # fmt: skip
