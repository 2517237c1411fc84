"""What is inside super-classes over training: how far classes lie apart, measured against what is known."""

import numpy as np
import pytest
import tiny
import torch

from hidden_structure.collapse.metrics import class_distances
from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.recovery.following import follow, separation
from hidden_structure.recovery.recovery import Merged

CLASSES, COARSE, EACH = 6, 3, 400
OF = np.arange(CLASSES) % COARSE
FINE = np.arange(CLASSES * EACH) % CLASSES


def drawn(apart: float, noise: float, between: float = 10.0) -> torch.Tensor:
    """Super-classes `between` from their mean, their two classes `apart` from it on either side, noise around them."""
    generator = torch.Generator().manual_seed(0)
    means = torch.zeros(CLASSES, 8)
    means[range(CLASSES), OF] = between
    means[:, 5] = apart * torch.tensor([1.0, -1.0]).repeat_interleave(COARSE)
    return means[FINE] + noise * torch.randn(len(FINE), 8, generator=generator)


def of(features: torch.Tensor) -> dict[str, float]:
    return separation(class_distances(features, torch.from_numpy(FINE), CLASSES), OF)


@pytest.mark.parametrize(("apart", "noise"), [(1.0, 0.5), (0.3, 0.2), (3.0, 0.1)])
def test_explained_and_spread_are_the_shares_of_variance_that_features_were_drawn_with(apart, noise):
    found = of(drawn(apart, noise))
    assert found["explained"] == pytest.approx(apart**2 / (apart**2 + 8 * noise**2), abs=0.02)
    assert found["spread"] == pytest.approx(apart**2 / (10**2 * (1 - 1 / COARSE)), rel=0.1)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_neither_depends_on_the_scale_or_on_where_features_lie(scale):
    features = drawn(1.0, 0.5).double()
    assert of(scale * (features + 7)) == pytest.approx(of(features))


def test_super_classes_that_shrink_keep_what_is_explained_and_lose_spread():
    shrunk, whole = (of(drawn(a, n)) for a, n in ((0.01, 0.005), (1.0, 0.5)))
    assert shrunk["explained"] == pytest.approx(whole["explained"], rel=1e-3)
    assert shrunk["spread"] == pytest.approx(1e-4 * whole["spread"], rel=0.05)


def test_points_explain_nothing():
    collapsed = of(drawn(0.0, 0.0))
    assert collapsed == {"explained": 0.0, "spread": 0.0}
    with pytest.raises(InputError, match="the means of all super-classes agree: the network is dead"):
        of(torch.zeros(len(FINE), 2))


def test_classes_that_lie_apart_are_found_and_those_that_do_not_are_not():
    merged = Merged(FINE, OF[FINE], FINE, OF, ["a", "b", "c"])
    settings = params.Study.model_validate(tiny.study()).cluster
    for apart, low, high in ((2.0, 0.99, 1.0), (0.0, 0.4, 0.6)):
        features = drawn(apart, 0.3)
        found = follow(features, drawn(apart, 0.3), merged, settings, "raw", "test", 0)
        assert low <= found["agreement"] <= high
        assert low <= found["recovered"] <= high
        assert found["labels"] >= found["recovered"] - 0.1
