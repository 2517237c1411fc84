"""How alike merged classes are, and how well clustering finds them again, from chance.

Nguyen, Kornblith, arXiv 2311.07864 (2023): super-classes of unrelated classes cluster better than natural hierarchies
do. All similarities here are the larger the more alike two classes are. `recover_merge` and `alike` are tasks: they
read what they work on from the files of the study.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch

from hidden_structure.datasets.labels import bits_per_sample, class_counts, merge, merge_name, tables
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.build import build
from hidden_structure.networks.features import head
from hidden_structure.networks.weights import load_state
from hidden_structure.recovery.count import estimate
from hidden_structure.recovery.recovery import Merged, cluster_and_probe, probe_accuracy


def similarity_of_means(values: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """1 less the distance of two class means over the mean distance of all pairs: float64 (C, C).

    1: the same mean; 0: as far apart as two classes are on average; negative: further.

    Args:
        values: numbers (N, ...), pixels or features; labels: int64 (N,) in 0..classes-1.

    Raises InputError if a class has no sample, a mean is not finite, or all means agree.
    """
    _every_class_has_samples(labels, classes)
    means = np.stack([values[labels == label].mean(0, dtype=np.float64).ravel() for label in range(classes)])
    if not np.isfinite(means).all():
        raise InputError("a class mean holds NaN or infinity: the network diverged, lower train.lr")
    distances = np.linalg.norm(means[:, None] - means, axis=2)
    average = distances[~np.eye(classes, dtype=bool)].mean()
    if average == 0:
        raise InputError("all class means are one point: the network is dead, lower train.lr")
    return 1 - distances / average


def confusion(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How probable the network holds one class on samples of another, mean of both ways: float64 (C, C).

    The mean softmax probability instead of the share of samples decided wrongly: on a test set few are, and most pairs
    of classes are never confused.

    Args:
        logits: floats (N, C); labels: int64 (N,), the true classes.

    Raises InputError if a class has no sample, or a logit is not finite.
    """
    from scipy.special import softmax

    classes = logits.shape[1]
    _every_class_has_samples(labels, classes)
    if not np.isfinite(logits).all():
        raise InputError("the network's outputs hold NaN or infinity: it diverged, lower train.lr")
    probabilities = softmax(logits.astype(np.float64), axis=1)
    means = np.stack([probabilities[labels == label].mean(0) for label in range(classes)])
    return (means + means.T) / 2


def _every_class_has_samples(labels: np.ndarray, classes: int) -> None:
    if len(missing := np.setdiff1d(np.arange(classes), labels)):
        raise InputError(f"class {missing[0]} has no sample: a class without any is like no other, remove it")


def within(similarity: np.ndarray, coarse_of: np.ndarray) -> dict[int, float]:
    """Super-class -> mean similarity over pairs of its classes, of those that have two classes or more.

    similarity: floats (C, C), symmetric; coarse_of: int64 (C,), the super-class of each class.
    """
    found = {}
    for group in np.unique(coarse_of):
        members = np.flatnonzero(coarse_of == group)
        if len(members) > 1:
            pairs = np.triu_indices(len(members), 1)
            found[int(group)] = float(similarity[np.ix_(members, members)][pairs].mean())
    return found


def above_chance(agreement: float, classes: int) -> float:
    """(agreement - 1/k) / (1 - 1/k): 1 at best, so that super-classes of different numbers of classes compare.

    Never below 0: clusters are named by their best assignment, and over all assignments agreement is 1/k on average.
    With few samples, or classes of different sizes, naming alone reaches more than 0.
    """
    return (agreement - 1 / classes) / (1 - 1 / classes)


def likeness(alike: Mapping[str, np.ndarray], coarse_of: np.ndarray, group: int, agreement: float) -> dict:
    """How alike the classes of one super-class are, and its agreement above chance; nothing of a class by itself.

    alike: measure -> likeness of every two classes, (C, C); group: the super-class, among coarse_of's values.
    """
    classes = int((coarse_of == group).sum())
    if classes < 2:
        return {}
    similarity = {name: within(matrix, coarse_of)[group] for name, matrix in alike.items()}
    return {"score": above_chance(agreement, classes), "similarity": similarity}


def similarities(
    images: np.ndarray,
    networks: Iterable[tuple[np.ndarray, np.ndarray]],
    labels: Mapping[str, np.ndarray],
    classes: int,
) -> dict[str, np.ndarray]:
    """How alike every two classes are, float64 (C, C): in pixels, in the features and by the confusion of networks.

    Args:
        images: of the training samples, (N, ...).
        networks: of each its features of these, (N, d), and its logits of the test samples, (M, C); means over them.
        labels: "train" (N,) and "test" (M,), ints in 0..C-1.
    """
    features, confusions = [], []
    for embeddings, logits in networks:
        features.append(similarity_of_means(embeddings, labels["train"], classes))
        confusions.append(confusion(logits, labels["test"]))
    pixels = similarity_of_means(images, labels["train"], classes)
    return {"pixels": pixels, "features": np.mean(features, 0), "confusion": np.mean(confusions, 0)}


def recover_merge(settings: params.Cluster, kind: params.Merge, seed: int) -> dict:
    """The row of one merge and seed, by the first reducer; `coarse_of` is the super-class of each class."""
    data, fine = artifacts.read_arrays(paths.DATA, paths.IMAGES), artifacts.read_labels("fine")
    with artifacts.content_of([paths.DATA]):
        made = merge(kind, tuple(fine["names"].tolist()), tables(data))
    name, coarse_of, names = merge_name(kind), made.coarse_of, list(made.coarse_names)
    merged = Merged(fine["train"], coarse_of[fine["train"]], fine["test"], coarse_of, names)
    sizes = {split: len(fine[split]) for split in ("train", "test")}
    stored = artifacts.read_tensors(paths.merged_features(name, seed), sizes)
    train, test = stored["train"], stored["test"]
    found = cluster_and_probe(train.numpy(), train, test, merged, settings, settings.reducers[0], name, seed)
    for group, scores in enumerate(found.row["superclasses"].values()):
        scores["estimated"] = estimate(found.points[merged.coarse == group], name, seed, group)
    row = {"name": name, "method": kind.method, "classes": len(names), "seed": seed, "coarse_of": coarse_of.tolist()}
    row["bits"] = bits_per_sample(class_counts(merged.coarse, len(names)))
    row["oracle_accuracy"] = probe_accuracy(merged.fine, train, test, merged, settings.l2)
    row |= found.row
    print(name, {key: row[key] for key in ("seed", "agreement", "probe_accuracy")}, flush=True)
    return row


def alike(network: params.Network, seeds: list[int]) -> dict[str, list[list[float]]]:
    """Measure -> likeness of every two classes (C, C), by the images and the networks that were trained on them."""
    images, fine = artifacts.read_arrays(paths.DATA, paths.IMAGES)["train_images"], artifacts.read_labels("fine")
    found = similarities(images, _networks(network, seeds, images.shape[1:], fine), fine, len(fine["names"]))
    return {name: matrix.tolist() for name, matrix in found.items()}


def _networks(
    description: params.Network, seeds: list[int], shape: tuple, fine: dict[str, np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of every network on fine labels: its features of the training samples, its logits of the test samples."""
    network = build(description, shape, len(fine["names"]))
    held = {f"{split}/penultimate": len(fine[split]) for split in ("train", "test")}
    for seed in seeds:
        stored = artifacts.read_tensors(paths.features("fine", seed), held)
        load_state(network, artifacts.read_state(paths.model("fine", seed), network))
        with torch.no_grad():
            yield stored["train/penultimate"].numpy(), head(network)(stored["test/penultimate"]).numpy()
