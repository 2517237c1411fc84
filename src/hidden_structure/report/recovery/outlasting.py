"""Whether what a network on coarse labels holds of the merged classes outlasts its collapse.

Asked of clusters and of a linear layer: from the epoch at which each is at its best, and from zero training error on,
where collapse begins, for what is lost before is not lost to it.
"""

from collections.abc import Iterator, Mapping, Sequence

from hidden_structure.report.claim import Claim, Criterion
from hidden_structure.report.collapse import claims as collapse
from hidden_structure.report.collapse.chapter import with_error
from hidden_structure.report.controls import fulfilling, unless_control
from hidden_structure.report.recovery.controls import BY, IDEA, YANG
from hidden_structure.report.statistics import differences, mean

LOST = {"agreement": 0.05, "labels": 0.02}  # of the way from chance to 1; in accuracy
FOUND_FROM = 0.1  # of the way from chance to 1: what was never found is not kept either
SAID = {
    "agreement": "Agreement of clusters with the original labels",
    "labels": "Test accuracy of a linear layer on true labels",
}


def outlasting(training: Sequence[Mapping], following: Sequence[Mapping], level: float, unmet: str) -> Iterator[Claim]:
    """Of what is found and of what is read, from its best and from zero training error on. Nothing where the networks
    were not followed."""
    if not following or level == 1:
        return
    found = [
        (mean(values) - level) / (1 - level) for values in zip(*(row["agreement"] for row in following), strict=True)
    ]
    if max(found) < FOUND_FROM:
        unmet = unmet or "clusters found hardly more than chance at any epoch"
    claims = {
        "agreement": (
            "clusters of the coarse network's features find of the merged classes",
            f"agreement of labels recovered {BY[following[0]['reducer']]} with the original ones over the training set"
            ", from that of shuffled labels (0) to all (1)",
            "",
            1 / (1 - level),
        ),
        "labels": (
            "a linear layer with true labels reads of the merged classes in the coarse network's features",
            "test accuracy of a linear layer on true labels",
            " (fraction)",
            1.0,
        ),
    }
    for name, (statement, quantity, unit, scale) in claims.items():
        best, end = best_and_end(following, name)
        untrained = differences([row[name][0] for row in following], best)
        words = f"{quantity}, at the end less at the epoch of the highest mean over networks{unit}"
        controls = {"the untrained networks": [scale * change for change in untrained]}
        values = [scale * change for change in differences(end, best)]
        yield _kept(name, following, f"What {statement} outlasts collapse.", words, values, unmet, controls)
        if (start := fitted(training, following)) is not None:
            since = [row[name][start] for row in following]
            words = f"{quantity}, at the end less at the first kept epoch of training error 0.1 % or less{unit}"
            values = [scale * change for change in differences(end, since)]
            what = f"What {statement} stays while they collapse, from when the training set is fitted on."
            untrained = differences([row[name][0] for row in following], since)
            controls = {"the untrained networks": [scale * change for change in untrained]}
            failed = unmet or _lapsed(training)
            if name == "agreement" and found[start] < FOUND_FROM:
                failed = failed or "clusters found hardly more than chance when training error had all but reached 0"
            yield _kept(f"{name}.fitted", following, what, words, values, failed, controls)


def _lapsed(training: Sequence[Mapping]) -> str:
    networks = collapse.of(training, "coarse")
    lapses = sum(collapse.lapse(row) is not None for row in networks)
    return f"{lapses} of {len(networks)} networks lost their training set again on the way" if lapses else ""


def _kept(
    name: str,
    following: Sequence[Mapping],
    statement: str,
    quantity: str,
    values: Sequence[float],
    unmet: str,
    controls: Mapping[str, Sequence[float]],
) -> Claim:
    lost = LOST[name.removesuffix(".fitted")]
    criterion = Criterion(quantity, at_least=-lost, origin="ours: hardly less; the source gives no curve")
    return Claim(
        id=f"{IDEA}.outlasting-{name}",
        idea=IDEA,
        kind="ours",
        statement=statement,
        criterion=criterion,
        values=tuple(values),
        seeds=tuple(str(row["seed"]) for row in following),
        source=YANG,
        unmet=unmet or unless_control(criterion, values, controls),
        passing=fulfilling(criterion, controls),
    )


def best_and_end(following: Sequence[Mapping], name: str, of: str | None = None) -> tuple[list[float], list[float]]:
    """A quantity of each network, at the epoch at which the mean over networks (of another one) is highest, and last.

    One epoch for all, so that it is no maximum over noise of each.
    """
    means = [mean(values) for values in zip(*(row[of or name] for row in following), strict=True)]
    best = means.index(max(means))
    return [row[name][best] for row in following], [row[name][-1] for row in following]


def fitted(training: Sequence[Mapping], following: Sequence[Mapping]) -> int | None:
    """The place among the epochs that were followed of the first, before the last, at which the coarse networks fit
    their training set, on average; None where there is none."""
    curves = {
        row["seed"]: dict(zip(row["epochs"], row["train"]["accuracy"], strict=True))
        for row in training
        if row["supervision"] == "coarse"
    }
    for place, epoch in enumerate(following[0]["epochs"][:-1] if following else ()):
        if epoch and mean([curves[row["seed"]][epoch] for row in following]) >= collapse.FITTED_FROM:
            return place
    return None


def sentences(
    claim: Mapping[str, Claim], training: Sequence[Mapping], following: Sequence[Mapping]
) -> Iterator[tuple[Claim, str]]:
    """What became of it from the epoch at which it was the highest, and from zero training error, to the end; claim:
    by its id within the idea."""
    start = fitted(training, following)
    for name, said in SAID.items():
        if own := claim.get(f"outlasting-{name}"):
            best, end = (with_error(values) for values in best_and_end(following, name))
            first, last = (with_error(values) for values in best_and_end(following, "nc1", name))
            yield (
                own,
                f"{said} is {best} at its best epoch, where NC1 is {first}, and {end} at the end, where it is {last}",
            )
        if own := claim.get(f"outlasting-{name}.fitted"):
            since, nc1 = (with_error([row[column][start] for row in following]) for column in (name, "nc1"))
            yield own, f"{said} was {since} when the networks had just fitted their training set, at an NC1 of {nc1}"
