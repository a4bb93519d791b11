"""The names that settings can have, and nothing else: a parser of options needs them without importing JAX."""

__all__ = ["ACTIVATIONS", "AXES", "BUNDLED", "BY", "DEVICES", "ENGINES", "PALETTES", "SAMPLERS"]

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu")
"""The keys of `jaxmlp.ACTIVATIONS`."""
DEVICES = ("auto", "cpu", "gpu")
BUNDLED = ("wine", "iris", "breast_cancer", "digits")
"""Data sets of scikit-learn."""
AXES = ("hidden", "activation", "batch_size", "optimizer", "learning_rate", "momentum", "weight_decay", "init_scale")
"""The settings in which the configurations of a sweep may differ, beside the seed."""
BY = ("loss", "accuracy")
"""The criterion of a choice, on the validation rows: the lowest mean loss or the highest mean accuracy."""
ENGINES = ("scan", "fused")
SAMPLERS = ("tpe", "gp", "cmaes", "random")
"""Tree-structured Parzen estimators, a Gaussian process, an evolution strategy, and random draws."""
PALETTES = ("lecture", "colour-blind")
"""The keys of `jaxmlp.figures.PALETTES`."""
