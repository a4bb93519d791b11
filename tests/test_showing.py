"""Objects that show themselves: one line in a terminal, a table, a curve or a figure in a notebook."""

import base64
import re
from collections.abc import Callable
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any, NamedTuple
from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp import (
    GradientReport,
    History,
    Layer,
    Model,
    TrainingConfig,
    check_gradient,
    figures,
    forward_trace,
    hand_derived_gradient,
    load_table,
    train,
)
from jaxmlp.gradient_check import Diagnosis, Finding, compare_backward, compare_trees
from jaxmlp.lecture.randomness import LectureStream
from jaxmlp.showing import curve, params_page, reveal_params, table
from jaxmlp.tables import Preparation
from tests.helpers import notebook_form, random_dataset, random_params

PARAMS = random_params(0, (4, 3, 2))
HISTORY = History(np.array([0.5, 0.25, 0.125]), np.array([0.5, 0.75, 1.0]), np.array([0.25, 0.5, 0.875]))


class Cells(HTMLParser):
    """The text of every table row, of what is bold, and the tags that were opened and closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.bold: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in ("br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open[-1:]:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        if self.open[-1] == "b":
            self.bold.append(data)


def cells(value: Any) -> Cells:
    """What a notebook shows of ``value``; every tag is closed."""
    found = Cells(value if isinstance(value, str) else notebook_form(value))
    assert found.open == []
    return found


def test_a_dataset_tells_its_rows_inputs_and_classes() -> None:
    dataset = random_dataset(0)
    assert repr(dataset) == "Dataset(12 training and 5 test rows, 4 inputs, 3 classes, float64)"
    counts = [np.bincount(labels, minlength=3) for labels in (dataset.labels_train, dataset.labels_test)]
    rows = cells(dataset).rows
    assert rows[0] == ["class", "training rows", "test rows"]
    assert rows[1:4] == [[str(k), str(counts[0][k]), str(counts[1][k])] for k in range(3)]
    assert rows[4:] == [["all", "12", "5"]]


def test_a_table_has_the_names_of_its_classes_and_columns() -> None:
    iris = load_table("iris")
    assert repr(iris) == "Table(120 training and 30 test rows, 4 inputs, 3 classes, float32)"
    assert cells(iris).rows[1:] == [
        ["setosa", "40", "10"], ["versicolor", "40", "10"], ["virginica", "40", "10"], ["all", "120", "30"]
    ]  # fmt: skip
    assert "inputs: sepal length (cm), sepal width (cm), petal length (cm), petal width (cm)" in notebook_form(iris)


def test_many_classes_are_cut_short() -> None:
    x, labels = np.arange(100.0).reshape(50, 2), np.arange(50) % 25
    rows = cells(jaxmlp.lecture.make_dataset(x, labels, x, labels, 25)).rows
    assert (len(rows), rows[20], rows[21], rows[22]) == (23, ["19", "2", "2"], ["..", "", ""], ["all", "50", "50"])


def test_parameters_and_traces_tell_shapes_not_numbers() -> None:
    assert repr(PARAMS[0]) == "Layer(weights float64[3, 4], biases float64[3])"
    trace = forward_trace(PARAMS, jnp.ones(4))
    assert repr(trace) == (
        "Trace(pre_activations (float64[3], float64[2]), activations (float64[4], float64[3], float64[2]))"
    )
    found = cells(params_page(PARAMS))
    assert found.bold == ["4-3-2, 23 parameters, float64"]
    w = np.asarray(PARAMS[1].weights)
    numbers = [f"{w.min():.3g} to {w.max():.3g}", f"{w.mean():.3g}", f"{w.std():.3g}"]
    assert found.rows[2] == ["2", "3 to 2", "8", *numbers]
    assert cells(PARAMS[0]).bold == ["4-3, 15 parameters, float64"]


def test_a_history_tells_its_beginning_and_its_end() -> None:
    line = "3 epochs: loss 0.5 to 0.125, training accuracy 50.0 to 100.0 %, test accuracy 25.0 to 87.5 %"
    assert repr(HISTORY) == f"History({line})"
    found = cells(HISTORY)
    assert found.rows[1:] == [
        ["1", "0.5", "50.00 %", "25.00 %"], ["2", "0.25", "75.00 %", "50.00 %"], ["3", "0.125", "100.00 %", "87.50 %"]
    ]  # fmt: skip
    one = History(*(rows[:1] for rows in HISTORY))
    assert repr(one) == "History(1 epoch: loss 0.5, training accuracy 50.0 %, test accuracy 25.0 %)"
    none = History(*(rows[:0] for rows in HISTORY))
    assert (repr(none), cells(none).bold) == ("History(0 epochs)", ["no epoch"])
    long = History(*[np.linspace(0, 1, 150)] * 3)
    assert [row[0] for row in cells(long).rows[1:]] == ["1", "2", "5", "10", "20", "50", "100", "150"]


def drawn(image: str) -> str:
    """The SVG in an image, which is well-formed."""
    (code,) = re.findall(r'^<img [^<>]*src="data:image/svg\+xml;base64,([^"]+)">$', image)
    svg = base64.b64decode(code).decode()
    ElementTree.fromstring(svg)
    return svg


def polylines(image: str) -> list[list[tuple[float, float]]]:
    svg = drawn(image)
    pairs = [points.split() for points in re.findall(r'<polyline points="([^"]*)"', svg)]
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in points)] for points in pairs]


def test_a_curve_goes_down_where_its_values_do() -> None:
    (line,) = polylines(curve("loss", {"loss": [4.0, 3.0, 1.0]}))
    assert [x for x, _ in line] == pytest.approx([56, 181, 306])
    assert [y for _, y in line] == pytest.approx([20, 20 + 90 / 3, 110])  # downwards
    first, second = polylines(curve("accuracy", {"a": [0.0, 1.0], "b": [1.0, 1.0]}, " %"))
    assert ([y for _, y in first], [y for _, y in second]) == ([110, 20], [20, 20])
    shown = curve("accuracy", {"a": [0.0, 1.0]}, " %")
    assert ">1 %</text>" in drawn(shown)
    assert 'alt="accuracy: 0 to 1 %"' in shown
    names = drawn(curve("accuracy", {"a": [0.0, 1.0], "b": [1.0, 1.0]}))
    assert '#0072B2">a</text>' in names
    assert '#D55E00">b</text>' in names
    (line,) = polylines(curve("loss", {"loss": [2.0, np.nan, np.inf, 1.0]}))
    assert [y for _, y in line] == [20, 110]
    assert curve("loss", {"loss": [np.nan]}) == ""
    ((_, y),) = polylines(curve("loss", {"loss": [2.0]}))[0]  # one epoch, one value
    assert y == 110


def test_a_repr_never_fails_whatever_the_fields_hold() -> None:
    dataset = random_dataset(0)
    assert repr(jax.tree.map(jnp.shape, dataset)).startswith("Dataset(x_train (12, 4), y_train (12, 3), ")
    assert repr(HISTORY._replace(loss=np.ones((3, 2)))).startswith("History(loss float64[3, 2], train_accuracy ")
    seen: list[str] = []

    @jax.jit
    def traced(history: History, params: Any) -> Any:
        seen.extend([repr(history), repr(params)])
        return history

    traced(HISTORY, PARAMS)
    assert seen[0] == "History(loss float64[3], train_accuracy float64[3], test_accuracy float64[3])"
    assert seen[1].startswith("(Layer(weights float64[3, 4], biases float64[3]), Layer(")
    assert repr(Layer(None, "x")) == "Layer(weights None, biases 'x')"  # type: ignore[arg-type]


def test_words_of_users_are_escaped() -> None:
    assert "<td" in table(("a",), [("<b>&",)])
    assert "&lt;b&gt;&amp;" in table(("a",), [("<b>&",)])


def test_columns_of_numbers_are_set_to_the_right() -> None:
    found = re.findall(r"<td style=\"text-align:(\w+)", table(("a", "b", "c"), [("x", "1.5", "-"), ("2", "-3", "y")]))
    assert found == ["left", "right", "left"] * 2


def test_a_gradient_report_is_a_line_and_a_table() -> None:
    report: GradientReport = compare_trees({"a": [np.ones(2), np.ones(2)], "b": [np.ones(2), np.array([1.0, 3.0])]})
    assert repr(report) == "GradientReport(1 of 2 rows differ)"
    found = cells(report)
    assert found.bold == ["1 of 2 rows differ"]
    assert found.rows[0] == ["pair", "leaf", "verdict", "error", "max abs", "max rel", "ulps", "cosine", ""]
    assert (found.rows[1][:3], found.rows[1][-1]) == (["a, b", "[0]", "agree"], "")
    assert (found.rows[2][:3], found.rows[2][-1]) == (["a, b", "[1]", "differ"], "worst at [1]: 1 against 3")
    assert "color:#cf222e" in notebook_form(report)
    assert "color:#2c974b" in notebook_form(compare_trees({"a": [1.0], "b": [1.0]}))


def wrong(params: Any, x: Any, y: Any) -> Any:
    loss, gradient = hand_derived_gradient()(params, x, y)
    return loss, (Layer(2 * gradient[0].weights, gradient[0].biases), gradient[1])


def test_a_diagnosis_is_its_first_sentence_and_a_table_of_findings() -> None:
    dataset = random_dataset(0)
    params = random_params(0, (4, 6, 3))
    diagnosis = compare_backward(wrong, params, dataset.x_train, dataset.y_train)
    assert repr(diagnosis) == "Diagnosis(dL/dW of layer 1 is scaled by 2)"
    assert cells(diagnosis).rows == [["layer", "quantity", "what is wrong"], ["1", "dL/dW", "is scaled by 2"]]
    assert "delta of layer 1 is right" in notebook_form(diagnosis)
    two = Diagnosis((Finding(2, "delta", "is doubled"), Finding(1, "dL/db", "is zero")), 2, "all above is right")
    assert cells(two).rows[1:] == [["2", "delta", "is doubled"], ["1", "dL/db", "is zero"]]
    assert notebook_form(two).endswith("</table><p>all above is right</p>")
    fine = compare_backward(hand_derived_gradient(), params, dataset.x_train, dataset.y_train)
    assert repr(fine) == "Diagnosis(every delta, dL/dW and dL/db is right)"
    assert (cells(fine).rows, cells(fine).bold) == ([], ["every delta, dL/dW and dL/db is right"])


def test_a_gradient_check_is_its_conclusion_with_the_first_mistake() -> None:
    w = np.array([1.0, 2.0])
    check = check_gradient(lambda w: np.sum(w**2), lambda w: np.array([2.0, 2.5 * w[1]]), w)
    assert repr(check) == "GradientCheck(WRONG: 1 of 1 gradient)"
    found = cells(check)
    assert found.bold == ["WRONG: 1 of 1 gradient"]
    header = ["leaf", "shape", "verdict", "error", "tolerance", "checked", "kinks", "worst at", "mine", "right", ""]
    assert found.rows[0] == header
    assert found.rows[1][:3] == ["w", "2", "wrong"]
    assert (found.rows[1][7], found.rows[1][8], float(found.rows[1][9])) == ("[1]", "5", pytest.approx(4))


def test_a_gradient_check_of_a_network_names_its_first_mistake_and_where_it_shows() -> None:
    x, y, params = np.array([1.0, 2.0]), np.array([1.0, 0.0]), (np.array([[0.5, -1.0], [2.0, 1.0]]), np.eye(2) + 0.5)

    def loss(a: Any, b: Any) -> Any:
        return np.sum((b @ np.tanh(a @ x) - y) ** 2) / 2

    def gradient(a: Any, b: Any) -> Any:
        h = np.tanh(a @ x)
        return np.outer(b.T @ (b @ h - y), x), np.outer(b @ h - y, h)

    check = check_gradient(loss, gradient, *params, data=(x, y))
    said = "delta of layer 1 misses the derivative of the activation, phi'(g_1)"
    assert repr(check) == f"GradientCheck(WRONG: 1 of 2 gradients; {said})"
    assert f"first mistake: {said}<br>" in notebook_form(check)
    assert [row[-1] for row in cells(check).rows[1:]] == ["all rows", ""]


def test_a_model_tells_its_network_its_classes_and_how_it_was_trained() -> None:
    scaled = Preparation(np.zeros(4), np.ones(4), ("a", "b", "c", "d"), "kind")
    details = {"learning_rate": 0.2, "test_accuracy": 0.875, "data": {"data": "x.csv"}, "hidden": [3]}
    model = Model(PARAMS, "tanh", np.array(["no", "yes"]), details, preparation=scaled)
    assert repr(model) == (
        "Model(4-3-2, tanh, softmax, float64, 4 inputs (a, b, c, ..), 2 outputs (no, yes), test accuracy 87.5 %)"
    )
    rows = dict(cells(model).rows)
    assert (rows["activation"], rows["learning rate"], rows["hidden"], rows["data"]) == ("tanh", "0.2", "[3]", "x.csv")
    assert (cells(model).bold, rows["test accuracy"]) == (["Model 4-3-2"], "87.5 %")
    assert (
        repr(Model(PARAMS)) == "Model(4-3-2, sigmoid, softmax, float64, 4 inputs, prepared as in training, 2 outputs)"
    )


def test_a_sweeps_results_are_a_line_and_the_table_of_its_configurations(tmp_path: Any) -> None:
    dataset = random_dataset(0, 80, "float32", 20)  # as other files' tables: the program is there
    results = jaxmlp.sweep.run(dataset, {"hidden": [3, 4], "seeds": ["0:2"]}, tmp_path / "s.sqlite", 3)
    best = results.best
    assert repr(best).startswith(f"Configuration(hidden {best.values['hidden']}, activation sigmoid, batch_size 1, ")
    assert repr(best).endswith(
        f"; 2 of 2 trials done, loss {best.loss.mean:.4g}, accuracy {100 * best.accuracy.mean:.2f} %)"
    )
    assert repr(results) == f"Results(sweep 1: 4 of 4 trials done; the best: [{best!r}])"
    found = cells(results)
    assert found.bold == ["sweep 1: 4 of 4 trials done"]
    assert found.rows[1][:3] == ["1", best.values["hidden"], "2/2"]
    assert f"test accuracy {100 * results.test_accuracy.mean:.2f}" in notebook_form(results)
    searched = jaxmlp.sweep.Searched(results, None, {})
    assert (repr(searched), notebook_form(searched)) == (f"Searched({results!r})", notebook_form(results))
    empty = type(results)(results.database, results.sweep, [])
    assert (repr(empty), cells(empty).bold) == ("Results(no trial; the best: [])", ["no trial"])


def test_a_notebook_shows_tuples_of_layers_as_a_table_and_other_tuples_as_before() -> None:
    formatters = pytest.importorskip("IPython.core.formatters")
    shell = SimpleNamespace(display_formatter=formatters.DisplayFormatter())

    def html(value: Any) -> str | None:
        shown, _ = shell.display_formatter.format(value)
        return shown.get("text/html")

    assert html(PARAMS) is None
    reveal_params(shell, Layer, params_page)
    assert html(PARAMS) == params_page(PARAMS)
    assert html(()) is html((1, 2)) is html((*PARAMS, 1)) is None

    class Pair(NamedTuple):
        first: Layer
        second: Layer

    assert html(Pair(*PARAMS)) is None
    assert html(HISTORY) == notebook_form(HISTORY)  # a tuple too, of a class with a form of its own
    shell.display_formatter.formatters["text/html"].for_type(tuple, lambda _: "theirs")
    reveal_params(shell, Layer, params_page)
    assert (html(PARAMS), html((1,))) == (params_page(PARAMS), "theirs")


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.curves(*HISTORY, "t"),
        lambda: figures.digits(np.zeros((2, 8, 8)), np.zeros(2, int)),
        lambda: figures.confusion(np.eye(2, dtype=int), "t"),
        lambda: figures.twins(np.ones((2, 3)), np.ones(2), "t"),
    ],
)
def test_figures_appear_by_themselves(draw: Callable[[], Any]) -> None:
    assert draw()._repr_png_().startswith(b"\x89PNG")


def test_training_without_orders_is_the_lectures() -> None:
    dataset, stream = random_dataset(0), LectureStream(7)
    params = stream.params((4, 5, 3), "float64")
    given, expected = train(params, dataset, epochs=2, seed=7), train(params, dataset, stream.orders(2, 12))
    assert jax.tree.all(jax.tree.map(np.array_equal, given, expected))
    assert len(train(params, dataset)[1].loss) == 20
    zero = train(params, dataset, epochs=2, seed=0)[1]
    assert np.array_equal(train(params, dataset, epochs=2)[1].loss, zero.loss)
    assert not np.array_equal(train(params, dataset, epochs=2, seed=1)[1].loss, zero.loss)
    assert len(train(params, dataset, config=TrainingConfig(batch_size=5), epochs=1)[1].loss) == 1
