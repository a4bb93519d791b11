"""A fitted classifier as a `Model`, and back."""

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from jaxmlp.classifier import MLPClassifier, check_settings
from jaxmlp.errors import InputError
from jaxmlp.models.model import Model
from jaxmlp.network import sizes_of

__all__ = ["classifier_of", "model_of"]

NAMES = tuple(name for name in MLPClassifier().get_params() if name != "device")
"""Parameters kept in a file. The device is one of the machine that trained; the machine that loads has its own."""


def model_of(classifier: MLPClassifier) -> Model:
    """The Model of a fitted classifier: parameters, classes, its own settings, its curves; no optimiser state.

    Raises:
        InputError: not fitted; a setting that JSON cannot hold: an optimiser or a random state that is an object.
    """
    if not hasattr(classifier, "params_"):
        raise InputError("the classifier is not fitted, expected one that is")
    parameters: dict[str, Any] = {}
    for name in NAMES:
        value = getattr(classifier, name)
        if isinstance(value, Mapping):
            pairs = cast(Mapping[Any, Any], value).items()
            value = {"pairs": [[_plain(name, key), _plain(name, factor)] for key, factor in pairs]}
        elif isinstance(value, (list, tuple, np.ndarray)):
            value = [_plain(name, item) for item in cast(Any, value)]
        parameters[name] = value if isinstance(value, dict) else _plain(name, value)
    names = getattr(classifier, "feature_names_in_", None)
    kept = {
        "parameters": parameters, "epochs": classifier.n_iter_, "loss_curve": classifier.loss_curve_,
        "validation_scores": classifier.validation_scores_,
        "feature_names": None if names is None else [str(name) for name in names],
    }  # fmt: skip
    activation = classifier.activation if isinstance(classifier.activation, str) else tuple(classifier.activation)
    preparation = getattr(classifier, "preparation_", None)
    return Model(classifier.params_, activation, classifier.classes_, classifier=kept, preparation=preparation)


def _plain(name: str, value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if value == math.inf:
        return "infinity"
    if isinstance(value, list):
        return [_plain(name, item) for item in cast(list[Any], value)]
    if not (value is None or isinstance(value, (str, bool, int, float))):
        raise InputError(f"{name} is {value!r:.60}, expected a number, a name or None, which a file can hold")
    return value


def classifier_of(model: Model) -> MLPClassifier:
    """The fitted classifier that `model_of` was given; raises InputError if there is none."""
    kept: Mapping[str, Any] = model.classifier or {}
    if set(kept) != {"parameters", "epochs", "loss_curve", "validation_scores", "feature_names"}:
        raise InputError("its classifier has other entries than expected")
    parameters: Any = kept["parameters"]
    if not isinstance(parameters, dict) or set(cast(Any, parameters)) != set(NAMES):
        raise InputError("its classifier has other parameters than expected")
    given = {name: _restored(value) for name, value in cast(dict[str, Any], parameters).items()}
    sizes = sizes_of(model.params)
    try:
        settings = check_settings({**given, "device": "auto"})
    except (TypeError, ValueError) as error:
        raise InputError(f"its classifier's parameters cannot be used: {error}") from None
    if settings.hidden != sizes[1:-1] or settings.config.training.activation != model.activation:
        raise InputError("its classifier's parameters are those of another network")
    epochs, losses = kept["epochs"], _numbers(kept["loss_curve"])
    scores = None if kept["validation_scores"] is None else _numbers(kept["validation_scores"])
    names = kept["feature_names"]
    if type(epochs) is not int or not 0 <= epochs < 2**31 or losses is None or model.classes is None:
        raise InputError("its classifier's epochs, losses or classes are missing")
    if names is not None and not (_strings(names) and len(names) == sizes[0]):
        raise InputError(f"its classifier's feature names are not {sizes[0]} strings")
    made: Any = MLPClassifier(**given)
    made.params_, made.classes_, made.n_iter_ = model.params, model.classes, epochs
    made.loss_curve_, made.validation_scores_, made.n_features_in_ = losses, scores, sizes[0]
    if model.preparation is not None:
        made.preparation_ = model.preparation
    if names is not None:
        made.feature_names_in_ = np.array(names, object)
    return made


def _restored(value: Any) -> Any:
    """A parameter from its JSON: lists were tuples, pairs a dictionary."""
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
