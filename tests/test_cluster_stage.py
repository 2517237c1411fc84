"""The stage on planted features: the same bytes by however many workers, and nothing computed twice after a kill."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from hidden_structure.frame import artifacts, params, paths
from hidden_structure.recovery import controls
from hidden_structure.recovery.recovery import probe_accuracy
from hidden_structure.seeding import numpy_generator

# Three sources, five super-classes, two reducers, one seed; of what memorised labels the first reducer, PCA, alone.
TASKS = {"draw_map": 3 * 5, "recover": 3 * 2 + 1, "compare": 1, "oracle": 1 + 1}


def prepare(
    folder: Path, workers: int, memorised: dict | None = tiny.OVERRIDES["memorised"], seeds: tuple = (0,), **cluster
) -> Path:
    folder.mkdir()
    tiny.write_params(
        folder,
        seeds=list(seeds),
        memorised=memorised,
        cluster={"reducers": ["pca", "tsne"], "components": 3} | cluster,
        tasks={"workers": workers},
    )
    tiny.write_data(folder, samples=120)
    fine = artifacts.read_arrays(folder / paths.labels("fine"))
    for (network, apart), seed in product((("coarse", 4.0), ("untrained", 0.1), ("memorised", 2.0)), seeds):
        tensors = {}
        for split in ("train", "test"):
            noise = numpy_generator("cluster", network, split, *([seed] if seed else []))
            noise = noise.standard_normal((len(fine[split]), 12))
            features = apart * np.eye(10, 12)[fine[split]] + noise
            name = split if network == "memorised" else f"{split}/penultimate"
            tensors[name] = torch.from_numpy(features.astype(np.float32))
        file = paths.memorised_features(seed) if network == "memorised" else paths.features(network, seed)
        artifacts.write_tensors(folder / file, tensors)
    return folder


def outputs(folder: Path) -> dict[str, bytes]:
    files = [folder / paths.results("cluster"), *(folder / paths.CLUSTERS).iterdir()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def result_of(folder: Path) -> dict:
    return artifacts.read_json(folder / paths.results("cluster"))


def finish(folder: Path) -> dict[str, bytes]:
    done = tiny.in_process(folder, "cluster.py")
    assert done.returncode == 0, done.stderr
    assert not list((folder / paths.RESUME).iterdir())
    return outputs(folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, dict[str, bytes]]:
    folder = prepare(tmp_path_factory.mktemp("cluster") / "one", workers=1)
    return folder, finish(folder)


def test_two_workers_write_the_bytes_of_one(finished, tmp_path):
    assert finish(prepare(tmp_path / "two", workers=2)) == finished[1]


@pytest.mark.parametrize("at", [3, 17])  # among the maps, among the recoveries
def test_after_a_kill_it_computes_what_is_missing_and_ends_with_the_same_bytes(finished, tmp_path, monkeypatch, at):
    folder, calls = prepare(tmp_path / "killed", workers=1), []

    def watched(name, function):
        def call(*arguments):
            calls.append(name)
            if len(calls) == at:
                raise tiny.Killed
            return function(*arguments)

        return call

    for name in TASKS:
        monkeypatch.setattr(controls, name, watched(name, getattr(controls, name)))
    with pytest.raises(tiny.Killed):
        tiny.in_process(folder, "cluster.py")
    assert not (folder / paths.CLUSTERS).exists()
    assert finish(folder) == finished[1]
    assert len(calls) == sum(TASKS.values()) + 1  # the one that was killed, again


def test_what_is_apart_is_recovered_and_what_is_not_is_not(finished):
    result = result_of(finished[0])
    rows = {(row["source"], row["reducer"]): row for row in result["rows"]}
    every = {(source, reducer) for source in controls.SOURCES for reducer in ("pca", "tsne")}
    assert set(rows) == every | {("memorised", "pca")}
    for reducer in ("pca", "tsne"):
        assert rows["coarse", reducer]["agreement"] > 0.9 > rows["untrained", reducer]["agreement"]
    arrays = artifacts.read_arrays(finished[0] / paths.clusters(0))
    assert arrays["map"].shape == (120, 2)
    fine = artifacts.read_arrays(finished[0] / paths.labels("fine"))["train"]
    agreement = (arrays["recovered/coarse/tsne"] == fine).mean()
    assert agreement == pytest.approx(rows["coarse", "tsne"]["agreement"])


def test_pixels_which_no_network_changes_are_clustered_once_and_probed_with_each_network(tmp_path, monkeypatch):
    folder = prepare(tmp_path / "seeds", workers=1, memorised=None, seeds=(0, 1), reducers=["tsne", "pca"])
    finish(folder)
    monkeypatch.chdir(folder)
    rows = {tuple(row[key] for key in ("source", "reducer", "seed")): row for row in result_of(folder)["rows"]}
    kept = [artifacts.read_arrays(paths.clusters(seed)) for seed in (0, 1)]
    assert list(rows) == [
        (source, reducer, seed) for seed in (0, 1) for source in controls.SOURCES for reducer in ("tsne", "pca")
    ]
    for reducer in ("tsne", "pca"):
        first, second = (found[f"recovered/pixels/{reducer}"] for found in kept)
        assert np.array_equal(first, second)
        one, other = rows["pixels", reducer, 0], rows["pixels", reducer, 1]
        assert {key for key in one if one[key] != other[key]} <= {"seed", "probe_accuracy"}
        own, features = controls.merged(), controls._features("coarse", 1)
        assert other["probe_accuracy"] == probe_accuracy(first, *features, own, params.load().cluster.l2)
        assert not np.array_equal(*(found[f"recovered/untrained/{reducer}"] for found in kept))


def test_without_tsne_the_map_is_of_principal_components(tmp_path):
    folder = prepare(tmp_path / "pca", workers=1, reducers=["pca"])
    finish(folder)
    arrays = artifacts.read_arrays(folder / paths.clusters(0))
    assert list(arrays) == ["map", *(f"recovered/{source}/pca" for source in (*controls.SOURCES, "memorised"))]
    assert arrays["map"].shape == (120, 2)


def test_what_memorised_is_read_from_the_coarse_features_as_all_are_and_from_its_own(finished):
    result = artifacts.read_json(finished[0] / paths.results("cluster"))
    (row,) = (row for row in result["rows"] if row["source"] == "memorised")
    (own,) = result["memorised"]
    assert row["own_accuracy"] < row["probe_accuracy"]  # classes lie further apart in the coarse network's features
    assert own["probe_accuracy"] < result["oracle"][0]["probe_accuracy"]
    assert not [row for row in result["rows"] if row["source"] != "memorised" and "own_accuracy" in row]


def test_a_study_in_which_none_memorised_has_the_same_of_all_else(finished, tmp_path):
    folder = prepare(tmp_path / "none", workers=1, memorised=None)
    (folder / paths.memorised_features(0)).unlink()
    finish(folder)
    without, whole = (artifacts.read_json(each / paths.results("cluster")) for each in (folder, finished[0]))
    assert without["rows"] == [row for row in whole["rows"] if row["source"] != "memorised"]
    assert "memorised" not in without
    assert without["oracle"] == whole["oracle"]
    arrays, other = (artifacts.read_arrays(each / paths.clusters(0)) for each in (folder, finished[0]))
    assert arrays.keys() == {name for name in other if "memorised" not in name}
    assert all(np.array_equal(array, other[name]) for name, array in arrays.items())
