"""What is inside super-classes against how far these have collapsed, of the coarse networks of every study.

Yang, Steinhardt, Hu (ICML 2023) find the merged classes in collapsed features; a rival (arXiv 2606.26749) holds that
they are there for a while only. Both speak of one quantity over training, so there is one hypothesis.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Tables
from hidden_structure.report.claim import Claim, Criterion
from hidden_structure.report.collapse.claims import of
from hidden_structure.report.recovery import chapter as recovery
from hidden_structure.report.recovery.claims import YANG, chance, guess
from hidden_structure.report.recovery.outlasting import LOST
from hidden_structure.report.statistics import finite, mean

IDEA = "structure"
RIVAL = "arXiv 2606.26749"
VERDICTS = {  # of the claim -> what becomes of the structure, and which paper that speaks for
    "supported": ("survives", f"{YANG} (arXiv 2306.17105)"),
    "contradicted": ("transient", RIVAL),
    "undecided": ("undecided", "neither paper"),
    "not assessable": ("not asked", "no paper"),
}
FOLLOWED, ENDED, RECIPE = "followed", "ended", "recipe"  # over training; at its end alone; as a cell of a grid


@dataclass(frozen=True)
class Network:
    """One coarse network. Values are at the kept epochs, or at the end alone, where `nc1` has one, too.

    found: way of clustering -> agreement of clusters with the original labels, from that of shuffled labels (0) to 1.
    read: test accuracy of a linear layer on true labels, from a guess inside the super-class (0) to 1. apart: share of
    the variance inside super-classes that lies between their classes; none where it is not in the tables.
    """

    study: str
    name: str
    kind: str
    nc1: tuple[float, ...]
    found: Mapping[str, tuple[float, ...]]
    read: tuple[float, ...]
    apart: tuple[float, ...] = ()


def networks(study: Study, tables: Tables) -> list[Network]:
    """None of a study that trains no networks of its own, or without a table of what was recovered."""
    recovered, superclasses = tables("recovery"), tables("superclasses")
    if not recovered or not superclasses:
        return []
    level, guessed = chance(superclasses), guess(tables("classes"))
    if level == 1 or guessed == 1:  # nothing was merged
        return []

    def above(values: Sequence[float], floor: float, what: str) -> tuple[float, ...]:
        return tuple((finite(value, f"{study.study}: {what}") - floor) / (1 - floor) for value in values)

    def network(kind: str, name: str, nc1: Sequence[float], read: Sequence[float], found: Mapping, apart=()) -> Network:
        clusters = {how: above(values, level, f"agreement by {how}") for how, values in found.items()}
        return Network(
            study.study, name, kind, tuple(nc1), clusters, above(read, guessed, "a linear layer"), tuple(apart)
        )

    followed = {row["seed"]: row for row in tables("following")}
    separated = _explained(tables)
    made = []
    for row in of(tables("collapse"), "coarse"):
        seed, own = row["seed"], [one for one in recovered if one["seed"] == row["seed"]]
        found = {one["reducer"]: [one["agreement"]] for one in own if one["source"] == "coarse"}
        found = {how: values for how, values in found.items() if how != "raw" or "pca" not in found}  # hardly differ
        if along := followed.get(seed):
            found |= {along["reducer"]: along["agreement"]}
            columns = along["nc1"], along["labels"], found, along["explained"]
            made.append(network(FOLLOWED, str(seed), *columns))
        elif found:
            read = [one["accuracy"] for one in own if one["source"] == "labels"]
            made.append(network(ENDED, str(seed), row["nc1"][-1:], read, found, separated))
    for row in tables("sweep"):
        if row["nc1"] is not None and row["agreement"] is not None:
            name = f"rate {row['lr']:g}, decay {row['weight_decay']:g}, seed {row['seed']}"
            found = {study.cluster.reducers[0]: [row["agreement"]]}
            made.append(network(RECIPE, name, [row["nc1"]], [row["ceiling"]], found))
    return made


def _explained(tables: Tables) -> list[float]:
    """At the end of training, where distances of classes are of a single network and not a mean over several."""
    from hidden_structure.recovery.following import separation

    rows, classes = tables("distances"), tables("classes")
    if not rows or len(of(tables("collapse"), "coarse")) > 1:
        return []
    names = list(dict.fromkeys(row["superclass"] for row in classes))
    superclass = {row["class"]: names.index(row["superclass"]) for row in classes}
    coarse_of = torch.tensor([superclass[row["class"]] for row in rows]).numpy()
    distances = torch.tensor([row["distances"] for row in rows], dtype=torch.float64)
    return [separation(distances, coarse_of)["explained"]]


def outlasting(study: Study, tables: Tables) -> tuple[Claim | None, Claim | None]:
    """The study's own claims on what clusters find, from before collapse and from their best epoch to the end; None
    where its networks were not followed, or had not collapsed, and the second where both are one."""
    made = recovery.chapter(study, tables) if tables("recovery") else None
    claims = {claim.id: claim for claim in made.claims} if made else {}
    wanted = "recovery.outlasting-agreement"
    return claims.get(f"{wanted}.collapsing"), claims.get(wanted)


def overall(claims: Mapping[str, Claim]) -> Claim:
    """The same of all studies in which it can be asked; claims: study -> its own.

    Over the networks of a study that is alone; of several over their means, for networks of one are no replications of
    another's. Which these are must not depend on how it came out: so none in which controls fulfil it, even if networks
    do not.
    """
    asked = {study: claim for study, claim in claims.items() if claim.values and not (claim.unmet or claim.passing)}
    values = {study: mean(claim.values) for study, claim in asked.items()}
    if len(asked) == 1:
        ((study, claim),) = asked.items()
        values = dict(zip((f"{study}/{seed}" for seed in claim.seeds), claim.values, strict=True))
    return Claim(
        id=f"{IDEA}.outlasting",
        idea=IDEA,
        kind="ours",
        statement="Over all studies, what clusters of the coarse networks' features find of the merged classes "
        "stays while they collapse.",
        criterion=Criterion(
            "agreement of recovered with original labels over the training set, from that of shuffled labels (0) to "
            "all (1), at the end less at the last kept epoch before the study's networks have collapsed",
            at_least=-LOST["agreement"],
            origin="ours: hardly less; the source gives no curve",
        ),
        values=tuple(values.values()),
        seeds=tuple(values),
        source=f"{YANG}; {RIVAL}",
        unmet=""
        if asked
        else "no study's networks were followed until they had collapsed, or untrained ones fulfil it as well",
    )


def word(claim: Claim | None, bests: Iterable[Claim] = ()) -> tuple[str, str]:
    """What becomes of the structure, and which paper that speaks for.

    What is lost before collapse speaks for no paper: so it is transient if the claim from there on says so. It survives
    only if none of those from the best epoch on says otherwise: the last epoch before collapse may be one at which
    clusters find little.
    """
    verdict = claim.verdict if claim else "not assessable"
    if verdict == "supported" and any(best.verdict in ("contradicted", "undecided") for best in bests):
        verdict = "undecided"
    return VERDICTS[verdict]


def of_kind(made: Sequence[Network], *kinds: str) -> Iterator[Network]:
    return (network for network in made if network.kind in kinds)
