"""Networks that predict numbers, or several labels at once: the same training as scikit-learn's, and its contracts."""

import itertools
import os
import subprocess
import sys
from typing import Any, cast

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.metrics import accuracy_score, r2_score
from sklearn.multioutput import ClassifierChain
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxmlp import MLPRegressor
from tests.classifier.test_classifier import LABELS, NAMES, VALUES, WEIGHTS, X, small
from tests.helpers import rejects

pytestmark = pytest.mark.filterwarnings("ignore:max_iter is:sklearn.exceptions.ConvergenceWarning")

NUMBERS = np.column_stack([VALUES, -2 * VALUES + X[:, 0]])
SEVERAL = np.column_stack([VALUES > 0, X[:, 0] > 0, X[:, 1] > 1]).astype(int)


def regressor(**parameters: Any) -> Any:
    given: dict[str, Any] = {"hidden_layer_sizes": (5,), "max_iter": 6, "random_state": 0, **parameters}
    return MLPRegressor(**given)


@pytest.mark.parametrize(
    ("ours", "theirs", "y", "optimizer"),
    [
        (regressor, TheirRegressor, VALUES, "sgd"), (regressor, TheirRegressor, NUMBERS, "nesterov"),
        (lambda **given: small(init="glorot", **given), TheirClassifier, SEVERAL, "nesterov"),
        (lambda **given: small(init="glorot", **given), TheirClassifier, LABELS, "sgd"),
    ],
    ids=["a number", "two numbers", "several labels", "one of three"],
)  # fmt: skip
def test_from_the_same_seed_full_batches_do_the_same_updates_as_scikit_learn(
    ours: Any, theirs: Any, y: Any, optimizer: str
) -> None:
    common: dict[str, Any] = {"activation": "tanh", "alpha": 0.3, "batch_size": 40, "random_state": 4}
    mine = ours(optimizer=optimizer, learning_rate=0.05, momentum=0.9, **common)
    other: Any = theirs(
        hidden_layer_sizes=(5,), solver="sgd", learning_rate_init=0.05, momentum=0.9 * (optimizer == "nesterov"),
        **common,
    )  # fmt: skip
    for _ in range(4):
        known = {} if theirs is TheirRegressor else {"classes": np.arange(3)}
        mine.partial_fit(X, y, sample_weight=WEIGHTS, **known)
        other.partial_fit(X, y, sample_weight=WEIGHTS, **known)
    for one, two in zip(mine.coefs_ + mine.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(mine.predict(X), other.predict(X), rtol=1e-8)
    assert (mine.n_outputs_, mine.n_layers_) == (other.n_outputs_, other.n_layers_)
    assert mine.score(X, y) == pytest.approx(other.score(X, y))
    if y.ndim == 1 or theirs is TheirClassifier:  # of several numbers scikit-learn tells the mean, and steps by the sum
        np.testing.assert_allclose(mine.loss_curve_, other.loss_curve_, rtol=1e-9)


def test_predictions_have_the_shape_and_the_dtype_of_the_targets_and_the_data() -> None:
    for y, shape in ((VALUES, (40,)), (NUMBERS, (40, 2)), (NUMBERS[:, :1].tolist(), (40,)), (LABELS, (40,))):
        given = np.asarray(y)
        if given.shape == (40, 1):
            with pytest.warns(match="column-vector y was passed"):
                fitted = regressor().fit(X.astype("float32"), y)
        else:
            fitted = regressor().fit(X.astype("float32"), y)
        assert (fitted.predict(X.astype("float32")).shape, fitted.predict(X).dtype) == (shape, "float32")
    with rejects("y has 1 columns, expected 2, as before"):
        regressor().partial_fit(X, NUMBERS).partial_fit(X, VALUES)
    with rejects("y has 1 columns, expected 2, as before"):
        regressor(warm_start=True).fit(X, NUMBERS).fit(X, VALUES)
    with rejects("expected a smaller one, or inputs and targets scaled to a standard deviation of 1"):
        regressor().fit(X, np.full(40, 1e308))
    with pytest.raises(ValueError, match=r"dtype='numeric'|could not convert"):
        regressor().fit(X, NAMES)


@pytest.mark.parametrize(
    ("made", "y", "score"),
    [(regressor, NUMBERS, r2_score), (small, SEVERAL, accuracy_score)],
    ids=["numbers", "several labels"],
)
def test_early_stopping_goes_by_the_score_of_held_out_rows(made: Any, y: Any, score: Any) -> None:
    fitted = made(max_iter=30, early_stopping=True, validation_fraction=0.25, learning_rate=0.05).fit(X, y)
    best = int(np.argmax(fitted.validation_scores_)) + 1
    until = made(max_iter=best, early_stopping=True, validation_fraction=0.25, learning_rate=0.05).fit(X, y)
    np.testing.assert_allclose(fitted.predict(X), until.predict(X), rtol=1e-9)
    assert (fitted.best_loss_, fitted.best_validation_score_) == (None, max(fitted.validation_scores_))
    random = np.random.RandomState(0)
    sizes = (4, 5, y.shape[1])
    for n_in, n_out in itertools.pairwise(sizes):  # what the initial parameters take
        if made is small:
            random.normal(size=(n_out, n_in))
        else:
            random.uniform(size=(n_in + 1) * n_out)
    rows = random.permutation(40)[:10]  # scikit-learn's split without classes: the first of a permutation
    assert fitted.best_validation_score_ == pytest.approx(score(y[rows], fitted.predict(X)[rows]))
    with rejects("The validation set is too small: 1 of 4 samples"):
        made(early_stopping=True).fit(X[:4], y[:4])


def test_several_labels_are_zeros_and_ones_dense_or_sparse() -> None:
    fitted = small(max_iter=60, learning_rate=0.05).fit(X, SEVERAL)
    assert (fitted.classes_.tolist(), fitted.out_activation_, fitted.n_outputs_) == ([0, 1, 2], "sigmoid", 3)
    probabilities, predicted = fitted.predict_proba(X), fitted.predict(X)
    np.testing.assert_array_equal(predicted, probabilities > 0.5)
    np.testing.assert_allclose(np.exp(fitted.predict_log_proba(X)), probabilities, rtol=1e-12)
    assert fitted.score(X, SEVERAL) == accuracy_score(SEVERAL, predicted) > 0.7
    for given in (sparse.csr_matrix(SEVERAL), SEVERAL.tolist(), SEVERAL.astype(bool)):
        np.testing.assert_array_equal(small(max_iter=60, learning_rate=0.05).fit(X, given).predict(X), predicted)
    with rejects("class_weight is 'balanced', expected None: no sample has one class"):
        small(class_weight="balanced").fit(X, SEVERAL)
    partial = small().partial_fit(X, SEVERAL)  # y has a column for each class
    assert partial.partial_fit(X, SEVERAL, classes=[0, 1, 2]).n_iter_ == 2
    with rejects("y has 3 columns, expected 2, one for each of the classes"):
        small().partial_fit(X, SEVERAL, classes=[0, 1])
    with rejects("labels are [0, 1, 2], expected [0, 1, 2], as before"):
        small(warm_start=True).fit(X, LABELS).fit(X, SEVERAL)
    with pytest.raises(ValueError, match="continuous-multioutput"):
        small().fit(X, NUMBERS)
    with rejects("y has shape (40, 2), expected one label per sample"):
        small().fit(X, np.column_stack([LABELS, LABELS]))


def test_they_work_where_scikit_learn_puts_estimators() -> None:
    x, y = cast(Any, load_diabetes)(return_X_y=True)
    model = TransformedTargetRegressor(
        make_pipeline(StandardScaler(), regressor(max_iter=60, learning_rate=0.01)), transformer=StandardScaler()
    )
    assert model.fit(x, y).score(x, y) > 0.5
    chain = ClassifierChain(small(max_iter=20, learning_rate=0.05), random_state=0).fit(X, SEVERAL[:, :2])
    assert chain.predict(X).shape == (40, 2)
    assert regressor().fit(X, VALUES).transform(X).shape == (40, 5)


def test_a_subclass_may_have_fewer_parameters() -> None:
    class Ridge(MLPRegressor):
        """Linear regression with a penalty of its own name."""

        def __init__(self, penalty: float = 0.5) -> None:
            super().__init__((), alpha=penalty, max_iter=300, learning_rate=0.05, random_state=0)
            self.penalty = penalty

    fitted: Any = clone(Ridge(0.25)).fit(X, VALUES)  # pyright: ignore[reportAttributeAccessIssue]
    assert (fitted.get_params(), fitted.alpha, fitted.score(X, VALUES) > 0.9) == ({"penalty": 0.25}, 0.25, True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_is_warned_before_it_waits_for_ever() -> None:
    program = """if True:
        import os, warnings
        warnings.simplefilter("ignore")
        import numpy as np
        from jaxmlp import MLPRegressor
        from jaxmlp.runtime import computing
        x = np.ones((9, 2))
        fitted = MLPRegressor((2,), max_iter=1).fit(x, x[:, 0])
        warnings.simplefilter("error")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child = os.fork()
        if child == 0:
            try:
                fitted.predict(x)
            except RuntimeWarning as warning:
                print(str(warning)[:51], flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        fitted.predict(x)
        print("the parent goes on")
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    assert done.stdout.splitlines() == ["this process was forked after JAX had started, and ", "the parent goes on"]
