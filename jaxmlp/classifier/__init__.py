"""The classifier for scikit-learn and its search, trained by the same step as everything else here."""

from jaxmlp.classifier.estimator import MLPClassifier
from jaxmlp.classifier.search import MLPClassifierSweep
from jaxmlp.classifier.settings import check_settings

__all__ = ["MLPClassifier", "MLPClassifierSweep", "check_settings"]
