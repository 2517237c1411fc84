"""The claims table: what the literature says, beside what this study measured.

Each claim is one sentence that holds its own criterion, so that `measured` alone decides whether it holds. The
criteria are the constants below; they were fixed before any result was seen.
"""

import html
from collections.abc import Callable, Sequence

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Study
from hidden_structure.report.summary import Measured, mean_and_spread, rounded

PAPYAN = "Papyan, Han, Donoho 2020"
YANG = "Yang, Steinhardt, Hu 2023"
HE = "He, Zhang, Ren, Sun 2016"

# NC1 at initialisation is of the order of 1 to 10; Papyan et al. show it falling by one to three decades.
NC1_AT_MOST = 0.1
# Cosines of unrelated directions in 64 dimensions deviate from each other by about 0.1. Their *mean* would decide
# nothing: centred means of equal norm sum to zero, so it is -1/(C-1) whatever the angles are.
ANGLE_DEVIATION_AT_MOST = 0.1
# Test accuracy from which a network of the usual kind counts as properly trained.
TRAINED_FROM = {"digits": 0.95, "mnist": 0.98, "fashion-mnist": 0.88, "cifar10": 0.9, "cifar100": 0.6}
# "Nearly" as accurate: this fraction of the test set at most, in accuracy.
NEARLY = 0.03
AGREEMENT_FROM = 0.9
CONTROL_BELOW = 0.05

# Test accuracy on CIFAR-10 of the residual network of that depth and width 16 (table 6).
PUBLISHED_RESNET = {20: 0.9125, 32: 0.9249, 56: 0.9303}
# Ten-class accuracy of the linear layer on recovered labels, CIFAR-10 merged modulo 5 (abstract).
PUBLISHED_RECOVERY = 0.93


def table(study: Study, measured: Measured, fine_classes: int, coarse_classes: int) -> list[dict]:
    """One row a claim: {id, claim, source, published, measured, spread, seeds, holds}.

    All numbers are fractions or the plain values of the metrics; published is None where the source gives no number
    for this dataset, spread is None with one seed.
    """

    def row(
        name: str, quantity: str, sentence: str, source: str, published: float | None, holds: Callable[[float], bool]
    ) -> dict:
        mean, spread = mean_and_spread(measured[quantity])
        published = None if published is None else rounded(published)
        numbers = {"published": published, "measured": mean, "spread": spread}
        return (
            {"id": name, "claim": sentence, "source": source}
            | numbers
            | {
                "seeds": list(study.seeds),
                "holds": holds(mean),
            }
        )

    def collapse(name: str, supervision: str, classes: int, source: str) -> list[dict]:
        angle = f"cosine -1/({classes}-1) = {-1 / (classes - 1):.4g}"
        trivial = " (with two classes always so)" if classes == 2 else ""
        return [
            row(
                f"{name}.nc1",
                f"{supervision}.nc1",
                f"Within its {classes} classes the {supervision} network's features collapse to points: "
                f"NC1 ends at {NC1_AT_MOST} or less; the limit is 0.",
                source,
                None,
                lambda value: value <= NC1_AT_MOST,
            ),
            row(
                f"{name}.angle",
                f"{supervision}.angle_deviation",
                f"The {supervision} network's {classes} class means point away from each other at the angle of a "
                f"simplex, {angle}: the pairwise cosines deviate from it by {ANGLE_DEVIATION_AT_MOST} or less on "
                f"average; the limit is 0{trivial}.",
                source,
                None,
                lambda value: value <= ANGLE_DEVIATION_AT_MOST,
            ),
        ]

    def accuracy(supervision: str, classes: int) -> dict:
        source, published = _published_accuracy(study) if supervision == "fine" else ("", None)
        floor = rounded(TRAINED_FROM.get(study.data.source, (1 + 1 / classes) / 2))
        return row(
            f"{supervision}.accuracy",
            f"{supervision}.test_accuracy",
            f"The network trained on the {classes} {supervision} labels is properly trained: "
            f"it classifies a fraction of {floor:g} or more of the test set correctly.",
            source or YANG,
            published,
            lambda value: value >= floor,
        )

    recovered, spread = mean_and_spread(measured["recovery.accuracy"])
    published = _published_recovery(study)
    # Without a published figure: midway between what coarse labels and a guess among the merged classes reach, and 1.
    floor = rounded(published - NEARLY if published else (1 + coarse_classes / fine_classes) / 2)
    margin = max(CONTROL_BELOW, spread or 0.0)
    ceiling = round(recovered - margin, 4)  # as printed

    def control(name: str, clustered: str) -> dict:
        return row(
            f"recovery.control.{name}",
            f"control.{name}.accuracy",
            f"Control: labels recovered from {clustered} instead give the linear layer an accuracy of {ceiling:g} or "
            f"less, which is recovery.accuracy less {margin:.2g}; so training, not the images alone, made the groups.",
            YANG,
            None,
            lambda value: value <= ceiling,
        )

    return [
        *collapse("collapse", "fine", fine_classes, PAPYAN),
        *collapse("coarse", "coarse", coarse_classes, YANG),
        accuracy("fine", fine_classes),
        accuracy("coarse", coarse_classes),
        row(
            "recovery.accuracy",
            "recovery.accuracy",
            f"A linear layer trained on the labels that clustering recovers from the coarse network classifies a "
            f"fraction of {floor:g} or more of the test set into the {fine_classes} original classes; coarse labels "
            f"and a guess inside each would give about {coarse_classes / fine_classes:.2g}.",
            YANG,
            published,
            lambda value: value >= floor,
        ),
        row(
            "recovery.gap",
            "recovery.gap",
            f"That is nearly the accuracy of the network trained on the {fine_classes} labels: the difference is "
            f"{NEARLY} or less.",
            YANG,
            None,
            lambda value: value <= NEARLY,
        ),
        row(
            "recovery.agreement",
            "recovery.agreement",
            f"The recovered label is the original label for a fraction of {AGREEMENT_FROM} or more of the training "
            f"samples.",
            YANG,
            None,
            lambda value: value >= AGREEMENT_FROM,
        ),
        control("pixels", "the images' pixels"),
        control("untrained", "the untrained network's features"),
    ]


def _published_accuracy(study: Study) -> tuple[str, float | None]:
    network = study.network
    if (study.data.source, network.name, network.width, network.norm) == ("cifar10", "resnet", 16, "batch"):
        return HE, PUBLISHED_RESNET.get(network.depth)
    return "", None


def _published_recovery(study: Study) -> float | None:
    merge = study.merge
    same = (study.data.source, merge.method, merge.classes) == ("cifar10", "modulo", 5)
    return PUBLISHED_RECOVERY if same else None


HEADER = ("id", "claim", "source", "published", "measured", "spread", "seeds", "holds")


def cells(row: dict) -> list[str]:
    """One claim as text, in the order of HEADER."""

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.4g}"

    numbers = [number(row[key]) for key in ("published", "measured", "spread")]
    seeds = ", ".join(map(str, row["seeds"]))
    return [row["id"], row["claim"], row["source"], *numbers, seeds, "yes" if row["holds"] else "no"]


def markdown(rows: Sequence[dict]) -> str:
    """The table in Markdown, as the README shows it."""
    lines = [HEADER, ["---"] * len(HEADER), *(cells(row) for row in rows)]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)


def html_rows(rows: Sequence[dict]) -> str:
    """The table's body in HTML, one <tr> a claim, of class "yes" or "no"."""
    texts = [cells(row) for row in rows]
    return "\n".join(
        f'<tr class="{text[-1]}">' + "".join(f"<td>{html.escape(cell)}</td>" for cell in text) + "</tr>"
        for text in texts
    )


def insert(document: str, study: str, rows: Sequence[dict]) -> str:
    """The document with the study's table between `<!-- claims: NAME -->` and `<!-- end of claims -->`.

    Raises InputError if the markers are not there.
    """
    begin, end = f"<!-- claims: {study} -->\n", "<!-- end of claims -->"
    head, found, rest = document.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise InputError(f"the document lacks the lines {begin.strip()} and {end}: add them where the table belongs")
    return f"{head}{begin}\n{markdown(rows)}\n{end}{tail}"
