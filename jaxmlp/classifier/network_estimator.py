"""What the classifier and the regressor for scikit-learn share: fitting by the same program, forward passes."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Self

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxmlp.checks import InputError, check_weights, sizes_of
from jaxmlp.classifier.one_fit import Fitted, hyperparameters_of, prepare, random_of, train
from jaxmlp.classifier.reports import report_to
from jaxmlp.classifier.settings import PARAMETERS, EstimatorConfig, check_settings
from jaxmlp.classifier.targets import Targets, as_rows
from jaxmlp.lecture.network import Params, Trace, forward_trace
from jaxmlp.runtime import computing

__all__ = ["NetworkEstimator", "pieces"]

ROWS = 4096
"""Rows a prediction computes at a time, at most."""
trace_of = jax.jit(forward_trace, static_argnums=(2, 3))


class NetworkEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A network that fits and transforms; see `MLPClassifier` and `MLPRegressor`, which say what it learns."""

    numeric = False
    """Whether targets are numbers."""

    def targets_of(self, y: NDArray[Any], going_on: bool = False, classes: Any = None) -> Targets:
        """What to learn from ``y``; ``going_on``: the same as before, else InputError."""
        raise NotImplementedError

    def parameters(self, **replaced: Any) -> dict[str, Any]:
        """Every parameter of fitting, by name: a subclass may have set some itself, and have others of its own."""
        return {name: getattr(self, name, None) for name in PARAMETERS} | replaced

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Train on ``X [n, n_in]``, dense or sparse (made dense), and targets ``y``.

        Args:
            X: finite numbers.
            y: as the class says.
            sample_weight: ``[n]``, 0 or more.

        Raises:
            InputError: a parameter, weight or target that cannot be used; a loss that is no longer finite. Data that
                is not finite, or of a wrong shape, is scikit-learn's own ValueError.
        """
        parameters = self.parameters()
        settings = check_settings(parameters)
        going_on = parameters["warm_start"] and hasattr(self, "params_")
        x, targets = self.checked(settings, X, y, reset=not going_on, going_on=going_on)
        weights, random = check_weights(sample_weight, len(x)), random_of(parameters["random_state"])
        params = self._kept_params(settings) if going_on else None
        with computing(str(x.dtype), parameters["device"]):
            prepared = prepare(settings, parameters, x, targets, weights, random, params)
            given = hyperparameters_of(parameters, prepared, parameters["max_iter"])
            fitted = train(prepared, given, report_to(parameters["verbose"]))
        self._keep(fitted, targets, random)
        self.loss_curve_, self.validation_scores_ = fitted.losses, None
        if parameters["early_stopping"]:
            self.validation_scores_ = fitted.scores
        if not np.isfinite(fitted.losses[-1]):
            said = f"the loss is no longer finite in epoch {fitted.epochs}: the best epoch before it is kept"
            warnings.warn(said, ConvergenceWarning, 2)
        elif fitted.epochs == parameters["max_iter"] and not fitted.converged:
            said = f"max_iter is {parameters['max_iter']}: training ended before tol ended it"
            warnings.warn(said, ConvergenceWarning, 2)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None, classes: Any = None) -> Self:
        """Train one more epoch on ``X``; the optimiser keeps its state."""
        parameters = self.parameters()
        settings = check_settings(parameters)
        if parameters["early_stopping"]:
            raise InputError("partial_fit does not support early_stopping=True, expected False")
        first = not hasattr(self, "params_")
        x, targets = self.checked(settings, X, y, reset=first, going_on=not first, classes=classes)
        weights = check_weights(sample_weight, len(x))
        random = getattr(self, "_random", None) or random_of(parameters["random_state"])
        params, done = (None, 0) if first else (self._kept_params(settings), self.n_iter_)
        with computing(str(x.dtype), parameters["device"]):
            prepared = prepare(settings, parameters, x, targets, weights, random, params)
            given = hyperparameters_of(parameters, prepared, done + 1)
            state = getattr(self, "_optimizer_state", None)
            fitted = train(prepared, given, report_to(parameters["verbose"]), done, state)
        self._keep(fitted, targets, random)
        self.loss_curve_ = [*([] if first else self.loss_curve_), *fitted.losses]
        self.validation_scores_ = None
        return self

    def checked(
        self, settings: EstimatorConfig, X: Any, y: Any, reset: bool = True, going_on: bool = False, classes: Any = None
    ) -> tuple[NDArray[Any], Targets]:
        """``X`` as an array ``[n, n_in]`` of the dtype to compute in, and the targets."""
        kinds = (settings.dtype or ["float64", "float32"]) if reset else str(self.params_[0].weights.dtype)
        validated: Any = validate_data(
            self, X, y, accept_sparse="csr", dtype=kinds, reset=reset, multi_output=True, y_numeric=self.numeric
        )
        x, y = validated
        return (x if isinstance(x, np.ndarray) else x.toarray()), self.targets_of(as_rows(y), going_on, classes)

    def transform(self, X: Any) -> NDArray[Any]:
        """Values of the hidden layer ``transform_layer`` at ``transform_stage``: ``[n, n_l]``.

        Raises:
            InputError: a network without hidden layers, a layer that is not there.
        """
        check_is_fitted(self, "params_")
        parameters = self.parameters()
        check_settings(parameters)
        if len(self.params_) == 1:
            raise InputError("the network has no hidden layer to transform to, expected one or more")
        layer = range(len(self.params_) - 1)[parameters["transform_layer"]]
        if parameters["transform_stage"] == "activation":
            return self._evaluate(X, lambda trace: trace.activations[layer + 1])
        return self._evaluate(X, lambda trace: trace.pre_activations[layer])

    @property
    def coefs_(self) -> list[NDArray[Any]]:
        """Weights of each layer as scikit-learn has them, ``[n_in, n_out]``: views of those in ``params_``."""
        return [np.asarray(layer.weights).T for layer in self.params_]

    @property
    def intercepts_(self) -> list[NDArray[Any]]:
        """Biases of each layer, ``[n_out]``."""
        return [np.asarray(layer.biases) for layer in self.params_]

    @property
    def n_layers_(self) -> int:
        """Layers, the input included."""
        return len(self.params_) + 1

    @property
    def n_outputs_(self) -> int:
        """Units of the output layer, one per class, label or number."""
        return len(self.params_[-1].biases)

    @property
    def loss_(self) -> float:
        """The loss of the last epoch."""
        return self.loss_curve_[-1]

    @property
    def best_loss_(self) -> float | None:
        """The lowest loss of an epoch; None with early stopping, which goes by the score."""
        return min(self.loss_curve_) if self.validation_scores_ is None else None

    @property
    def best_validation_score_(self) -> float | None:
        """The highest validation score, that of the parameters kept; None without early stopping."""
        return None if self.validation_scores_ is None else float(np.nanmax(self.validation_scores_))

    def _kept_params(self, settings: EstimatorConfig) -> Params:
        """The parameters to continue from, unless the settings now describe another network."""
        sizes, dtype = sizes_of(self.params_), str(self.params_[0].weights.dtype)
        if settings.hidden != sizes[1:-1] or settings.dtype not in (None, dtype):
            raise InputError(f"the network has hidden layers {sizes[1:-1]} in {dtype}, expected the same to go on")
        return self.params_

    def keep(self, params: Params, epochs: int, targets: Targets) -> None:
        """Have this network, trained for so many epochs."""
        self.restore(params, epochs, targets.output, targets.column, targets.classes)

    def restore(self, params: Params, epochs: int, output: str, column: bool, classes: NDArray[Any] | None) -> None:
        """Have a network; ``column``: whether targets were ``[n]``, as in `Targets` like ``output`` and ``classes``."""
        self.params_, self.n_iter_, self.out_activation_, self._column = params, epochs, output, column
        if classes is not None:
            self.classes_ = classes

    @property
    def column(self) -> bool:
        """Whether targets were ``[n]``."""
        return self._column

    def _keep(self, fitted: Fitted, targets: Targets, random: np.random.RandomState) -> None:
        self.keep(fitted.params, fitted.epochs, targets)
        self._optimizer_state, self._random = fitted.optimizer_state, random

    def _evaluate(self, X: Any, chosen: Callable[[Trace], Any]) -> NDArray[Any]:
        """One of the quantities of a forward pass, ``[n, ...]``."""
        check_is_fitted(self, "params_")
        dtype = str(self.params_[0].weights.dtype)
        x = validate_data(self, X, accept_sparse="csr", dtype=dtype, reset=False)
        given = self.parameters()
        activation = given["activation"] if isinstance(given["activation"], str) else tuple(given["activation"])
        with computing(dtype, given["device"]):
            params = jax.device_put(self.params_)
            traces = ((trace_of(params, part, activation, self.out_activation_), rows) for part, rows in pieces(x))
            return np.concatenate([np.asarray(chosen(trace))[:rows] for trace, rows in traces])

    @property
    def _n_features_out(self) -> int:
        return sizes_of(self.params_)[1:-1][self.parameters()["transform_layer"]]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def pieces(x: Any) -> Iterator[tuple[NDArray[Any], int]]:
    """Dense pieces of ``x``, filled up with zeros to 16, 64, .., 4096 rows, and how many rows of each count.

    Each new number of rows costs a compilation; these are few.
    """
    for first in range(0, x.shape[0], ROWS):
        part = x[first : first + ROWS]
        part = part if isinstance(part, np.ndarray) else part.toarray()
        rows = 16
        while rows < len(part):
            rows *= 4
        yield np.concatenate([part, np.zeros((rows - len(part), part.shape[1]), part.dtype)]), len(part)
