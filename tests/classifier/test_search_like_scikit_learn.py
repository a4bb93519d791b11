"""The search beside GridSearchCV and RandomizedSearchCV: what they take, what they find, how they fail."""

import warnings
from typing import Any, cast

import numpy as np
import pytest
from scipy import sparse, stats
from sklearn import model_selection
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.metrics import accuracy_score, get_scorer, make_scorer
from sklearn.model_selection import KFold, ShuffleSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from jaxmlp import MLPClassifier, MLPClassifierSearch, MLPRegressor, MLPRegressorSearch
from jaxmlp.engine import layout
from tests.classifier import test_classifier
from tests.classifier.test_classifier import small
from tests.helpers import rejects

pytestmark = [
    pytest.mark.filterwarnings("ignore:max_iter is:sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.* training ended at max_iter:sklearn.exceptions.ConvergenceWarning"),
]

GridSearchCV: Any = model_selection.GridSearchCV
RandomizedSearchCV: Any = model_selection.RandomizedSearchCV
# One shape for most searches, two candidates on three folds of these rows: one program for each kind of search. All of
# them and those of a fold, 20 or 21 of 31, are filled up to one number: one program for scikit-learn's loop.
X, LABELS, NAMES, VALUES, WEIGHTS = (
    getattr(test_classifier, name)[:31] for name in ("X", "LABELS", "NAMES", "VALUES", "WEIGHTS")
)
UNSCALED = X * [1.0, 10.0, 0.1, 100.0] + [0.0, 5.0, 1.0, -20.0]
SEVERAL = np.column_stack([LABELS > 0, X[:, 0] > 0]).astype(int)


def same(ours: Any, theirs: Any) -> None:
    """The same parameters, scores, ranks, best; and predictions."""
    mine, other = ours.cv_results_, theirs.cv_results_
    assert mine["params"] == other["params"]
    names = [name for name in other if "time" not in name and name != "params"]
    assert set(names) == {name for name in mine if "time" not in name and name != "params"}
    for name in names:
        if name.startswith("param_"):
            assert mine[name].tolist() == other[name].tolist()
            assert mine[name].dtype == other[name].dtype
        else:
            np.testing.assert_allclose(mine[name], other[name], rtol=1e-7, atol=1e-12, err_msg=name)
    for name in ("best_index_", "best_params_", "n_splits_", "multimetric_"):
        assert getattr(ours, name, None) == getattr(theirs, name, None)
    assert hasattr(ours, "best_score_") == hasattr(theirs, "best_score_")
    if hasattr(ours, "best_score_"):
        assert ours.best_score_ == pytest.approx(theirs.best_score_)


@pytest.mark.parametrize(
    "grid",
    [
        [{"mlp__alpha": [0.1], "mlp__learning_rate": [0.01]}, {"mlp__alpha": [1.0], "mlp__learning_rate": [0.1]}],
        {"scale": [StandardScaler(), MinMaxScaler(), "passthrough"], "mlp__alpha": [0.1, 1.0]},
        [
            {"scale__with_mean": [True, False], "mlp__alpha": [0.1, 1.0]},
            {"mlp": [small(activation="tanh", hidden_layer_sizes=(3, 2))]},
        ],
    ],
    ids=["network", "scaler", "both"],
)
def test_a_scaler_before_the_network_is_fitted_in_each_fold(grid: Any) -> None:
    model = Pipeline([("scale", StandardScaler()), ("mlp", small())])
    ours: Any = MLPClassifierSearch(model, grid, cv=3).fit(UNSCALED, NAMES)
    theirs: Any = GridSearchCV(model, grid, cv=3).fit(UNSCALED, NAMES)
    same(ours, theirs)
    np.testing.assert_array_equal(ours.predict(UNSCALED), theirs.predict(UNSCALED))
    assert ours.n_features_in_ == 4
    assert isinstance(ours.best_estimator_, Pipeline)


def test_folds_may_see_other_numbers_of_columns_and_rows_in_no_fold_or_in_two() -> None:
    x = np.where((np.arange(31)[:, None] < 21) & (np.arange(4) == 3), 0.0, X)  # the last column varies in late rows
    model = make_pipeline(VarianceThreshold(0.03), SelectKBest(k=cast(Any, "all")), small())
    folds = [(np.arange(13, 31), np.arange(11)), (np.arange(20), np.arange(21, 31)), (np.arange(31), np.arange(9))]
    widths = [int(cast(Any, model[0]).fit(x[rows]).get_support().sum()) for rows, _ in folds]
    assert widths == [4, 3, 4]
    grid = {"mlpclassifier__alpha": [0.1, 1.0]}
    ours = MLPClassifierSearch(model, grid, cv=folds).fit(x, NAMES)
    same(ours, GridSearchCV(model, grid, cv=folds).fit(x, NAMES))


def test_several_metrics_and_train_scores_are_those_of_grid_search() -> None:
    grid, metrics = {"alpha": [0.1, 1.0]}, ["accuracy", "f1_macro", "neg_log_loss"]
    shared: dict[str, Any] = {"cv": 3, "return_train_score": True}
    for named, refit in (
        (metrics, "f1_macro"), (tuple(metrics), False), ({"a": "accuracy", "b": make_scorer(accuracy_score)}, "b"),
        (metrics, lambda results: int(np.argmax(results["mean_test_accuracy"]))),
    ):  # fmt: skip
        ours = MLPClassifierSearch(small(), grid, scoring=named, refit=refit, **shared).fit(X, NAMES, WEIGHTS)
        theirs: Any = GridSearchCV(small(), grid, scoring=named, refit=refit, **shared)
        same(ours, theirs.fit(X, NAMES, sample_weight=WEIGHTS))
        assert set(ours.scorer_) == set(theirs.scorer_)
        if isinstance(refit, str):
            assert ours.score(X, NAMES) == pytest.approx(theirs.score(X, NAMES))

    def both(estimator: Any, x: Any, y: Any) -> dict[str, float]:
        right = float(np.mean(estimator.predict(x) == y))
        return {"right": right, "wrong": 1 - right}

    ours = MLPClassifierSearch(small(), grid, scoring=both, refit="right", cv=3).fit(X, NAMES)
    same(ours, GridSearchCV(small(), grid, scoring=both, refit="right", cv=3).fit(X, NAMES))
    assert ours.score(X, NAMES) == both(ours, X, NAMES)["right"]
    for refit in (True, "none", "accuracy "):
        with rejects(f"refit is {refit!r} for several metrics, expected False"):
            MLPClassifierSearch(small(), grid, scoring=metrics, refit=refit).fit(X, NAMES)
    with rejects("refit is True for several metrics"):
        MLPClassifierSearch(small(), grid, scoring=both, cv=3).fit(X, NAMES)
    same(
        MLPClassifierSearch(small(), grid, **shared).fit(X, NAMES), GridSearchCV(small(), grid, **shared).fit(X, NAMES)
    )


def test_candidates_are_drawn_as_randomized_search_draws_them() -> None:
    space = {"alpha": stats.loguniform(1e-4, 1), "learning_rate": [0.01, 0.1]}
    ours = MLPClassifierSearch(small(), space, n_iter=2, random_state=3, cv=3).fit(X, NAMES)
    same(ours, RandomizedSearchCV(small(), space, n_iter=2, random_state=3, cv=3).fit(X, NAMES))
    with rejects("n_iter is 0, expected a whole number, 1 or more"):
        MLPClassifierSearch(small(), space, n_iter=0).fit(X, NAMES)


@pytest.mark.parametrize("scored", [None, "accuracy", "roc_auc_ovr"])
def test_scores_are_weighted_where_the_scorer_takes_weights(scored: Any) -> None:
    grid = {"alpha": [0.1, 1.0]}
    ours = MLPClassifierSearch(small(), grid, scoring=scored, cv=3, refit=False).fit(X, NAMES, WEIGHTS)
    theirs: Any = GridSearchCV(small(), grid, scoring=scored, cv=3, refit=False)
    same(ours, theirs.fit(X, NAMES, sample_weight=WEIGHTS))
    blind = MLPClassifierSearch(small(), grid, scoring=lambda *given: get_scorer(scored or "accuracy")(*given), cv=3)
    with pytest.warns(UserWarning, match="does not support sample_weight: its scores are unweighted"):
        alone = blind.fit(X, NAMES, WEIGHTS).cv_results_["mean_test_score"]
    assert not np.allclose(ours.cv_results_["mean_test_score"], alone, rtol=1e-9)


def test_regressors_and_several_labels_are_searched_too() -> None:
    x, y = UNSCALED, VALUES
    model = make_pipeline(StandardScaler(), MLPRegressor((5,), max_iter=20, random_state=0, learning_rate=0.01))
    grid = {"mlpregressor__alpha": [0.1, 1.0]}
    for targets in (y, np.column_stack([y, -y])):
        ours = MLPRegressorSearch(model, grid, cv=3).fit(x, targets)
        theirs: Any = GridSearchCV(model, grid, cv=3).fit(x, targets)
        same(ours, theirs)
        np.testing.assert_allclose(ours.predict(x), theirs.predict(x), rtol=1e-9)
        assert ours.score(x, targets) == pytest.approx(theirs.score(x, targets))
    alone = MLPClassifierSearch(small(), {"alpha": [0.1, 1.0]}, cv=KFold(3)).fit(X, SEVERAL)
    same(alone, GridSearchCV(small(), {"alpha": [0.1, 1.0]}, cv=KFold(3)).fit(X, SEVERAL))
    assert alone.classes_.tolist() == [0, 1]
    with rejects("param_grid has 'alpha', expected parameters of Pipeline, such as mlpregressor__alpha"):
        MLPRegressorSearch(model, {"alpha": [1]}).fit(x, y)
    with rejects("estimator is a MLPRegressor, expected an MLPClassifier"):
        MLPClassifierSearch(MLPRegressor(), {"alpha": [1]}).fit(X, LABELS)
    with rejects("estimator is a StandardScaler, expected an MLPRegressor, or a Pipeline that ends in one"):
        MLPRegressorSearch(make_pipeline(StandardScaler()), {}).fit(X, LABELS)


@pytest.mark.parametrize("y", [LABELS.astype(float), SEVERAL], ids=["numbers", "several labels"])
def test_one_sample_per_update_interleaves_other_outputs_too(y: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxmlp.runtime.compiles_whole_loops", lambda: True)
    monkeypatch.setitem(layout.LANES, "cpu", 4)
    made: Any = MLPRegressor if y.ndim == 1 else MLPClassifier
    sweep: Any = MLPRegressorSearch if y.ndim == 1 else MLPClassifierSearch
    base = made((4,), optimizer="sgd", batch_size=1, max_iter=3, random_state=0, learning_rate=0.02)
    grid = {"alpha": [0.0, 0.5], "learning_rate": [0.01, 0.03]}
    same(sweep(base, grid, cv=KFold(3)).fit(X, y), GridSearchCV(base, grid, cv=KFold(3)).fit(X, y))


def test_a_scorer_gets_the_table_and_the_columns_it_knows() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    seen: list[Any] = []

    def scorer(estimator: Any, x: Any, y: Any) -> float:
        assert isinstance(y, pandas.Series)
        assert list(x.index) == list(y.index)
        seen.append((type(x).__name__, list(x.columns), estimator.feature_names_in_.tolist(), len(x), len(y)))
        return float(np.mean(estimator.predict(x) == y))

    with warnings.catch_warnings():
        warnings.filterwarnings("error", "X has feature names|X does not have")
        for model in (small(), make_pipeline(StandardScaler().set_output(transform="pandas"), small())):
            prefix = "" if isinstance(model, MLPClassifier) else "mlpclassifier__"
            grid = {f"{prefix}alpha": [0.1, 1]}
            MLPClassifierSearch(model, grid, scoring=scorer, cv=3).fit(frame, pandas.Series(NAMES))
    assert sorted(seen) == [("DataFrame", list("abcd"), list("abcd"), rows, rows) for rows in [10] * 8 + [11] * 4]


def test_lists_and_sparse_matrices_are_rows_too() -> None:
    grid, whole = {"alpha": [0.1, 1.0]}, MLPClassifierSearch(small(), {"alpha": [0.1, 1.0]}, cv=3).fit(X, NAMES)
    for x, y in ((X.tolist(), NAMES.tolist()), (sparse.coo_matrix(X), NAMES)):
        same(MLPClassifierSearch(small(), grid, cv=3, scoring="accuracy").fit(x, y), whole)
        model = make_pipeline(StandardScaler(with_mean=False), small())
        piped: Any = {"mlpclassifier__alpha": [0.1, 1.0]}
        shuffled = ShuffleSplit(2, test_size=0.3, random_state=0)
        ours = MLPClassifierSearch(model, piped, cv=shuffled).fit(x, y)
        same(ours, GridSearchCV(model, piped, cv=shuffled).fit(x, y))


class Broken(StandardScaler):
    """A scaler that cannot do without its mean."""

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:  # noqa: N803
        if not self.with_mean:
            raise ArithmeticError("no mean")
        return super().fit(X, y, sample_weight)


def test_what_fails_scores_nothing_and_the_rest_goes_on() -> None:
    model = Pipeline([("scale", Broken()), ("mlp", small())])
    grid = {"scale__with_mean": [False, True], "mlp__alpha": [-1, 0.5, 9.0]}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = MLPClassifierSearch(model, grid, cv=3).fit(X, NAMES)
    assert np.isnan(found.cv_results_["mean_test_score"]).tolist() == [True, True, True, False, True, False]
    assert found.best_params_ == {"scale__with_mean": True, "mlp__alpha": 0.5}
    said = [str(warning.message) for warning in caught if warning.category is FitFailedWarning]
    assert [line[:60] for line in said] == ["12 fits failed out of a total of 18, their score is nan; Ari"]
    assert any("One or more of the test scores are non-finite" in str(warning.message) for warning in caught)
    with pytest.raises(ArithmeticError, match="no mean"):
        MLPClassifierSearch(model, {"scale__with_mean": [False]}, cv=2, error_score="raise").fit(X, NAMES)
    with pytest.raises(ValueError, match=r"All the 2 fits failed.* ArithmeticError of candidate 0, fold 0: no mean"):
        MLPClassifierSearch(model, {"scale__with_mean": [False]}, cv=2).fit(X, NAMES)


def test_a_scorer_that_fails_is_told_and_its_score_is_the_error_score() -> None:
    def scorer(estimator: Any, *_: Any) -> float:
        if estimator.alpha == 1:
            raise ArithmeticError("no score")
        return 0.5

    grid = {"alpha": [0.5, 1]}
    with pytest.warns(UserWarning, match="Scoring failed, the score is -2: ArithmeticError: no score"):
        found = MLPClassifierSearch(small(), grid, scoring=scorer, cv=3, error_score=-2).fit(X, NAMES)
    assert found.cv_results_["mean_test_score"].tolist() == [0.5, -2]
    with pytest.raises(ArithmeticError, match="no score"):
        MLPClassifierSearch(small(), grid, scoring=scorer, cv=3, error_score="raise").fit(X, NAMES)
    with rejects("scoring gave 'good' for score, expected a number or a dictionary of numbers"):
        MLPClassifierSearch(small(), grid, scoring=lambda *_: "good", cv=3).fit(X, NAMES)


def test_fits_that_went_on_to_max_iter_are_told_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        MLPClassifierSearch(small(n_iter_no_change=1), {"tol": [0.0, 9.0]}, cv=3, refit=False).fit(X, NAMES)
    assert [(warning.category, str(warning.message)) for warning in caught] == [
        (ConvergenceWarning, "3 of 6 fits: training ended at max_iter before tol ended it")
    ]


def test_a_subclass_with_parameters_of_its_own_is_searched_by_them() -> None:
    class Plain(MLPClassifier):
        """A classifier with one parameter."""

        def __init__(self, strength: float = 1.0) -> None:
            super().__init__((5,), max_iter=4, random_state=0)
            self.strength = strength

        @property
        def alpha(self) -> float:  # pyright: ignore
            return 1 / self.strength

        @alpha.setter
        def alpha(self, value: float) -> None: ...

    grid = {"strength": [0.1, 10.0]}
    same(MLPClassifierSearch(Plain(), grid, cv=3).fit(X, NAMES), GridSearchCV(Plain(), grid, cv=3).fit(X, NAMES))
