"""What is inside each super-class after some epoch of training: how far apart the merged classes are, how well clusters
find them, and how well a linear layer does that is told.

Whether that survives collapse is open: Yang, Steinhardt, Hu (ICML 2023) see the classes in collapsed features, while a
collapse to points, in the limit, leaves nothing to see.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from hidden_structure.collapse.metrics import class_distances
from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
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
    } | separation(class_distances(train, torch.from_numpy(merged.fine), len(merged.coarse_of)), merged.coarse_of)


def separation(distances: Tensor, coarse_of: np.ndarray) -> dict[str, float]:
    """How far the merged classes lie apart, classes weighing the same.

    explained: share of the variance inside super-classes that lies between the means of their classes; 0 where these
    coincide, 1 where each class is a point. So it does not fall because everything in a super-class shrinks.
    spread: variance of those means around their super-class over the variance of super-classes around their mean. It
    falls as a super-class shrinks as a whole.

    Args:
        distances: float64 (C, C), mean squared distances of samples as `collapse.metrics.class_distances` gives them.
        coarse_of: int64 (C,), the super-class of each class.

    Raises InputError if the means of all super-classes agree.
    """
    within = distances.diagonal() / 2
    apart = (distances - within[:, None] - within).fill_diagonal_(0)  # squared distances of class means
    gram = -_centred(_centred(apart).T) / 2  # of class means less their mean
    member = one_hot(torch.from_numpy(coarse_of)).double()
    average = member / member.sum(0)
    inside = torch.eye(len(gram), dtype=gram.dtype) - member @ average.T  # what a class mean has beyond its super-class
    between = (inside @ gram @ inside.T).diagonal().mean().clamp(min=0)
    coarse = _centred(_centred(average.T @ gram @ average).T).diagonal().mean().clamp(min=0)
    whole = between + within.mean()
    if not coarse > 0:
        raise InputError("the means of all super-classes agree: the network is dead, lower train.lr")
    return {
        "explained": (between / whole).item() if whole > 0 else 0.0,
        "spread": (between / coarse).item(),
    }


def _centred(rows: Tensor) -> Tensor:
    return rows - rows.mean(0)
