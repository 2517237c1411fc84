"""What the study measured of other merges of the labels: one value a seed, where nothing else is said."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean

import numpy as np

from hidden_structure.frame.errors import InputError
from hidden_structure.merges.likeness import RankCorrelation, rank_correlation
from hidden_structure.report.summary import Measured
from hidden_structure.seeding import numpy_generator

SIMILARITIES = ("pixels", "features", "confusion")  # of the metrics
COUNTS = ("gap", "silhouette")  # methods of estimating the number of clusters
RELATED = ("semantic", "superclass")  # methods of merging that put related classes together
MERGED = {"accuracy": "probe_accuracy", "oracle": "oracle_accuracy", "agreement": "agreement", "bits": "bits"}


def measure(rows: Sequence[Mapping], coarse_classes: int) -> Measured:
    """Every quantity; of no rows none.

    `merges.<name>.accuracy`, `.oracle`, `.agreement`, `.bits`: of the linear layer on recovered and on true labels, of
    the clusters, and of the coarse labels a sample.
    `semantics.same.<similarity>.rho`, `.low`, `.high`, `.superclasses`: rank correlation with the score above chance,
    one value over super-classes of the merges into coarse_classes; `semantics.all...` of all merges. Left out where
    there is none.
    `unrelated.<name>`: agreement of a random merge less that of the merge of related classes into as many, means over
    seeds.
    `clusters.gap`, `clusters.silhouette`: share of the super-classes of two or more classes that the method finds as
    many clusters in as there are classes.

    Args:
        rows: of the metrics of merges; coarse_classes: of the study's own merge.

    Raises InputError if a merge lacks a seed that another has.
    """
    measured: Measured = {}
    for name, own in by_name(rows).items():
        measured |= {f"merges.{name}.{short}": [row[column] for row in own] for short, column in MERGED.items()}
    for among, wanted in (("same", coarse_classes), ("all", None)):
        for similarity, found in correlations(superclasses(rows), wanted).items():
            numbers = asdict(found) if found else {}
            measured |= {f"semantics.{among}.{similarity}.{name}": [value] for name, value in numbers.items()}
    measured |= {f"unrelated.{name}": [difference] for name, difference in _unrelated(rows).items()}
    for method in COUNTS:
        seeds = [[row for row in rows if row["seed"] == seed] for seed in sorted({row["seed"] for row in rows})]
        found = [[true == estimated for true, estimated in counts(own, method)] for own in seeds]
        if any(found):
            measured[f"clusters.{method}"] = [fmean(right) for right in found]
    return measured


def by_name(rows: Sequence[Mapping]) -> dict[str, list[Mapping]]:
    """Name of a merge -> its rows in the order of the seeds.

    Raises InputError if a merge lacks a seed that another has.
    """
    seeds = sorted({row["seed"] for row in rows})
    found = {name: [row for row in rows if row["name"] == name] for name in dict.fromkeys(r["name"] for r in rows)}
    for name, own in found.items():
        if sorted(row["seed"] for row in own) != seeds:
            raise InputError(f"the metrics of merge {name} lack a seed: run `dvc repro` to measure it")
        own.sort(key=lambda row: row["seed"])
    return found


def superclasses(rows: Sequence[Mapping]) -> list[dict]:
    """One row a super-class of two or more classes: {method, classes, score, and its similarities}.

    classes: of the merge; score: agreement above chance, mean over seeds.

    Raises InputError at a value that is not finite.
    """
    found = []
    for merge, own in by_name(rows).items():
        for name, scores in own[0]["superclasses"].items():
            if "score" in scores:
                score = fmean(row["superclasses"][name]["score"] for row in own)
                numbers = {"score": score} | scores["similarity"]
                if not np.isfinite(list(numbers.values())).all():
                    raise InputError(
                        f"the metrics of merge {merge} hold NaN or infinity on {name}: delete them and run `dvc repro`"
                    )
                found.append({key: own[0][key] for key in ("method", "classes")} | numbers)
    return found


def correlations(points: Sequence[Mapping], classes: int | None) -> dict[str, RankCorrelation | None]:
    """Similarity -> its rank correlation with the score, over super-classes of merges into so many; None: into any."""
    own = [point for point in points if classes in (None, point["classes"])]
    score = np.array([point["score"] for point in own])
    return {
        name: rank_correlation(
            np.array([point[name] for point in own]), score, numpy_generator("rank correlation", name)
        )
        for name in SIMILARITIES
    }


def counts(rows: Sequence[Mapping], method: str, least: int = 2) -> list[tuple[int, int]]:
    """True and estimated number of clusters of every super-class of at least so many classes."""
    return [
        (scores["clusters"], scores["estimated"][method])
        for row in rows
        for scores in row["superclasses"].values()
        if scores["clusters"] >= least
    ]


def _unrelated(rows: Sequence[Mapping]) -> dict[str, float]:
    """Random merge -> its mean agreement less that of the first merge of related classes, where it has as many."""
    agreement = {name: fmean(row["agreement"] for row in own) for name, own in by_name(rows).items()}
    related = next((row for row in rows if row["method"] in RELATED), None)
    random = [row for row in rows if related and (row["method"], row["classes"]) == ("random", related["classes"])]
    return {row["name"]: agreement[row["name"]] - agreement[related["name"]] for row in random}
