"""The page in a real Chromium: its numbers beside jaxmlp's in float64, its strokes, links, languages, its safety."""

import base64
import dataclasses
import functools
import itertools
import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from numpy.typing import NDArray

from experiments import actions, bottleneck, one_hidden_layer
from experiments.page_parts.assembly import SCRIPTS, assemble
from experiments.page_parts.content import Content, of_training, to_json
from experiments.support import training_run
from jaxmlp import (
    Dataset,
    Model,
    Params,
    automatic_gradient,
    forward,
    forward_trace,
    hand_derived_gradient,
    load_table,
    save,
)
from jaxmlp.gradient_check import automatic_deltas
from jaxmlp.lecture import accuracy, load_images
from tests.browsing import Tab, find_browser, opened, started
from tests.helpers import as_params, random_params

pytestmark = pytest.mark.browser
PREPARATION = load_table("digits").preparation
ROWS = "Array.from({length: 300}, (_, k) => k)"
PARAMS = "now.params.map(({W, b}) => [W, b])"
MIXED = ("tanh", "relu", "identity", "sigmoid")


class Shown(NamedTuple):
    """A page and what it is made of."""

    path: Path
    content: Content


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Generator[Any]:
    given = request.config.getoption("--chromium")
    if given is None:
        pytest.importorskip("playwright", reason="the browser is driven by playwright: pip install -e '.[browser]'")
    path = given or find_browser()
    if path is None:
        pytest.skip("there is no Chromium and no Chrome on this machine")
    with started(path) as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


def written(content: Content, path: Path) -> Shown:
    path.write_text(assemble(to_json(content)), "utf-8")
    return Shown(path, content)


@pytest.fixture(scope="module")
def first(folder: Path) -> Shown:
    return written(of_training(training_run.run(one_hidden_layer.PRESET, snapshots=True)), folder / "first.html")


@pytest.fixture(scope="module")
def third(folder: Path) -> Shown:
    return written(of_training(training_run.run(bottleneck.PRESET, snapshots=True)), folder / "third.html")


@pytest.fixture(scope="module")
def mixed(folder: Path) -> Shown:
    """A model file of somebody's: float32, five layers, every activation, a layer of two units in the middle."""
    sizes, preparation = (64, 12, 2, 7, 5, 10), PREPARATION
    model = Model(random_params(3, sizes, "float32"), MIXED, details={"learning_rate": 0.05}, preparation=preparation)
    save(folder / "mixed.safetensors", model)
    return written(actions.page.run(str(folder / "mixed.safetensors")), folder / "mixed.html")


@pytest.fixture(scope="module")
def tab(browser: Any, first: Shown) -> Generator[Tab]:
    """The first network's page, for tests that leave no trace: each goes to its own link."""
    with opened(browser, first.path) as found:
        yield found


def float64(params: Params) -> Params:
    return as_params((np.asarray(w, np.float64), np.asarray(b, np.float64)) for w, b in params)


def numbers(tab: Tab, expression: str) -> NDArray[np.float64]:
    """Numbers of the page, nested in any way, in their sequence and to the last bit."""
    script = f"""() => {{
        const flat = (value) => (typeof value === "number" ? [value] : Array.from(value).flatMap(flat));
        const bytes = new Uint8Array(Float64Array.from(flat({expression})).buffer);
        let text = "";
        for (let k = 0; k < bytes.length; k += 8192) text += String.fromCharCode(...bytes.subarray(k, k + 8192));
        return btoa(text);
    }}"""
    return np.frombuffer(base64.b64decode(tab.ask(script)), "<f8")


def flat(params: Any) -> NDArray[np.float64]:
    """All parameters: W_1 row by row, b_1, W_2, .."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])


def by_row(tree: Any) -> NDArray[np.float64]:
    """The leaves ``[n, ...]``, all of the first row, all of the second, .."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1).ravel()


@pytest.mark.parametrize("name", ["first", "third", "mixed"])
def test_forward_deltas_gradients_and_an_update_are_those_of_jaxmlp_for_all_test_rows(
    name: str, browser: Any, request: pytest.FixtureRequest, digits: Dataset
) -> None:
    shown: Shown = request.getfixturevalue(name)
    model, eta = shown.content.model, shown.content.learning_rate
    params, x, y = float64(model.params), digits.x_test, digits.y_test
    assert len(x) == 300
    with opened(browser, shown.path) as tab:
        np.testing.assert_array_equal(numbers(tab, PARAMS), flat(params))
        np.testing.assert_array_equal(numbers(tab, f"{ROWS}.map(inputOf)"), by_row([x]))
        np.testing.assert_array_equal(tab.ask("LABELS.slice(0, 300)"), digits.labels_test)
        tab.ask(f"window.traces = {ROWS}.map((k) => forward(now.params, inputOf(k), PHI))")
        tab.ask(f"window.passes = {ROWS}.map((k) => backward(now.params, inputOf(k), oneHot(LABELS[k]), PHI))")
        traces = numbers(tab, "traces.map(({g, h}) => [g, h])")
        losses, deltas = numbers(tab, "passes.map(({loss}) => loss)"), numbers(tab, "passes.map(({deltas}) => deltas)")
        gradients = numbers(tab, "passes.map(({gradient}) => gradient.map(({W, b}) => [W, b]))")
        updates = numbers(
            tab, "passes.map(({gradient}) => update(now.params, gradient, DATA.learning_rate).map(({W, b}) => [W, b]))"
        )
        differences = numbers(
            tab,
            "traces.map((trace, k) => DATA.sizes.slice(1).map((n, l) => "
            "centralDifferences(now.params, l + 1, k % n, trace, oneHot(LABELS[k]), PHI)))",
        )
        np.testing.assert_array_equal(numbers(tab, PARAMS), flat(params))
    exact = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-12)
    activation = model.activation
    exact(traces, by_row(jax.vmap(lambda x: tuple(forward_trace(params, x, activation)))(x)))
    exact(deltas, by_row(jax.vmap(lambda x, y: automatic_deltas(params, x, y, activation))(x, y)))
    for gradient_function in (automatic_gradient(activation), hand_derived_gradient(activation)):
        loss, gradient = jax.vmap(gradient_function, (None, 0, 0))(params, x, y)
        exact(losses, np.asarray(loss))
        exact(gradients, by_row(gradient))
        exact(updates, by_row(jax.tree.map(lambda p, d: p - eta * d, params, gradient)))
        own = [
            np.append(
                np.asarray(weights)[k, k % len(params[layer].biases)],
                np.asarray(biases)[k, k % len(params[layer].biases)],
            )
            for k in range(300)
            for layer, (weights, biases) in enumerate(gradient)
        ]
        np.testing.assert_allclose(differences, np.concatenate(own), rtol=1e-5, atol=1e-8)


def lines(points: list[tuple[float, float]]) -> NDArray[Any]:
    """The 32 x 32 pixels whose centre is within two pixels of a line through points (x, y): our own arithmetic."""
    rows, columns = np.mgrid[:32, :32] + 0.5
    bitmap = np.zeros((32, 32), bool)
    for start, end in zip([points[0], *points], points, strict=False):
        # 2,001 places of the line instead of the distance from it.
        places = np.linspace(start, end, 2001)
        near = (columns[..., None] - places[:, 0]) ** 2 + (rows[..., None] - places[:, 1]) ** 2
        bitmap |= near.min(axis=-1) <= 4
    return bitmap


def counts(bitmap: NDArray[Any]) -> list[int]:
    return [int(bitmap[4 * r : 4 * r + 4, 4 * c : 4 * c + 4].sum()) for r in range(8) for c in range(8)]


def counts_shown(tab: Tab) -> list[int]:
    cells = [int(text) for text in tab.page.locator("#counts span").all_inner_texts()]
    assert [int(text) for text in tab.data("#counts", "counts").split()] == cells
    return cells


SEVEN = [(6.3, 3.1), (25.2, 3.4), (18.1, 16.2), (12.7, 29.3)]
CROSS = [(9.1, 17.2), (23.4, 15.9)]
Place = tuple[float, float]


def places(tab: Tab, points: list[Place]) -> list[tuple[Place, Place]]:
    """Where points of the 32 x 32 pixels are on the screen, whole pixels of it, and which points these then are."""
    tab.page.locator("#pixels").scroll_into_view_if_needed()
    box = tab.ask(
        "(({left, top, width, height}) => [left, top, width, height])(find('pixels').getBoundingClientRect())"
    )
    left, top, width, height = box
    found: list[tuple[Place, Place]] = []
    for x, y in points:
        on_screen = round(left + x * width / 32), round(top + y * height / 32)
        found.append((on_screen, ((on_screen[0] - left) * 32 / width, (on_screen[1] - top) * 32 / height)))
    return found


def draw(tab: Tab, points: list[Place]) -> list[Place]:
    """A stroke with the mouse; returns its points."""
    found = places(tab, points)
    tab.page.mouse.move(*found[0][0])
    tab.page.mouse.down()
    for on_screen, _ in found[1:]:
        tab.page.mouse.move(*on_screen)
    tab.page.mouse.up()
    return [point for _, point in found]


@pytest.mark.parametrize("width", [1280, 360])
def test_strokes_of_the_mouse_are_counted_in_blocks_of_4_x_4_pixels(width: int, browser: Any, first: Shown) -> None:
    with opened(browser, first.path, "#test=17", viewport={"width": width, "height": 900}) as tab:
        seven = lines(draw(tab, SEVEN))
        assert sum(counts(seven)) > 100
        assert counts_shown(tab.settle()) == counts(seven)
        both = seven | lines(draw(tab, CROSS))
        assert counts_shown(tab.settle()) == counts(both) != counts(seven)
        assert tab.data("#digit", "digit") == tab.text("#digit") == "7"
        tab.page.click("#undo")
        assert counts_shown(tab) == counts(seven)
        tab.page.click("#clear")
        assert counts_shown(tab) == [0] * 64
        tab.page.mouse.move(*places(tab, [(16, 16)])[0][0])  # the button is up
        assert counts_shown(tab) == [0] * 64
        right = places(tab, [(16, 16)])[0][0]
        tab.page.mouse.click(*right, button="right")  # not the pen
        assert counts_shown(tab) == [0] * 64
        (dot,) = draw(tab, [(16, 16)])
        assert counts_shown(tab) == counts(lines([dot]))


def test_a_stroke_that_leaves_the_frame_ends_where_the_button_is_let_go(tab: Tab) -> None:
    tab.go("#test=17")
    points = draw(tab, [(20, 10), (34, 12)])  # the second is outside
    drawn = counts(lines(points))
    assert counts_shown(tab.settle()) == drawn
    for place, _ in places(tab, [(5, 20), (25, 25)]):
        tab.page.mouse.move(*place)
    assert counts_shown(tab) == drawn


def test_all_places_since_the_last_frame_belong_to_a_stroke(tab: Tab) -> None:
    tab.go("#test=17")
    found = places(tab, SEVEN)
    tab.page.mouse.move(*found[0][0])
    tab.page.mouse.down()
    # As a fast hand makes them: one event for three places.
    tab.ask(
        """(places) => {
            const [first, ...rest] = places.map(([x, y]) => ({ clientX: x, clientY: y, isPrimary: true }));
            const coalescedEvents = [first, ...rest].map((place) => new PointerEvent("pointermove", place));
            find("pixels").dispatchEvent(new PointerEvent("pointermove", { ...rest.at(-1), coalescedEvents }));
        }""",
        [place for place, _ in found[1:]],
    )
    tab.page.mouse.up()
    assert counts_shown(tab.settle()) == counts(lines([point for _, point in found]))


def test_a_finger_draws_and_the_page_does_not_scroll(browser: Any, first: Shown) -> None:
    context: Any = {"viewport": {"width": 360, "height": 700}, "has_touch": True, "is_mobile": True}
    with opened(browser, first.path, **context) as tab:
        found = places(tab, SEVEN)
        before, client = tab.ask("scrollY"), tab.page.context.new_cdp_session(tab.page)
        for kind, (x, y) in zip(["touchStart", *["touchMove"] * 3], (place for place, _ in found), strict=True):
            client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert counts_shown(tab.settle()) == counts(lines([point for _, point in found]))
        assert tab.ask("scrollY") == before
        assert tab.ask("document.documentElement.scrollWidth") == 360


def test_arrow_keys_draw_too(tab: Tab) -> None:
    tab.go("#test=17").page.locator("#pixels").focus()
    press, before = tab.page.keyboard.press, tab.ask("scrollY")
    for key in (
        ["ArrowUp"] * 9 + ["ArrowLeft"] * 5 + [" "] + ["ArrowRight"] * 12 + ["ArrowDown"] * 4 + [" "] + ["ArrowUp"] * 3
    ):
        press(key)
    drawn = counts(lines([(11, 7), (23, 7), (23, 11)]))
    assert counts_shown(tab.settle()) == drawn
    # The pen stays inside, 31.5 at most: five steps back from there it goes down.
    for key in [*["ArrowRight"] * 30, *["ArrowLeft"] * 5, " ", *["ArrowDown"] * 4, " "]:
        press(key)
    both = lines([(11, 7), (23, 7), (23, 11)]) | lines([(26.5, 8), (26.5, 12)])
    assert counts_shown(tab) == counts(both) != drawn
    press("Backspace")
    assert counts_shown(tab) == drawn
    tab.page.wait_for_timeout(200)  # a browser scrolls smoothly
    assert tab.ask("scrollY") == before
    press(" ")
    press("Tab")  # whoever goes on to the buttons has lifted the pen
    assert tab.ask("[document.activeElement.id, drawing.down]") == ["undo", False]


def shown_trace(tab: Tab) -> tuple[list[list[float]], list[list[float]]]:
    """g and h of each layer, from the attributes of its units; and of layer 0."""
    g, h = list[list[float]](), [json.loads(tab.data("#layers > [data-layer='0']", "h"))]
    for layer in itertools.count(1):
        units = tab.page.locator(f".unit[data-layer='{layer}']")
        if not units.count():
            return g, h
        found = units.evaluate_all("(all) => all.map(({dataset, innerText}) => [dataset.g, dataset.h, innerText])")
        for number, (own_g, own_h, text) in enumerate(found):
            said = f"{number}\ng {float(own_g):.3f}\nh {float(own_h):.3f}".replace("-", "−")
            assert re.sub(r"\s+", "\n", text).replace("g\n", "g ").replace("h\n", "h ") == said.replace(
                "−0.000", "0.000"
            )
        g.append([float(each[0]) for each in found])
        h.append([float(each[1]) for each in found])
    raise AssertionError


def probabilities_shown(tab: Tab) -> list[str]:
    items = tab.page.locator("#probabilities li")
    found = items.evaluate_all(
        "(all) => all.map(({dataset, innerText}) => [dataset.class, dataset.probability, innerText])"
    )
    assert [text.split() for *_, text in found] == [[str(k), found[k][1]] for k in range(10)]
    assert [each[0] for each in found] == [*map(str, range(10))]
    return [each[1] for each in found]


@pytest.mark.parametrize("row", [17, 2, 299])
def test_a_link_to_a_test_row_shows_digit_probabilities_g_and_h(
    row: int, tab: Tab, first: Shown, digits: Dataset
) -> None:
    tab.go(f"#test={row}")
    trace = forward_trace(first.content.model.params, digits.x_test[row])
    taken = int(np.argmax(trace.activations[-1]))
    assert tab.data("#digit", "digit") == tab.text("#digit") == str(taken)
    assert probabilities_shown(tab) == [f"{p:.6f}" for p in trace.activations[-1]]
    g, h = shown_trace(tab)
    for ours, theirs in ((g, trace.pre_activations), (h, trace.activations)):
        for layer, expected in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(layer, expected, rtol=0, atol=1e-12)
    label = int(digits.labels_test[row])
    assert tab.text("#verdict") == (f"right, it is a {label}" if taken == label else f"wrong, it is a {label}")
    assert counts_shown(tab) == load_images()[0][row].ravel().tolist()
    assert tab.page.locator("#row").input_value() == str(row)
    assert tab.page.locator("#label").input_value() == str(label)
    bar = tab.text("#bar-answer")
    assert bar == f"{taken}, probability {trace.activations[-1][taken]:.6f}"


def test_what_is_shown_changes_as_one_draws_and_the_link_to_it_shows_the_same_again(tab: Tab) -> None:
    before = probabilities_shown(tab.go("#test=17"))
    draw(tab, SEVEN)
    during = probabilities_shown(tab.settle())
    assert during != before
    link = tab.ask("location.hash")
    assert "test=" not in link
    seen = counts_shown(tab), during, shown_trace(tab), tab.data("#digit", "digit"), tab.ask("[...drawing.bitmap]")
    assert (tab.text("#verdict"), tab.page.locator("#row").input_value()) == ("", "")
    assert tab.page.locator("#label").input_value() == tab.data("#digit", "digit")
    tab.go(link)
    digit, bitmap = tab.data("#digit", "digit"), tab.ask("[...drawing.bitmap]")
    assert (counts_shown(tab), probabilities_shown(tab), shown_trace(tab), digit, bitmap) == seen
    draw(tab, CROSS)  # on top of it
    assert sum(counts_shown(tab)) > sum(seen[0])
    tab.page.click("#undo")
    assert counts_shown(tab) == seen[0]
    tab.page.click("#undo")
    assert counts_shown(tab) == [0] * 64


def test_a_row_that_is_chosen_and_a_cleared_frame_leave_nothing_of_the_drawing(tab: Tab) -> None:
    tab.go("#test=17")
    draw(tab, SEVEN)
    tab.page.locator("#label").select_option("4")  # what it is meant to be
    tab.page.click("#clear")
    tab.settle()
    assert tab.page.locator("#label").input_value() == tab.data("#digit", "digit") != "4"
    draw(tab, SEVEN)
    tab.page.locator("#row").select_option("18")
    assert counts_shown(tab.settle()) == load_images()[0][18].ravel().tolist()
    assert tab.page.locator("#label").input_value() == str(load_images()[1][18])
    assert counts(lines(draw(tab, CROSS))) == counts_shown(tab.settle())


def test_every_epoch_of_the_slider_has_the_accuracies_that_training_recorded(
    browser: Any, first: Shown, third: Shown
) -> None:
    for shown in (first, third):
        with opened(browser, shown.path, "#test=0&epoch=5") as tab:
            assert (tab.text("#epoch-shown"), tab.page.locator("#epoch").input_value()) == ("epoch 5", "5")
            epochs: list[Any] = shown.content.epochs
            assert (epochs[0], epochs[-1], len(epochs)) == (0, 100, 23)
            for place, epoch in enumerate(epochs):
                tab.page.locator("#epoch").fill(str(place))
                tab.settle()
                assert tab.ask("new URLSearchParams(location.hash.slice(1)).get('epoch')") == str(epoch)
                assert tab.data("#accuracies", "epoch") == str(epoch)
                params = float64(shown.content.snapshots[place])
                np.testing.assert_array_equal(numbers(tab, PARAMS), flat(params))
                recorded, shares = shown.content.recorded[place], list[str]()
                cells = tab.page.locator("#accuracies td").all_inner_texts()
                for name, n, cell in (("train", 1497, cells[4]), ("test", 300, cells[5])):
                    share = float(tab.data("#accuracies", name))
                    share_recorded = recorded[f"{name}_accuracy"]
                    assert share_recorded is None if epoch == 0 else share == pytest.approx(share_recorded, abs=1e-12)
                    assert cell == f"{100 * share:.3f} % ({round(share * n)} of {n})"
                    shares.append("–" if epoch == 0 else f"{100 * share:.3f} %")
                assert cells[1:3] == shares


def test_the_untrained_networks_accuracy_is_computed_too(tab: Tab, first: Shown, digits: Dataset) -> None:
    tab.go("#epoch=0")
    share = accuracy(forward(float64(first.content.snapshots[0]), digits.x_test), digits.labels_test)
    assert float(tab.data("#accuracies", "test")) == pytest.approx(float(share), abs=1e-12)


def test_curves_are_those_of_the_history(tab: Tab, first: Shown) -> None:
    tab.go("#epoch=10")
    for name, column, low, high in (("loss", "loss", 0, 0.6), ("accuracy", "train_accuracy", 0.8, 1)):
        points = tab.page.locator(f"#{name}-curve polyline.training").get_attribute("points").split()
        found = np.array([[float(part) for part in point.split(",")] for point in points])
        ticks = tab.page.locator(f"#{name}-curve line.grid").evaluate_all(
            "(all) => all.map((l) => +l.getAttribute('y1'))"
        )
        values: Any = first.content.curves[column]
        expected = ticks[0] + (np.array(values) - low) / (high - low) * (ticks[-1] - ticks[0])
        np.testing.assert_allclose(found[:, 1], expected, atol=0.051)
        place = float(tab.page.locator(f"#{name}-curve line.now").get_attribute("x1"))
        assert place == pytest.approx(found[9, 0], abs=0.051)
        written_there = tab.page.locator(f"#{name}-curve text[text-anchor='middle']").all_text_contents()
        assert written_there == ["0", "25", "50", "75", "100", "epoch"]
        np.testing.assert_allclose(np.diff(found[:, 0]), (found[-1, 0] - found[0, 0]) / 99, atol=0.11)
    assert tab.page.locator("#accuracy-curve polyline").count() == 2


def test_a_curve_of_very_many_epochs_is_drawn(browser: Any, folder: Path, mixed: Shown) -> None:
    curves: Any = {**mixed.content.curves, "loss": [0.5] * 300_000}
    with opened(browser, written(mixed.content._replace(curves=curves), folder / "long.html").path) as tab:
        assert len(tab.page.locator("#loss-curve polyline").get_attribute("points").split()) == 300_000


WRONG_LINKS = [
    "#test=300", "#test=-1", "#test=x", "#test=", "#epoch=-3", "#epoch=1e9", "#unit=9.9", "#unit=1.20", "#unit=1",
    "#unit=1.-1", "#unit=0.0", "#unit=1.5e-1",
    "#drawn=zz", "#digit=10", "#lang=fr", "#lang=__proto__", "#%E0%A4%A", "#&&=",
]  # fmt: skip


@pytest.mark.parametrize("link", WRONG_LINKS)
def test_a_link_that_asks_for_what_is_not_there_shows_the_page_as_it_opens(link: str, tab: Tab) -> None:
    tab.go()
    opens = probabilities_shown(tab), tab.text("#epoch-shown"), tab.text("#unit-title"), tab.text("#verdict")
    assert opens[3].startswith("wrong")  # it opens with a mistake, where there is something to see
    tab.go(link)
    assert (probabilities_shown(tab), tab.text("#epoch-shown"), tab.text("#unit-title"), tab.text("#verdict")) == opens


def test_the_digit_that_one_says_it_is_stands_in_the_link(tab: Tab) -> None:
    tab.go("#test=17").page.locator("#label").select_option("6")
    link, loss = tab.settle().ask("location.hash"), tab.data("#loss", "loss")
    assert "digit=6" in link
    tab.go(link)
    assert (tab.page.locator("#label").input_value(), tab.data("#loss", "loss")) == ("6", loss)
    tab.page.locator("#label").select_option("7")  # as it is
    assert "digit" not in tab.settle().ask("location.hash")


def test_a_link_followed_within_the_page_is_shown(tab: Tab) -> None:
    tab.go("#test=17")
    tab.ask("location.hash = '#test=18&epoch=3&unit=2.4&digit=6&lang=ja'")
    tab.wait("now.row === 18").settle()
    assert tab.text("#epoch-shown") == "エポック 3"
    assert tab.text("#unit-title") == "第 2 層のユニット 4 の和、一項ずつ"
    assert tab.page.locator("#label").input_value() == "6"
    tab.ask("location.hash = '#test=18&epoch=13&lang=en'")  # of no snapshot: the nearest
    tab.wait("language === 'en'")
    assert tab.text("#epoch-shown") == "epoch 12"


def test_a_chosen_unit_shows_its_sum_and_its_gradient_term_by_term(tab: Tab, first: Shown, digits: Dataset) -> None:
    params, x, y = first.content.model.params, digits.x_test[2], digits.y_test[2]
    trace = forward_trace(params, x)
    _, gradient = automatic_gradient()(params, x, y)
    for layer, unit in ((1, 7), (2, 3)):
        tab.go("#test=2").page.click(f".unit[data-layer='{layer}'][data-unit='{unit}']")
        tab.settle()
        w, b = (np.asarray(leaf)[unit] for leaf in params[layer - 1])
        dw, db = (np.asarray(leaf)[unit] for leaf in gradient[layer - 1])
        h, g = np.asarray(trace.activations[layer - 1]), float(trace.pre_activations[layer - 1][unit])
        rows = read_table(tab, "#terms")
        np.testing.assert_allclose(
            [row[1:] for row in rows[:-1]], np.stack([h, w, w * h, np.cumsum(w * h)], 1), atol=5.1e-4
        )
        np.testing.assert_allclose(rows[-1][3:], [b, g], atol=5.1e-4)
        rows = read_table(tab, "#gradients")
        np.testing.assert_allclose([row[1] for row in rows[:-1]], h, atol=5.1e-4)
        for row, p, derivative in zip(rows, [*w, b], [*dw, db], strict=True):
            np.testing.assert_allclose(row[2:4], derivative, rtol=0.06, atol=1e-9)
            np.testing.assert_allclose(row[4:], [p, p - 0.2 * derivative], atol=5.1e-6)
        assert tab.page.locator(".unit[aria-pressed='true']").get_attribute("data-unit") == str(unit)
        assert f"unit={layer}.{unit}" in tab.ask("location.hash")
        assert tab.page.locator("#unit").evaluate("(panel) => panel.parentNode.dataset.layer") == str(layer)


def read_table(tab: Tab, selector: str) -> list[list[float]]:
    """A table's numbers, NaN for what is none."""
    found = tab.page.locator(f"{selector} tbody tr").evaluate_all(
        "(rows) => rows.map((r) => [...r.cells].map((c) => c.innerText))"
    )
    return [
        [float(text.replace("−", "-")) if re.fullmatch(r"[−\d.e]+", text) else np.nan for text in row] for row in found
    ]


def test_deltas_and_both_gradients_are_shown_and_agree(tab: Tab, first: Shown, digits: Dataset) -> None:
    tab.go("#test=2&digit=5")  # not what the label says
    params, x, y = first.content.model.params, digits.x_test[2], np.eye(10)[5]
    deltas = automatic_deltas(params, x, y)
    loss, gradient = automatic_gradient()(params, x, y)
    assert float(tab.data("#loss", "loss")) == pytest.approx(float(loss), abs=1e-12)
    assert tab.text("#loss") == f"Loss: {float(loss):.6f}"
    for layer, expected in enumerate(deltas, 1):
        place = f"#deltas > [data-layer='{layer}']"
        found = tab.page.locator(f"{place} li").evaluate_all("(all) => all.map((item) => +item.dataset.delta)")
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
        assert 0 < float(tab.data(place, "difference")) < 1e-8
        own, theirs = (
            numbers(tab, f"({each}).flatMap(({{W, b}}) => [W, b])")
            for each in (f"[now.back.gradient[{layer - 1}]]", f"[back.numerical[{layer - 1}]]")
        )
        assert float(tab.data(place, "difference")) == np.max(np.abs(own - theirs))
        largest = max(float(np.max(np.abs(leaf))) for leaf in gradient[layer - 1])
        assert re.fullmatch(r"Largest difference: \d\.\de−\d+; largest gradient: ([\d.]+)", tab.text(f"{place} .agree"))
        assert float(tab.text(f"{place} .agree").split()[-1]) == pytest.approx(largest, rel=6e-3)
        for name in ("byHand", "numerical"):
            cells = colours(tab, f"{place} .{name}")
            assert cells.shape[:2] == gradient[layer - 1].weights.shape
            weights = np.asarray(gradient[layer - 1].weights)
            np.testing.assert_allclose(cells, mixed_colours(weights, np.max(np.abs(weights))), atol=1.01)


def colours(tab: Tab, selector: str) -> NDArray[Any]:
    """The colours of a picture's cells, ``[rows, columns, 3]``."""
    found = tab.page.locator(selector).evaluate(
        "(c) => [c.height, c.width, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]"
    )
    return np.reshape(found[2], (*found[:2], 4))[..., :3].astype(float)


def mixed_colours(values: NDArray[Any], largest: float) -> NDArray[Any]:
    """Blue for negative, orange for positive, white for zero, as on a light page."""
    full = np.where(values[..., None] < 0, [0x00, 0x72, 0xB2], [0xD5, 0x5E, 0x00])
    return 255 + np.abs(values[..., None]) / largest * (full - 255)


def test_pictures_show_the_weights_and_the_input(tab: Tab, first: Shown, digits: Dataset) -> None:
    tab.go("#test=17&unit=1.4")
    w = np.asarray(first.content.model.params[0].weights)
    cells = colours(tab, ".unit[data-layer='1'][data-unit='4'] canvas")
    np.testing.assert_allclose(cells, mixed_colours(w[4].reshape(8, 8), np.max(np.abs(w))), atol=1.01)
    last = np.asarray(first.content.model.params[1].weights)
    cells = colours(tab, ".unit[data-layer='2'][data-unit='9'] canvas")
    np.testing.assert_allclose(cells, mixed_colours(last[9].reshape(2, 10), np.max(np.abs(last))), atol=1.01)
    x = np.asarray(digits.x_test[17])
    cells = colours(tab, "#layers > [data-layer='0'] canvas")
    np.testing.assert_allclose(cells, mixed_colours(x.reshape(8, 8), max(2, np.max(np.abs(x)))), atol=1.01)
    cells = colours(tab, "#unit-p")
    np.testing.assert_allclose(cells, mixed_colours((w[4] * x).reshape(8, 8), np.max(np.abs(w[4] * x))), atol=1.01)


def test_a_layer_of_two_units_is_a_plane_through_which_the_digit_moves(
    browser: Any, third: Shown, digits: Dataset
) -> None:
    with opened(browser, third.path, "#test=17") as tab:
        g = np.asarray(forward_trace(third.content.model.params, digits.x_train).pre_activations[2])
        np.testing.assert_allclose(tab.ask("look.planes[3].range"), np.stack([g.min(0), g.max(0)], 1), atol=1e-12)
        seen = list[list[int]]()
        for row in (17, 18):
            tab.page.locator("#row").select_option(str(row))
            own = np.asarray(forward_trace(third.content.model.params, digits.x_test[row]).pre_activations[2])
            across, up = 0.04 + 0.92 * np.clip((own - g.min(0)) / (g.max(0) - g.min(0)), -0.02, 1.02)
            size = tab.ask("look.planes[3].canvas.width")
            seen.append([round(across * size), round((1 - up) * size)])
            pixel = "([x, y]) => [...look.planes[3].canvas.getContext('2d').getImageData(x, y, 1, 1).data]"
            assert tab.ask(pixel, seen[-1]) == [0x1B, 0x1D, 0x21, 255]
        assert seen[0] != seen[1]
        assert tab.ask(pixel, seen[0]) != [0x1B, 0x1D, 0x21, 255]  # it has gone from there


def test_an_update_changes_weights_and_loss_as_the_lecture_has_it_and_can_be_taken_back(
    tab: Tab, first: Shown, digits: Dataset
) -> None:
    tab.go("#test=2")
    params, x, y = first.content.model.params, digits.x_test[2], digits.y_test[2]
    tab.page.fill("#eta", "0.1")
    losses = list[float]()
    for number in (1, 2):
        loss, gradient = automatic_gradient()(params, x, y)
        params = jax.tree.map(lambda p, d: p - 0.1 * d, params, gradient)
        losses = [float(loss), float(automatic_gradient()(params, x, y)[0])]
        tab.page.click("#update")
        tab.settle()
        assert tab.text("#updated") == f"Update {number}: loss {losses[0]:.6f} before, {losses[1]:.6f} after."
    np.testing.assert_allclose(numbers(tab, PARAMS), flat(params), rtol=0, atol=1e-12)
    assert tab.text("#epoch-shown") == "epoch 100, and updates of yours: 2"
    share = accuracy(forward(params, digits.x_test), digits.labels_test)
    assert float(tab.data("#accuracies", "test")) == pytest.approx(float(share), abs=1e-12)
    w = np.asarray(params[0].weights)
    cells = colours(tab, ".unit[data-layer='1'][data-unit='4'] canvas")
    np.testing.assert_allclose(cells, mixed_colours(w[4].reshape(8, 8), np.max(np.abs(w))), atol=1.01)
    tab.page.click("#reset")
    tab.settle()
    np.testing.assert_array_equal(numbers(tab, PARAMS), flat(first.content.model.params))
    assert tab.page.locator("#reset").is_disabled()
    assert tab.text("#updated").startswith("No update yet")


def test_an_update_after_which_the_loss_is_not_finite_is_not_made(tab: Tab, first: Shown) -> None:
    tab.go("#test=2").page.fill("#eta", "1e308")
    tab.page.click("#update")
    assert tab.text("#updated") == "The loss would no longer be finite: this update is not made."
    np.testing.assert_array_equal(numbers(tab, PARAMS), flat(first.content.model.params))
    assert tab.page.locator("#reset").is_disabled()


@pytest.mark.parametrize("rate", ["-1", "", "1e999"])
def test_a_learning_rate_that_is_none_is_told_and_makes_no_update(rate: str, tab: Tab) -> None:
    tab.go().page.fill("#eta", rate)
    assert tab.page.locator("#update").is_disabled()
    assert tab.text("#updated").startswith("The learning rate is “")
    assert tab.page.locator("#eta").get_attribute("aria-invalid") == "true"
    tab.page.fill("#eta", "0.5")
    assert tab.page.locator("#update").is_enabled()


def test_the_rows_to_choose_from_are_the_mistakes_first_those_of_the_present_weights(
    tab: Tab, first: Shown, digits: Dataset
) -> None:
    for link, params in (("", first.content.model.params), ("#epoch=1", float64(first.content.snapshots[1]))):
        tab.go(link)
        taken, labels = np.argmax(forward(params, digits.x_test), axis=1), np.asarray(digits.labels_test)
        wrong = np.flatnonzero(np.asarray(taken) != labels)
        groups = tab.page.locator("#row optgroup").evaluate_all(
            "(all) => all.map((g) => [g.label, [...g.children].map((o) => o.text)])"
        )
        assert groups[0][0] == f"mistakes ({len(wrong)})"
        assert groups[0][1] == [f"row {row}: a {labels[row]}, taken for {taken[row]}" for row in wrong]
        assert len(groups[1][1]) == 300 - len(wrong)


def test_all_of_the_page_is_said_in_japanese_too(browser: Any, first: Shown, third: Shown) -> None:
    for shown in (first, third):
        with opened(browser, shown.path, locale="ja-JP") as tab:
            assert tab.ask("document.documentElement.lang") == "ja"
            shape = "(words) => Object.entries(words).map(([name, of]) => [name, typeof of, of.call ? of.length : 0])"
            assert tab.ask(f"({shape})(WORDS.ja)") == tab.ask(f"({shape})(WORDS.en)")
            said = tab.ask("document.body.innerText")
            names = [
                "English",
                "sigmoid",
                "softmax",
                *["Backspace", "float64"],
                *dict(first.content.details),
                "automatic",
                "lecture",
            ]
            latin = r"[A-Za-z_]{3,}"
            left = {*re.findall(latin, said)} - {*re.findall(latin, " ".join(names))}
            assert left == set()
            labels = tab.ask("[...document.querySelectorAll('[aria-label]')].map((each) => each.ariaLabel)")
            assert all(re.search(r"[ぁ-んァ-ン一-龥]", label) for label in labels)
            tab.page.click("[data-language='en']")
            assert not re.search(r"[ぁ-んァ-ン一-龥]", tab.ask("document.body.innerText").replace("日本語", ""))
            assert tab.ask("document.documentElement.lang") == "en"
            assert tab.page.locator("[aria-pressed='true'][data-language]").inner_text() == "English"


@pytest.mark.parametrize(("name", "scheme", "width", "language"), [
    ("first", "light", 1280, "en"), ("first", "dark", 360, "ja"), ("third", "dark", 1280, "en"),
    ("third", "light", 360, "ja"),
])  # fmt: skip
def test_wcag_aa_holds_as_far_as_axe_sees(
    name: str, scheme: str, width: int, language: str, browser: Any, request: pytest.FixtureRequest
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    levels = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    context: Any = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    path = request.getfixturevalue(name).path
    with opened(browser, path, f"#test=17&lang={language}", **context) as tab:
        found = Axe().run(tab.page, options={"runOnly": levels}).response
        assert [each["id"] for each in found["violations"]] == []
        assert {"color-contrast", "target-size", "label"} <= {each["id"] for each in found["passes"]}


def test_nothing_is_wider_than_the_screen(browser: Any, first: Shown, third: Shown, mixed: Shown) -> None:
    for shown, width, language in itertools.product((first, third, mixed), (360, 700, 1280), ("en", "ja")):
        with opened(browser, shown.path, f"#lang={language}", viewport={"width": width, "height": 800}) as tab:
            assert tab.ask("document.documentElement.scrollWidth") == width


def test_numbers_on_grey_keep_a_contrast_of_four_and_a_half(browser: Any, first: Shown) -> None:
    for scheme in ("light", "dark"):
        with opened(browser, first.path, color_scheme=scheme) as tab:
            tab.ask("now.counts = Float64Array.from({length: 64}, (_, k) => k % 17); showCounts()")
            pairs = tab.page.locator("#counts span").evaluate_all(
                "(all) => all.map((cell) => [getComputedStyle(cell).color, getComputedStyle(cell).backgroundColor])"
            )
            for pair in pairs:
                light, dark = sorted((luminance(text) for text in pair), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5


def luminance(colour: str) -> float:
    """WCAG's relative luminance of ``rgb(r, g, b)``."""
    parts = [float(part) / 255 for part in re.findall(r"[\d.]+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_page_turns_dark_with_the_system(tab: Tab) -> None:
    tab.go("#test=17")
    corner = "() => [...find('pixels').getContext('2d').getImageData(5, 5, 1, 1).data]"
    assert tab.ask(corner)[:3] == [255, 255, 255]
    tab.page.emulate_media(color_scheme="dark")
    tab.wait("palette.zero[0] === 0x14").settle()
    assert tab.ask(corner)[:3] == [0x14, 0x16, 0x1A]
    assert luminance(tab.ask("getComputedStyle(document.body).backgroundColor")) < 0.02
    tab.page.emulate_media(color_scheme="light")


MARKUP = (
    "<img src=x onerror='window.hacked=1'></script><script>window.hacked=1</script>"
    "<!--<svg onload=alert(1)>\"'&lt;\u2028"
)


def test_whatever_a_model_file_says_is_text(browser: Any, folder: Path) -> None:
    details = {f"name {MARKUP}": MARKUP, "hidden": [MARKUP], "learning_rate": MARKUP, "epochs": MARKUP, "data": None,
               "test_accuracy": MARKUP, "__proto__": MARKUP, "long": "x" * 10_000,
               "javascript:alert(1)": {MARKUP: MARKUP}}  # fmt: skip
    prepared = PREPARATION
    model = Model(random_params(1, (64, 3, 10)), "tanh", np.arange(10), details, preparation=prepared)
    path = folder / "<b onclick=alert(1)>&amp;'\".safetensors"
    save(path, model)
    shown = written(actions.page.run(str(path)), folder / "hostile.html")
    with opened(browser, shown.path) as tab:
        said = [row.split("\t") for row in tab.text("#details").split("\n") if row]
        assert ["file", path.name] in said
        texts = tab.page.locator("#details td").evaluate_all("(all) => all.map((cell) => cell.textContent)")
        assert {f"name {MARKUP}", MARKUP, json.dumps([MARKUP]), "__proto__", "x" * 300 + " ..."} <= set(texts)
        assert tab.ask("window.hacked") is None
        assert tab.page.locator("#details *").evaluate_all("(all) => [...new Set(all.map((e) => e.tagName))]") == [
            "TBODY",
            "TR",
            "TD",
        ]
        assert tab.page.locator("script").count() == len(SCRIPTS) + 1  # and the data
        assert tab.page.locator("#eta").input_value() == "0.2"


def test_the_policy_lets_no_other_code_run_and_nothing_be_asked_for(browser: Any, first: Shown) -> None:
    made = browser.new_context()
    tab = Tab(made.new_page(), first.path).go()
    assert tab.wrong == []
    refused = """async () => {
        const tried = {
            markup: () => { document.body.innerHTML = "<p>"; },
            script: () => document.body.append(Object.assign(document.createElement("script"), {text: "hacked = 1"})),
            evaluated: () => new Promise((_, failed) => setTimeout(() => { try { eval("1"); } catch { failed(); } })),
            fetched: () => fetch("https://127.0.0.1:9/"),
            picture: () => new Promise((done, failed) => {
                Object.assign(new Image(), { onload: done, onerror: failed, src: "file:///x.png" });
            }),
        };
        const told = [];
        for (const [name, act] of Object.entries(tried)) await Promise.resolve().then(act).catch(() => told.push(name));
        return told;
    }"""
    assert tab.ask(refused) == ["markup", "script", "evaluated", "fetched", "picture"]
    assert tab.ask("window.hacked") is None
    assert not [line for line in tab.wrong if line.startswith("request: http")]
    made.close()


def test_a_model_file_of_one_moment_says_so_and_has_no_slider(browser: Any, mixed: Shown) -> None:
    with opened(browser, mixed.path) as tab:
        assert tab.page.locator("#slider").is_hidden()
        assert tab.text("#time-help").startswith("A model file holds the weights of one moment alone.")
        assert tab.page.locator(".curves svg:visible").count() == 0
        assert tab.page.locator("#eta").input_value() == "0.05"
        assert "tanh, relu, identity, sigmoid in the hidden layers" in tab.text("#network")
        assert tab.ask("Object.keys(look.planes)") == ["2"]
        tab.page.locator("#row").select_option("17")
        assert "test=17" in tab.settle().ask("location.hash")
        assert "epoch" not in tab.ask("location.hash")


def test_bars_are_as_long_as_h_and_blue_where_it_is_negative(browser: Any, mixed: Shown) -> None:
    with opened(browser, mixed.path, "#test=17") as tab:
        bars = tab.page.locator(".unit").evaluate_all(
            """(all) => all.map(({dataset, lastChild}) => {
                const { transform, backgroundColor } = getComputedStyle(lastChild);
                return [+dataset.layer, +dataset.h, new DOMMatrix(transform).a, backgroundColor];
            })"""
        )
        for layer in range(1, 6):
            own = [bar[1:] for bar in bars if bar[0] == layer]
            largest = max(1, *(abs(h) for h, *_ in own))
            for h, length, colour in own:
                assert length == pytest.approx(abs(h) / largest, abs=1e-5)
                assert colour == ("rgb(0, 114, 178)" if h < 0 else "rgb(213, 94, 0)")
        assert min(bar[1] for bar in bars) < 0
        assert max(bar[1] for bar in bars) > 1
        shares = tab.page.locator("#probabilities li").evaluate_all(
            "(all) => all.map((li) => [+li.dataset.probability, "
            "new DOMMatrix(getComputedStyle(li.children[1].firstChild).transform).a, li.className])"
        )
        for probability, length, name in shares:
            assert length == pytest.approx(probability, abs=1e-5)
            assert name == ("largest" if probability == max(each[0] for each in shares) else "")


def test_softmax_regression_has_a_page_too(browser: Any, folder: Path) -> None:
    # A constant pixel's deviation is 0 in a table of one's own.
    preparation = dataclasses.replace(PREPARATION, scale=np.where(PREPARATION.scale < 1e-6, 0, PREPARATION.scale))
    assert not np.all(preparation.scale)
    zeros = as_params([(np.zeros((10, 64)), np.zeros(10))])
    save(folder / "flat.safetensors", Model(zeros, preparation=preparation))
    with opened(browser, written(actions.page.run(str(folder / "flat.safetensors")), folder / "flat.html").path) as tab:
        assert tab.text("#network") == "64-10: 1 layer, 650 weights and biases, softmax at the end."
        assert tab.page.locator(".unit").count() == 10
        assert np.all(colours(tab, ".unit[data-unit='3'] canvas") == 255)
        assert probabilities_shown(tab) == ["0.100000"] * 10
        expected = preparation.inputs(load_images()[0][:300].reshape(300, 64))
        np.testing.assert_array_equal(numbers(tab, f"{ROWS}.map(inputOf)"), expected.ravel())


def test_what_is_computed_in_slices_is_of_the_digit_and_the_weights_now_shown(
    browser: Any, folder: Path, digits: Dataset
) -> None:
    # Large enough for many slices, which go on when another digit is there already.
    params = random_params(5, (64, 100, 60, 10))
    save(folder / "slices.safetensors", Model(params, preparation=PREPARATION))
    with opened(
        browser, written(actions.page.run(str(folder / "slices.safetensors")), folder / "slices.html").path
    ) as tab:
        tab.ask("""() => {
            window.seen = { differences: [], taken: [] };
            const [agreement, accuracies] = [showAgreement, showAccuracies];
            showAgreement = (...given) => {
                agreement(...given);
                const layers = [...document.querySelectorAll("#deltas > .layer")];
                if (back.numerical) seen.differences.push(...layers.map(({ dataset }) => +dataset.difference));
            };
            showAccuracies = () => {
                accuracies();
                seen.taken.push(time.taken.slice(0, 300));
            };
            chooseRow(3);
            chooseRow(4);
            find("update").click();
            find("update").click();
            chooseRow(5);
        }""")
        tab.settle().page.wait_for_timeout(500)
        seen = tab.ask("seen")
        assert len(seen["differences"]) == 3
        assert max(seen["differences"]) < 1e-7
        for _ in range(2):
            _, gradient = automatic_gradient()(params, digits.x_test[4], digits.y_test[4])
            params = jax.tree.map(lambda p, d: p - 0.2 * d, params, gradient)
        assert seen["taken"] == [np.argmax(forward(params, digits.x_test), axis=1).tolist()]


def test_a_large_network_leaves_most_central_differences_out_and_stays_quick(browser: Any, folder: Path) -> None:
    random, sizes = np.random.default_rng(0), (64, 300, 200, 10)
    layers = [(random.normal(0, n**-0.5, (m, n)), np.zeros(m)) for n, m in itertools.pairwise(sizes)]
    save(folder / "large.safetensors", Model(as_params(layers), "relu", preparation=PREPARATION))
    shown = written(actions.page.run(str(folder / "large.safetensors")), folder / "large.html")
    with opened(browser, shown.path) as tab:
        assert "Central differences of all 81710 weights and biases would take too long" in tab.text("#deltas")
        assert tab.page.locator(".numerical:visible").count() == 0
        rows = read_table(tab, "#gradients")
        np.testing.assert_allclose([row[3] for row in rows], [row[2] for row in rows], rtol=0.06, atol=1e-8)
