"""Classes with few images: which images stay, what is measured of the networks, what the model says of them."""

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.imbalance import Imbalance
from hidden_structure.merges.imbalance import draw, majority_of, measure
from hidden_structure.seeding import numpy_generator, torch_generator
from hidden_structure.unconstrained import model, peeled
from hidden_structure.unconstrained.bridge_minority import minority_cosine, norms, thresholds
from hidden_structure.unconstrained.minority import groups
from hidden_structure.unconstrained.model import Problem, random_start
from hidden_structure.unconstrained.peeled import Peeled
from hidden_structure.unconstrained.two_groups import TwoGroups

TRAIN = params.load().train
DECAY = 4e-3
RECIPE = TRAIN.model_copy(update={"weight_decay": DECAY})


@given(st.integers(4, 9), st.integers(20, 60), st.integers(1, 9), st.integers(0, 3))
def test_the_minority_keeps_its_share_and_larger_ratios_keep_fewer_of_the_same(classes, each, ratio, seed):
    labels = numpy_generator("labels", seed).permutation(np.repeat(np.arange(classes), each))
    majority = classes // 2
    more, fewer = (draw(labels, majority, one, 1, numpy_generator("imbalance", seed)) for one in (ratio, 2 * ratio))
    assert (np.diff(more) > 0).all()
    assert set(fewer) <= set(more)
    assert np.bincount(labels[more]).tolist() == [each] * majority + [round(each / ratio)] * (classes - majority)


def test_the_seed_alone_decides_which_images_stay():
    labels = np.arange(200) % 4
    first, again, other = (draw(labels, 2, 5, 1, numpy_generator("imbalance", seed)) for seed in (0, 0, 1))
    assert (first == again).all()
    assert set(first[labels[first] >= 2]) != set(other[labels[other] >= 2])


def test_too_few_images_are_one_line():
    with pytest.raises(
        InputError, match=r"^imbalance.ratios: 10 leaves class 2 5 of its 50 .* imbalance.least is 6"
    ) as error:
        draw(np.arange(200) % 4, 2, 10, 6, numpy_generator("imbalance"))
    assert "\n" not in str(error.value)


def test_smoothed_labels_are_refused_for_the_model_knows_none():
    smoothed = TRAIN.model_copy(update={"label_smoothing": 0.1}).model_dump()
    with pytest.raises(ValueError, match="label_smoothing must be 0"):
        Imbalance(seeds=[0], train=smoothed, classes=None, ratios=[1, 2], least=1)


def test_each_group_has_classes_enough_for_an_angle():
    settings = Imbalance(seeds=[0], train=TRAIN, classes=None, ratios=[1, 2], least=1)
    assert majority_of(settings, 5) == 2
    for classes, majority in ((3, None), (10, 9)):
        with pytest.raises(InputError, match=r"^imbalance\.classes: "):
            majority_of(settings.model_copy(update={"classes": majority}), classes)


def optimum(bias: bool) -> tuple[dict, Problem]:
    """Free features at the minimum of the penalised model, in the place of a network, moved by a constant."""
    problem = Problem((12,) * 2 + (3,) * 3, 6, "cross-entropy", bias, DECAY, 2e-3, DECAY)
    point = model.solve(problem, random_start(problem, torch_generator("optimum"))).point
    tensors = {"train": point.features, "test": point.features, "weight": point.weight}
    return tensors | ({"bias": point.bias} if bias else {}), problem


@pytest.mark.parametrize("bias_decay", [None, 0.0, DECAY])
@pytest.mark.parametrize("large", [12, 60])
def test_at_the_optimum_the_model_under_decay_says_what_is(bias_decay, large):
    """Whatever part of the features' mean does something: all of what differences of logits see without a bias, less
    of it beside a bias that costs, nothing beside one that is free."""
    bias = bias_decay is not None
    problem = Problem((large,) * 2 + (3,) * 3, 6, "cross-entropy", bias, DECAY, 1e-3, bias_decay or 0.0)
    point = model.solve(problem, random_start(problem, torch_generator("optimum"))).point
    shift = 3 * torch.linalg.svd(point.weight).Vh[-1]  # that no logit sees, as the mean of features after a ReLU
    given_norms = norms(point.features + shift, problem.labels, point.weight, DECAY, bias_decay)
    assert given_norms.feature_decay == pytest.approx(1e-3, rel=1e-6)
    found = minority_cosine(TwoGroups(2, 3, large, 3), given_norms)
    assert found["decay"] == pytest.approx(groups(problem, point)["minority_cosine"], abs=1e-6)


def test_at_the_optimum_under_bounds_the_model_says_what_is():
    counts = (6,) * 2 + (2,) * 2
    alike = Problem(counts, 5, "cross-entropy", False, DECAY, DECAY)
    point = peeled.solve(Peeled(counts, counts, 5, 4.0, 2.0), random_start(alike, torch_generator("bounds")))
    shift = 3 * torch.linalg.svd(point.weight).Vh[-1]
    given_norms = norms(point.features + shift, alike.labels, point.weight, 0.0)
    assert given_norms.row_energy == pytest.approx(4.0)
    assert given_norms.feature_energy == pytest.approx(2.0)
    found = minority_cosine(TwoGroups(2, 2, 6, 2), given_norms)
    assert found["bounds"] == pytest.approx(groups(alike, point)["minority_cosine"], abs=1e-6)
    assert found["decay"] is None
    assert thresholds(2, 2, 6, given_norms)["decay"] is None


def test_a_class_without_samples_has_no_norm():
    with pytest.raises(InputError, match="class 3 has no sample"):
        norms(torch.ones(12, 5), torch.arange(12) % 3, torch.ones(4, 5), DECAY)


@pytest.mark.parametrize("bias", [False, True])
def test_every_measure_is_right_of_free_features_at_their_optimum(bias):
    tensors, problem = optimum(bias)
    labels = problem.labels.numpy()
    order = torch.randperm(len(labels), generator=torch_generator("order"))
    samples = torch.empty_like(order)
    samples[order] = torch.arange(len(labels))  # where the images lie of which the features come in another order
    tensors["train"] = tensors["train"][order]
    found = measure(tensors, samples.numpy(), {"train": labels, "test": labels}, 2, RECIPE)
    expected = groups(problem, model.Point(tensors["weight"], tensors["train"], None))
    for name in ("majority", "minority"):
        assert found[name]["norm_rows"] == pytest.approx(expected[f"{name}_norm"])
        assert found[name]["cosine_rows"] == pytest.approx(expected[f"{name}_cosine"])
        assert found[name]["train_accuracy"] == found[name]["test_accuracy"] == 1
    assert found["nc1"] < 1e-12
    means = torch.stack([tensors["test"][problem.labels == label].mean(0) for label in range(5)])
    means -= means.mean(0)
    for name, own in (("majority", means[:2]), ("minority", means[2:])):
        assert found[name]["norm_means"] == pytest.approx(own.norm(dim=1).mean().item())
        assert found[name]["cosine_means"] == pytest.approx(pairs(own))
    assert found["norms"]["bias_decay"] == (DECAY if bias else None)
    assert found["norms"]["weight_decay"] == DECAY
    assert found["model"]["decay"] == pytest.approx(found["minority"]["cosine_rows"], abs=1e-6)


def pairs(rows: torch.Tensor) -> float:
    """The mean cosine of two of them."""
    rows = (rows / rows.norm(dim=1, keepdim=True)).numpy()
    return float(np.mean([rows[i] @ rows[j] for i in range(len(rows)) for j in range(i)]))


def test_all_classes_weigh_the_same_whatever_their_size():
    tensors, problem = optimum(True)
    labels = problem.labels.numpy()
    wrong = labels.copy()
    wrong[-3:] = 3  # of the last class nothing is right
    wrong[0] = 4
    found = measure(tensors, np.arange(len(labels)), {"train": labels, "test": wrong}, 2, RECIPE)
    assert found["majority"]["test_accuracy"] == 1  # of the images that are of these classes
    assert found["minority"]["test_accuracy"] == pytest.approx((1 + 3 / 6 + 0) / 3)
    assert found["test_accuracy"] == pytest.approx((2 + 1 + 3 / 6 + 0) / 5)


def test_a_last_layer_may_begin_at_zero():
    tensors, problem = optimum(True)
    labels = problem.labels.numpy()
    zero = {name: torch.zeros_like(tensors[name]) for name in ("weight", "bias")}
    found = measure(tensors | zero, np.arange(len(labels)), {"train": labels, "test": labels}, 2, RECIPE)
    assert found["minority"]["cosine_rows"] == found["minority"]["norm_rows"] == 0
    assert found["model"] == {"bounds": None, "decay": None}


def test_features_that_died_are_one_line():
    tensors, problem = optimum(True)
    labels = problem.labels.numpy()
    with pytest.raises(InputError, match="is the network dead") as error:
        measure(
            tensors | {"train": torch.zeros_like(tensors["train"])},
            np.arange(len(labels)),
            {"train": labels, "test": labels},
            2,
            RECIPE,
        )
    assert "\n" not in str(error.value)


def test_without_decay_the_model_under_decay_says_nothing():
    tensors, problem = optimum(True)
    labels = problem.labels.numpy()
    none = RECIPE.model_copy(update={"weight_decay": 0.0})
    found = measure(tensors, np.arange(len(labels)), {"train": labels, "test": labels}, 2, none)
    assert found["model"]["decay"] is None
    assert found["model"]["bounds"] is not None


# --- the stage ---


def prepare(folder: Path, **settings) -> Path:
    folder.mkdir(exist_ok=True)
    train = {"epochs": 20, "batch_size": 32, "snapshots": 2, "crop": 0}
    tiny.write_params(folder, imbalance={"seeds": [0, 1], "train": None} | settings, train=train)
    tiny.write_data(folder)
    return folder


def results(folder: Path) -> list[Path]:
    return [folder / paths.results(name) for name in ("imbalance", "hardware-imbalance")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = prepare(tmp_path_factory.mktemp("imbalance"))
    done = tiny.in_process(folder, "imbalance.py")
    assert done.returncode == 0, done.stderr
    return folder


def test_every_network_has_a_row_before_training_and_at_the_end(folder):
    found = artifacts.read_json(results(folder)[0])
    rows = [(row["ratio"], row["seed"], row["epoch"]) for row in found["networks"]]
    longer = round(20 * (320 // 32) / ((160 + 5 * 8) // 32))  # as many steps over fewer images
    assert rows == [
        (ratio, seed, epoch) for ratio, end in ((1, 20), (4, longer)) for seed in (0, 1) for epoch in (0, end)
    ]
    assert found["line"][0]["ratio"] == 1
    assert found["line"][-1]["ratio"] == 40
    assert found["line"][0]["bounds"] == pytest.approx(-1 / 9)
    assert artifacts.read_json(results(folder)[1])["device"]
    assert not list((folder / paths.RESUME).iterdir())


def test_networks_of_a_seed_begin_alike_and_the_minority_comes_closer(folder):
    networks = artifacts.read_json(results(folder)[0])["networks"]
    start, end = ([row for row in networks if (row["epoch"] > 0) == trained] for trained in (False, True))
    cosines = [[row["minority"]["cosine_rows"] for row in rows] for rows in (start, end)]
    assert cosines[0][:2] == cosines[0][2:]
    assert all(late > early for early, late in zip(cosines[1][:2], cosines[1][2:], strict=True))
    assert all(row["test_accuracy"] > 0.9 for row in end if row["ratio"] == 1)


def test_two_runs_write_the_same_bytes(folder, tmp_path):
    again = prepare(tmp_path / "again")
    assert tiny.in_process(again, "imbalance.py").returncode == 0
    assert [file.read_bytes() for file in results(again)] == [file.read_bytes() for file in results(folder)]


def test_an_impossible_ratio_is_one_line_and_writes_nothing(tmp_path):
    stopped = tiny.in_process(prepare(tmp_path / "study", least=9), "imbalance.py")
    assert stopped.stderr.startswith("error: ratio 4, seed 0: imbalance.ratios: 4 leaves class 5 8 of its 32")
    assert not results(tmp_path / "study")[0].exists()
