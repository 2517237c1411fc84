"""Recovery: what a network keeps of classes that it was told to treat as one."""

from collections.abc import Iterator, Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Chapter, Numbers, Picture, Tables
from hidden_structure.report.claim import Claim
from hidden_structure.report.collapse.chapter import with_error
from hidden_structure.report.collapse.claims import of
from hidden_structure.report.findings import in_order, interval_of, signed
from hidden_structure.report.recovery import figures, memorised, outlasting
from hidden_structure.report.recovery.claims import accuracies, chance, claims, guess
from hidden_structure.report.recovery.controls import IDEA, assessable
from hidden_structure.report.statistics import mean, rounded

MEMORISING = (
    " So does the memorising network, trained on coarse labels shuffled over the training images; in the last line the "
    "true labels are fitted to its own features."
)


def chapter(study: Study, tables: Tables) -> Chapter | None:
    """None where the study trains no networks of its own."""
    if study.train is None:
        return None
    read = ("training", "collapse", "recovery", "superclasses", "following", "memorised")
    training, collapse, recovery, superclasses, following, shuffled = map(tables, read)
    found = claims(study, training, collapse, recovery, superclasses, following, shuffled)
    accuracy = accuracies(study, training, recovery)
    named = {claim.id.partition(".")[2]: claim.values for claim in found}
    return Chapter(
        idea=IDEA,
        title="Classes recovered from coarse labels",
        question="A network is trained on labels that treat several classes as one. Do its features still tell these "
        "classes apart, so well that clusters of them can take the place of the labels it never saw?",
        findings=[
            *_collapsed(collapse, found),
            *in_order(_sentences(study, training, accuracy, recovery, superclasses, following, shuffled, found)),
            _spent(tables("bits")),
        ],
        claims=found,
        pictures=_pictures(study, tables, accuracy),
        numbers=[_numbers(recovery, accuracy), *memorised.numbers(shuffled), _supervision(tables("bits"))],
        headline={
            "accuracy": rounded(mean(accuracy["coarse"])),
            **{name: rounded(mean(named[name])) for name in ("gain", "gap")},
        },
    )


def _collapsed(collapse: Sequence[Mapping], found: Sequence[Claim]) -> Iterator[str]:
    """Said first where it is not so, for it is what the question is about."""
    claim = next(claim for claim in found if claim.id == f"{IDEA}.collapsed")
    if claim.verdict != "supported":
        ends = with_error([row["nc1"][-1] for row in of(collapse, "coarse")])
        yield (
            f"The coarse networks had not collapsed when their classes were recovered (NC1 {ends} at the end): whether "
            "collapse would take the classes with it is not tested here."
        )


def _sentences(
    study: Study,
    training: Sequence[Mapping],
    accuracy: Mapping[str, Sequence[float]],
    recovery: Sequence[Mapping],
    superclasses: Sequence[Mapping],
    following: Sequence[Mapping],
    shuffled: Sequence[Mapping],
    found: Sequence[Claim],
) -> Iterator[tuple[Claim, str]]:
    claim = {one.id.partition(".")[2]: one for one in found}
    named = {source: with_error(values) for source, values in accuracy.items() if values}
    yield (
        claim["gain"],
        f"A linear layer trained on recovered labels classifies {named['coarse']} of the test set into the original "
        f"classes; on clusters of pixels {named['pixels']}, on true labels {named['labels']}"
        + (f". The share gained of what could be is {claim['gain'].measured:.2f}" if not claim["gain"].unmet else ""),
    )
    gap = claim["gap"]
    yield (
        gap,
        f"The network trained on the original labels classifies {named['fine']} of it correctly, "
        f"{signed(100 * gap.measured, 1)} percentage points against the recovered labels{interval_of(gap, 100, 1)}",
    )
    agreement = [row["agreement"] for row in recovery if row["source"] == "coarse" and _first(study, row)]
    yield (
        claim["agreement"],
        f"Recovered and original label agree on {with_error(agreement)} of the training samples, where shuffled "
        f"labels would on {chance(superclasses):.3f}{_by_superclass(superclasses)}",
    )
    for name, words in assessable(accuracy, shuffled).items():
        own = claim[f"control-{name}"]
        yield (
            own,
            f"Against clusters of {words} ({named[name]}) those of the coarse network's features change the linear "
            f"layer's accuracy by {signed(100 * own.measured, 1)} percentage points{interval_of(own, 100, 1)}",
        )
    yield from memorised.sentences(claim, named["labels"], shuffled, len({row["superclass"] for row in superclasses}))
    yield from outlasting.sentences(claim, following)


def _by_superclass(superclasses: Sequence[Mapping]) -> str:
    """Where it is the least and where the most: a mean may be of some that are found, and of others that are not."""
    own = {row["superclass"]: row["agreement"] for row in superclasses if row["source"] == "coarse"}
    if len(own) < 2:
        return ""
    least, *_, most = sorted(own, key=lambda name: mean(own[name]))
    return "; by super-class " + " to ".join(f"{with_error(own[name])} ({name})" for name in (least, most))


def _first(study: Study, row: Mapping) -> bool:
    return row["reducer"] == study.cluster.reducers[0]


def _spent(bits: Sequence[Mapping]) -> str:
    fine, coarse = (next(row for row in bits if row["supervision"] == name) for name in ("fine", "coarse"))
    return (
        f"The {coarse['classes']} coarse labels say {coarse['bits']:.3g} bits of a sample, the {fine['classes']} "
        f"original ones {fine['bits']:.3g}: {coarse['bits'] / fine['bits']:.2f} of them, and what it takes to name "
        "each cluster once."
    )


def _numbers(recovery: Sequence[Mapping], accuracy: Mapping[str, Sequence[float]]) -> Numbers:
    rows: list[tuple] = [("network trained on the original labels", None, with_error(accuracy["fine"]), *[None] * 3)]
    rows.append(("true labels", None, with_error(accuracy["labels"]), *[None] * 3))
    for (label, clusters), own in _ways(recovery).items():
        scores = [row["agreement"] for row in own], *([row["inside"][name] for row in own] for name in ("ari", "nmi"))
        accuracies = with_error([row["accuracy"] for row in own])
        rows.append((label, clusters, accuracies, *(with_error(values) for values in scores)))
    return Numbers(
        "recovery",
        "Recovered classes",
        "Test accuracy on the original classes of the network, or of a linear layer on the coarse network's features "
        "trained on the labels named; agreement of recovered with original labels over the training set; adjusted "
        "Rand index and normalised mutual information inside super-classes, where a split at random has an index of "
        "0. Means over seeds with their standard errors.",
        ("labels from", "clustered by", "test accuracy", "agreement", "ARI", "NMI"),
        rows,
    )


def _ways(recovery: Sequence[Mapping]) -> dict[tuple[str, str], list[Mapping]]:
    found: dict[tuple[str, str], list[Mapping]] = {}
    for row in recovery:
        if row["reducer"]:
            found.setdefault((row["label"], row["clusters"]), []).append(row)
    return found


def _supervision(bits: Sequence[Mapping]) -> Numbers:
    return Numbers(
        "bits",
        "What labels say",
        "Entropy of the training labels.",
        ("labels", "classes", "bits a sample"),
        [(row["supervision"], row["classes"], rounded(row["bits"])) for row in bits],
    )


def _bars(
    recovery: Sequence[Mapping], accuracy: Mapping[str, Sequence[float]], shuffled: Sequence[Mapping]
) -> list[tuple[str, str, list[float]]]:
    bars = [
        ("network trained on the original labels", "fine", list(accuracy["fine"])),
        ("linear layer, true labels", "labels", list(accuracy["labels"])),
    ]
    for (label, clusters), own in _ways(recovery).items():
        words = f"{'recovered' if own[0]['source'] == 'coarse' else label.removeprefix('control: ')}: {clusters}"
        bars.append((words, own[0]["source"], [row["accuracy"] for row in own]))
    if shuffled:
        bars.append(("memorising network: true labels", "memorised", [row["labels"] for row in shuffled]))
    return bars


def _following(following: Sequence[Mapping], superclasses: Sequence[Mapping], guessed: float) -> Picture:
    how = figures.REDUCER[following[0]["reducer"]]
    return Picture(
        "following",
        "What is inside super-classes as these collapse",
        "Against NC1 of the super-classes, which falls to the right as they collapse; marks are the epochs that were "
        "kept, means over networks with one standard error (on logarithmic axes both of the logarithm), the "
        "initialisation hollow. Left: how many training samples "
        "get their original label back, above the grey line of shuffled labels. Middle: what linear layers on these "
        "features make of the original classes, with recovered labels and with true ones; dashed is a guess inside the "
        "super-class. Right: share of the variance inside super-classes that lies between their classes, and that "
        "between classes over that between super-classes.",
        f"The coarse networks on the labels that they were trained on; clusters by {how} inside each super-class at "
        "every kept epoch, in evaluation mode and without augmentation. NC1 and both shares are of the training set.",
        lambda: figures.following(following, chance(superclasses), guessed),
    )


def _pictures(study: Study, tables: Tables, accuracy: Mapping[str, Sequence[float]]) -> list[Picture]:
    classes, superclasses, samples, shuffled = map(tables, ("classes", "superclasses", "map", "memorised"))
    method = "t-SNE" if "tsne" in study.cluster.reducers else "PCA"
    merged = len({row["superclass"] for row in classes})
    guessed = guess(classes)
    levels = sorted({row["chance"] for row in superclasses})
    chance_words = f"{levels[0]:.3f}" + (f" to {levels[-1]:.3f}" if f"{levels[-1] - levels[0]:.3f}" != "0.000" else "")
    drawn = [
        Picture(
            "maps",
            "Inside each super-class",
            "One panel a super-class, one mark a training sample, in the colour and shape of the original class that "
            "the network never saw. Separate colours mean that the network kept the classes apart although nothing "
            "asked it to. Only neighbourhoods inside one panel mean something, not distances between far groups, nor "
            "anything from panel to panel.",
            f"Penultimate features of the coarse network (first seed) on the training set, reduced to two dimensions "
            f"by {method} within each super-class; at most {study.report.points} samples of each, drawn at random, and "
            f"at most {figures.PANELS} super-classes.",
            lambda: figures.maps(samples, classes, method),
        ),
        Picture(
            "distances",
            "Distances between original classes",
            "Each cell is the mean squared distance between features of two original classes, on the diagonal between "
            "two samples of one class; 1 is the mean over pairs of different super-classes. Boxes frame the "
            "super-classes: inside them distances are small, for the classes were merged, but larger off the diagonal "
            "than on it where the classes stay apart.",
            "Penultimate training features of the coarse network, mean over seeds.",
            lambda: figures.distances(tables("distances"), classes),
        ),
        Picture(
            "recovery",
            "Accuracy on the original classes",
            "Marks are means over seeds with their standard errors, strokes below them single seeds. Recovered labels "
            "should come near the true ones, and the controls below them should not. Coarse labels "
            f"alone, with a guess at the largest of the merged classes, give {guessed:.3f} (dashed, where the axis "
            "reaches as far).",
            "Clusters found inside each super-class of the training set are named by the best one-to-one assignment on "
            "the training set; a linear layer is fitted to the coarse network's features with these labels and scored "
            "on the original test labels, which enter nothing else. Controls cluster the pixels, or the features "
            "before training, and fit the same layer to the same features." + (MEMORISING if shuffled else ""),
            lambda: figures.recovery(_bars(tables("recovery"), accuracy, shuffled), len(classes), guessed),
        ),
        Picture(
            "agreement",
            "Recovered labels, super-class by super-class",
            "Share of training samples whose recovered label is the original one, means over seeds with their standard "
            f"errors; super-classes in the order of the trained features. Labels shuffled inside a super-class agree "
            f"on {chance_words} of its samples (grey strokes, where the axis reaches as far).",
            "The first reduction of the parameters, k-means with as many clusters as the super-class has classes. "
            "Clusters are named by the samples that are then counted, which is why shuffled labels agree more often "
            f"than one in the number of classes; {merged} super-classes.",
            lambda: figures.agreement(superclasses),
        ),
    ]
    if following := tables("following"):
        drawn.append(_following(following, superclasses, guessed))
    return drawn if samples else drawn[1:]  # tables of earlier versions have no map
