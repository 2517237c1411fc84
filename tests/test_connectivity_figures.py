import math
from pathlib import Path

import numpy as np
import pytest
import synthetic_results as synthetic
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.report.connectivity import figures as connectivity_figures
from hidden_structure.report.plotting import METHODS, save

STUDY = params.load(Path(__file__).parent.parent / "studies/digits.yaml")
MANY = synthetic.interpolate(synthetic.connected(STUDY))
FEW = synthetic.interpolate(
    synthetic.connected(STUDY, seeds=[0, 1], spawned=1, epochs=[0], widths=[], weight_decays=[])
)
ON_LINES = ["barrier_against_k", "along_the_line", "barrier_against_width"]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].texts]


def panels(figure: Figure) -> list[Axes]:
    assert all(axes.get_ylabel() or axes.get_xlabel() or axes.get_title() for axes in figure.axes)
    return figure.axes


@pytest.mark.parametrize("rows", [MANY, FEW], ids=["many", "one pair, one width"])
@pytest.mark.parametrize("name", ON_LINES)
def test_the_same_input_gives_the_same_bytes_without_a_warning(name: str, rows: list[dict], tmp_path: Path):
    drawn = [
        save(getattr(connectivity_figures, name)(rows), tmp_path / f"{run}.{suffix}")
        for suffix in ("png", "pdf")
        for run in range(2)
    ]
    assert drawn[0] == drawn[1]
    assert drawn[2] == drawn[3]


def test_all_that_a_study_has_is_drawn():
    assert set(connectivity_figures.draw(MANY, synthetic.plane())) == set(connectivity_figures.SECTION)
    assert set(connectivity_figures.draw(FEW, None)) == {"spawning", "lines"}


@pytest.mark.parametrize("rows", [MANY, FEW], ids=["many", "one pair, one width"])
def test_against_k_every_pair_is_a_dot_and_the_threshold_a_line(rows: list[dict]):
    figure = connectivity_figures.barrier_against_k(rows)
    left, right = panels(figure)
    assert ["error" in left.get_ylabel(), "loss" in right.get_ylabel()] == [True, True]
    epochs = sorted({row["k"] for row in rows if row["kind"] == "spawned"})
    spawned = [row for row in rows if row["kind"] == "spawned"]
    for axes, kind, quantity in ((left, "instability", "test_error"), (right, "barrier", "test_loss")):
        assert [label.get_text() for label in axes.get_xticklabels()] == [str(k) for k in epochs]
        dots = [value for line in axes.lines if line.get_linestyle() == "None" for value in line.get_ydata()]
        assert sorted(dots) == sorted(row[kind][quantity] for row in spawned)
    threshold = next(line for line in left.lines if "0.02" in str(line.get_label()))
    assert set(threshold.get_ydata()) == {0.02}
    assert legend(figure) == ["as merged, mean", "with REPAIR, mean", "stable below 0.02"]


@pytest.mark.parametrize("rows", [MANY, FEW], ids=["many", "one pair, one width"])
def test_along_the_line_every_method_is_one_line_in_every_panel(rows: list[dict]):
    figure = connectivity_figures.along_the_line(rows)
    latest = max(row["k"] for row in rows if row["kind"] == "spawned")
    names = [*METHODS.values(), f"spawned at k = {latest}"]
    assert legend(figure) == names
    grid = panels(figure)
    assert [axes.get_title() for axes in grid[:2]] == ["as merged", "with REPAIR"]
    assert ["entropy" in grid[0].get_ylabel(), "accuracy" in grid[2].get_ylabel()] == [True, True]
    assert all(r"\alpha" in axes.get_xlabel() for axes in grid[2:])
    for axes in grid:
        assert [line.get_label() for line in axes.lines] == names
    own = [
        row["test_accuracy"]
        for row in rows
        if (row["width"], row["weight_decay"], row["method"], row["repaired"])
        == (1, rows[0]["weight_decay"], "weights", True)
    ]
    assert grid[3].lines[1].get_ydata() == pytest.approx(np.mean(own, axis=0), abs=1e-5)


def test_losses_of_several_decades_share_one_logarithmic_axis():
    for factor, scale in ((1, "log"), (1e-3, "linear")):
        rows = [row | {"test_loss": [1 + factor * 100 * (loss - 0.1) for loss in row["test_loss"]]} for row in MANY]
        left, right = connectivity_figures.along_the_line(rows).axes[:2]
        assert left.get_yscale() == right.get_yscale() == scale
        assert left.get_ylim() == right.get_ylim()


def test_against_width_a_panel_a_weight_decay_and_two_lines_a_method():
    figure = connectivity_figures.barrier_against_width(MANY)
    assert [axes.get_title() for axes in panels(figure)] == [f"weight decay {decay}" for decay in ("0", "0.003")]
    assert figure.axes[0].get_ylabel() == "barrier in test error"
    for axes in figure.axes:
        assert axes.get_xscale() == "log"
        assert [label.get_text() for label in axes.get_xticklabels()] == ["1/4", "1", "4"]
        lines = [line for line in axes.lines if len(line.get_xdata()) == 3]
        assert [line.get_linestyle() for line in lines] == ["-", "--"] * len(METHODS)
    assert legend(figure) == [*METHODS.values(), "as merged", "with REPAIR"]
    one = connectivity_figures.barrier_against_width([row for row in MANY if row["weight_decay"] == 0.003])
    assert len(one.axes) == 1


def test_a_method_that_was_not_used_is_not_drawn():
    rows = [row for row in MANY if row["method"] in ("none", "ste")]
    names = ["not aligned", "straight-through estimator"]
    assert legend(connectivity_figures.along_the_line(rows))[:-1] == names
    assert legend(connectivity_figures.barrier_against_width(rows))[:-2] == names


@pytest.mark.parametrize("name", ON_LINES)
def test_what_is_no_number_is_refused(name: str):
    broken = [row | {"test_loss": [math.nan] * len(row["alphas"])} for row in FEW]
    broken = [
        row | {height: dict.fromkeys(row[height], math.nan) for height in ("barrier", "instability")} for row in broken
    ]
    with pytest.raises(InputError, match="nan"):
        getattr(connectivity_figures, name)(broken)


def test_the_plane_names_its_three_networks_where_they_lie(tmp_path: Path):
    plane = synthetic.plane()
    figure = connectivity_figures.plane(plane)
    axes, bar = figure.axes
    assert ["A" in axes.get_xlabel(), "entropy" in bar.get_ylabel()] == [True, True]
    assert [(text.get_text(), list(text.xy)) for text in axes.texts] == list(
        zip(("A", "B", "permuted B"), plane["networks"], strict=True)
    )
    assert [[*line.get_xdata(), *line.get_ydata()] for line in axes.lines] == plane["networks"]
    assert axes.get_title() == "seeds 0 and 1, weight matching"
    assert save(figure, tmp_path / "a.png") == save(connectivity_figures.plane(plane), tmp_path / "b.png")
    edges = figure.get_window_extent()
    for text in axes.texts:
        box = text.get_window_extent()
        assert edges.x0 <= box.x0 < box.x1 <= edges.x1


@pytest.mark.parametrize(
    ("loss", "logarithmic"), [("steep", True), ("flat", False), ("constant", False), ("zero", False)]
)
def test_a_plane_has_logarithmic_levels_where_its_losses_span_decades(loss: str, logarithmic: bool, tmp_path: Path):
    plane = synthetic.plane()
    steep = np.array(plane["train_loss"])
    losses = {"steep": steep, "flat": 1 + steep, "constant": np.ones_like(steep), "zero": np.zeros_like(steep)}
    figure = connectivity_figures.plane(plane | {"train_loss": losses[loss].tolist(), "repaired": True})
    save(figure, tmp_path / "figure.png")
    contours = figure.axes[0].collections[0]
    assert isinstance(contours.norm, LogNorm) is logarithmic
    assert contours.levels[0] <= losses[loss].min() <= losses[loss].max() <= contours.levels[-1]
    assert "with REPAIR" in figure.axes[0].get_title()


def test_a_plane_that_holds_no_number_is_refused():
    plane = synthetic.plane()
    plane["train_loss"][2][1] = math.inf
    with pytest.raises(InputError, match="plane"):
        connectivity_figures.plane(plane)
