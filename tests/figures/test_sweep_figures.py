"""A sweep's figures: the numbers that are drawn are those of the configurations, each at its own place."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from jaxmlp import figures
from jaxmlp.sweep.findings.choosing import Configuration, Interval


def configuration(hidden: str, rate: float, accuracy: float, momentum: float | None = None) -> Configuration:
    values = {"hidden": hidden, "learning_rate": rate, "momentum": momentum}
    return Configuration(values, [], 1, Interval(9, 8, 10), Interval(accuracy, accuracy - 0.1, accuracy + 0.05))


# The best first. (8, 0.1) is there twice: its second is not to be drawn, though its accuracy is higher.
FOUND = [
    configuration("8", 0.1, 0.5),
    configuration("20,10", 1.0, 0.75),
    configuration("8", 1.0, 0.25),
    configuration("8", 0.1, 0.9, 0.5),
]


def texts(figure: Figure) -> dict[tuple[float, float], str]:
    """What is written inside the axes, by place."""
    return {
        (round(text.get_position()[0], 2), text.get_position()[1]): text.get_text() for text in figure.axes[0].texts
    }


def test_lines_by_an_axis_show_the_best_of_each_pair_with_its_interval() -> None:
    axes: Any
    (axes,) = figures.by_axis(FOUND, "learning_rate", "hidden", "validation_accuracy", "title").axes
    drawn: dict[str, Any] = {str(line.get_label()): np.asarray(line.get_xydata()) for line in axes.lines}
    assert list(drawn) == ["8", "20,10"]
    np.testing.assert_allclose(drawn["8"], [[0.1, 50], [1, 25]])
    np.testing.assert_allclose(drawn["20,10"], [[1, 75]])
    band = axes.collections[0].get_paths()[0].vertices
    assert {(x, round(y, 9)) for x, y in np.asarray(band)} == {(0.1, 40), (0.1, 55), (1, 15), (1, 30)}
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.1", "1"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "learning rate",
        "validation accuracy (%), mean and 95 % interval",
    )
    assert len({line.get_color() for line in axes.lines}) == 2


def test_an_axis_is_logarithmic_where_its_values_are_far_apart() -> None:
    for rates, scale in (((0.1, 0.5), "linear"), ((0.1, 0.6), "log"), ((0.0, 5.0), "linear")):
        found = [configuration("8", rate, 0.5) for rate in rates]
        assert figures.by_axis(found, "learning_rate", "hidden", "loss", "").axes[0].get_xscale() == scale


def test_a_heatmap_has_the_best_of_each_pair_in_its_cell() -> None:
    figure = figures.heatmap(FOUND, "learning_rate", "hidden", "validation_accuracy", "title")
    axes: Any
    axes, bar = figure.axes
    np.testing.assert_allclose(np.ma.filled(axes.images[0].get_array(), np.nan), [[50, 25], [np.nan, 75]])
    assert texts(figure) == {(0, 0): "50.0", (1, 0): "25.0", (0, 1): "-", (1, 1): "75.0"}
    # Legible on its colour: black on the bright ones, above the middle of 50 %.
    assert {text.get_text(): text.get_color() for text in axes.texts} == {
        "50.0": "white", "25.0": "white", "-": "black", "75.0": "black",
    }  # fmt: skip
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.1", "1"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["8", "20,10"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("learning rate", "hidden")
    assert bar.get_ylabel() == "mean validation accuracy (%)"


SAME = [("3", 0.1, 0), ("3", 1.0, 2e-16), ("4", 0.1, 0), ("4", 1.0, 1e-15)]


def test_parallel_lines_of_one_accuracy_end_at_one_place() -> None:
    found = [configuration(hidden, rate, 0.9643 * (1 - bits)) for hidden, rate, bits in SAME]
    figure = figures.parallel_coordinates(found, ["hidden", "learning_rate"], "accuracy", "t")
    assert {np.asarray(line.get_ydata())[-1] for line in figure.axes[0].lines[:4]} == {0}
    assert [text for text in texts(figure).values() if "%" in text] == ["96.4 %"]


@pytest.mark.parametrize(
    ("share", "ends", "ink"), [(1.0, (99, 100), "black"), (0.5, (49, 51), "white"), (0.0, (0, 1), "white")]
)
def test_a_heatmap_of_one_accuracy_has_a_scale_around_it(share: float, ends: tuple[float, float], ink: str) -> None:
    # Of the same accuracies the means may differ in their last bits, by the order of the sum.
    found = [configuration(hidden, rate, share * (1 - bits)) for hidden, rate, bits in SAME]
    axes: Any = figures.heatmap(found, "learning_rate", "hidden", "accuracy", "t").axes[0]
    assert axes.images[0].get_clim() == ends
    assert {text.get_color() for text in axes.texts} == {ink}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_no_axis_of_accuracies_is_marked_under_0_or_over_100(share: float) -> None:
    ours, whole = np.full(4, share), Interval(0, -1, 1)
    axes: list[Any] = [
        figures.curves(ours, ours, ours, "").axes[1].yaxis,
        figures.twins(np.ones((4, 2)), ours, "").axes[1].xaxis,
        figures.difference({"a": ours, "b": ours}, whole, "").axes[0].xaxis,
    ]
    for axis in axes:
        low, high = axis.get_view_interval()
        places = [place for place in axis.get_majorticklocs() if low <= place <= high]
        assert len(places) >= 2
        assert min(places) >= 0
        assert max(places) <= 100


def test_intervals_may_reach_beyond_0_and_100_where_no_marks_are() -> None:
    found = [configuration("8", rate, share) for rate, share in ((0.1, 0.99), (0.2, 0.02))]
    axis: Any = figures.by_axis(found, "learning_rate", "hidden", "accuracy", "").axes[0].yaxis
    np.testing.assert_allclose(axis.get_view_interval(), [-13.6, 109.6])
    assert list(axis.get_majorticklocs()) == [0, 20, 40, 60, 80, 100]


def test_values_stand_in_a_readers_sequence() -> None:
    def ordered(values: set[Any]) -> list[str]:
        found = [configuration("8", 0.1, 0.5)._replace(values={"hidden": value, "down": 1}) for value in values]
        axes = figures.heatmap(found, "hidden", "down", "loss", "").axes[0]
        return [label.get_text() for label in axes.get_xticklabels()]

    assert ordered({"100", "20", "8,8", "8,4", "none"}) == ["none", "20", "100", "8,4", "8,8"]
    assert ordered({10, 9, 100}) == ["9", "10", "100"]
    assert ordered({0.5, None, 0.1}) == ["None", "0.1", "0.5"]
    assert figures.label(0.123456) == "0.123"


def test_curves_have_training_left_and_validation_right() -> None:
    curves = {"1: a": np.array([[0.5, 0.6], [0.3, 0.4]]), "2: b": np.array([[5.0, 6.0]])}
    left, right = figures.best_curves(curves, "title").axes
    for axes, name, column in ((left, "training", 0), (right, "validation", 1)):
        assert axes.get_ylabel() == f"{name} loss (cross entropy)"
        assert [line.get_label() for line in axes.lines] == list(curves)
        for line, rows in zip(axes.lines, curves.values(), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), np.arange(1, len(rows) + 1))
            np.testing.assert_array_equal(line.get_ydata(), rows[:, column])


def test_parallel_lines_end_at_their_accuracy_the_best_drawn_last() -> None:
    figure = figures.parallel_coordinates(FOUND[:3], ["hidden", "learning_rate"], "validation_accuracy", "title")
    lines = [np.asarray(line.get_ydata()) for line in figure.axes[0].lines[:3]]
    # From the last to the first: 25, 75 and 50 %, of which 25 is the lowest and 75 the highest.
    np.testing.assert_allclose([line[-1] for line in lines], [0, 1, 0.5])
    np.testing.assert_allclose([line[:2] for line in lines], [[0, 1], [1, 1], [0, 0]], atol=0.0121)
    colours = [to_hex(line.get_color()) for line in figure.axes[0].lines[:3]]
    assert colours == [to_hex(mpl.colormaps["viridis"](share)) for share in (0.0, 1.0, 0.5)]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [
        "hidden", "learning rate", "validation accuracy",
    ]  # fmt: skip
    shown = texts(figure)
    assert [shown[2.03, share] for share in (0, 0.5, 1)] == ["25.0 %", "50.0 %", "75.0 %"]
    assert (shown[-0.03, 0.0], shown[-0.03, 1.0], shown[0.97, 0.0]) == ("8", "20,10", "0.1")


def test_many_configurations_are_drawn_without_the_worst() -> None:
    found = [configuration("8", 0.1, 0.9), *[configuration("8", 0.1, 0.5)] * 399, configuration("8", 0.1, 0.1)]
    figure = figures.parallel_coordinates(found, ["hidden"], "loss", "")
    assert texts(figure)[1.03, 0] == "50.0 %"


def test_a_difference_is_the_second_network_minus_the_first() -> None:
    accuracies = {"a": [0.5, 0.25, 0.5], "b": [1.0, 0.25, 0.5]}
    figure = figures.difference(accuracies, Interval(8.25, -1.5, 18), "title")
    left: Any
    right: Any
    left, right = figure.axes
    assert right.get_xlabel() == "b minus a, same seed (points)"
    # Gaps of 50, 0 and 0 points; the least step between the accuracies is 25.
    gaps = [(patch.get_x() + patch.get_width() / 2, patch.get_height()) for patch in right.patches[:-1]]
    assert gaps == [(0, 2), (25, 0), (50, 1)]
    span = right.patches[-1].get_extents().transformed(right.transData.inverted())
    assert (span.x0, span.x1) == pytest.approx((-1.5, 18))
    zero, mean = right.lines
    assert (zero.get_xdata()[0], mean.get_xdata()[0]) == (0, 8.25)
    assert mean.get_label() == "mean +8.25 points, 95 % interval -1.50 .. +18.00"
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["a: mean 41.67 %", "b: mean 58.33 %"]
    assert [patch.get_height() for patch in left.patches] == [1, 2, 0, 0, 1, 1, 0, 1]


# Faults found by use.


def test_of_many_widths_the_best_are_drawn_the_chosen_one_among_them_and_the_legend_says_so() -> None:
    found = [configuration(str(40 - width), 0.1 * rate, 0.9 - width / 100) for width in range(11) for rate in (1, 2)]
    figure = figures.by_axis(found, "learning_rate", "hidden", "accuracy", "t")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [str(width) for width in range(33, 41)]
    assert legend.get_title().get_text() == "hidden, the best 8 of 11"
    assert len(figure.axes[0].lines) == 8


def test_random_draws_are_points_and_a_grid_has_lines() -> None:
    random = np.random.default_rng(0)
    drawn = [configuration(str(4 * (number % 4)), float(rate), 0.9) for number, rate in enumerate(random.random(40))]
    axes = figures.by_axis(drawn, "learning_rate", "hidden", "accuracy", "t").axes[0]
    assert not axes.lines
    clouds = [each for each in axes.collections if type(each).__name__ == "PathCollection"]
    assert sum(len(np.asarray(cloud.get_offsets())) for cloud in clouds) == 40
    momenta = [item._replace(values={**item.values, "hidden": "4", "momentum": rate})
               for item, rate in zip(drawn, random.random(40), strict=True)]  # fmt: skip
    assert not figures.by_axis(momenta, "learning_rate", "hidden", "accuracy", "t").axes[0].lines
    rates = [configuration("4", rate / 10, 0.9) for rate in range(1, 30)]  # one width at many rates is a curve
    assert len(figures.by_axis(rates, "learning_rate", "hidden", "accuracy", "t").axes[0].lines) == 1


def test_what_is_none_stands_apart_from_the_numbers() -> None:
    found = [configuration("4", 0.1, 0.9, momentum) for momentum in (None, 0.5, 0.9)]
    figure = figures.parallel_coordinates(found, ["momentum"], "accuracy", "t")
    heights = {text.get_text(): text.get_position()[1] for text in figure.axes[0].texts if text.get_position()[0] < 0}
    assert heights == {"0.5": 0, "0.9": 1, "none": -0.15}


def test_so_many_lines_are_told_as_are_drawn() -> None:
    found = [configuration(str(width), 0.1, 0.9) for width in range(1, 500)]
    figure = figures.parallel_coordinates(found, ["hidden"], "accuracy", "499 configurations")
    assert figure.get_suptitle() == "499 configurations; the best 400 are drawn"
    figure = figures.parallel_coordinates(found[:9], ["hidden"], "accuracy", "9 configurations")
    assert figure.get_suptitle() == "9 configurations"


@pytest.mark.parametrize("epochs", [1, 2, 5, 7])
def test_epochs_are_whole_numbers(epochs: int) -> None:
    figure = figures.best_curves({"a": np.linspace(1, 2, 2 * epochs).reshape(epochs, 2)}, "t")
    figure.draw_without_rendering()
    for axes in figure.axes:
        ticks = axes.get_xticks()
        assert len(ticks) >= 1
        assert np.all(ticks == np.round(ticks))


def test_without_validation_rows_there_is_no_empty_panel() -> None:
    rows = np.column_stack([[3.0, 2.0], [np.nan, np.nan]])
    (axes,) = figures.best_curves({"a": rows}, "t").axes
    assert axes.get_ylabel() == "training loss (cross entropy)"
    rows[1, 0] = np.inf  # left out
    np.testing.assert_array_equal(figures.best_curves({"a": rows}, "t").axes[0].lines[0].get_ydata(), [3, np.nan])


def test_configurations_without_a_finite_accuracy_draw_an_empty_figure() -> None:
    figure = figures.parallel_coordinates([configuration("4", 0.1, np.nan)], ["hidden"], "accuracy", "t")
    assert not [line for line in figure.axes[0].lines if len(np.asarray(line.get_xdata())) > 2]
    assert figure.get_suptitle() == "t; the best 0 are drawn"
