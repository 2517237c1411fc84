import math
from pathlib import Path

import numpy as np
import pytest
import synthetic_results as synthetic
from matplotlib.figure import Figure

from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.report.linearity import figures as linearity_figures
from hidden_structure.report.plotting import METHODS, save

STUDY = params.load(Path(__file__).parent.parent / "studies/digits.yaml")
MANY = synthetic.connected(STUDY)
FEW = synthetic.connected(STUDY, seeds=[0, 1], spawned=1, epochs=[0], widths=[], weight_decays=[])
RESULTS = {  # rows of linearity, stitching and interpolation
    "many": (synthetic.linearity(MANY), synthetic.stitch(MANY), synthetic.interpolate(MANY)),
    "deep, one pair": (
        synthetic.linearity(FEW, synthetic.RESNET),
        synthetic.stitch(FEW, synthetic.RESNET),
        synthetic.interpolate(FEW),
    ),
}
SPAWNED = [f"spawned at k = {k}" for k in (0, 1, 5)]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].texts]


def test_the_same_input_gives_the_same_bytes_without_a_warning(tmp_path: Path):
    runs = [linearity_figures.draw(*RESULTS["many"]) for _ in range(2)]
    assert list(runs[0]) == list(linearity_figures.SECTION)
    for name in runs[0]:
        for suffix in ("png", "pdf"):
            first, second = (save(run[name], tmp_path / f"{name}.{suffix}") for run in runs)
            assert first == second


@pytest.mark.parametrize("results", RESULTS.values(), ids=RESULTS)
def test_no_two_names_of_layers_overlap_and_the_last_is_there(results: tuple):
    for name, figure in linearity_figures.draw(*results).items():
        figure.draw_without_rendering()
        for axes in figure.axes if name != "together" else ():
            labels = [label for label in axes.get_xticklabels() if label.get_text() and label.get_visible()]
            places = sorted(axes.transData.transform([(place, 0) for place in axes.get_xticks()])[:, 0])
            height = max((label.get_window_extent().height for label in labels), default=0)  # of a slanted name
            assert min(np.diff(places)) > 8, "a name is about 8 pixels thick"
            assert height < axes.get_window_extent().height
            count = len(results[1][0]["layers"]) + (name != "stitching")
            assert max(axes.get_xticks()) == count - 1
            assert len(axes.get_xticks()) <= 12


def test_every_k_and_method_is_one_line_in_every_panel():
    rows = RESULTS["many"][0]
    figure = linearity_figures.linearity(rows)
    names = [*SPAWNED, *METHODS.values()]
    assert legend(figure) == names
    assert [axes.get_title() for axes in figure.axes[:2]] == ["as merged", "with REPAIR"]
    assert ["cos" in figure.axes[0].get_ylabel(), "coefficient" in figure.axes[2].get_ylabel()] == [True, True]
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines][: len(names)] == names
    own = [
        [layer["dissimilarity"][1]["mean"] for layer in row["layers"]]
        for row in rows
        if (row["width"], row["weight_decay"], row["method"], row["repaired"])
        == (1, rows[0]["weight_decay"], "weights", True)
    ]
    line = figure.axes[1].lines[names.index(METHODS["weights"])]
    assert line.get_ydata()[1:] == pytest.approx(np.mean(own, axis=0)[1:], rel=1e-5)
    assert line.get_ydata()[0] == linearity_figures.FLOOR  # below 0 by rounding
    assert figure.axes[0].get_yscale() == "log"
    assert figure.axes[0].get_ylim()[0] > linearity_figures.FLOOR  # rounding does not stretch the axis


def test_conditions_stand_at_the_layers_that_have_them():
    rows = RESULTS["many"][0]
    figure = linearity_figures.conditions(rows)
    assert legend(figure) == [SPAWNED[-1], *METHODS.values()]
    relus, weighted = [1, 3, 5], [0, 2, 4, 6]
    for axes, places in zip(figure.axes, (relus, weighted, weighted, weighted), strict=True):
        assert axes.get_yscale() == "log"
        assert {tuple(line.get_xdata()) for line in axes.lines} == {tuple(places)}
    before, after = (figure.axes[2].lines[index].get_ydata() for index in (1, 2))
    assert (before > after).all()


def test_a_network_without_activations_leaves_the_panel_empty(tmp_path: Path):
    rows = synthetic.linearity(FEW, ["hidden.linear1", "head"])
    figure = linearity_figures.conditions(rows)
    save(figure, tmp_path / "figure.png")
    assert [len(axes.lines) for axes in figure.axes] == [0, 6, 6, 6]


def test_every_line_of_the_study_is_a_mark_hollow_with_repair():
    rows, _, lines = RESULTS["many"]
    figure = linearity_figures.together(rows, lines)
    axes = figure.axes[0]
    assert len(axes.lines) == len(rows)
    assert sum(line.get_markerfacecolor() == "none" for line in axes.lines) == len(rows) / 2
    heights = sorted(line.get_ydata()[0] for line in axes.lines)
    assert heights == sorted(line["barrier"]["test_error"] for line in lines)
    assert legend(figure) == [*SPAWNED, *METHODS.values(), "as merged", "with REPAIR"]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_title_tells_the_rank_correlation(sign: int):
    rows, _, lines = RESULTS["many"]
    order = np.arange(len(rows))
    rows = [
        row | {"layers": [{"name": "head", "dissimilarity": [{"mean": 0.001 * 2.0 ** (place / 50)}] * 3}]}
        for row, place in zip(rows, order, strict=True)
    ]
    lines = [
        line | {"barrier": {"test_error": 0.5 + sign * 0.001 * place}} for line, place in zip(lines, order, strict=True)
    ]
    title = linearity_figures.together(rows, lines).axes[0].get_title()
    assert f"{sign:.2f} over {len(rows)} lines" in title
    flat = [line | {"barrier": {"test_error": 0.0}} for line in lines]
    assert "too few" in linearity_figures.together(rows, flat).axes[0].get_title()


def test_stitching_shows_both_directions_and_the_first_method():
    stitched = [row for row in RESULTS["many"][1] if row["method"] != "weights"]
    stitched.sort(key=lambda row: (row["method"] != "none", row["method"] != "ste"))
    figure = linearity_figures.stitching(stitched)
    left, right = figure.axes
    assert [len(axes.lines) for axes in (left, right)] == [2 * 3 + 1, 2 * 2 + 1]
    assert [line.get_linestyle() for line in right.lines] == ["-", "--", "-", "--", ":"]
    assert legend(figure)[:5] == [*SPAWNED, "not aligned", "straight-through estimator"]
    assert right.lines[-1].get_ydata() == pytest.approx([0.051, 0.051])  # between 0.05 and 0.052
    own = [row["b_below_a"] for row in stitched if row["k"] == 5]
    assert left.lines[5].get_ydata() == pytest.approx(np.mean(own, axis=0), rel=1e-5)


def test_a_method_that_was_not_used_is_not_drawn():
    rows, stitched, lines = ([row for row in every if row["method"] == "none"] for every in RESULTS["many"])
    figures = linearity_figures.draw(rows, stitched, lines)
    assert legend(figures["linearity"]) == [*SPAWNED, "not aligned"]
    assert legend(figures["conditions"]) == [SPAWNED[-1], "not aligned"]
    assert legend(figures["stitching"])[:4] == [*SPAWNED, "not aligned"]


@pytest.mark.parametrize("quantity", ["dissimilarity", "coefficient", "weights"])
def test_what_is_no_number_is_refused(quantity: str):
    def broken(layer: dict) -> dict:
        own = {name: value for name, value in layer.items() if name != quantity or layer["name"] != "head"}
        return own if quantity in own else own | {quantity: [{"mean": math.nan}] * 3}

    rows, stitched, lines = RESULTS["many"]
    rows = [row | {"layers": [*row["layers"][:-1], broken(row["layers"][-1])]} for row in rows]
    with pytest.raises(InputError, match="nan"):
        linearity_figures.draw(rows, stitched, lines)
