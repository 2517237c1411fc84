"""Other merges of the labels: which classes can be found again, and from how little."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Chapter, Numbers, Picture, Tables
from hidden_structure.report.claim import Claim
from hidden_structure.report.findings import in_order, interval_of, signed
from hidden_structure.report.merges import figures
from hidden_structure.report.merges.claims import IDEA, claims
from hidden_structure.report.merges.measured import ESTIMATES, correlation, counted, networks, unrelated
from hidden_structure.report.statistics import interval, rounded

SPLITS = ("train", "test")
HEADLINE = ("unrelated", "likeness", "count-gap", "count-silhouette")


def chapter(study: Study, tables: Tables) -> Chapter | None:
    """None where no two classes are merged, neither by the study's own merge nor by others."""
    classes, neighbours, merges, merged = map(tables, ("classes", "neighbours", "merges", "merged"))
    if not (neighbours or merges):
        return None
    coarse = len({row["superclass"] for row in classes})
    own = claims(study, merges, merged, coarse) if merges else []
    return Chapter(
        idea=IDEA,
        title="Which classes can be found again",
        question="Classes that a network was told to treat as one stay apart inside it. Does that depend on which "
        "classes are merged and on how much the labels say, and must one know how many were merged?",
        findings=[*in_order(_sentences(merges, merged, own, coarse) if merges else ()), *_nearest(neighbours)],
        claims=own,
        pictures=_pictures(merges, merged, neighbours, len(classes), coarse),
        numbers=_numbers(classes, merges, merged, neighbours, coarse),
        headline={claim.id.partition(".")[2]: claim.measured for claim in own if claim.id.endswith(HEADLINE)},
    )


def _sentences(
    merges: Sequence[Mapping], merged: Sequence[Mapping], own: Sequence[Claim], coarse: int
) -> Iterator[tuple[Claim, str]]:
    claim_of = {claim.id.partition(".")[2]: claim for claim in own}
    if differences := unrelated(merges):
        points = 100 * fmean(differences.values())
        yield (
            claim_of["unrelated"],
            f"Random merges give {abs(points):.1f} percentage points {'more' if points > 0 else 'fewer'} of the "
            "training samples their original class back than the merge of related classes",
        )
    if found := correlation(merged, "features", coarse):
        yield (
            claim_of["likeness"],
            f"The rank correlation of likeness with agreement is {signed(found.rho)} over {found.superclasses} "
            f"different super-classes of {len(found.merges)} merges; with likeness dealt out at random it is as low "
            f"with probability {found.p:.2g}",
        )
    for name, claim in claim_of.items():
        if claim.values and (name == "control" or name.startswith("supervision")):
            whose = "a control" if name == "control" else f"networks on {name.partition('-')[2]} classes"
            kept = f"Clusters of {whose} keep {claim.measured:.2f} of the accuracy of networks on the original labels"
            yield claim, f"{kept}, where {claim.criterion.at_least or claim.criterion.at_most:.2f} is the bound"
        if claim.values and name.startswith("worth"):
            yield (
                claim,
                f"Recovered from labels of {name.partition('-')[2]} classes, the original ones are classified "
                f"{signed(100 * claim.measured, 1)} percentage points against networks that have original labels for "
                f"the same bits{interval_of(claim, 100, 1)}",
            )
    for method, (words, _) in ESTIMATES.items():
        if found := counted(merged, method):
            yield (
                claim_of[f"count-{method}"],
                f"The number of merged classes is right by the {words} in {fmean(found.right):.2f} of a network's "
                f"super-classes, and by the best constant answer, {found.answer}, in {fmean(found.constant):.2f}",
            )


def _nearest(neighbours: Sequence[Mapping]) -> list[str]:
    if not neighbours:
        return []
    separations = [value for row in neighbours for value in row["separations"]]
    nearest = min(neighbours, key=lambda row: row["separations"][0])
    closer = sum(value < 1 for value in separations)
    return [
        f"Of {len(separations)} pairs of merged classes {closer} lie closer to one another than their samples scatter; "
        f"the nearest are {nearest['nearest']['a']} and {nearest['nearest']['b']}, at {min(separations):.2f} of the "
        f"scatter, and the farthest two lie {max(separations):.2f} of it apart."
    ]


def _pictures(
    merges: Sequence[Mapping], merged: Sequence[Mapping], neighbours: Sequence[Mapping], classes: int, coarse: int
) -> list[Picture]:
    drawn = []
    if any(row["score"] is not None for row in merged):
        drawn.append(
            Picture(
                "semantics",
                "Are unrelated classes easier to recover?",
                "Each mark is a super-class of one merge: to the right its classes are more alike, upwards more of its "
                "samples get their original class back (0: no more than chance, 1: all). If unrelated classes are "
                "easier, marks fall to the right. Hollow marks are of merges into another number of classes than the "
                "study's own, and not part of the rank correlation.",
                "Upwards: share of training samples whose recovered label is right, from chance, one in the number of "
                "classes, to 1; means over seeds. Likeness in pixels and features: 1 less the distance of class means "
                "over the mean distance of all pairs of classes, so 1 is the same mean and 0 an average pair; "
                "confusion: mean probability that the fine network gives one class on test images of the other. Mean "
                "over pairs of the super-class.",
                lambda: figures.semantics(merged, coarse),
            )
        )
    if merges:
        drawn.append(
            Picture(
                "supervision",
                "Supervision spent, accuracy kept",
                "A line is a way of labelling; the further down, the more a label says of its sample. What a filled "
                "mark gains over the stroke was not in the labels: clustering found it. The hollow mark is what the "
                "same features give a linear layer that is told the true labels; the dotted line is the network that "
                "was. Grey squares are the controls: clusters of what no labels have shaped. A cross is a network on "
                "the original labels of as many samples as say the same bits, where there is one.",
                "Bits: entropy of the training labels. Linear layers on the features of the network trained on these "
                "labels; recovered by the first reducer of the parameters. Means over seeds, bars one standard "
                "deviation to either side, none with one seed.",
                lambda: figures.supervision(merges, classes),
            )
        )
        drawn.append(
            Picture(
                "cluster-count",
                "How many classes were merged?",
                "A cell holds the super-classes with as many merged classes (row) in which the method finds as many "
                "clusters (column); in the boxes it is right. The silhouette compares clusters, so it never finds one.",
                "The points that k-means also clusters, at most 2,000 of a super-class, and 1 to 12 clusters of "
                "k-means. Gap statistic with ten uniform references along the principal components and the rule of one "
                "standard error. All merges and seeds together; the shades of both panels are one logarithmic scale.",
                lambda: figures.cluster_count(merged),
            )
        )
    if neighbours:
        drawn.append(
            Picture(
                "neighbours",
                "Which merged classes lie close",
                "A line is a super-class, a mark a pair of its classes: the further left, the closer the two lie. Left "
                "of the dotted line they lie closer than their samples scatter. The super-classes whose nearest two "
                f"lie closest come first, at most {figures.LINES} of them.",
                "The coarse network of the study; distance of two classes' mean training features over the root mean "
                "square distance of their samples from them, mean squares over seeds.",
                lambda: figures.neighbours(neighbours),
            )
        )
    return drawn


def _numbers(
    classes: Sequence[Mapping],
    merges: Sequence[Mapping],
    merged: Sequence[Mapping],
    neighbours: Sequence[Mapping],
    coarse: int,
) -> list[Numbers]:
    tables = []
    if neighbours:
        members: dict[str, list[Mapping]] = {}
        for row in classes:
            members.setdefault(row["superclass"], []).append(row)
        tables.append(
            Numbers(
                "merge",
                "Merged classes",
                "The super-classes that the coarse network is trained on.",
                ("super-class", "original classes", "training samples", "test samples"),
                [
                    (
                        name,
                        ", ".join(row["class"] for row in own),
                        *(sum(row[split] for row in own) for split in SPLITS),
                    )
                    for name, own in members.items()
                ],
            )
        )
    if merges:
        tables.append(
            Numbers(
                "merges",
                "Networks on other labels",
                "Means over seeds, fractions: test accuracy on the network's own labels, of linear layers on recovered "
                "and on true labels on the original classes, and the share of training samples whose recovered label "
                "is right; and the test accuracy of networks on as many original labels as say the same bits.",
                ("labels", "bits a sample", "seeds", "own labels", "recovered", "true labels", "agreement", "bought"),
                [_network(rows) for rows in networks(merges).values()],
            )
        )
        found = {name: correlation(merged, name, coarse) for name in figures.LIKENESS}
        tables.append(
            Numbers(
                "likeness",
                "Likeness and recovery",
                "Rank correlation of the likeness of merged classes with agreement above chance, its 95 % interval "
                "(jackknife over merges), and the probability of one as low when likeness is dealt out at random; none "
                "of fewer than ten different super-classes.",
                ("likeness", "super-classes", "merges", "rank correlation", "interval", "p"),
                [
                    (words, one.superclasses, len(one.merges), rounded(one.rho), _interval(one.pseudovalues), one.p)
                    if (one := found[name])
                    else (words, None, None, None, None, None)
                    for name, words in figures.LIKENESS.items()
                ],
            )
        )
    return tables


def _network(rows: Sequence[Mapping]) -> tuple:
    numbers = [
        rounded(fmean(values))
        for values in (
            [row["trained"]["test"] for row in rows],
            *([row[name] for row in rows] for name in ("accuracy", "ceiling", "agreement")),
        )
    ]
    bought = [row["bought"]["accuracy"] for row in rows if row.get("bought")]
    return rows[0]["label"], rounded(rows[0]["bits"]), len(rows), *numbers, rounded(fmean(bought)) if bought else None


def _interval(values: Sequence[float]) -> str | None:
    ends = interval(values)
    return None if ends is None else f"{signed(ends[0])} to {signed(ends[1])}"
