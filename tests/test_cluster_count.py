import numpy as np
import pytest
from sklearn.cluster import KMeans

from hidden_structure.frame.errors import InputError
from hidden_structure.recovery import count
from hidden_structure.recovery.count import MOST, REFERENCES, estimate, gap, silhouette
from hidden_structure.seeding import numpy_generator


def blobs(clusters: int, each: int = 150, dimension: int = 2) -> np.ndarray:
    """Normal clouds of spread 1, twelve apart on a line that bends."""
    draw = numpy_generator("blobs", clusters)
    centres = np.array([[12 * place, 4 * place**2] + [0] * (dimension - 2) for place in range(clusters)])
    return np.repeat(centres, each, 0) + draw.standard_normal((clusters * each, dimension))


@pytest.mark.parametrize("clusters", [2, 3, 5])
@pytest.mark.parametrize("dimension", [2, 10])
def test_separate_clusters_are_counted_by_both(clusters: int, dimension: int):
    assert estimate(blobs(clusters, dimension=dimension), "test") == {"silhouette": clusters, "gap": clusters}


def test_one_cluster_is_one_by_the_gap_statistic_and_never_by_the_silhouette():
    assert gap(blobs(1), "test") == 1
    assert gap(numpy_generator("uniform").random((300, 2)), "test") == 1
    assert silhouette(blobs(1), "test") >= 2


@pytest.mark.parametrize("noise", [-1e-15, 0.0, 1e-15])
def test_of_numbers_of_clusters_that_are_as_good_the_least_is_taken_whatever_the_rounding(noise, monkeypatch):
    scores = {3: 0.7, 5: 0.7 + noise}
    monkeypatch.setattr(count, "silhouette_score", lambda distances, found, metric: scores.get(len(set(found)), 0.5))
    assert silhouette(blobs(2, each=20), "test") == 3


def test_a_long_thin_cluster_is_one_cluster_whichever_way_it_lies():
    """Uniform draws from a box that is not turned along with the points would be wider than they are."""
    long = blobs(1) * [30, 1]
    for angle in (0.0, 0.6):
        turned = long @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        assert gap(turned, "test") == 1


def gaps_by_a_plain_loop(points: np.ndarray, name: str) -> tuple[list[float], list[float]]:
    """Gap(k) and s_k of k = 1, 2, ... in the coordinates of the principal components, by scikit-learn's k-means."""
    centred = points - points.mean(0)
    rotated = centred @ np.linalg.svd(centred, full_matrices=False)[2].T
    draw = numpy_generator(name, "references")
    references = [draw.uniform(rotated.min(0), rotated.max(0), rotated.shape) for _ in range(REFERENCES)]
    gaps, errors = [], []
    for clusters in range(1, MOST + 1):
        logarithms = []
        for own in (rotated, *references):
            labels = KMeans(clusters, n_init=10, random_state=0).fit_predict(own)
            squares = [((own[labels == one] - own[labels == one].mean(0)) ** 2).sum() for one in range(clusters)]
            logarithms.append(np.log(sum(squares)))
        gaps.append(np.mean(logarithms[1:]) - logarithms[0])
        errors.append(np.std(logarithms[1:]) * np.sqrt(1 + 1 / REFERENCES))
    return gaps, errors


def test_the_gap_statistic_by_a_plain_loop():
    """Where clusters touch, it matters that a gap must rise by more than its error."""
    found = {}
    for spread in (3.0, 4.6, 5.0):
        points = blobs(3, each=40) + spread * numpy_generator("spread").standard_normal((120, 2))
        gaps, errors = gaps_by_a_plain_loop(points, "test")
        for name, slack in (("rule", errors), ("no errors", [0.0] * MOST)):
            met = [gaps[k] >= gaps[k + 1] - slack[k + 1] for k in range(MOST - 1)]
            found.setdefault(name, []).append(met.index(True) + 1 if any(met) else MOST)
        assert gap(points, "test") == found["rule"][-1]
    assert found["rule"] != found["no errors"]


def test_neither_scale_nor_place_matters():
    points = blobs(3)
    for moved in (points * 1e-4, points + 1000, points @ np.array([[0.6, 0.8], [-0.8, 0.6]])):
        assert estimate(moved, "test") == {"silhouette": 3, "gap": 3}


def test_the_same_names_give_the_same_numbers():
    points = numpy_generator("flat").random((400, 2))
    assert [estimate(points, "test", seed) for seed in range(3)] == [estimate(points, "test", s) for s in range(3)]


def test_of_many_points_some_are_looked_at(monkeypatch):
    seen = []
    monkeypatch.setattr(count, "silhouette", lambda points, *names: seen.append(points) or 2)
    monkeypatch.setattr(count, "gap", lambda points, *names: seen.append(points) or 2)
    points = np.arange(6000.0).reshape(3000, 2)
    estimate(points, "test")
    chosen, again = seen
    assert chosen.shape == (2000, 2)
    np.testing.assert_array_equal(chosen, again)
    assert len(np.unique(chosen, axis=0)) == 2000


def test_few_or_equal_points():
    assert estimate(np.ones((50, 2)), "test") == {"silhouette": 1, "gap": 1}
    assert estimate(np.zeros((1, 2)), "test") == {"silhouette": 1, "gap": 1}
    assert estimate(np.array([[0.0, 0], [1, 1]]), "test") == {"silhouette": 1, "gap": 1}
    three = np.repeat([[0.0, 0], [10, 0], [0, 10]], 20, 0)
    found = estimate(three, "test")
    assert found["silhouette"] == 3
    assert found["gap"] <= 2  # with a centre on every point there is nothing left to compare


def test_more_clusters_than_looked_for_are_not_found():
    found = estimate(blobs(MOST + 3, each=60), "test")
    assert max(found.values()) <= MOST


def test_what_is_no_number_is_refused():
    points = blobs(2)
    points[0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        estimate(points, "test")
