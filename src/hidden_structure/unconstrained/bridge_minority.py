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


def norms(
    features: Tensor, labels: Tensor, weight: Tensor, weight_decay: float, bias_decay: float | None = None
) -> Norms:
    """Of a network's training set.

    Args:
        features: float64 (N, d). labels: int64 (N,), each of 0..C-1 at least once. weight: float64 (C, d).
    """
    counts = labels.bincount(minlength=len(weight)).double()
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
    optimum, or where the rows are zero."""
    bounds = two_groups.bounded(groups, given.row_energy, given.feature_energy, given.bias_decay is not None)
    found = {"bounds": bounds["minority_cosine"], "decay": None}
    if given.weight_decay:
        decays = given.weight_decay, given.feature_decay, given.bias_decay
        found["decay"] = two_groups.decayed(groups, *decays)["minority_cosine"]
    return found


def thresholds(majority: int, minority: int, large: float, given: Norms) -> dict[str, float | None]:
    """From which ratio on the minority's rows are one, if the majority keeps `large` samples a class; None if from no
    ratio that any data has."""
    energies = given.row_energy, given.feature_energy
    found = {
        "bounds": two_groups.bounded_merging_ratio(majority, minority, *energies, given.bias_decay is not None),
        "decay": None,
    }
    if given.weight_decay:
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
