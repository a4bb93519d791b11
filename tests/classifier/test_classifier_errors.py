"""What the classifier refuses, in one line that names the value and what was expected."""

from typing import Any

import jax
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from tests.classifier.test_classifier import LABELS, X, small, untrained
from tests.helpers import assert_agree, rejects

pytestmark = pytest.mark.filterwarnings("ignore:max_iter is:sklearn.exceptions.ConvergenceWarning")


def test_a_loss_no_longer_finite_is_told_with_its_epoch() -> None:
    wild = small(activation="identity", optimizer="sgd", learning_rate=1e6, max_iter=200)
    with rejects("with learning rate 1000000.0, expected a smaller one"):
        wild.fit(X, LABELS)
    with pytest.raises(NotFittedError):
        wild.predict(X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_layer_sizes": (5, 0)}, "width is 0"),
        ({"hidden_layer_sizes": "5"}, "width is 5"),
        ({"hidden_layer_sizes": None}, "hidden_layer_sizes is None"),
        ({"activation": "softplus"}, "activation is 'softplus'"),
        ({"activation": ("relu", "relu")}, "2 activations given"),
        ({"activation": 3}, "activation is 3"),
        ({"optimizer": "lbfgs"}, "optimizer is 'lbfgs'"),
        ({"learning_rate": 0.0}, "learning rate is 0.0"),
        ({"learning_rate": "0.1"}, "learning_rate is '0.1'"),
        ({"learning_rate": np.nan}, "learning_rate is nan"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"max_iter": 0}, "max_iter is 0"),
        ({"alpha": -1}, "alpha is -1"),
        ({"tol": np.inf}, "tol is inf"),
        ({"n_iter_no_change": 0}, "n_iter_no_change is 0"),
        ({"early_stopping": 1}, "early_stopping is 1"),
        ({"validation_fraction": 1.0}, "validation_fraction is 1.0"),
        ({"random_state": -1}, "seed is -1"),
        ({"random_state": "x"}, "seed is x"),
        ({"class_weight": {7: 1}}, "class_weight names 7"),
        ({"class_weight": "even"}, "class_weight is 'even'"),
        ({"class_weight": {0: 0, 1: 0, 2: 0}}, "class_weight is zero for every sample"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"transform_layer": 1}, "transform_layer is 1"),
        ({"transform_stage": "g"}, "transform_stage is 'g'"),
    ],
)
def test_parameters_are_checked_when_it_fits(parameters: dict[str, Any], message: str) -> None:
    with rejects(message):
        small(**parameters).fit(X, LABELS)


def test_a_device_that_is_not_there_is_told() -> None:
    if any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("there is a GPU")
    with rejects("device is 'gpu', but JAX finds none"):
        small(device="gpu").fit(X, LABELS)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(39), "shape (39,)"),
        (np.ones((40, 1)), "shape (40, 1)"),
        (np.full(40, -1.0), "has -1.0"),
        (np.full(40, np.nan), "has nan"),
        (["much"] * 40, "not numbers"),
    ],
)
def test_weights_are_checked(weights: Any, message: str) -> None:
    with rejects(message):
        small().fit(X, LABELS, sample_weight=weights)


def test_partial_fit_checks_its_labels() -> None:
    with rejects("classes are None at the first partial_fit"):
        small().partial_fit(X, LABELS)
    with rejects("label 2 is not one of the classes [0, 1]"):
        small().partial_fit(X, LABELS, classes=[0, 1])
    fitted = small().partial_fit(X, LABELS, classes=[0, 1, 2])
    with rejects("expected [0, 1, 2], as before"):
        fitted.partial_fit(X, LABELS, classes=[0, 1, 2, 3])
    with rejects("class_weight is 'balanced' in partial_fit"):
        fitted.set_params(class_weight="balanced").partial_fit(X, LABELS)


def test_a_batch_larger_than_the_data_is_the_data_and_is_told() -> None:
    with pytest.warns(UserWarning, match="batch_size is 50, more than the 40"):
        clipped = small(batch_size=50).fit(X, LABELS)
    assert_agree(clipped.params_, small().fit(X, LABELS).params_, 1e-12)


def test_predictions_want_a_fit_and_the_device_they_are_asked_for() -> None:
    fitted = untrained((4, 5, 3))
    for method in ("predict", "predict_proba", "predict_log_proba", "transform"):
        with pytest.raises(NotFittedError):
            getattr(small(), method)(X)
        with rejects("device is 'tpu'"):
            getattr(fitted.set_params(device="tpu"), method)(X)
