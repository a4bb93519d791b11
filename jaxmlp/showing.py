"""Objects that show themselves: one line in a terminal, a table in a notebook."""

import base64
import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

__all__ = [
    "brief", "curve", "dataset_line", "dataset_page", "fields", "history_line", "history_page", "lines", "page",
    "params_page", "reveal_params", "shown", "table",
]  # fmt: skip

Kind = TypeVar("Kind", bound=type)
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#767676"  # a grey that is readable on white and on black


def shown(line: Callable[[Any], str], page: Callable[[Any], str] | None = None) -> Callable[[Kind], Kind]:
    """A class decorator: the repr of an object is ``line(object)``; a notebook shows the HTML ``page(object)``."""

    def decorate(kind: Kind) -> Kind:
        def own(self: Any) -> str:
            try:
                return line(self)
            except Exception:  # a repr must not fail: tree maps and traces put any object into the fields
                return fields(self)

        for name, method in (("__repr__", own), ("_repr_html_", page)):
            if method is not None:
                setattr(kind, name, method)
        return kind

    return decorate


def brief(value: Any) -> str:
    """An array as ``float32[20, 64]``, a tuple of arrays in brackets, anything else by its repr."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    if type(value) is tuple:
        return f"({', '.join(map(brief, value))})"
    return repr(value)


def fields(value: Any) -> str:
    """A NamedTuple or a dataclass, its arrays shown by `brief`."""
    parts = value._asdict() if hasattr(value, "_asdict") else vars(value)
    return f"{type(value).__name__}({', '.join(f'{name} {brief(part)}' for name, part in parts.items())})"


def text(words: object) -> str:
    """Words, escaped for HTML."""
    return html.escape(str(words), quote=False)


def page(title: str, *parts: str, ok: bool | None = None) -> str:
    """HTML: the title in bold, green if ``ok`` is true, red if it is false; then the parts, which are HTML too."""
    colour = "" if ok is None else f' style="color:{"#2c974b" if ok else "#cf222e"}"'
    return "".join([f"<p><b{colour}>{text(title)}</b></p>", *parts])


def lines(words: Sequence[object]) -> str:
    """Lines as an HTML paragraph; an empty string if there are none."""
    return f"<p>{'<br>'.join(map(text, words))}</p>" if words else ""


def table(header: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """An HTML table; columns of numbers are right-aligned, columns of words left-aligned."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    sides = ["right" if all(str(cell)[:1] in "0123456789-." for cell in column) else "left" for column in columns]

    def line(cells: Sequence[object], tag: str) -> str:
        return "".join(
            f'<{tag} style="text-align:{side};padding:2px 8px;white-space:nowrap">{text(cell)}</{tag}>'
            for cell, side in zip(cells, sides, strict=True)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    head = f"<thead><tr>{line(header, 'th')}</tr></thead>" if any(header) else ""
    return f"<table>{head}<tbody>{body}</tbody></table>"


def curve(title: str, lines: Mapping[str, Any], unit: str = "") -> str:
    """A small line chart: finite values ``[n]`` by name, first blue, second orange; minimum and maximum at the axis."""
    width, height, top, left = 250, 90, 20, 56
    values = {name: np.asarray(each, np.float64) for name, each in lines.items()}
    every = np.concatenate([each[np.isfinite(each)] for each in values.values()])
    if not len(every):
        return ""
    low, high = float(every.min()), float(every.max())
    parts = [f'<text x="{left}" y="12">{text(title)}</text>']
    for place, words in ((top + 8, high), (top + height, low)):
        parts.append(f'<text x="{left - 4}" y="{place}" text-anchor="end">{words:.3g}{unit}</text>')
    parts.append(f'<path d="M{left} {top}v{height}h{width}" fill="none" stroke="{GREY}"/>')
    for colour, each in zip((BLUE, ORANGE), values.values(), strict=False):
        x = left + width * np.arange(len(each)) / max(len(each) - 1, 1)
        y = top + height * (1 - (each - low) / ((high - low) or 1))
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True) if np.isfinite(b))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    for place, (colour, name) in enumerate(zip((BLUE, ORANGE), values if len(values) > 1 else (), strict=False)):
        x, y = left + width - 4, top + height - 8 - 14 * place
        parts.append(f'<text x="{x}" y="{y}" text-anchor="end" style="fill:{colour}">{text(name)}</text>')
    size = f'width="{left + width + 8}" height="{top + height + 8}"'
    look = f'xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11" fill="{GREY}"'
    svg, about = f"<svg {look}>{''.join(parts)}</svg>", f"{text(title)}: {low:.3g} to {high:.3g}{unit}"
    # An image: web pages that show notebooks may remove the tags of an SVG, and only its words would be left.
    return f'<img {size} alt="{about}" src="data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}">'


def reveal_params(shell: Any, layer: type, shown_as: Callable[[Any], str]) -> None:
    """Make an IPython shell show each plain tuple of ``layer`` objects as the HTML ``shown_as(tuple)``.

    All other tuples are shown as before.
    """
    formatter = shell.display_formatter.formatters["text/html"]
    earlier = formatter.for_type(tuple)

    def show(value: Any) -> str | None:
        if type(value) is tuple and value and all(isinstance(part, layer) for part in value):
            return shown_as(value)
        own = earlier or getattr(type(value), "_repr_html_", None)
        return own(value) if own is not None else None

    formatter.for_type(tuple, show)


def dataset_line(dataset: Any) -> str:
    """A Dataset in one line: its rows, inputs and classes."""
    train, test = (len(labels) for labels in (dataset.labels_train, dataset.labels_test))
    (_, n_in), n_classes = dataset.x_train.shape, dataset.y_train.shape[1]
    words = f"{train:,} training and {test:,} test rows, {n_in:,} inputs, {n_classes:,} classes"
    return f"{type(dataset).__name__}({words}, {dataset.x_train.dtype})"


def dataset_page(dataset: Any) -> str:
    """A Dataset as a table: the number of training and test rows of each class."""
    names = getattr(dataset, "classes", range(dataset.y_train.shape[1]))
    parts = {"training": dataset.labels_train, "test": dataset.labels_test}
    counts = [np.bincount(np.asarray(labels), minlength=len(names)) for labels in parts.values()]
    rows = [(name, *map(int, column)) for name, column in zip(names, zip(*counts, strict=True), strict=True)]
    rows = [*rows[:20], *([("..", "", "")] if len(rows) > 20 else []), ("all", *(int(each.sum()) for each in counts))]
    columns = getattr(getattr(dataset, "preparation", None), "columns", ())
    listed = ", ".join(columns[:12]) + (", .." if len(columns) > 12 else "")
    inputs = lines([f"inputs: {listed}"] if columns else [])
    return page(dataset_line(dataset), inputs, table(("class", *(f"{part} rows" for part in parts)), rows))


def params_page(params: Any) -> str:
    """Parameters as a table, one line per layer."""
    rows: list[tuple[object, ...]] = []
    for number, layer in enumerate(params, 1):
        w = np.asarray(layer.weights)
        n_out, n_in = w.shape
        rows.append(
            (
                number,
                f"{n_in} to {n_out}",
                f"{layer.weights.size + layer.biases.size:,}",
                f"{w.min():.3g} to {w.max():.3g}",
                f"{w.mean():.3g}",
                f"{w.std():.3g}",
            )
        )
    sizes = "-".join(map(str, (params[0].weights.shape[1], *(len(layer.biases) for layer in params))))
    total = sum(layer.weights.size + layer.biases.size for layer in params)
    header = ("layer", "units", "parameters", "weights", "their mean", "their deviation")
    return page(f"{sizes}, {total:,} parameters, {params[0].weights.dtype}", table(header, rows))


def history_line(history: Any) -> str:
    """A History in one line: the first and the last value of each column."""
    n = len(history.loss)
    words = f"{n:,} epoch{'s' * (n != 1)}"
    if n:
        loss, train, test = ([float(rows[at]) for at in dict.fromkeys((0, n - 1))] for rows in history)
        ends = (
            f"{name} {' to '.join(f'{100 * each:.1f}' for each in accuracy)} %"
            for name, accuracy in (("training accuracy", train), ("test accuracy", test))
        )
        words += f": loss {' to '.join(f'{each:.3g}' for each in loss)}, {', '.join(ends)}"
    return f"History({words})"


def history_page(history: Any) -> str:
    """A History as two small curves and a table of some epochs, including the last one."""
    loss, train, test = (np.asarray(rows, np.float64) for rows in history)
    if not len(loss):
        return page("no epoch")
    told = sorted({epoch for epoch in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, len(loss)) if epoch <= len(loss)})
    rows = [(epoch, f"{loss[epoch - 1]:.4g}", f"{100 * train[epoch - 1]:.2f} %", f"{100 * test[epoch - 1]:.2f} %")
            for epoch in told]  # fmt: skip
    accuracy = {"training": 100 * train, "test": 100 * test}
    curves = curve("loss by epoch", {"loss": loss}) + curve("accuracy by epoch", accuracy, " %")
    return page(history_line(history), curves, table(("epoch", "loss", "training", "test"), rows))
