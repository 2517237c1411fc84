"""The chapter on means of several networks: their weights matched in pairs, all together, or not at all."""

from collections.abc import Iterator, Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report.averages import figures
from hidden_structure.report.averages.claims import (
    IDEA,
    MATCHINGS,
    accuracies,
    by_reference,
    claims,
    largest_evidence,
    named,
    of_count,
)
from hidden_structure.report.chapter import Chapter, Numbers, Picture, Tables
from hidden_structure.report.claim import Claim
from hidden_structure.report.collapse.chapter import with_error
from hidden_structure.report.findings import in_order
from hidden_structure.report.statistics import mean, rounded

QUESTION = (
    "Can several independent networks be merged into one, by the mean of their weights? Asked of networks as they are, "
    "matched in pairs to one of them, and matched all together, so that going round three of them leaves every unit "
    "where it was. Each mean stands beside the ensemble of its networks, which costs as many passes as there are."
)


def chapter(study: Study, tables: Tables) -> Chapter | None:
    """From the tables of tables/averages.py; None where the study averages no networks.

    Of networks that are given nothing is claimed: how they were made is not known.
    """
    if study.average is None or not (averages := tables("averages")):
        return None
    averaged = tables("averaged")
    width = 1 if 1 in study.average.widths else max(study.average.widths)
    rows = [[row for row in own if row["width"] == width] for own in (averages, averaged)]
    found, given = claims(*rows), bool(study.spawn.checkpoints)
    told = list(_sentences(*rows, found))
    count = largest_evidence(rows[1])
    headline = mean(accuracies(rows[0], of_count(rows[1], count), "together"))
    return Chapter(
        idea=IDEA,
        title="Means of several networks",
        question=QUESTION,
        findings=([f"{sentence}." for _, sentence in told] if given else in_order(told)) + _spread(*rows),
        claims=[] if given else found,
        pictures=[_picture(*rows, "The given networks" if given else f"Networks of {width:g} times the width, seeds")],
        numbers=[_numbers(averages, averaged)],
        headline={"accuracy_of_mean": rounded(headline)},
    )


def _sentences(
    averages: Sequence[Mapping], averaged: Sequence[Mapping], found: Sequence[Claim]
) -> Iterator[tuple[Claim, str]]:
    by_id = {claim.id.removeprefix(f"{IDEA}."): claim for claim in found}
    count = largest_evidence(averaged)
    sets = of_count(averaged, count)
    told = {how: with_error(accuracies(averages, sets, how)) for how in MATCHINGS}
    merged = with_error(accuracies(averages, sets, "together", repaired=False))
    if "together" in by_id:
        yield (
            by_id["together"],
            f"The mean of {count} networks matched all together has a test accuracy of {told['together']} with REPAIR "
            f"({merged} without), of networks matched in pairs {told['pairwise']}",
        )
    singles = with_error([mean(row["test_accuracy"]) for row in sets])
    ensembles = with_error([row["ensembles"]["probabilities"]["test_accuracy"] for row in sets])
    yield (
        by_id["near"],
        f"{count} networks have a test accuracy of {singles}, their ensemble {ensembles}, and their mean, matched all "
        f"together and with REPAIR, {told['together']}",
    )
    yield by_id["unmatched"], f"The mean of {count} networks as they are reaches {told['none']}, with the same REPAIR"


def _spread(averages: Sequence[Mapping], averaged: Sequence[Mapping]) -> list[str]:
    """How much hangs on which network the others are matched to, where there are most of them."""
    count = max(len(row["seeds"]) for row in averaged)
    sets = of_count(averaged, count)
    ranges = [rounded(max(own) - min(own)) for own in by_reference(averages, sets, "pairwise")]
    lost = [row["lost_in_cycles"] for row in sets if row["lost_in_cycles"] is not None]
    if not lost:
        return []
    return [
        f"Matched in pairs, {with_error(lost)} of all units come back elsewhere round three of {count} networks, and "
        f"the test accuracy of the mean differs by {with_error(ranges)} between the best and the worst network to "
        "match the others to."
    ]


def _picture(averages: Sequence[Mapping], averaged: Sequence[Mapping], which: str) -> Picture:
    sets = "; ".join(dict.fromkeys(named(row).replace("-", ", ") for row in averaged))
    return Picture(
        "averages",
        "Means of several networks",
        "Points are means over sets of networks, which share none where they are of one size, bars their 95 % interval "
        "where there are several, of the loss both of its logarithm. Grey ticks are single means of networks matched "
        "in pairs, one for each network that the others are matched to: what hangs on the choice.",
        f"{which} {sets}. The ensemble is the mean of probabilities. "
        "Matched by their weights; REPAIR gives the mean's units the means of the networks' own statistics, or "
        "recomputes those of BatchNorm.",
        lambda: figures.against_count(averages, averaged),
    )


def _numbers(averages: Sequence[Mapping], averaged: Sequence[Mapping]) -> Numbers:
    rows = []
    for width in dict.fromkeys(row["width"] for row in averaged):
        means, own = ([row for row in every if row["width"] == width] for every in (averages, averaged))
        for count in sorted({len(row["seeds"]) for row in own}):
            sets = of_count(own, count)
            about = width, count, len(sets)
            rows += [(*about, *line) for line in (*_compared_with(sets), *_means(means, sets))]
    return Numbers(
        "averages",
        "Means of several networks, and what they are compared with",
        "Means over sets of networks with their standard errors, on the test set. The spread is of the accuracy with "
        "REPAIR between the best and the worst network to match the others to; the sum of products is what matching "
        "all together maximises.",
        (
            *("width", "networks", "sets", "what", "accuracy", "accuracy, with REPAIR"),
            *("loss", "loss, with REPAIR", "spread", "sum of products"),
        ),
        rows,
    )


def _compared_with(sets: Sequence[Mapping]) -> Iterator[tuple]:
    best = [max(range(len(row["seeds"])), key=lambda place, row=row: row["test_accuracy"][place]) for row in sets]
    scores = ("test_accuracy", "test_loss")
    mean_of = [with_error([mean(row[of]) for row in sets]) for of in scores]
    best_of = [with_error([row[of][place] for row, place in zip(sets, best, strict=True)]) for of in scores]
    yield "networks, on average", mean_of[0], None, mean_of[1], None, None, None
    yield "networks, the best", best_of[0], None, best_of[1], None, None, None
    for kind in ("probabilities", "logits"):
        told = [with_error([row["ensembles"][kind][of] for row in sets]) for of in scores]
        yield f"ensemble, mean {kind}", told[0], None, told[1], None, None, None


def _means(averages: Sequence[Mapping], sets: Sequence[Mapping]) -> Iterator[tuple]:
    for how, label in MATCHINGS.items():
        told = [
            with_error(accuracies(averages, sets, how, repaired, of))
            for of in ("test_accuracy", "test_loss")
            for repaired in (False, True)
        ]
        spread = None
        if how == "pairwise":
            spread = with_error([rounded(max(own) - min(own)) for own in by_reference(averages, sets, how)])
        yield f"mean, {label}", *told, spread, with_error(accuracies(averages, sets, how, of="objective"))
