"""What `experiments.sweep` does besides running one."""
