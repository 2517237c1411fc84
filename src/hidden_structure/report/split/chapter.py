"""Classes split at random: labels that are finer than anything in the images."""

from collections.abc import Iterator, Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Chapter, Numbers, Picture, Tables
from hidden_structure.report.claim import Claim, unless
from hidden_structure.report.collapse.chapter import with_error
from hidden_structure.report.collapse.claims import of, trained
from hidden_structure.report.findings import in_order, interval_of, signed
from hidden_structure.report.split import figures
from hidden_structure.report.split.claims import IDEA, claims
from hidden_structure.report.statistics import mean, rounded

COLUMNS = {
    "train_accuracy": "accuracy on split labels",
    "agreement": "agreement with classes",
    "ari": "ARI",
    "parts_distance": "parts / classes",
    "probe_accuracy": "linear layer",
    "class_accuracy": "own class",
    "nearest_accuracy": "nearest mean",
}


def chapter(study: Study, tables: Tables) -> Chapter | None:
    """None where the study splits no class."""
    if study.split is None or not (split := tables("split")):
        return None
    training = tables("training")
    met = unless(trained(study, training, tables("collapse"), "fine"))
    found = claims(split, training, met)
    whole = [row["test"]["accuracy"][-1] for row in of(training, "fine")]
    return Chapter(
        idea=IDEA,
        title="Classes split at random",
        question="A network is trained on labels that tell apart what no image does: each class is split at random. "
        "Once it has memorised the split, do its features group by the parts, or still by the class that no label "
        "names?",
        findings=in_order(_sentences(split, found)),
        claims=found,
        pictures=[_picture(study, split, whole)],
        numbers=[_numbers(split)],
        headline={name: rounded(mean([row[name][-1] for row in split])) for name in ("agreement", "probe_accuracy")},
    )


def _sentences(split: Sequence[Mapping], found: Sequence[Claim]) -> Iterator[tuple[Claim, str]]:
    memorised, grouping, probe = found
    start, end = ({name: with_error([row[name][when] for row in split]) for name in COLUMNS} for when in (0, -1))
    yield (
        memorised,
        f"After {split[0]['epochs'][-1]} epochs the networks give {end['train_accuracy']} of the training samples "
        f"their own part, where a guess at it gives {with_error([row['guess_accuracy'] for row in split])}",
    )
    yield (
        grouping,
        f"Clusters of the features, as many as classes, then give {end['agreement']} of the training samples their "
        f"true class, before training {start['agreement']}; the parts of a class lie {end['parts_distance']} times as "
        f"far apart as two classes, before training {start['parts_distance']} times",
    )
    if probe.values:
        yield (
            probe,
            f"A linear layer trained on the true classes then classifies {end['probe_accuracy']} of the test set "
            f"correctly, before training {start['probe_accuracy']}; networks trained on the classes differ by "
            f"{signed(100 * probe.measured, 1)} percentage points{interval_of(probe, 100, 1)}",
        )


def _numbers(split: Sequence[Mapping]) -> Numbers:
    return Numbers(
        "split",
        "Classes split at random, snapshot by snapshot",
        "Means over networks with their standard errors: on the training set accuracy on the split labels, agreement "
        "of clusters with the true classes, its adjusted Rand index, and the distance of two parts of a class over "
        "that of two classes; on the test set accuracy on the true classes of a linear layer trained on them, of the "
        "class of the network's own label, and of the nearest class mean.",
        ("epoch", *COLUMNS.values()),
        [
            (epoch, *(with_error([row[name][index] for row in split]) for name in COLUMNS))
            for index, epoch in enumerate(split[0]["epochs"])
        ],
    )


def _picture(study: Study, split: Sequence[Mapping], whole: Sequence[float]) -> Picture:
    which = "each class" if study.split.classes is None else f"each of the first {study.split.classes} classes"
    return Picture(
        "split",
        "Classes split at random",
        "Left: at the dotted line the network knows the classes and guesses the part; above it, it memorises. Middle: "
        "whether clusters of the features agree with the true classes (1: they do), and how far apart the parts of a "
        "class lie (0: they coincide; 1: as far as two classes). Right: what is left of the classes on the test set, "
        "beside the network that was trained on them (dashed). Lines are means over networks, bands one standard error "
        "to either side, marks the measured epochs.",
        f"A network trained on the split labels only, {which} split into {study.split.parts}; epoch 0 is untrained. "
        "Clusters: k-means on the penultimate training features, as many as classes. Distances: between means of "
        "features, of parts of one class over those of classes. Nearest to its own part: training samples of split "
        "classes, among the parts of their class.",
        lambda: figures.over_epochs(split, whole),
    )
