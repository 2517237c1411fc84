import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from hidden_structure.frame.errors import InputError
from hidden_structure.recovery import clustering
from hidden_structure.recovery.clustering import (
    information_within,
    kmeans,
    recover,
    reduce,
    reduce_within,
    scores,
    scores_within,
)
from hidden_structure.seeding import numpy_generator

REDUCERS = ["tsne", "pca", "raw"]
COARSE_OF = np.array([0, 1, 0, 1, 1])  # super-classes of two and of three classes


def groups(spread: float, samples: int = 200, dimension: int = 20):
    """Features in five groups on the vertices of a simplex, spread times as wide as they are apart."""
    generator = numpy_generator("groups", samples)
    fine = np.arange(samples) % 5
    noise = generator.standard_normal((samples, dimension))
    features = np.eye(5, dimension)[fine] + spread * noise
    return features.astype(np.float32), fine, COARSE_OF[fine]


def recovered_by(method: str, features, fine, coarse, *names):
    points = reduce_within(features, coarse, method, 30.0, 4, "source", *names)
    return recover(points, fine, coarse, COARSE_OF, 10, method, *names)


@pytest.mark.parametrize("method", REDUCERS)
def test_separate_groups_are_recovered(method):
    features, fine, coarse = groups(spread=0.05)
    recovered = recovered_by(method, features, fine, coarse)
    assert scores(recovered, fine) == pytest.approx(dict.fromkeys(("agreement", "nmi", "ari", "purity"), 1))
    within = scores_within(recovered, fine, coarse, ["two", "three"])
    assert within["two"] == pytest.approx(
        {"agreement": 1, "nmi": 1, "ari": 1, "purity": 1, "clusters": 2, "samples": 80}
    )
    assert within["three"]["clusters"] == 3


@pytest.mark.parametrize("method", ["tsne", "pca", "raw"])
@pytest.mark.parametrize("scale", [1e20, 1e35, 1e-25, 1e-37])
def test_groups_are_recovered_whatever_the_unit_of_features(method, scale):
    centres = np.repeat(20 * np.eye(3, 120), 40, axis=0)
    features = (centres + numpy_generator("units").standard_normal((120, 120))).astype(np.float32)
    points = reduce(features * np.float32(scale), method, 10.0, 10, 0)
    assert np.isfinite(points).all()
    assert np.bincount(kmeans(points, 3, 4, 0)).tolist() == [40, 40, 40]
    if method == "pca":
        np.testing.assert_allclose(points / scale, reduce(features, method, 10.0, 10, 0), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("method", ["pca", "raw"])
def test_labels_without_structure_are_recovered_by_chance_only(method):
    features, fine, coarse = groups(spread=0.05, samples=2000)
    shuffled = numpy_generator("shuffle").permutation(2000)
    within = np.empty_like(fine)
    for group in (0, 1):  # the features keep their super-class, but not their fine label
        own = np.flatnonzero(coarse == group)
        within[own] = fine[shuffled[np.isin(shuffled, own)]]
    found = scores_within(recovered_by(method, features, within, coarse), within, coarse, ["two", "three"])
    assert found["two"]["agreement"] == pytest.approx(1 / 2, abs=0.05)
    assert found["three"]["agreement"] == pytest.approx(1 / 3, abs=0.05)
    assert abs(found["two"]["ari"]) < 0.02
    assert abs(found["three"]["ari"]) < 0.02


def test_recovered_labels_stay_within_their_super_class():
    features, fine, coarse = groups(spread=1.0)
    recovered = recovered_by("raw", features, fine, coarse)
    np.testing.assert_array_equal(COARSE_OF[recovered], coarse)


@pytest.mark.parametrize("method", REDUCERS)
def test_the_same_seed_gives_the_same_bytes(method):
    features, fine, coarse = groups(spread=0.5)
    once, again = (reduce_within(features, coarse, method, 30.0, 4, "source", 0) for _ in range(2))
    assert once.tobytes() == again.tobytes()
    assert recovered_by(method, features, fine, coarse, 0).tobytes() == (
        recovered_by(method, features, fine, coarse, 0).tobytes()
    )


def test_tsne_does_not_depend_on_the_number_of_threads():
    features = numpy_generator("many").standard_normal((300, 30)).astype(np.float32)
    maps = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            maps.append(reduce(features, "tsne", 5.0, 2, 0))
    np.testing.assert_array_equal(*maps)


@pytest.mark.parametrize("samples", [4, 7, 40])
@pytest.mark.parametrize("dimension", [1, 2, 150])
def test_tsne_of_few_samples_and_any_dimension(samples, dimension):
    features = numpy_generator("few").standard_normal((samples, dimension)).astype(np.float32)
    points = reduce(features, "tsne", 30.0, 2, 0)
    assert points.shape == (samples, 2)
    assert np.isfinite(points).all()


def test_principal_components_keep_the_variance_and_pad_with_zeros():
    features = numpy_generator("low rank").standard_normal((30, 3)).astype(np.float32)
    points = reduce(features, "pca", 30.0, 5, 0)
    centred = features - features.mean(0)
    assert points.shape == (30, 5)
    assert not points[:, 3:].any()
    np.testing.assert_allclose(points @ points.T, centred @ centred.T, atol=1e-4)
    assert not reduce(np.ones((30, 3), np.float32), "pca", 30.0, 5, 0).any()


def test_clusters_are_named_one_to_one_by_the_best_assignment():
    """Three clusters of which two hold mostly class 2: only one of them may have its name."""
    points = np.repeat([[0.0], [10.0], [20.0]], 10, 0)
    fine = np.array([2] * 9 + [0] + [2] * 6 + [0] * 4 + [1] * 10)
    recovered = recover(points, fine, np.zeros(30, int), np.zeros(3, int), 3, "names")
    np.testing.assert_array_equal(recovered, [2] * 10 + [0] * 10 + [1] * 10)


def test_scores_by_hand():
    fine, recovered = np.array([0, 0, 0, 1, 1, 1]), np.array([1, 1, 0, 0, 0, 0])
    found = scores(recovered, fine)
    assert found["agreement"] == pytest.approx(1 / 6)
    assert found["purity"] == pytest.approx((2 + 3) / 6)
    renamed = scores(1 - recovered, fine)
    assert renamed["agreement"] == pytest.approx(5 / 6)
    assert {key: found[key] for key in ("nmi", "ari", "purity")} == pytest.approx(
        {key: renamed[key] for key in ("nmi", "ari", "purity")}
    )


def test_impossible_input_is_refused():
    ones, zeros = np.ones((10, 4), np.float32), np.zeros(10, int)
    fine = np.arange(10) % 3
    with pytest.raises(InputError, match="k-means needs 12 samples"):
        recover(ones, fine, zeros, np.zeros(12, int), 2, "names")
    with pytest.raises(InputError, match="found 1 different points where it needs 3"):
        recover(ones, fine, zeros, np.zeros(3, int), 2, "names")
    with pytest.raises(InputError, match="t-SNE needs 4 samples"):
        reduce(numpy_generator("three").standard_normal((3, 4)), "tsne", 30.0, 2, 0)
    with pytest.raises(InputError, match="one point only"):
        reduce(ones, "tsne", 30.0, 2, 0)
    with pytest.raises(InputError, match="NaN or infinity"):
        reduce(ones * np.nan, "raw", 30.0, 2, 0)


def test_information_inside_super_classes_is_of_those_that_hide_something():
    """A class that is merged with none is neither a success nor a failure of whatever looks for pieces in others."""
    draw = numpy_generator("information")
    fine, coarse = np.repeat([0, 1, 2, 3], 50), np.repeat([0, 0, 1, 2], 50)
    assert information_within(fine, fine, coarse) == pytest.approx(1)
    assert abs(information_within(draw.permutation(200) % 2, fine, coarse)) < 0.1
    assert abs(information_within(coarse, fine, coarse)) < 1e-9
    assert information_within(fine, fine, fine) == 0


def test_tsne_of_collapsed_features_starts_from_the_principal_components_of_their_differences(monkeypatch):
    draw = numpy_generator("collapsed")
    features = (1 + 1e-4 * draw.standard_normal((1200, 64)) * np.geomspace(1, 0.1, 64)).astype(np.float32)
    starts = []
    monkeypatch.setattr("hidden_structure.recovery.tsne.descend", lambda start, _: starts.append(start) or start)
    clustering._tsne(features, 30.0, 0)
    differences = features - features.mean(0, dtype=np.float64)
    axes = np.linalg.svd(differences, full_matrices=False)[0][:, :2]
    found = [abs(np.corrcoef(axes[:, axis], starts[0][:, axis])[0, 1]) for axis in range(2)]
    assert min(found) > 0.99


def test_principal_components_of_collapsed_features_are_those_of_their_differences():
    """Of features that lie far from 0 and close together, of which float32's squares would leave nothing."""
    draw = numpy_generator("collapsed")
    apart = draw.normal(size=(3000, 32)) + np.outer(np.arange(3000) % 2, draw.normal(size=32)) * 3
    mean = 10 * draw.normal(size=32)
    near, plain = (reduce((mean * shift + 1e-3 * apart).astype(np.float32), "pca", 0, 2, 0) for shift in (1, 0))
    signs = np.sign((near * plain).sum(0))
    np.testing.assert_allclose(near * signs, plain, atol=1e-2 * np.abs(plain).max())


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float16])
def test_pixels_fall_apart_as_the_same_numbers_in_floats_do(kind):
    features, fine, coarse = groups(spread=0.05)
    whole = np.rint((features - features.min()) * 60)
    expected, found = (reduce_within(whole.astype(one), coarse, "pca", 30.0, 4) for one in (np.float32, kind))
    assert scores(recover(found, fine, coarse, COARSE_OF, 10), fine)["agreement"] == 1
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("method", ["PCA", "umap", ""])
def test_a_reduction_that_is_not_known_is_refused(method):
    with pytest.raises(InputError, match="choose one of tsne, pca, raw"):
        reduce_within(*groups(spread=0.05)[::2], method, 30.0, 4)
