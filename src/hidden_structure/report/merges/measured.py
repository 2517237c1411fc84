"""What the tables on other merges of the labels say, in the units that claims, figures and sentences need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from hidden_structure.report.merges.correlation import RankCorrelation, rank_correlation

RELATED = ("semantic", "superclass")  # methods of merging that put related classes together
ESTIMATES = {  # method of counting clusters -> in words, source
    "gap": ("gap statistic", "Tibshirani, Walther, Hastie 2001"),
    "silhouette": ("largest mean silhouette", "Rousseeuw 1987"),
}
FEWEST_CLUSTERS = {"gap": 1, "silhouette": 2}  # that the method can find


def networks(rows: Sequence[Mapping]) -> dict[str, list[Mapping]]:
    """Merge -> its rows, one a network, in the order of the seeds; without controls and original labels."""
    merges = [row for row in rows if row["method"] not in ("none", "control")]
    names = dict.fromkeys(row["name"] for row in merges)
    return {name: sorted((r for r in merges if r["name"] == name), key=lambda row: row["seed"]) for name in names}


def kept(rows: Sequence[Mapping], of: Sequence[Mapping]) -> list[float]:
    """Accuracies as shares of that of the network on the original labels of the same seed, or where there is none of
    their mean; one a row of `of`."""
    original = {row["seed"]: row["accuracy"] for row in rows if row["method"] == "none"}
    return [row["accuracy"] / original.get(row["seed"], fmean(original.values())) for row in of]


def spent(rows: Sequence[Mapping], row: Mapping) -> float:
    """Bits that a label of that row says, as a share of those of an original label."""
    return row["bits"] / next(one["bits"] for one in rows if one["method"] == "none")


def correlation(merged: Sequence[Mapping], likeness: str, classes: int) -> RankCorrelation | None:
    """Of that likeness with agreement above chance, over super-classes of merges into so many classes."""
    own = [row for row in merged if row["classes"] == classes and row["score"] is not None]
    columns = ([row["likeness"][likeness] for row in own], [row["score"] for row in own])
    return rank_correlation(*columns, [row["name"] for row in own], [row["members"] for row in own])


def unrelated(rows: Sequence[Mapping]) -> dict[str, float]:
    """Random merge -> its agreement less that of related classes merged into as many, mean over networks of one seed.

    The merge is what is drawn: networks of one share its classes, and how easily these are told apart.
    """
    related = next((row["name"] for row in rows if row["method"] in RELATED), None)
    found: dict[str, list[float]] = {}
    for row in (row for row in rows if row["name"] == related):
        for one in rows:
            if one["method"] == "random" and _alike(one, row):
                found.setdefault(one["name"], []).append(one["agreement"] - row["agreement"])
    return {name: fmean(differences) for name, differences in found.items()}


@dataclass(frozen=True)
class Counted:
    """How often a method finds as many clusters as classes were merged; right, constant: shares, one a network."""

    networks: tuple[str, ...]
    right: tuple[float, ...]
    constant: tuple[float, ...]  # of the super-classes for which the best constant answer is right
    answer: int  # that constant, the one of the highest mean over networks; the fewest of several
    superclasses: int

    @property
    def gains(self) -> tuple[float, ...]:
        return tuple(a - b for a, b in zip(self.right, self.constant, strict=True))


def counted(merged: Sequence[Mapping], method: str) -> Counted | None:
    """Over the super-classes in which the method can find as many; None where there are none."""
    rows = [row for row in merged if len(row["members"]) >= FEWEST_CLUSTERS[method]]
    if not rows:
        return None
    merges = [[row for row in rows if row["name"] == name] for name in dict.fromkeys(row["name"] for row in rows)]
    networks = [(own, place, seed) for own in merges for place, seed in enumerate(own[0]["seeds"])]

    def constant(answer: int) -> list[float]:
        return [fmean(len(row["members"]) == answer for row in own) for own, *_ in networks]

    answer = max(sorted({len(row["members"]) for row in rows}), key=lambda one: fmean(constant(one)))
    right = [fmean(row["estimated"][method][place] == len(row["members"]) for row in own) for own, place, _ in networks]
    names = tuple(f"{own[0]['name']}/{seed}" for own, _, seed in networks)
    return Counted(names, tuple(right), tuple(constant(answer)), answer, len(rows))


def _alike(row: Mapping, other: Mapping) -> bool:
    return (row["classes"], row["seed"]) == (other["classes"], other["seed"])
