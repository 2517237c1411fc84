"""Whether what a network on coarse labels holds of the merged classes outlasts its collapse.

Asked of clusters and of a linear layer: from the epoch at which each is at its best, and from the last one before the
networks have collapsed, for what is lost before is not lost to it.
"""

from collections.abc import Iterator, Mapping, Sequence

from hidden_structure.report.claim import Claim, Criterion
from hidden_structure.report.collapse import claims as collapse
from hidden_structure.report.collapse.chapter import with_error
from hidden_structure.report.controls import fulfilling, unless_control
from hidden_structure.report.recovery.controls import BY, IDEA, YANG
from hidden_structure.report.statistics import differences, mean

COLLAPSED_FROM = collapse.BOUNDS["nc1"][0]
LOST = {"agreement": 0.05, "labels": 0.02}  # of the way from chance to 1; in accuracy
FOUND_FROM = 0.1  # of the way from chance to 1, and from untrained networks': what was never found is not kept either
SAID = {
    "agreement": "Agreement of clusters with the original labels",
    "labels": "Test accuracy of a linear layer on true labels",
}


def outlasting(training: Sequence[Mapping], following: Sequence[Mapping], level: float, unmet: str) -> Iterator[Claim]:
    """Of what is found and of what is read, from its best and from before collapse on. Nothing where the networks were
    not followed."""
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
        start = before_collapse(following)
        if start is None or start != best_place(following, name):  # no test twice
            yield _kept(name, following, f"What {statement} outlasts collapse.", words, values, unmet, controls)
        words = f"{quantity}, at the end less at the last kept epoch of an NC1 above {COLLAPSED_FROM:g}{unit}"
        what = f"What {statement} stays while they collapse."
        if start is None:
            failed = unmet or "no kept epoch but the untrained one lies before their collapse"
            yield _kept(f"{name}.collapsing", following, what, words, [], failed, {})
            continue
        since = [row[name][start] for row in following]
        untrained = differences([row[name][0] for row in following], since)
        controls = {"the untrained networks": [scale * change for change in untrained]}
        failed = unmet or _lapsed(training)
        if name == "agreement" and found[start] - max(found[0], 0.0) < FOUND_FROM:
            failed = failed or "before the networks collapsed clusters found hardly more than in untrained ones"
        values = [scale * change for change in differences(end, since)]
        yield _kept(f"{name}.collapsing", following, what, words, values, failed, controls)


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
    lost = LOST[name.removesuffix(".collapsing")]
    criterion = Criterion(quantity, at_least=-lost, origin="ours: hardly less; the source gives no curve")
    return Claim(
        id=f"{IDEA}.outlasting-{name}",
        idea=IDEA,
        kind="ours",
        statement=statement,
        criterion=criterion,
        values=tuple(values),
        seeds=tuple(str(row["seed"]) for row in following) if values else (),
        source=YANG,
        unmet=unmet or unless_control(criterion, values, controls),
        passing=fulfilling(criterion, controls),
    )


def best_and_end(following: Sequence[Mapping], name: str, of: str | None = None) -> tuple[list[float], list[float]]:
    """A quantity of each network, at the epoch at which the mean over networks (of another one) is highest, and last.

    One epoch for all, so that it is no maximum over noise of each.
    """
    best = best_place(following, of or name)
    return [row[name][best] for row in following], [row[name][-1] for row in following]


def best_place(following: Sequence[Mapping], name: str) -> int:
    means = [mean(values) for values in zip(*(row[name] for row in following), strict=True)]
    return means.index(max(means))


def before_collapse(following: Sequence[Mapping]) -> int | None:
    """The place among the epochs that were followed of the last at which the networks, on average, had not collapsed;
    None where they had not at the end, or all the time but before training."""
    means = [mean(values) for values in zip(*(row["nc1"] for row in following), strict=True)]
    before = [place for place, nc1 in enumerate(means) if place and nc1 > COLLAPSED_FROM]
    return before[-1] if before and before[-1] < len(means) - 1 else None


def sentences(claim: Mapping[str, Claim], following: Sequence[Mapping]) -> Iterator[tuple[Claim, str]]:
    """What became of it from the epoch at which it was the highest, and from before collapse, to the end; claim: by its
    id within the idea."""
    start = before_collapse(following) if following else None
    for name, said in SAID.items():
        if own := claim.get(f"outlasting-{name}"):
            best, end = (with_error(values) for values in best_and_end(following, name))
            first, last = (with_error(values) for values in best_and_end(following, "nc1", name))
            yield (
                own,
                f"{said} is {best} at its best epoch, where NC1 is {first}, and {end} at the end, where it is {last}",
            )
        if start is not None and (own := claim.get(f"outlasting-{name}.collapsing")):
            since, nc1 = (with_error([row[column][start] for row in following]) for column in (name, "nc1"))
            yield own, f"{said} was {since} when the networks had not yet collapsed, at an NC1 of {nc1}"
