"""The grid's claims and figure: one criterion for all cells, and a failed cell is shown as what it is."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from hidden_structure.merges.sweep import MEASURES
from hidden_structure.report.plotting import save
from hidden_structure.report.recovery.claims import HEADER, cells
from hidden_structure.report.summary import summarise
from hidden_structure.report.sweep import claims as sweep_claims
from hidden_structure.report.sweep import figures as sweep_figures

LRS, DECAYS, SEEDS = [0.1, 0.01], [0.005, 0.0005, 0.0], [0, 1]
STUDY = SimpleNamespace(sweep=SimpleNamespace(lrs=LRS, weight_decays=DECAYS, seeds=SEEDS))
FINE = {"fine.test_accuracy": [0.94, 0.96]}


def row(lr: float, decay: float, seed: int, **measures) -> dict:
    own = {"lr": lr, "weight_decay": decay, "seed": seed}
    return own | dict.fromkeys(MEASURES, 0.9) | {"nc1": lr * (seed + 1), "error": None} | measures


def grid(**failed) -> list[dict]:
    """A row for every cell; failed: of the first cell and seed."""
    rows = [row(lr, decay, seed) for lr in LRS for decay in DECAYS for seed in SEEDS]
    rows[0] |= failed
    return rows


def table(rows: list[dict]) -> dict[str, dict]:
    return {row["id"]: row for row in sweep_claims.table(STUDY, sweep_claims.measure(rows) | FINE, 10, 5)}


def test_every_cell_has_a_claim_named_after_its_recipe():
    found = table(grid())
    assert list(found) == [f"grid.{lr}.{decay}" for lr in ("1e-1", "1e-2") for decay in ("5e-3", "5e-4", "0")]
    for row in found.values():
        assert list(row) == list(HEADER)
        assert len(cells(row)) == len(HEADER)
        assert row["holds"] is True
        assert row["seeds"] == SEEDS
        assert row["spread"] == 0
    assert "rate of 0.1 with a weight decay of 0.005," in found["grid.1e-1.5e-3"]["claim"]


def test_the_claim_holds_from_midway_between_guessing_and_the_fine_network_on():
    floor = (5 / 10 + 0.95) / 2
    for value in (floor - 1e-6, floor, floor + 1e-6):
        found = table([row | {"probe_accuracy": value} for row in grid()])
        for row in found.values():
            assert row["holds"] is (value >= floor)
            assert f"{floor:g} or more" in row["claim"]


def test_a_cell_whose_oracle_is_low_too_does_not_hold():
    """Without any fine structure left even true labels give no more than a guess: that must not count as kept."""
    found = table([row | {"probe_accuracy": 0.5, "oracle_accuracy": 0.5} for row in grid()])
    assert not any(row["holds"] for row in found.values())


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_failed_seed_counts_as_not_holding(seeds: int):
    rows = grid()
    for failed in rows[:seeds]:
        failed |= dict.fromkeys(MEASURES) | {"error": "the training loss became nan"}
    first, *others = table(rows).values()
    assert first["holds"] is False
    assert f"failed for {seeds} of 2 seeds" in first["claim"]
    assert [first["measured"], first["spread"]] == ([0.9, None] if seeds == 1 else [None, None])
    assert len(cells(first)) == len(HEADER)
    assert all(row["holds"] for row in others)


def test_the_summary_nests_learning_rates_and_weight_decays():
    labels = {supervision: {"bits_per_sample": 1.0} for supervision in ("fine", "coarse")}
    summary = summarise(sweep_claims.measure(grid()), labels)["grid"]
    assert set(summary) == {"1e-1", "1e-2"}
    assert set(summary["1e-2"]) == {"5e-3", "5e-4", "0"}
    assert summary["1e-1"]["5e-4"]["nc1"] == pytest.approx(0.15)


def test_without_a_grid_there_is_no_claim_and_no_figure():
    off = SimpleNamespace(sweep=SimpleNamespace(lrs=[], weight_decays=[], seeds=[0]))
    assert sweep_claims.table(off, {}, 10, 5) == []
    assert sweep_claims.measure([]) == {}
    assert sweep_figures.draw([]) == {}


def test_the_figure_has_its_texts_and_the_same_bytes_without_a_warning(tmp_path: Path):
    assert list(sweep_figures.SECTION) == list(sweep_figures.draw(grid())) == ["sweep"]
    assert all(text.endswith(".") for text in sweep_figures.SECTION["sweep"][1:])
    for suffix in ("png", "pdf"):
        rows = grid(**dict.fromkeys(MEASURES))
        first, second = (save(sweep_figures.draw(rows)["sweep"], tmp_path / f"{run}.{suffix}") for run in range(2))
        assert first == second


def test_a_square_shows_the_mean_of_its_own_recipe():
    panel = sweep_figures.draw(grid())["sweep"].axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["0.1", "0.01"]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0.005", "0.0005", "0"]
    assert panel.images[0].get_array().filled() == pytest.approx(np.array([[0.15] * 3, [0.015] * 3]))
    shown = {text.get_position(): text.get_text() for text in panel.texts if not text.get_text().startswith("±")}
    assert shown == {(x, y): ("0.15", "0.015")[y] for x in range(3) for y in range(2)}
    assert sum(text.get_text().startswith("±") for text in panel.texts) == 6


@pytest.mark.parametrize(
    ("failed", "said"),
    [(dict.fromkeys(MEASURES), "diverged"), ({"agreement": None}, "no result"), ({}, "0.900")],
)
def test_a_cell_without_a_value_is_hatched_and_named(failed: dict, said: str):
    rows = [row(0.1, 0.005, 0, **failed), row(0.01, 0.005, 0)]
    panel = sweep_figures.draw(rows)["sweep"].axes[3]
    assert panel.get_title().startswith("agreement")
    assert [text.get_text() for text in panel.texts] == [said, "0.900"]
    hatched = [patch for patch in panel.patches if isinstance(patch, Rectangle) and patch.get_hatch()]
    assert len(hatched) == bool(failed)


def test_a_mean_of_fewer_seeds_says_so():
    panel = sweep_figures.draw(grid(agreement=None))["sweep"].axes[3]
    assert [text.get_text() for text in panel.texts][:2] == ["0.900", "1 of 2 seeds"]


def test_a_grid_of_which_nothing_collapsed_or_trained_can_be_drawn(tmp_path: Path):
    for value in (0.0, 1e-30, None):
        rows = [row | {"nc1": value} for row in grid()]
        save(sweep_figures.draw(rows)["sweep"], tmp_path / "flat.png")


@pytest.mark.parametrize(
    ("value", "name"), [(0.1, "1e-1"), (0.05, "5e-2"), (0.0005, "5e-4"), (0.0, "0"), (3.0, "3e0"), (0.0125, "1.25e-2")]
)
def test_a_rate_in_a_name_is_a_power_of_ten(value: float, name: str):
    assert sweep_claims.power(value) == name
    assert math.isclose(float(name), value)
