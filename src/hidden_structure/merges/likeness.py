"""How alike merged classes are, and whether likeness decides how well clustering finds them again.

Nguyen, Kornblith, arXiv 2311.07864 (2023): super-classes of unrelated classes cluster better than natural hierarchies
do. All similarities here are the larger the more alike two classes are.
"""

from dataclasses import dataclass

import numpy as np

from hidden_structure.frame.errors import InputError

RESAMPLES = 2000  # of the bootstrap
LEVEL = 0.95  # of its interval
FEWEST = 3  # super-classes: two always lie on a line


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation over so many super-classes, and the ends of its 95 % bootstrap interval."""

    rho: float
    low: float
    high: float
    superclasses: int


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


def rank_correlation(
    similarity: np.ndarray, score: np.ndarray, generator: np.random.Generator
) -> RankCorrelation | None:
    """Spearman's rank correlation, with a percentile bootstrap over super-classes (Efron, 1979).

    None where there are fewer than three super-classes, or all agree in one of the two. Resamples that do so are left
    out. Super-classes of one network are drawn as if independent, which makes the interval somewhat too narrow.

    similarity, score: floats (n,), of each super-class.
    """
    if len(score) < FEWEST or not (np.ptp(similarity) and np.ptp(score)):
        return None
    columns = np.stack([similarity, score])
    drawn = columns[:, generator.integers(len(score), size=(RESAMPLES, len(score)))]
    varying = (np.ptp(drawn, axis=2) > 0).all(0)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(_spearman(*drawn[:, varying]), [tail, 1 - tail])
    return RankCorrelation(float(_spearman(*columns)), float(low), float(high), len(score))


def _spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Along the last axis; equal values share their mean rank."""
    from scipy.stats import rankdata

    a, b = (rankdata(column, axis=-1) for column in (a, b))
    a, b = (ranks - ranks.mean(-1, keepdims=True) for ranks in (a, b))
    return (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))


def separation(distances: np.ndarray) -> np.ndarray:
    """Distance of two classes' means over the root mean square distance of their samples from them: float64 (C, C).

    distances: floats (C, C), mean squared distances of samples as collapse.class_distances gives them: with a 2 on
    their diagonal, for two samples of one class.
    """
    spread = np.diag(distances) / 2  # squared distance of a sample from its class mean
    both = spread[:, None] + spread
    return np.sqrt(np.maximum(distances - both, 0) / np.maximum(both / 2, np.finfo(float).tiny))
