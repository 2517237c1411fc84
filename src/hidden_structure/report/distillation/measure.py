"""What the students of a teacher that knows few classes measured: one value a seed, where nothing else is said."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from scipy.stats import t as student_t

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Study
from hidden_structure.report.connectivity.measure import finite
from hidden_structure.report.summary import Measured, mean_and_spread, rounded

NAMES = {  # method -> what the report calls it
    "alone": "student alone",
    "kd": "distillation (KD)",
    "fitnet": "FitNet",
    "subclass": "Subclass Distillation",
    "random": "random pieces",
    "random-projections": "random projections",
    "kmeans": "k-means",
    "tsne-kmeans": "t-SNE + k-means",
    "lelp": "LELP",
    "oracle": "true subclasses (oracle)",
}
CONFIDENCE = 0.95


def methods(measured: Mapping) -> list[str]:
    """Those that were measured, in the order of NAMES."""
    return [method for method in NAMES if f"distill.{method}.accuracy" in measured]


def measure(found: Mapping | None, students: Mapping | None, study: Study) -> Measured:
    """Every quantity of the study's methods, one value a seed of `distill.seeds`.

    `distill.teacher.accuracy`: one value, on the test set. For each method `distill.<method>.accuracy` on the same;
    `.gain`, its difference to KD with the same seed (none of KD itself); `.recovery`, the share of training samples
    that clusters of the student's own features give their original class; `.pieces`, one value: adjusted mutual
    information of the pieces that were taught with the original classes, inside each class: about 0 by chance, into
    however many pieces, and 0 where classes are left whole.

    Args:
        found: the distillation metrics; students: those of what the students' pieces and features mean.

    Raises InputError if there is no student of a method and seed, or a value is not finite.
    """
    if not (found and students):
        raise InputError("the metrics hold no students: run `dvc repro` to train them")
    measured = {"distill.teacher.accuracy": [finite(found["teacher"]["test_accuracy"], "the teacher's accuracy", {})]}
    accuracies = _accuracies(found, study)
    pieces = {row["method"]: row for row in students["pieces"]}
    for method, accuracy in accuracies.items():
        own = f"distill.{method}"
        measured[f"{own}.accuracy"] = accuracy
        if method != "kd":
            measured[f"{own}.gain"] = paired(accuracy, accuracies["kd"])
        measured[f"{own}.recovery"] = _each_seed(students["rows"], method, "agreement", study.distill.seeds)
        if method not in pieces:
            raise InputError(f"the metrics hold no pieces of {method}: run `dvc repro` to measure them")
        measured[f"{own}.pieces"] = [finite(pieces[method]["ami"], "ami of the pieces", pieces[method])]
    return measured


def table(found: Mapping | None, study: Study) -> list[dict]:
    """One row a method; none without students.

    {method, subclasses, beta, temperature, outputs, accuracies (one a seed), accuracy, accuracy_spread, gain (mean
    difference to KD with the same seed; None of KD), interval (of the gain)}; hyper-parameters are None where the
    method has none. Raises as `measure` does.
    """
    if not (found and study.distill.seeds):
        return []
    accuracies, rows = _accuracies(found, study), []
    for method, own in accuracies.items():
        first = next(row for row in found["rows"] if row["method"] == method)
        settings = {name: first[name] for name in ("method", "subclasses", "beta", "temperature", "outputs")}
        mean, spread = mean_and_spread(own)
        gains = paired(own, accuracies["kd"]) if method != "kd" else []
        gained = {"gain": rounded(fmean(gains)) if gains else None, "interval": interval(gains)}
        rows.append(settings | {"accuracies": own, "accuracy": mean, "accuracy_spread": spread} | gained)
    return rows


def paired(values: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Differences seed by seed: what a seed does to both, it does not do to their difference."""
    return [value - other for value, other in zip(values, reference, strict=True)]


def interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """95 % confidence interval of the mean difference, by Student's t over seeds; None of fewer than two.

    It takes differences for normal. With few seeds it is wide: t is 12.7 for two seeds, 4.3 for three, 2.8 for five.
    """
    count = len(differences)
    if count < 2:
        return None
    mean, error = fmean(differences), stdev(differences) / math.sqrt(count)
    reach = float(student_t.ppf((1 + CONFIDENCE) / 2, count - 1)) * error
    return rounded(mean - reach), rounded(mean + reach)


def _accuracies(found: Mapping, study: Study) -> dict[str, list[float]]:
    """Method -> test accuracy of each seed, in the order of NAMES."""
    settings = study.distill
    own = [method for method in NAMES if method in settings.methods]
    return {method: _each_seed(found["rows"], method, "test_accuracy", settings.seeds) for method in own}


def _each_seed(rows: Sequence[Mapping], method: str, column: str, seeds: Sequence[int]) -> list[float]:
    own = {row["seed"]: row for row in rows if row["method"] == method}
    for seed in seeds:
        if seed not in own:
            raise InputError(f"the metrics hold no student by {method} of seed {seed}: run `dvc repro` to train it")
    return [finite(own[seed].get(column), column, own[seed]) for seed in seeds]
