"""The claims on classes recovered from a network that was never told of them.

Where clusters of pixels or of an untrained network's features fulfil a criterion as well, its fulfilment says nothing
of what training keeps: the claim is then not assessable. Where a network that memorised shuffled labels fulfils it,
that says nothing of what coarse labels keep. `gain` and `agreement` are of clusters: only what is clustered is the
control's, and a linear layer on the coarse network's features reads all labels. `gap` is of what a network classifies:
there it also counts what the memorising network does by itself, its own features clustered and read.
"""

from collections.abc import Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report.claim import Claim, Criterion, Published, unless
from hidden_structure.report.collapse import claims as collapse
from hidden_structure.report.controls import unless_control
from hidden_structure.report.recovery.controls import BY, CONTROLS, IDEA, YANG, assessable, controls
from hidden_structure.report.recovery.outlasting import outlasting
from hidden_structure.report.statistics import differences, mean

ROOM_FROM = 0.05  # in accuracy: else a share of the possible gain is one of a few test images
GAIN_FROM = 0.9
NEARLY = 0.03  # in accuracy
AGREEMENT_FROM = 0.8  # of the way from naming at random to 1
SETTING = (
    "accuracy itself, not the share; CIFAR-10 in five merged classes (which, is our reading), the source's network"
)


def claims(
    study: Study,
    training: Sequence[Mapping],
    measured: Sequence[Mapping],
    recovery: Sequence[Mapping],
    superclasses: Sequence[Mapping],
    following: Sequence[Mapping],
    memorised: Sequence[Mapping],
) -> list[Claim]:
    """All arguments but the study: rows of the tables `training`, `collapse`, `recovery`, `superclasses`, `following`
    and `memorised`.

    Of several reducers the claims are on the first.
    """
    trained = {name: unless(collapse.trained(study, training, measured, name)) for name in ("fine", "coarse")}
    accuracy = accuracies(study, training, recovery)
    seeds = tuple(map(str, sorted(study.seeds)))
    room = _room(accuracy, seeds)
    collapsed = _collapsed(measured)
    memorised = sorted(memorised, key=lambda row: row["seed"])
    beside = assessable(accuracy, memorised)
    converged = not unless(collapse.terminal(training, "coarse"))  # of others the source does not speak
    return [
        collapsed,
        room,
        _gain(study, accuracy, beside, seeds, converged, trained["coarse"] or unless(room)),
        _gap(study, accuracy, beside, memorised, seeds, converged, trained["fine"] or trained["coarse"]),
        _agreement(study, recovery, superclasses, beside, seeds, trained["coarse"]),
        *controls(hardest(accuracy, study, recovery), memorised, seeds, trained["coarse"]),
        *outlasting(training, following, chance(superclasses), trained["coarse"] or unless(collapsed)),
    ]


def accuracies(study: Study, training: Sequence[Mapping], recovery: Sequence[Mapping]) -> dict[str, list[float]]:
    """Test accuracy on the original classes, one value a seed: of the `fine` network, and of linear layers on the
    coarse network's features with true `labels` or with those of clusters of `coarse`, `pixels`, `untrained` and, where
    the study has such networks, `memorised`."""
    found = {"fine": [row["test"]["accuracy"][-1] for row in collapse.of(training, "fine")]}
    for source in ("labels", "coarse", *CONTROLS):
        found[source] = [row["accuracy"] for row in networks(study, recovery, source)]
    return found


def hardest(accuracy: Mapping[str, list[float]], study: Study, recovery: Sequence[Mapping]) -> dict[str, list[float]]:
    """The same, each control clustered by the reducer that serves it best: the claims' own may serve it worse."""
    found = dict(accuracy)
    for source in (name for name in CONTROLS if accuracy[name]):
        ways = [networks(study, recovery, source, reducer) for reducer in study.cluster.reducers]
        found[source] = max(([row["accuracy"] for row in rows] for rows in ways if rows), key=mean)
    return found


def networks(study: Study, recovery: Sequence[Mapping], source: str, reducer: str | None = None) -> list[Mapping]:
    """Rows of that source, clustered by that reducer, the first unless said, if at all, in the order of the seeds."""
    ways = (None, reducer or study.cluster.reducers[0])
    own = [row for row in recovery if row["source"] == source and row["reducer"] in ways]
    return sorted(own, key=lambda row: row["seed"])


def chance(superclasses: Sequence[Mapping]) -> float:
    """Agreement over all training samples of labels shuffled inside each super-class and named as clusters are."""
    rows = [row for row in superclasses if row["source"] == "coarse"]
    return sum(row["chance"] * row["samples"] for row in rows) / sum(row["samples"] for row in rows)


def guess(classes: Sequence[Mapping]) -> float:
    """Test accuracy of who knows the super-class and names its largest class; classes: rows of the table `classes`."""
    largest: dict[str, int] = {}
    for row in classes:
        largest[row["superclass"]] = max(largest.get(row["superclass"], 0), row["test"])
    return sum(largest.values()) / sum(row["test"] for row in classes)


def gains(accuracy: Mapping[str, Sequence[float]], source: str) -> tuple[float, ...]:
    """Of each seed: how much of what true labels give beyond clusters of pixels those of the source give."""
    own = zip(accuracy[source], accuracy["pixels"], accuracy["labels"], strict=True)
    return tuple((one - pixels) / (labels - pixels) if labels != pixels else 0.0 for one, pixels, labels in own)


def _collapsed(measured: Sequence[Mapping]) -> Claim:
    networks = collapse.of(measured, "coarse")
    return Claim(
        id=f"{IDEA}.collapsed",
        idea=IDEA,
        kind="precondition",
        statement="The coarse networks' features have collapsed to their class means; where they have not, what is "
        "recovered below is recovered before collapse, and says nothing of after.",
        criterion=collapse.criterion("nc1"),
        values=tuple(collapse.score("nc1", network) for network in networks),
        seeds=collapse.seeds(networks),
        source=collapse.PAPYAN,
    )


def _room(accuracy: Mapping[str, Sequence[float]], seeds: tuple[str, ...]) -> Claim:
    return Claim(
        id=f"{IDEA}.room",
        idea=IDEA,
        kind="precondition",
        statement="Clusters of pixels leave something to recover.",
        criterion=Criterion(
            "test accuracy of a linear layer on true labels less one on clusters of pixels (fraction)",
            at_least=ROOM_FROM,
            origin="ours",
        ),
        values=tuple(differences(accuracy["labels"], accuracy["pixels"])),
        seeds=seeds,
    )


def _gain(
    study: Study,
    accuracy: Mapping[str, Sequence[float]],
    beside: Mapping[str, str],
    seeds: tuple[str, ...],
    converged: bool,
    unmet: str,
) -> Claim:
    merge = study.merge
    published = converged and study.cluster.reducers[0] == "tsne"  # the source's way of clustering
    same = published and (study.data.source, merge.method, merge.classes) == ("cifar10", "modulo", 5)
    criterion = Criterion(
        "share of the accuracy that true labels give a linear layer beyond clusters of pixels, which labels recovered "
        f"{BY[study.cluster.reducers[0]]} give it",
        at_least=GAIN_FROM,
        origin="ours: nearly all",
    )
    values = gains(accuracy, "coarse")
    passing = {words: gains(accuracy, name) for name, words in beside.items() if name != "pixels"}  # pixels are its 0
    return Claim(
        id=f"{IDEA}.gain",
        idea=IDEA,
        kind="published" if published else "ours",
        statement="Clusters of the coarse network's features are to a linear layer nearly what the true labels are.",
        criterion=criterion,
        values=values,
        seeds=seeds,
        source=YANG,
        published=Published(0.93, SETTING) if same else None,
        unmet=unmet or unless_control(criterion, values, passing),
    )


def _gap(
    study: Study,
    accuracy: Mapping[str, Sequence[float]],
    beside: Mapping[str, str],
    memorised: Sequence[Mapping],
    seeds: tuple[str, ...],
    converged: bool,
    unmet: str,
) -> Claim:
    criterion = Criterion(
        "test accuracy of the network trained on fine labels less the linear layer's on those recovered "
        f"{BY[study.cluster.reducers[0]]} (fraction)",
        at_most=NEARLY,
        origin="ours: the source says nearly the same",
    )
    values = tuple(differences(accuracy["fine"], accuracy["coarse"]))
    passing = {words: differences(accuracy["fine"], accuracy[name]) for name, words in beside.items()}
    if "memorised" in beside:
        own = [row["recovered"] for row in memorised]
        passing[f"{beside['memorised']}, by themselves"] = differences(accuracy["fine"], own)
    return Claim(
        id=f"{IDEA}.gap",
        idea=IDEA,
        kind="published" if converged else "ours",
        statement="With recovered labels the coarse network classifies the original classes nearly as well as a "
        "network of the same seed that was trained on them.",
        criterion=criterion,
        values=values,
        seeds=seeds,
        source=YANG,
        unmet=unmet or unless_control(criterion, values, passing),
    )


def _agreement(
    study: Study,
    recovery: Sequence[Mapping],
    superclasses: Sequence[Mapping],
    beside: Mapping[str, str],
    seeds: tuple[str, ...],
    unmet: str,
) -> Claim:
    level = chance(superclasses)
    criterion = Criterion(
        f"agreement of labels recovered {BY[study.cluster.reducers[0]]} with the original ones over the training set, "
        "from that of shuffled labels (0) to all (1)",
        at_least=AGREEMENT_FROM,
        origin="ours",
    )
    above = {
        source: tuple((row["agreement"] - level) / (1 - level) for row in networks(study, recovery, source))
        for source in ("coarse", *beside)
        if level < 1
    }
    values = above.get("coarse", ())
    return Claim(
        id=f"{IDEA}.agreement",
        idea=IDEA,
        kind="ours",
        statement="Inside super-classes the coarse network's features cluster by original class.",
        criterion=criterion,
        values=values,
        seeds=seeds if values else (),
        source=YANG,
        unmet=unmet or unless_control(criterion, values, {words: above.get(c, ()) for c, words in beside.items()}),
    )
