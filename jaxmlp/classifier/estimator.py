"""The classifier for scikit-learn: `jaxmlp.MLPClassifier`, trained by the same step as every network here."""

import warnings
from collections.abc import Callable
from typing import Any, Self

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxmlp.checks import check_weights
from jaxmlp.classifier.one_fit import Fitted, hyperparameters_of, pieces, prepare, random_of, report_to, train
from jaxmlp.classifier.settings import Settings, check_settings
from jaxmlp.errors import InputError
from jaxmlp.network import Params, Trace, forward_trace, sizes_of
from jaxmlp.runtime import computing

__all__ = ["MLPClassifier"]

trace_of = jax.jit(forward_trace, static_argnums=2)


class MLPClassifier(ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseEstimator):
    """A multilayer perceptron with softmax output, for scikit-learn's pipelines, searches and metrics.

    Args:
        hidden_layer_sizes: widths of the hidden layers, or one width; ``()`` is softmax regression.
        activation: one name of `jaxmlp.ACTIVATIONS`, or one for each hidden layer.
        optimizer: sgd, momentum, nesterov, adam; an optax transformation, which has its own learning rate; or a
            function that makes one from the learning rate, such as ``optax.lion``.
        learning_rate: positive.
        momentum: of momentum and nesterov, 0 up to, not including, 1.
        batch_size: samples per update; "auto" is 200, or all samples where there are fewer.
        max_iter: epochs, at most.
        alpha: of the L2 penalty ``alpha / 2 |W|^2 / B``, B the batch's samples: scikit-learn's scaling.
        tol: training stops when the loss, or the validation accuracy, has not improved by this much ...
        n_iter_no_change: ... for more than so many epochs; infinity: never.
        early_stopping: hold ``validation_fraction`` of the samples out, stratified; keep the best epoch there.
        validation_fraction: between 0 and 1.
        warm_start: `fit` goes on from the parameters found before, with the optimiser anew.
        random_state: of initial weights, validation rows and sample orders, drawn in this sequence as the lecture
            draws them: a seed, a RandomState, or None for a new one at each fit.
        class_weight: None, "balanced", or a factor for each class; multiplies the samples' weights.
        verbose: log one line per epoch (logger "jaxmlp"; on standard error unless the program sets up logging).
        device: "cpu" or "gpu"; "auto" is JAX's own choice.
        dtype: float32, float64, or "auto": float32 for float32 data, else float64; whatever JAX's 64-bit mode is.
        transform_layer: the hidden layer whose values `transform` gives, 0 the first, -1 the last.
        transform_stage: "activation" h or "pre-activation" g.

    Attributes:
        classes_: ``[n_classes]``, sorted.
        params_: the network as `jaxmlp.Params` of NumPy arrays.
        loss_curve_: the mean loss of each epoch, penalty included, seen before each update.
        validation_scores_: validation accuracy of each epoch, weighted; None without early stopping.
        n_iter_: epochs done.
        n_features_in_, feature_names_in_: columns of X, and their names where all are strings.

    Samples' weights: the loss of a batch is the sum of its samples' losses, each times its weight over the mean weight
    of all, divided by their number. A weight of 0 leaves the sample out.

    One compilation serves all learning rates, momenta, tolerances, max_iter and positive alphas on data of one shape.
    """

    def __init__(
        self, hidden_layer_sizes: Any = (100,), activation: Any = "relu", *, optimizer: Any = "adam",
        learning_rate: float = 0.001, momentum: float = 0.9, batch_size: Any = "auto", max_iter: int = 200,
        alpha: float = 0.0001, tol: float = 0.0001, n_iter_no_change: Any = 10, early_stopping: bool = False,
        validation_fraction: float = 0.1, warm_start: bool = False, random_state: Any = None, class_weight: Any = None,
        verbose: bool = False, device: str = "auto", dtype: str = "auto", transform_layer: int = -1,
        transform_stage: str = "activation",
    ) -> None:  # fmt: skip
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.alpha = alpha
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.random_state = random_state
        self.class_weight = class_weight
        self.verbose = verbose
        self.device = device
        self.dtype = dtype
        self.transform_layer = transform_layer
        self.transform_stage = transform_stage

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Train on ``X [n, n_in]``, dense or sparse (made dense), and labels ``y [n]`` of any type.

        Args:
            X: finite numbers.
            y: labels.
            sample_weight: ``[n]``, 0 or more.

        Raises:
            InputError: a parameter, weight or label that cannot be used; a loss that is no longer finite. Data that
                is not finite, or of a wrong shape, is scikit-learn's own ValueError.
        """
        settings, parameters = self._settings()
        going_on = self.warm_start and hasattr(self, "params_")
        x, y = self._validated(settings, X, y, reset=not going_on)
        classes, labels = np.unique(y, return_inverse=True)
        if going_on and not np.array_equal(classes, self.classes_):
            raise InputError(f"labels are {classes.tolist()}, expected {self.classes_.tolist()}, as before")
        weights, random = check_weights(sample_weight, len(x)), random_of(self.random_state)
        params = self._kept_params(settings) if going_on else None
        with computing(str(x.dtype), self.device):
            prepared = prepare(settings, parameters, x, labels, classes, weights, random, params)
            given = hyperparameters_of(parameters, prepared, self.max_iter)
            fitted = train(prepared, given, report_to(self.verbose, self.learning_rate))
        self._keep(fitted, classes, random)
        self.loss_curve_, self.validation_scores_ = fitted.losses, fitted.scores if self.early_stopping else None
        if fitted.epochs == self.max_iter and self.n_iter_no_change < self.max_iter:
            warnings.warn(f"max_iter is {self.max_iter}: training ended before tol ended it", ConvergenceWarning, 2)
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """One epoch on ``X`` from where training stands, the optimiser's state included; no early stopping.

        Args:
            X: as in `fit`.
            y: labels, of ``classes``.
            classes: all labels there will ever be; needed at the first call.
            sample_weight: as in `fit`.

        Raises:
            InputError: as `fit`; labels that are not among the classes; balanced class weights.
        """
        settings, parameters = self._settings(early_stopping=False)
        if isinstance(self.class_weight, str):
            raise InputError(f"class_weight is {self.class_weight!r} in partial_fit, expected a factor for each class")
        first = not hasattr(self, "params_")
        if first and classes is None:
            raise InputError("classes are None at the first partial_fit, expected all labels")
        x, y = self._validated(settings, X, y, reset=first)
        known = self.classes_ if classes is None else np.unique(np.asarray(classes))
        if not first and not np.array_equal(known, self.classes_):
            raise InputError(f"classes are {known.tolist()}, expected {self.classes_.tolist()}, as before")
        unknown = np.setdiff1d(y, known)
        if len(unknown):
            raise InputError(f"label {unknown.tolist()[0]!r} is not one of the classes {known.tolist()}")
        weights = check_weights(sample_weight, len(x))
        random = getattr(self, "_random", None) or random_of(self.random_state)
        params, done = (None, 0) if first else (self._kept_params(settings), self.n_iter_)
        with computing(str(x.dtype), self.device):
            prepared = prepare(settings, parameters, x, np.searchsorted(known, y), known, weights, random, params)
            given = hyperparameters_of(parameters, prepared, done + 1)
            state = getattr(self, "_optimizer_state", None)
            fitted = train(prepared, given, report_to(self.verbose, self.learning_rate), done, state)
        self._keep(fitted, known, random)
        self.loss_curve_ = [*([] if first else self.loss_curve_), *fitted.losses]
        self.validation_scores_ = None
        return self

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Probabilities ``[n, n_classes]`` of ``X [n, n_in]``, in the order of ``classes_``."""
        return self._evaluate(X, lambda trace: trace.activations[-1])

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Their logarithms, finite where a probability is too small for its dtype."""
        return self._evaluate(X, lambda trace: jax.nn.log_softmax(trace.pre_activations[-1]))

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each row: ``[n]`` of the labels' own type."""
        logits = self._evaluate(X, lambda trace: trace.pre_activations[-1])
        return self.classes_[np.argmax(logits, axis=1)]

    def transform(self, X: Any) -> NDArray[Any]:
        """Values of the hidden layer ``transform_layer`` at ``transform_stage``: ``[n, n_l]``.

        Raises:
            InputError: a network without hidden layers, a layer that is not there.
        """
        check_is_fitted(self, "params_")
        settings, _ = self._settings()
        if not settings.hidden:
            raise InputError("the network has no hidden layer, expected one whose values to give")
        layer = range(len(self.params_) - 1)[self.transform_layer]
        if self.transform_stage == "activation":
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

    def _settings(self, **replaced: Any) -> tuple[Settings, dict[str, Any]]:
        parameters = self.get_params(deep=False) | replaced
        return check_settings(parameters), parameters

    def _validated(self, settings: Settings, X: Any, y: Any, reset: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        kinds = (settings.dtype or ["float64", "float32"]) if reset else str(self.params_[0].weights.dtype)
        validated: Any = validate_data(self, X, y, accept_sparse="csr", dtype=kinds, reset=reset)
        x, y = validated
        check_classification_targets(y)
        return (x if isinstance(x, np.ndarray) else x.toarray()), y

    def _kept_params(self, settings: Settings) -> Params:
        """The parameters to go on from, unless the settings have changed to those of another network."""
        sizes, dtype = sizes_of(self.params_), str(self.params_[0].weights.dtype)
        if settings.hidden != sizes[1:-1] or settings.dtype not in (None, dtype):
            raise InputError(f"the network has hidden layers {sizes[1:-1]} in {dtype}, expected the same to go on")
        return self.params_

    def _keep(self, fitted: Fitted, classes: NDArray[Any], random: np.random.RandomState) -> None:
        self.classes_, self.params_, self.n_iter_ = classes, fitted.params, fitted.epochs
        self._optimizer_state, self._random = fitted.optimizer_state, random

    def _evaluate(self, X: Any, chosen: Callable[[Trace], Any]) -> NDArray[Any]:
        """One of the quantities of a forward pass, ``[n, ...]``."""
        check_is_fitted(self, "params_")
        dtype = str(self.params_[0].weights.dtype)
        x = validate_data(self, X, accept_sparse="csr", dtype=dtype, reset=False)
        activation = self.activation if isinstance(self.activation, str) else tuple(self.activation)
        with computing(dtype, self.device):
            params = jax.device_put(self.params_)
            found = [np.asarray(chosen(trace_of(params, part, activation)))[:rows] for part, rows in pieces(x)]
        return np.concatenate(found)

    @property
    def _n_features_out(self) -> int:
        return sizes_of(self.params_)[1:-1][self.transform_layer]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
