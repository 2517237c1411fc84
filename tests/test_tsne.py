"""The forces between the points of a map by their definition, and the maps against openTSNE's own."""

import numpy as np
import pytest
from openTSNE import TSNE, affinity
from scipy import sparse

from hidden_structure.recovery import tsne
from hidden_structure.seeding import numpy_generator


def neighbours(size: int) -> sparse.csr_matrix:
    """Probabilities of pairs: a symmetric sparse matrix of sum 1."""
    draw = sparse.random_array((size, size), density=0.05, rng=numpy_generator("pairs"), format="csr")
    draw.setdiag(0)
    return sparse.csr_matrix(draw + draw.T) / (2 * draw.sum())


def divergence(near: sparse.csr_matrix, points: np.ndarray) -> float:
    """Kullback-Leibler, over all pairs, in float64."""
    kernel = 1 / (1 + np.square(points[:, None] - points).sum(2))
    np.fill_diagonal(kernel, 0)
    pairs = near.tocoo()
    q = kernel[pairs.row, pairs.col] / kernel.sum()
    there = pairs.data > 0
    return float((pairs.data[there] * np.log(pairs.data[there] / q[there])).sum())


def blobs(samples: int, dimension: int = 20) -> np.ndarray:
    draw = numpy_generator("blobs", samples)
    centres = 3 * draw.standard_normal((4, dimension))
    return (centres[np.arange(samples) % 4] + draw.standard_normal((samples, dimension))).astype(np.float32)


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_the_forces_are_the_gradient_of_the_divergence(scale):
    near, points = neighbours(60), scale * numpy_generator("points").standard_normal((60, 2))
    forces, numeric, step = tsne.between_all(near)(points, 1.0), np.empty_like(points), 1e-4 * scale
    for place in np.ndindex(points.shape):
        moved = np.zeros_like(points)
        moved[place] = step
        numeric[place] = (divergence(near, points + moved) - divergence(near, points - moved)) / (2 * step)
    np.testing.assert_allclose(4 * forces, numeric, atol=1e-4 * np.abs(numeric).max())


@pytest.mark.parametrize("exaggeration", [1.0, 12.0])
@pytest.mark.parametrize(("scale", "error"), [(1e-4, 1e-4), (1.0, 1e-2), (5.0, 5e-2), (20.0, 0.1)])
def test_the_grid_gives_the_forces_of_all_pairs(scale, error, exaggeration):
    near, points = neighbours(400), scale * numpy_generator("points").standard_normal((400, 2))
    exact, found = (forces(near)(points, exaggeration) for forces in (tsne.between_all, tsne.on_grid))
    assert np.linalg.norm(found - exact) < error * np.linalg.norm(exact)


def test_blocks_change_no_more_than_rounding(monkeypatch):
    near, points = neighbours(300), numpy_generator("points").standard_normal((300, 2))
    whole = tsne.between_all(near)(points, 1.0)
    monkeypatch.setattr(tsne, "BLOCK", 300 * 7)
    np.testing.assert_allclose(tsne.between_all(near)(points, 1.0), whole, atol=1e-6 * np.abs(whole).max())


@pytest.mark.parametrize("all_pairs", [1000, 0])
def test_the_map_is_as_good_as_opentsnes(monkeypatch, all_pairs):
    monkeypatch.setattr(tsne, "ALL_PAIRS", all_pairs)
    features = blobs(400)
    near = affinity.PerplexityBasedNN(features, 30, method="exact").P
    peer = TSNE(perplexity=30, initialization="pca", neighbors="exact", random_state=0).fit(features)
    own = tsne.embed(features, 30.0, 0)
    assert divergence(near, own) < 1.01 * divergence(near, np.asarray(peer))


def test_equal_points_part_but_little():
    features = np.repeat(blobs(10), 20, 0)
    points = tsne.embed(features, 10.0, 0)
    assert np.isfinite(points).all()
    centres = points.reshape(10, 20, 2).mean(1)
    apart = np.linalg.norm(centres[:, None] - centres, axis=2)[~np.eye(10, dtype=bool)].min()
    assert np.abs(points.reshape(10, 20, 2) - centres[:, None]).max() < 0.01 * apart


def test_the_descent_is_opentsnes_step_by_step_when_exaggeration_ends(monkeypatch):
    monkeypatch.setattr(tsne, "EARLY", 3)
    monkeypatch.setattr(tsne, "LATE", 2)
    near, start = neighbours(100), 1e-4 * numpy_generator("start").standard_normal((100, 2))
    steps = {"negative_gradient_method": "bh", "theta": 0.0, "initialization": start, "random_state": 0}
    early = {"early_exaggeration_iter": 3, "n_iter": 2, "exaggeration": None}
    peer = TSNE(**steps, **early).prepare_initial(affinities=affinity.PrecomputedAffinities(near, normalize=False))
    peer = peer.optimize(3, exaggeration=tsne.EXAGGERATION, momentum=tsne.MOMENTUM)
    peer = np.asarray(peer.optimize(2, momentum=tsne.MOMENTUM))
    own = tsne.descend(start, tsne.between_all(near))
    assert np.linalg.norm(own - (peer - peer.mean(0))) < 0.02 * np.linalg.norm(own)
