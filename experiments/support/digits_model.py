"""A network of the digits from a model file, with what makes its inputs of their pixels."""

import dataclasses
from typing import Any

import numpy as np

from jaxmlp import InputError, Layer, Model, load, load_table, models
from jaxmlp.checks import sizes_of
from jaxmlp.tables import Preparation, read_columns

__all__ = ["digits_model", "learned_from", "load_model", "prepared"]


def load_model(path: str) -> Model:
    """The network in a file, a classifier's too; raises InputError if it is none that can be loaded."""
    found = load(path)
    model = found if isinstance(found, Model) else models.model_of(found)
    if model.output != "softmax" or (model.classifier or {}).get("steps"):
        what = "scalers before its network" if model.output == "softmax" else f"the output {model.output}"
        raise InputError(f"{path!r} has {what}, expected a classifier alone, whose classes exclude each other")
    return model


def learned_from(model: Model) -> Any:
    """The name of the data that a network learned from; None where its file does not say."""
    source = model.details.get("data")
    return source.get("data") if isinstance(source, dict) else source


def digits_model(path: str) -> tuple[Model, str]:
    """The network in a file as `prepared` gives it.

    Raises:
        InputError: as `load_model` and `prepared`; a network that learned from other data.
    """
    model = load_model(path)
    if learned_from(model) not in (None, "digits"):
        raise InputError(f"{path!r} contains a network that learned from {learned_from(model)!r}, expected the digits")
    return prepared(path, model)


def prepared(path: str, model: Model) -> tuple[Model, str]:
    """The network with the preparation that its inputs had, pixel by pixel; and a note where that is a guess.

    Raises:
        InputError: other than 64 inputs and 10 classes, the digits 0..9.
    """
    sizes = sizes_of(model.params)
    if (sizes[0], sizes[-1]) != (64, 10):
        raise InputError(f"{path!r} contains a network {sizes}, expected 64 inputs and 10 classes")
    if model.classes is not None and model.classes.tolist() != list(range(10)):
        raise InputError(
            f"{path!r} contains a network for the classes {model.classes.tolist()}, expected the digits 0..9"
        )
    table, columns = load_table("digits"), read_columns("digits")
    if model.preparation is not None:
        return _by_pixel(model, model.preparation.places(columns.names, columns.x.shape[1])), ""
    if model.details.get("data") == "digits":  # what an earlier version wrote
        return dataclasses.replace(model, preparation=table.preparation), ""
    assert columns.labels is not None
    x, labels = columns.x[table.rows[0]], columns.labels[table.rows[0]]
    ways = {
        "as they are, 0 to 16": None,
        "divided by 16": Preparation(np.zeros(64), np.full(64, 16.0)),
        "standardised as the lecture does": table.preparation,
    }
    models = {way: dataclasses.replace(model, preparation=preparation) for way, preparation in ways.items()}
    way = max(models, key=lambda way: float(np.mean(models[way].predict(x) == labels)))
    return models[way], f"the file does not say what its inputs were: the training digits fit it best {way}"


def _by_pixel(model: Model, places: list[int]) -> Model:
    """The same network for pixels in their own sequence: its input k was pixel ``places[k]``."""
    order, kept = np.argsort(places), model.preparation
    assert kept is not None
    names = None if kept.columns is None else tuple(kept.columns[k] for k in order)
    preparation = dataclasses.replace(kept, mean=kept.mean[order], scale=kept.scale[order], columns=names)
    first = Layer(model.params[0].weights[:, order], model.params[0].biases)
    return dataclasses.replace(model, params=(first, *model.params[1:]), preparation=preparation)
