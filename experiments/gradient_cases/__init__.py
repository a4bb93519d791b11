"""What `experiments.gradient_check` checks besides the digits: random networks and planted mistakes."""
