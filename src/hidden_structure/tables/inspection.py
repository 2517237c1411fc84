"""Given networks looked into: what they do, how far they collapsed, what is inside their classes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hidden_structure.frame.params import Study
from hidden_structure.seeding import numpy_generator
from hidden_structure.tables.connectivity import given_networks
from hidden_structure.tables.recovery import chance_agreement

SOURCES = {"given": "the network", "pixels": "control: pixels", "untrained": "control: untrained network"}
COLLAPSE = {
    "nc1": "nc1",
    "norms": "nc2_norms_means",
    "cosine": "nc2_cosine_means",
    "spread": "nc2_equiangular_means",
    "nc3": "nc3",
    "nc4": "nc4",
}


def tabulate(study: Study, results: Callable[[str], Any]) -> dict[str, list[dict]]:
    """Table -> rows; none where the study looks into no networks.

    `inspected`: one a network, as `given` of the connectivity study. `inspected_collapse`: one a network and source
    (`given`, or an `untrained` one of its kind), with `classes` and what was measured of its class means.
    `inside`: one a network, class and source of the points: numbers of clusters by `gap` and `silhouette`, `separation`
    (the mean silhouette of so many clusters) and, where finer labels are known, `agreement` with these.
    `hidden`: one a network and source, where finer labels are known: `agreement` over the training set, `chance` of
    shuffled labels, and the test `accuracy` of a linear layer on these labels; source `labels` is of the true ones.
    """
    rows = results("inspect")
    if not rows:
        return {}
    labels = results("labels")
    known = labels[study.inspect.labels]
    found = {
        "inspected": given_networks(rows, known["test_counts"]),
        "inspected_collapse": [
            {"network": row["network"], "source": source, "classes": known["classes"]}
            | {column: row[of][name] for column, name in COLLAPSE.items()}
            for row in rows
            for source, of in (("given", "collapse"), ("untrained", "untrained"))
        ],
        "inside": [line for row in rows for line in _inside(row, known["train_counts"])],
    }
    if study.inspect.labels == "coarse":
        found["hidden"] = [line for row in rows for line in _hidden(row, labels)]
    return found


def _inside(row: Mapping, counts: Mapping[str, int]) -> Iterator[dict]:
    recovered = row.get("recovered")
    for name, samples in counts.items():
        for source, label in SOURCES.items():
            line = {"network": row["network"], "class": name, "samples": samples, "source": source, "label": label}
            line |= row["inside"][source][name]
            if recovered:
                scores = recovered[source]["superclasses"][name]
                line |= {"classes": scores["clusters"], "agreement": scores["agreement"]}
            yield line


def _hidden(row: Mapping, labels: Mapping) -> Iterator[dict]:
    own = {"network": row["network"], "classes": labels["fine"]["classes"]}
    yield own | {"source": "labels", "label": "true labels", "accuracy": row["recovered"]["labels"]}
    chance = _chance(labels)
    for source, label in SOURCES.items():
        scores = row["recovered"][source]
        numbers = {"agreement": scores["agreement"], "chance": chance, "accuracy": scores["probe_accuracy"]}
        yield own | {"source": source, "label": label} | numbers


def _chance(labels: Mapping) -> float:
    """Agreement of labels that are shuffled inside their classes, over all samples."""
    counts: Mapping[str, int] = labels["fine"]["train_counts"]
    groups: dict[str, list[int]] = {}
    for name, merged in labels["coarse_of"].items():
        groups.setdefault(merged, []).append(counts[name])
    levels: Sequence[float] = [
        chance_agreement(own, numpy_generator("chance of naming", name)) * sum(own) for name, own in groups.items()
    ]
    return sum(levels) / sum(counts.values())
