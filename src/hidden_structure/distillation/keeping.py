"""What the pieces that a student was taught mean, and what its own features keep of the original classes."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from hidden_structure.frame.errors import by_key
from hidden_structure.recovery import probing
from hidden_structure.recovery.clustering import information_within, recover, reduce_within, scores
from hidden_structure.seeding import Name

REDUCER = "pca"  # for students are many: t-SNE of every one would take longer than to train it


def keeps(
    tensors: Mapping[str, Tensor],
    labels: Mapping[str, np.ndarray],
    coarse: np.ndarray,
    coarse_of: np.ndarray,
    components: int,
    restarts: int,
    l2: float | None,
    names: tuple[Name, ...],
) -> dict[str, float]:
    """Of one student: scores of clusters of its features inside each class, and `information`, the adjusted mutual one
    of these with the original classes; that of the `pieces` that it was taught; and `probe_accuracy`, of a linear layer
    on its features that is trained on the original labels, on those of the test set.

    Args:
        tensors: `train` and `test`, its features (N, d); `pieces`, int64 (N,), of the training samples.
        labels: `train` and `test`, the original ones, int64 (N,).
        coarse: int64 (N,), the classes of the training samples that its teacher knows; coarse_of: int64 (C,), of each
            original one.
        components, restarts: of the clusters; l2: of the linear layer.
        names: of the random generators.

    Raises InputError as `probing.fit` does.
    """
    fine = labels["train"]
    taught = information_within(tensors["pieces"].numpy(), fine, coarse)
    points = reduce_within(tensors["train"].numpy(), coarse, REDUCER, 0.0, components, *names)  # no perplexity
    recovered = recover(points, fine, coarse, coarse_of, restarts, *names)
    with by_key("l2", "cluster.l2"):
        probe = probing.fit(tensors["train"], torch.from_numpy(fine), len(coarse_of), l2)
    told = probing.accuracy(probe, tensors["test"], torch.from_numpy(labels["test"]))
    own = {"information": information_within(recovered, fine, coarse), "pieces": taught, "probe_accuracy": told}
    return scores(recovered, fine) | own
