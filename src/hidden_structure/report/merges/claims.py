"""The claims on other merges of the labels, rows of the form of those of claims.py.

`seeds` lists the seeds of the merges' networks, or the random merges where it is these that are compared.
"""

from hidden_structure.frame.params import Study
from hidden_structure.report.connectivity.claims import row
from hidden_structure.report.merges.measure import COUNTS, SIMILARITIES
from hidden_structure.report.recovery.claims import YANG
from hidden_structure.report.summary import Measured, mean_and_spread, rounded

NGUYEN = "Nguyen, Kornblith 2023"
TIBSHIRANI = "Tibshirani, Walther, Hastie 2001"
ROUSSEEUW = "Rousseeuw 1987"

# Our own criteria, for the sources give no number: no more often wrong than right ...
COUNTED_FROM = 0.5
# ... and at least half of what the same features would give a linear layer that knew the classes.
SHARE_OF_ORACLE = 0.5

LIKENESS = {  # similarity of the metrics -> end of the claim's name, what it is
    "pixels": (".pixels", "the distance of class means in pixels"),
    "features": ("", "the distance of class means in the fine network's features"),
    "confusion": (".confusion", "how probable the fine network holds one class on images of the other"),
}
ESTIMATES = {  # method of the metrics -> end of the claim's name, in words, source
    "gap": ("", "gap statistic", TIBSHIRANI),
    "silhouette": (".silhouette", "largest mean silhouette", ROUSSEEUW),
}


def table(study: Study, measured: Measured, fine_classes: int, coarse_classes: int) -> list[dict]:
    """One row a claim: {id, claim, source, published, measured, spread, seeds, holds}.

    measured: of merges_summary, and of summary the fine network's accuracy and the recovery. A claim on what was not
    tried, or cannot be told from so few merges, is left out.
    """
    seeds, rows = study.merges.seeds, []

    def mean(quantity: str) -> float:
        return mean_and_spread(measured[quantity])[0]

    def add(name: str, quantity: str, sentence: str, source: str, holds: bool) -> None:
        rows.append(row(name, measured[quantity], sentence, source, None, seeds, holds))

    for similarity in SIMILARITIES:
        group, (ending, likeness) = f"semantics.same.{similarity}", LIKENESS[similarity]
        if f"{group}.rho" in measured:
            sentence = (
                f"The less alike merged classes are, by {likeness}, the better they are recovered: the rank "
                f"correlation of likeness with agreement above chance, {mean(f'{group}.rho'):.4g} over "
                f"{mean(f'{group}.superclasses'):g} super-classes of merges into {coarse_classes}, is negative: the "
                "upper end of its 95 % interval is below 0."
            )
            add(f"semantics.correlation{ending}", f"{group}.high", sentence, NGUYEN, mean(f"{group}.high") < 0)

    prefix = "unrelated."
    random = {name.removeprefix(prefix): own for name, own in measured.items() if name.startswith(prefix)}
    if random:
        sentence = (
            "Unrelated classes are recovered better than related ones: the share of training samples whose recovered "
            "label is the original one is greater, by more than 0 on average, in random merges than in the merge of "
            "related classes."
        )
        values = [value for own in random.values() for value in own]
        holds = mean_and_spread(values)[0] > 0
        rows.append(row("semantics.unrelated", values, sentence, NGUYEN, None, list(random), holds))

    modulo = [kind for kind in study.merges.kinds if kind.method == "modulo" and kind.classes < fine_classes]
    for kind in sorted(modulo, key=lambda kind: kind.classes):
        quantity, guess, fine = f"merges.{kind.name}.accuracy", kind.classes / fine_classes, mean("fine.test_accuracy")
        floor = rounded((guess + fine) / 2)
        sentence = (
            f"From labels of {kind.classes} classes, {mean(f'merges.{kind.name}.bits'):.3g} bits a sample, a linear "
            f"layer on recovered labels classifies a fraction of {floor:g} or more of the test set into the "
            f"{fine_classes} original classes, which is midway from {guess:.2g} (coarse labels and a guess) to "
            f"{fine:.4g} (the fine network)."
        )
        add(f"supervision.{kind.classes}", quantity, sentence, YANG, mean(quantity) >= floor)

    for method in COUNTS:
        quantity, (ending, words, source) = f"clusters.{method}", ESTIMATES[method]
        if quantity in measured:
            sentence = (
                f"The number of classes need not be known: by the {words} it is found for a fraction of {COUNTED_FROM} "
                "or more of the super-classes of two or more classes."
            )
            add(f"clusters.count{ending}", quantity, sentence, source, mean(quantity) >= COUNTED_FROM)
    if (study.data.source, study.merge.method) == ("cifar100", "superclass"):
        rows.append(_cifar100(study, measured))
    return rows


def _cifar100(study: Study, measured: Measured) -> dict:
    floor = rounded(SHARE_OF_ORACLE * mean_and_spread(measured["recovery.oracle_accuracy"])[0])
    sentence = (
        "The 100 classes are recovered from the 20 super-classes: a linear layer trained on recovered labels "
        f"classifies a fraction of {floor:g} or more of the test set into them, which is {SHARE_OF_ORACLE:g} times the "
        "accuracy of one trained on the true labels."
    )
    values = measured["recovery.accuracy"]
    holds = mean_and_spread(values)[0] >= floor
    return row("cifar100.recovery", values, sentence, YANG, None, list(study.seeds), holds)
