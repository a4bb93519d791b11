"""The classifier's parameters: what each is by default, what each changes - and nothing else - and what it may be."""

import contextlib
import functools
import math
import warnings
from typing import Any, cast

import jax
import numpy as np
import optax
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import get_tags

from jaxmlp import OPTIMIZERS, Hyperparameters, MLPClassifier, MLPClassifierSearch, MLPRegressor, Params
from jaxmlp.checks import check_weights, class_weights
from jaxmlp.classifier import network_estimator
from jaxmlp.classifier.one_fit import Fitted, PreparedFit, initial_params
from jaxmlp.classifier.settings import PARAMETERS, check_settings
from jaxmlp.classifier.stopping import FitHyperparameters
from jaxmlp.lecture.optimizers import optimizer_of
from jaxmlp.runtime import computing
from tests.classifier.test_classifier import LABELS, NAMES, VALUES, WEIGHTS, X, small
from tests.helpers import assert_agree, rejects, told_by

DEFAULTS: dict[str, Any] = {
    "hidden_layer_sizes": (100,), "activation": "relu", "optimizer": "adam", "learning_rate": 0.001, "momentum": 0.9,
    "batch_size": "auto", "max_iter": 200, "alpha": 0.0001, "tol": 0.0001, "n_iter_no_change": 10,
    "early_stopping": False, "validation_fraction": 0.1, "warm_start": False, "init": "glorot", "random_state": None,
    "class_weight": None, "verbose": False, "device": "auto", "dtype": "auto", "transform_layer": -1,
    "transform_stage": "activation",
}  # fmt: skip
ROWS = np.arange(40)
PLAIN: dict[str, Any] = {
    "hidden_layer_sizes": (5,), "activation": "relu", "optimizer": "adam", "learning_rate": 0.001, "momentum": 0.9,
    "batch_size": 40, "last_epoch": 200, "alpha": 0.0001, "penalised": True, "tol": 0.0001, "patience": 10,
    "early_stopping": False, "held_out": 0, "weights": np.ones(40), "x64": True, "dtype": "float64", "device": None,
    "precision": "highest", "init": "glorot", "seed": 0, "labels": LABELS.tolist(), "done": 0, "state": None,
    "output": "softmax",
}  # fmt: skip
"""What a fit of ``MLPClassifier((5,), random_state=0)`` on 40 rows comes to."""


class Calls(list[dict[str, Any]]):
    """What each fit was to train, and from which parameters; ``losses`` are those it reports."""

    def __init__(self) -> None:
        super().__init__()
        self.params: list[Params] = []
        self.losses = [1.0]
        self.converged = False


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """From here on fits train nothing: they add 1 to all parameters, and to the list what they were to train."""
    found = Calls()

    def train(
        prepared: PreparedFit, numbers: FitHyperparameters, report: Any, done: int = 0, state: Any = None
    ) -> Fitted:
        weights = np.asarray(prepared.params[0].weights)
        sizes = weights.shape[::-1]
        drawn = {
            (init, seed): initial_params(init, np.random.RandomState(seed), sizes, "relu", "float32")[0].weights
            for init in ("glorot", "lecture") for seed in (0, 1)
        }  # fmt: skip
        known = next((at for at in drawn if np.allclose(weights, drawn[at], rtol=1e-6)), (None, None))
        names = {made: name for name, made in OPTIMIZERS.items()}
        config, device = prepared.config.training, jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
        found.append({
            "hidden_layer_sizes": tuple(len(layer.biases) for layer in prepared.params[:-1]),
            "activation": config.activation, "optimizer": names.get(config.optimizer, "other"),
            "learning_rate": numbers.hyperparameters.learning_rate, "momentum": numbers.hyperparameters.momentum,
            "batch_size": config.batch_size, "last_epoch": numbers.last_epoch, "alpha": numbers.alpha,
            "penalised": prepared.config.penalised, "tol": numbers.tol, "patience": numbers.patience,
            "early_stopping": prepared.config.early_stopping, "held_out": len(prepared.validation),
            "weights": prepared.weights, "x64": jax.config.jax_enable_x64,  # pyright: ignore
            "dtype": str(prepared.x.dtype), "device": None if device is None else device.platform,
            "precision": jax.config.jax_default_matmul_precision,  # pyright: ignore[reportAttributeAccessIssue]
            "init": known[0], "seed": known[1], "done": done, "state": state, "output": config.output,
            "labels": np.argmax(prepared.targets.values, axis=1).tolist(),
        })  # fmt: skip
        found.params.append(jax.tree.map(np.asarray, prepared.params))
        losses, scores = list(found.losses), [0.5] * len(found.losses)
        report(done, losses, [math.nan] * len(losses))
        converged = found.converged
        return Fitted(one_more(found.params[-1]), "the state", done + len(losses), losses, scores, converged)

    monkeypatch.setattr(network_estimator, "train", train)
    return found


def one_more(params: Params) -> Params:
    return jax.tree.map(lambda leaf: leaf + 1, params)


def differences(found: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """The entries that differ by more than float32 rounds."""

    def same(one: Any, other: Any) -> bool:
        if isinstance(other, (float, np.ndarray)):
            return np.shape(one) == np.shape(other) and bool(np.allclose(one, other, rtol=1e-6, atol=0))
        return one == other

    assert set(found) == set(base)
    return {name: value for name, value in found.items() if not same(value, base[name])}


def test_the_defaults_are_those_of_the_documentation_and_every_parameter_is_kept_as_given() -> None:
    assert MLPClassifier().get_params() == DEFAULTS
    assert set(DEFAULTS) == set(PARAMETERS)
    of_numbers = {name: value for name, value in DEFAULTS.items() if name != "class_weight"}
    assert MLPRegressor().get_params() == of_numbers
    given = {name: object() for name in of_numbers}
    assert MLPRegressor(**cast(Any, given)).get_params(deep=False) == given
    marks: dict[str, Any] = {name: object() for name in DEFAULTS}
    assert MLPClassifier(**marks).get_params(deep=False) == marks
    names = (
        "param_grid", "scoring", "cv", "refit", "error_score", "return_train_score", "n_iter", "random_state",
        "verbose",
    )  # fmt: skip
    marks = {name: object() for name in names}
    search = MLPClassifierSearch(small(), **marks)
    assert {name: value for name, value in search.get_params(deep=False).items() if name != "estimator"} == marks
    plain = MLPClassifierSearch(small(), {})
    assert (plain.scoring, plain.cv, plain.refit, plain.verbose) == (None, None, True, False)
    assert math.isnan(plain.error_score)


@pytest.mark.parametrize(
    ("parameters", "changed"),
    [
        ({}, {}),
        ({"hidden_layer_sizes": (6, 2)}, {"hidden_layer_sizes": (6, 2)}),
        ({"hidden_layer_sizes": 7}, {"hidden_layer_sizes": (7,)}),
        ({"activation": "tanh"}, {"activation": "tanh"}),
        ({"activation": ["tanh"]}, {"activation": ("tanh",)}),
        *[({"optimizer": name}, {"optimizer": name}) for name in ("sgd", "momentum", "nesterov")],
        ({"optimizer": optax.sgd(0.5)}, {"optimizer": "other"}),
        ({"learning_rate": 0.25}, {"learning_rate": 0.25}),
        ({"momentum": 0.25}, {"momentum": 0.25}),
        ({"batch_size": 7}, {"batch_size": 7}),
        ({"max_iter": 7}, {"last_epoch": 7}),
        ({"alpha": 0.25}, {"alpha": 0.25}),
        ({"alpha": 0}, {"alpha": 0, "penalised": False}),
        ({"tol": 0.25}, {"tol": 0.25}),
        ({"n_iter_no_change": 7}, {"patience": 7}),
        ({"n_iter_no_change": math.inf}, {"patience": 2**31 - 1}),
        # 0.1 of 40 rows; of the 36 others all make a batch.
        ({"early_stopping": True}, {"early_stopping": True, "held_out": 4, "batch_size": 36}),
        ({"early_stopping": True, "validation_fraction": 0.25},
         {"early_stopping": True, "held_out": 10, "batch_size": 30}),
        ({"validation_fraction": 0.25}, {}),
        ({"warm_start": True}, {}),
        ({"init": "lecture"}, {"init": "lecture"}),
        ({"random_state": 1}, {"seed": 1}),
        # 14 rows of class 1 count 4 each, the 26 others 1: 82 in all, on average 2.05.
        ({"class_weight": {1: 4}},
         {"weights": np.where(LABELS == 1, 4, 1) * 40 / (40 + 3 * np.sum(LABELS == 1)),
          "alpha": 0.0001 * 40 / (40 + 3 * np.sum(LABELS == 1))}),
        ({"class_weight": "balanced"}, {"weights": 40 / 3 / np.bincount(LABELS)[LABELS]}),
        ({"verbose": True}, {}),
        ({"device": "cpu"}, {"device": "cpu"}),
        ({"dtype": "float32"}, {"dtype": "float32", "x64": False}),
        ({"dtype": "float64"}, {}),
        ({"transform_layer": 0}, {}),
        ({"transform_stage": "pre-activation"}, {}),
    ],
    ids=lambda value: ",".join(value),
)  # fmt: skip
def test_each_parameter_changes_what_it_names_and_nothing_else(
    parameters: dict[str, Any], changed: dict[str, Any], calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    given: dict[str, Any] = {"hidden_layer_sizes": (5,), "random_state": 0, **parameters}
    MLPClassifier(**given).fit(X, LABELS)
    found = differences(calls[0], PLAIN)
    expected = differences({**PLAIN, **changed}, PLAIN)
    assert set(found) == set(expected)
    assert differences(calls[0], {**PLAIN, **changed}) == {}
    assert told_by(caplog) == ("1-th epoch: loss = 1.000\n" if parameters.get("verbose") else "")


def test_what_the_data_decide_is_theirs(calls: Calls) -> None:
    made = small(max_iter=200, n_iter_no_change=10, learning_rate=0.001, init="glorot")
    for x, dtype in ((X.astype("float32"), "float32"), (np.round(9 * X).astype(int), "float64")):
        made.fit(x, LABELS)
        assert (calls[-1]["dtype"], calls[-1]["x64"]) == (dtype, dtype == "float64")
    made.fit(X, NAMES, WEIGHTS)
    mean = WEIGHTS.mean()
    assert set(differences(calls[-1], PLAIN)) == {"weights", "alpha"}
    np.testing.assert_allclose(calls[-1]["weights"], WEIGHTS / mean, rtol=1e-12)
    assert calls[-1]["alpha"] == pytest.approx(0.0001 / mean, rel=1e-12)
    made.fit(np.tile(X, (6, 1)), np.tile(LABELS, 6))
    assert calls[-1]["batch_size"] == 200  # "auto", where there are as many
    made.set_params(random_state=np.random.RandomState(1)).fit(X, LABELS)
    assert set(differences(calls[-1], PLAIN)) == {"seed"}
    assert calls[-1]["seed"] == 1
    with pytest.raises(ValueError, match="continuous"):
        made.fit(X, VALUES)


def test_a_new_fit_forgets_the_last_and_a_warm_one_keeps_its_parameters_alone(calls: Calls) -> None:
    made = small(max_iter=200, n_iter_no_change=10, init="glorot")
    made.fit(X, LABELS).fit(X, LABELS)
    assert differences(calls[1], PLAIN) == {}
    assert (made.n_iter_, made.loss_curve_, made.validation_scores_) == (1, [1.0], None)
    made.fit(X[:, :3], NAMES == "ape")
    assert (made.n_features_in_, made.classes_.tolist()) == (3, [False, True])
    made.set_params(warm_start=True, random_state=1).fit(X[:, :3], NAMES == "ape")
    assert_agree(calls.params[-1], one_more(calls.params[-2]))
    assert (calls[-1]["done"], calls[-1]["state"], made.n_iter_) == (0, None, 1)
    with rejects("in float64, expected the same to go on"):
        made.set_params(dtype="float32").fit(X[:, :3], NAMES == "ape")


def test_partial_fit_is_one_epoch_more_with_the_state_there_is_and_holds_nothing_out(calls: Calls) -> None:
    made = small(learning_rate=0.001, early_stopping=True, init="glorot")
    with rejects("partial_fit does not support early_stopping=True, expected False"):
        made.partial_fit(X, NAMES, classes=["cat", "ape", "bee"])
    made.set_params(early_stopping=False).partial_fit(X, NAMES, classes=["cat", "ape", "bee"])
    assert set(differences(calls[0], PLAIN)) == {"last_epoch", "patience"}
    assert calls[0]["last_epoch"] == 1
    made.partial_fit(X, NAMES, sample_weight=WEIGHTS)
    assert (calls[1]["last_epoch"], calls[1]["done"], calls[1]["state"]) == (2, 1, "the state")
    np.testing.assert_allclose(calls[1]["weights"], WEIGHTS / WEIGHTS.mean(), rtol=1e-12)
    assert (made.n_iter_, made.loss_curve_, made.validation_scores_) == (2, [1.0, 1.0], None)
    assert_agree(calls.params[1], one_more(calls.params[0]))
    calls.losses = [3.0, 2.0]
    made.set_params(early_stopping=True).fit(X, NAMES)
    assert (made.n_iter_, made.loss_curve_, made.validation_scores_) == (2, [3.0, 2.0], [0.5, 0.5])
    assert (made.best_loss_, made.best_validation_score_, made.loss_) == (None, 0.5, 2.0)
    calls.losses = [1.0]
    made.set_params(early_stopping=False).partial_fit(X, NAMES)
    assert (made.best_loss_, made.best_validation_score_, made.n_outputs_, made.n_layers_) == (1.0, None, 3, 3)
    assert (made.n_iter_, made.loss_curve_, made.validation_scores_) == (3, [3.0, 2.0, 1.0], None)


@pytest.mark.parametrize(
    ("max_iter", "patience", "converged", "told"),
    [(3, 2, False, 1), (3, 3, False, 1), (3, math.inf, False, 1), (4, 2, True, 0), (3, 1, True, 0)],
)
def test_that_epochs_ran_out_is_told_unless_tol_has_ended_them(
    max_iter: int, patience: float, converged: bool, told: int, calls: Calls
) -> None:
    calls.losses, calls.converged = [1.0, 1.0, 1.0], converged
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        small(max_iter=max_iter, n_iter_no_change=patience).fit(X, LABELS)
    assert [warning.category for warning in caught] == [ConvergenceWarning] * told


LIMITS: dict[str, tuple[list[Any], list[Any]]] = {
    "hidden_layer_sizes": ([(), [3], 3, np.int64(3), (3, 2)], [(0,), (3.0,), 2.5, None]),
    "activation": (["identity", ("tanh",), ["tanh"]], [("tanh", "tanh"), (), {"tanh"}]),
    "learning_rate": ([1e-9, 1, 1e9], [0, -1, math.inf, True, None]),
    "momentum": ([0, 0.999], [1, -0.1, False]),
    "batch_size": ([1, "auto", np.int32(7), 2**31 - 1], [0, 2.0, True, 2**31, "all"]),
    "max_iter": ([1, 2**31 - 1], [0, 1.0, True, 2**31, math.inf]),
    "alpha": ([0, 1e-9, 1e9], [-1e-9, math.inf, math.nan, True]),
    "tol": ([0, 1e9], [-1e-9, math.inf, math.nan, True]),
    "n_iter_no_change": ([1, math.inf], [0, 2.0, True, 2**31, -math.inf]),
    "early_stopping": ([True, np.True_], [0, None, "yes"]),
    "validation_fraction": ([0.001, 0.999], [0, 1, 1.5, -0.5, True]),
    "warm_start": ([True, np.False_], [1, None]),
    "random_state": ([None, 0, 2**32 - 1, np.random.RandomState(0)], [-1, 2**32, 0.5]),
    "init": (["glorot", "lecture"], ["he", None, 1]),
    "class_weight": ([None, "balanced", {0: 1}, {}], ["balance", [1, 2], 2]),
    "verbose": ([True, 0, 2], ["yes", None, 0.5]),
    "dtype": (["auto", "float32", "float64"], ["float16", None, "f4"]),
    "transform_layer": ([0, -1, 1, -2], [2, -3, 0.0, None]),
    "transform_stage": (["activation", "pre-activation"], ["", None, "logits"]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_the_limits_of_each_parameter_are_where_they_are_said_to_be(name: str) -> None:
    base = {**DEFAULTS, "hidden_layer_sizes": (3, 2)} if name == "transform_layer" else DEFAULTS
    accepted, refused = LIMITS[name]
    for value in accepted:
        check_settings({**base, name: value})
    for value in refused:
        with rejects("expected"):
            check_settings({**base, name: value})


def test_parameters_mean_what_they_say_after_the_check() -> None:
    checked = check_settings({**DEFAULTS, "hidden_layer_sizes": np.array([3, 2]), "activation": ["tanh", "relu"]})
    assert (checked.hidden, checked.dtype, checked.config.training.batch_size) == ((3, 2), None, 0)
    assert checked.config.training.activation == ("tanh", "relu")
    assert check_settings({**DEFAULTS, "hidden_layer_sizes": (), "transform_layer": 9}).hidden == ()
    tags = get_tags(MLPClassifier())
    assert tags.input_tags.sparse
    assert tags.transformer_tags is not None
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]
    assert get_tags(MLPClassifierSearch(small(), {})).input_tags.sparse


def test_an_optimiser_is_made_from_what_is_traced() -> None:
    def made(*arguments: Any, **keywords: Any) -> Any:
        return arguments, keywords

    traced = Hyperparameters(0.25, 0.75)
    assert optimizer_of(made)(traced) == ((0.25,), {})
    assert optimizer_of(functools.partial(made, 1, b=2))(traced) == ((1, 0.25), {"b": 2})
    ready = optax.sgd(0.5)
    assert optimizer_of(ready)(traced) is ready
    assert [optimizer_of(name) for name in OPTIMIZERS] == list(OPTIMIZERS.values())


def test_weights_of_samples_are_numbers_of_which_one_is_positive() -> None:
    assert check_weights(None, 3).tolist() == [1, 1, 1]
    assert check_weights(2, 3).tolist() == [2, 2, 2]
    assert check_weights([0, 1, 0], 3).tolist() == [0, 1, 0]
    for weights, message in (
        ([1, math.inf, 1], "has inf"), ([3, -1, -2], "has -2.0"), ([1, 1], "has shape (2,)"),
        ([0, 0, 0], "is zero for every sample"),
    ):  # fmt: skip
        with rejects(f"sample_weight {message}"):
            check_weights(weights, 3)


def test_factors_of_classes_by_hand() -> None:
    labels, weights, classes = np.array([0, 0, 1, 1, 1, 1]), np.array([1, 1, 2, 0, 1, 3]), np.array(["a", "b", "c"])
    assert class_weights(None, classes, labels, weights).tolist() == [1] * 6
    assert class_weights({"b": 3, "a": 0}, classes, labels, weights).tolist() == [0, 0, 3, 3, 3, 3]
    # Totals 2 and 6, 8 in all, of two classes that are there: each is to weigh 4, 2 * 2 and 6 * 2/3.
    np.testing.assert_allclose(class_weights("balanced", classes, labels, weights), [2, 2, *[2 / 3] * 4])
    for factor in (-1, math.inf, math.nan, "1", True):
        with rejects("class_weight of 'c' is"):
            class_weights({"c": factor}, classes, labels, weights)
    with rejects("class_weight names 'd'"):
        class_weights({"d": 1}, classes, labels, weights)


def test_settings_of_jax_are_those_asked_for_within_and_those_of_before_afterwards() -> None:
    names = (
        "jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion", "jax_default_device",
    )  # fmt: skip
    before = [getattr(jax.config, name) for name in names]
    with computing("float32", "cpu"):
        assert [getattr(jax.config, name) for name in names] == [False, "highest", "standard", jax.devices("cpu")[0]]
    with contextlib.suppress(KeyError), computing("float64"):
        assert [getattr(jax.config, name) for name in names] == [True, "highest", "standard", None]
        raise KeyError
    assert [getattr(jax.config, name) for name in names] == before
