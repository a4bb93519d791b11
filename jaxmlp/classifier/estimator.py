"""The classifier for scikit-learn: `jaxmlp.MLPClassifier`, trained by the same update as every network here."""

from typing import Any, Self

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import type_of_target

from jaxmlp.checks import InputError
from jaxmlp.classifier.network_estimator import NetworkEstimator
from jaxmlp.classifier.targets import Targets, class_targets

__all__ = ["MLPClassifier"]


class MLPClassifier(ClassifierMixin, NetworkEstimator):
    """A multilayer perceptron for scikit-learn's pipelines, searches and metrics.

    Labels ``y [n]`` of any type are classes, one per sample: softmax and cross-entropy, also with two classes. Zeros
    and ones ``y [n, K]`` say which of K labels a sample has (multilabel): sigmoid and binary cross-entropy.

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
        tol: training stops when the loss, or the validation score, has not improved by this much ...
        n_iter_no_change: ... for more than so many epochs; infinity: never.
        early_stopping: hold ``validation_fraction`` of the samples out, stratified by class; keep the best epoch.
        validation_fraction: between 0 and 1.
        warm_start: `fit` continues from the parameters of the fit before, with a new optimiser state.
        init: of the initial parameters: "glorot", scikit-learn's, the same numbers from the same seed; or "lecture".
        random_state: of initial parameters, validation rows and sample orders, drawn in this sequence: a seed, a
            RandomState, or None for a new one at each fit.
        class_weight: None, "balanced", or a factor for each class; multiplies the samples' weights. Not with
            multilabel targets.
        verbose: log one line per epoch (logger "jaxmlp"; on standard error unless the program sets up logging).
        device: "cpu" or "gpu"; "auto" is JAX's own choice.
        dtype: float32, float64, or "auto": float32 for float32 data, else float64; whatever JAX's 64-bit mode is.
        transform_layer: the hidden layer whose values `transform` gives, 0 the first, -1 the last.
        transform_stage: "activation" h or "pre-activation" g.

    Attributes:
        classes_: ``[n_classes]``, sorted; 0 .. K-1 of multilabel targets.
        params_: the network as `jaxmlp.Params` of NumPy arrays; ``coefs_`` and ``intercepts_`` as scikit-learn's.
        loss_curve_: the mean loss of each epoch, penalty included, seen before each update; ``best_loss_``, ``loss_``.
        validation_scores_: validation accuracy of each epoch, weighted (multilabel: all labels right); None without
            early stopping. ``best_validation_score_`` is that of the parameters kept.
        n_iter_: epochs done.
        n_outputs_, n_layers_, out_activation_: units of the output layer; layers, the input included; "softmax" or
            "sigmoid".
        n_features_in_, feature_names_in_: columns of X, and their names where all are strings.

    Samples' weights: the loss of a batch is the sum of its samples' losses, each times its weight over the mean weight
    of all, divided by their number. A weight of 0 leaves the sample out.

    One compilation serves all learning rates, momenta, tolerances, max_iter and positive alphas, and, on data of one
    width, numbers of samples that are filled up to the same size: 256, 1024 or 4096 up to 2 MB, else a quarter of a
    power of two.

    A process that was forked (``os.fork``, multiprocessing's "fork") after JAX has computed hangs at its first fit or
    prediction, since JAX's threads are not there: start it with "spawn" or "forkserver". A warning says so in time.
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        optimizer: Any = "adam",
        learning_rate: float = 0.001,
        momentum: float = 0.9,
        batch_size: Any = "auto",
        max_iter: int = 200,
        alpha: float = 0.0001,
        tol: float = 0.0001,
        n_iter_no_change: Any = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        init: str = "glorot",
        random_state: Any = None,
        class_weight: Any = None,
        verbose: bool = False,
        device: str = "auto",
        dtype: str = "auto",
        transform_layer: int = -1,
        transform_stage: str = "activation",
    ) -> None:
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
        self.init = init
        self.random_state = random_state
        self.class_weight = class_weight
        self.verbose = verbose
        self.device = device
        self.dtype = dtype
        self.transform_layer = transform_layer
        self.transform_stage = transform_stage

    def targets_of(self, y: NDArray[Any], going_on: bool = False, classes: Any = None) -> Targets:
        """See `jaxmlp.classifier.targets.class_targets`; ``going_on``: of the same classes as before."""
        targets = class_targets(y, classes)
        found: Any = targets.classes
        if going_on and not (targets.output == self.out_activation_ and np.array_equal(found, self.classes_)):
            raise InputError(f"labels are {found.tolist()}, expected {self.classes_.tolist()}, as before")
        return targets

    def partial_fit(
        self, X: Any, y: Any, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train one more epoch on ``X``; the optimiser keeps its state; no early stopping.

        Args:
            X: as in `fit`.
            y: labels, of ``classes``; or zeros and ones.
            classes: all labels there will ever be; needed at the first call, unless ``y`` has a column for each.
            sample_weight: as in `fit`.

        Raises:
            InputError: as `fit`; labels that are not among the classes; balanced class weights; early stopping.
        """
        first, several = not hasattr(self, "params_"), type_of_target(y) == "multilabel-indicator"
        weight = self.parameters()["class_weight"]
        if isinstance(weight, str):
            raise InputError(f"class_weight is {weight!r} in partial_fit, expected a factor for each class")
        if first and classes is None and not several:
            raise InputError("classes are None at the first partial_fit, expected all labels")
        known: Any = self.classes_ if not first and classes is None else classes
        return self._partial_fit(X, y, sample_weight, known)

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Probabilities ``[n, n_classes]`` of ``X [n, n_in]``, in the order of ``classes_``."""
        return self._evaluate(X, lambda trace: trace.activations[-1])

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Their logarithms, finite where a probability is too small for its dtype."""
        log = jax.nn.log_sigmoid if getattr(self, "out_activation_", "") == "sigmoid" else jax.nn.log_softmax
        return self._evaluate(X, lambda trace: log(trace.pre_activations[-1]))

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each row: ``[n]`` of the labels' own type; multilabel: ``[n, K]`` of 0 and 1."""
        logits = self._evaluate(X, lambda trace: trace.pre_activations[-1])
        if self.out_activation_ == "sigmoid":
            return (logits > 0).astype(np.int64)
        return self.classes_[np.argmax(logits, axis=1)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
