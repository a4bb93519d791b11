"""The experiments: each module here is a command, ``python -m experiments.NAME``, with a ``run(...)`` for code."""
