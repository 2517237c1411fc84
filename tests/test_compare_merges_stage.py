"""The stage on planted features: every network keeps its merged classes apart, but for one pair that it does not."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import run_stage, write_data, write_params

from hidden_structure.datasets.labels import merge_name
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.networks.build import build
from hidden_structure.networks.features import head
from hidden_structure.seeding import global_seed, numpy_generator

METRICS = Path("artifacts/results/merges.json")
KINDS = [
    {"method": method, "classes": classes, "groups": None, "seed": 0}
    for method, classes in (("modulo", 5), ("random", 5), ("modulo", 7))
]
SIZES = [1, 3, 6]
BOUNDS = np.cumsum([0, *SIZES])
GROUPS = {f"{end - begin}": [f"class {c}" for c in range(begin, end)] for begin, end in pairwise(BOUNDS.tolist())}
KINDS += [{"method": "groups", "classes": None, "groups": GROUPS, "seed": 0}]
UNEQUAL = merge_name(params.Merge(**KINDS[-1]))
NAMES = ["modulo-5", "random-5-0", "modulo-7", UNEQUAL]
SEEDS = [3]
LOST = {0, 5}  # classes that every network takes for one


def features(labels: np.ndarray, *names: str | int) -> torch.Tensor:
    """Noisy features (N, 32) round a corner of a simplex for each class."""
    corners = 5 * np.eye(10, 32)
    corners[max(LOST)] = corners[min(LOST)]
    noise = numpy_generator("features", *names).normal(0, 0.5, (len(labels), 32))
    return torch.from_numpy((corners[labels] + noise).astype(np.float32))


def study(folder: Path, kinds: list[dict]) -> None:
    cluster = {"reducers": ["pca", "raw"], "components": 5, "restarts": 2}
    write_params(folder, merges={"seeds": SEEDS, "train": None, "kinds": kinds}, cluster=cluster)
    write_data(folder)
    settings = params.load(folder / "params.yaml")
    fine = artifacts.read_arrays(folder / paths.labels("fine"))
    for seed in settings.seeds:
        with global_seed("initialisation", seed):
            network = build(settings.network, (8, 8, 1), 10)
        with torch.no_grad():  # decides by the corner of the class
            head(network).weight.copy_(torch.eye(10, 32))
            head(network).bias.zero_()
        artifacts.write_tensors(folder / paths.model("fine", seed), network.state_dict())
        found = {f"{split}/penultimate": features(fine[split], "fine", split, seed) for split in ("train", "test")}
        artifacts.write_tensors(folder / paths.features("fine", seed), found)
    for name in NAMES:
        found = {split: features(fine[split], name, split) for split in ("train", "test")}
        artifacts.write_tensors(folder / paths.merged_features(name, SEEDS[0]), found)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("merges")
    study(folder, KINDS)
    finished = run_stage(folder, "compare_merges.py")
    assert finished.returncode == 0, finished.stderr
    return folder, (folder / METRICS).read_bytes()


def rows(finished: tuple[Path, bytes]) -> list[dict]:
    return json.loads(finished[1])["rows"]


def test_there_is_a_row_for_every_merge_and_seed(finished):
    assert [(row["name"], row["seed"]) for row in rows(finished)] == [(name, seed) for name in NAMES for seed in SEEDS]
    for row in rows(finished):
        members = [name for own in row["superclasses"].values() for name in own["members"]]
        assert sorted(members) == [f"class {label}" for label in range(10)]
        assert len(row["superclasses"]) == row["classes"]
        assert all(own["clusters"] == len(own["members"]) for own in row["superclasses"].values())
    bits = {row["name"]: row["bits"] for row in rows(finished)}
    assert bits["modulo-5"] == bits["random-5-0"] == pytest.approx(np.log2(5))
    assert bits["modulo-7"] == pytest.approx(0.6 * np.log2(5) + 0.4 * np.log2(10))


def test_what_the_network_keeps_apart_is_recovered_and_counted_and_the_lost_pair_is_not(finished):
    for row in rows(finished):
        for own in row["superclasses"].values():
            members = {int(name.split()[-1]) for name in own["members"]}
            if len(members) == 1:
                assert own["agreement"] == 1
                assert own["estimated"]["gap"] == 1
                assert "score" not in own
                assert "similarity" not in own
            elif members == LOST:
                assert own["score"] < 0.3
                assert own["similarity"]["features"] > 0.9
                assert own["similarity"]["confusion"] > 0.4
            else:
                assert own["score"] > 0.95
                assert own["estimated"]["silhouette"] == len(members)
                # Six corners of a simplex at the same distance: two clusters explain no more of them than of a box.
                assert own["estimated"]["gap"] == (len(members) if len(members) < 6 else 1)
                assert own["similarity"]["features"] < 0.5
                assert own["similarity"]["confusion"] < 0.05
    lost = [own for own in rows(finished)[0]["superclasses"].values() if own["similarity"]["features"] > 0.9]
    assert [own["members"] for own in lost] == [["class 0", "class 5"]]


def test_the_oracle_knows_no_less_than_what_is_recovered(finished):
    for row in rows(finished):
        assert row["oracle_accuracy"] >= row["probe_accuracy"] - 0.05
        assert 0.8 < row["probe_accuracy"] <= 1  # of the two lost classes a guess remains


def test_without_merges_the_result_is_empty(tmp_path: Path):
    write_params(tmp_path, merges=None)
    finished = run_stage(tmp_path, "compare_merges.py")
    assert finished.returncode == 0, finished.stderr
    assert json.loads((tmp_path / METRICS).read_text()) is None


def test_a_network_that_was_not_trained_is_one_clear_line(tmp_path: Path):
    study(tmp_path, [{"method": "modulo", "classes": 3, "groups": None, "seed": 0}])
    finished = run_stage(tmp_path, "compare_merges.py")
    assert finished.returncode == 1
    assert finished.stderr.count("\n") == 1
    assert "modulo-3/3.safetensors is missing" in finished.stderr
    assert not (tmp_path / METRICS).exists()


def test_super_classes_of_one_to_six_classes_are_measured_and_counted(finished):
    (row,) = (row for row in rows(finished) if row["name"] == UNEQUAL)
    assert [len(own["members"]) for own in row["superclasses"].values()] == SIZES
    assert ["score" in own for own in row["superclasses"].values()] == [size > 1 for size in SIZES]
    assert [own["estimated"]["silhouette"] for own in row["superclasses"].values()][1:] == SIZES[1:]
