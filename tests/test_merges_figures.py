import math
from pathlib import Path

import numpy as np
import pytest
import synthetic_merges as synthetic
from matplotlib.figure import Figure

from hidden_structure.datasets.cifar import CIFAR100_SUPERCLASSES
from hidden_structure.frame.errors import InputError
from hidden_structure.report.merges import figures as merges_figures
from hidden_structure.report.merges import measure as merges_summary
from hidden_structure.report.plotting import save

HOSTILE = ["$x", "a$b$", "_hidden", "two\nlines", r"\frac{", "{}", "%s", "x" * 300, "", "<script>"]


def distances(names: list[str]) -> dict:
    draw = np.random.default_rng(len(names))
    means, scatter = draw.normal(size=(len(names), 8)), draw.uniform(1, 2, len(names))
    matrix = ((means[:, None] - means) ** 2).sum(2) + scatter[:, None] + scatter
    return {"names": names, "matrix": matrix.tolist()}


def draw(seeds: tuple[int, ...] = (0,), names: list[str] | None = None, **own: object) -> dict[str, Figure]:
    result = synthetic.result(list(seeds), fine_names=names, **own)
    measured = merges_summary.measure(result["rows"], 5) | {"fine.test_accuracy": [0.95] * len(seeds)}
    names = names or [f"class {index}" for index in range(10)]
    coarse_of = np.arange(len(names)) % 5
    coarse_names = ["+".join(names[group::5]) for group in range(5)]
    return merges_figures.draw(result, measured, distances(names), coarse_of, coarse_names)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].texts]


def overlaps(figure: Figure) -> list[str]:
    """Titles and names of classes that run into one another."""
    figure.draw_without_rendering()
    texts = [text for axes in figure.axes for text in (axes.title, axes._right_title, *axes.get_yticklabels())]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text() and text.get_visible()]
    return [
        f"{a} and {b}"
        for place, (a, first) in enumerate(boxes)
        for b, second in boxes[:place]
        if first.overlaps(second.padded(-1))
    ]


def test_the_same_input_gives_the_same_bytes_without_a_warning(tmp_path: Path):
    runs = [draw((0, 1)) for _ in range(2)]
    assert list(runs[0]) == list(merges_figures.SECTION)
    for name in runs[0]:
        for suffix in ("png", "pdf"):
            first, second = (save(run[name], tmp_path / f"{name}.{suffix}") for run in runs)
            assert first == second


def test_names_that_would_be_markup_or_are_long_are_drawn(tmp_path: Path):
    for name, figure in draw(names=HOSTILE).items():
        save(figure, tmp_path / f"{name}.png")
        assert not overlaps(figure)


def test_without_merges_only_the_neighbours_are_drawn_and_without_a_merged_class_nothing():
    names = list("abcdef")
    empty = {"fine_bits": 2.6, "rows": []}
    drawn = merges_figures.draw(empty, {}, distances(names), np.arange(6) % 3, ["ad", "be", "cf"])
    assert list(drawn) == ["neighbours"]
    assert merges_figures.draw(empty, {}, distances(names), np.arange(6), names) == {}


def test_every_super_class_is_a_mark_and_those_not_correlated_are_hollow():
    figure = draw()["semantics"]
    for axes in figure.axes:
        assert len(axes.lines) == 4 * 5 + 2 + 3
        assert sum(line.get_markerfacecolor() == "none" for line in axes.lines) == 2 + 3
        assert "over 20" in axes.get_title()
    assert legend(figure) == ["modulo", "random", "related classes", "not into 5 classes"]
    alike = draw(merges={"semantic": ("semantic", 5)})["semantics"]
    assert legend(alike) == ["related classes"]


def test_the_title_says_when_there_is_no_correlation():
    figure = draw(merges={"modulo-2": ("modulo", 2)})["semantics"]
    assert "too few" in figure.axes[0].get_title()


def test_supervision_joins_the_modulo_merges_by_their_bits():
    figure = draw(seeds=(0, 1))["supervision"]
    bits = [1, np.log2(5), merges_summary.by_name(synthetic.result([0])["rows"])["modulo-7"][0]["bits"]]
    joined = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    for line in joined:
        np.testing.assert_allclose(line.get_xdata().astype(float), bits)
    names = ["fine network", "linear layer, true labels", "linear layer, recovered labels"]
    assert legend(figure) == [*names, "coarse label and a guess", "related classes", "random"]
    guess = figure.axes[0].lines[-1]
    np.testing.assert_allclose(guess.get_ydata()[4], 0.5)
    np.testing.assert_allclose(guess.get_xdata()[4], np.log2(5))


def test_every_super_class_is_counted_where_its_estimate_lies():
    rows = synthetic.result([0, 1])["rows"]
    for axes, method in zip(merges_figures.cluster_count(rows).axes, merges_summary.COUNTS, strict=True):
        pairs = merges_summary.counts(rows, method, least=1)
        assert sum(int(text.get_text()) for text in axes.texts) == len(pairs) == 2 * (4 * 5 + 2 + 7)
        merged = [true == found for true, found in pairs if true > 1]
        assert f"{sum(merged)} of {len(merged)}" in axes.get_title()


def test_neighbours_joins_the_nearest_classes_first():
    names, coarse_of = list("abcd"), np.zeros(4, int)
    places = np.array([0.0, 10, 1, 7])  # a with c, and b with d
    matrix = (places[:, None] - places) ** 2 + 2
    figure = merges_figures.neighbours(matrix.tolist(), names, coarse_of, ["all"])
    axes = figure.axes[0]
    joins = sorted(max(line.get_xdata()) for line in axes.lines[:3])
    assert joins == pytest.approx([1, 3, (10 + 7 + 9 + 6) / 4])
    order = [label.get_text() for label in axes.get_yticklabels()]
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset("ac"), frozenset("bd")}


def test_twenty_super_classes_of_five_classes_are_legible(tmp_path: Path):
    names = [name for members in CIFAR100_SUPERCLASSES.values() for name in members]
    own = distances(names)
    figure = merges_figures.neighbours(own["matrix"], names, np.arange(100) // 5, list(CIFAR100_SUPERCLASSES))
    save(figure, tmp_path / "neighbours.png")
    assert not overlaps(figure)
    shown = [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]
    assert sorted(shown) == sorted(names)


def test_what_is_no_number_is_refused():
    own = distances(list("abcd"))
    own["matrix"][0][1] = math.nan
    with pytest.raises(InputError, match="no number"):
        merges_figures.neighbours(own["matrix"], own["names"], np.arange(4) % 2, ["ac", "bd"])
