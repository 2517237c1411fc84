"""The chapter on networks that are given: what they do, how far they collapsed, and what is inside their classes.

How they were made is not known, so no paper's claim is posed of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Chapter, Numbers, Picture, Tables
from hidden_structure.report.claim import Claim
from hidden_structure.report.connectivity.claims import learnt
from hidden_structure.report.connectivity.given import files, listed, warnings
from hidden_structure.report.inspection import figures
from hidden_structure.report.recovery.figures import maps
from hidden_structure.report.statistics import mean

IDEA = "inspection"
REDUCED = {"tsne": "t-SNE", "pca": "principal components", "raw": "nothing: the features themselves"}


def chapter(study: Study, tables: Tables) -> Chapter | None:
    """From the tables of tables/inspection.py; None where the study looks into no network."""
    if study.inspect is None:
        return None
    networks, collapse, inside, hidden = map(tables, ("inspected", "inspected_collapse", "inside", "hidden"))
    named, first = files(networks), [row for row in inside if row["network"] == 1]
    return Chapter(
        idea=IDEA,
        title="The given networks, looked into",
        question="How near do the features of each class lie to a point, the points to the corners of a simplex, and "
        "the classifier to the nearest of them; and is there structure inside the classes, which no label told?",
        findings=[*warnings(networks, by_table(study)), *_findings(networks, collapse, inside, hidden)],
        claims=[_learnt(networks)],
        pictures=[_map(study, tables), _separation(study, named[1], first)],
        numbers=[
            listed("inspected", networks),
            _collapse(collapse, named),
            _inside(inside, named),
            *_hidden(hidden, named),
        ],
        headline=_headline(networks, collapse, hidden),
    )


def by_table(study: Study) -> bool:
    """Whether a table tells the classes that the networks know, in the order of their outputs."""
    return study.inspect is not None and study.inspect.labels == "coarse" and study.merge.method == "groups"


def _learnt(networks: Sequence[Mapping]) -> Claim:
    ratios = [(1 - row["test_accuracy"]) / (1 - row["guess"]) for row in networks]
    return learnt(IDEA, ratios, [str(row["network"]) for row in networks])


def _of(rows: Sequence[Mapping], network: int, source: str) -> list[Mapping]:
    return [row for row in rows if row["network"] == network and row["source"] == source]


def _findings(
    networks: Sequence[Mapping], collapse: Sequence[Mapping], inside: Sequence[Mapping], hidden: Sequence[Mapping]
) -> Iterator[str]:
    """What a table of finer classes is given for comes first: whether clusters give these back."""
    if hidden:
        yield from (_recovered(network["file"], network["network"], hidden) for network in networks)
    for network in networks:
        place, file = network["network"], network["file"]
        (own,), (before,) = (_of(collapse, place, source) for source in ("given", "untrained"))
        yield (
            f"{file} classifies {100 * network['test_accuracy']:.3g} % of the test images correctly. Its NC1 is "
            f"{own['nc1']:.3g} ({before['nc1']:.3g} in an untrained network of its kind), its last layer lies "
            f"{own['nc3']:.3g} from the class means, both as unit vectors ({before['nc3']:.3g}), and nearest class "
            f"mean and network disagree on {100 * own['nc4']:.3g} % of the training samples."
        )
        several = {source: sum(row["gap"] > 1 for row in _of(inside, place, source)) for source in figures.LOOKS}
        apart = {source: _mean(_of(inside, place, source)) for source in figures.LOOKS}
        yield (
            f"By the gap statistic {several['given']} of the {own['classes']} classes of {file} fall into several "
            f"clusters (pixels: {several['pixels']}, an untrained network: {several['untrained']}); the mean "
            f"silhouette of clusters inside classes is {apart['given']} (pixels {apart['pixels']}, untrained "
            f"{apart['untrained']})."
        )


def _recovered(file: str, place: int, hidden: Sequence[Mapping]) -> str:
    (true,), (own,), (pixels,), (untrained,) = (
        _of(hidden, place, source) for source in ("labels", "given", "pixels", "untrained")
    )
    return (
        f"Clusters inside the classes of {file} agree with the {own['classes']} finer classes on "
        f"{100 * own['agreement']:.3g} % of the training samples (shuffled labels {100 * own['chance']:.3g} %, pixels "
        f"{100 * pixels['agreement']:.3g} %, an untrained network {100 * untrained['agreement']:.3g} %). A linear "
        f"layer on these clusters classifies {100 * own['accuracy']:.3g} % of the test images into the finer classes; "
        f"on true labels {100 * true['accuracy']:.3g} %, on clusters of pixels {100 * pixels['accuracy']:.3g} %."
    )


def _mean(rows: Sequence[Mapping]) -> str:
    values = [row["separation"] for row in rows if row["separation"] is not None]
    return f"{mean(values):.2g}" if values else "not defined"


def _map(study: Study, tables: Tables) -> Picture:
    """Coloured by the finer classes where these are known."""
    known = study.inspect.labels == "coarse"
    classes = [row if known else row | {"superclass": row["class"]} for row in tables("classes")]
    method = "t-SNE" if study.cluster.reducers[0] == "tsne" else "PCA"
    return Picture(
        "inspected-map",
        "Inside each class of the first network",
        "One panel a class that the network knows, one mark a training sample"
        + (", in the colour and shape of its finer class, which the network was not told" if known else "")
        + ". Clumps that lie apart are structure that no label of the network tells of. Only neighbourhoods inside one "
        "panel mean something, nothing from panel to panel.",
        f"Penultimate features of the training set, reduced to two dimensions by {method} within each class; at most "
        f"{study.report.points} samples of each, drawn at random.",
        lambda: maps(tables("inspected_map"), classes, method),
    )


def _separation(study: Study, file: str, first: Sequence[Mapping]) -> Picture:
    return Picture(
        "inspected-separation",
        "How far clusters inside classes lie apart",
        "The mean silhouette of k-means clusters inside each class, 1 if they are points far from each other; one "
        "cloud cut in pieces has about 0.4 on a map by t-SNE, 0.2 by principal components. What pixels or an untrained "
        "network show as well is no work of training.",
        f"Of {file}; as many clusters as give the largest silhouette, 2 to 12, after a reduction by "
        f"{REDUCED[study.cluster.reducers[0]]}; at most {figures.CLASSES} classes.",
        partial(figures.inside, first),
    )


def _collapse(rows: Sequence[Mapping], named: Mapping[int, str]) -> Numbers:
    columns = ("nc1", "norms", "cosine", "spread", "nc3", "nc4")
    return Numbers(
        name="inspected-collapse",
        title="Neural collapse",
        meaning="On the training images. NC1: variance within classes over that between them. Norms: std/mean of those "
        "of the centred class means; cosine and its spread: mean and deviation over pairs of these, which tend to "
        "-1/(C-1) and 0. NC3: distance of last layer and class means as unit vectors. NC4: share of samples on which "
        "nearest class mean and network disagree. Beside each network an untrained one of its kind.",
        columns=("network", "of", "classes", "NC1", "norms", "cosine", "its spread", "NC3", "NC4"),
        rows=[
            [named[row["network"]], "itself" if row["source"] == "given" else "untrained", row["classes"]]
            + [row[name] for name in columns]
            for row in rows
        ],
    )


def _inside(rows: Sequence[Mapping], named: Mapping[int, str]) -> Numbers:
    known = any("agreement" in row for row in rows)
    columns = ("samples", "gap", "silhouette", "separation", *(("classes", "agreement") if known else ()))
    finer = ("finer classes", "agreement") if known else ()
    return Numbers(
        name="inspected-classes",
        title="Clusters inside classes",
        meaning="Numbers of clusters by the gap statistic, which can find one, and by the largest mean silhouette, "
        "which finds two at least; separation is that silhouette.",
        columns=("network", "class", "samples", "clusters by gap", "by silhouette", "separation", *finer),
        rows=[
            [named[row["network"]], row["class"], *(row[name] for name in columns)]
            for row in rows
            if row["source"] == "given"
        ],
    )


def _hidden(rows: Sequence[Mapping], named: Mapping[int, str]) -> list[Numbers]:
    if not rows:
        return []
    columns = ("label", "agreement", "chance", "accuracy")
    return [
        Numbers(
            name="inspected-hidden",
            title="Finer classes recovered",
            meaning="Agreement of clusters inside classes with the finer classes over the training set, that of "
            "shuffled labels, and test accuracy on the finer classes of a linear layer on the network's features that "
            "is trained on the labels named.",
            columns=("network", "labels from", "agreement", "shuffled", "test accuracy"),
            rows=[[named[row["network"]], *(row.get(name) for name in columns)] for row in rows],
        )
    ]


def _headline(
    networks: Sequence[Mapping], collapse: Sequence[Mapping], hidden: Sequence[Mapping]
) -> dict[str, float | None]:
    found = {"accuracy": mean([row["test_accuracy"] for row in networks])}
    found["nc1"] = mean([row["nc1"] for row in collapse if row["source"] == "given"])
    recovered = [row["accuracy"] for row in hidden if row["source"] == "given"]
    return found | ({"recovered": mean(recovered)} if recovered else {})
