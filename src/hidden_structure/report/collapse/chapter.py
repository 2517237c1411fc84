"""Neural collapse: whether the networks came to it, property by property."""

from collections.abc import Iterator, Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Chapter, Numbers, Picture, Tables
from hidden_structure.report.claim import Claim
from hidden_structure.report.collapse import figures
from hidden_structure.report.collapse.claims import BOUNDS, IDEA, MODEL, claims, excess, lapse, of
from hidden_structure.report.findings import in_order
from hidden_structure.report.statistics import mean, rounded, standard_error

END = {  # property -> its values at the end in words
    "nc1": "NC1 ends at {nc1}",
    "simplex": "norms of class means end at a std/mean of {norms}, cosines, in quadrature, at {excess} above the least "
    "possible",
    "nc3": "the last layer ends at a distance of {nc3} from the class means, both as unit vectors (NC3)",
    "nc4": "nearest class mean and network end by disagreeing on {nc4} of the training samples (NC4)",
}
COLUMNS = ("test accuracy", "training accuracy", "NC1", "norms", "excess cosine", "NC3", "NC4")


def chapter(study: Study, tables: Tables) -> Chapter | None:
    """None where the study trains no networks of its own."""
    if study.train is None:
        return None
    training, collapse, classes = map(tables, ("training", "collapse", "classes"))
    found = claims(study, training, collapse)
    samples = {split: sum(row[split] for row in classes) for split in ("train", "test")}
    return Chapter(
        idea=IDEA,
        title="Training and neural collapse",
        question="Trained on until long after the training set is fitted, do the features of each class collapse to a "
        "point, the points to the corners of a simplex, and the classifier to the nearest of them?",
        findings=[*_learned(training), *in_order(_sentences(collapse, found))],
        claims=found,
        pictures=_pictures(training, collapse, samples, bool(study.train.crop or study.train.flip)),
        numbers=[_numbers(training, collapse)],
        headline={
            f"{supervision}-{name}": rounded(mean([row[name][-1] for row in of(collapse, supervision)]))
            for supervision in figures.SUPERVISION
            for name in ("nc1", "nc3")
        },
    )


def with_error(values: Sequence[float], digits: int = 3) -> str:
    """ "0.063 ± 0.001": mean and standard error, the latter only where there are several that differ."""
    error = standard_error(values)
    return f"{mean(values):.{digits}g}" + (f" ± {error:.1g}" if error else "")


def _learned(training: Sequence[Mapping]) -> Iterator[str]:
    for supervision in figures.SUPERVISION:
        networks = of(training, supervision)
        train, test = ([row[split]["accuracy"][-1] for row in networks] for split in ("train", "test"))
        both = [row["both_sides"] for row in networks if row.get("both_sides") is not None]
        mirrored = f" ({with_error(both)} by the mean over each image and its mirror image)" if both else ""
        over = f"± standard error over {len(networks)} networks" if len(networks) > 1 else "of 1 network"
        yield (
            f"After {networks[0]['epochs'][-1]} epochs the networks on {supervision} labels classify "
            f"{with_error(test)} of the test set correctly{mirrored}, and {with_error(train, 4)} of the training "
            f"samples during the last epoch (mean {over})."
        )
        if lapses := [found for row in networks if (found := lapse(row))]:
            epoch, value = min(lapses, key=lambda found: found[1])
            yield (
                f"After they had fitted their training set {len(lapses)} of {len(networks)} networks on {supervision} "
                f"labels lost it again, down to {value:.3f} of its samples in epoch {epoch}: what is measured at the "
                "end is not of one collapse without a break."
            )


def _sentences(collapse: Sequence[Mapping], found: Sequence[Claim]) -> Iterator[tuple[Claim, str]]:
    for claim in found:
        _, supervision, name = claim.id.split(".")
        if (column := name.removeprefix("model-")) in MODEL:
            networks = of(collapse, supervision)
            own, model = (with_error([row[column][whose][-1] for row in networks]) for whose in ("network", "model"))
            yield (
                claim,
                f"Trained on {supervision} labels: the {MODEL[column]} is {own} at the end, and {model} in the "
                "unconstrained features model of the same norms and weight decay",
            )
        if name in BOUNDS:
            said = END[name].format(**_ends(of(collapse, supervision)))
            yield claim, f"Trained on {supervision} labels: {said}"


def _ends(networks: Sequence[Mapping]) -> dict[str, str]:
    return {name: with_error(values) for name, values in _at_the_end(networks).items()}


def _at_the_end(networks: Sequence[Mapping]) -> dict[str, list[float]]:
    return {
        "nc1": [row["nc1"][-1] for row in networks],
        "norms": [row["norms"]["means"][-1] for row in networks],
        "excess": [excess(row)[-1] for row in networks],
        "nc3": [row["nc3"][-1] for row in networks],
        "nc4": [row["nc4"][-1] for row in networks],
    }


def _numbers(training: Sequence[Mapping], collapse: Sequence[Mapping]) -> Numbers:
    rows = []
    for supervision in figures.SUPERVISION:
        trained, networks = of(training, supervision), of(collapse, supervision)
        accuracies = [[row[split]["accuracy"][-1] for row in trained] for split in ("test", "train")]
        ends = [with_error(values) for values in (*accuracies, *_at_the_end(networks).values())]
        starts = [None, None, *(with_error([row[0] for row in own]) for own in _starts(networks))]
        classes = networks[0]["classes"]
        rows += [(supervision, classes, "initialisation", *starts), (supervision, classes, "end", *ends)]
    return Numbers(
        "collapse",
        "Collapse at the end and at initialisation",
        "Means over networks, with their standard errors where there are several; all but the accuracies are of the "
        "training set, without augmentation. Norms: std/mean of class means. Excess cosine: in quadrature over the "
        "least that so many class means can have.",
        ("labels", "classes", "when", *COLUMNS),
        rows,
    )


def _starts(networks: Sequence[Mapping]) -> list[list[Sequence[float]]]:
    return [
        [row["nc1"] for row in networks],
        [row["norms"]["means"] for row in networks],
        [excess(row) for row in networks],
        [row["nc3"] for row in networks],
        [row["nc4"] for row in networks],
    ]


def _pictures(
    training: Sequence[Mapping], collapse: Sequence[Mapping], samples: Mapping[str, int], augmented: bool
) -> list[Picture]:
    how = (
        "with augmentation; test figures come from the snapshots, without"
        if augmented
        else "without augmentation; test figures come from the snapshots"
    )
    seeds = "Lines are means over networks, bands one standard error to either side, marks the measured epochs."
    pictures = [
        Picture(
            "learning-curves",
            "Learning curves",
            "Left the share of samples that are classified wrongly, right the cross-entropy, each on the labels that "
            f"the network was trained on. {seeds} Both axes are logarithmic; the left one is linear below one sample "
            "of the smaller set where errors are as few, so that none at all is on it.",
            f"Training figures are averages over the batches of an epoch while the weights moved, {how}. Between marks "
            "nothing was tested.",
            lambda: figures.learning_curves(training, min(samples.values())),
        ),
        Picture(
            "collapse",
            "Neural collapse over training",
            "Every quantity falls to 0 as the network collapses: features to their class means (NC1), means and the "
            "last layer's rows to equal lengths and wide equal angles (NC2) and to one another (NC3), decisions to the "
            f"nearest class mean (NC4). {seeds} The dotted grey line is how low the claims ask it to be at the end; "
            "they also ask for a fall since the initialisation, epoch 0. NC1: variance within classes over that "
            "between them. NC2: std/mean of norms, mean |cos + 1/(C-1)| over pairs of classes, and by how much cosines "
            "exceed the least possible. NC3: distance of last layer and class means as unit vectors. NC4: share of "
            "training samples on which the nearest class mean and the network disagree.",
            "Measured on the whole training set, in evaluation mode and without augmentation, at each snapshot; "
            "classes are the labels that the network was trained on, so the coarse network's are the super-classes. "
            "Classes weigh the same, however many samples they have. NC3 is not squared. Excess cosine: root mean "
            "square cosine of centred class means, less the least possible, in quadrature; that is a simplex's, or "
            "more where there are too many classes for one. Of two classes NC2 is not drawn: it is so from the start.",
            lambda: figures.collapse(collapse, samples["train"]),
        ),
    ]
    if all("wrong" in row for row in collapse):
        pictures.append(
            Picture(
                "model",
                "Networks beside the unconstrained features model",
                "Each network's way through training, its end marked; on the dashed line it does as the model says. "
                "Left by how much the right class's logit exceeds a wrong one's, right the probability of a wrong "
                "class; axes are logarithmic. The model tells the first from the norms of last layer and features, if "
                "they form a simplex, and the second from these and the last layer's weight decay, if training has "
                "come to rest.",
                "On the training set, in evaluation mode and without augmentation; features less their mean. With rows "
                "of norm w and features of norm h the model's optimum has an excess of w h C/(C\N{MINUS SIGN}1), and "
                "wrong classes get the weight decay times w/h.",
                lambda: figures.model(collapse),
            )
        )
    if any(row["classes"] > 2 for row in collapse):
        pictures.append(
            Picture(
                "angles",
                "The angle of two classes",
                "Lines are mean cosines over pairs of classes, of centred class means and of the last layer's rows; "
                "bands hold one standard deviation over pairs to either side. The mean of the class means' cosines "
                "says little, for it reaches the dashed limit as soon as their lengths agree, because they sum to "
                "zero: what collapse narrows is the band.",
                "From the same measurement as the figure above, means over networks. Supervisions of two classes have "
                "no panel: their centred means are always opposite.",
                lambda: figures.angles(collapse),
            )
        )
    return pictures
