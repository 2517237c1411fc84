"""What the library's functions are called with by hand: arrays and tensors alike, and what is neither is one line."""

from collections.abc import Callable
from dataclasses import astuple
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from hidden_structure.collapse.metrics import class_distances, measure
from hidden_structure.frame.errors import InputError
from hidden_structure.recovery import kmeans, probing
from hidden_structure.recovery.clustering import recover, reduce_within, scores
from hidden_structure.recovery.count import estimate

SAMPLES, CLASSES, DIMENSION = 60, 4, 5
DRAW = np.random.default_rng(0)
LABELS = np.arange(SAMPLES) % CLASSES
COARSE, COARSE_OF = LABELS // 2, np.arange(CLASSES) // 2
FEATURES = (DRAW.normal(size=(SAMPLES, DIMENSION)) + 3 * np.eye(CLASSES, DIMENSION)[LABELS]).astype(np.float32)
TRANSPOSED = FEATURES.T
WEIGHT, BIAS = DRAW.normal(size=(CLASSES, DIMENSION)).astype(np.float32), np.zeros(CLASSES, np.float32)
PROBE = probing.fit(torch.from_numpy(FEATURES), torch.from_numpy(LABELS), CLASSES, 1e-2)

OF_FEATURES: dict[str, Callable[[Any, Any], Any]] = {
    "measure": lambda features, labels: astuple(measure(features, labels, WEIGHT, BIAS)),
    "class_distances": lambda features, labels: class_distances(features, labels, CLASSES),
    "fit": lambda features, labels: probing.fit(features, labels, CLASSES, 1e-2).weight,
    "accuracy": partial(probing.accuracy, PROBE),
    "reduce_within": lambda features, labels: reduce_within(features, labels, "pca", 5, 2),
    "recover": lambda features, labels: recover(features, labels, np.zeros(len(labels), int), [0] * CLASSES, 2),
}
OF_POINTS: dict[str, Callable[[Any], Any]] = {
    "estimate": estimate,
    "cluster": lambda points: kmeans.cluster(points, 3, 2, 0)[0],
}
OF_LABELS: dict[str, Callable[[Any], Any]] = {
    **{name: partial(function, FEATURES) for name, function in OF_FEATURES.items()},
    "scores of recovered": lambda labels: scores(labels, LABELS),
    "scores of fine": lambda labels: scores(LABELS, labels),
    "recover within": lambda labels: recover(FEATURES, LABELS, labels, np.zeros(CLASSES, int), 2),
}


def refused(said: str, function: Callable, *arguments: Any) -> None:
    with pytest.raises(InputError, match=said) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    assert not {"train.lr", "cluster.", "distill.", "hardware."} & {*str(caught.value).replace(":", " ").split()}


@pytest.mark.parametrize("name", OF_FEATURES)
def test_arrays_and_tensors_give_the_same_bytes(name):
    tensors = torch.from_numpy(FEATURES).requires_grad_(), torch.from_numpy(LABELS)
    swapped = FEATURES.astype(">f4"), LABELS.astype(np.uint8)
    wanted, *others = (np.asarray(OF_FEATURES[name](*own)) for own in ((FEATURES, LABELS), tensors, swapped))
    for other in others:
        np.testing.assert_array_equal(other, wanted)


@pytest.mark.parametrize("name", OF_POINTS)
def test_points_may_be_tensors(name):
    wanted, found = (OF_POINTS[name](own) for own in (FEATURES, torch.from_numpy(FEATURES).requires_grad_()))
    assert np.array_equal(found, wanted) if name == "cluster" else found == wanted


@pytest.mark.parametrize("name", OF_LABELS)
@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.eye(CLASSES)[LABELS], r"must be int64 \(60,\), .*got .*\(60, 4\).*argmax"),
        (LABELS.astype(str), "must be an array or a tensor of numbers"),
        (LABELS.astype(float), r"must be int64 \(60,\), .*got .*float64"),
        (LABELS > 1, r"must be int64 \(60,\), .*got .*bool"),
        (LABELS[:, None], r"must be int64 \(60,\), .*got .*\(60, 1\)"),
    ],
    ids=["one-hot", "strings", "floats", "bools", "a column"],
)
def test_labels_that_are_none_are_named(name, labels, said):
    refused(said, OF_LABELS[name], labels)


@pytest.mark.parametrize("name", OF_LABELS)
def test_as_many_labels_as_samples_are_asked_for(name):
    refused("must be int64", OF_LABELS[name], LABELS[:5])


@pytest.mark.parametrize("name", [*OF_FEATURES, *OF_POINTS])
@pytest.mark.parametrize(
    ("features", "said"),
    [
        (TRANSPOSED, r"must be int64 \(5,\)|must be real numbers \(rows, 5\), got torch.float32 \(5, 60\)"),
        (FEATURES[:, 0], r"must be real numbers \(rows, .\), got .*float32 \(60,\)"),
        (FEATURES[:, :0], r"must be real numbers \(rows, .\), got .*float32 \(60, 0\)"),
        (FEATURES.astype(str), "must be an array or a tensor of numbers"),
        (FEATURES * 1j, "must be"),
        (np.where(FEATURES > 3, np.nan, FEATURES), "NaN or infinity"),
        (FEATURES[:0], "there are no|must be int64|makes 1 to 0 clusters"),
    ],
    ids=["transposed", "a vector", "no dimension", "strings", "complex", "nan", "none"],
)
def test_features_that_are_none_are_named(name, features, said):
    if name in OF_FEATURES:
        refused(said, OF_FEATURES[name], features, LABELS)
    elif features is not TRANSPOSED:  # points of another shape are points
        refused(said, OF_POINTS[name], features)


@pytest.mark.parametrize(
    ("weight", "bias", "said"),
    [
        (WEIGHT.T, None, "labels|weight must be real numbers"),
        (WEIGHT[:, :3], None, r"weight must be real numbers \(rows, 5\), got torch.float32 \(4, 3\)"),
        (WEIGHT, BIAS[:, None], r"bias must be \(4\), got"),
        (WEIGHT, BIAS[:2], r"bias must be \(4\), got"),
        (WEIGHT.astype(str), None, "weight must be an array"),
    ],
)
def test_a_last_layer_of_another_shape_is_named(weight, bias, said):
    refused(said, measure, FEATURES, LABELS, weight, bias)


def test_one_class_has_no_collapse():
    refused("two classes or more", measure, FEATURES, LABELS * 0, WEIGHT[:1], None)


@pytest.mark.parametrize("l2", [-1.0, float("nan"), float("inf")])
def test_penalties_that_are_none_are_refused(l2):
    refused("^l2: .* is no penalty", probing.fit, FEATURES, LABELS, CLASSES, l2)


@pytest.mark.parametrize("components", [0, -1, 1.5])
def test_points_have_dimensions(components):
    refused("^components: ", reduce_within, FEATURES, COARSE, "pca", 5, components)


@pytest.mark.parametrize("perplexity", [0, -1.0, float("nan")])
def test_a_perplexity_is_a_number_of_neighbours(perplexity):
    refused("^perplexity: ", reduce_within, FEATURES, COARSE, "tsne", perplexity, 2)


@pytest.mark.parametrize(
    ("fine", "coarse_of", "said"),
    [
        (LABELS, COARSE_OF[:3], r"coarse_of tells, must lie in 0\.\.2, got 0 to 3"),
        (LABELS - 1, COARSE_OF, "must lie in 0..3, got -1 to 2"),
        (LABELS, LABELS[:CLASSES] % 2, "original class 1 is of super-class 0, but coarse_of says 1"),
        (LABELS, COARSE_OF.astype(str), "coarse_of must be"),
        (LABELS, np.eye(2)[COARSE_OF], "coarse_of must be"),
    ],
)
def test_super_classes_that_contradict_each_other_are_told(fine, coarse_of, said):
    refused(said, recover, FEATURES, fine, COARSE, coarse_of, 2)


@pytest.mark.parametrize(("clusters", "restarts"), [(0, 1), (-1, 1), (SAMPLES + 1, 1), (2, 0)])
def test_numbers_of_clusters_that_points_cannot_fall_into_are_refused(clusters, restarts):
    refused("k-means makes 1 to 60 clusters", kmeans.cluster, FEATURES, clusters, restarts, 0)
