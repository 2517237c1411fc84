"""The claims on the unconstrained features model: theory that its optimisation could contradict."""

from collections.abc import Mapping, Sequence

from hidden_structure.report.claim import Claim, Criterion, Kind

IDEA = "unconstrained"
ZHU = "Zhu, Ding, Zhou, Li, You, Sulam, Qu 2021"
FANG = "Fang, He, Long, Su 2021"
HONG = "Hong, Ling 2023"

OFF_AT_MOST = 1e-6  # float64 gives nine digits more; a wrong formula would show in the first
APART_FROM, ONE_BELOW = 0.01, 1e-6  # 1 - cosine: cosine below .99 is apart, above .999999 is one direction
NEAR = 2.0  # ratios within this factor of the threshold ...
BESIDE = 1.05  # ... but not within this one, where the cosine, which rises without a step, is not told from 1


def claims(
    ends: Sequence[Mapping],
    imbalance: Sequence[Mapping],
    bounds: Sequence[Mapping] = (),
    bounds_imbalance: Sequence[Mapping] = (),
) -> list[Claim]:
    """ends: rows of the table `unconstrained`; others: of the tables of these names, none where the model was not
    solved under bounds."""
    starts = sorted({row["start"] for row in ends})
    return [
        Claim(
            id=f"{IDEA}.size",
            idea=IDEA,
            kind="published",
            statement="Free features and a last layer under weight decay end at the closed form of the global optimum "
            "from every random start, under both losses, with and without bias.",
            criterion=Criterion(
                "objective, norms, bias and outputs of wrong classes, largest difference to the closed form over the "
                "losses (relative)",
                at_most=OFF_AT_MOST,
                origin="ours: float64 reaches 1e-15",
            ),
            values=tuple(max(row["size"] for row in ends if row["start"] == start) for start in starts),
            seeds=tuple(map(str, starts)),
            source=ZHU,
            every=True,
        ),
        Claim(
            id=f"{IDEA}.shape",
            idea=IDEA,
            kind="published",
            statement="Under cross-entropy that optimum is a simplex: rows of the last layer meet at its angle and "
            "point at their features.",
            criterion=Criterion(
                "cosine of two rows and distance of a feature from its row, largest difference to a simplex (relative)",
                at_most=OFF_AT_MOST,
                origin="ours: float64 reaches 1e-15",
            ),
            values=tuple(
                max(row["shape"] for row in ends if (row["loss"], row["start"]) == ("cross-entropy", start))
                for start in starts
            ),
            seeds=tuple(map(str, starts)),
            source=ZHU,
            every=True,
        ),
        _minority(
            "minority",
            "published",
            HONG,
            "Minority collapse is a transition: just below a ratio of samples that theory tells, the small classes "
            "still differ, and just above it their rows are one direction.",
            imbalance,
        ),
        *(_bounds(bounds, bounds_imbalance) if bounds else ()),
    ]


def _bounds(ends: Sequence[Mapping], imbalance: Sequence[Mapping]) -> list[Claim]:
    return [
        Claim(
            id=f"{IDEA}.bounds",
            idea=IDEA,
            kind="published",
            statement="With norms bounded instead of decayed, from every random start free features and last layer end "
            "at the same simplex, that of the decays whose optimum has these norms.",
            criterion=Criterion(
                "norms, angles, self-duality, probability of wrong classes and excess of the right logit, largest "
                "difference to the closed form (relative)",
                at_most=OFF_AT_MOST,
                origin="ours: float64 reaches 1e-15",
            ),
            values=tuple(max(row["size"], row["shape"]) for row in ends),
            seeds=tuple(str(row["start"]) for row in ends),
            source=FANG,
            every=True,
        ),
        _minority(
            "bounds-minority",
            "ours",
            "",
            "With norms bounded, too, the small classes' rows become one direction at a finite ratio of samples, "
            "another one, which theory tells as well.",
            imbalance,
        ),
    ]


def _minority(name: str, kind: Kind, source: str, statement: str, imbalance: Sequence[Mapping]) -> Claim:
    near = near_the_threshold(imbalance)
    sides = {row["ratio"] > row["merging_ratio"] for row in near}
    return Claim(
        id=f"{IDEA}.{name}",
        idea=IDEA,
        kind=kind,
        statement=statement,
        criterion=Criterion(
            f"ratios within a factor of {NEAR:g} of the threshold, but not of {BESIDE:g}, that lie on their side, a "
            f"mean cosine below {1 - APART_FROM:g} before and above {1 - ONE_BELOW:g} after it (share)",
            at_least=1.0,
            origin="ours, on both sides of the threshold",
        ),
        values=tuple(float(on_its_side(row)) for row in near),
        seeds=tuple(f"ratio-{row['ratio']:g}" for row in near),
        source=source,
        every=True,
        unmet="" if len(sides) == 2 else "no ratio is near the threshold on one of its sides",
    )


def near_the_threshold(imbalance: Sequence[Mapping]) -> list[Mapping]:
    """The rows of ratios near that from which on the minority is one, in their order, where it has a direction."""
    rows = sorted(imbalance, key=lambda row: row["ratio"])
    known = [row for row in rows if None not in (row["apart"], row["merging_ratio"])]
    factor = [max(row["ratio"] / row["merging_ratio"], row["merging_ratio"] / row["ratio"]) for row in known]
    return [row for row, far in zip(known, factor, strict=True) if BESIDE <= far <= NEAR]


def on_its_side(row: Mapping) -> bool:
    above = row["ratio"] > row["merging_ratio"]
    return row["apart"] < ONE_BELOW if above else row["apart"] > APART_FROM
