"""The stage solve-unconstrained."""

import importlib.util
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny import ROOT

from hidden_structure.frame import artifacts, params, paths

SETTINGS = {"classes": 4, "per_class": 5, "dimension": 5, "starts": 2, "ratios": [1, 40]}
SETTINGS |= {"weight_decay": 8e-3, "feature_decay": 5e-3, "bias_decay": 1e-2}


def study(**settings) -> SimpleNamespace:
    return SimpleNamespace(study="tiny", unconstrained=SimpleNamespace(**SETTINGS | settings))


def run_stage(folder: Path, **settings) -> Path:
    """Run the stage in that folder; its file."""
    specification = importlib.util.spec_from_file_location("stage", ROOT / "stages/solve_unconstrained.py")
    stage = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(stage)
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(params, "load", lambda reads: study(**settings))
        os.chdir(folder)
        try:
            stage.main()
        finally:
            os.chdir(before)
    return folder / paths.results("unconstrained")


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return run_stage(tmp_path_factory.mktemp("study"))


@pytest.fixture
def found(file) -> dict:
    return artifacts.read_json(file)


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
