"""Students of teachers that know few classes: what do pieces of these classes teach?"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Chapter, Numbers, Picture, Tables
from hidden_structure.report.claim import Claim, unless
from hidden_structure.report.distillation import figures
from hidden_structure.report.distillation.claims import IDEA, best_rival, claims
from hidden_structure.report.distillation.replications import of_method, unit
from hidden_structure.report.findings import in_order, interval_of, signed
from hidden_structure.report.statistics import differences, interval, rounded, standard_error

HEADLINE = ("lelp", "rival", "oracle", "kd")


def chapter(study: Study, tables: Tables) -> Chapter | None:
    """None where the study distils nothing."""
    methods, students, tried = map(tables, ("distilled", "students", "tuning"))
    if not students:
        return None
    teachers, lengths = tables("teacher"), tables("lengths")
    own = claims(study, teachers, students, tables("classes"))
    claim_of = {claim.id.partition(".")[2]: claim for claim in own}
    return Chapter(
        idea=IDEA,
        title="Distillation by pieces of classes",
        question="A teacher of few classes says little of an image. If each of its classes is split into pieces along "
        "the structure of its own embeddings, and a student is taught the pieces, does the student learn more?",
        findings=[*_unmet(claim_of), *in_order(_sentences(methods, students, claim_of)), *_teachers(teachers)],
        claims=own,
        pictures=_pictures(study, teachers, methods, students, tried, lengths),
        numbers=[_numbers(methods, students), *_of_teachers(teachers)],
        headline={name: claim_of[name].measured for name in HEADLINE},
    )


def _unmet(claim_of: Mapping[str, Claim]) -> Iterator[str]:
    taught, gap = claim_of["teacher"], claim_of["gap"]
    if unless(taught):
        yield (
            f"Not every teacher is properly trained: the worst has a test accuracy of {min(taught.values):.3f}, and "
            f"{taught.criterion.at_least:.3f} is asked for; so what students learn cannot be judged."
        )
    if gap.verdict != "supported":
        are = "are not" if gap.verdict == "contradicted" else "are not shown to be"
        yield (
            f"Students without pieces leave {100 * gap.measured:.1f} percentage points between training and test "
            f"accuracy, and {100 * gap.criterion.at_least:.0f} are asked for; so these {are} students as the "
            "source's, which pieces help to close a gap, and what pieces gain is a question of our own."
        )


def _sentences(
    methods: Sequence[Mapping], students: Sequence[Mapping], claim_of: Mapping[str, Claim]
) -> Iterator[tuple[Claim, str]]:
    label = {row["method"]: row["label"] for row in methods}
    compared = {
        "kd": ("A student by KD", "the student alone"),
        "tempered": ("A student by KD", "one that is taught labels by a loss with a temperature"),
        "lelp": ("A student by LELP", "one by KD of the same seed"),
        "rival": ("A student by LELP", f"one by {label.get(best_rival(students))}, the best other way to split"),
        "oracle": ("A student that is taught the true subclasses", "one by LELP"),
        "soft": ("A student by LELP", "one that is taught each image's likeliest piece of LELP alone"),
        "soft-oracle": ("A student that is taught the true subclasses as the teacher tells them", "one by LELP"),
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


def _teachers(teachers: Sequence[Mapping]) -> Iterator[str]:
    """Whether teachers leave something to teach, where the table says it."""
    if all("train_accuracy" in row for row in teachers):
        train, seen, test = (
            100 * fmean(row[f"{name}_accuracy"] for row in teachers) for name in ("train", "augmented", "test")
        )
        yield (
            f"The teachers know {train:.1f} % of the training images, {seen:.1f} % of them as students see them, and "
            f"{test:.1f} % of the test images."
        )


def _pictures(
    study: Study,
    teachers: Sequence[Mapping],
    methods: Sequence[Mapping],
    students: Sequence[Mapping],
    tried: Sequence[Mapping],
    lengths: Sequence[Mapping],
) -> list[Picture]:
    held_out, recipe = teachers[0]["held_out"], study.distill.train.epochs
    others = {epochs: [row for row in lengths if row["epochs"] == epochs] for epochs in study.distill.epochs if lengths}
    drawn = [
        Picture(
            "students",
            "Students of a teacher of few classes",
            "Left: filled marks are test accuracy, open ones training accuracy; where the two are far apart there is a "
            "gap that pieces could close. Right: how far each method's test accuracy lies from vanilla distillation "
            "(KD) with the same teacher and seed; strokes are single replications, dots their means with a 95 % "
            f"interval, the open one KD itself. In intervals {unit(students)}.",
            "All students are one network, trained by one recipe; of one teacher and seed they see the same batches. "
            "What differs is what the teacher tells them of each image. The methods below FitNet split each class into "
            "pieces, and the student's probabilities of the pieces of a class are summed. Bars on the left: one "
            "standard deviation over replications; intervals: Student's t over their differences.",
            lambda: figures.students(teachers, methods, students),
        ),
        Picture(
            "gaps",
            "What closes the gap between training and test?",
            "Further up is better, further left is a smaller gap between training and test accuracy. A method on the "
            "dotted line has gained on KD just what it has closed of that gap; one above it knows more of the training "
            "images, too." + (" Right: the same gains after other numbers of epochs." if others else ""),
            "Means over replications, by method; accuracies of students on their own classes."
            + (f" Hyper-parameters were chosen for {recipe} epochs." if others else ""),
            lambda: figures.gaps(methods, {recipe: students} | others),
        ),
        Picture(
            "inheritance",
            "What the pieces mean, and what the student keeps",
            "Left: how far the pieces that were taught agree with the original classes (1: they are the same, 0: by "
            "chance); open where classes are left whole, which says nothing of them. Right: how well the original "
            "classes can be told in the student's own features, which were never asked for. A method that lies right "
            "of KD on both sides has taught fine structure, and the student has kept it.",
            "Left: adjusted mutual information with the original training labels inside each class, on average over "
            "classes and teachers; of soft pieces the likeliest. Right: share of training samples that clusters of "
            "the student's penultimate features, inside each class and as many as it has original classes, get back "
            "(PCA, k-means, best naming, so that chance lies above one in their number)"
            + ("; and test accuracy of a linear layer on them that is told" if "probe" in students[0] else "")
            + ". Bars are one standard deviation over replications.",
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
                f"{_tuning(tried)}, on {held_out} training images that neither they nor their teachers, trained "
                f"for this, have seen: one image is {1 / held_out:.2g}. Hyper-parameters are chosen one after the "
                "other, so the others are not equally well tuned for every number; of those that were tried the best "
                "is shown. Band: one binomial standard error around KD.",
                lambda: figures.pieces(methods, tried, held_out),
            )
        )
    return drawn


def _tuning(tried: Sequence[Mapping]) -> str:
    """How many students a mark stands for; tables of studies that had one do not say."""
    each = len(tried[0].get("accuracies") or [0])
    return "One student a mark" if each == 1 else f"Means of {each} students a mark, of seeds that nothing else is of"


def _numbers(methods: Sequence[Mapping], students: Sequence[Mapping]) -> Numbers:
    trains, tests = (
        of_method(students, lambda row, split=split: row["accuracy"][split]) for split in ("train", "test")
    )
    return Numbers(
        "distilled",
        "Students by method",
        "Accuracies on the teacher's classes and the gap between them, means in %; the difference to KD with the same "
        f"teacher and seed in percentage points, with its 95 % interval (Student's t); {unit(students)}. All have the "
        "same hyper-parameters and test set, of whose chance the intervals say nothing. S: pieces of each class; beta "
        "and tau: temperatures of pieces and of classes; softness: the least share of its class that an image gives to "
        "all pieces alike, where it has one of its own; weight: of FitNet's hint, or of the loss by which a teacher "
        "invents pieces; tried: students that chose these.",
        (
            *("method", "source", "S", "beta", "softness", "tau", "weight", "outputs", "tried", "replications"),
            *("training", "test", "gap", "standard error", "difference to KD", "interval"),
        ),
        [_line(row, trains[row["method"]], tests[row["method"]], tests["kd"]) for row in methods],
    )


def _line(row: Mapping, train: Sequence[float], test: Sequence[float], kd: Sequence[float]) -> tuple:
    gains, error = differences(test, kd), standard_error(test)
    ends = None if row["method"] == "kd" else interval(gains)
    named, after = ("label", "source", "subclasses", "beta", "softness", "temperature"), ("outputs", "tried")
    return (
        *(row.get(name) for name in named),
        row["contrast"] if row.get("hint") is None and "contrast" in row else row.get("hint"),  # no method has both
        *(row.get(name) for name in after),
        len(test),
        rounded(100 * fmean(train)),
        rounded(100 * fmean(test)),
        rounded(100 * (fmean(train) - fmean(test))),
        None if error is None else rounded(100 * error),
        None if row["method"] == "kd" else rounded(100 * fmean(gains)),
        None if ends is None else " to ".join(signed(100 * end) for end in ends),
    )


def _of_teachers(teachers: Sequence[Mapping]) -> Iterator[Numbers]:
    """None where the table is of a study that had one teacher, of which it tells the test accuracy alone."""
    if all("train_accuracy" in row for row in teachers):
        measured = ("train_accuracy", "augmented_accuracy", "test_accuracy", "inventing_accuracy")
        yield Numbers(
            "teachers",
            "Teachers",
            "Accuracies in %: on training images as they are, and as students see them; on test images; on these of "
            "the teacher that invents the pieces of Subclass Distillation.",
            ("seed", "training", "augmented", "test", "inventing, test"),
            [(row["seed"], *(_percent(row.get(name)) for name in measured)) for row in teachers],
        )


def _percent(share: float | None) -> float | None:
    return None if share is None else rounded(100 * share)
