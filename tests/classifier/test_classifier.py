"""The classifier: what its training does, beside the lecture's training, scikit-learn's and its own other paths."""

import functools
import hashlib
import pickle
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier as ScikitLearns
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxmlp import Dataset, Hyperparameters, LectureStream, MLPClassifier, TrainingConfig, forward_trace, train
from jaxmlp.classifier import one_fit, stopping
from jaxmlp.classifier.targets import class_targets
from tests.helpers import assert_agree, fresh_python, random_params, rejects

pytestmark = pytest.mark.filterwarnings("ignore:max_iter is:sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(0, 1, (40, 4))
VALUES = X @ RNG.normal(0, 1, 4)
LABELS = np.digitize(VALUES, np.quantile(VALUES, [1 / 3, 2 / 3]))
NAMES = np.array(["ape", "bee", "cat"])[LABELS]
WEIGHTS = RNG.uniform(0.1, 2, 40)
SMALL: dict[str, Any] = {
    "hidden_layer_sizes": (5,), "max_iter": 6, "random_state": 0, "n_iter_no_change": np.inf, "init": "lecture",
}  # fmt: skip


def small(**parameters: Any) -> Any:
    """A classifier; Any, since scikit-learn tells no types of what its own methods add and return."""
    return MLPClassifier(**{**SMALL, **parameters})


def untrained(sizes: tuple[int, ...], **parameters: Any) -> Any:
    """A classifier with all that predictions need, and random parameters."""
    made = small(hidden_layer_sizes=sizes[1:-1], **parameters)
    targets = class_targets(np.arange(sizes[-1]))
    made.keep(jax.tree.map(np.asarray, random_params(0, sizes)), 1, targets)
    made.n_features_in_ = sizes[0]
    return made


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A list that grows by one whenever an epoch is traced."""
    counted: list[int] = []
    original = stopping.after_epoch

    def counting(*arguments: Any) -> Any:
        counted.append(1)
        return original(*arguments)

    monkeypatch.setattr(stopping, "after_epoch", counting)
    jax.clear_caches()
    yield counted
    jax.clear_caches()


def test_with_the_lectures_settings_it_is_the_lectures_training_bit_for_bit(digits: Dataset) -> None:
    lecture = MLPClassifier(
        (20,),
        "sigmoid",
        optimizer="sgd",
        learning_rate=0.2,
        batch_size=1,
        alpha=0,
        max_iter=2,
        random_state=0,
        init="lecture",
    ).fit(np.asarray(digits.x_train), np.asarray(digits.labels_train))
    stream = LectureStream(0)
    params = stream.params((64, 20, 10), "float64")
    params, history = train(params, digits, stream.orders(2, 1497), Hyperparameters(0.2), TrainingConfig())
    assert_agree(lecture.params_, jax.tree.map(np.asarray, params))
    assert lecture.loss_curve_ == pytest.approx(np.asarray(history.loss).tolist(), rel=1e-15)  # times a weight of 1
    assert lecture.score(digits.x_test, digits.labels_test) == pytest.approx(float(history.test_accuracy[-1]))


@pytest.mark.slow
def test_after_100_epochs_it_has_the_lectures_accuracies(digits: Dataset) -> None:
    lecture = MLPClassifier(
        (20,), "sigmoid", optimizer="sgd", learning_rate=0.2, batch_size=1, alpha=0, max_iter=100, random_state=0,
        n_iter_no_change=np.inf, init="lecture",
    )  # fmt: skip
    lecture.fit(np.asarray(digits.x_train), np.asarray(digits.labels_train))
    assert lecture.score(digits.x_train, digits.labels_train) == 1
    assert lecture.score(digits.x_test, digits.labels_test) == 0.92


def scikit_learns(ours: MLPClassifier, solver: str, **parameters: Any) -> Any:
    """scikit-learn's classifier with the parameters that ours starts from."""
    made: Any = ScikitLearns
    other = made(
        (5,), activation="logistic", solver=solver, learning_rate_init=ours.learning_rate, alpha=ours.alpha,
        momentum=0, nesterovs_momentum=False, shuffle=False, batch_size=ours.batch_size,
    ).set_params(**parameters)  # fmt: skip
    other.partial_fit(X, LABELS, classes=[0, 1, 2])  # makes the arrays, then filled with our parameters
    del other._optimizer
    for target, layer in zip(zip(other.coefs_, other.intercepts_, strict=True), first_params(), strict=True):
        target[0][...], target[1][...] = np.asarray(layer.weights).T, layer.biases
    return other


def first_params() -> Any:
    return LectureStream(0).params((4, 5, 3), "float64")


@pytest.mark.parametrize(
    ("optimizer", "solver", "extra"),
    [
        ("sgd", "sgd", {}),
        ("momentum", "sgd", {"momentum": 0.9}),
        ("nesterov", "sgd", {"momentum": 0.9, "nesterovs_momentum": True}),
        (functools.partial(optax.adam, eps=1e-14), "adam", {"epsilon": 1e-14}),  # their epsilon stands elsewhere
    ],
)
def test_weights_penalty_and_optimisers_do_the_updates_of_scikit_learn(
    optimizer: Any, solver: str, extra: dict[str, Any]
) -> None:
    ours = small(activation="sigmoid", optimizer=optimizer, learning_rate=0.05, alpha=0.3, batch_size=40)
    theirs = scikit_learns(ours, solver, **extra)
    for _ in range(4):
        ours.partial_fit(X, LABELS, classes=[0, 1, 2], sample_weight=WEIGHTS)
        theirs.partial_fit(X, LABELS, sample_weight=WEIGHTS)
    for mine, other in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-8)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_[1:], rtol=1e-9)


def test_a_smaller_last_batch_is_scaled_as_scikit_learn_scales_it() -> None:
    ours = small(activation="sigmoid", optimizer="sgd", learning_rate=0.5, alpha=0.3, batch_size=15)
    theirs = scikit_learns(ours, "sgd")
    stream = LectureStream(0)
    stream.params((4, 5, 3), "float64")
    for _ in range(2):
        ours.partial_fit(X, LABELS, classes=[0, 1, 2])
        order = np.asarray(stream.orders(1, 40))[0]
        theirs.partial_fit(X[order], LABELS[order])
    for mine, other in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_[1:], rtol=1e-10)


def test_a_search_over_learning_rates_and_penalties_traces_once(traces: list[int]) -> None:
    grid = {"learning_rate": [0.001, 0.01, 0.1], "alpha": [1e-4, 1e-2], "tol": [0, 1e-4], "max_iter": [2, 3]}
    search = GridSearchCV(small(), grid, cv=[(np.arange(30), np.arange(30, 40))], refit=False).fit(X, LABELS)
    assert len(search.cv_results_["params"]) == 24
    assert len(traces) == 1


def test_optimisers_of_optax_are_compiled_once_for_all_clones(traces: list[int]) -> None:
    for optimizer in (functools.partial(optax.adamw, weight_decay=0.1), optax.sgd(0.01)):
        traces.clear()
        for rate in (0.01, 0.02):
            copied: Any = clone(small(optimizer=optimizer, learning_rate=rate))
            copied.fit(X, LABELS)
        assert len(traces) == 1
    decayed = small(optimizer=functools.partial(optax.sgd, momentum=0.5), learning_rate=0.05).fit(X, LABELS)
    ours = small(optimizer="momentum", momentum=0.5, learning_rate=0.05).fit(X, LABELS)
    assert_agree(decayed.params_, ours.params_)


@pytest.mark.slow
@pytest.mark.parametrize("early_stopping", [pytest.param(False, marks=pytest.mark.slow), True])
def test_how_epochs_are_cut_into_calls_makes_no_difference(
    early_stopping: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []
    for chunk in (1, 4, 100):
        monkeypatch.setattr(one_fit, "epochs_per_call", lambda *_, chunk=chunk: chunk)
        fitted = small(early_stopping=early_stopping, max_iter=9).fit(X, LABELS)
        found.append((fitted.params_, np.array(fitted.loss_curve_), np.array(fitted.validation_scores_ or [])))
    assert_agree(found[0], found[1], 1e-12)
    assert_agree(found[0], found[2], 1e-12)
    assert len(found[0][1]) == 9


def epochs_by_the_rule(values: list[float], tol: float, patience: int) -> int:
    """Epochs that scikit-learn's rule trains for, of values that are to fall."""
    best, stale = np.inf, 0
    for epoch, value in enumerate(values, 1):
        stale = stale + 1 if value > best - tol else 0
        best = min(best, value)
        if stale > patience:
            return epoch
    return len(values)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_training_ends_by_the_rule_and_keeps_the_best_epoch(early_stopping: bool) -> None:
    settings: dict[str, Any] = {
        "optimizer": "sgd",
        "learning_rate": 0.3,
        "max_iter": 60,
        "early_stopping": early_stopping,
    }
    whole = small(**settings, tol=0.02).fit(X, LABELS)
    values = [-score for score in whole.validation_scores_] if early_stopping else whole.loss_curve_
    expected = epochs_by_the_rule(values, 0.02, 3)
    stopped = small(**{**settings, "tol": 0.02, "n_iter_no_change": 3}).fit(X, LABELS)
    assert 4 < expected < 60
    assert stopped.n_iter_ == len(stopped.loss_curve_) == expected
    assert stopped.loss_curve_ == whole.loss_curve_[:expected]
    if early_stopping:
        best = int(np.argmax(stopped.validation_scores_)) + 1
        assert best < expected
        until = small(**{**settings, "max_iter": best}).fit(X, LABELS)
        assert_agree(stopped.params_, until.params_)
    else:
        assert stopped.validation_scores_ is None


def test_too_few_epochs_are_told_and_only_then() -> None:
    with pytest.warns(ConvergenceWarning, match="max_iter is 2: training ended before tol ended it"):
        small(max_iter=2, n_iter_no_change=1).fit(X, LABELS)
    with pytest.warns(ConvergenceWarning, match="max_iter is 300"):
        small(max_iter=300, n_iter_no_change=299).fit(X, LABELS)
    with pytest.warns(ConvergenceWarning, match="max_iter is 2"):  # the rule could not have ended it
        small(max_iter=2, n_iter_no_change=10).fit(X, LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(max_iter=3, n_iter_no_change=1, tol=9.0).fit(X, LABELS)  # the rule ends it with the last epoch


def test_calls_of_partial_fit_are_the_epochs_of_fit() -> None:
    together, apart = small(batch_size=15).fit(X, NAMES), small(batch_size=15)
    for count in range(6):
        apart.partial_fit(X, NAMES, classes=None if count else ["ape", "bee", "cat"])
        apart = pickle.loads(pickle.dumps(apart))
    assert_agree(apart.params_, together.params_)
    assert (apart.n_iter_, apart.loss_curve_) == (6, together.loss_curve_)
    for fitted in (together, apart):  # after `fit` as after `partial_fit`
        fitted.partial_fit(X, NAMES)
    assert_agree(apart.params_, together.params_)
    assert (apart.n_iter_, apart.loss_curve_) == (together.n_iter_, together.loss_curve_)
    assert len(together.loss_curve_) == 7


def test_warm_start_goes_on_with_the_parameters_and_refuses_another_network() -> None:
    warm = small(warm_start=True).fit(X, NAMES)
    first = warm.loss_curve_[-1]
    warm.fit(X, NAMES)
    assert warm.loss_curve_[0] < first
    with rejects("labels are ['ape', 'bee'], expected ['ape', 'bee', 'cat']"):
        warm.fit(X[LABELS < 2], NAMES[LABELS < 2])
    with rejects("the network has hidden layers (5,) in float64"):
        warm.set_params(hidden_layer_sizes=(6,)).fit(X, NAMES)


@pytest.mark.parametrize(
    "labels",
    [NAMES, NAMES.astype(object), LABELS == 1, LABELS.astype(np.int8) - 5, LABELS * 2.0],
    ids=lambda y: y.dtype,
)
def test_labels_of_any_type_come_back_as_they_were(labels: Any) -> None:
    fitted = small().fit(X, labels)
    predicted = fitted.predict(X)
    assert predicted.dtype == labels.dtype
    assert set(predicted) <= set(labels)
    np.testing.assert_array_equal(fitted.classes_, np.unique(labels))
    probabilities = fitted.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(fitted.classes_[np.argmax(probabilities, axis=1)], predicted)
    np.testing.assert_allclose(np.exp(fitted.predict_log_proba(X)), probabilities)


def test_sparse_data_are_dense_data() -> None:
    thin = np.where(np.abs(X) > 0.5, X, 0)
    dense = small().fit(thin, LABELS)
    for made in (sparse.csr_matrix, sparse.csc_array):
        other = small().fit(made(thin), LABELS)
        assert_agree(other.params_, dense.params_)
        np.testing.assert_array_equal(other.predict_proba(made(thin)), dense.predict_proba(thin))


def test_names_of_columns_are_kept_and_held_to() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    fitted = small().fit(frame, pandas.Series(NAMES))
    assert fitted.feature_names_in_.tolist() == list("abcd")
    assert fitted.predict(frame).tolist() == small().fit(X, NAMES).predict(X).tolist()
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(frame[list("bacd")])
    named = fitted.set_output(transform="pandas").transform(frame)
    assert list(named.columns) == [f"mlpclassifier{unit}" for unit in range(5)]


@pytest.mark.parametrize("stage", ["activation", "pre-activation"])
def test_transform_gives_the_values_of_the_chosen_layer(stage: str) -> None:
    fitted = untrained((4, 5, 2, 3), activation=("tanh", "relu"), transform_stage=stage)
    trace = forward_trace(fitted.params_, jnp.asarray(X), ("tanh", "relu"))
    for layer, number in ((0, 0), (1, 1), (-1, 1), (-2, 0)):
        expected = trace.activations[number + 1] if stage == "activation" else trace.pre_activations[number]
        values = fitted.set_params(transform_layer=layer).transform(X)
        np.testing.assert_allclose(values, expected, rtol=1e-12)
        assert len(fitted.get_feature_names_out()) == values.shape[1]
    assert [part.shape for part in fitted.coefs_ + fitted.intercepts_] == [(4, 5), (5, 2), (2, 3), (5,), (2,), (3,)]
    with rejects("no hidden layer"):
        untrained((4, 3)).transform(X)


def test_it_works_where_scikit_learn_puts_classifiers() -> None:
    model = make_pipeline(StandardScaler(), small(max_iter=30, learning_rate=0.05))
    assert cross_val_score(model, X, NAMES, cv=2).min() > 0.5
    calibrated = CalibratedClassifierCV(small(), cv=2).fit(X, NAMES)
    np.testing.assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1)
    copied: Any = clone(small(optimizer=optax.lion, class_weight={0: 2}))
    assert copied.get_params() == small(optimizer=optax.lion, class_weight={0: 2}).get_params()


@pytest.mark.slow
def test_parallel_workers_fit_the_same() -> None:
    grid = {"learning_rate": [0.01, 0.1]}
    scores = [GridSearchCV(small(), grid, cv=2, n_jobs=n).fit(X, LABELS).cv_results_["mean_test_score"] for n in (1, 2)]
    np.testing.assert_array_equal(*scores)


def bits(fitted: MLPClassifier) -> str:
    return hashlib.sha256(b"".join(leaf.tobytes() for leaf in jax.tree.leaves(fitted.params_))).hexdigest()


@pytest.mark.slow
def test_precision_is_that_of_the_parameter_or_the_data_whatever_jax_is_set_to() -> None:
    program = """if True:
        import warnings
        warnings.simplefilter("ignore")
        import jax
        from tests.classifier.test_classifier import X, LABELS, bits, small
        jax.config.update("jax_enable_x64", False)
        single, double = (small(dtype=dtype).fit(X, LABELS) for dtype in ("float32", "float64"))
        print(bits(single), bits(double), double.predict_proba(X).dtype, jax.config.jax_enable_x64)
    """
    single, double = small().fit(X.astype("float32"), LABELS), small().fit(X, LABELS)
    assert fresh_python(program).split() == [bits(single), bits(double), "float64", "False"]
    assert (single.coefs_[0].dtype, double.coefs_[0].dtype) == ("float32", "float64")
    assert_agree(single.params_, small(dtype="float32").fit(X, LABELS).params_)


def test_random_numbers_are_its_own() -> None:
    np.random.seed(5)
    state: Any = np.random.get_state
    before = state()[1].tolist()
    one, other = (small(random_state=None, max_iter=1).fit(X, LABELS) for _ in range(2))
    assert np.any(one.coefs_[0] != other.coefs_[0])
    assert state()[1].tolist() == before
    given = np.random.RandomState(0)
    assert_agree(small(random_state=given).fit(X, LABELS).params_, small().fit(X, LABELS).params_)
    assert np.any(small(random_state=given).fit(X, LABELS).coefs_[0] != small().fit(X, LABELS).coefs_[0])
