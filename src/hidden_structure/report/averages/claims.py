"""The claims on means of several networks. All are on sets of as many networks that share none with one another."""

from collections.abc import Mapping, Sequence

from hidden_structure.report.claim import Claim, Criterion, unless
from hidden_structure.report.connectivity.claims import STABLE_AT_MOST, learnt
from hidden_structure.report.controls import unless_control
from hidden_structure.report.statistics import differences, finite, mean

IDEA = "averages"
CRISOSTOMI = "Crisostomi, Fumero, Baieri, Bernard, Rodola 2024"
MATCHINGS = {"none": "not matched", "pairwise": "in pairs, to one of them", "together": "all together"}
Rows = Sequence[Mapping]


def claims(averages: Rows, averaged: Rows) -> list[Claim]:
    """averages, averaged: rows of the tables of those names, of one width; with three networks or more, none or two."""
    count = largest_evidence(averaged)
    networks = {
        str(seed): (1 - finite(accuracy, "a test accuracy")) / (1 - row["guess"])
        for row in averaged
        for seed, accuracy in zip(row["seeds"], row["test_accuracy"], strict=True)
    }
    trained = learnt(IDEA, list(networks.values()), list(networks))
    sets = of_count(averaged, count)
    singles = [mean(row["test_accuracy"]) for row in sets]
    reached = {how: accuracies(averages, sets, how) for how in ("none", "pairwise", "together")}
    short = {how: tuple(differences(singles, values)) for how, values in reached.items()}
    own = {"idea": IDEA, "seeds": tuple(named(row) for row in sets)}
    quantity = f"mean test accuracy of {count} networks, less that of their mean with REPAIR"
    near = Criterion(quantity, at_most=STABLE_AT_MOST, origin="ours: Frankle et al.'s line between stable and not")
    found = [trained]
    if count > 2:
        paired = {how: tuple(differences(reached[how], reached["pairwise"])) for how in reached}
        better = Criterion(
            f"test accuracy of the mean of {count} networks matched all together, less that of those matched in pairs "
            "to one of them, mean over whom; both with REPAIR",
            at_least=0.0,
            origin="the source's order",
        )
        controls = {"networks that are not matched": paired["none"]}
        found.append(
            Claim(
                id=f"{IDEA}.together",
                kind="published",
                statement="Networks that are matched all together merge at least as well as those that are matched in "
                "pairs.",
                criterion=better,
                values=paired["together"],
                source=CRISOSTOMI,
                unmet=unless(trained) or unless_control(better, paired["together"], controls),
                **own,
            )
        )
    controls = {"networks that are not matched": short["none"]}
    return [
        *found,
        Claim(
            id=f"{IDEA}.near",
            kind="ours",
            statement="The mean of networks that are matched all together is about as accurate as they are.",
            criterion=near,
            values=short["together"],
            unmet=unless(trained) or unless_control(near, short["together"], controls),
            **own,
        ),
        Claim(
            id=f"{IDEA}.unmatched",
            kind="control",
            statement="The mean of networks that are not matched falls short of them, with the same REPAIR.",
            criterion=Criterion(quantity, at_least=STABLE_AT_MOST, origin=near.origin),
            values=short["none"],
            unmet=unless(trained),
            **own,
        ),
    ]


def largest_evidence(averaged: Rows) -> int:
    """How many networks the claims are on: three or more, if there are such sets, and of those the most sets."""
    counts = [len(row["seeds"]) for row in averaged]
    return max(counts, key=lambda count: (count > 2, counts.count(count), count))


def of_count(averaged: Rows, count: int) -> list[Mapping]:
    return [row for row in averaged if len(row["seeds"]) == count]


def named(row: Mapping) -> str:
    return "-".join(map(str, row["seeds"]))


def accuracies(
    averages: Rows, sets: Rows, matching: str, repaired: bool = True, of: str = "test_accuracy"
) -> tuple[float, ...]:
    """Of each set the accuracy of its mean; matched in pairs, the mean over references."""
    return tuple(mean(values) for values in by_reference(averages, sets, matching, repaired, of))


def by_reference(
    averages: Rows, sets: Rows, matching: str, repaired: bool = True, of: str = "test_accuracy"
) -> list[list[float]]:
    """Of each set one value a reference; one where there is none."""
    wanted = [row for row in averages if (row["matching"], row["repaired"]) == (matching, repaired)]
    return [[row[of] for row in wanted if row["seeds"] == one["seeds"]] for one in sets]
