"""The claims on other merges of the labels."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from hidden_structure.frame.params import Study
from hidden_structure.report.claim import Claim, Criterion, unless
from hidden_structure.report.merges.correlation import FEWEST
from hidden_structure.report.merges.measured import (
    ESTIMATES,
    FEWEST_CLUSTERS,
    correlation,
    counted,
    kept,
    networks,
    spent,
    unrelated,
)
from hidden_structure.report.preconditions import trained as trained_networks
from hidden_structure.report.preconditions import trained_from
from hidden_structure.report.statistics import interval

IDEA = "merges"
NGUYEN = "Nguyen, Kornblith 2023"
YANG = "Yang, Steinhardt, Hu 2023"
UNRELATED_BEYOND = 0.01  # share of training samples
LIKENESS_BELOW = -0.1  # rank correlation
WORTH_FROM = 0.01  # in accuracy
COUNTED_BEYOND = 0.1  # share of super-classes: what a constant answer does, a method of counting must beat by so much


ORIGIN = "ours: midway from the share of the bits to all"


def claims(study: Study, merges: Sequence[Mapping], merged: Sequence[Mapping], classes: int) -> list[Claim]:
    """merges, merged: rows of the tables of these names; classes: that the study's own merge makes."""
    trained, original = _trained(study, merges), _original(study, merges)
    both = unless(trained) or unless(original)
    return [
        trained,
        original,
        _unrelated(merges, unless(trained)),
        _likeness(merged, classes, both),
        *_supervision(merges, both or _other_recipe(study), unless(original)),
        *_worth(merges, unless(trained)),
        *(_counts(merged, method, unless(trained)) for method in ESTIMATES),
    ]


def _trained(study: Study, merges: Sequence[Mapping]) -> Claim:
    rows = [row for own in networks(merges).values() for row in own]
    floors = [trained_from(study.data.source, row["classes"])[0] for row in rows]
    return Claim(
        id=f"{IDEA}.trained",
        idea=IDEA,
        kind="precondition",
        statement="The networks on merged labels are properly trained.",
        criterion=Criterion(
            "test accuracy on their own labels less the floor of as many classes (fraction)",
            at_least=0.0,
            origin=trained_from(study.data.source, rows[0]["classes"])[1],
        ),
        values=tuple(row["trained"]["test"] - floor for row, floor in zip(rows, floors, strict=True)),
        seeds=tuple(f"{row['name']}/{row['seed']}" for row in rows),
    )


def _original(study: Study, merges: Sequence[Mapping]) -> Claim:
    rows = [row for row in merges if row["method"] == "none"]
    return trained_networks(
        f"{IDEA}.original",
        "the networks on original labels are",
        [row["accuracy"] for row in rows],
        [str(row["seed"]) for row in rows],
        study.data.source,
        rows[0]["classes"],
    )


def _unrelated(merges: Sequence[Mapping], unmet: str) -> Claim:
    differences = unrelated(merges)
    return Claim(
        id=f"{IDEA}.unrelated",
        idea=IDEA,
        kind="published",
        statement="Clusters of unrelated classes that were merged agree better with the original classes than clusters "
        "of related ones.",
        criterion=Criterion(
            "share of training samples that get their original class back, a random merge, over all its networks, less "
            "the merge of related classes into as many (fraction)",
            at_least=UNRELATED_BEYOND,
            origin="ours: the source gives no number",
        ),
        values=tuple(differences.values()),
        seeds=tuple(differences),
        source=NGUYEN,
        unmet=unmet,
    )


def _likeness(merged: Sequence[Mapping], classes: int, unmet: str) -> Claim:
    found = correlation(merged, "features", classes)
    few = f"fewer than {FEWEST} different super-classes or than two merges, or all alike"
    return Claim(
        id=f"{IDEA}.likeness",
        idea=IDEA,
        kind="ours",
        statement="The less alike the fine network holds merged classes, the better they are recovered.",
        criterion=Criterion(
            "rank correlation of likeness with agreement above chance, over super-classes",
            at_most=LIKENESS_BELOW,
            origin="ours; the unit is a merge with all its networks, left out in turn, and not a super-class",
        ),
        values=found.pseudovalues if found else (),
        seeds=found.merges if found else (),
        source=NGUYEN,
        unmet=unmet or ("" if found else few),
    )


def _supervision(merges: Sequence[Mapping], unmet_trained: str, unmet_original: str) -> list[Claim]:
    """What controls of the study's own merge reach says what counts: where they pass, no network can show anything."""
    controls = [row for row in merges if row["method"] == "control"]
    found, control = [], None
    if controls:
        names = dict.fromkeys(row["name"] for row in controls)
        best = max(names, key=lambda name: fmean(kept(merges, [row for row in controls if row["name"] == name])))
        rows = [row for row in controls if row["name"] == best]
        share = spent(merges, rows[0])
        control = Claim(
            id=f"{IDEA}.control",
            idea=IDEA,
            kind="control",
            statement=f"Clusters of {'pixels' if best == 'pixels' else 'an untrained network'} keep less accuracy than "
            "what is asked of networks on merged labels.",
            criterion=Criterion(
                f"accuracy kept, of the networks on original labels, from {share:.3g} of the bits (share)",
                at_most=_floor(share),
                origin=ORIGIN,
            ),
            values=tuple(kept(merges, rows)),
            seeds=tuple(str(row["seed"]) for row in rows),
            unmet=unmet_original,
        )
        found.append(control)
    passed = unless(control) if control else "no control was measured"
    for rows in networks(merges).values():
        share = spent(merges, rows[0])
        if rows[0]["method"] == "modulo" and share < 1:
            found.append(
                Claim(
                    id=f"{IDEA}.supervision-{rows[0]['classes']}",
                    idea=IDEA,
                    kind="ours",
                    statement=f"Labels of {rows[0]['classes']} classes, {share:.2g} of the bits, suffice for most of "
                    "the accuracy on the original classes.",
                    criterion=Criterion(
                        "accuracy of a linear layer on recovered labels over that of the networks on original labels "
                        "(share)",
                        at_least=_floor(share),
                        origin=ORIGIN,
                    ),
                    values=tuple(kept(merges, rows)),
                    seeds=tuple(str(row["seed"]) for row in rows),
                    source=YANG,
                    unmet=unmet_trained or passed,
                )
            )
    return found


def _other_recipe(study: Study) -> str:
    """Networks by two recipes differ in more than their labels."""
    if study.merges is None or (own := study.merges.train.epochs) == study.train.epochs:
        return ""
    return f"networks on original labels were trained for {study.train.epochs} epochs, those on merged ones for {own}"


def _worth(merges: Sequence[Mapping], unmet: str) -> Iterator[Claim]:
    """Of the modulo merges into fewer classes than there are, where such networks were trained."""
    for rows in networks(merges).values():
        if rows[0]["method"] == "modulo" and spent(merges, rows[0]) < 1 and all(row.get("bought") for row in rows):
            yield Claim(
                id=f"{IDEA}.worth-{rows[0]['classes']}",
                idea=IDEA,
                kind="ours",
                statement=f"Labels of {rows[0]['classes']} classes for all samples are worth more than the original "
                "labels of as many as say the same bits.",
                criterion=Criterion(
                    "test accuracy on the original classes of a linear layer on recovered labels less that of a "
                    "network of the same seed on original labels for the same bits, in as many steps (fraction)",
                    at_least=WORTH_FROM,
                    origin="ours: a percentage point",
                ),
                values=tuple(row["accuracy"] - row["bought"]["accuracy"] for row in rows),
                seeds=tuple(str(row["seed"]) for row in rows),
                source=YANG,
                unmet=unmet,
            )


def _floor(share: float) -> float:
    return round((1 + share) / 2, 4)


def _counts(merged: Sequence[Mapping], method: str, unmet: str) -> Claim:
    words, source = ESTIMATES[method]
    found = counted(merged, method)
    answer = f", {found.answer}" if found else ""
    several = " of several classes" if FEWEST_CLUSTERS[method] > 1 else ""  # it never finds one
    beyond = Criterion(
        f"share of a network's super-classes{several} whose number is right, less that of the best constant "
        f"answer{answer} (fraction)",
        at_least=COUNTED_BEYOND,
        origin="ours: one super-class of ten more",
    )
    hopeless = False
    if found:
        perfect = [1 - share for share in found.constant]  # what a method gains that is always right
        best, own = (beyond.meets(interval(gains) or (gains[0], gains[0])) for gains in (perfect, found.gains))
        hopeless = best is False or (best is None and own is not False)
    return Claim(
        id=f"{IDEA}.count-{method}",
        idea=IDEA,
        kind="ours",
        statement=f"The {words} finds how many classes were merged more often than one answer for all does.",
        criterion=beyond,
        values=found.gains if found else (),
        seeds=found.networks if found else (),
        source=source,
        unmet=unmet or ("who is always right could not be told from a constant answer" if hopeless else ""),
    )
