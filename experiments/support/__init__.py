"""What several commands share: the command line, one training run; and compiling for GPUs that are not there."""
