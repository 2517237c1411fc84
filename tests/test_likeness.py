import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Cluster
from hidden_structure.merges.likeness import (
    above_chance,
    confusion,
    similarity_of_means,
    within,
)
from hidden_structure.recovery.clustering import recover
from hidden_structure.recovery.recovery import Merged, cluster_and_probe
from hidden_structure.seeding import numpy_generator

labels = np.arange(60) % 4


def test_similarity_of_means_by_a_plain_loop():
    values = numpy_generator("values").integers(0, 256, (60, 3, 2, 1)).astype(np.uint8)
    found = similarity_of_means(values, labels, 4)
    means = [values[labels == label].astype(float).mean(0) for label in range(4)]
    distances = np.array([[math.sqrt(((a - b) ** 2).sum()) for b in means] for a in means])
    pairs = [distances[a, b] for a in range(4) for b in range(a)]
    np.testing.assert_allclose(found, 1 - distances / np.mean(pairs), atol=1e-12)


def test_classes_of_one_mean_are_wholly_alike_and_an_average_pair_is_at_zero():
    values = numpy_generator("values").standard_normal((60, 5))
    values[labels == 1] = values[labels == 3]
    found = similarity_of_means(values, labels, 4)
    np.testing.assert_allclose(found[[0, 1, 2, 3, 1], [0, 1, 2, 3, 3]], 1)
    np.testing.assert_array_equal(found, found.T)
    assert found[np.triu_indices(4, 1)].mean() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(similarity_of_means(7 * values + 3, labels, 4), found, atol=1e-12)


def test_confusion_by_a_plain_loop():
    logits = numpy_generator("logits").normal(0, 5, (60, 4))
    found, expected = confusion(logits, labels), np.zeros((4, 4))
    for logit, label in zip(logits, labels, strict=True):
        share = np.exp(logit) / np.exp(logit).sum()
        expected[label] += share / 15 / 2
        expected[:, label] += share / 15 / 2
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_confusion_knows_a_confident_network_from_one_that_mixes_two_classes_up():
    logits = 20.0 * np.eye(4)[labels]
    sure = confusion(logits, labels)
    np.testing.assert_allclose(sure, np.eye(4), atol=1e-8)
    mixed = confusion(np.where(labels[:, None] == 2, 20.0 * np.eye(4)[0], logits), labels)
    assert mixed[0, 2] == mixed[2, 0] == pytest.approx(0.5)
    assert (np.delete(mixed[2], [0, 2]) < 1e-6).all()


def test_what_cannot_be_compared_is_refused():
    values = np.ones((60, 2))
    with pytest.raises(InputError, match="one point"):
        similarity_of_means(values, labels, 4)
    with pytest.raises(InputError, match="class 4 has no sample"):
        similarity_of_means(values, labels, 5)
    with pytest.raises(InputError, match="NaN"):
        similarity_of_means(values * np.nan, labels, 4)
    with pytest.raises(InputError, match="class 4 has no sample"):
        confusion(np.zeros((60, 5)), labels)
    with pytest.raises(InputError, match="NaN"):
        confusion(np.full((60, 4), np.inf), labels)


def test_within_is_the_mean_over_pairs_and_leaves_out_single_classes():
    similarity = numpy_generator("similarity").random((6, 6))
    similarity = similarity + similarity.T
    coarse_of = np.array([0, 1, 0, 2, 0, 2])
    found = within(similarity, coarse_of)
    assert found.keys() == {0, 2}
    assert found[0] == pytest.approx((similarity[0, 2] + similarity[0, 4] + similarity[2, 4]) / 3)
    assert found[2] == pytest.approx(similarity[3, 5])
    assert within(similarity, np.arange(6)) == {}


@given(st.integers(2, 5), st.integers(0, 1000))
def test_a_score_lies_between_chance_and_all(classes: int, seed: int):
    assert above_chance(1, classes) == pytest.approx(1)
    assert above_chance(1 / classes, classes) == pytest.approx(0)
    draw = np.random.default_rng(seed)
    fine = np.append(np.arange(classes), draw.integers(0, classes, 20))
    zeros = np.zeros(len(fine), int)
    points = draw.random((len(fine), 1))
    recovered = recover(points, fine, zeros, np.zeros(classes, int), 1, "names")
    assert -1e-9 <= above_chance((recovered == fine).mean(), classes) <= 1


def test_a_merge_of_identical_classes_is_not_recovered_and_one_of_different_classes_is():
    draw, fine = numpy_generator("identical"), np.arange(2000) % 4
    means = 10 * np.eye(4, 6)
    means[2] = means[0]  # merged with class 0; classes 1 and 3 differ
    features = (means[fine] + draw.standard_normal((2000, 6))).astype(np.float32)
    merged = Merged(fine, fine % 2, fine, np.arange(4) % 2, ["same", "different"])
    settings = Cluster(reducers=["raw"], followed=None, perplexity=30.0, components=2, restarts=3, l2=1e-3)
    tensor = torch.from_numpy(features)
    row = cluster_and_probe(features, tensor, tensor, merged, settings, "raw", "names", 0).row
    scores = {name: above_chance(own["agreement"], 2) for name, own in row["superclasses"].items()}
    assert scores["same"] < 0.1
    assert scores["different"] > 0.99
    alike = within(similarity_of_means(features, fine, 4), merged.coarse_of)
    assert alike[0] > 0.95
    assert alike[1] < 0
