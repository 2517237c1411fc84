"""How many clusters do points fall into? For when the number of classes in a super-class is not known."""

import numpy as np
from sklearn.metrics import pairwise_distances, silhouette_score
from threadpoolctl import threadpool_limits

from hidden_structure.frame.arrays import Array, array_of, check_finite, check_rows
from hidden_structure.frame.errors import InputError
from hidden_structure.recovery import kmeans
from hidden_structure.seeding import Name, numpy_generator, seed_of

MOST = 12  # clusters that are looked for
SAMPLES = 2000  # points that are looked at: the silhouette needs all their distances
RESTARTS = 3  # of k-means
ROUNDING = 1e-9  # of silhouettes, which lie in -1..1: the fewest clusters of those that are as good are taken
REFERENCES = 10  # draws of points without clusters


def estimate(points: Array, *names: Name) -> dict[str, int]:
    """Numbers of clusters by `silhouette` and by `gap`, of at most 2,000 of the points (n, m).

    names: of the random generators.

    Raises InputError if they are no numbers (n, m), there are none, or a coordinate is not finite.
    """
    points = array_of("points", points)
    check_rows("points", points)
    if not len(points):
        raise InputError("there are no points to count clusters of")
    check_finite("the points to count clusters of", points)
    drawn = numpy_generator(*names, "samples").permutation(len(points))[:SAMPLES]
    points = points[np.sort(drawn)].astype(np.float64)
    return {"silhouette": silhouette(points, *names), "gap": gap(points, *names)}


@threadpool_limits.wrap(limits=1)  # as in clustering; once, because it takes longer than k-means
def silhouette(points: np.ndarray, *names: Name) -> int:
    """The number, 2 to 12, at which k-means clusters of points (n, m) have the largest mean silhouette.

    Rousseeuw, "Silhouettes", J. Comput. Appl. Math. 20, 1987. It compares clusters, so that it never finds only one:
    1 means that there are too few different points for two.
    """
    distances = pairwise_distances(points)
    most = min(MOST, len(points) - 1, _different(points))
    scores = {}
    for clusters in range(2, most + 1):
        found, _ = _cluster(points, clusters, *names)
        scores[clusters] = silhouette_score(distances, found, metric="precomputed")
    best = max(scores.values(), default=0.0) - ROUNDING
    return next((clusters for clusters, score in scores.items() if score > best), 1)


@threadpool_limits.wrap(limits=1)
def gap(points: np.ndarray, *names: Name) -> int:
    """The number, 1 to 12, of k-means clusters of points (n, m) by the gap statistic.

    Tibshirani, Walther, Hastie, "Estimating the number of clusters in a data set via the gap statistic", J. R.
    Statist. Soc. B 63, 2001. Gap(k) is by how much log W_k, the logarithm of the sum of squared distances from the
    centres, falls short of its mean over points drawn uniformly from the box along the principal components. The
    smallest k with Gap(k) >= Gap(k+1) - s_(k+1) is taken, s being the standard deviation over the draws times
    sqrt(1 + 1/draws); 12, or one less than there are different points, where no k has it.
    """
    most = min(MOST, _different(points) - 1)  # with a centre on every point nothing would be left to compare
    rotated = points - points.mean(0)
    rotated = rotated @ np.linalg.svd(rotated, full_matrices=False)[2].T  # k-means minds no rotation
    draw = numpy_generator(*names, "references")
    box = rotated.min(0), rotated.max(0)
    references = [draw.uniform(*box, rotated.shape) for _ in range(REFERENCES)]

    def compare(clusters: int) -> tuple[float, float]:
        expected = [np.log(_cluster(reference, clusters, *names)[1]) for reference in references]
        error = np.std(expected) * np.sqrt(1 + 1 / REFERENCES)
        return np.mean(expected) - np.log(_cluster(rotated, clusters, *names)[1]), error

    clusters, own = 1, compare(1)[0] if most > 1 else 0.0
    while clusters < most:
        following, error = compare(clusters + 1)
        if own >= following - error:
            break
        clusters, own = clusters + 1, following
    return clusters


def _cluster(points: np.ndarray, clusters: int, *names: Name) -> tuple[np.ndarray, float]:
    """The cluster of each point int (n,), and the sum of squared distances from their centres."""
    found, _ = kmeans.cluster(points, clusters, RESTARTS, seed_of(*names, "k-means", clusters))
    members = (found == np.arange(clusters)[:, None]).astype(points.dtype)
    means = members @ points / np.maximum(members.sum(1, keepdims=True), 1)
    return found, float(np.square(points - means[found]).sum())  # small ones count: of its logarithm


def _different(points: np.ndarray) -> int:
    return len(np.unique(points, axis=0))
