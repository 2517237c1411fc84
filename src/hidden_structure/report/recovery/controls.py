"""The controls of recovered classes, each a claim of its own: what clusters of other things are worth.

Of networks that memorised shuffled labels it must be so that they did. True labels are read from their own features,
too: the coarse network's may hold the classes only as any network's do that fits these images.
"""

from collections.abc import Mapping, Sequence

from hidden_structure.report.claim import Claim, Criterion, unless
from hidden_structure.report.statistics import differences

IDEA = "recovery"
YANG = "Yang, Steinhardt, Hu 2023"
ZHANG = "Zhang, Bengio, Hardt, Recht, Vinyals 2017"
BY = {"tsne": "by t-SNE", "pca": "by principal components", "raw": "from the features as they are"}  # recovered so
CONTROLS = {
    "pixels": "the images' pixels",
    "untrained": "an untrained network's features",
    "memorised": "the features of a network that memorised shuffled labels",
}
CONTROL_FROM = 0.01  # in accuracy
FITTED_FROM = 0.99  # accuracy on shuffled labels


def assessable(accuracy: Mapping[str, Sequence[float]], memorised: Sequence[Mapping]) -> dict[str, str]:
    """The controls that were measured and are what they are called, in words.

    Args:
        accuracy: as `claims.accuracies` gives it.
        memorised: rows of the table of that name.
    """
    did = not unless(fitted(memorised))
    return {name: words for name, words in CONTROLS.items() if accuracy[name] and (name != "memorised" or did)}


def controls(
    accuracy: Mapping[str, Sequence[float]], memorised: Sequence[Mapping], seeds: tuple[str, ...], unmet: str
) -> list[Claim]:
    """A claim a control that was measured, and where there are networks that memorised, that they did.

    Args:
        accuracy, memorised: as of `assessable`.
        unmet: what of the coarse networks themselves was not met.
    """
    found = [_worth_more(name, accuracy, seeds, unmet) for name in ("pixels", "untrained")]
    if memorised:
        met = fitted(memorised)
        failed = unmet or unless(met)
        found += [
            met,
            _worth_more("memorised", accuracy, seeds, failed),
            _less_readable(accuracy, memorised, seeds, failed),
        ]
    return found


def fitted(memorised: Sequence[Mapping]) -> Claim:
    """That networks on shuffled labels memorised them: else they are none of zero error whatever the labels."""
    return Claim(
        id=f"{IDEA}.memorised",
        idea=IDEA,
        kind="precondition",
        statement="The networks on shuffled coarse labels memorised them.",
        criterion=Criterion(
            "accuracy on the shuffled labels of the training set (fraction)",
            at_least=FITTED_FROM,
            origin="ours: zero error, but for a few samples",
        ),
        values=tuple(row["fitted"] for row in memorised),
        seeds=tuple(str(row["seed"]) for row in memorised),
        source=ZHANG,
    )


def _less_readable(
    accuracy: Mapping[str, Sequence[float]], memorised: Sequence[Mapping], seeds: tuple[str, ...], unmet: str
) -> Claim:
    return Claim(
        id=f"{IDEA}.control-memorised-labels",
        idea=IDEA,
        kind="control",
        statement="True labels tell a linear layer more of the original classes in the coarse network's features than "
        f"in {CONTROLS['memorised']}.",
        criterion=Criterion(
            "test accuracy of a linear layer with true labels on the coarse network's features less that on the "
            "control's own, paired (fraction)",
            at_least=CONTROL_FROM,
            origin="ours: a percentage point",
        ),
        values=tuple(differences(accuracy["labels"], [row["labels"] for row in memorised])),
        seeds=seeds,
        source=ZHANG,
        unmet=unmet,
    )


def _worth_more(name: str, accuracy: Mapping[str, Sequence[float]], seeds: tuple[str, ...], unmet: str) -> Claim:
    return Claim(
        id=f"{IDEA}.control-{name}",
        idea=IDEA,
        kind="control",
        statement=f"Clusters of the coarse network's features are worth more than clusters of {CONTROLS[name]}, by the "
        "reducer that serves these best.",
        criterion=Criterion(
            "test accuracy of the linear layer on recovered labels less that on the control's, paired (fraction)",
            at_least=CONTROL_FROM,
            origin="ours: a percentage point",
        ),
        values=tuple(differences(accuracy["coarse"], accuracy[name])),
        seeds=seeds,
        source=YANG,
        unmet=unmet,
    )
