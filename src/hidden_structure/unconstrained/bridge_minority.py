"""What the unconstrained features model says of a trained network's small classes, from norms and decay alone.

Two of its forms, each with two numbers of the network. Under *bounds* (`peeled.py`) these are both norms. Under *decay*
(`model.py`) they are the last layer's decay and the ratio of norms: at an optimum lambda_H ||H||^2 = lambda_W ||W||^2,
so the ratio tells the lambda_H that a network, which decays no features, does not have (as in `bridge.py`). The bias
is free under bounds, and decays as the network's does under decay.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hidden_structure.frame.arrays import check_rows, samples_of
from hidden_structure.frame.errors import InputError
from hidden_structure.unconstrained import two_groups
from hidden_structure.unconstrained.two_groups import TwoGroups


@dataclass(frozen=True)
class Norms:
    """row_energy: mean of ||w_c||^2. feature_energy: mean over classes of a class's mean ||h_i - m||^2, m what is idle
    of the mean of class means. feature_decay: lambda_H as above, with features less what is idle of the mean of all.
    weight_decay: lambda_W. bias_decay: None without bias.

    Of a mean that part is idle which no difference of two logits sees; all of it where a bias that costs nothing does
    what it could do.
    """

    row_energy: float
    feature_energy: float
    feature_decay: float
    weight_decay: float
    bias_decay: float | None

    @property
    def bounded(self) -> bool:
        """Whether either norm is one to bound."""
        return self.row_energy > 0 and self.feature_energy > 0

    @property
    def decayed(self) -> bool:
        return self.weight_decay > 0 and 0 < self.feature_decay < math.inf


def norms(
    features: Tensor, labels: Tensor, weight: Tensor, weight_decay: float, bias_decay: float | None = None
) -> Norms:
    """Of a network's training set.

    Args:
        features: float64 (N, d). labels: int64 (N,), each of 0..C-1 at least once. weight: float64 (C, d).

    Raises InputError if they are of other shapes, or a class has no sample.
    """
    check_rows("weight", weight)
    features, labels = samples_of(features, labels, len(weight))
    check_rows("features", features, weight.shape[1])
    counts = labels.bincount(minlength=len(weight)).double()
    if not counts.all():
        raise InputError(f"class {counts.argmin()} has no sample: remove its row of the weight, or add samples")
    means = torch.zeros_like(weight).index_add_(0, labels, features) / counts[:, None]
    middle, mean = means.mean(0), features.mean(0)
    squares = (features - (middle if bias_decay is not None else _unseen(middle, weight))).square().sum(1)
    about_mean = (features - (mean if bias_decay == 0 else _unseen(mean, weight))).square().sum()
    return Norms(
        row_energy=weight.square().sum(1).mean().item(),
        feature_energy=(squares / counts[labels]).sum().item() / len(weight),
        feature_decay=(weight_decay * weight.square().sum() / about_mean).item(),
        weight_decay=weight_decay,
        bias_decay=bias_decay,
    )


def _unseen(feature: Tensor, weight: Tensor) -> Tensor:
    """The part (d,) of it that is orthogonal to all differences of rows."""
    differences = weight - weight.mean(0)
    _, singular, directions = torch.linalg.svd(differences, full_matrices=False)
    smallest = singular.max() * max(weight.shape) * torch.finfo(weight.dtype).eps
    seen = directions[singular > smallest]
    return feature - seen.T @ (seen @ feature)


def minority_cosine(groups: TwoGroups, given: Norms) -> dict[str, float | None]:
    """Of rows of the last layer, under "bounds" and under "decay": None without weight decay, where that form has no
    optimum, or where rows or features are zero."""
    found: dict[str, float | None] = {"bounds": None, "decay": None}
    if given.bounded:
        own = two_groups.bounded(groups, given.row_energy, given.feature_energy, given.bias_decay is not None)
        found["bounds"] = own["minority_cosine"]
    if given.decayed:
        decays = given.weight_decay, given.feature_decay, given.bias_decay
        found["decay"] = two_groups.decayed(groups, *decays)["minority_cosine"]
    return found


def thresholds(majority: int, minority: int, large: float, given: Norms) -> dict[str, float | None]:
    """From which ratio on the minority's rows are one, if the majority keeps `large` samples a class; None if from no
    ratio that any data has."""
    found: dict[str, float | None] = {"bounds": None, "decay": None}
    if given.bounded:
        energies = given.row_energy, given.feature_energy, given.bias_decay is not None
        found["bounds"] = two_groups.bounded_merging_ratio(majority, minority, *energies)
    if given.decayed:
        scale = math.sqrt(given.weight_decay * given.feature_decay)
        found["decay"] = two_groups.decayed_merging_ratio(majority, minority, large, scale)
    return found


def line(
    majority: int, minority: int, large: float, given: Norms, ratios: Sequence[float]
) -> list[dict[str, float | None]]:
    """A row a ratio: `minority_cosine` if norms, or decays, stay as they are while the minority loses samples."""
    return [
        {"ratio": ratio} | minority_cosine(TwoGroups(majority, minority, large, large / ratio), given)
        for ratio in ratios
    ]
