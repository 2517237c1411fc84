"""The stage solve-unconstrained."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny

from hidden_structure.frame import artifacts, paths

SETTINGS = {"classes": 4, "per_class": 5, "dimension": 5, "starts": 2, "ratios": [1, 40]}
SETTINGS |= {"weight_decay": 8e-3, "feature_decay": 5e-3, "bias_decay": 1e-2}


def stage(folder: Path, **settings) -> SimpleNamespace:
    tiny.write_params(folder, unconstrained=SETTINGS | settings)
    return tiny.in_process(folder, "solve_unconstrained.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("study")
    done = stage(folder)
    assert done.returncode == 0, done.stderr
    assert not list((folder / paths.RESUME).iterdir())
    return artifacts.read_json(folder / paths.results("unconstrained"))


def test_every_case_start_saddle_and_ratio_has_a_row(found):
    cases = [(loss, bias) for loss in ("cross-entropy", "mse") for bias in (False, True)]
    solutions = [(row["loss"], row["bias"], row["start"]) for row in found["solutions"]]
    assert solutions == [(*case, start) for case in cases for start in range(2)]
    saddles = [(row["loss"], row["bias"], row["saddle"]) for row in found["saddles"]]
    assert saddles == [(*case, name) for case in cases for name in ("zero", "confined")]
    assert [row["ratio"] for row in found["imbalance"]] == [1, 40]
    assert 1 < found["merging_ratio"] < 40
    bounds = found["bounds"]
    assert [row["start"] for row in bounds["solutions"]] == [0, 1]
    assert max(one["difference"] for row in bounds["solutions"] for one in row["optimum"].values()) < 1e-9
    ratios = [row["ratio"] for row in bounds["imbalance"]]
    assert ratios == sorted(ratios)
    assert {1, 40} < set(ratios)
    sides = [row["minority_cosine"] > 1 - 1e-9 for row in bounds["imbalance"]]
    assert sides == [ratio > bounds["merging_ratio"] for ratio in ratios]
    assert set(sides) == {False, True}
    for row in found["saddles"]:
        assert row["gradient_norm"] < 1e-10
        assert row["objective"] > row["minimum"] + 1e-3
    for row in found["solutions"]:
        assert set(row["optimum"]["cosine"]) == {"found", "closed_form", "difference"}
        assert {"step", "objective", "gradient_norm", "nc1", "nc2_angle_rows", "nc3"} <= set(row["trajectory"][0])
        assert row["trajectory"][-1]["gradient_norm"] < 1e-10


def test_settings_without_a_minimum_to_compare_with_are_one_line_and_write_nothing(tmp_path):
    stopped = stage(tmp_path, weight_decay=10.0)
    assert stopped.returncode == 1
    assert stopped.stderr.startswith("error: cross-entropy, start 0: unconstrained: 4 classes of 5 samples end at zero")
    assert "\n" not in stopped.stderr
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"params.yaml"}
