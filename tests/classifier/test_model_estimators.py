"""Regressors, multilabel networks, pipelines of scalers and searches in files: the same predictions, to the bit."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from jaxmlp import MLPClassifierSearch, MLPRegressor, Model, load, load_table, save, sweep
from jaxmlp.models import model_of, pipeline_of
from jaxmlp.models.scalers import scaler_of, scaler_to_json
from jaxmlp.tables import Preparation
from tests.classifier.test_classifier import NAMES, VALUES, WEIGHTS, X, small
from tests.helpers import random_params, rejects

pytestmark = [
    pytest.mark.filterwarnings("ignore:max_iter is:sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.* training ended at max_iter:sklearn.exceptions.ConvergenceWarning"),
]

SEVERAL = np.column_stack([VALUES > 0, X[:, 0] > 0]).astype(int)
NUMBERS = np.column_stack([VALUES, -2 * VALUES])


def back(estimator: Any, folder: Path) -> Any:
    save(folder / "e", estimator)
    return load(folder / "e")


@pytest.mark.parametrize(("y", "dtype"), [(VALUES, "float64"), (NUMBERS, "float32")], ids=["one number", "two"])
def test_a_regressor_comes_back(y: Any, dtype: str, tmp_path: Path) -> None:
    saved: Any = MLPRegressor((5,), max_iter=4, random_state=0, dtype=dtype).fit(X, y, WEIGHTS)
    found = back(saved, tmp_path)
    assert isinstance(found, MLPRegressor)
    assert found.get_params() == saved.get_params()
    np.testing.assert_array_equal(found.predict(X), saved.predict(X))
    assert (found.predict(X).shape, found.predict(X).dtype) == (y.shape, dtype)
    assert (found.out_activation_, found.loss_curve_) == ("identity", saved.loss_curve_)
    assert found.partial_fit(X, y).n_iter_ == 5


def test_a_network_of_several_labels_comes_back_and_its_model_predicts_the_same(tmp_path: Path) -> None:
    saved = small().fit(X, SEVERAL)
    found = back(saved, tmp_path)
    np.testing.assert_array_equal(found.predict_proba(X), saved.predict_proba(X))
    model = model_of(found)
    np.testing.assert_array_equal(model.predict(X), saved.predict(X))
    np.testing.assert_allclose(model.probabilities(X), saved.predict_proba(X), rtol=1e-15)
    numbers = model_of(MLPRegressor((5,), max_iter=2, random_state=0).fit(X, NUMBERS))
    assert numbers.predict(X).shape == (40, 2)
    with rejects("the network predicts numbers, expected one whose outputs are probabilities"):
        numbers.probabilities(X)


@pytest.mark.parametrize(
    "scalers",
    [
        [StandardScaler()], [StandardScaler(with_mean=False)], [StandardScaler(with_std=False)], [MaxAbsScaler()],
        [MinMaxScaler((-1, 2), clip=True)], [RobustScaler(quantile_range=(10.0, 90.0), unit_variance=True)],
        [RobustScaler(with_centering=False), StandardScaler()], [],
    ],
    ids=str,
)  # fmt: skip
def test_a_pipeline_of_scalers_comes_back(scalers: list[Any], tmp_path: Path) -> None:
    for x in (3 * X + 2, (3 * X + 2).astype("float32")):
        saved = make_pipeline(*scalers, small()).fit(x, NAMES)
        found = back(saved, tmp_path)
        assert isinstance(found, Pipeline)
        assert [name for name, _ in found.steps] == [name for name, _ in saved.steps]
        for mine, other in zip(found.steps[:-1], saved.steps[:-1], strict=True):
            assert mine[1].get_params() == other[1].get_params()
            assert vars(mine[1]).keys() == vars(other[1]).keys()
        np.testing.assert_array_equal(found.predict_proba(x), saved.predict_proba(x))
        (tmp_path / "e").unlink()


def test_a_search_is_saved_as_its_best_estimator(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    search: Any = MLPClassifierSearch(
        make_pipeline(StandardScaler(), small()), {"mlpclassifier__alpha": [0.1, 1.0]}, cv=2
    ).fit(frame, NAMES)
    found = back(search, tmp_path)
    assert found.feature_names_in_.tolist() == list("abcd")
    np.testing.assert_array_equal(found.predict(frame), search.predict(frame))
    assert found[-1].alpha == search.best_params_["mlpclassifier__alpha"]


def test_what_is_no_model_is_told_in_one_line_and_leaves_no_file(tmp_path: Path) -> None:
    pipeline = make_pipeline(StandardScaler(), small())
    cases: list[tuple[Any, str]] = [
        (None, "the model is a NoneType, expected a Model, an MLPClassifier or MLPRegressor"),
        (StandardScaler().fit(X), "the model is a StandardScaler, expected a Model"),
        (small(), "the MLPClassifier is not fitted"),
        (MLPClassifierSearch(small(), {"alpha": [1]}), "the model is a MLPClassifierSearch, expected"),
        (pipeline, "the MLPClassifier is not fitted"),
        (
            make_pipeline(PCA(2), small()).fit(X, NAMES),
            "a step of the pipeline is PCA(n_components=2), expected one of",
        ),
        (make_pipeline(small(), StandardScaler()), "the model is a Pipeline, expected a Model"),
    ]
    for given, message in cases:
        with rejects(message):
            save(tmp_path / "e", given)
    assert list(tmp_path.iterdir()) == []


def test_scalers_that_were_forged_are_refused() -> None:
    plain = scaler_to_json(StandardScaler().fit(X))
    kind, parameters, attributes = json.loads(json.dumps(plain))
    assert vars(scaler_of(kind, parameters, attributes, 4)).keys() == vars(StandardScaler().fit(X)).keys()
    for given, message in (
        (("PCA", parameters, attributes, 4), "a step is 'PCA'"),
        (([], parameters, attributes, 4), "a step is []"),
        ((kind, {}, attributes, 4), "other parameters"),
        ((kind, {**parameters, "copy": "yes"}, attributes, 4), "copy is 'yes'"),
        ((kind, {**parameters, "with_mean": [0, float("nan")]}, attributes, 4), "with_mean is [0, nan]"),
        ((kind, parameters, {}, 4), "other attributes"),
        ((kind, parameters, attributes, 5), "is not a finite number for each of 5 columns"),
        ((kind, parameters, {**attributes, "mean_": 3}, 4), "mean_ is not of numbers"),
        ((kind, parameters, {**attributes, "mean_": ["object", [0.0] * 4]}, 4), "mean_ is not of numbers"),
        ((kind, parameters, {**attributes, "mean_": ["float64", ["0"] * 4]}, 4), "mean_ is not of numbers"),
        ((kind, parameters, {**attributes, "mean_": ["float64", [float("inf")] * 4]}, 4), "is not a finite number"),
        ((kind, parameters, {**attributes, "feature_names_in_": ["a"]}, 4), "names are not 4 strings"),
    ):
        with rejects(message):
            scaler_of(*given)  # pyright: ignore[reportArgumentType]
    with rejects("numbers that are not finite"):
        endless: Any = StandardScaler().fit(X)
        endless.mean_[1] = np.inf
        scaler_to_json(endless)
    with rejects("the StandardScaler is not fitted"):
        scaler_to_json(StandardScaler())


def test_steps_that_were_forged_are_refused() -> None:
    from jaxmlp.models.estimator_model import estimator_of

    saved = model_of(make_pipeline(StandardScaler(), small()).fit(X, NAMES))
    kept: dict[str, Any] = dict(saved.classifier or {})
    step = kept["steps"][0]
    for more, message in (
        ({"steps": [step, step]}, "steps' names are not different strings"),
        ({"name": 3}, "steps' names are not different strings"),
        ({"name": None}, "steps' names are not different strings"),
        ({"steps": [step[:3]]}, "steps are not those of a pipeline"),
        ({"steps": "all"}, "steps are not those of a pipeline"),
        ({"kind": "MLPRegressor"}, "its output is softmax, expected that of an MLPRegressor"),
        ({"kind": "SVC"}, "its estimator is 'SVC'"),
    ):
        changed = Model(saved.params, saved.activation, saved.classes, classifier={**kept, **more})
        with rejects(message):
            estimator_of(changed)


def test_an_exported_network_is_a_fitted_pipeline_that_predicts_the_same_and_can_be_fitted_again(
    tmp_path: Path,
) -> None:
    table = load_table("iris")
    space = {"hidden": [5], "activation": ["tanh"], "batch_size": [4], "optimizer": ["momentum"], "momentum": [0.8]}
    results = sweep.run(table, {**space, "learning_rate": [0.05]}, tmp_path / "s", 5)
    model = results.export(tmp_path / "m")
    x, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])
    pipeline = pipeline_of(load(tmp_path / "m"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        np.testing.assert_array_equal(pipeline.predict(x), model.predict(x))
        np.testing.assert_allclose(pipeline.predict_proba(x), model.probabilities(x), rtol=1e-6)
        assert pipeline.score(x, names[y]) == np.mean(model.predict(x) == names[y])
    frame: Any = load_iris(as_frame=True)
    np.testing.assert_array_equal(pipeline.predict(frame.data), model.predict(x))
    settings = pipeline[-1].get_params()
    kept = {name: settings[name] for name in ("learning_rate", "batch_size", "optimizer", "momentum", "activation")}
    assert kept == {
        "learning_rate": 0.05, "batch_size": 4, "optimizer": "momentum", "momentum": 0.8, "activation": "tanh"
    }  # fmt: skip
    assert settings["hidden_layer_sizes"] == (5,)
    again: Any = clone(pipeline)
    again.set_params(mlpclassifier__max_iter=20).fit(x, names[y])
    assert again.score(x, names[y]) > 0.9


def test_constant_columns_are_zeros_and_networks_without_preparation_have_no_scaler() -> None:
    prepared = Preparation(np.array([1.0, 5.0]), np.array([2.0, 0.0]))
    params = random_params(0, (2, 3, 2))
    model = Model(params, preparation=prepared)
    x = np.array([[0.0, 5.0], [3.0, 7.0], [-2.0, -9.0]])
    np.testing.assert_array_equal(pipeline_of(model)[:-1].transform(x), prepared.inputs(x))
    plain = pipeline_of(Model(params))
    assert list(plain.named_steps) == ["mlpclassifier"]
    np.testing.assert_array_equal(plain.predict(x), Model(params).predict(x))


def test_a_network_that_tells_no_classes_apart_is_no_classifier() -> None:
    with rejects("the model's output is identity, expected softmax: a network that predicts classes"):
        pipeline_of(Model(random_params(0, (2, 3, 2)), output="identity"))
