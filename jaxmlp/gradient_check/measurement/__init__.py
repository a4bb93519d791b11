"""Measurement of a gradient: central differences of the loss, comparison with the returned gradient, verdicts."""
