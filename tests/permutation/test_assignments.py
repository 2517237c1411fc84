"""Assignments from prices: as good as from scratch, and units stay only where nothing is to be gained."""

import numpy as np
import pytest
import torch
from test_symmetry import own

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation.families import assign, assign_again
from hidden_structure.permutation.symmetry import derive
from hidden_structure.permutation.weight_matching import Ascent
from hidden_structure.seeding import numpy_generator, torch_generator

TOLERANCE = 1e-6


def total(scores, permutation):
    return scores.astype(np.float64)[np.arange(len(scores)), permutation].sum()


@pytest.mark.parametrize("step", [0.0, 1e-3, 0.1, 10.0])
@pytest.mark.parametrize("entries", [1, 2, 40])
def test_along_a_walk_every_assignment_is_optimal(entries, step):
    """Columns are permuted as they are matched, as the units of a network are."""
    draw = numpy_generator("walk", entries, step)
    scores, prices = draw.normal(size=(entries, entries)).astype(np.float32), np.zeros(entries, np.float32)
    still = 0
    for _ in range(30):
        found, prices = assign_again(scores, prices, TOLERANCE)
        assert sorted(found) == list(range(entries))
        assert total(scores, found) == pytest.approx(total(scores, assign(scores)), abs=2 * TOLERANCE)
        still += np.array_equal(found, np.arange(entries))
        scores = scores[:, found] + step * draw.normal(size=(entries, entries)).astype(np.float32)
    if step == 0 or entries == 1:
        assert still >= 29
    if step == 10 and entries == 40:
        assert still == 0


@pytest.mark.parametrize("prices", [0.0, 1e4, "any"])
def test_prices_are_only_where_to_start(prices):
    draw = numpy_generator("prices")
    scores = draw.normal(size=(30, 30)).astype(np.float32)
    start = draw.normal(size=30, scale=5) if prices == "any" else np.full(30, prices)
    found, _ = assign_again(scores, start.astype(np.float32), TOLERANCE)
    assert total(scores, found) == pytest.approx(total(scores, assign(scores)), abs=1e-2 if prices == 1e4 else 1e-5)


def test_what_gains_less_than_the_tolerance_is_not_moved():
    scores = np.eye(5, dtype=np.float32)
    scores[0, 1] = scores[1, 0] = 1.01
    for tolerance, moves in ((0.1, False), (0.001, True)):
        found, _ = assign_again(scores, np.zeros(5, np.float32), tolerance)
        assert (found.tolist() == [1, 0, 2, 3, 4]) == moves
        assert (found.tolist() == [0, 1, 2, 3, 4]) != moves


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="not finite"):
        assign_again(np.full((3, 3), np.nan, np.float32), np.zeros(3, np.float32), TOLERANCE)


def test_an_ascent_whose_aim_moves_ends_where_one_from_scratch_does():
    a, b = (own("mlp", 2, 16, "none", seed=seed) for seed in (0, 1))
    symmetry, noise = derive(a, torch.zeros(2, 3, 8, 8)), torch_generator("noise")
    a, b = ({name: tensor.clone() for name, tensor in network.state_dict().items()} for network in (a, b))
    ascent, moved = Ascent(symmetry, a, b), 0
    for _ in range(20):
        a = {name: tensor + 0.02 * torch.randn(tensor.shape, generator=noise) for name, tensor in a.items()}
        scratch = Ascent(symmetry, a, b)
        scratch.move(ascent.permutation)
        scratch.sweep()
        before = ascent.permutation
        ascent.aim_at(a)
        ascent.sweep()
        moved += any(not torch.equal(before[name], ascent.permutation[name]) for name in before)
        assert ascent.objective() == pytest.approx(scratch.objective(), rel=1e-6)
    assert moved
