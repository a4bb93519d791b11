"""What `experiments.benchmark` measures, and whom it measures beside jaxmlp."""
