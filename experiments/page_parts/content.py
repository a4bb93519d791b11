"""What the page shows: a network of the digits at one or more epochs, what is recorded of it, the digits themselves."""

import base64
import dataclasses
import json
import math
import os
import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.support.digits_model import digits_model
from experiments.support.training_run import Result
from jaxmlp import History, Model, Params, load_digits
from jaxmlp.checks import sizes_of
from jaxmlp.lecture import load_images
from jaxmlp.models import trained_model

__all__ = ["SNAPSHOTS", "Content", "of_file", "of_training", "to_json"]

SNAPSHOTS = (*range(11), 12, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90)
"""Epochs whose parameters a page holds, beside the last: a network learns most in the first ones."""
ACCURACIES = History._fields[1:]
DETAILS, LETTERS = 100, 300
"""How many details of a file are shown, and how much of each."""


class Content(NamedTuple):
    """What the page shows.

    Attributes:
        model: the network, with the preparation of its inputs.
        epochs: of the snapshots; None where the file does not say.
        snapshots: the parameters after each of these epochs.
        recorded: the accuracies of each snapshot as they were recorded, shares 0..1 or None.
        curves: loss, training and test accuracy by epoch, from 1 on; None where they are not known.
        learning_rate: that of the training, or the lecture's.
        details: what is said of the network, as pairs of texts.
        note: a line on what the file does not say, or nothing.
    """

    model: Model
    epochs: list[int | None]
    snapshots: list[Params]
    recorded: list[dict[str, float | None]]
    curves: dict[str, list[float] | None]
    learning_rate: float
    details: list[tuple[str, str]]
    note: str = ""


def of_training(result: Result) -> Content:
    """The Content of a training run whose snapshots were kept, see `training_run.run`."""
    last = len(result.history.loss)
    epochs = [*(epoch for epoch in SNAPSHOTS if epoch < last), last]
    history = {name: np.asarray(rows, np.float64).tolist() for name, rows in result.history._asdict().items()}
    recorded = [{name: history[name][epoch - 1] if epoch else None for name in ACCURACIES} for epoch in epochs]
    settings = dataclasses.asdict(result.settings)
    model = trained_model(result.params, result.settings.activation, result.dataset, settings)
    snapshots = [result.snapshots[epoch] for epoch in epochs]
    details = _details({**settings, "epochs": last})
    return Content(model, [*epochs], snapshots, recorded, {**history}, result.settings.learning_rate, details)


def of_file(path: str) -> Content:
    """The Content of a model file; raises InputError if it is damaged or not made for the digits."""
    model, note = digits_model(path)
    classifier = dict(model.classifier or {})
    losses, parameters = classifier.pop("loss_curve", None) or None, classifier.pop("parameters", {})
    kept = {**classifier, **parameters, **model.details}
    recorded = {name: _number(kept.get(name), 1.0) for name in ACCURACIES}
    if losses is not None and not all(math.isfinite(loss) for loss in losses):
        losses = None
    rate, epochs = _number(kept.get("learning_rate")), kept.get("epochs")
    return Content(
        model,
        [epochs if type(epochs) is int and epochs >= 0 else None],
        [model.params],
        [recorded],
        {"loss": losses, **dict.fromkeys(ACCURACIES)},
        0.2 if rate is None else rate,
        [("file", os.path.basename(path)), *([("note", note)] if note else []), *_details(kept)],
        note,
    )


def _number(value: Any, most: float = sys.float_info.max) -> float | None:
    """``value`` if it is a number from 0 to ``most``: a file may say anything."""
    return float(value) if type(value) in (int, float) and 0 <= value <= most else None


def _details(details: dict[str, Any]) -> list[tuple[str, str]]:
    """Whatever a file says, as texts of moderate length: it may be somebody else's."""
    pairs = [(str(name), value if isinstance(value, str) else json.dumps(value)) for name, value in details.items()]
    shown = [tuple(text if len(text) <= LETTERS else f"{text[:LETTERS]} ..." for text in pair) for pair in pairs]
    more = [("...", f"{len(pairs) - DETAILS:,} more")] if len(pairs) > DETAILS else []
    return [*((name, value) for name, value in shown[:DETAILS]), *more]


def to_json(content: Content) -> str:
    """As the page's script reads it: every parameter to the last bit."""
    model, (images, labels) = content.model, load_images()
    sizes = sizes_of(model.params)
    activation = [model.activation] * (len(sizes) - 2) if isinstance(model.activation, str) else model.activation
    mean, scale = np.zeros(sizes[0]), np.ones(sizes[0])
    if model.preparation is not None:
        mean, scale = model.preparation.mean, model.preparation.scale
    return json.dumps(
        {
            "sizes": sizes,
            "activation": activation,
            "learning_rate": content.learning_rate,
            "details": content.details,
            "mean": _base64(mean),
            "scale": _base64(scale),
            "images": "".join("0123456789abcdefg"[int(count)] for count in images.ravel()),
            "labels": "".join(map(str, labels)),
            "n_test": len(load_digits().labels_test),
            "epochs": content.epochs,
            "recorded": content.recorded,
            "curves": content.curves,
            "snapshots": [_base64(_flat(params)) for params in content.snapshots],
        },
        separators=(",", ":"),
        allow_nan=False,
    )


def _flat(params: Params) -> NDArray[np.float64]:
    return np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for layer in params for leaf in layer])


def _base64(values: NDArray[Any]) -> str:
    """The values as the 8 bytes of a float64 each, least significant first: shorter than digits, and exact."""
    return base64.b64encode(np.ascontiguousarray(values, "<f8").tobytes()).decode()
