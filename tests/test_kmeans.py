import numpy as np
import pytest
from sklearn.cluster import KMeans

from hidden_structure.recovery.kmeans import cluster
from hidden_structure.seeding import numpy_generator


def blobs(clusters: int, samples: int = 400, dimension: int = 5, apart: float = 2.0) -> np.ndarray:
    draw = numpy_generator("blobs", clusters, dimension)
    centres = apart * draw.standard_normal((clusters, dimension))
    return centres[np.arange(samples) % clusters] + draw.standard_normal((samples, dimension))


def inertia(points: np.ndarray, labels: np.ndarray) -> float:
    own = [points[labels == label].astype(np.float64) for label in np.unique(labels)]
    return sum(np.square(each - each.mean(0)).sum() for each in own)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(("clusters", "dimension"), [(2, 2), (5, 5), (5, 300), (12, 2)])
def test_clusters_are_as_tight_as_scikit_learns(clusters, dimension, kind):
    points = blobs(clusters, dimension=dimension).astype(kind)
    labels, total = cluster(points, clusters, 10, 0)
    peer = KMeans(clusters, n_init=10, random_state=0).fit(points)
    assert total == pytest.approx(inertia(points, labels), rel=1e-3)  # a last shift may be within the tolerance
    assert total < 1.005 * peer.inertia_


def test_every_point_is_nearest_to_the_mean_of_its_own_cluster():
    points = blobs(4)
    labels, _ = cluster(points, 4, 3, 0)
    means = np.stack([points[labels == label].mean(0) for label in range(4)])
    distances = np.square(points[:, None] - means).sum(2)
    assert (distances.argmin(1) == labels).mean() > 0.99


def test_place_and_chunks_do_not_matter(monkeypatch):
    points = blobs(5, apart=6.0)
    labels, total = cluster(points, 5, 4, 0)
    moved, _ = cluster(points + 1e4, 5, 4, 0)
    np.testing.assert_array_equal(moved, labels)
    monkeypatch.setattr("hidden_structure.recovery.kmeans.CHUNK_VALUES", 20 * 7)
    chunked, again = cluster(points, 5, 4, 0)
    np.testing.assert_array_equal(chunked, labels)
    assert again == pytest.approx(total)


def test_the_seed_decides_everything():
    points = blobs(6, apart=0.0)
    assert np.array_equal(cluster(points, 6, 2, 3)[0], cluster(points, 6, 2, 3)[0])
    assert len({cluster(points, 6, 1, seed)[1] for seed in range(5)}) > 1


def test_more_restarts_are_no_worse():
    points = blobs(8, apart=1.0)
    assert cluster(points, 8, 20, 0)[1] <= min(cluster(points, 8, 1, seed)[1] for seed in range(3)) * 1.01


def test_points_far_apart_are_clusters_of_their_own():
    """Whatever it starts from: a centre that no point is nearest to moves."""
    points = np.concatenate([np.zeros((50, 2)), [[1e6, 0.0], [0.0, 1e6]]])
    for seed in range(5):
        labels, _ = cluster(points, 3, 1, seed)
        assert sorted(np.bincount(labels)) == [1, 1, 50]


def test_equal_points_are_one_cluster():
    labels, total = cluster(np.ones((20, 3)), 4, 2, 0)
    assert len(np.unique(labels)) == 1
    assert total == 0
    three = np.repeat([[0.0], [1.0], [5.0]], 4, 0)
    assert len(np.unique(cluster(three, 5, 3, 0)[0])) == 3


def test_one_cluster_holds_all():
    points = blobs(3)
    labels, total = cluster(points, 1, 2, 0)
    assert not labels.any()
    assert total == pytest.approx(inertia(points, labels))
