"""What `experiments.gradient_check` checks besides the digits: your file, random networks, planted mistakes."""
