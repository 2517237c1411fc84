"""The stage solve-unconstrained, and the claims on what it writes."""

import copy
import importlib.util
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny import ROOT

from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.report.recovery.claims import HEADER, cells
from hidden_structure.report.unconstrained.claims import measure, table

SETTINGS = {"classes": 4, "per_class": 5, "dimension": 5, "starts": 2, "ratios": [1, 40]}
SETTINGS |= {"weight_decay": 8e-3, "feature_decay": 5e-3, "bias_decay": 1e-2}
IDS = ["ufm.closed_form", "ufm.angle", "ufm.saddle", "ufm.escape", "ufm.minority"]


def study(**settings) -> SimpleNamespace:
    return SimpleNamespace(study="tiny", unconstrained=SimpleNamespace(**SETTINGS | settings))


def run_stage(folder: Path, **settings) -> tuple[Path, Path]:
    """Run the stage in that folder; its two files."""
    specification = importlib.util.spec_from_file_location("stage", ROOT / "stages/solve_unconstrained.py")
    stage = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(stage)
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(params, "load", lambda: study(**settings))
        os.chdir(folder)
        try:
            stage.main()
        finally:
            os.chdir(before)
    return folder / paths.ARTIFACTS / "unconstrained.npz", folder / paths.metrics("tiny", "unconstrained")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    return run_stage(tmp_path_factory.mktemp("study"))


@pytest.fixture
def found(files) -> dict:
    return artifacts.read_json(files[1])


def test_every_case_start_saddle_and_ratio_has_a_row(found):
    cases = [(loss, bias) for loss in ("cross-entropy", "mse") for bias in (False, True)]
    solutions = [(row["loss"], row["bias"], row["start"]) for row in found["solutions"]]
    assert solutions == [(*case, start) for case in cases for start in range(2)]
    saddles = [(row["loss"], row["bias"], row["saddle"]) for row in found["saddles"]]
    assert saddles == [(*case, name) for case in cases for name in ("zero", "confined")]
    assert [row["ratio"] for row in found["imbalance"]] == [1, 40]
    assert 1 < found["merging_ratio"] < 40
    for row in found["saddles"]:
        assert row["gradient_norm"] < 1e-10
        assert row["objective"] > row["minimum"] + 1e-3
    for row in found["solutions"]:
        assert set(row["optimum"]["cosine"]) == {"found", "closed_form", "difference"}
        assert {"step", "objective", "gradient_norm", "nc1", "nc2_angle_rows", "nc3"} <= set(row["trajectory"][0])
        assert row["trajectory"][-1]["gradient_norm"] < 1e-10


def test_two_runs_write_the_same_bytes(files, tmp_path):
    assert [file.read_bytes() for file in run_stage(tmp_path)] == [file.read_bytes() for file in files]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dimension": 3}, "unconstrained.dimension: 3 is too small"),
        ({"weight_decay": 10.0}, "lower weight_decay or feature_decay"),
    ],
)
def test_impossible_settings_are_one_line_and_write_nothing(settings, message, tmp_path):
    with pytest.raises(SystemExit, match=message) as stopped:
        run_stage(tmp_path, **settings)
    assert "\n" not in str(stopped.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_all_claims_hold_and_are_complete_rows(found):
    rows = table(study(), measure(found))
    assert [row["id"] for row in rows] == IDS
    for row in rows:
        assert list(row) == list(HEADER)
        assert len(cells(row)) == len(HEADER)
        assert row["holds"] is True, row
        assert row["claim"].endswith(".")
        assert row["published"] is row["spread"] is None
    assert rows[0]["seeds"] == rows[1]["seeds"] == [0, 1]
    assert rows[0]["measured"] < 1e-9
    assert rows[4]["measured"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "bound", "side"),
    [
        ("ufm.closed_form", 1e-6, "to"),
        ("ufm.angle", 1e-6, "to"),
        ("ufm.saddle", -1e-6, "below"),
        ("ufm.escape", 1e-6, "to"),
        ("ufm.minority", 0.99, "from"),
    ],
)
def test_a_claim_flips_where_its_sentence_says(found, name, bound, side):
    for value in (bound - 1e-9, bound, bound + 1e-9):
        (row,) = (row for row in table(study(), measure(found) | {name: [value]}) if row["id"] == name)
        assert f"{bound:g}" in row["claim"]
        assert row["holds"] is {"from": value >= bound, "to": value <= bound, "below": value < bound}[side]


def test_what_is_measured_is_the_worst_case(found):
    before = measure(found)
    worse = copy.deepcopy(found)
    worse["solutions"][-1]["optimum"]["row_norm"]["difference"] = 0.5
    assert measure(worse) == before | {"ufm.closed_form": [0.5]}
    worse = copy.deepcopy(found)
    worse["solutions"][1]["optimum"]["cosine"]["difference"] = 0.3  # relative to 1/3
    assert measure(worse)["ufm.angle"] == [pytest.approx(0.1)]
    worse = copy.deepcopy(found)
    worse["saddles"][3]["least_eigenvalue"] = 0.0
    worse["saddles"][2]["escaped"] -= 0.25
    assert measure(worse)["ufm.saddle"] == [0.0]
    assert measure(worse)["ufm.escape"] == [pytest.approx(0.25)]


def test_the_minority_is_judged_at_the_largest_ratio_that_leaves_it_a_direction(found):
    vanished = {"ratio": 1000, "minority_cosine": None}
    measured = measure(found | {"imbalance": [vanished, *found["imbalance"]]})
    assert measured == measure(found)
    assert "40 times" in table(study(), measured)[-1]["claim"]
    with pytest.raises(InputError, match=r"unconstrained\.ratios"):
        measure(found | {"imbalance": [vanished]})
