"""The names that settings can have, without what they stand for: a parser of options needs no JAX to know them."""

__all__ = ["ACTIVATIONS", "AXES", "BUNDLED", "BY", "DEVICES", "ENGINES", "PALETTES", "SAMPLERS"]

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu")
"""The keys of `jaxmlp.ACTIVATIONS`."""
DEVICES = ("auto", "cpu", "gpu")
BUNDLED = ("wine", "iris", "breast_cancer", "digits")
"""Data sets of scikit-learn."""
AXES = ("hidden", "activation", "batch_size", "optimizer", "learning_rate", "momentum", "weight_decay", "init_scale")
"""Of a sweep: the settings that its configurations may differ in, beside the seed."""
BY = ("loss", "accuracy")
"""What chooses, of the validation rows: the lowest mean loss or the highest mean accuracy."""
ENGINES = ("scan", "fused")
SAMPLERS = ("tpe", "gp", "cmaes", "random")
"""Tree-structured Parzen estimators, a Gaussian process, an evolution strategy, and chance."""
PALETTES = ("lecture", "colour-blind")
"""The keys of `jaxmlp.figures.PALETTES`."""
