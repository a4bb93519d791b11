"""What stands in the places of scikit-learn's classes in its own tests: ours, by its names of parameters."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxmlp import MLPClassifierSearch, MLPRegressor, MLPRegressorSearch

__all__ = ["grid_search", "network", "random_search", "stand_in", "without_score"]

# Its names on the left. What ours has no counterpart of is kept and changes nothing.
NETWORK: dict[str, Any] = {
    "hidden_layer_sizes": (100,), "activation": "relu", "solver": "adam", "alpha": 0.0001, "batch_size": "auto",
    "learning_rate": "constant", "learning_rate_init": 0.001, "power_t": 0.5, "max_iter": 200, "shuffle": True,
    "random_state": None, "tol": 1e-4, "verbose": False, "warm_start": False, "momentum": 0.9,
    "nesterovs_momentum": True, "early_stopping": False, "validation_fraction": 0.1, "beta_1": 0.9, "beta_2": 0.999,
    "epsilon": 1e-8, "n_iter_no_change": 10, "max_fun": 15000,
}  # fmt: skip
ACTIVATIONS = {"logistic": "sigmoid"}


def network(base: type[Any]) -> type[Any]:
    """``base``, `MLPClassifier` or `MLPRegressor`, with the parameters of scikit-learn's."""

    class Network(base):
        """Ours by its names. lbfgs, a solver of whole batches, is Adam at a rate of 0.01."""

        def __init__(self, **given: Any) -> None:
            for name, value in {**self.defaults, **given}.items():
                setattr(self, name, value)

        defaults = NETWORK

        def parameters(self, **replaced: Any) -> dict[str, Any]:
            """What ours reads."""
            solver, lbfgs = self.solver, self.solver == "lbfgs"
            names = {"sgd": "nesterov" if self.nesterovs_momentum else "momentum", "lbfgs": "adam"}
            shared = (
                "hidden_layer_sizes", "alpha", "batch_size", "max_iter", "random_state", "tol", "verbose", "warm_start",
                "momentum", "early_stopping", "validation_fraction", "n_iter_no_change",
            )  # fmt: skip
            ours = {name: getattr(self, name) for name in shared}
            return {
                **super().parameters(), **ours, "activation": ACTIVATIONS.get(self.activation, self.activation),
                "optimizer": names.get(solver, solver),
                "learning_rate": 0.01 if lbfgs else self.learning_rate_init, **FIXED, **replaced,
            }  # fmt: skip

        @property
        def _no_improvement_count(self) -> int:
            """Epochs without improvement at the end, counted from the curve by scikit-learn's rule."""
            best, count = np.inf, 0
            for loss in self.loss_curve_:
                count = count + 1 if loss > best - self.tol else 0
                best = min(best, loss)
            return count

    Network.__module__ = "sklearn.neural_network"  # where it stands: pickles find it there
    return _signed(Network, base.__name__, NETWORK)


FIXED: dict[str, Any] = {
    "class_weight": None, "device": "auto", "dtype": "auto", "transform_layer": -1, "transform_stage": "activation",
    "init": "glorot",
}  # fmt: skip


def _signed(made: type[Any], name: str, defaults: dict[str, Any]) -> type[Any]:
    """With a constructor that has these parameters, as scikit-learn looks for them."""
    kinds = [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=value) for key, value in defaults.items()]
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    made.__init__.__signature__ = inspect.Signature([itself, *kinds])  # pyright: ignore
    made.__name__ = made.__qualname__ = name
    return made


def stand_in(theirs: type[Any], base: type[Any], module: str) -> type[Any]:
    """A softmax or linear regression that has the parameters of ``theirs``, an estimator of another kind.

    C is 1 / alpha; a score of its own is kept. What fails by a parameter in its fit fails by it here.
    """
    parameters = list(inspect.signature(theirs.__init__).parameters.values())[1:]
    defaults = {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}

    class Other(base):
        """Ours by their names."""

        FAILING_PARAMETER = getattr(theirs, "FAILING_PARAMETER", object())

        def __init__(self, *values: Any, **given: Any) -> None:
            positional = dict(zip(defaults, values, strict=False))
            for name, value in {**defaults, **positional, **given}.items():
                setattr(self, name, value)

        def parameters(self, **replaced: Any) -> dict[str, Any]:
            """What ours reads."""
            if getattr(self, "parameter", None) == self.FAILING_PARAMETER:
                raise ValueError("Failing classifier failed as required")
            strength = getattr(self, "C", None)
            alpha = getattr(self, "alpha", 0.001) if strength is None else np.divide(1.0, strength)
            whole = theirs.__name__ in ("LogisticRegression", "Ridge")
            return {
                **base().parameters(), **FIXED, "hidden_layer_sizes": (3,) if whole else (), "learning_rate": 0.05,
                "max_iter": 300, "n_iter_no_change": 5, "random_state": 0, "alpha": alpha, "tol": 0.01,
                "batch_size": 10**6 if whole else "auto", **replaced,
            }  # fmt: skip

    if theirs.__name__ == "MockClassifier":  # which its tests know the scores of
        Other.score = theirs.score
    Other.__module__ = module
    return _signed(Other, theirs.__name__, defaults)


def without_score(base: type[Any]) -> type[Any]:
    """A class that has no score method."""

    class NoScore(base):
        """As its base, but for the score."""

        @property
        def score(self) -> Any:
            """None."""
            raise AttributeError

    return NoScore


def _search(classify: type[Any], regress: type[Any], grid: str, positional: tuple[str, ...]) -> Callable[..., Any]:
    def search(*values: Any, **given: Any) -> Any:
        given = {**dict(zip(("estimator", grid, *positional), values, strict=False)), **given}
        for name in ("n_jobs", "pre_dispatch"):
            given.pop(name, None)
        if grid != "param_grid":
            space = given.pop(grid)
            given = {"n_iter": 10, **given, "param_grid": space}
        estimator = given["estimator"]
        last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
        given["verbose"] = bool(given.get("verbose", False))
        return (regress if isinstance(last, MLPRegressor) else classify)(**given)

    return search


grid_search = _search(MLPClassifierSearch, MLPRegressorSearch, "param_grid", ())
random_search = _search(MLPClassifierSearch, MLPRegressorSearch, "param_distributions", ())
