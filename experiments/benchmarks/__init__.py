"""What `experiments.benchmark` measures: one module per benchmark, and the contenders that it times."""
