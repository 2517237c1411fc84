"""The cluster-and-linear-probe test (Yang, Steinhardt, Hu, ICML 2023), as one step: labels recovered, and what they
are worth to a linear layer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hidden_structure.frame import params
from hidden_structure.frame.errors import by_key
from hidden_structure.recovery import probing
from hidden_structure.recovery.clustering import recover, reduce_within, scores, scores_within
from hidden_structure.seeding import Name


@dataclass(frozen=True, eq=False)
class Merged:
    """fine, coarse: int64 (N,) of training samples; test_fine: of test samples, which only scores.

    coarse_of: int64 (C,), the super-class of each original class; names: of the super-classes.
    """

    fine: np.ndarray
    coarse: np.ndarray
    test_fine: np.ndarray
    coarse_of: np.ndarray
    names: list[str]


@dataclass(frozen=True, eq=False)
class Recovery:
    """points (N, m) that were clustered, recovered labels int64 (N,), and a row of scores."""

    points: np.ndarray
    recovered: np.ndarray
    row: dict[str, Any]


def cluster_and_probe(
    clustered: np.ndarray,
    train: Tensor,
    test: Tensor,
    merged: Merged,
    settings: params.Cluster,
    reducer: str,
    *names: Name,
) -> Recovery:
    """Reduce and cluster inside each super-class, and train a linear layer on the labels that come of it.

    Args:
        clustered: float (N, d), what is reduced and clustered; mostly the training features.
        names: of the random generators.

    Otherwise as `recover_and_probe`.
    """
    points = reduce_within(clustered, merged.coarse, reducer, settings.perplexity, settings.components, *names)
    return recover_and_probe(points, train, test, merged, settings, reducer, *names)


def recover_and_probe(
    points: np.ndarray,
    train: Tensor,
    test: Tensor,
    merged: Merged,
    settings: params.Cluster,
    reducer: str,
    *names: Name,
) -> Recovery:
    """Cluster points (N, m) inside each super-class, and train a linear layer on the labels that come of it.

    Args:
        points: the reducer's.
        train, test: float (N, d) and (M, d), what the linear layer reads.
        names: of the random generators.

    Returns the agreement scores, `probe_accuracy` on the original test labels, and `superclasses`: the scores of each.
    """
    own = *names[:-1], reducer, *names[-1:]
    recovered = recover(points, merged.fine, merged.coarse, merged.coarse_of, settings.restarts, *own)
    row = scores(recovered, merged.fine)
    row["probe_accuracy"] = probe_accuracy(recovered, train, test, merged, settings.l2)
    row["superclasses"] = scores_within(recovered, merged.fine, merged.coarse, merged.names)
    return Recovery(points, recovered, row)


def probe_accuracy(labels: np.ndarray, train: Tensor, test: Tensor, merged: Merged, l2: float | None) -> float:
    """Of a linear layer trained on these labels int64 (N,), on the original labels of the test samples."""
    with by_key("l2", "cluster.l2"):
        probe = probing.fit(train, torch.from_numpy(labels), len(merged.coarse_of), l2)
    return probing.accuracy(probe, test, torch.from_numpy(merged.test_fine))
