"""Classes split at random: what is drawn, what is measured of features made to measure, and the stage."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from hidden_structure.frame import artifacts, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.merges.split import draw, guess_accuracy, measure
from hidden_structure.seeding import numpy_generator, torch_generator
from hidden_structure.training.loop import snapshot_epochs

CLASSES, PARTS = 4, 3
LABELS = np.arange(240) % CLASSES


def drawn(chosen: int | None = None, parts: int = PARTS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return draw(LABELS, CLASSES, chosen, parts, numpy_generator("test", seed))


@given(st.integers(1, 5), st.integers(2, 4), st.integers(0, 5), st.integers(0, 99))
def test_the_parts_of_a_class_are_balanced_and_the_other_classes_are_left_whole(classes, parts, chosen, seed):
    chosen = min(chosen, classes)
    true = numpy_generator("labels", seed).permutation(np.arange(classes * 7 + seed % 5) % classes)
    labels, class_of = draw(true, classes, chosen, parts, numpy_generator("split", seed))
    assert np.array_equal(class_of[labels], true)
    assert len(class_of) == chosen * parts + classes - chosen
    counts = np.bincount(labels, minlength=len(class_of))
    for label in range(classes):
        own = counts[class_of == label]
        assert len(own) == (parts if label < chosen else 1)
        assert np.ptp(own) <= 1


def test_the_draw_is_random_and_depends_on_the_generator_alone():
    labels, _ = drawn()
    assert np.array_equal(labels, drawn()[0])
    assert not np.array_equal(labels, drawn(seed=1)[0])
    assert not np.array_equal(labels[LABELS == 0], np.arange((LABELS == 0).sum()) % PARTS)
    assert np.array_equal(drawn(CLASSES)[0], labels)


def test_impossible_splits_name_their_key():
    with pytest.raises(InputError, match=r"split\.classes is 5, but the data has 4 classes"):
        drawn(5)
    for parts in (60, 61):  # by 60 no sample had another one of its part
        with pytest.raises(InputError, match=rf"split\.parts is {parts}, but class 0 has 60 training samples"):
            drawn(parts=parts)


def test_who_knows_the_class_alone_guesses_the_part():
    assert guess_accuracy(*drawn()) == pytest.approx(1 / PARTS)
    assert guess_accuracy(*drawn(1)) == pytest.approx((1 / PARTS + 3) / 4)


def features(class_scale: float, part_scale: float, noise: float, chosen: int | None = None) -> tuple[dict, tuple]:
    """Tensors of a network whose features are a point a class, plus one a part, plus noise."""
    labels, class_of = drawn(chosen)
    generator = torch_generator("features")

    def points(count: int, scale: float) -> torch.Tensor:
        return scale * torch.eye(16)[:count]

    class_points = points(CLASSES, class_scale)
    part_points = class_points[torch.from_numpy(class_of)] + points(16, part_scale)[-len(class_of) :]
    train = part_points[torch.from_numpy(labels)] + noise * torch.randn(len(labels), 16, generator=generator)
    test = class_points[torch.from_numpy(LABELS)] + noise * torch.randn(len(labels), 16, generator=generator)
    tensors = {"train": train, "test": test, "weight": part_points, "bias": -part_points.square().sum(1) / 2}
    return tensors, (labels, class_of)


def measured(*scales: float, chosen: int | None = None) -> dict:
    tensors, split = features(*scales, chosen=chosen)
    return measure(tensors, *split, LABELS, 5, 1e-4, "test")


def test_where_features_know_classes_only_they_group_by_class_and_parts_coincide():
    found = measured(1.0, 0.0, 0.05)
    assert found["agreement"] == found["ari"] == found["purity"] == pytest.approx(1)
    assert found["parts_distance"] < 0.1
    assert abs(found["own_part"] - 1 / PARTS) < 0.1
    assert found["probe_accuracy"] == found["nearest_accuracy"] == found["class_accuracy"] == 1


def test_where_features_know_parts_only_they_do_not_group_by_class():
    found = measured(0.0, 1.0, 0.05)
    assert found["agreement"] < 0.8
    assert found["ari"] < 0.8
    assert found["own_part"] == 1
    assert found["parts_distance"] > 1  # means of classes average over the parts
    assert found["nearest_accuracy"] < 0.6


def test_parts_inside_classes_are_told_apart_and_still_grouped():
    found = measured(1.0, 0.3, 0.02)
    assert found["agreement"] == found["own_part"] == 1
    assert 0.1 < found["parts_distance"] < 0.5
    assert found["probe_accuracy"] == 1


def test_the_distance_of_parts_is_that_of_their_means_over_that_of_classes():
    labels, class_of = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 1])  # class 0 at 0 in two parts, class 1 at 10
    train = torch.tensor([[-1.0], [-2.0], [1.0], [2.0], [10.5], [9.5]])
    tensors = {"train": train, "test": train, "weight": torch.tensor([[-1.0], [0.0], [1.0]])}
    found = measure(tensors, labels, class_of, class_of[labels], 5, 1e-4, "test")
    assert found["parts_distance"] == pytest.approx((9 - 2 * 0.5 / 2) ** 0.5 / 10)  # less the means' own variances
    assert found["own_part"] == 1  # of the two parts of class 0
    assert found["class_accuracy"] == pytest.approx(4 / 6)  # weights without a bias: -1, -2 are part 0, others part 2


@pytest.mark.parametrize("dimension", [16, 256])
def test_what_samples_scatter_is_no_memory_of_parts(dimension):
    labels, class_of = draw(LABELS, CLASSES, None, 2, numpy_generator("test", 0))
    train = torch.randn(len(labels), dimension, generator=torch_generator("noise"))
    train[:, :CLASSES] += 20 * torch.eye(CLASSES)[torch.from_numpy(LABELS)]
    tensors = {"train": train, "test": train, "weight": torch.zeros(2 * CLASSES, dimension)}
    found = measure(tensors, labels, class_of, LABELS, 1, 1e-4, "test")
    assert found["own_part"] == pytest.approx(0.5, abs=0.1)
    assert found["parts_distance"] < 0.05


def test_a_part_of_one_sample_says_nothing_of_its_own_part():
    labels, class_of = np.array([0, 1, 1, 2, 2]), np.array([0, 0, 1])
    train = torch.tensor([[0.5], [-3.0], [3.0], [20.0], [21.0]])  # of the others each is nearer to it than to its twin
    tensors = {"train": train, "test": train, "weight": torch.zeros(3, 1)}
    assert measure(tensors, labels, class_of, class_of[labels], 1, 1e-4, "test")["own_part"] == 0


def test_only_split_classes_count_for_the_parts():
    tensors, (labels, class_of) = features(1.0, 0.3, 0.02, chosen=1)
    found = measure(tensors, labels, class_of, LABELS, 5, 1e-4, "test")
    moved = dict(tensors)
    moved["train"] = tensors["train"].clone()
    moved["train"][labels >= PARTS, 5] += torch.randn(int((labels >= PARTS).sum()), generator=torch_generator("moved"))
    assert measure(moved, labels, class_of, LABELS, 5, 1e-4, "test")["own_part"] == found["own_part"] == 1


def test_dead_or_diverged_features_are_one_line():
    tensors, split = features(1.0, 0.3, 0.02)
    with pytest.raises(InputError, match="NaN or infinity"):
        measure(tensors | {"train": tensors["train"] * torch.nan}, *split, LABELS, 5, 1e-4, "test")
    with pytest.raises(InputError, match="collapsed or died"):
        measure(tensors | {"train": torch.zeros_like(tensors["train"])}, *split, LABELS, 5, 1e-4, "test")


# --- the stage ---

SPLIT = {"seeds": [0, 1], "train": None, "classes": None, "parts": 2}


def prepare(folder: Path, **settings) -> Path:
    folder.mkdir(exist_ok=True)
    tiny.write_params(folder, split=SPLIT | settings, train={"epochs": 60, "batch_size": 32, "snapshots": 4, "crop": 0})
    tiny.write_data(folder)
    return folder


def stage(folder: Path) -> SimpleNamespace:
    return tiny.in_process(folder, "split.py")


def metrics(folder: Path) -> list[Path]:
    return [folder / paths.results(name) for name in ("split", "hardware-split")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = prepare(tmp_path_factory.mktemp("split"))
    done = stage(folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_seed_and_snapshot_has_a_row_and_nothing_else_is_left(folder):
    rows = artifacts.read_json(metrics(folder)[0])
    epochs = sorted({row["epoch"] for row in rows})
    assert epochs == snapshot_epochs(60, 4)
    assert [(row["seed"], row["epoch"]) for row in rows] == [(seed, epoch) for seed in (0, 1) for epoch in epochs]
    assert artifacts.read_json(metrics(folder)[1])["device"]
    assert not list((folder / paths.RESUME).iterdir())


def test_a_network_first_groups_by_class_and_then_memorises_the_split(folder):
    rows = artifacts.read_json(metrics(folder)[0])
    untrained, *between, end = rows[: len(rows) // 2]
    assert untrained["train_accuracy"] < 0.3
    assert end["train_accuracy"] > 0.9 > end["guess_accuracy"]
    assert any(row["agreement"] > 0.9 for row in (*between, end))
    assert end["parts_distance"] > between[0]["parts_distance"]


def test_two_runs_write_the_same_bytes(folder, tmp_path):
    assert stage(prepare(tmp_path / "again")).returncode == 0
    assert [file.read_bytes() for file in metrics(tmp_path / "again")] == [
        file.read_bytes() for file in metrics(folder)
    ]


def test_without_the_part_there_are_no_rows_and_nothing_is_read(tmp_path):
    tiny.write_params(tmp_path, split=None)
    assert stage(tmp_path).returncode == 0
    assert [file.read_bytes() for file in metrics(tmp_path)] == [b"[]\n", b"null\n"]


def test_an_impossible_split_is_one_line_and_writes_nothing(tmp_path):
    stopped = stage(prepare(tmp_path, classes=11))
    assert stopped.stderr.startswith("error: seed 0: split.classes is 11")
    assert not (tmp_path / paths.results("split")).exists()
