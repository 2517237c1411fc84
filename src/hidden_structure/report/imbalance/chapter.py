"""Minority collapse: classes with few images, in trained networks beside the unconstrained features model."""

from collections.abc import Iterator, Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Chapter, Numbers, Picture, Tables
from hidden_structure.report.claim import Claim
from hidden_structure.report.collapse.chapter import with_error
from hidden_structure.report.findings import in_order
from hidden_structure.report.imbalance import figures
from hidden_structure.report.imbalance.claims import FORMS, IDEA, at, claims, told
from hidden_structure.report.statistics import mean, rounded

COLUMNS = {  # of the table for readers -> path in a row of `minorities`
    "rows, minority": ("minority", "cosine_rows"),
    "rows, majority": ("majority", "cosine_rows"),
    "means, minority": ("minority", "cosine_means"),
    "means, majority": ("majority", "cosine_means"),
    "training accuracy, minority": ("minority", "train_accuracy"),
    "test accuracy, minority": ("minority", "test_accuracy"),
    "test accuracy, majority": ("majority", "test_accuracy"),
}


def chapter(study: Study, tables: Tables) -> Chapter | None:
    """None where the study has no such networks."""
    if study.imbalance is None or not (rows := tables("minorities")):
        return None
    foretold, classes = tables("foretold"), len(tables("classes"))
    found = claims(rows, study.data.source, classes)
    largest = at(rows, max(study.imbalance.ratios))
    return Chapter(
        idea=IDEA,
        title="Minority collapse",
        question="The last classes keep few of their training images. Do the rows of the last layer that stand for "
        "them become one, as in the unconstrained features model, so that the network cannot tell them apart?",
        findings=in_order(_sentences(rows, foretold, found)),
        claims=found,
        pictures=[_picture(study, rows, foretold, classes)],
        numbers=[_numbers(rows)],
        headline={"minority_cosine": rounded(mean([row["minority"]["cosine_rows"] for row in largest]))},
    )


def _sentences(
    rows: Sequence[Mapping], foretold: Sequence[Mapping], found: Sequence[Claim]
) -> Iterator[tuple[Claim, str]]:
    _, _, closer, *models = found
    ratios = sorted({row["ratio"] for row in rows})
    said = [f"{with_error(_values(at(rows, ratio), *COLUMNS['rows, minority']))} at {ratio:g}" for ratio in ratios]
    yield (
        closer,
        f"The mean cosine of two minority classes' rows is {', '.join(said)} times as many images in a majority class; "
        f"the network then classifies {_tested(rows, ratios[0])} and {_tested(rows, ratios[-1])} of the minority's "
        "test images correctly",
    )
    for claim, form in zip(models, FORMS, strict=True):
        if claim.values:
            threshold = foretold[0].get("threshold", {}).get(form)
            merged = "at no ratio that data has" if threshold is None else f"from a ratio of {threshold:.3g} on"
            rises = [f"{_rise(rows, ratio, form)} at {ratio:g}" for ratio in ratios[1:]]
            yield (
                claim,
                f"The unconstrained features model, given {FORMS[form]} of each network, is off by "
                f"{with_error(claim.values)} in how much that cosine rises (measured less model: {', '.join(rises)}); "
                f"of the balanced networks it says that rows become one {merged}",
            )


def _rise(rows: Sequence[Mapping], ratio: int, form: str) -> str:
    """From the balanced network of the same seed: measured less model, where the model says something of both."""
    balanced = {row["seed"]: row for row in at(rows, 1)}

    def beyond(row: Mapping) -> float:
        return row["minority"]["cosine_rows"] - row["model"][form]

    pairs = [(row, balanced[row["seed"]]) for row in at(rows, ratio)]
    return with_error([beyond(row) - beyond(first) for row, first in pairs if told(row, form) and told(first, form)])


def _tested(rows: Sequence[Mapping], ratio: int) -> str:
    return with_error(_values(at(rows, ratio), "minority", "test_accuracy"))


def _values(rows: Sequence[Mapping], group: str, name: str) -> list[float]:
    return [row[group][name] for row in rows]


def _numbers(rows: Sequence[Mapping]) -> Numbers:
    ratios = sorted({row["ratio"] for row in rows})

    def cells(own: Sequence[Mapping]) -> Iterator[str | None]:
        for path in COLUMNS.values():
            yield with_error(_values(own, *path))
        for which in ("rows", "means"):
            norms = [row["minority"][f"norm_{which}"] / row["majority"][f"norm_{which}"] for row in own]
            yield with_error(norms)
        yield with_error([row["nc1"] for row in own])
        for form in FORMS:
            told = [row.get("model", {}).get(form) for row in own]
            yield None if None in told else with_error(told)

    return Numbers(
        "imbalance",
        "Classes with few images",
        "Means over networks with their standard errors, at the end of training, all classes weighing the same: "
        "cosines of two rows of the last layer and of two class means less their mean, accuracies, norms of the "
        "minority's rows and means over those of the majority's, NC1, and what the unconstrained features model says "
        "of rows of the minority, given these norms.",
        ("ratio", *COLUMNS, "norms, rows", "norms, means", "NC1", *(f"model: {form}" for form in FORMS)),
        [(f"{ratio:g}", *cells(at(rows, ratio))) for ratio in ratios],
    )


def _picture(study: Study, rows: Sequence[Mapping], foretold: Sequence[Mapping], classes: int) -> Picture:
    majority = study.imbalance.classes or classes // 2
    return Picture(
        "imbalance",
        "Minority collapse",
        "The ratio is of the images of a majority class to those of a minority class. Points are means over networks, "
        "bars their 95 % interval. Where a cosine is 1, the minority's classes are one "
        "to the network. Black lines are what the unconstrained features model says of the minority's rows if both "
        "norms, or the decays, stay those of the networks on balanced classes; a grey line stands where its rows "
        "become one, if that is in sight. Black marks are what it says given the norms, or the decays, that each "
        "network itself ends with, by which the claims are judged.",
        f"Of {classes} classes the first {majority} keep all training images, the others one in so many. Networks of a "
        "seed begin alike and learn for about as many steps. Class means are less their mean, and accuracies means "
        "over classes.",
        lambda: figures.over_ratios(rows, foretold, classes),
    )
