"""Students of a teacher that knows few classes: what do pieces of its classes teach?"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Chapter, Numbers, Picture, Tables
from hidden_structure.report.claim import Claim, unless
from hidden_structure.report.distillation import figures
from hidden_structure.report.distillation.claims import IDEA, best_rival, claims, of_method
from hidden_structure.report.findings import in_order, interval_of, signed
from hidden_structure.report.statistics import differences, interval, rounded, standard_error

HEADLINE = ("lelp", "rival", "oracle", "kd")


def chapter(study: Study, tables: Tables) -> Chapter | None:
    """None where the study distils nothing."""
    methods, students, tried = map(tables, ("distilled", "students", "tuning"))
    if not students:
        return None
    (teacher,) = tables("teacher")
    own = claims(study, teacher, students)
    claim_of = {claim.id.partition(".")[2]: claim for claim in own}
    return Chapter(
        idea=IDEA,
        title="Distillation by pieces of classes",
        question="A teacher of few classes says little of an image. If each of its classes is split into pieces along "
        "the structure of its own embeddings, and a student is taught the pieces, does the student learn more?",
        findings=[*_unmet(claim_of), *in_order(_sentences(methods, students, claim_of))],
        claims=own,
        pictures=_pictures(teacher, methods, students, tried),
        numbers=[_numbers(methods, students)],
        headline={name: claim_of[name].measured for name in HEADLINE},
    )


def _unmet(claim_of: Mapping[str, Claim]) -> Iterator[str]:
    taught, gap = claim_of["teacher"], claim_of["gap"]
    if unless(taught):
        yield (
            f"The teacher is not properly trained: its test accuracy is {taught.measured:.3f}, and "
            f"{taught.criterion.at_least:.3f} is asked for; so what students learn from it cannot be judged."
        )
    if unless(gap):
        yield (
            f"Students by KD leave {100 * gap.measured:.1f} percentage points between training and test accuracy, and "
            f"{100 * gap.criterion.at_least:.0f} are asked for; so there is little that pieces could close, and their "
            "gains cannot be judged."
        )


def _sentences(
    methods: Sequence[Mapping], students: Sequence[Mapping], claim_of: Mapping[str, Claim]
) -> Iterator[tuple[Claim, str]]:
    label = {row["method"]: row["label"] for row in methods}
    compared = {
        "kd": ("A student by KD", "the student alone"),
        "lelp": ("A student by LELP", "one by KD of the same seed"),
        "rival": ("A student by LELP", f"one by {label.get(best_rival(students))}, the best other way to split"),
        "oracle": ("A student that is taught the true subclasses", "one by LELP"),
        "random": ("A student that is taught pieces at random", "one by KD"),
    }
    for name, (who, over) in compared.items():
        claim = claim_of[name]
        if claim.values:
            points = signed(100 * claim.measured)
            yield (
                claim,
                f"{who} gets {points} percentage points of the test set against {over}{interval_of(claim, 100)}",
            )
    inherits = claim_of["inherits"]
    if inherits.values:
        yield (
            inherits,
            f"Clusters of a LELP student's own features give {signed(100 * inherits.measured)} percentage points of "
            f"the training samples their original class against KD{interval_of(inherits, 100)}",
        )


def _pictures(
    teacher: Mapping, methods: Sequence[Mapping], students: Sequence[Mapping], tried: Sequence[Mapping]
) -> list[Picture]:
    drawn = [
        Picture(
            "students",
            "Students of a teacher of few classes",
            "Left: filled marks are test accuracy, open ones training accuracy; where the two are far apart there is a "
            "gap that pieces could close. Right: how far each method's test accuracy lies from vanilla distillation "
            "(KD) with the same seed; strokes are single seeds, dots their means with a 95 % interval, the open one "
            "KD itself. Intervals say how far other seeds of the student would scatter, for this teacher, these pieces "
            "and this test set.",
            "All students are one network, trained by one recipe; of one seed they see the same batches. What differs "
            "is what the teacher tells them of each image. The methods below FitNet split each class into pieces, and "
            "the student's probabilities of the pieces of a class are summed. Bars on the left: one standard deviation "
            "over seeds; intervals: Student's t over the differences of the seeds.",
            lambda: figures.students(teacher, methods, students),
        ),
        Picture(
            "inheritance",
            "What the pieces mean, and what the student keeps",
            "Left: how far the pieces that were taught agree with the original classes (1: they are the same, 0: by "
            "chance); open where classes are left whole, which says nothing of them. Right: how well the original "
            "classes can be told in the student's own features, which were never asked for. A method that lies right "
            "of KD on both sides has taught fine structure, and the student has kept it.",
            "Left: adjusted mutual information with the original training labels inside each class, on average; of "
            "soft pieces the likeliest; one teacher, so one value. Right: share of training samples that clusters of "
            "the student's penultimate features, inside each class and as many as it has original classes, get back "
            "(PCA, k-means, best naming); bars are one standard deviation over seeds.",
            lambda: figures.inheritance(methods, students),
        ),
    ]
    if len({row["subclasses"] for row in tried} - {None}) > 1:
        drawn.append(
            Picture(
                "subclasses",
                "How many pieces?",
                "Further right is better; marks of one line differ in the number of pieces of a class. Differences "
                "within the grey band are those of a few held-out images.",
                f"One student a mark, of the first seed, on {teacher['held_out']} training images that it was not "
                f"taught: one image is {1 / teacher['held_out']:.2g}. Hyper-parameters are chosen one after the other, "
                "so the others are not equally well tuned for every number; of those that were tried the best is "
                "shown. Band: one binomial standard error around KD.",
                lambda: figures.pieces(methods, tried, teacher["held_out"]),
            )
        )
    return drawn


def _numbers(methods: Sequence[Mapping], students: Sequence[Mapping]) -> Numbers:
    tests = of_method(students, lambda row: row["accuracy"]["test"])
    trains = of_method(students, lambda row: row["accuracy"]["train"])
    return Numbers(
        "distilled",
        "Students by method",
        "Accuracies on the teacher's classes, means over seeds in %; the difference to KD with the same seed in "
        "percentage points, with its 95 % interval (Student's t over seeds). S: pieces of each class; beta and tau: "
        "temperatures of pieces and of classes; softness: the share of its class that an image gives to all pieces "
        "alike, where it has one of its own.",
        (
            *("method", "source", "S", "beta", "softness", "tau", "outputs", "seeds"),
            *("training", "test", "standard error", "difference to KD", "interval"),
        ),
        [_line(row, trains[row["method"]], tests[row["method"]], tests["kd"]) for row in methods],
    )


def _line(row: Mapping, train: Sequence[float], test: Sequence[float], kd: Sequence[float]) -> tuple:
    gains, error = differences(test, kd), standard_error(test)
    ends = None if row["method"] == "kd" else interval(gains)
    return (
        *(row.get(name) for name in ("label", "source", "subclasses", "beta", "softness", "temperature", "outputs")),
        len(test),
        rounded(100 * fmean(train)),
        rounded(100 * fmean(test)),
        None if error is None else rounded(100 * error),
        None if row["method"] == "kd" else rounded(100 * fmean(gains)),
        None if ends is None else " to ".join(signed(100 * end) for end in ends),
    )
