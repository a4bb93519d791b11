"""scikit-learn's scalers as JSON, and back: to the bit, and without running anything that a file holds."""

import math
from typing import Any, cast

import numpy as np
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from jaxmlp.checks import InputError, check_one_of

__all__ = ["scaler_of", "scaler_to_json"]

SCALERS: dict[str, tuple[type[Any], tuple[str, ...]]] = {
    "StandardScaler": (StandardScaler, ("mean_", "scale_", "var_", "n_samples_seen_")),
    "MinMaxScaler": (MinMaxScaler, ("min_", "scale_", "data_min_", "data_max_", "data_range_", "n_samples_seen_")),
    "MaxAbsScaler": (MaxAbsScaler, ("scale_", "max_abs_", "n_samples_seen_")),
    "RobustScaler": (RobustScaler, ("center_", "scale_")),
}
"""What can be kept: the class, and the attributes that a fit gives it."""


def scaler_to_json(scaler: Any) -> list[Any]:
    """A fitted scaler as its class, its parameters and its attributes.

    Raises:
        InputError: any other step; one that is not fitted, or whose parameters or numbers a file cannot hold.
    """
    kind = type(scaler).__name__
    if kind not in SCALERS or type(scaler) is not SCALERS[kind][0]:
        raise InputError(f"a step of the pipeline is {scaler!r:.60}, expected one of {', '.join(SCALERS)}")
    if not hasattr(scaler, "n_features_in_"):
        raise InputError(f"the {kind} is not fitted, expected one that is")
    parameters = {name: list(v) if isinstance(v, tuple) else v for name, v in scaler.get_params().items()}
    attributes = {name: _array_to_json(kind, getattr(scaler, name)) for name in SCALERS[kind][1]}
    names = getattr(scaler, "feature_names_in_", None)
    return [kind, parameters, {**attributes, "feature_names_in_": None if names is None else [str(n) for n in names]}]


def _array_to_json(kind: str, value: Any) -> Any:
    if value is None:
        return None
    array = np.asarray(value)
    if not np.all(np.isfinite(array)):
        raise InputError(f"the {kind} has numbers that are not finite, expected data without missing values")
    return [array.dtype.name, array.tolist()]


def scaler_of(kind: Any, parameters: Any, attributes: Any, n_in: int) -> Any:
    """Build a fitted scaler of ``n_in`` columns from `scaler_to_json`'s result; raises InputError for any other."""
    kind = check_one_of("a step", kind, SCALERS)
    made, known = SCALERS[kind][0](), SCALERS[kind][1]
    if not isinstance(parameters, dict) or set(cast(Any, parameters)) != set(made.get_params()):
        raise InputError(f"the {kind} has other parameters than expected")
    if not isinstance(attributes, dict) or set(cast(Any, attributes)) != {*known, "feature_names_in_"}:
        raise InputError(f"the {kind} has other attributes than expected")
    for name, value in cast(dict[str, Any], parameters).items():
        pair = isinstance(value, list)
        values: list[Any] = cast(Any, value) if pair else [value]
        if not all(type(v) in ((int, float) if pair else (bool,)) and math.isfinite(v) for v in values):
            raise InputError(f"the {kind}'s {name} is {value!r:.40}, expected True, False or two numbers")
        made.set_params(**{name: tuple(values) if pair else value})
    for name in known:
        setattr(made, name, _array(kind, name, cast(Any, attributes)[name], n_in))
    made.n_features_in_ = n_in
    names: Any = cast(Any, attributes)["feature_names_in_"]
    if names is not None:
        if not isinstance(names, list) or [type(each) for each in cast(Any, names)] != [str] * n_in:
            raise InputError(f"the {kind}'s feature names are not {n_in} strings")
        made.feature_names_in_ = np.array(names, object)
    return made


def _array(kind: str, name: str, found: Any, n_in: int) -> Any:
    """Read an attribute: a number per column, or one count of samples."""
    if found is None:
        return None
    dtype, values = cast(Any, found) if isinstance(found, list) and len(cast(Any, found)) == 2 else (None, None)
    exact = int if dtype == "int64" else float
    listed: list[Any] = cast(Any, values) if isinstance(values, list) else [values]
    one = name == "n_samples_seen_" and not isinstance(values, list)
    if dtype not in ("int64", "float64", "float32") or not all(type(value) is exact for value in listed):
        raise InputError(f"the {kind}'s {name} is not of numbers")
    if not all(math.isfinite(value) for value in listed) or (len(listed) != n_in and not one):
        raise InputError(f"the {kind}'s {name} is not a finite number for each of {n_in} columns")
    return np.array(values, dtype)[()]
