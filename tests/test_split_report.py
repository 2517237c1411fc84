"""The claims and the figure on classes split at random."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from hidden_structure.report.plotting import save
from hidden_structure.report.recovery.claims import HEADER, cells
from hidden_structure.report.split import claims as split_claims
from hidden_structure.report.split import figures as split_figures

IDS = ["split.grouping", "split.grouping.memorised", "split.probe", "split.probe.memorised"]
FINE = {"fine.test_accuracy": [0.98]}
SEEDS = [3, 4]


def study(classes: int | None = None) -> SimpleNamespace:
    return SimpleNamespace(split=SimpleNamespace(seeds=SEEDS, parts=2, classes=classes))


def row(seed: int, epoch: int, train: float, agreement: float, probe: float = 0.97) -> dict:
    others = dict.fromkeys(("ari", "parts_distance", "own_part", "class_accuracy", "nearest_accuracy"), 0.6)
    own = {"seed": seed, "epoch": epoch, "train_accuracy": train, "guess_accuracy": 0.5}
    return own | others | {"agreement": agreement, "probe_accuracy": probe}


def rows(end: float = 0.99) -> list[dict]:
    """Of each seed: untrained, two snapshots before memorisation, one after it, the end."""
    return [
        row(seed, epoch, train, agreement, probe)
        for seed in SEEDS
        for epoch, train, agreement, probe in (
            (0, 0.1, 1.0, 0.5),
            (2, 0.6, 0.92, 0.96),
            (5, 0.74, 0.91, 0.97),
            (20, 0.76, 0.99, 0.98),
            (100, end, 0.8, 0.9),
        )
    ]


def table(found: list[dict]) -> dict[str, dict]:
    return {row["id"]: row for row in split_claims.table(study(), split_claims.measure(found) | FINE)}


def test_early_is_the_best_snapshot_in_training_that_has_not_memorised_and_memorised_is_the_end():
    measured = split_claims.measure(rows())
    assert measured["split.early.agreement"] == [0.92, 0.92]  # neither untrained nor of epoch 20
    assert measured["split.early.probe_accuracy"] == [0.96, 0.96]
    assert measured["split.memorised.agreement"] == [0.8, 0.8]
    found = table(rows())
    assert list(found) == IDS
    assert [row["measured"] for row in found.values()] == [0.92, 0.8, 0.96, 0.9]
    assert [row["holds"] for row in found.values()] == [True, False, True, False]
    for row in found.values():
        assert list(row) == list(HEADER)
        assert len(cells(row)) == len(HEADER)
        assert row["seeds"] == SEEDS
        assert row["claim"].endswith(".")


@pytest.mark.parametrize(
    ("index", "column", "bound"),
    [(1, "agreement", 0.9), (4, "agreement", 0.9), (1, "probe_accuracy", 0.95), (4, "probe_accuracy", 0.95)],
)
def test_a_claim_flips_where_its_sentence_says(index: int, column: str, bound: float):
    name = IDS[2 * (column == "probe_accuracy") + (index == 4)]
    for value in (bound - 1e-4, bound, bound + 1e-4):
        changed = [row | ({column: value} if row["epoch"] in (2, 5, 100) else {}) for row in rows()]
        claim = table(changed)[name]
        assert f"{bound:g} or more" in claim["claim"]
        assert claim["holds"] is (value >= bound)


def test_what_is_never_memorised_or_always_is_no_evidence():
    never = table(rows(end=0.7))
    assert never["split.grouping.memorised"]["measured"] is None
    assert never["split.grouping.memorised"]["holds"] is False
    assert "For 2 of 2 seeds there is no such snapshot" in never["split.probe.memorised"]["claim"]
    always = table([row | {"train_accuracy": 0.99} for row in rows()])
    assert always["split.grouping"]["holds"] is always["split.probe"]["holds"] is False
    half = table([row | ({"train_accuracy": 0.6} if row["seed"] == 3 else {}) | {"agreement": 1.0} for row in rows()])
    assert half["split.grouping"]["holds"] is True
    assert half["split.grouping.memorised"]["holds"] is False
    assert half["split.grouping.memorised"]["measured"] == 1
    assert all(len(cells(row)) == len(HEADER) for row in (*never.values(), *half.values()))


def test_memorised_is_midway_between_knowing_the_class_and_everything():
    for guess in (0.5, 1 / 3, 0.9):
        midway = (1 + guess) / 2
        for train in (midway - 1e-9, midway + 1e-9):
            assert split_claims.memorised({"train_accuracy": train, "guess_accuracy": guess}) is (train > midway)


def test_the_sentence_says_how_many_classes_were_split():
    measured = split_claims.measure(rows()) | FINE
    assert "each class split" in split_claims.table(study(), measured)[0]["claim"]
    assert "each of 3 classes split" in split_claims.table(study(3), measured)[0]["claim"]


def test_without_a_split_there_is_no_claim_and_no_figure():
    off = SimpleNamespace(split=SimpleNamespace(seeds=[], parts=2, classes=None))
    assert split_claims.measure([]) == {}
    assert split_claims.table(off, {}) == []
    assert split_figures.draw([], 0.98) == {}


def test_the_figure_has_its_texts_and_the_same_bytes_without_a_warning(tmp_path: Path):
    assert list(split_figures.SECTION) == list(split_figures.draw(rows(), 0.98)) == ["split"]
    assert all(text.endswith(".") for text in split_figures.SECTION["split"][1:])
    for suffix in ("png", "pdf"):
        first, second = (
            save(split_figures.draw(rows(), 0.98)["split"], tmp_path / f"{run}.{suffix}") for run in range(2)
        )
        assert first == second
    save(split_figures.draw(rows()[:5], 0.98)["split"], tmp_path / "one-seed.png")


def test_every_curve_is_named_and_shows_its_column():
    figure = split_figures.draw(rows(), 0.98)["split"]
    assert len(figure.axes) == len(split_figures.PANELS)
    for axes, (title, columns) in zip(figure.axes, split_figures.PANELS.items(), strict=True):
        assert axes.get_title() == title
        named = [text.get_text() for text in axes.get_legend().get_texts()]
        assert named[: len(columns)] == list(columns.values())
        for line, column in zip(axes.lines, columns, strict=False):
            assert list(line.get_xdata()) == [0, 2, 5, 20, 100]
            assert list(line.get_ydata()) == pytest.approx([row[column] for row in rows()[:5]])
    guess, fine = figure.axes[0].lines[-1], figure.axes[-1].lines[-1]
    assert set(guess.get_ydata()) == {0.5}
    assert set(fine.get_ydata()) == {0.98}


def test_parts_further_apart_than_classes_stay_in_the_panel():
    wide = [row | {"parts_distance": 1.7} for row in rows()]
    figure = split_figures.draw(wide, 0.98)["split"]
    assert figure.axes[1].get_ylim()[1] > 1.7
