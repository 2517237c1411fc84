"""What is inside each super-class after some epoch of training: how far apart the merged classes are, how well clusters
find them, and how well a linear layer does that is told.

Whether that survives collapse is open: Yang, Steinhardt, Hu (ICML 2023) see the classes in collapsed features, while a
collapse to points, in the limit, leaves nothing to see.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hidden_structure.frame import params
from hidden_structure.recovery.recovery import Merged, cluster_and_probe, probe_accuracy
from hidden_structure.seeding import Name


def follow(
    train: Tensor, test: Tensor, merged: Merged, settings: params.Cluster, reducer: str, *names: Name
) -> dict[str, Any]:
    """`agreement` of recovered with original labels, test accuracies of linear layers on `recovered` and true `labels`,
    and what `separation` gives.

    Args: as `cluster_and_probe`, which clusters the training features themselves.
    """
    found = cluster_and_probe(train.numpy(), train, test, merged, settings, reducer, *names)
    return {
        "agreement": found.row["agreement"],
        "recovered": found.row["probe_accuracy"],
        "labels": probe_accuracy(merged.fine, train, test, merged, settings.l2),
    } | separation(train, merged.fine, merged.coarse_of)


@torch.no_grad()
def separation(features: Tensor, fine: np.ndarray, coarse_of: np.ndarray) -> dict[str, float]:
    """How far the merged classes lie apart, classes weighing the same.

    explained: share of the variance inside super-classes that lies between the means of their classes; 0 where these
    coincide, 1 where each class is a point. So it does not fall because everything in a super-class shrinks.
    spread: variance of those means around their super-class over the variance of super-classes around their mean. It
    falls as a super-class shrinks as a whole.

    Args:
        features: floats (N, d). fine: int64 (N,) in 0..C-1, every class with a sample. coarse_of: int64 (C,).
    """
    labels, groups = torch.from_numpy(fine), torch.from_numpy(coarse_of)
    values = features.double() - features.double().mean(0)
    means = _means(values, labels, len(coarse_of))
    within = (values - means[labels]).square().sum(1)
    within = within.new_zeros(len(coarse_of)).index_add_(0, labels, within) / labels.bincount()
    centres = _means(means, groups, int(groups.max()) + 1)
    between = (means - centres[groups]).square().sum(1).mean()
    coarse = (centres - centres.mean(0)).square().sum(1).mean()
    inside = between + within.mean()
    return {
        "explained": (between / inside).item() if inside > 0 else 0.0,
        "spread": (between / coarse).item() if coarse > 0 else float("inf"),
    }


def _means(values: Tensor, labels: Tensor, count: int) -> Tensor:
    sums = values.new_zeros(count, values.shape[1]).index_add_(0, labels, values)
    return sums / labels.bincount(minlength=count)[:, None]
