"""The claims on students of a teacher that knows few classes, rows of the form of those of claims.py.

`seeds` lists the students' seeds, or the teacher's where it is the teacher or its pieces that are judged.
"""

from hidden_structure.frame.params import Study
from hidden_structure.report.connectivity.claims import row
from hidden_structure.report.distillation.measure import NAMES, interval, methods, paired
from hidden_structure.report.recovery.claims import YANG
from hidden_structure.report.summary import Measured, mean_and_spread, rounded

LOO = "Loo, Iliopoulos, Hu, Vee 2024"
HINTON = "Hinton, Vinyals, Dean 2015"

# A teacher counts as trained from here on the way between a guess and 1: no paper gives a number for every dataset.
TRAINED_SHARE = 0.5
# All else is judged by means over seeds, with three exceptions. That LELP gains over KD asks for a confidence interval
# above 0, that it lies above KD for more than the larger spread. Pieces at random gain nothing if their mean gain is no
# more than its spread: that the interval holds 0 would be too easy, for with few seeds it nearly always does.

# Of adjusted mutual information; what cannot be told from chance is far below.
MEANING_FROM = 0.1

# Test accuracy of a ResNet-56 taught by a ResNet-92, CIFAR-100 with labels modulo 2.
PUBLISHED = {"kd": 0.7287, "tsne-kmeans": 0.7759, "lelp": 0.7991, "oracle": 0.8642}

ONE_SEED = " One seed has no interval, so it does not hold."
RIVALS = ("fitnet", "subclass", "random-projections", "kmeans", "tsne-kmeans")  # that LELP is held against
CLUSTERS = ("tsne-kmeans", "kmeans")  # what looks for pieces; the first that the study runs is judged


def table(study: Study, measured: Measured, classes: int) -> list[dict]:
    """One row a claim: {id, claim, source, published, measured, spread, seeds, holds}.

    A claim on a method that the study does not run is left out.

    Args:
        measured: of distill_summary; classes: of the teacher.
    """
    run, rows = methods(measured), []
    seeds, published = list(study.distill.seeds), PUBLISHED if _as_published(study) else {}

    def of(method: str, quantity: str = "accuracy") -> list[float]:
        return measured[f"distill.{method}.{quantity}"]

    def mean(method: str) -> float:
        return mean_and_spread(of(method))[0]

    def add(
        name: str, values: list[float], sentence: str, source: str, holds: bool, number: float | None = None
    ) -> None:
        if number is not None:
            sentence += f" The published figure is of a ResNet-56 taught by a ResNet-92; here {_student(study)}."
        own = [study.seeds[0]] if name in ("teacher", "pieces") else seeds
        rows.append(row(f"distill.{name.replace('-', '_')}", values, sentence, source, number, own, holds))

    def accuracy(method: str, sentence: str, source: str, holds: bool) -> None:
        add(method, of(method), sentence, source, holds, published.get(method))

    floor, taught = rounded(1 / classes + TRAINED_SHARE * (1 - 1 / classes)), mean("teacher")
    sentence = (
        f"The teacher is properly trained: it gives a fraction of {floor:g} or more of the test set the right one of "
        f"its {classes} classes, which is midway between a guess and 1."
    )
    accuracy("teacher", sentence, LOO, taught >= floor)
    if "alone" in run:
        sentence = (
            "Trained on the labels alone, the student lies below its teacher: its test accuracy is less than "
            f"{taught:g}, which is distill.teacher."
        )
        accuracy("alone", sentence, LOO, mean("alone") < taught)
        sentence = (
            "Vanilla distillation (KD) does a student no harm: its test accuracy is "
            f"{mean('alone'):g} or more, which is distill.alone."
        )
        accuracy("kd", sentence, HINTON, mean("kd") >= mean("alone"))
    if "lelp" in run:
        gains = of("lelp", "gain")
        found = interval(gains)
        said = f", {found[0]:.4g} to {found[1]:.4g}," if found else ""
        alone = "" if found else ONE_SEED
        add(
            "lelp_gain",
            gains,
            "LELP gains over KD with the same seed: the lower end of the 95 % interval (Student's t over seeds) of the "
            f"mean difference in test accuracy{said} is above 0.{alone}",
            LOO,
            found is not None and found[0] > 0,
            rounded(published["lelp"] - published["kd"]) if published else None,
        )
        margin = max(mean_and_spread(of(method))[1] or 0.0 for method in ("lelp", "kd"))
        floor = rounded(mean("kd") + margin)
        sentence = (
            f"LELP lies above KD by more than seeds scatter: its test accuracy is above {floor:g}, which is the mean "
            f"of KD and {margin:.4g}, the larger of the two spreads{_of_one(seeds)}."
        )
        accuracy("lelp", sentence, LOO, mean("lelp") > floor)
    for method in RIVALS:
        if method in run and "lelp" in run:
            sentence = (
                f"LELP is at least as accurate as {NAMES[method]}, whose student has a test accuracy of "
                f"{mean('lelp'):g} or less, the mean of LELP."
            )
            accuracy(method, sentence, LOO, mean(method) <= mean("lelp"))
    if "random" in run:
        gain, spread = mean_and_spread(of("random", "gain"))
        ceiling = spread or 0.0
        sentence = (
            "Control: pieces at random gain nothing over KD with the same seed: the mean difference in test accuracy "
            f"is {ceiling:g} or less, its spread{_of_one(seeds)}."
        )
        add("random", of("random", "gain"), sentence, LOO, gain <= ceiling)
    if "oracle" in run and "lelp" in run:
        sentence = (
            "The original classes are better pieces than any that are found: taught them, the student has a test "
            f"accuracy above {mean('lelp'):g}, the mean of LELP."
        )
        accuracy("oracle", sentence, LOO, mean("oracle") > mean("lelp"))
    if clusters := next((method for method in CLUSTERS if method in run), None):
        sentence = (
            f"Pieces have a meaning: clusters of the teacher's features inside each class ({NAMES[clusters]}) share an "
            f"adjusted mutual information of {MEANING_FROM} or more with the original classes; by chance it is 0."
        )
        add(
            "pieces", of(clusters, "pieces"), sentence, YANG, mean_and_spread(of(clusters, "pieces"))[0] >= MEANING_FROM
        )
    if "lelp" in run:
        differences = paired(of("lelp", "recovery"), of("kd", "recovery"))
        found = interval(differences)
        said = f", {found[0]:.4g} to {found[1]:.4g}," if found else ""
        sentence = (
            "The LELP student inherits fine structure: clusters of its own features inside each class give more "
            "training samples their original class than those of the KD student of the same seed; the lower end of the "
            f"95 % interval of the mean difference of the two shares{said} is above 0."
        )
        sentence += "" if found else ONE_SEED
        add("inherits", differences, sentence, LOO, found is not None and found[0] > 0)
    return rows


def _as_published(study: Study) -> bool:
    """Labels modulo 2 of CIFAR-100; the networks may be others."""
    merge = study.distill.merge or study.merge
    return (study.data.source, merge.method, merge.classes) == ("cifar100", "modulo", 2)


def _student(study: Study) -> str:
    network, recipe = study.distill.network or study.network, study.distill.train or study.train
    size = "" if network.depth is None else f" of depth {network.depth} and width {network.width}"
    return f"the student is {network.name}{size}, trained for {recipe.epochs} epochs"


def _of_one(seeds: list[int]) -> str:
    return " (0, for there is one seed)" if len(seeds) == 1 else ""
