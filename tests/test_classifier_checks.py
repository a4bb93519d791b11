"""scikit-learn's own checks of an estimator, all of them, none expected to fail."""

from typing import Any

import pytest
from sklearn.utils.estimator_checks import check_estimator

from jaxmlp import MLPClassifier

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default", "ignore:max_iter is")]


def test_every_check_of_scikit_learn_passes() -> None:
    found: Any = check_estimator(MLPClassifier(), on_skip=None, on_fail=None)
    failed = [
        (row["check_name"], repr(row["exception"])) for row in found if row["status"] not in ("passed", "skipped")
    ]
    assert failed == []
    skipped = {row["check_name"]: str(row["exception"]) for row in found if row["status"] == "skipped"}
    # It compares with array libraries, only where SciPy was told to before it was imported.
    assert set(skipped) <= {"check_array_api_input"}
    assert len(found) > 50
