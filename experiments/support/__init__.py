"""What several commands share: their command line, one training run, what compiles for GPUs that are not there."""
