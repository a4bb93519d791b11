"""The experiments: each module is a command, ``python -m experiments.NAME``, with a ``run(...)`` to call from code."""
