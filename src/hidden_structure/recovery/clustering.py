"""The cluster half of the cluster-and-linear-probe test: do features fall apart into the classes that were merged?

Yang, Steinhardt, Hu, "Are Neurons Actually Collapsed? On the Fine-Grained Structure in Neural Representations", ICML
2023. Our reading of its procedure: within each super-class the training features are reduced to two dimensions by
t-SNE and clustered by k-means, with as many clusters as classes were merged into it.
"""

from collections.abc import Mapping
from numbers import Integral

import numpy as np

from hidden_structure.frame.arrays import Array, array_of, check_finite, check_range, check_rows, whole_numbers
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.progress import track
from hidden_structure.recovery.kmeans import cluster, in_range
from hidden_structure.seeding import Name, seed_of

TSNE_SAMPLES = 4  # in a super-class, at least
TSNE_INPUT = 50  # components kept before t-SNE, as its authors do: its neighbour search slows down with dimension
WIDE = 100  # features from which that is done


def reduce(features: Array, method: str, perplexity: float, components: int, seed: int) -> np.ndarray:
    """Features (n, d) as points (n, m): tsne gives m = 2, pca m = components, raw the features themselves.

    PCA pads with columns of zeros where there are fewer than `components` of them, which changes no distance. Where n
    is small the perplexity of t-SNE falls to (n - 1) / 3, the largest that has neighbours enough.

    Whole numbers, such as pixels, and halves are computed with in the next floats that hold them.

    Raises InputError if the features are no numbers (n, d) or not finite, there are none, the method is none of these,
    PCA gets no whole number of components above 0, or t-SNE a perplexity that is not above 0, fewer than 4 samples or
    only copies of one.
    """
    if method not in (known := ("tsne", "pca", "raw")):
        raise InputError(f"{method!r} reduces nothing: choose one of {', '.join(known)}")
    features = array_of("features", features)
    check_rows("features", features)
    if not len(features):
        raise InputError("there are no features to cluster: give some")
    features = features.astype(np.result_type(features, np.float32), copy=False)
    check_finite("the features to cluster", features)
    if method == "raw":
        return features
    if method == "pca":
        if not isinstance(components, Integral) or components < 1:
            raise InputError(f"components: {components!r} dimensions hold no points: give a whole number above 0")
        return _principal_components(features, components, seed)
    return _tsne(features, perplexity, seed)


def _principal_components(features: np.ndarray, components: int, seed: int) -> np.ndarray:
    from sklearn.decomposition import PCA

    points = np.zeros((len(features), components), features.dtype)
    kept = min(components, *features.shape)
    if (features != features[0]).any():  # of constant features the shares of variance would be 0 / 0
        # Of collapsed features nothing would be left in float32 once the squares of their mean are taken away.
        centred, exponent = _centred(features)
        points[:, :kept] = np.ldexp(PCA(kept, random_state=seed).fit_transform(centred), exponent)
    return points


def _centred(features: np.ndarray) -> tuple[np.ndarray, int]:
    """Features less their mean, over 2^exponent where they are huge or tiny, and that exponent."""
    return in_range((features - features.mean(0, dtype=np.float64)).astype(features.dtype))


def _tsne(features: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    from hidden_structure.recovery.tsne import embed

    samples, dimension = features.shape
    if not perplexity > 0:
        raise InputError(f"perplexity: {perplexity} is no number of neighbours: give one above 0")
    if samples < TSNE_SAMPLES:
        raise InputError(f"t-SNE needs {TSNE_SAMPLES} samples in each super-class, got {samples}: take pca or raw")
    if not (features != features[0]).any():
        raise InputError("t-SNE got one point only, all features of a super-class agree: is the network dead?")
    if dimension > WIDE or dimension == 1:
        features, _ = in_range(_principal_components(features, TSNE_INPUT, seed))
    else:  # openTSNE's principal components, where it starts, lose features that are collapsed far from zero
        features, _ = _centred(features)
    return embed(features, min(perplexity, (samples - 1) / 3), seed)


def reduce_within(
    features: Array, coarse: Array, method: str, perplexity: float, components: int, *names: Name
) -> np.ndarray:
    """Reduce each super-class by itself: features (N, d) and super-classes int64 (N,) to points (N, m).

    names: of the random generator, to which the method and the super-class are added.

    Raises InputError if there is not a super-class for each of one sample or more, and as `reduce` does.
    """
    features = array_of("features", features)
    check_rows("features", features)
    coarse = whole_numbers("coarse", array_of("coarse", coarse), len(features))
    if not len(coarse):
        raise InputError("there are no features to cluster: give some")
    groups = track(np.unique(coarse), f"{method} of {' '.join(map(str, names))}")
    return together(
        {int(one): reduce_one(features, coarse, int(one), method, perplexity, components, *names) for one in groups},
        coarse,
    )


def reduce_one(
    features: np.ndarray,
    coarse: np.ndarray,
    group: int,
    method: str,
    perplexity: float,
    components: int,
    *names: Name,
) -> np.ndarray:
    """What `reduce_within` makes of the samples of one super-class: points (n, m)."""
    own = features[coarse == group]
    return reduce(own, method, perplexity, components, seed_of(*names, method, group))


def together(points: Mapping[int, np.ndarray], coarse: np.ndarray) -> np.ndarray:
    """The points of all super-classes, by super-class (n, m), in the order of the samples (N, m)."""
    some = next(iter(points.values()))
    result = np.empty((len(coarse), some.shape[1]), some.dtype)
    for group, own in points.items():
        result[coarse == group] = own
    return result


def recover(points: Array, fine: Array, coarse: Array, coarse_of: Array, restarts: int, *names: Name) -> np.ndarray:
    """Labels int64 (N,) recovered by k-means within each super-class, from points (N, m) of training samples.

    A cluster stands for one original class of its super-class: by that one-to-one assignment under which most
    training samples agree with `fine`. So a perfect naming is taken for granted, and with small samples chance
    agreement lies above one in the number of clusters.

    Args:
        fine, coarse: int64 (N,), the original and the merged labels.
        coarse_of: int64 (C,), the super-class of each original class; k-means looks for as many clusters as it has.
        restarts: of k-means, of which the tightest result is kept.
        names: of the random generator, to which the super-class is added.

    Raises InputError if an argument is of another shape or kind, coarse_of says of a sample's original class another
    super-class than the sample has, or a super-class has fewer samples, or fewer different ones, than clusters.
    """
    points = array_of("points", points)
    check_rows("points", points)
    fine, coarse = (
        whole_numbers(name, array_of(name, own), len(points)) for name, own in (("fine", fine), ("coarse", coarse))
    )
    coarse_of = array_of("coarse_of", coarse_of)
    coarse_of = whole_numbers("coarse_of", coarse_of, len(coarse_of) if coarse_of.ndim else 0)
    check_range("fine, whose super-classes coarse_of tells,", fine, len(coarse_of))
    if len(wrong := np.flatnonzero(coarse_of[fine] != coarse)):
        own = f"a sample of the original class {fine[wrong[0]]} is of super-class {coarse[wrong[0]]}"
        raise InputError(f"{own}, but coarse_of says {coarse_of[fine[wrong[0]]]}: give each class one super-class")
    recovered = np.full(len(fine), -1)
    for group in np.unique(coarse):
        own, classes = np.flatnonzero(coarse == group), np.flatnonzero(coarse_of == group)
        clusters = kmeans(points[own], len(classes), restarts, seed_of(*names, "k-means", int(group)))
        recovered[own] = _name_clusters(clusters, fine[own], classes)
    return recovered


def kmeans(points: Array, clusters: int, restarts: int, seed: int) -> np.ndarray:
    """Clusters int64 (n,) of points (n, m), the tightest of several restarts.

    Raises InputError as `kmeans.cluster` does, and if there are fewer points, or fewer different ones, than clusters.
    """
    if len(points) < clusters:
        raise InputError(f"k-means needs {clusters} samples in a super-class of {clusters} classes, got {len(points)}")
    found, _ = cluster(points, clusters, restarts, seed)
    if (different := len(np.unique(found))) < clusters:
        raise InputError(
            f"k-means found {different} different points where it needs {clusters}: the features have collapsed or died"
        )
    return found


def _name_clusters(clusters: np.ndarray, fine: np.ndarray, classes: np.ndarray) -> np.ndarray:
    from scipy.optimize import linear_sum_assignment

    overlap = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(overlap, (clusters, np.searchsorted(classes, fine)), 1)
    _, columns = linear_sum_assignment(overlap, maximize=True)  # rows come sorted: 0, 1, ...
    return classes[columns][clusters]


def scores(recovered: Array, fine: Array) -> dict[str, float]:
    """Agreement of recovered with original labels, both int64 (n,), each 1 at best.

    agreement: share of samples whose recovered label is the original one. nmi: mutual information over the mean of
    both entropies. ari: adjusted Rand index, 0 on average by chance. purity: share of samples whose label is the most
    frequent in their cluster. The last three do not depend on how clusters are named.

    Raises InputError if they are no such labels, not as many, or there are none.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    recovered, fine = array_of("recovered", recovered), array_of("fine", fine)
    recovered = whole_numbers("recovered", recovered, len(recovered) if recovered.ndim else 0)
    fine = whole_numbers("fine", fine, len(recovered))
    if not len(fine):
        raise InputError("there are no labels to compare: give some")
    return {
        "agreement": float((recovered == fine).mean()),
        "nmi": float(normalized_mutual_info_score(fine, recovered)),
        "ari": float(adjusted_rand_score(fine, recovered)),
        "purity": float(contingency_matrix(fine, recovered).max(0).sum() / len(fine)),
    }


def scores_within(recovered: np.ndarray, fine: np.ndarray, coarse: np.ndarray, names: list[str]) -> dict[str, dict]:
    """The scores of each super-class by itself, with its numbers of clusters and samples.

    names: of the super-classes 0, 1, ...
    """
    result = {}
    for group, name in enumerate(names):
        own = coarse == group
        clusters = len(np.unique(recovered[own]))
        result[name] = scores(recovered[own], fine[own]) | {"clusters": clusters, "samples": int(own.sum())}
    return result


def information_within(pieces: np.ndarray, fine: np.ndarray, coarse: np.ndarray) -> float:
    """How far pieces of super-classes are the original classes; all int64 (N,).

    Adjusted mutual information in each super-class of two classes or more (Vinh, Epps, Bailey 2010), on average over
    their samples: 1 where they agree, and about 0 by chance, into however many pieces, or where a super-class is left
    whole; 0 if every class stands alone, where there is nothing to be found.
    """
    from sklearn.metrics import adjusted_mutual_info_score

    found, samples = 0.0, 0
    for group in np.unique(coarse):
        own = coarse == group
        if len(np.unique(fine[own])) > 1:
            found += own.sum() * adjusted_mutual_info_score(fine[own], pieces[own])
            samples += own.sum()
    return float(found / max(1, samples))
