"""Classes split at random into parts: do features group by the class, which no label says, or by the parts?

The opposite of merged labels (Yang, Steinhardt, Hu, ICML 2023, consider labels that are finer than the classes, too;
the measures are ours). A network can tell the parts of a class apart only by memorising its training samples.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from hidden_structure.frame.errors import InputError, by_key
from hidden_structure.recovery import probing
from hidden_structure.recovery.clustering import recover, scores
from hidden_structure.seeding import Name


def draw(
    labels: np.ndarray, classes: int, chosen: int | None, parts: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """New labels int64 (N,) in 0..K-1, and the class int64 (K,) that each is a part of.

    Each split class falls at random into parts whose sizes differ by at most one; other classes keep one label.

    Args:
        labels: int64 (N,) in 0..classes-1.
        chosen: as many of the classes are split, the first ones; None: all.

    Raises InputError if there are fewer classes, or a class has no more samples than parts, so that none has a sibling.
    """
    chosen = classes if chosen is None else chosen
    if chosen > classes:
        raise InputError(f"split.classes is {chosen}, but the data has {classes} classes: lower it, or set it to null")
    counts = np.where(np.arange(classes) < chosen, parts, 1)
    first = counts.cumsum() - counts  # label of each class
    new = first[labels]
    for label in range(chosen):
        own = generator.permutation(np.flatnonzero(labels == label))
        if len(own) <= parts:
            raise InputError(f"split.parts is {parts}, but class {label} has {len(own)} training samples: lower it")
        new[own] += np.arange(len(own)) % parts
    return new, np.repeat(np.arange(classes), counts)


def guess_accuracy(labels: np.ndarray, class_of: np.ndarray) -> float:
    """Training accuracy on split labels int64 (N,) of who knows each class and nothing of the parts."""
    counts = np.bincount(labels, minlength=len(class_of))
    largest = np.zeros(class_of.max() + 1, np.int64)
    np.maximum.at(largest, class_of, counts)
    return float(largest.sum() / len(labels))


def measure(
    tensors: Mapping[str, Tensor],
    labels: np.ndarray,
    class_of: np.ndarray,
    test_classes: np.ndarray,
    restarts: int,
    l2: float | None,
    *names: Name,
) -> dict[str, float]:
    """Measure how far the features group by class, and by part.

    agreement, nmi, ari, purity: of classes with the clusters of k-means on all training features, as many clusters as
    classes. parts_distance: mean distance of the means of two parts of one class over that of two classes; 0 where
    parts coincide, and about 1 where they are classes of their own; what samples scatter is taken off. own_part: share
    of the training samples of split classes that lie nearer to the mean of their own part, themselves left out, than to
    that of any other part of their class. On the test
    set, against true classes: nearest_accuracy of the nearest class mean, class_accuracy of the network's own decision,
    taken as the class of the part, and probe_accuracy of a linear layer trained on the true classes.

    Args:
        tensors: "train" (N, d) and "test" (M, d) penultimate features, the last layer's "weight" (K, d) and maybe
            "bias" (K,).
        labels: int64 (N,), the split labels of the training samples, and class_of, as `draw` gives them.
        test_classes: int64 (M,).
        restarts, l2: of k-means and of the linear layer.
        names: of the random generator of k-means.

    Raises InputError if the features are not finite, or have died.
    """
    train, test = tensors["train"].double(), tensors["test"].double()
    if not (train.isfinite().all() and test.isfinite().all()):
        raise InputError("the features hold NaN or infinity: the network diverged, lower split.train.lr")
    classes, truth = int(class_of.max()) + 1, class_of[labels]
    alike = np.zeros(len(labels), np.int64)  # one super-class of all classes: nothing tells clusters where to look
    clusters = recover(tensors["train"].numpy(), truth, alike, np.zeros(classes, np.int64), restarts, *names)

    part_means, class_means = _means(train, labels, len(class_of)), _means(train, truth, classes)
    logits = test @ tensors["weight"].double().T + tensors.get("bias", torch.zeros(1)).double()
    with by_key("l2", "cluster.l2"):
        probe = probing.fit(train, torch.from_numpy(truth), classes, l2)
    found = {
        "parts_distance": _parts_distance(train, labels, part_means, class_means, class_of),
        "own_part": _own_part(train, part_means, labels, class_of),
        "nearest_accuracy": _share(_distances(test, class_means).argmin(1).numpy() == test_classes),
        "class_accuracy": _share(class_of[logits.argmax(1).numpy()] == test_classes),
        "probe_accuracy": probing.accuracy(probe, test, torch.from_numpy(test_classes)),
    }
    return scores(clusters, truth) | found


def _means(features: Tensor, labels: np.ndarray, count: int) -> Tensor:
    index = torch.from_numpy(labels)
    sums = features.new_zeros(count, features.shape[1]).index_add_(0, index, features)
    return sums / index.bincount(minlength=count)[:, None]


def _distances(points: Tensor, others: Tensor) -> Tensor:
    return torch.cdist(points, others, compute_mode="donot_use_mm_for_euclid_dist")


def _parts_distance(
    features: Tensor, labels: np.ndarray, part_means: Tensor, class_means: Tensor, class_of: np.ndarray
) -> float:
    same = torch.from_numpy(class_of[:, None] == class_of).triu(1)
    different = torch.ones(len(class_means), len(class_means), dtype=torch.bool).triu(1)
    between = _distances(class_means, class_means)[different].mean()
    if between == 0:
        raise InputError("the features do not depend on the class (all class means agree): is the network dead?")
    index = torch.from_numpy(labels)
    scatter = (features - part_means[index]).square().sum(1)
    count = index.bincount(minlength=len(part_means)).double()
    error = scatter.new_zeros(len(part_means)).index_add_(0, index, scatter) / (count * (count - 1)).clamp_min(1)
    squares = _distances(part_means, part_means).square() - error[:, None] - error  # of means, squared, in expectation
    return (squares.clamp_min(0).sqrt()[same].mean() / between).item()


def _own_part(features: Tensor, part_means: Tensor, labels: np.ndarray, class_of: np.ndarray) -> float:
    distances = _distances(features, part_means)
    distances[torch.from_numpy(class_of[labels][:, None] != class_of)] = torch.inf
    count = np.bincount(labels, minlength=len(class_of))[labels]
    own = torch.from_numpy(labels)[:, None]
    # The mean of the others lies as much farther from a sample as it draws their common mean towards itself.
    farther = torch.from_numpy(count / np.maximum(count - 1, 1)).to(distances)[:, None]
    distances.scatter_(1, own, distances.gather(1, own) * farther)
    right = distances.argmin(1).numpy() == labels
    split = np.bincount(class_of)[class_of[labels]] > 1
    return _share(right[split & (count > 1)])


def _share(right: np.ndarray) -> float:
    return float(right.mean())
