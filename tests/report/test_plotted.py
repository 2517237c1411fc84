import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hidden_structure.frame import tables
from hidden_structure.report import plotting
from hidden_structure.report.plotted import data_of


@pytest.fixture
def axes() -> Axes:
    return plotting.new_figure(plotting.PAGE, 3).subplots()


def rows_of(axes: Axes) -> list[dict]:
    assert isinstance(axes.figure, Figure)
    return data_of(axes.figure)


def test_a_line_gives_its_points_under_its_name_and_panel(axes: Axes):
    axes.plot([0, 1, 2], [0.5, np.nan, 2], label="coarse")
    axes.plot([0], [3], label="_no name")
    axes.set_title("error")
    assert rows_of(axes) == [
        {"panel": "(a) error", "series": "coarse", "x": 0.0, "y": 0.5},
        {"panel": "(a) error", "series": "coarse", "x": 2.0, "y": 2.0},
        {"panel": "(a) error", "series": "", "x": 0.0, "y": 3.0},
    ]


def test_a_band_gives_low_and_high_to_the_line_of_its_colour(axes: Axes):
    x = np.array([1.0, 2.0, 4.0])
    for colour, mean in (("#0072B2", np.array([1.0, 2.0, 3.0])), ("#D55E00", np.array([1.2, 2.1, 2.9]))):
        axes.fill_between(x, mean - 1, mean + 2, color=colour, alpha=0.2, linewidth=0)
    axes.plot(x, [1.2, 2.1, 2.9], color="#D55E00", label="second")
    axes.plot(x, [1.0, 2.0, 3.0], color="#0072B2", label="first")
    found = {series: [row for row in rows_of(axes) if row["series"] == series] for series in ("first", "second")}
    assert len(rows_of(axes)) == 6
    assert [row["low"] for row in found["first"]] == [0, 1, 2]
    assert [row["high"] for row in found["first"]] == [3, 4, 5]
    assert [round(row["low"], 6) for row in found["second"]] == [0.2, 1.1, 1.9]


def test_a_band_of_no_line_has_rows_of_its_own(axes: Axes):
    axes.plot([0, 1], [9, 9])
    axes.fill_between([0, 1], [1, 2], [3, 4], label="published")
    own = [row for row in rows_of(axes) if row["series"] == "published"]
    assert [(row["x"], row["y"], row["low"], row["high"]) for row in own] == [(0, None, 1, 3), (1, None, 2, 4)]


def test_a_band_with_a_gap_stays_two_pieces(axes: Axes):
    x, low = np.arange(6.0), np.array([0, 1, np.nan, 3, 4, 5])
    axes.fill_between(x, low, low + 1)
    assert [(row["x"], row["low"], row["high"]) for row in rows_of(axes)] == [
        (x, x, x + 1) for x in (0.0, 1.0, 3.0, 4.0, 5.0)
    ]


def test_error_bars_are_around_their_points_even_where_points_share_a_place(axes: Axes):
    axes.errorbar([1, 1, np.nan], [2, 5, 6], yerr=[[0.5, 1, 1], [1, 2, 1]], xerr=0.25, label="seeds", capsize=2)
    assert [tuple(row.values())[1:] for row in rows_of(axes)] == [
        ("seeds", 1, 2, 1.5, 3, 0.75, 1.25),
        ("seeds", 1, 5, 4, 7, 0.75, 1.25),
    ]


def test_error_bars_without_marks_keep_their_place(axes: Axes):
    axes.errorbar([1, 2], [3, 4], yerr=[0.5, 1], fmt="none")
    assert [(row["x"], row["low"], row["high"]) for row in rows_of(axes)] == [(1, 2.5, 3.5), (2, 3, 5)]


def test_bars_give_their_ends_and_the_words_of_their_places(axes: Axes):
    axes.barh([0, 1], [0.5, 0.75], xerr=[0.25, 0.125], label="accuracy")
    axes.set_yticks([0, 1], ["k-means", "pixels"])
    assert rows_of(axes) == [
        {"panel": "(a)", "series": "accuracy", "x": 0.5, "y": 0, "x_low": 0.25, "x_high": 0.75, "y_name": "k-means"},
        {"panel": "(a)", "series": "accuracy", "x": 0.75, "y": 1, "x_low": 0.625, "x_high": 0.875, "y_name": "pixels"},
    ]
    other = plotting.new_figure(3, 3).subplots()
    other.bar([2, 3], [1, -1])
    assert [(row["x"], row["y"]) for row in rows_of(other)] == [(2, 1), (3, -1)]


def test_points_beside_a_named_place_are_of_it(axes: Axes):
    axes.plot([-0.2, 1.3, 2], [1, 1, 1], "o")
    axes.set_xticks([0, 1, 2], ["alone", "KD", "LELP"])
    assert [row["x_name"] for row in rows_of(axes)] == ["alone", "KD", "LELP"]


def test_numbers_on_an_axis_name_nothing(axes: Axes):
    axes.plot([1, 10, 100], [-1, 0, 1])
    axes.set_xscale("log")
    axes.set_yticks([-1, 0, 1], ["\N{MINUS SIGN}1", "0", "100 %"])
    axes.figure.draw_without_rendering()
    assert {*rows_of(axes)[0]} == {"panel", "x", "y"}


def test_numbers_that_are_not_their_places_name_them(axes: Axes):
    axes.plot([0, 1, 2], [0, 1, 2], "o")
    for names in (["0", "5", "1"], ["0", "100", "200"]):
        axes.set_xticks([0, 1, 2], names)
        assert [row["x_name"] for row in rows_of(axes)] == names


def test_scattered_points_give_what_their_colour_stands_for(axes: Axes):
    axes.scatter([1, 2], [3, 4], c=[0.1, 0.9], label="samples")
    axes.scatter([5], [6], color="black")
    assert [(row["x"], row["y"], row["value"]) for row in rows_of(axes)] == [(1, 3, 0.1), (2, 4, 0.9), (5, 6, None)]


@pytest.mark.parametrize("origin", ["upper", "lower"])
def test_an_image_gives_every_cell_at_its_place(axes: Axes, origin: str):
    axes.imshow([[1, 2, 3], [4, np.nan, 6]], origin=origin)
    axes.set_xticks(range(3), ["cat", "dog", "ship"])
    cells = {(row["x"], row["y"]): (row["value"], row["x_name"]) for row in rows_of(axes)}
    assert cells == {
        **{(0, 0): (1, "cat"), (1, 0): (2, "dog"), (2, 0): (3, "ship")},
        **{(0, 1): (4, "cat"), (2, 1): (6, "ship")},
    }


def test_a_mesh_and_its_colour_bar_are_one_panel(axes: Axes):
    mesh = axes.pcolormesh([0, 2, 4], [0, 1], [[7, 8]])
    axes.figure.colorbar(mesh)
    assert [(row["x"], row["y"], row["value"]) for row in rows_of(axes)] == [(1, 0.5, 7), (3, 0.5, 8)]
    other = plotting.new_figure(3, 3).subplots()
    other.pcolormesh([0, 2], [0, 1], [[1, 2], [3, 4]], shading="gouraud")
    assert [(row["x"], row["y"], row["value"]) for row in rows_of(other)] == [
        (0, 0, 1),
        (2, 0, 2),
        (0, 1, 3),
        (2, 1, 4),
    ]


def test_contours_lie_where_they_are_drawn(axes: Axes):
    x, y = np.meshgrid(np.linspace(-1, 1, 41), np.linspace(-1, 1, 41))
    axes.contour(x, y, x**2 + y**2, levels=[0.25])
    rows = rows_of(axes)
    assert len(rows) > 20
    assert {row["value"] for row in rows} == {0.25}
    assert all(abs(row["x"] ** 2 + row["y"] ** 2 - 0.25) < 0.01 for row in rows)


def test_a_line_across_a_panel_is_one_number(axes: Axes):
    axes.plot([0, 10], [0, 10])
    axes.axhline(0.3, label="guess")
    axes.axvline(5)
    axes.plot([0, 1], [0.5, 0.5], transform=axes.transAxes)  # a frame, of no data
    assert [(row["series"], row["x"], row["y"]) for row in rows_of(axes)[2:]] == [("guess", None, 0.3), ("", 5, None)]


def test_steps_and_segments(axes: Axes):
    axes.stairs([3, 4], [0, 1, 3])
    axes.vlines([5], [1], [2])
    assert [(row["x"], row["y"]) for row in rows_of(axes)] == [(0.5, 3), (2, 4), (5, 1), (5, 2)]


def test_every_panel_tells_its_own_and_text_is_no_data():
    left, right, legend = plotting.new_figure(plotting.PAGE, 3).subplots(1, 3)
    left.plot([0], [1], label="a")
    right.plot([0], [2], label="a")
    right.set_ylabel("loss")
    right.annotate("here", (0, 2))
    legend.set_axis_off()
    legend.legend(*left.get_legend_handles_labels())
    plotting.add_letters(left.figure)
    assert [(row["panel"], row["y"]) for row in data_of(left.figure)] == [("(a)", 1), ("(b) loss", 2)]


def test_the_rows_are_a_table(axes: Axes, tmp_path):
    axes.errorbar([0, 1], [2, 3], yerr=1, label='a "quoted", name')
    axes.imshow(np.ones((2, 2)))
    tables.write(tmp_path / "figure.csv", rows_of(axes))
    back = tables.read(tmp_path / "figure.csv")
    assert len(back) == 6
    assert back[0]["series"] == 'a "quoted", name'


def test_hidden_artists_and_empty_figures_have_no_rows(axes: Axes):
    axes.plot([1], [2])[0].set_visible(False)
    axes.plot([], [], label="of the legend alone")
    assert rows_of(axes) == []
    assert data_of(plotting.new_figure(3, 3)) == []
