"""The claims on layerwise linear feature connectivity (LLFC), its conditions, and stitching.

LLFC is judged against the same pair's ends, at the layer where it fails most: a median layer hides where it fails, and
what is small for one pair is large for another. That layer is mostly the last: logits of two good networks hardly
differ, so that little is much of it. Hidden layers are therefore judged by themselves as well.
"""

from collections.abc import Mapping
from dataclasses import replace

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Tables
from hidden_structure.report.claim import Claim, Criterion, Published, unless
from hidden_structure.report.connectivity import lines
from hidden_structure.report.connectivity.claims import (
    FRANKLES_LINE,
    STABLE_AT_MOST,
    as_early,
    has_learnt,
    has_onset,
    is_easy,
    moment,
)
from hidden_structure.report.connectivity.lines import REPAIRED, UNALIGNED, Rows
from hidden_structure.report.controls import fulfilling, unless_control
from hidden_structure.report.linearity import laws
from hidden_structure.report.linearity.laws import BENT_AT_MOST
from hidden_structure.report.statistics import finite, mean

IDEA = "linearity"
ZHOU = "Zhou, Yang, Yang, Yan, Hu 2023"

FLOOR = 1e-6  # 1 - cos of float32 features is known to about 1e-7
A_FIFTH = "ours: a fifth of how far the ends are apart"
APART, AS_FAR = 1.0, "ours: as far as the ends are apart"  # of networks whose features have nothing linear in common
COMMUTES_AT_MOST = 0.5
STITCHES = "what the source's ResNet-20 loses, rounded up"
STITCHED_AT_MOST = 0.05  # as much of the test set as the authors' ResNet-20 loses at its worst cut, rounded up

BEND = "1 - cos of merged with interpolated features over 1 - cos of the ends' features, at the worst layer and alpha"
HIDDEN = (
    "1 - cos of merged with interpolated features over 1 - cos of the ends' features, at the worst layer before the "
    "last, halfway"
)
COMMUTATION = "distance between the sides of commutativity over the smaller of its factors', at the worst layer"
UNION = "test error of the merged network less the share of images on which an end errs, at the worst alpha"
STITCHED = "test error of stitched networks less that of the worse end, at the worst cut"

# Test error of the worse end, and at the worst cut, of two stitched networks that share their first epochs.
PUBLISHED = {("cifar10", "resnet", 20, 16, "batch"): (0.0869, 0.1335)}


def claims(study: Study, tables: Tables) -> list[Claim]:
    """Spawned pairs are those of the last k, as merged; independent ones are judged with REPAIR where networks have
    BatchNorm. What rests on mode connectivity is posed where that holds."""
    every = [row | {"hidden": hidden(row)} for row in lines.plain(study, tables("features"))]
    stitched = lines.plain(study, tables("stitching"))
    walked, repaired, last = (
        lines.plain(study, tables("lines")),
        lines.repairs(study),
        lines.moments(tables("forks"))[-1],
    )
    merged = lines.of_repair(every, False)
    parted, k = f"two networks that part after {moment(last)}", last["k"]
    kind = "published" if is_easy(study) or as_early(last) else "ours"
    learnt = has_learnt(study, tables)
    joined = _connected("parted", parted, lines.spawned(lines.of_repair(walked, False), k), unless(learnt))

    own, cut = lines.spawned(merged, k), lines.spawned(stitched, k)
    bare, bare_cut = lines.independent(merged, UNALIGNED), lines.independent(stitched, UNALIGNED)
    bent = Criterion(BEND, at_most=BENT_AT_MOST, origin=A_FIFTH)
    commutes = Criterion(COMMUTATION, at_most=COMMUTES_AT_MOST, origin="ours: half")
    bending = [row for row in merged if row["method"] != UNALIGNED and row["bend"] > BENT_AT_MOST]
    near = {"pairs whose features are not linear": commutations(bending)}
    stitches = Criterion(STITCHED, at_most=STITCHED_AT_MOST, origin=STITCHES)
    return [
        joined,
        _claim("parted", kind, f"LLFC holds between {parted}.", bent, own, "bend", unless(joined)),
        _hidden("parted", parted, own, bare, unless(joined)),
        *_at_the_onset(study, tables, walked, merged, unless(learnt)),
        *_controls(every, repaired, unless(learnt)),
        *_matched(every, walked, stitched, repaired, unless(learnt)),
        _claim(
            id="commutes",
            kind=kind,
            statement=f"Layers commute between {parted}: which network's weights read which network's features makes "
            "little difference.",
            criterion=commutes,
            rows=own,
            column="commutation",
            unmet=unless(joined) or unless_control(commutes, commutations(own), near),
        ),
        _claim(
            id="commutes.control",
            kind="control",
            statement="Layers do not commute between independent networks that are not aligned.",
            criterion=Criterion(COMMUTATION, at_least=COMMUTES_AT_MOST, origin="ours: half"),
            rows=bare,
            column="commutation",
            unmet=unless(learnt),
        ),
        _claim(
            id="union",
            kind=kind,
            statement=f"Networks on the line between {parted} err no more often than the two ends together.",
            criterion=Criterion(UNION, at_most=0.0, origin="the union bound, which LLFC at the output gives"),
            rows=own,
            column="union",
            unmet=unless(joined),
        ),
        _claim(
            id="union.control",
            kind="control",
            statement="Networks on the line between independent ones that are not aligned err more often than the two "
            "ends together.",
            criterion=Criterion(UNION, at_least=STABLE_AT_MOST, origin=FRANKLES_LINE),
            rows=bare,
            column="union",
            unmet=unless(learnt),
        ),
        _claim(
            id="stitched",
            kind=kind,
            statement=f"Stitching {parted} costs little.",
            criterion=stitches,
            rows=cut,
            column="excess",
            unmet=unless(joined),
            published=_published(study),
        ),
        _claim(
            id="stitched.control",
            kind="control",
            statement="Stitching independent networks that are not aligned costs more.",
            criterion=Criterion(STITCHED, at_least=STITCHED_AT_MOST, origin=stitches.origin),
            rows=bare_cut,
            column="excess",
            unmet=unless(learnt),
        ),
        *laws.claims(IDEA, study, every, own, parted, unless(learnt)),
    ]


def _at_the_onset(study: Study, tables: Tables, walked: Rows, merged: Rows, unmet: str) -> list[Claim]:
    """LLFC where it could fail: of networks that part at the first k of those after which all stay in one basin, on
    average. At the last k, or where any line is straight, that says nothing new."""
    moments, bare = lines.moments(tables("forks")), lines.of_repair(walked, False)
    heights = [lines.heights(lines.spawned(bare, one["k"]), "instability") for one in moments]
    stable = 0
    while stable < len(moments) and not mean(heights[-1 - stable]) > STABLE_AT_MOST:
        stable += 1
    if not has_onset(study) or stable < 2:
        return []
    first = moments[-stable]
    who = f"two networks that part after {moment(first)}, the first k measured from which on they stay in one basin"
    joined = _connected("onset", who, lines.spawned(bare, first["k"]), unmet)
    bent = Criterion(BEND, at_most=BENT_AT_MOST, origin=A_FIFTH)
    own = lines.spawned(merged, first["k"])
    kind = "published" if is_easy(study) or as_early(first) else "ours"
    return [
        joined,
        _claim("onset", kind, f"LLFC holds between {who}.", bent, own, "bend", unless(joined)),
        _hidden("onset", who, own, lines.independent(merged, UNALIGNED), unless(joined)),
    ]


def _matched(every: Rows, walked: Rows, stitched: Rows, repaired: bool, unmet: str) -> list[Claim]:
    """LLFC after matching and what follows from it, method by method, and what all of it rests on."""
    found = []
    bare = lines.independent(lines.of_repair(every, repaired), UNALIGNED)
    for method, label in lines.methods(every).items():
        if method == UNALIGNED:
            continue
        who = f"independent networks aligned by {label}"
        own, line = (lines.independent(lines.of_repair(rows, repaired), method) for rows in (every, walked))
        joined = _connected(method, who, line, unmet)
        criterion = Criterion(BEND, at_most=BENT_AT_MOST, origin=A_FIFTH)
        statement = f"LLFC holds between {who}, {REPAIRED[repaired]}."
        found += [joined, _claim(f"matched.{method}", "published", statement, criterion, own, "bend", unless(joined))]
        found.append(_hidden(f"matched.{method}", f"{who}, {REPAIRED[repaired]}", own, bare, unless(joined)))
        found += _following(method, who, own, lines.independent(stitched, method), repaired, unless(joined))
    return found


def _hidden(name: str, who: str, own: Rows, bare: Rows, unmet: str) -> Claim:
    """LLFC of all layers but the last, which says nothing where networks that are not aligned have it as well."""
    criterion = Criterion(HIDDEN, at_most=BENT_AT_MOST, origin=A_FIFTH)
    found = _claim(
        f"{name}.hidden", "ours", f"LLFC holds at the hidden layers between {who}.", criterion, own, "hidden", unmet
    )
    controls = {"networks that are not aligned": [row["hidden"] for row in bare if row["hidden"] is not None]}
    unmet = unmet or unless_control(criterion, found.values, controls)
    return replace(found, unmet=unmet, passing=fulfilling(criterion, controls))


def hidden(row: Mapping) -> float | None:
    """As `bend`, at alpha 1/2 and of the layers before the last; None where there is none."""
    layers = row["layers"]
    pairs = list(zip(layers["dissimilarity"], layers["ends"], strict=True))[:-1]
    return max((merged / max(ends, FLOOR) for merged, ends in pairs), default=None)


def _following(method: str, who: str, own: Rows, cuts: Rows, repaired: bool, unmet: str) -> list[Claim]:
    """The union bound, and stitching, of pairs aligned by that method."""
    bound = Criterion(UNION, at_most=0.0, origin="the union bound, which LLFC at the output gives")
    statement = (
        f"Networks on the line between {who} err no more often than the two ends together, {REPAIRED[repaired]}."
    )
    stitches = Criterion(STITCHED, at_most=STITCHED_AT_MOST, origin=STITCHES)
    return [
        _claim(f"union.matched.{method}", "ours", statement, bound, own, "union", unmet),
        _claim(f"stitched.matched.{method}", "ours", f"Stitching {who} costs little.", stitches, cuts, "excess", unmet),
    ]


def _controls(every: Rows, repaired: bool, unmet: str) -> list[Claim]:
    found = []
    for on in dict.fromkeys((False, repaired)):
        own = lines.independent(lines.of_repair(every, on), UNALIGNED)
        criterion = Criterion(BEND, at_least=APART, origin=AS_FAR)
        statement = (
            "Between independent networks that are not aligned merged features are as far from interpolated ones as "
            f"the ends' are from each other, {REPAIRED[on]}."
        )
        found.append(
            _claim("control.repaired" if on else "control", "control", statement, criterion, own, "bend", unmet)
        )
    return found


def _connected(name: str, who: str, own: Rows, unmet: str) -> Claim:
    criterion = Criterion("instability in test error", at_most=STABLE_AT_MOST, origin=FRANKLES_LINE)
    return Claim(
        id=f"{IDEA}.connected.{name}",
        idea=IDEA,
        kind="precondition",
        statement=f"The line between {who} has no barrier.",
        criterion=criterion,
        values=lines.heights(own, "instability"),
        seeds=lines.names(own),
        unmet=unmet,
    )


def commutations(rows: Rows) -> list[float]:
    """Of the pairs that have one: networks that lie near one another in any direction have a small one."""
    return [row["commutation"] for row in rows if row["commutation"] is not None]


def _claim(
    id: str,
    kind: str,
    statement: str,
    criterion: Criterion,
    rows: Rows,
    column: str,
    unmet: str,
    published: Published | None = None,
) -> Claim:
    rows = [row for row in rows if row[column] is not None]  # where all ends are alike nothing can fail to commute
    values = tuple(finite(row[column], f"{column} of {row['pair']}") for row in rows)
    return Claim(f"{IDEA}.{id}", IDEA, kind, statement, criterion, values, lines.names(rows), ZHOU, published, unmet)


def _published(study: Study) -> Published | None:
    network = study.spawn.network
    found = PUBLISHED.get((study.data.source, network.name, network.depth, network.width, network.norm))
    return found and Published(
        found[1] - found[0], "ResNet-20, CIFAR-10, 160 epochs, parted after 5; its ends err on 8.69 %"
    )
