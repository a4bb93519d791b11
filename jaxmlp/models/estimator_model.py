"""A fitted estimator for scikit-learn as a `Model`, and back: a classifier or regressor, alone or after scalers."""

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from jaxmlp.checks import InputError, check_flag, check_one_of, sizes_of
from jaxmlp.classifier import MLPClassifier, MLPRegressor, NetworkEstimator, check_settings
from jaxmlp.models.model import Model
from jaxmlp.models.scalers import scaler_of, scaler_to_json

__all__ = ["estimator_of", "model_of", "pipeline_of"]

KINDS = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}
FIELDS = {"parameters", "epochs", "loss_curve", "validation_scores", "feature_names"}
"""Of a classifier; those of formats before the third."""
NAMES = tuple(name for name in MLPClassifier().get_params() if name != "device")
"""Parameters kept in a file. The device is one of the machine that trained; the machine that loads has its own."""


def model_of(estimator: Any) -> Model:
    """The Model of a fitted estimator: parameters, classes, its own settings, its curves; no optimiser state.

    Args:
        estimator: an `MLPClassifier` or `MLPRegressor`, a Pipeline of scalers and one of these, or a search, of which
            the best estimator is taken.

    Raises:
        InputError: another object; not fitted; a setting that JSON cannot hold: an optimiser or a random state that is
            an object.
    """
    estimator = getattr(estimator, "best_estimator_", estimator)
    steps = list(estimator.steps) if isinstance(estimator, Pipeline) else []
    network = steps[-1][1] if steps else estimator
    if not isinstance(network, NetworkEstimator):
        expected = "a Model, an MLPClassifier or MLPRegressor, a Pipeline of scalers and one of these, or a search"
        raise InputError(f"the model is a {type(estimator).__name__}, expected {expected} with its best estimator")
    if not hasattr(network, "params_"):
        raise InputError(f"the {type(network).__name__} is not fitted, expected one that is")
    given = network.parameters()
    names = getattr(network, "feature_names_in_", None)
    kept = {
        "parameters": {name: _parameter(name, given[name]) for name in NAMES}, "epochs": network.n_iter_,
        "loss_curve": network.loss_curve_, "validation_scores": network.validation_scores_,
        "feature_names": None if names is None else [str(name) for name in names],
        "kind": "MLPRegressor" if network.numeric else "MLPClassifier", "column": network.column,
        "steps": [[name, *scaler_to_json(step)] for name, step in steps[:-1]], "name": steps[-1][0] if steps else None,
    }  # fmt: skip
    activation = given["activation"] if isinstance(given["activation"], str) else tuple(given["activation"])
    classes, preparation = (getattr(network, name, None) for name in ("classes_", "preparation_"))
    return Model(network.params_, activation, classes, {}, kept, preparation, network.out_activation_)


def _parameter(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        pairs = cast(Mapping[Any, Any], value).items()
        return {"pairs": [[_plain(name, key), _plain(name, factor)] for key, factor in pairs]}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(name, item) for item in cast(Any, value)]
    return _plain(name, value)


def _plain(name: str, value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if value == math.inf:
        return "infinity"
    if isinstance(value, list):
        return [_plain(name, item) for item in cast(list[Any], value)]
    if not (value is None or isinstance(value, (str, bool, int, float))):
        raise InputError(f"{name} is {value!r:.60}, expected a number, a name or None, which a file can hold")
    return value


def pipeline_of(model: Model) -> Pipeline:
    """Build a fitted pipeline of scikit-learn from a Model that classifies, for example one that a sweep exported.

    Args:
        model: its output is softmax.

    Returns:
        An `MLPClassifier`, after a StandardScaler if the model has a preparation. It predicts what the model predicts.
        It can be fitted again, with the widths, activation, optimiser, learning rate and batch size of the model.

    Raises:
        InputError: a network that predicts numbers, or several labels at once.
    """
    if model.output != "softmax":
        raise InputError(f"the model's output is {model.output}, expected softmax: a network that predicts classes")
    sizes, prepared = sizes_of(model.params), model.preparation
    dtype = str(np.asarray(model.params[0].weights).dtype)
    names = ("batch_size", "learning_rate", "momentum", "optimizer")
    trained = {name: model.details[name] for name in names if model.details.get(name) is not None}
    made: Any = MLPClassifier(sizes[1:-1], activation=model.activation, init="lecture", dtype=dtype, **trained)
    classes = np.arange(sizes[-1]) if model.classes is None else model.classes
    made.restore(model.params, int(model.details.get("epochs", 0)), model.output, True, classes)
    made.n_features_in_, made.loss_curve_, made.validation_scores_ = sizes[0], [], None
    if prepared is None:
        return Pipeline([("mlpclassifier", made)])
    scaler: Any = StandardScaler()
    # A constant column's inputs are zeros: what is divided by infinity.
    scaler.mean_, scaler.scale_ = prepared.mean, np.where(prepared.scale > 0, prepared.scale, np.inf)
    scaler.var_, scaler.n_samples_seen_, scaler.n_features_in_ = prepared.scale**2, 1, sizes[0]
    if prepared.columns is not None:
        scaler.feature_names_in_ = np.array(prepared.columns, object)
    return Pipeline([("standardscaler", scaler), ("mlpclassifier", made)])


def estimator_of(model: Model) -> Any:
    """Build the fitted estimator again from the Model that `model_of` made; raises InputError if it has none."""
    kept = dict(model.classifier or {})
    if set(kept) == FIELDS:  # of an earlier format, where all initial weights were the lecture's
        parameters: Any = kept["parameters"]
        if isinstance(parameters, dict):
            kept["parameters"] = {**cast(dict[str, Any], parameters), "init": "lecture"}
        kept |= {"kind": "MLPClassifier", "column": True, "steps": [], "name": None}
    if set(kept) != {*FIELDS, "kind", "column", "steps", "name"}:
        raise InputError("its classifier has other entries than expected")
    network = _network(model, kept)
    steps: Any = kept["steps"]
    if kept["name"] is None and steps == []:
        return network
    if not isinstance(steps, list) or not all(isinstance(s, list) and len(s) == 4 for s in cast(list[Any], steps)):
        raise InputError("its steps are not those of a pipeline")
    n_in, listed = sizes_of(model.params)[0], cast(list[list[Any]], steps)
    made = [(name, scaler_of(kind, given, fitted, n_in)) for name, kind, given, fitted in listed]
    names = [*(name for name, _ in made), kept["name"]]
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise InputError("its steps' names are not different strings")
    return Pipeline([*made, (kept["name"], network)])


def _network(model: Model, kept: dict[str, Any]) -> Any:
    parameters: Any = kept["parameters"]
    if not isinstance(parameters, dict) or set(cast(Any, parameters)) != set(NAMES):
        raise InputError("its classifier has other parameters than expected")
    given = {name: _restored(value) for name, value in cast(dict[str, Any], parameters).items()}
    sizes, kind = sizes_of(model.params), kept["kind"]
    try:
        settings = check_settings({**given, "device": "auto"})
    except (TypeError, ValueError) as error:
        raise InputError(f"its classifier's parameters cannot be used: {error}") from None
    if settings.hidden != sizes[1:-1] or settings.config.training.activation != model.activation:
        raise InputError("its classifier's parameters are those of another network")
    numeric = kind == "MLPRegressor"
    check_one_of("its estimator", kind, KINDS)
    check_flag("its column", kept["column"])
    if (model.output == "identity") != numeric:
        raise InputError(f"its output is {model.output}, expected that of an {kind}")
    epochs, losses = kept["epochs"], _numbers(kept["loss_curve"])
    scores = None if kept["validation_scores"] is None else _numbers(kept["validation_scores"])
    names = kept["feature_names"]
    if type(epochs) is not int or not 0 <= epochs < 2**31 or losses is None or (model.classes is None) != numeric:
        raise InputError("its classifier's epochs, losses or classes are missing")
    if names is not None and not (_strings(names) and len(names) == sizes[0]):
        raise InputError(f"its classifier's feature names are not {sizes[0]} strings")
    if numeric:
        given.pop("class_weight")
    made: Any = KINDS[kind](**given)
    made.restore(model.params, epochs, model.output, kept["column"], model.classes)
    made.loss_curve_, made.validation_scores_, made.n_features_in_ = losses, scores, sizes[0]
    if model.preparation is not None:
        made.preparation_ = model.preparation
    if names is not None:
        made.feature_names_in_ = np.array(names, object)
    return made


def _restored(value: Any) -> Any:
    """Read a parameter from JSON: a list becomes a tuple, pairs become a dictionary."""
    if isinstance(value, list):
        return tuple(cast(list[Any], value))
    if isinstance(value, dict):
        pairs: Any = cast(dict[str, Any], value).get("pairs")
        try:
            return {key: factor for key, factor in pairs}  # noqa: C416 - checks that each is a pair
        except (TypeError, ValueError):
            raise InputError("its classifier's class weights are not pairs") from None
    return math.inf if value == "infinity" else value


def _numbers(found: Any) -> list[float] | None:
    if not isinstance(found, list) or not all(type(value) in (int, float) for value in cast(list[Any], found)):
        raise InputError("its classifier's curves are not numbers")
    return [float(value) for value in cast(list[Any], found)]


def _strings(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(name, str) for name in cast(list[Any], found))
