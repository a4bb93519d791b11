"""A gradient measured: central differences of the loss, their comparison with what was returned, the verdicts."""
