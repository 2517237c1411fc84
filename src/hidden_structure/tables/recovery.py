"""The original classes recovered from the coarse network: how many samples, with what use, and against which levels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Study
from hidden_structure.seeding import numpy_generator

REDUCERS = {"tsne": "t-SNE + k-means", "pca": "PCA + k-means", "raw": "k-means alone"}
SOURCES = {
    "coarse": "trained features",
    "pixels": "control: pixels",
    "untrained": "control: untrained network",
    "memorised": "control: memorising network",
}
SCORES = ("agreement", "ari", "nmi")
FOLLOWED = ("agreement", "recovered", "labels", "explained", "spread")
SHUFFLES = 200  # of which the level of chance is the mean
DIGITS = 4  # of a distance: a class has as many as there are classes


def tabulate(study: Study, results: Callable[[str], Any]) -> dict[str, list[dict]]:
    """Table -> rows.

    `bits`: one a supervision, its classes and the bits that its label says of a sample.
    `recovery`: one a network and way of clustering: `accuracy` of the linear layer on recovered labels, `agreement` of
    recovered with original labels over the training set, and ARI and NMI *inside* super-classes of several classes
    (means weighted by samples). Rows with source `labels` are of the linear layer on the true ones.
    `memorised`: one a network that memorised shuffled coarse labels, where there are such: its accuracy on these
    (`fitted`) and on the true coarse labels of the test set (`coarse`), and test accuracies on the original classes of
    linear layers on its own features, with true `labels` and with those `recovered` from them.
    `superclasses`: one a super-class and source, by the first reducer: scores for each of `seeds`, and `chance`, the
    mean agreement of labels that are shuffled inside it and then named as clusters are.
    `following`: one a coarse network (`seed`), with lists over `epochs`, 0 the initialisation: its `nc1`, and what
    `recovery/following.py` measured after each of clusters by `reducer`. Empty where it was not followed.
    `distances`: one an original class, its mean squared distances to all, in the order of the rows.

    None of them where the study trains no networks of its own.

    Raises InputError if a seed of the study is missing.
    """
    labels, cluster = results("labels"), results("cluster")
    if not cluster:
        return {}
    first, sources = study.cluster.reducers[0], [name for name in SOURCES if name != "memorised" or study.memorised]
    rows = {(row["seed"], row["source"], row["reducer"]): row for row in cluster["rows"]}
    oracle = {row["seed"]: row for row in cluster["oracle"]}
    for seed in study.seeds:
        lacking = [(seed, source, first) for source in sources if (seed, source, first) not in rows]
        if lacking or seed not in oracle:
            raise InputError(f"the results hold no clusters of every kind for seed {seed}: run `dvc repro`")
    ordered = [row for row in rows.values() if row["seed"] in study.seeds]
    found = {
        "bits": _bits(labels),
        "recovery": [*map(_network, ordered), *(_true(oracle[seed]) for seed in study.seeds)],
        "superclasses": [
            row
            for source in sources
            for row in _superclasses([rows[seed, source, first] for seed in study.seeds], study.seeds, labels)
        ],
        "distances": _distances(cluster["class_distances"]),
        "following": [*_following(study, results)],
    }
    if study.memorised:
        found["memorised"] = [*_memorised(study, rows, cluster, results("memorised"))]
    return found


def arrays(
    study: Study, positions: np.ndarray, fine: Mapping[str, np.ndarray], coarse: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The map of the first seed, at most `report.points` samples of each super-class, drawn at random.

    Args:
        positions: floats (N, 2), of the training samples; only positions inside one super-class compare.
        fine, coarse: both labels as artifacts hold them, `train` ints (N,).

    Returns x and y float32 (n,), fine and coarse uint16 (n,).
    """
    labels, generator = {"fine": fine["train"], "coarse": coarse["train"]}, numpy_generator("map")
    drawn = [
        generator.permutation(np.flatnonzero(labels["coarse"] == group))[: study.report.points]
        for group in np.unique(labels["coarse"])
    ]
    kept = np.concatenate(drawn)
    return {axis: positions[kept, n].astype(np.float32) for n, axis in enumerate("xy")} | {
        name: of_samples[kept].astype(np.uint16) for name, of_samples in labels.items()
    }


def chance_agreement(counts: Sequence[int], generator: np.random.Generator) -> float:
    """Mean share of samples whose label is right when labels are shuffled and the clusters they make are named best.

    counts: samples of each class; the clusters have the same sizes. It lies above one in the number of classes, for
    clusters are named by the very samples that are then counted, and the more so the fewer there are.
    """
    from scipy.optimize import linear_sum_assignment

    counts = np.asarray(counts)
    shares = []
    for _ in range(SHUFFLES):
        left, table = counts.copy(), np.empty((len(counts), len(counts)), np.int64)
        for line, size in enumerate(counts):  # a random table with these sums of rows and columns
            table[line] = generator.multivariate_hypergeometric(left, size)
            left -= table[line]
        shares.append(table[linear_sum_assignment(table, maximize=True)].sum() / counts.sum())
    return fmean(shares)


def _bits(labels: Mapping) -> list[dict]:
    return [
        {"supervision": name, "classes": labels[name]["classes"], "bits": labels[name]["bits_per_sample"]}
        for name in ("fine", "coarse")
    ]


def _network(row: Mapping) -> dict:
    groups = [group for group in row["superclasses"].values() if group["clusters"] > 1]  # in others is nothing to find
    samples = max(1, sum(group["samples"] for group in groups))
    inside = {name: sum(group[name] * group["samples"] for group in groups) / samples for name in ("ari", "nmi")}
    named = {"label": SOURCES[row["source"]], "clusters": REDUCERS[row["reducer"]]}
    scores = {"accuracy": row["probe_accuracy"], "agreement": row["agreement"], "inside": inside}
    return {name: row[name] for name in ("seed", "source", "reducer")} | named | scores


def _true(row: Mapping) -> dict:
    how = {"source": "labels", "reducer": None, "label": "true labels", "clusters": None}
    return {"seed": row["seed"]} | how | {"accuracy": row["probe_accuracy"]}


def _superclasses(rows: Sequence[Mapping], seeds: Sequence[int], labels: Mapping) -> Iterator[dict]:
    for name, first in rows[0]["superclasses"].items():
        counts = [labels["fine"]["train_counts"][own] for own, merged in labels["coarse_of"].items() if merged == name]
        shape = {"superclass": name, "clusters": first["clusters"], "samples": first["samples"]}
        chance = chance_agreement(counts, numpy_generator("chance of naming", name))
        scores = {score: [row["superclasses"][name][score] for row in rows] for score in SCORES}
        network = {"source": rows[0]["source"], "label": SOURCES[rows[0]["source"]]}
        yield network | shape | {"chance": chance, "seeds": list(seeds)} | scores


def _following(study: Study, results: Callable[[str], Any]) -> Iterator[dict]:
    rows = {(row["seed"], row["epoch"]): row for row in results("follow-recovery") or ()}
    if not rows:
        return
    nc1 = {(row["seed"], row["epoch"]): row["nc1"] for row in results("collapse") if row["supervision"] == "coarse"}
    for seed in study.seeds:
        epochs = sorted(epoch for own, epoch in rows if own == seed)
        if not epochs or not nc1.keys() >= {(seed, epoch) for epoch in epochs}:
            raise InputError(f"the results do not follow the coarse network of seed {seed}: run `dvc repro`")
        lists = {name: [rows[seed, epoch][name] for epoch in epochs] for name in FOLLOWED}
        network = {"seed": seed, "reducer": rows[seed, epochs[0]]["reducer"], "epochs": epochs}
        yield network | {"nc1": [nc1[seed, epoch] for epoch in epochs]} | lists


def _memorised(
    study: Study, rows: Mapping[tuple, Mapping], cluster: Mapping, trained: Sequence[Mapping]
) -> Iterator[dict]:
    fitted = {row["seed"]: row for row in trained}
    read = {row["seed"]: row["probe_accuracy"] for row in cluster["memorised"]}
    for seed in study.seeds:
        if seed not in fitted.keys() & read.keys():
            raise InputError(f"the results hold no network that memorised labels for seed {seed}: run `dvc repro`")
        own = fitted[seed]
        yield {
            "seed": seed,
            "fitted": own["train_accuracy"],
            "coarse": own["test_accuracy"],
            "labels": read[seed],
            "recovered": rows[seed, "memorised", study.cluster.reducers[0]]["own_accuracy"],
        }


def _distances(found: Mapping) -> list[dict]:
    return [
        {"class": name, "distances": [float(f"{distance:.{DIGITS}g}") for distance in line]}
        for name, line in zip(found["names"], found["matrix"], strict=True)
    ]
