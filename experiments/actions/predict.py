"""A saved network used: what it predicts, on the digits or on a table of yours."""

import argparse
import csv
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.support import command_line
from experiments.support.confusion import confusion_counts
from experiments.support.digits_model import learned_from, load_model, prepared
from jaxmlp import InputError, Model, figures, load_table, runtime
from jaxmlp.checks import sizes_of
from jaxmlp.lecture import load_images
from jaxmlp.showing import fields, shown
from jaxmlp.tables import Columns, fingerprint, read_columns, table_of


@shown(fields)
class Part(NamedTuple):
    """Rows that belong together, and what the network makes of them.

    Attributes:
        rows: ``[n]``, in the data, counted from 0.
        labels: ``[n]``, None where they are not known.
        probabilities: ``[n, n_classes]``.
    """

    rows: NDArray[Any]
    labels: NDArray[Any] | None
    probabilities: NDArray[Any]


class Result(NamedTuple):
    """What a network predicts.

    Attributes:
        model: the network.
        classes: ``[n_classes]``, the labels of its outputs.
        parts: by name: "training" and "test", where the data is what the network learned from; otherwise "new".
        digits: whether they are the digits, of which there are images.
        note: a line on how the inputs were prepared, if that is not what the file says.
    """

    model: Model
    classes: NDArray[Any]
    parts: dict[str, Part]
    digits: bool
    note: str = ""

    def predicted(self, part: str) -> NDArray[Any]:
        """The labels predicted for a part's rows, ``[n]``."""
        return self.classes[np.argmax(self.parts[part].probabilities, axis=1)]

    def accuracy(self, part: str) -> float | None:
        """A share, 0..1; None where labels are not known."""
        labels = self.parts[part].labels
        return None if labels is None else float(np.mean(self.predicted(part) == labels))


def run(path: str, data: str | None = None, target: str | None = None, drop: tuple[str, ...] = ()) -> Result:
    """Load the network and evaluate it, in the dtype of its parameters; prints nothing.

    Args:
        path: the model file.
        data: as `jaxmlp.load_table`; None: the digits, for a network that learned from them.
        target: the column with the labels; None: they are not known.
        drop: columns to leave out, needed only where the file names no columns.

    Raises:
        InputError: not a model file, or a network that is not made for this data.
    """
    model = load_model(path)
    source, learned = model.details.get("data"), learned_from(model)
    classes = np.arange(sizes_of(model.params)[-1]) if model.classes is None else model.classes
    if data is None and learned not in (None, "digits"):
        raise InputError(
            f"{path!r} contains a network that learned from {learned!r}, expected --data with a table like it"
        )
    dtype = np.asarray(model.params[0].weights).dtype.name
    runtime.configure(dtype)
    if data in (None, "digits"):
        return of_digits(path, model, classes, dtype)
    columns = read_columns(data, target, drop, model.preparation and model.preparation.columns)
    _check_labels(columns, classes)
    if isinstance(source, dict) and source["sha256"] == fingerprint(columns):
        return Result(model, classes, _split(model, columns, table_of(source, dtype, data).rows), digits=False)
    note = "" if model.preparation else "the file has no preparation: the columns go in as they are"
    parts = {"new": _part(model, columns, np.arange(len(columns.x)))}
    if columns.test:
        parts["test"] = _part(model, Columns(columns.test[0], columns.test[1]), np.arange(len(columns.test[0])))
    return Result(model, classes, parts, False, note)


def of_digits(path: str, model: Model, classes: NDArray[Any], dtype: str) -> Result:
    """The Result on the digits, split as the lecture does."""
    used, note = prepared(path, model)
    rows = load_table("digits", dtype=dtype).rows
    return Result(model, classes, _split(used, read_columns("digits"), rows), True, note)


def _check_labels(columns: Columns, classes: NDArray[Any]) -> None:
    for labels in (columns.labels, columns.test and columns.test[1]):
        unknown = set() if labels is None else set(labels.tolist()) - set(classes.tolist())
        if unknown:
            raise InputError(f"label {min(unknown, key=str)!r} is none of the network's classes, {classes.tolist()}")


def _part(model: Model, columns: Columns, rows: NDArray[Any]) -> Part:
    names = columns.names
    x = columns.x if model.preparation is None else columns.x[:, model.preparation.places(names, columns.x.shape[1])]
    labels = None if columns.labels is None else columns.labels[rows]
    return Part(rows, labels, model.probabilities(x[rows]))


def _split(model: Model, columns: Columns, rows: tuple[NDArray[Any], NDArray[Any]]) -> dict[str, Part]:
    apart = Columns(*columns.test, names=columns.names) if columns.test else columns
    return {"training": _part(model, columns, rows[0]), "test": _part(model, apart, rows[1])}


def draw_mistakes(result: Result, name: str) -> Any:
    """Every test digit that the network gets wrong, the surest mistakes first: those of the highest probability."""
    (images, labels), part = load_images(), result.parts["test"]
    wrong = _wrong(result, "test")
    n, rows = len(part.rows), part.rows[wrong]
    title = (
        f"{name}: {len(wrong)} of {n} test digits wrong ({100 * (1 - len(wrong) / n):.1f} % right), "
        "the surest mistakes first\nprobabilities: orange, of the digit it is taken for; green, of the digit it is"
    )
    return figures.mistakes(images[rows], labels[rows], part.probabilities[wrong], title)


def _wrong(result: Result, part: str) -> NDArray[np.intp]:
    """The rows of a part that are taken for another class, the surest first."""
    found = result.parts[part]
    wrong = np.flatnonzero(result.predicted(part) != found.labels)
    return wrong[np.argsort(-np.max(found.probabilities[wrong], axis=1), kind="stable")]


def mistakes_table(result: Result) -> str:
    """The mistakes on the test digits, one per line, the surest first."""
    part, predicted = result.parts["test"], result.predicted("test")
    assert part.labels is not None
    lines = [
        (f"row {part.rows[row]}", str(part.labels[row]), str(predicted[row]),
         f"{100 * np.max(part.probabilities[row]):.1f} %", f"{100 * part.probabilities[row, part.labels[row]]:.1f} %")
        for row in _wrong(result, "test")
    ]  # fmt: skip
    return command_line.table(("image", "digit", "taken for", "probability", "of the digit"), lines)


def judged(result: Result) -> str:
    """The part whose labels judge: the test rows where there are some."""
    return "test" if "test" in result.parts else "new"


def classes_table(result: Result) -> str:
    """A line per class: how many rows have it, how many are right, what the others are mostly taken for."""
    name = judged(result)
    labels, predicted = result.parts[name].labels, result.predicted(name)
    if labels is None:
        rows = [(str(label), f"{np.sum(predicted == label):,}", "") for label in result.classes]
        return command_line.table(("class", "rows predicted", ""), rows)
    lines: list[tuple[str, ...]] = []
    for label in result.classes:
        taken = predicted[labels == label]
        others, counts = np.unique(taken[taken != label], return_counts=True)
        most = f"{others[np.argmax(counts)]} ({np.max(counts)})" if len(others) else "-"
        right = f"{100 * np.mean(taken == label):.1f} %" if len(taken) else "-"
        lines.append((str(label), f"{len(taken):,}", right, most))
    return command_line.table(("class", f"{name} rows", "right", "others mostly taken for"), lines)


def csv_text(result: Result) -> str:
    """``predictions.csv``: a line per row, counted from 1: its label where known, the prediction, all probabilities."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    known = any(part.labels is not None for part in result.parts.values())
    names = [f"p({name})" for name in result.classes]
    writer.writerow(["row", "part", *["label"] * known, "predicted", *names])
    lines: list[list[Any]] = []
    for name, part in result.parts.items():
        for place, (row, predicted) in enumerate(zip(part.rows, result.predicted(name), strict=True)):
            label = [] if part.labels is None else [part.labels[place]]
            lines.append([row + 1, name, *label, predicted, *(f"{p:.6g}" for p in part.probabilities[place])])
    if len({line[0] for line in lines}) == len(lines):  # not of arrays that came as two parts
        lines.sort(key=lambda line: line[0])
    writer.writerows(lines)
    return text.getvalue()


def show(result: Result, name: str, folder: Path) -> None:
    """Print the tables and write the files."""
    sizes = "-".join(map(str, sizes_of(result.model.params)))
    if result.note:
        print(f"note: {result.note}")
    shares = [
        f"{part} accuracy {100 * share:.3f} %".removeprefix("new ")
        for part in result.parts
        if (share := result.accuracy(part)) is not None
    ]
    print(mistakes_table(result) if result.digits else classes_table(result))
    print(f"{sizes}: {', '.join(shares) or 'labels are not known, --target names their column'}")
    files: dict[str, Any] = {}
    part, labels = result.parts[judged(result)], result.parts[judged(result)].labels
    if result.digits:
        files["mistakes.png"] = draw_mistakes(result, f"{name}, {sizes}")
    else:
        files["predictions.csv"] = csv_text(result)
        if labels is not None:
            numbers = np.searchsorted(result.classes, labels)
            n_classes = len(result.classes)
            counts = confusion_counts(numbers, np.argmax(part.probabilities, axis=1), n_classes)
            share = 100 * (result.accuracy(judged(result)) or 0.0)
            title = f"{name}, {sizes}: {judged(result)} rows, {share:.1f} % right"
            files["confusion.png"] = figures.confusion(counts, title, [str(label) for label in result.classes])
    print(command_line.write(folder, files, ("mistakes.png", "predictions.csv", "confusion.png")))


def command(options: argparse.Namespace) -> int:
    """Predict and show it."""
    result = run(options.model, options.data, options.target, tuple(options.drop))
    show(result, Path(options.model).name, command_line.output_folder(options.out))
    return 0
