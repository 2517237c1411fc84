"""The claims on students of teachers that know few classes, one a question, each of paired students."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from hidden_structure.frame.params import Study
from hidden_structure.report.claim import Claim, Criterion, Kind, Published, unless
from hidden_structure.report.distillation.replications import names, of_method
from hidden_structure.report.preconditions import too_few, trained
from hidden_structure.report.statistics import differences

IDEA = "distillation"
LOO = "Loo, Iliopoulos, Hu, Vee 2024"
HINTON = "Hinton, Vinyals, Dean 2015"

GAIN_FROM = 0.005  # of the test set: less is no gain; the sources give no criterion
INHERITED_FROM = 0.01  # share of training samples
GAP_FROM = 0.02  # of accuracy: students of the source leave a gap between training and test, which pieces can close
PIECES = (
    "subclass",
    "random-projections",
    "kmeans",
    "kmeans-soft",
    "tsne-kmeans",
)  # the rivals of LELP that split classes too
PUBLISHED = {"kd": 0.7287, "tsne-kmeans": 0.7759, "lelp": 0.7991, "oracle": 0.8642}  # test accuracy, Loo et al.
SETTING = "ResNet-92 to ResNet-56, CIFAR-100 with labels modulo 2, three trials"


def claims(
    study: Study, teachers: Sequence[Mapping], students: Sequence[Mapping], classes: Sequence[Mapping]
) -> list[Claim]:
    """teachers, classes: rows of `teacher` and `classes`; students: rows of that table, KD among them."""
    tests, trains = (
        of_method(students, lambda row, split=split: row["accuracy"][split]) for split in ("test", "train")
    )
    recovered = of_method(students, lambda row: row["recovery"])
    seeds, untaught = names(students), "alone" if "alone" in tests else "kd"
    rival = best_rival(students)
    taught = trained(
        f"{IDEA}.teacher",
        "the teacher is" if len(teachers) == 1 else "the teachers are",
        [teacher["test_accuracy"] for teacher in teachers],
        [str(teacher["seed"]) for teacher in teachers],
        study.data.source,
        teachers[0]["classes"],
    )
    gap = Claim(
        id=f"{IDEA}.gap",
        idea=IDEA,
        kind="ours",
        statement="Students alone leave a gap between training and test accuracy, which a teacher could close.",
        criterion=Criterion(
            f"training less test accuracy of students {'alone' if untaught == 'alone' else 'by KD'} (fraction)",
            GAP_FROM,
            origin="ours",
        ),
        values=tuple(differences(trains[untaught], tests[untaught])),
        seeds=seeds,
    )
    unmet = unless(taught) or too_few(sum(row["test"] for row in classes), GAIN_FROM)
    # Without a gap students are not those of the source: what pieces gain there is judged all the same, as our own.
    kind: Kind = "published" if gap.verdict == "supported" else "ours"
    return [
        taught,
        gap,
        Claim(
            id=f"{IDEA}.kd",
            idea=IDEA,
            kind="published",
            statement="A teacher's outputs teach a student more than labels do, by half a point or more.",
            criterion=_gain("KD", "the student alone"),
            values=_over(tests, "kd", "alone"),
            seeds=seeds,
            source=HINTON,
            unmet=unmet,
        ),
        Claim(
            id=f"{IDEA}.tempered",
            idea=IDEA,
            kind="ours",
            statement="A teacher's outputs teach a student more, by half a point or more, than labels do by a loss "
            "with a temperature, too.",
            criterion=_gain("KD", "labels at a temperature"),
            values=_over(tests, "kd", "labels"),
            seeds=seeds,
            source=HINTON,
            unmet=unmet,
        ),
        Claim(
            id=f"{IDEA}.lelp",
            idea=IDEA,
            kind=kind,
            statement="Pieces of classes along projections of the teacher's embeddings (LELP) teach more than its "
            "outputs (KD) do, by half a point or more.",
            criterion=_gain("LELP", "KD"),
            values=_over(tests, "lelp", "kd"),
            seeds=seeds,
            source=LOO,
            published=_published(study, "lelp", "kd"),
            unmet=unmet,
        ),
        Claim(
            id=f"{IDEA}.rival",
            idea=IDEA,
            kind=kind,
            statement="LELP teaches more than the best of the other ways to split classes, by half a point or more.",
            criterion=_gain("LELP", "the best rival"),
            values=_over(tests, "lelp", rival),
            seeds=seeds,
            source=LOO,
            published=_published(study, "lelp", "tsne-kmeans"),
            unmet=unmet,
        ),
        Claim(
            id=f"{IDEA}.oracle",
            idea=IDEA,
            kind=kind,
            statement="The true subclasses teach more than LELP, by half a point or more.",
            criterion=_gain("the oracle", "LELP"),
            values=_over(tests, "oracle", "lelp"),
            seeds=seeds,
            source=LOO,
            published=_published(study, "oracle", "lelp"),
            unmet=unmet,
        ),
        Claim(
            id=f"{IDEA}.soft",
            idea=IDEA,
            kind="ours",
            statement="LELP's pieces teach more soft than hard, by half a point or more: how much an image is of each "
            "tells what one does not.",
            criterion=_gain("LELP", "LELP with hard pieces"),
            values=_over(tests, "lelp", "lelp-hard"),
            seeds=seeds,
            source=LOO,
            unmet=unmet,
        ),
        Claim(
            id=f"{IDEA}.soft-oracle",
            idea=IDEA,
            kind="ours",
            statement="True subclasses as the teacher's embeddings tell them teach more than LELP, both being soft, by "
            "half a point or more.",
            criterion=_gain("the soft oracle", "LELP"),
            values=_over(tests, "oracle-soft", "lelp"),
            seeds=seeds,
            source=LOO,
            unmet=unmet,
        ),
        Claim(
            id=f"{IDEA}.inherits",
            idea=IDEA,
            kind="ours",
            statement="A student by LELP keeps more of the original classes in its own features than one by KD.",
            criterion=Criterion(
                "share of training samples that clusters of the student's features give their original class, LELP "
                "less KD of the same seed",
                at_least=INHERITED_FROM,
                origin="ours",
            ),
            values=_over(recovered, "lelp", "kd"),
            seeds=seeds,
            source=LOO,
            unmet=unless(taught),
        ),
        Claim(
            id=f"{IDEA}.random",
            idea=IDEA,
            kind="control",
            statement="Pieces at random do not teach half a point more than KD.",
            criterion=Criterion(
                "test accuracy of students by random pieces less KD of the same seed (fraction)",
                at_most=GAIN_FROM,
                origin="ours: half a point",
            ),
            values=_over(tests, "random", "kd"),
            seeds=seeds,
            source=LOO,
            unmet=unmet,
        ),
    ]


def best_rival(students: Sequence[Mapping]) -> str | None:
    """The method of the best mean test accuracy among PIECES; that it is chosen on the test set favours it."""
    tests = of_method(students, lambda row: row["accuracy"]["test"])
    return max((method for method in PIECES if method in tests), key=lambda method: fmean(tests[method]), default=None)


def _gain(of: str, over: str) -> Criterion:
    quantity = f"test accuracy of students by {of} less {over}, same seed (fraction)"
    return Criterion(quantity, at_least=GAIN_FROM, origin="ours: half a point")


def _over(values: Mapping[str, Sequence[float]], method: str, other: str | None) -> tuple[float, ...]:
    """Differences of students of the same seed; none where the study runs one of the two not."""
    return tuple(differences(values[method], values[other])) if {method, other} <= values.keys() else ()


def _published(study: Study, method: str, other: str) -> Published | None:
    """Only beside labels modulo 2 of CIFAR-100; the networks may be others, so the setting is told."""
    merge = study.distill.merge
    if (study.data.source, merge.method, merge.classes) != ("cifar100", "modulo", 2):
        return None
    return Published(round(PUBLISHED[method] - PUBLISHED[other], 4), SETTING)
