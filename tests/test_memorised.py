"""Coarse labels shuffled over the images: what is drawn, and the stage that lets networks memorise them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from hidden_structure.frame import artifacts, paths
from hidden_structure.merges.memorised import shuffled


@given(st.integers(1, 6), st.integers(0, 40), st.integers(0, 99))
def test_every_class_keeps_its_number_of_samples(classes, more, seed):
    labels = np.arange(classes * 5 + more) % classes
    assert np.array_equal(np.bincount(shuffled(labels, seed)), np.bincount(labels))


def test_what_is_dealt_out_says_nothing_of_the_true_label_and_depends_on_the_seed_alone():
    labels = np.arange(3000) % 5
    drawn = shuffled(labels, 0)
    assert np.array_equal(drawn, shuffled(labels, 0))
    assert not np.array_equal(drawn, shuffled(labels, 1))
    table = np.zeros((5, 5))
    np.add.at(table, (labels, drawn), 1)
    assert np.abs(table / 600 - 0.2).max() < 0.08  # five standard deviations


# --- the stage ---

RECIPE = {"epochs": 120, "batch_size": 32, "snapshots": 2, "crop": 0, "lr": 0.1}


def prepare(folder: Path, **sections) -> Path:
    folder.mkdir(exist_ok=True)
    own = {"memorised": {"train": None}, "train": RECIPE, "network": {"width": 128, "norm": "batch"}}
    tiny.write_params(folder, **(own | sections))
    tiny.write_data(folder, samples=160)
    return folder


def stage(folder: Path) -> SimpleNamespace:
    done = tiny.in_process(folder, "train_memorised.py")
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = prepare(tmp_path_factory.mktemp("memorised"))
    stage(folder)
    return folder


def test_networks_memorise_what_they_are_told_and_know_nothing_of_the_true_labels(folder):
    rows = artifacts.read_json(folder / paths.results("memorised"))
    assert [row["seed"] for row in rows] == [0, 1]
    assert all(row["train_accuracy"] > 0.95 for row in rows)
    assert all(row["test_accuracy"] < 0.4 for row in rows)  # 1 in 5 is chance; these images are easily told apart
    assert artifacts.read_json(folder / paths.results("hardware-memorised"))["device"]
    assert not list((folder / paths.RESUME).iterdir())


def test_features_of_both_splits_are_kept_where_cluster_reads_them(folder):
    tensors = artifacts.read_tensors(folder / paths.memorised_features(1), {"train": 160, "test": 160, "weight": 5})
    assert tensors["train"].shape == tensors["test"].shape == (160, 128)


def test_a_network_begins_as_the_coarse_network_of_its_seed(tmp_path):
    """With a rate of nothing it stays there."""
    still = RECIPE | {"epochs": 1, "lr": 1e-30, "weight_decay": 0.0}
    folder = prepare(tmp_path, train=still, seeds=[1], network={"norm": "none"})
    stage(folder)
    assert tiny.in_process(folder, "train.py", "coarse").returncode == 0
    untrained = artifacts.read_tensors(folder / paths.snapshot("coarse", 1, 0))
    kept = artifacts.read_tensors(folder / paths.memorised_features(1))
    weights = [tensor for tensor in untrained.values() if tensor.shape == kept["weight"].shape]
    assert any(np.allclose(tensor.numpy(), kept["weight"].numpy(), rtol=0, atol=1e-12) for tensor in weights)


def test_without_the_part_nothing_is_trained_and_what_was_there_is_gone(tmp_path):
    prepare(tmp_path, memorised=None)
    artifacts.write_json(tmp_path / paths.MEMORISED / "of-another-study.json", 1)
    (tmp_path / paths.DATA).unlink()
    stage(tmp_path)
    files = [tmp_path / paths.results(name) for name in ("memorised", "hardware-memorised")]
    assert [file.read_bytes() for file in files] == [b"[]\n", b"null\n"]
    assert not list((tmp_path / paths.MEMORISED).iterdir())
