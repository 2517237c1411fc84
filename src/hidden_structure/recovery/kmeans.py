"""k-means, all restarts at once: what each of them needs is one product of the points with the centres of all.

Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28, 1982, started by greedy k-means++ (Arthur,
Vassilvitskii, SODA 2007): of a few points drawn in proportion to their squared distance from the centres so far, the
one that lowers the sum of these most. It stops as scikit-learn's does.
"""

import math

import numpy as np
from threadpoolctl import threadpool_limits

from hidden_structure.frame.arrays import Array, array_of, check_finite, check_rows
from hidden_structure.frame.errors import InputError

ITERATIONS = 300  # at most
TOLERANCE = 1e-4  # of the mean variance of a coordinate: how far all centres together may move, squared, at the end
ROUNDING = 1e-6  # of the sum of squares: the first restart is taken of those that are as tight
CHUNK_VALUES = 2**20  # distances at once
LARGEST_EXPONENT = 40  # of two: sums of squares of larger points, or of smaller ones than its inverse, leave float32


@threadpool_limits.wrap(limits=1)
def cluster(points: Array, clusters: int, restarts: int, seed: int) -> tuple[np.ndarray, float]:
    """Clusters int64 (n,) of points (n, m), and the sum of squared distances from their centres, the least of several
    restarts. In float32 if the points are, else in float64; some of the clusters are empty if points are too alike.

    Raises InputError if points are no finite numbers (n, m), or there are fewer than clusters, and if there are to be
    no clusters or no restarts.
    """
    points = array_of("points", points)
    check_rows("points", points)
    check_finite("the points to cluster", points)
    if not 1 <= clusters <= len(points) or restarts < 1:
        raise InputError(
            f"k-means makes 1 to {len(points)} clusters of {len(points)} points and starts once or more, asked for"
            f" {clusters} clusters and {restarts} restarts"
        )
    points = np.asarray(points, np.float32 if points.dtype == np.float32 else np.float64)
    points, exponent = in_range(points - points.mean(0, dtype=np.float64).astype(points.dtype))
    squares = np.square(points).sum(1)
    centres = _start(points, squares, clusters, restarts, np.random.default_rng(seed))
    found, sums = np.full((restarts, len(points)), -1), np.full(restarts, math.inf)
    moving, tolerance = np.arange(restarts), TOLERANCE * points.var(0).mean()
    for _ in range(ITERATIONS):
        assigned, distances, means = _assign(points, squares, centres[moving])
        far = np.square(means - centres[moving]).sum((1, 2)) > tolerance
        going = far & (assigned != found[moving]).any(1)
        found[moving], sums[moving] = assigned, distances.sum(1, dtype=np.float64)
        moving, means = moving[going], means[going]
        if not len(moving):
            break
        centres[moving] = means
    best = int(np.argmax(sums <= sums.min() * (1 + ROUNDING)))
    return found[best], float(np.ldexp(sums[best], 2 * exponent))


def in_range(points: np.ndarray) -> tuple[np.ndarray, int]:
    """Points over 2^exponent, and that exponent: 0, but where squares would overflow or vanish. No digit is lost."""
    exponent = int(np.frexp(np.abs(points).max(initial=0.0))[1])
    if abs(exponent) <= LARGEST_EXPONENT:
        return points, 0
    return np.ldexp(points, -exponent), exponent


def _start(
    points: np.ndarray, squares: np.ndarray, clusters: int, restarts: int, draw: np.random.Generator
) -> np.ndarray:
    """Centres (restarts, clusters, m)."""
    trials, every = 2 + int(math.log(clusters)), np.arange(restarts)
    centres = np.empty((restarts, clusters, points.shape[1]), points.dtype)
    centres[:, 0] = points[draw.integers(len(points), size=restarts)]
    closest = _distances(points, squares, centres[:, 0])
    for index in range(1, clusters):
        cumulative = closest.cumsum(1, dtype=np.float64)
        wanted = draw.random((restarts, trials)) * cumulative[:, -1:]
        chosen = np.stack(
            [np.searchsorted(row, own, side="right") for row, own in zip(cumulative, wanted, strict=True)]
        )
        chosen = np.minimum(chosen, len(points) - 1)
        nearer = _distances(points, squares, points[chosen.ravel()]).reshape(restarts, trials, -1)
        np.minimum(nearer, closest[:, None], out=nearer)
        best = nearer.sum(2, dtype=np.float64).argmin(1)
        centres[:, index], closest = points[chosen[every, best]], nearer[every, best]
    return centres


def _distances(points: np.ndarray, squares: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared, of each centre (c, m) from each point: (c, n)."""
    found = (-2 * centres) @ points.T
    found += squares
    found += np.square(centres).sum(1, keepdims=True)
    return np.maximum(found, 0, out=found)


def _assign(points: np.ndarray, squares: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The nearest centre of each point (r, n), its squared distance from it (r, n), and the means of what is nearest to
    each centre (r, k, m); a centre that is nearest to none moves to a point that is far from its own."""
    restarts, clusters, dimension = centres.shape
    flat = -2 * centres.reshape(-1, dimension)
    offsets = np.square(centres).sum(2)[:, :, None]
    assigned = np.zeros((restarts, len(points)), np.int64)
    distances = np.empty((restarts, len(points)), points.dtype)
    sums, counts = np.zeros((restarts * clusters, dimension)), np.zeros((restarts, clusters), np.int64)
    rows = max(1, CHUNK_VALUES // len(flat))
    for start in range(0, len(points), rows):
        part = slice(start, start + rows)
        own, nearest, least = points[part], assigned[:, part], distances[:, part]
        found = (flat @ own.T).reshape(restarts, clusters, -1)
        found += offsets
        least[:] = found[:, 0]
        for index in range(1, clusters):  # faster than argmin, which goes along the other axis
            np.copyto(nearest, index, where=found[:, index] < least)
            np.minimum(least, found[:, index], out=least)
        least += squares[part]
        members = nearest[:, None] == np.arange(clusters)[:, None]
        counts += members.sum(2)
        sums += members.reshape(len(flat), -1).astype(points.dtype) @ own
    np.maximum(distances, 0, out=distances)
    means = (sums / np.maximum(counts, 1).reshape(-1, 1)).astype(points.dtype).reshape(centres.shape)
    for own, empty in enumerate(counts == 0):
        if empty.any():
            means[own, empty] = points[np.argsort(-distances[own], kind="stable")[: empty.sum()]]
    return assigned, distances, means
