"""What the figures show: read off the drawn objects, nothing rendered."""

from typing import Any, cast

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from experiments.benchmarks.bars import bars
from jaxmlp import figures
from jaxmlp.figures import OKABE_ITO, PALETTES, Points, agreement
from jaxmlp.gradient_check import StepSweep
from jaxmlp.gradient_check.functions.report import GradientReport, Row, Tolerance

GREEN, ORANGE, GREY = OKABE_ITO[2].lower(), OKABE_ITO[1].lower(), "#999999"


def line(axes: Axes, number: int = 0) -> tuple[list[float], list[float]]:
    x, y = axes.lines[number].get_data()
    return list(np.asarray(x, float)), list(np.asarray(y, float))


def legend(axes: Axes) -> list[str]:
    found = axes.get_legend()
    assert found is not None
    return [text.get_text() for text in found.get_texts()]


def images(count: int) -> Any:
    return np.arange(count * 64.0).reshape(count, 8, 8) % 17


def title(figure: Figure) -> str:
    return figure.get_suptitle()


def test_digits_stand_in_fives_each_under_its_own_label() -> None:
    shown = figures.digits(images(10), np.arange(10) % 7).axes
    assert [axes.get_title() for axes in shown] == ["0", "1", "2", "3", "4", "5", "6", "0", "1", "2"]
    np.testing.assert_array_equal([axes.images[0].get_array() for axes in shown], images(10))
    assert {axes.images[0].get_clim() for axes in shown} == {(0, 16)}
    assert [cast(Any, axes).get_subplotspec().get_geometry() for axes in shown] == [(2, 5, n, n) for n in range(10)]


def test_a_mistake_shows_its_image_what_it_is_what_it_was_taken_for_and_each_share_in_percent() -> None:
    shares = np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    drawn = figures.mistakes(images(2), np.array([1, 2]), shares, "all")
    (one, bars), (two, others) = (drawn.axes[:2], drawn.axes[2:4])
    assert (title(drawn), one.get_title(), two.get_title()) == ("all", "1, taken for 2", "2, taken for 0")
    np.testing.assert_array_equal(two.images[0].get_array(), images(2)[1])
    for axes, heights, colours in (
        (bars, [10, 20, 70], [GREY, GREEN, ORANGE]),
        (others, [50, 30, 20], [ORANGE, GREY, GREEN]),
    ):
        patches = cast(Any, axes.patches)
        assert [patch.get_height() for patch in patches] == pytest.approx(heights)
        assert [to_hex(patch.get_facecolor()) for patch in patches] == colours


def test_of_more_than_40_mistakes_the_first_40_are_drawn_and_the_title_says_so() -> None:
    drawn = figures.mistakes(images(41), np.zeros(41, int), np.tile([0.0, 1.0], (41, 1)), "all")
    assert title(drawn) == "all; 40 of them are drawn"
    assert sum(bool(axes.images) for axes in drawn.axes) == 40


def test_curves_are_loss_and_accuracies_in_percent_from_epoch_1_each_under_its_name() -> None:
    left, right = figures.curves([2.0, 3.0], [0.75, 0.5], [0.625, 0.375], "t").axes  # the last is not the best
    assert line(left) == ([1, 2], [2, 3])
    assert (line(right, 0), line(right, 1)) == (([1, 2], [75, 50]), ([1, 2], [62.5, 37.5]))
    assert legend(right) == ["training (50.0 %)", "test (37.5 %)"]
    assert (left.get_ylabel(), right.get_ylabel(), right.get_xlabel()) == (
        "loss (cross entropy)",
        "accuracy (%)",
        "epoch",
    )
    assert left.get_ylim()[0] == 0


def test_the_confusion_matrix_has_true_rows_predicted_columns_and_shades_by_the_row() -> None:
    axes = figures.confusion(np.array([[6, 2], [0, 1]]), "t").axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted digit", "true digit")
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0.75, 0.25], [0, 1]])
    # (column, row): count, white on the dark cells. A zero is not written.
    cells = {text.get_position(): (text.get_text(), text.get_color()) for text in axes.texts}
    assert cells == {(0, 0): ("6", "white"), (1, 0): ("2", "black"), (1, 1): ("1", "white")}
    empty = figures.confusion(np.array([[0, 0], [0, 1]]), "t").axes[0]
    np.testing.assert_array_equal(empty.images[0].get_array(), [[0, 0], [0, 1]])


@pytest.mark.parametrize("palette", PALETTES)
def test_the_bottleneck_has_a_colour_a_digit_dots_for_training_crosses_for_test_and_names_at_the_median(
    palette: str,
) -> None:
    train = Points(np.array([[0.0, 1], [2, 3], [10, 5], [7, 8]]), np.array([1, 1, 1, 4]))
    test = Points(np.array([[-1.0, -2]]), np.array([4]))
    axes = figures.bottleneck(train, test, palette, "t").axes[0]
    collections = cast(Any, [each for each in axes.collections if np.size(each.get_offsets())])
    scattered = [(each.get_offsets().tolist(), to_hex(each.get_edgecolor()[0])) for each in collections]
    colours = [to_hex(colour) for colour in PALETTES[palette]]
    assert scattered == [
        ([[0, 1], [2, 3], [10, 5]], colours[1]), ([[7, 8]], colours[4]), ([[-1, -2]], colours[4]),
    ]  # fmt: skip
    # A dot is a small circle, of more vertices than the two strokes of a cross.
    assert [len(each.get_paths()[0].vertices) > 4 for each in collections] == [True, True, False]
    assert {text.get_text(): text.get_position() for text in axes.texts} == {"1": (2, 3), "4": (7, 8)}
    assert [text.get_bbox_patch() for text in axes.texts] == [None, None]  # nothing hides the points
    assert legend(axes) == [*map(str, range(10)), "training", "test"]
    assert len(set(colours)) == 10


def test_twins_show_the_spread_of_their_losses_and_how_many_end_at_each_accuracy() -> None:
    loss = np.array([[1.0, 2.0, 5.0], [1.0, 2.5, 4.0], [1.0, 2.25, 8.0]])
    left, right = figures.twins(loss, np.array([0.5, 0.75, 0.5]), "t").axes
    x, y = line(left)
    assert x == [1, 2, 3]
    np.testing.assert_array_equal(y, [np.nan, 0.5, 4])
    assert left.get_yscale() == "log"
    bars = cast(Any, right.patches)
    assert [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in bars] == [(50, 2), (75, 1)]
    assert line(right)[0] == [50, 50]
    assert legend(right) == ["median 50.0 %"]
    assert figures.twins(loss[:1], np.array([0.5]), "t").axes[0].get_yscale() == "linear"


def test_bars_stand_from_the_top_in_their_order_with_their_values_and_the_marked_ones_in_colour() -> None:
    panels = {
        "time": {"ours": 1234.5, "ours too": 99.9, "other": 0.012345},
        "memory": {"other": 2.0, "more": 40.0},
        "third": {"x": 1.0},
    }
    first, second, third = bars(panels, ["us", "MB", "-"], "t", "ours").axes
    drawn = cast(Any, first.patches)
    assert [bar.get_width() for bar in drawn] == [1234.5, 99.9, 0.012345]
    assert [to_hex(bar.get_facecolor()) for bar in drawn] == [ORANGE, ORANGE, OKABE_ITO[0].lower()]
    assert [text.get_text() for text in first.texts] == ["1,234", "99.9", "0.0123"]
    assert [text.get_text() for text in first.get_yticklabels()] == ["ours", "ours too", "other"]
    assert first.yaxis_inverted()
    assert first.get_xscale() == "log"
    assert (second.get_xscale(), second.get_xlim()) == ("linear", (0, 48))  # 20 times is no more than fits
    assert first.get_xlim() == pytest.approx((0.012345 / 3, 1234.5 * 8))
    assert [(axes.get_title(), axes.get_xlabel()) for axes in (first, second, third)] == [
        ("time", "us"), ("memory", "MB"), ("third", "-"),
    ]  # fmt: skip


def row(first: str, second: str, leaf: str, error: float) -> Row:
    return Row(
        first, second, leaf, (1,), "float64", 7.0, 7.0, error, 7, 1.0, (0,), (1.0, 1.0), 0, Tolerance(1), "agree", ""
    )


def test_the_gradient_figure_shows_each_pairs_error_by_leaf_each_sweep_and_the_drift() -> None:
    rows = row("a", "b", "w", 1e-3), row("a", "b", "v", 1e-4), row("a", "c", "w", 0.0), row("a", "b", "['loss']", 9.0)
    sweeps = {"s": StepSweep(np.array([0.1, 0.01]), (), np.array([1e-2, 1e-3]), np.array([0.02, 0.04]))}
    report = GradientReport((*rows, row("a", "params", "w", 5.0)), ())
    drawn = agreement(report, {"v": "V", "w": "W"}, sweeps, np.array([0.0, 1e-9]), "t")
    left, middle, right = drawn.axes
    assert legend(left) == ["a, b", "a, c"]
    assert [text.get_text() for text in left.get_xticklabels()] == ["V", "W"]
    pairs = {str(each.get_label()): np.asarray(each.get_data()).tolist() for each in left.lines}
    assert pairs["a, b"] == [pytest.approx([0.92, -0.08]), [1e-3, 1e-4]]
    assert pairs["a, c"] == [pytest.approx([1.08]), pytest.approx([1e-5])]  # no difference: a decade below the least
    assert "no difference" in [text.get_text() for text in left.texts]
    assert line(middle) == ([0.1, 0.01], [1e-2, 1e-3])
    assert (middle.get_xscale(), middle.get_yscale()) == ("log", "log")
    (plateau,) = cast(Any, middle.patches)
    assert plateau.get_x() == pytest.approx(0.02 / 1.5)
    assert plateau.get_x() + plateau.get_width() == pytest.approx(0.04 * 1.5)
    assert line(right) == ([1, 2], [0, 1e-9])
    assert right.get_yscale() == "log"
    still = agreement(report, {"w": "W"}, sweeps, np.zeros(2), "t").axes[2]
    assert [text.get_text() for text in still.texts] == ["the same bits after every epoch"]


def test_classes_have_their_own_names_and_colours_however_many() -> None:
    names = [f"species {number}" for number in range(23)]
    figure = figures.confusion(np.eye(23, dtype=int), "t", names)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert figure.get_suptitle() == "t"
    many = figures.confusion(np.eye(120, dtype=int), "t", [str(number) for number in range(120)]).axes[0]
    assert not many.texts
    assert [label.get_text() for label in many.get_xticklabels()][:3] == ["0", "3", "6"]
    points = Points(np.zeros((23, 2)), np.arange(23))
    axes = figures.bottleneck(points, points, "lecture", "t", names).axes[0]
    assert legend(axes) == [*names, "training", "test"]
    assert [text.get_text() for text in axes.texts] == [f"{name:.12}" for name in names]
