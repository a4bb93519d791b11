"""What `experiments.gradient_check` checks: data, your file, random networks, planted mistakes."""
