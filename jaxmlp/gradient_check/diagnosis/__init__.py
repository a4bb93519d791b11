"""Which network a loss belongs to, and where its backward pass first goes wrong; in NumPy, whatever the layout."""

from jaxmlp.gradient_check.diagnosis.diagnosis import Diagnosis, Finding, diagnose
from jaxmlp.gradient_check.diagnosis.looks import looks, where_wrong
from jaxmlp.gradient_check.diagnosis.recognition import Recognised, recognise

__all__ = ["Diagnosis", "Finding", "Recognised", "diagnose", "looks", "recognise", "where_wrong"]
