"""Other merges of the labels: what was recovered from each network, how alike the merged classes are, how they lie."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Study

LABELS = {  # method of merging -> in words
    "modulo": "modulo",
    "random": "random",
    "semantic": "related classes",
    "superclass": "super-classes of the data",
}
CONTROLS = {"pixels": "control: pixels", "untrained": "control: untrained network"}  # source of the clusters -> label
SIMILARITIES = ("pixels", "features", "confusion")
ESTIMATES = ("gap", "silhouette")
LISTED = 6  # sizes of groups at most, else their range


def tabulate(study: Study, results: Callable[[str], Any]) -> dict[str, list[dict]]:
    """Table -> rows.

    `classes`: one an original class, its super-class in the study's own merge and its samples.
    `neighbours`: one a super-class of two classes or more of that merge: how far apart each pair of its classes lies.
    `merges`: one a network, its merge, the bits a label says, and the test accuracy on the original classes of a linear
    layer on recovered labels (`accuracy`) and on true ones (`ceiling`); `bought`, where such were trained, is of a
    network on as many original labels as say the same bits. Also the networks on the original labels (method `none`)
    and the controls of the study's own merge (method `control`).
    `merged`: one a super-class of a merge with what its likeness, agreement and estimated numbers of clusters are, each
    a mean over the merge's networks; `estimated` holds one number a seed of `seeds`.

    Raises InputError if a merge lacks a seed that another has, or a number is not finite.
    """
    labels, cluster = results("labels"), results("cluster")
    found = {"classes": _classes(labels)}
    if not cluster:  # the study trains no networks of its own, nor then on other merges
        return found
    if pairs := _neighbours(labels["coarse_of"], cluster["class_distances"]):
        found["neighbours"] = pairs
    rows = (results("merges") or {}).get("rows")
    if rows:
        trained = {(row["name"], row["seed"]): row for row in results("train-merges")}
        found["merges"] = [*_originals(labels, results("train-fine")), *_controls(study, labels, cluster["rows"])]
        found["merges"] += [_network(row, trained) for row in rows]
        found["merged"] = list(_merged(rows, list(labels["coarse_of"])))
    return found


def label(row: Mapping) -> str:
    """Of a merge in words: "modulo 5", "random 5 (0)", "related classes, 5", "groups of 1, 3, 6 classes"."""
    if row["method"] == "groups":
        sizes = sorted(len(scores["members"]) for scores in row["superclasses"].values())
        listed = ", ".join(map(str, sizes)) if len(sizes) <= LISTED else f"{sizes[0]} to {sizes[-1]}"
        return f"groups of {listed} classes" + (f", {len(sizes)}" if len(sizes) > LISTED else "")
    comma = "" if row["method"] in ("modulo", "random") else ","
    named = f"{LABELS[row['method']]}{comma} {row['classes']}"
    return f"{named} ({row['name'].rpartition('-')[2]})" if row["method"] == "random" else named


def separation(distances: np.ndarray) -> np.ndarray:
    """Distance of two classes' means over the root mean square distance of their samples from them: float64 (C, C).

    distances: floats (C, C), mean squared distances of samples as collapse.class_distances gives them: with a 2 on
    their diagonal, for two samples of one class.
    """
    spread = np.diag(distances) / 2  # squared distance of a sample from its class mean
    both = spread[:, None] + spread
    return np.sqrt(np.maximum(distances - both, 0) / np.maximum(both / 2, np.finfo(float).tiny))


def _classes(labels: Mapping) -> list[dict]:
    counts = {split: labels["fine"][f"{split}_counts"] for split in ("train", "test")}
    return [
        {"class": name, "superclass": merged} | {split: count[name] for split, count in counts.items()}
        for name, merged in labels["coarse_of"].items()
    ]


def _neighbours(coarse_of: Mapping[str, str], distances: Mapping) -> list[dict]:
    matrix = np.asarray(distances["matrix"], dtype=float)
    if not np.isfinite(matrix).all():
        raise InputError("the class distances hold a value that is no number: delete the results and run `dvc repro`")
    apart, index = separation(matrix), {name: place for place, name in enumerate(distances["names"])}
    rows = []
    for merged in dict.fromkeys(coarse_of.values()):
        members = [name for name, own in coarse_of.items() if own == merged]
        pairs = sorted((float(apart[index[a], index[b]]), a, b) for a, b in combinations(members, 2))
        if pairs:
            row = {"superclass": merged, "classes": len(members), "separations": [value for value, _, _ in pairs]}
            ends = {"nearest": pairs[0], "farthest": pairs[-1]}
            rows.append(row | {end: {"a": a, "b": b} for end, (_, a, b) in ends.items()})
    return rows


def _originals(labels: Mapping, training: Sequence[Mapping]) -> Iterator[dict]:
    last = max(row["epoch"] for row in training)
    shared = {"name": "original", "label": "original labels", "method": "none", "classes": labels["fine"]["classes"]}
    for row in training:
        if row["epoch"] == last:
            numbers = {"bits": labels["fine"]["bits_per_sample"], "accuracy": row["test_accuracy"]}
            yield shared | {"seed": row["seed"]} | numbers


def _controls(study: Study, labels: Mapping, rows: Sequence[Mapping]) -> Iterator[dict]:
    """Of the first reducer, which all merges are measured with."""
    coarse = labels["coarse"]
    for row in rows:
        if row["source"] in CONTROLS and row["reducer"] == study.cluster.reducers[0]:
            named = {"name": row["source"], "label": CONTROLS[row["source"]], "method": "control"}
            numbers = {"classes": coarse["classes"], "seed": row["seed"], "bits": coarse["bits_per_sample"]}
            yield named | numbers | {"accuracy": row["probe_accuracy"], "agreement": row["agreement"]}


def _network(row: Mapping, trained: Mapping[tuple[str, int], Mapping]) -> dict:
    own = trained.get((row["name"], row["seed"]))
    if own is None:
        raise InputError(f"the results hold no network of merge {row['name']}, seed {row['seed']}: run `dvc repro`")
    numbers = {"accuracy": row["probe_accuracy"], "ceiling": row["oracle_accuracy"], "agreement": row["agreement"]}
    trained_to = {"trained": {split: own[f"{split}_accuracy"] for split in ("train", "test")}}
    shape = {"name": row["name"], "label": label(row)} | _merge(row) | {"bits": row["bits"]}
    bought = own.get("bought")
    if bought is None:
        return shape | numbers | trained_to
    return (
        shape
        | numbers
        | trained_to
        | {"bought": {name: bought[name] for name in ("samples", "epochs")} | {"accuracy": bought["test_accuracy"]}}
    )


def _merge(row: Mapping) -> dict:
    return {name: row[name] for name in ("method", "classes", "seed")}


def _merged(rows: Sequence[Mapping], classes: Sequence[str]) -> Iterator[dict]:
    seeds = sorted({row["seed"] for row in rows})
    for name in dict.fromkeys(row["name"] for row in rows):
        own = sorted((row for row in rows if row["name"] == name), key=lambda row: row["seed"])
        if [row["seed"] for row in own] != seeds:
            raise InputError(f"the results of merge {name} lack a seed that another has: run `dvc repro` to measure it")
        for merged, first in own[0]["superclasses"].items():
            scores = [row["superclasses"][merged] for row in own]
            yield {
                "name": name,
                "method": own[0]["method"],
                "classes": own[0]["classes"],
                "seeds": seeds,
                "superclass": merged,
                "members": [classes.index(member) for member in first["members"]],
                "agreement": fmean(score["agreement"] for score in scores),
                "score": fmean(score["score"] for score in scores) if "score" in first else None,
                "likeness": {of: first.get("similarity", {}).get(of) for of in SIMILARITIES},
                "estimated": {by: [score["estimated"][by] for score in scores] for by in ESTIMATES},
            }
