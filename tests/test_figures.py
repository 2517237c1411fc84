import hashlib
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import synthetic_results as synthetic
from matplotlib.figure import Figure

from hidden_structure.frame.errors import InputError
from hidden_structure.report import summary
from hidden_structure.report.plotting import plain, save
from hidden_structure.report.recovery import figures

NAMES = ["learning_curves", "collapse", "angles", "maps", "distances", "recovery", "agreement"]
HOSTILE = [
    "$x",
    "a$b$",
    "_hidden",
    "two\nlines",
    r"\frac{",
    "$\\undefined$",
    "{}",
    "%s",
    "x" * 300,
    "",
    "<script>",
    "a&b",
]


def draw(name: str, classes: int, coarse: int, seeds: list[int], fine_names: list[str] | None = None) -> Figure:
    coarse_of = [index % coarse for index in range(classes)]
    fine_names = fine_names or [f"class {index}" for index in range(classes)]
    coarse_names = ["+".join(fine_names[index::coarse]) for index in range(coarse)]
    training = {supervision: synthetic.training(supervision, seeds) for supervision in ("fine", "coarse")}
    collapse = synthetic.collapse({"fine": classes, "coarse": coarse}, seeds)
    cluster = synthetic.cluster(coarse_of, fine_names, coarse_names, seeds)
    measured = summary.measure(training, collapse, cluster, seeds, synthetic.REDUCERS)
    positions, fine = synthetic.points(coarse_of, 20 * classes)
    generator = np.random.default_rng(0)
    drawings: dict[str, Callable[[], Figure]] = {
        "learning_curves": lambda: figures.learning_curves(training),
        "collapse": lambda: figures.collapse(collapse),
        "angles": lambda: figures.angles(collapse, {"fine": classes, "coarse": coarse}),
        "maps": lambda: figures.maps(positions, fine, np.array(coarse_of), fine_names, coarse_names, 50, generator),
        "distances": lambda: figures.distances(
            cluster["class_distances"]["matrix"], fine_names, np.array(coarse_of), coarse_names
        ),
        "recovery": lambda: figures.recovery(measured, synthetic.REDUCERS, classes, coarse),
        "agreement": lambda: figures.agreement(cluster["rows"], "tsne", coarse_names),
    }
    return drawings[name]()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_bytes(name: str, tmp_path: Path):
    for suffix in ("png", "pdf"):
        paths = [tmp_path / f"{run}.{suffix}" for run in range(2)]
        for path in paths:
            assert save(draw(name, 10, 5, [0, 1, 2]), path) == path.read_bytes()
        assert digest(paths[0]) == digest(paths[1])
        content = paths[0].read_bytes()
        assert b"CreationDate" not in content
        assert b"matplotlib" not in content.lower()


@pytest.mark.parametrize(("classes", "coarse", "seeds"), [(2, 2, [0]), (100, 20, [0, 1])])
@pytest.mark.parametrize("name", NAMES)
def test_from_two_to_a_hundred_classes_without_a_warning(
    name: str, classes: int, coarse: int, seeds: list[int], tmp_path: Path
):
    save(draw(name, classes, coarse, seeds), tmp_path / "figure.png")


def test_a_map_of_many_classes_names_the_first_and_counts_the_rest(tmp_path: Path):
    figure = draw("maps", 100, 2, [0])
    save(figure, tmp_path / "figure.png")
    entries = [text.get_text() for text in figure.axes[0].get_legend().texts]
    assert len(entries) == figures.ENTRIES
    assert entries[-1] == f"… {50 - figures.ENTRIES + 1} more"


@pytest.mark.parametrize("name", ["maps", "distances", "agreement"])
def test_hostile_class_names_are_drawn_as_plain_text(name: str, tmp_path: Path):
    for suffix in ("png", "pdf"):
        save(draw(name, len(HOSTILE), 2, [0], HOSTILE), tmp_path / f"figure.{suffix}")


def test_a_name_that_begins_with_an_underscore_keeps_its_legend_entry():
    names = ["_hidden", "b", "c", "d"]
    entries = [text.get_text() for axes in draw("maps", 4, 2, [0], names).axes for text in axes.get_legend().texts]
    assert sorted(entry.strip() for entry in entries) == sorted(names)


UNKNOWN = ["\U00012000\U00012001 x", "\U00012003"]  # cuneiform, of which no font of the list has glyphs


@pytest.mark.parametrize("name", ["maps", "distances", "agreement"])
def test_names_that_no_font_can_draw_are_shown_by_their_code_points_without_a_warning(name: str, tmp_path: Path):
    names = [*UNKNOWN, "c", "d"]
    for suffix in ("png", "pdf"):
        save(draw(name, 4, 2, [0], names), tmp_path / f"figure.{suffix}")
    assert [plain(name) for name in names] == ["U+12000.12001 x", "U+12003", "c", "d"]


def test_a_map_draws_no_more_points_than_asked_and_other_generators_draw_others():
    drawn = []
    positions, fine = synthetic.points([0, 1], 400)
    for seed in (0, 0, 1):
        generator = np.random.default_rng(seed)
        figure = figures.maps(positions, fine, np.array([0, 1]), ["a", "b"], ["A", "B"], 50, generator)
        points = [axes.collections[0].get_offsets() for axes in figure.axes]
        assert [len(panel) for panel in points] == [50, 50]
        drawn.append(np.concatenate(points).tolist())
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_matrix_stands_in_the_order_of_the_super_classes():
    matrix = np.arange(16.0).reshape(4, 4)
    figure = figures.distances(matrix, list("abcd"), np.array([1, 0, 1, 0]), ["x", "y"])
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "d", "a", "c"]
    assert axes.images[0].get_array().tolist() == matrix[np.ix_([1, 3, 0, 2], [1, 3, 0, 2])].tolist()
    assert [(box.get_x(), box.get_width()) for box in axes.patches] == [(-0.5, 2), (1.5, 2)]


def test_what_is_no_number_is_refused():
    rows = synthetic.collapse({"fine": 4, "coarse": 2}, [0])
    rows[3]["nc1"] = math.nan
    with pytest.raises(InputError, match="nc1 of seed 0"):
        figures.collapse(rows)
    with pytest.raises(InputError, match="distances"):
        figures.distances([[math.nan, 1], [1, 0]], ["a", "b"], np.array([0, 1]), ["x", "y"])
