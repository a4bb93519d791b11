"""The regressor for scikit-learn: `jaxmlp.MLPRegressor`, trained by the same update as every network here."""

from typing import Any, Self

from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin

from jaxmlp.checks import InputError
from jaxmlp.classifier.network_estimator import NetworkEstimator
from jaxmlp.classifier.targets import Targets, number_targets

__all__ = ["MLPRegressor"]


class MLPRegressor(RegressorMixin, NetworkEstimator):
    """A multilayer perceptron that predicts numbers, for scikit-learn's pipelines, searches and metrics.

    Targets are ``y [n]``, or ``y [n, K]`` for K numbers at once. The output is the identity, the loss half the squared
    errors, summed over the K outputs (scikit-learn reports their mean, and steps by the gradient of the sum). Bring
    targets to a standard deviation near 1, by ``TransformedTargetRegressor``: the default learning rate suits these.

    Parameters and attributes are those of `MLPClassifier`, except class_weight and classes_. Scores are R2, of
    validation too, where rows are held out at random.
    """

    numeric = True

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
        self.verbose = verbose
        self.device = device
        self.dtype = dtype
        self.transform_layer = transform_layer
        self.transform_stage = transform_stage

    def targets_of(self, y: NDArray[Any], going_on: bool = False, classes: Any = None) -> Targets:
        """See `jaxmlp.classifier.targets.number_targets`; ``going_on``: as many numbers as before."""
        del classes
        targets = number_targets(y)
        if going_on and targets.values.shape[1] != self.n_outputs_:
            raise InputError(f"y has {targets.values.shape[1]} columns, expected {self.n_outputs_}, as before")
        return targets

    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Train one more epoch on ``X``; the optimiser keeps its state; no early stopping.

        Arguments and errors as those of `fit`.
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Any) -> NDArray[Any]:
        """The numbers of each row: ``[n]`` or ``[n, K]``, as the targets were, in the parameters' dtype."""
        found = self._evaluate(X, lambda trace: trace.activations[-1])
        return found[:, 0] if self._column else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
