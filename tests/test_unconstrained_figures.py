import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from hidden_structure.frame.errors import InputError
from hidden_structure.report.plotting import save
from hidden_structure.report.unconstrained import figures as unconstrained_figures
from hidden_structure.seeding import torch_generator
from hidden_structure.unconstrained.model import LOSSES, Problem, in_plane, over_trajectory, random_start, solve

CASES = [(loss, bias) for loss in LOSSES for bias in (False, True)]
NAMES = ["cross-entropy", "cross-entropy, bias", "mean squared error", "mean squared error, bias"]
RATIOS = (1, 3, 10)


def solution(loss: str, bias: bool, start: int) -> tuple:
    problem = Problem((4,) * 3, 4, loss, bias, 5e-3, 5e-3, 1e-2)
    return problem, solve(problem, random_start(problem, torch_generator("start", start)))


PLANE = in_plane(*solution("cross-entropy", False, 0))
ROWS = [
    {"loss": loss, "bias": bias, "start": start, "trajectory": over_trajectory(*solution(loss, bias, start))}
    for loss, bias in CASES
    for start in range(2)
]
IMBALANCE = [
    {"ratio": ratio, "majority_cosine": None, "majority_norm": 2 + ratio}  # a majority of one class has no cosine
    | {"minority_cosine": cosine, "minority_norm": 1 / ratio}
    for ratio, cosine in zip(RATIOS, (-0.5, 0.9, None), strict=True)
]
DRAWN = {
    "simplex": lambda: unconstrained_figures.simplex(PLANE),
    "descent": lambda: unconstrained_figures.descent(ROWS),
    "minority": lambda: unconstrained_figures.minority(IMBALANCE, 5.5, 3),
}


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].texts]


def test_every_figure_has_its_texts():
    assert list(unconstrained_figures.SECTION) == list(DRAWN)
    for texts in unconstrained_figures.SECTION.values():
        assert len(texts) == 3
        assert all(text.endswith(".") for text in texts[1:])


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_input_gives_the_same_bytes_without_a_warning(name: str, tmp_path: Path):
    for suffix in ("png", "pdf"):
        first, second = (save(DRAWN[name](), tmp_path / f"{run}.{suffix}") for run in range(2))
        assert first == second


def test_the_panels_go_from_the_start_to_the_end_on_one_scale():
    figure = DRAWN["simplex"]()
    assert len(figure.axes) == 6
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0] == "start"
    assert titles[-1] == f"step {PLANE['steps'][-1]}, the end"
    shown = [0, *(int(title.split()[1]) for title in titles[1:-1]), PLANE["steps"][-1]]
    assert shown == sorted(set(shown))
    for axes, step in zip(figure.axes, shown, strict=True):
        assert axes.get_aspect() == 1
        assert axes.get_xlim() == axes.get_ylim() == figure.axes[0].get_xlim()
        (index,) = np.flatnonzero(PLANE["steps"] == step)
        dots = np.concatenate([line.get_xydata() for line in axes.lines if len(line.get_xdata()) == 4])
        assert dots == pytest.approx(PLANE["features"][index])
        tips = [arrow.xy for arrow in axes.texts]
        assert tips == pytest.approx(PLANE["rows"][index])
        assert np.abs(dots).max() < axes.get_xlim()[1]


def test_a_descent_of_few_steps_can_be_drawn(tmp_path: Path):
    few = {name: array if name == "labels" else array[[0, 2, -1]] for name, array in PLANE.items()}
    save(unconstrained_figures.simplex(few), tmp_path / "few.png")


@pytest.mark.parametrize("name", ["features", "rows"])
def test_positions_that_are_no_numbers_are_refused(name: str):
    broken = PLANE[name].copy()
    broken[1, 0, 0] = math.nan
    with pytest.raises(InputError, match=r"unconstrained\.npz"):
        unconstrained_figures.simplex(PLANE | {name: broken})


def test_the_descent_has_a_line_for_every_start_and_a_name_for_every_case():
    figure = DRAWN["descent"]()
    assert legend(figure) == NAMES
    for axes, title, measure in zip(figure.axes, ("NC1", "NC2", "NC3"), ("nc1", "nc2_angle_rows", "nc3"), strict=True):
        assert axes.get_title().startswith(title)
        assert [axes.get_xlabel(), axes.get_yscale()] == ["step", "log"]
        assert len(axes.lines) == len(ROWS)
        for line, row in zip(axes.lines, ROWS, strict=True):
            values = [max(one[measure], 1e-16) for one in row["trajectory"]]
            assert line.get_ydata() == pytest.approx(values)


def test_the_minority_is_drawn_where_it_has_an_angle_beside_theory():
    figure = DRAWN["minority"]()
    assert legend(figure) == ["majority", "minority", "minority merges (theory)", "simplex: -1/(C-1)"]
    cosines, norms = figure.axes
    assert ["cosine" in cosines.get_ylabel(), "norm" in norms.get_ylabel()] == [True, True]
    for axes in figure.axes:
        assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "3", "10"]
        assert list(axes.lines[2].get_xdata()) == [5.5, 5.5]
    assert list(cosines.lines[1].get_ydata()) == pytest.approx([-0.5, 0.9, math.nan], nan_ok=True)
    assert list(cosines.lines[3].get_ydata()) == [-0.5, -0.5]
    assert list(norms.lines[1].get_ydata()) == pytest.approx([1 / ratio for ratio in RATIOS])


def test_one_ratio_alone_can_be_drawn(tmp_path: Path):
    save(unconstrained_figures.minority(IMBALANCE[:1], 5.5, 3), tmp_path / "one.png")
