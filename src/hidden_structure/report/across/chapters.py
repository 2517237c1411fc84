"""The two chapters across studies, of what their tables hold."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report.across import barriers, figures, structure
from hidden_structure.report.across.barriers import Line
from hidden_structure.report.across.structure import ENDED, FOLLOWED, RECIPE, Network, of_kind
from hidden_structure.report.chapter import Chapter, Numbers, Picture, Tables
from hidden_structure.report.claim import Claim
from hidden_structure.report.collapse.chapter import with_error
from hidden_structure.report.connectivity.claims import STABLE_AT_MOST
from hidden_structure.report.findings import in_order, interval_of, signed
from hidden_structure.report.linearity.claims import BENT_AT_MOST
from hidden_structure.report.recovery.controls import BY
from hidden_structure.report.recovery.outlasting import before_collapse, best_place
from hidden_structure.report.statistics import rounded

Kept = Sequence[tuple[Study, Tables]]


def chapters(kept: Kept) -> tuple[list[Chapter], list[str]]:
    """Those of which some study has the tables, and sentences on studies that have not; kept: the studies in order."""
    made = _structure(kept), _barriers(kept)
    return [chapter for chapter, _ in made if chapter], [sentence for _, left_out in made for sentence in left_out]


def _structure(kept: Kept) -> tuple[Chapter | None, list[str]]:
    networks = [network for study, tables in kept for network in structure.networks(study, tables)]
    names = list(dict.fromkeys(network.study for network in networks))
    without = _without([study.study for study, _ in kept], names, "recovered classes", "structure against collapse")
    if not networks:
        return None, without
    own = {study.study: structure.outlasting(study, tables) for study, tables in kept if study.study in names}
    bests = {name: best for name, (claim, best) in own.items() if claim and best}
    own = {name: claim for name, (claim, _) in own.items() if claim}
    whole = structure.overall(own)
    if unfollowed := [name for name in names if name not in own]:
        without.append(
            f"{_listed(unfollowed)}: the coarse networks were not followed through training, so that the figure shows "
            "them at its end alone and no verdict counts them."
        )
    asked = list(dict.fromkeys(_studies(whole)))
    of_asked = {name: bests[name] for name in asked if name in bests}
    word, speaks = structure.word(whole, of_asked.values())
    where = f"in {asked[0]} alone, whose report judges it" if len(asked) == 1 else "over all studies"
    verdict = f"Structure inside super-classes, {where}: {word}, which speaks for {speaks}"
    if whole.values:
        change = f"{signed(whole.measured, 3)}{interval_of(whole, 1, 3)}"
        size = f"{len(whole.values)} networks of" if len(asked) == 1 else "the means of"
        ways = list(dict.fromkeys(study.cluster.followed for study, _ in kept if study.study in asked))
        by = _listed([BY[way] for way in ways])
        followed = [network for network in of_kind(networks, FOLLOWED) if network.study in asked]
        verdict += f". From the last kept epoch before collapse ({_before(followed)}) to the end the agreement above"
        verdict += " chance of labels"
        verdict += f" recovered {by} changes by"
        verdict += f" {change}, over {size} {_listed(asked)}"
        for name, best in of_asked.items():
            verdict += f", from its best epoch in {name} by {signed(best.measured, 3)}{interval_of(best, 1, 3)}"
        if others := _ends([network for network in networks if network.study in asked], ways):
            verdict += f"; what was not followed ends at {others}"
    return Chapter(
        idea=structure.IDEA,
        title="Structure against collapse",
        question="Coarse networks are trained until their super-classes collapse. Are the merged classes still there "
        f"({structure.YANG}), or were they there for a while ({structure.RIVAL})?",
        findings=[*in_order([(whole, verdict)]), *_apart(networks), *_grids(networks)],
        claims=[] if len(asked) == 1 else [whole],  # no claim twice
        pictures=[_structure_picture(networks)],
        numbers=[_verdicts(networks, own, bests)],
    ), without


def _before(followed: Sequence[Network]) -> str:
    """How far each study's networks had collapsed at the last kept epoch before they count as collapsed."""
    said = []
    for name, own in _by_study(iter(followed)).items():
        place = before_collapse([{"nc1": network.nc1} for network in own])
        said.append(f"{name}: NC1 {with_error([network.nc1[place] for network in own])}")
    return "; ".join(said)


def _apart(networks: Sequence[Network]) -> Iterator[str]:
    """Of each study that was followed, how the hidden classes separate while its super-classes collapse."""
    for name, own in _by_study(of_kind(networks, FOLLOWED)).items():
        before = before_collapse([{"nc1": network.nc1} for network in own])
        places = {0, best_place([{"apart": network.apart} for network in own], "apart"), len(own[0].nc1) - 1}
        places = sorted(places | ({before} if before is not None else set()))  # with what rises first, and falls
        nc1 = [with_error([network.nc1[place] for network in own]) for place in places]
        apart = [with_error([network.apart[place] for network in own]) for place in places]
        yield (
            f"{name}: while NC1 goes from {' to '.join(nc1)}, the share of the variance inside super-classes that lies "
            f"between the hidden classes goes from {' to '.join(apart)}."
        )


def _grids(networks: Sequence[Network]) -> Iterator[str]:
    for name, own in _by_study(of_kind(networks, RECIPE)).items():
        most = min(own, key=lambda network: network.nc1)
        others = [values[-1] for network in own if network is not most for values in network.found.values()]
        ((found,),) = most.found.values()
        span = (
            f"{min(others):.3f} to {max(others):.3f}" if len(set(others)) > 1 else f"{others[0]:.3f}" if others else ""
        )
        rest = f", the other {len(others)} {span}" if len(others) > 1 else f", the other one {span}" if others else ""
        yield (
            f"{name}: of its grid of recipes the most collapsed network ({most.name}; NC1 {most.nc1[-1]:.3g}) ends "
            f"with an agreement above chance of {found:.3f}{rest}; a linear layer with true labels reads "
            f"{most.read[-1]:.3f} of what is above a guess in it."
        )


def _structure_picture(networks: Sequence[Network]) -> Picture:
    return Picture(
        "structure",
        "Structure against collapse, all studies on one axis",
        "To the right super-classes are more collapsed. Left: how many training samples get their original label back "
        "from clusters inside each super-class, from 0 for shuffled labels to 1 for all. Middle: test accuracy on the "
        "original classes of a linear layer with true labels, from 0 for a guess inside the super-class to 1. Right: "
        "share of the variance inside super-classes that lies between their classes. If structure stays, lines run "
        "level to the right; if it is transient, they fall there.",
        "A line is a network over the epochs that were kept, a large mark its end, a small one the end of a network of "
        "a grid of recipes. Networks that were not followed have their end alone. NC1 is of super-classes over the "
        "training set. On the right is no mark where a study's tables hold no such share of a single network.",
        lambda: figures.structure(networks),
    )


def _verdicts(networks: Sequence[Network], own: Mapping[str, Claim], bests: Mapping[str, Claim]) -> Numbers:
    rows = []
    for name, mine in _by_study(of_kind(networks, FOLLOWED, ENDED)).items():
        claim = own.get(name)
        nc1, read = (with_error([getattr(network, column)[-1] for network in mine]) for column in ("nc1", "read"))
        change = f"{signed(claim.measured, 3)}{interval_of(claim, 1, 3)}" if claim and claim.values else None
        best = bests.get(name)
        word, speaks = structure.word(claim, [best] if best else [])
        since = f"{signed(best.measured, 3)}{interval_of(best, 1, 3)}" if best and best.values else None
        why = claim.judge()[1] if claim else "not followed"
        said = word + (f": {why}" if why else "")
        rows.append((name, len(mine), nc1, _ends(mine), read, change, since, said, speaks))
    return Numbers(
        "structure",
        "Study by study",
        "At the end of training: NC1 of super-classes, agreement of clusters with the original labels above chance, "
        "and accuracy of a linear layer on true labels above a guess, means over networks with standard errors. The "
        "changes are those of the agreement from the last kept epoch before collapse, and from its best one, to the "
        "end, judged in each study's report.",
        ("study", "networks", "NC1", "agreement", "linear layer", "change", "from best", "structure", "speaks for"),
        rows,
    )


def _ends(networks: Sequence[Network], but: Collection[str] = ()) -> str:
    """What each way of clustering, but those, finds at the end of training."""
    ways = dict.fromkeys(how for network in networks for how in network.found if how not in but)
    found = {how: [network.found[how][-1] for network in networks if how in network.found] for how in ways}
    return ", ".join(
        f"{with_error(values)} ({figures.REDUCER[how].rpartition(' ')[2]})" for how, values in found.items()
    )


def _barriers(kept: Kept) -> tuple[Chapter | None, list[str]]:
    own: list[Line] = []
    unmet = {}
    for study, tables in kept:
        if found := barriers.lines(study, tables):
            own += found
            unmet[study.study] = barriers.learnt(study, tables)
    names = [study.study for study, _ in kept]
    without = _without(names, list(unmet), "lines between networks and the features along them", "barriers")
    if not own:
        return None, without
    claims = list(barriers.claims(own, unmet))
    return Chapter(
        idea=barriers.IDEA,
        title="Barriers against linear features",
        question="Is the line between two networks free of a barrier just where their features, layer by layer, change "
        "linearly along it (LLFC)?",
        findings=[*in_order(_correlations(claims)), _within_kinds(own), _sorted_alike(own)],
        claims=claims,
        pictures=[_barriers_picture(own)],
        numbers=[_ranks(own)],
    ), without


def _correlations(claims: Sequence[Claim]) -> Iterator[tuple[Claim, str]]:
    for claim in claims:
        where = claim.statement.partition(",")[0]
        if claim.values:
            lines = "matched lines" if claim.id.endswith(".matched") else "all lines"
            groups = (
                f"{len(claim.values)} replications that share no line" if len(claim.values) > 1 else "1 replication"
            )
            ends = claim.row()["interval"] or ()
            span = ", 95 % interval {} to {}".format(*(signed(math.tanh(end)) for end in ends)) if ends else ""
            yield (
                claim,
                f"{where} the rank correlation of barrier with bend over {lines} of the same seeds is "
                f"{signed(math.tanh(claim.measured))}{span}, over {groups} (means and intervals by Fisher's z)",
            )


def _within_kinds(own: Sequence[Line]) -> str:
    """For a correlation over kinds, too, may be nothing but the difference between these."""
    found = {kind: barriers.within(lines) for kind, lines in barriers.grouped(own, lambda line: line.kind).items()}
    said = [f"{'not known' if rho is None else signed(rho)} ({kind})" for kind, rho in found.items()]
    return (
        "Among lines of one kind, study, width, weight decay, recipe and repair the rank correlation is on average "
        f"{_listed(said)}."
    )


def _sorted_alike(own: Sequence[Line]) -> str:
    return (
        f"Of {len(own)} lines {sum(line.alike for line in own)} are on the same side by both: a barrier of at most "
        f"{STABLE_AT_MOST:g} with features that bend by at most {BENT_AT_MOST:g}, or more of both."
    )


def _barriers_picture(own: Sequence[Line]) -> Picture:
    return Picture(
        "barriers",
        "Barrier and linearity of every line",
        "A mark is a line between two networks, a panel a study: to the right its error rises more (a fraction), "
        "upwards the features of the merged network are farther from interpolated ones, at the layer where they are "
        "farthest. Where linear features and connected networks come together, marks lie along a rising curve, to the "
        "lower left and the upper right of the dotted lines.",
        "Barrier: how far test error on the line rises above the straight line between its ends. Bend: 1 - cos of "
        "merged with interpolated features over 1 - cos of the two ends', the largest over layers and alphas. All "
        "widths, weight decays and methods. Dotted: Frankle et al.'s line between stable and not, and features a "
        "fifth as far off as the ends from each other. The horizontal axis is linear below "
        f"{STABLE_AT_MOST / 4:g}.",
        lambda: figures.barriers(own),
    )


def _ranks(own: Sequence[Line]) -> Numbers:
    groups = {"all": list(own)} | barriers.grouped(own, lambda line: line.study)
    groups |= barriers.grouped(own, lambda line: line.kind)
    groups |= barriers.grouped(own, lambda line: "with REPAIR" if line.repaired else "as merged")
    rows = []
    for name, lines in groups.items():
        rho = barriers.within(lines)
        units = len({line.unit for line in lines})
        rows.append((name, len(lines), units, rho and rounded(rho), sum(line.alike for line in lines) / len(lines)))
    return Numbers(
        "barriers",
        "Rank correlation of barrier with bend",
        "Spearman's, over lines of one study, width, weight decay, recipe and repair, means of these. Groups are of "
        "networks that share no line with those of another; those of the same seeds at all widths, decays and recipes "
        "are one replication of a study. Alike: share of lines that are on the same side by barrier and by bend.",
        ("lines", "number", "groups of networks", "rank correlation", "alike"),
        rows,
    )


def _without(names: Sequence[str], having: Sequence[str], what: str, where: str) -> list[str]:
    lacking = [name for name in names if name not in having]
    return [f"{_listed(lacking)}: no table of {what}, so not part of {where}."] if lacking else []


def _studies(claim: Claim) -> Iterator[str]:
    """Of each replication."""
    return (name.partition("/")[0] for name in claim.seeds)


def _by_study(networks: Iterator[Network]) -> dict[str, list[Network]]:
    found: dict[str, list[Network]] = {}
    for network in networks:
        found.setdefault(network.study, []).append(network)
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if names[1:] else "") + names[-1]
