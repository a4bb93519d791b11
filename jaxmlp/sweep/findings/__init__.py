"""What a sweep found: choosing honestly, in words, and as `Results`."""

from jaxmlp.sweep.findings import choosing, summary
from jaxmlp.sweep.findings.answer import Results, dataset_of, results

__all__ = ["Results", "choosing", "dataset_of", "results", "summary"]
