"""t-SNE in two dimensions: van der Maaten, Hinton, "Visualizing Data using t-SNE", JMLR 9, 2008.

The descent is step for step that of openTSNE with its defaults (Poličar, Stražar, Zupan, J. Stat. Softw. 109, 2024),
which follow Belkina et al., Nat. Commun. 10, 2019; only the forces between points are computed otherwise. Of few points
they are summed over all pairs; of many the attraction is summed over neighbours, and the repulsion interpolated from a
grid, where it is a convolution (Linderman et al., Nat. Methods 16, 2019). All of it is in one thread.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from openTSNE import affinity, initialization
from scipy import fft, sparse
from threadpoolctl import threadpool_limits

EXAGGERATION = 12.0  # of attraction, at first
EARLY, LATE = 250, 500  # steps with that and without
MOMENTUM, LONGEST = 0.8, 5.0  # and the length of a step, in the units of the map
ALL_PAIRS = 1500  # points up to which that is the faster way, on a processor with AVX-512
BLOCK = 2**17  # pairs at once: half a MB, which stays in cache
SPACING = 0.4  # of the grid at most, in the units of the map, in which the kernels are of width 1
FEWEST = 32  # nodes along a map that is still small
STEP = 16  # the number of nodes along the map is a multiple of it, so that most steps find their kernels as they are

Forces = Callable[[np.ndarray, float], np.ndarray]


@threadpool_limits.wrap(limits=1)
def embed(features: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """Features (n, d) as a map float64 (n, 2), started from its principal components.

    Neighbours are exact, and as many as three times the perplexity. The seed decides no more than a jitter of 1 % at
    the start, so that equal points may part.
    """
    near = affinity.PerplexityBasedNN(features, perplexity, method="exact", n_jobs=1, random_state=seed).P
    start = initialization.pca(features, random_state=seed).astype(np.float64)
    return descend(start, between_all(near) if len(features) <= ALL_PAIRS else on_grid(near))


def descend(points: np.ndarray, forces: Forces) -> np.ndarray:
    """Gradient descent with momentum, and a gain of its own for each coordinate."""
    points = points - points.mean(0)
    gains, update = np.ones_like(points), np.zeros_like(points)
    for exaggeration, steps in ((EXAGGERATION, EARLY), (1.0, LATE)):
        rate = len(points) / exaggeration
        for _ in range(steps):
            gradient = forces(points, exaggeration)
            turned = np.sign(update) != np.sign(gradient)
            gains = np.where(turned, gains + 0.2, gains * 0.8 + 0.01)
            update = MOMENTUM * update - rate * gains * gradient
            lengths = np.sqrt(np.square(update).sum(1, keepdims=True))
            update *= LONGEST / np.maximum(lengths, LONGEST)
            points = points + update
            points -= points.mean(0)
    return points


def between_all(near: sparse.csr_matrix) -> Forces:
    """The gradient of the Kullback-Leibler divergence over 4, summed over all pairs.

    near: (n, n), symmetric, the probabilities of pairs.
    """
    weights, size = near.toarray().astype(np.float32), near.shape[0]
    rows = max(1, BLOCK // size)
    kernel, drawn = np.empty((rows, size), np.float32), np.empty((rows, size), np.float32)

    def forces(points: np.ndarray, exaggeration: float) -> np.ndarray:
        placed = points.astype(np.float32)
        squares, ones = np.square(placed).sum(1, keepdims=True), np.ones((size, 1), np.float32)
        left = np.hstack([-2 * placed, squares + 1, ones])
        right = np.ascontiguousarray(np.hstack([placed, ones, squares]).T)
        summed = np.hstack([placed, ones])
        attraction, repulsion, normaliser = np.empty((size, 3)), np.empty((size, 3)), -float(size)
        for start in range(0, size, rows):
            part = slice(start, start + rows)
            own = weights[part]
            one, two = kernel[: len(own)], drawn[: len(own)]
            np.matmul(left[part], right, out=one)  # 1 + squared distances
            np.reciprocal(one, out=one)
            normaliser += float(one.sum(dtype=np.float64))
            attraction[part] = np.multiply(own, one, out=two) @ summed
            repulsion[part] = np.multiply(one, one, out=one) @ summed
        total = exaggeration * attraction - repulsion / normaliser
        return total[:, 2:] * points - total[:, :2]

    return forces


def on_grid(near: sparse.csr_matrix) -> Forces:
    """The same, its attraction over the pairs of `near` and its repulsion from a grid."""
    size, upper = near.shape[0], sparse.triu(near, 1, format="csr")  # each pair once
    of_row, columns = np.diff(upper.indptr), upper.indices.astype(np.intp)
    weights = upper.data.astype(np.float32)
    pulls = sparse.csr_matrix((np.empty_like(weights), upper.indices, upper.indptr), upper.shape)

    def forces(points: np.ndarray, exaggeration: float) -> np.ndarray:
        placed = np.ascontiguousarray(points.T, np.float32)
        distances = np.ones_like(weights)
        for coordinate in placed:
            difference = np.repeat(coordinate, of_row)
            difference -= coordinate.take(columns, mode="wrap")  # which looks for no index that is out of range
            difference *= difference
            distances += difference
        np.divide(weights, distances, out=pulls.data)
        # One vector after the other is twice as fast as a matrix of three.
        x, y, count = (pulls @ each + pulls.T @ each for each in (*placed, np.ones(size, np.float32)))
        attraction = count[:, None] * points - np.column_stack([x, y])
        potential, repulsion = _repulsion(points)
        return exaggeration * attraction - repulsion / (potential.sum() - size)

    return forces


def _repulsion(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over all points of 1 / (1 + r^2), (n,), and of difference / (1 + r^2)^2, (n, 2)."""
    low = points.min(0)
    span = (points.max(0) - low).max()
    spacing = min(SPACING, max(span, 1e-12) / (FEWEST - 4))
    nodes = -(-(int(span / spacing) + 4) // STEP) * STEP
    if spacing < SPACING:
        nodes = FEWEST
    weights = _interpolation((points - low) / spacing, nodes)
    masses = (weights.T @ np.ones(len(points), np.float32)).reshape(nodes, nodes)
    size = fft.next_fast_len(2 * nodes, real=True)
    waves = fft.rfft2(masses, (size, size)) * _kernels(size, spacing)
    fields = fft.irfft2(waves, (size, size), overwrite_x=True)[:, :nodes, :nodes]
    potential, *repulsion = (weights @ field.ravel() for field in fields)
    return potential.astype(np.float64), np.column_stack(repulsion)


def _interpolation(places: np.ndarray, nodes: int) -> sparse.csr_matrix:
    """Weights (n, nodes^2) of the 4 x 4 nodes round each place (n, 2), 0 lying on the node 1: cubic polynomials."""
    corner = np.minimum(places.astype(np.int32), nodes - 4)
    t = (places - corner)[:, None, :].astype(np.float32)
    factors = np.concatenate(
        [
            -t * (t - 1) * (t - 2) / 6,
            (t + 1) * (t - 1) * (t - 2) / 2,
            -(t + 1) * t * (t - 2) / 2,
            (t + 1) * t * (t - 1) / 6,
        ],
        1,
    )
    values = factors[:, :, None, 0] * factors[:, None, :, 1]
    offsets = (np.arange(4, dtype=np.int32)[:, None] * nodes + np.arange(4, dtype=np.int32)).ravel()
    columns = (corner[:, :1] * nodes + corner[:, 1:]) + offsets
    starts = np.arange(0, 16 * len(places) + 1, 16, dtype=np.int32)
    return sparse.csr_matrix((values.ravel(), columns.ravel(), starts), (len(places), nodes**2))


@lru_cache(maxsize=1)
def _kernels(size: int, spacing: float) -> np.ndarray:
    """Fourier transforms complex64 (3, size, size // 2 + 1) of both kernels on a periodic grid, the second a vector."""
    along = spacing * (np.minimum(np.arange(size), size - np.arange(size)) * np.sign(size / 2 - np.arange(size)))
    kernel = 1 / (1 + along[:, None] ** 2 + along**2)
    vector = along[:, None] * kernel**2
    return fft.rfft2(np.stack([kernel, vector, vector.T]).astype(np.float32))
