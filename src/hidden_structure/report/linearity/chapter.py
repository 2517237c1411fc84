"""The chapter on layerwise linear feature connectivity: whether features add up where weights do, and why."""

from collections.abc import Iterator, Mapping

from hidden_structure.frame.params import Study
from hidden_structure.report import statistics
from hidden_structure.report.chapter import Chapter, Numbers, Tables
from hidden_structure.report.connectivity import lines
from hidden_structure.report.connectivity.chapter import percent
from hidden_structure.report.connectivity.claims import STABLE_AT_MOST, moment
from hidden_structure.report.connectivity.lines import REPAIRED, UNALIGNED, Rows
from hidden_structure.report.findings import in_order
from hidden_structure.report.linearity import claims, given, laws, laws_figures
from hidden_structure.report.linearity.figures import pictures

QUESTION = (
    "Halfway between two networks in one basin, are the features of every layer the mean of the two networks' own "
    "(layerwise linear feature connectivity, LLFC)? Is it because activations are nearly additive and layers commute, "
    "and do the lower layers of one network then serve the upper layers of the other?"
)
FACTORS = ("additivity", "commutativity", "weights", "inputs")


def chapter(study: Study, tables: Tables) -> Chapter | None:
    """From the tables of tables/linearity.py and the lines; None where the study leaves connectivity out."""
    if study.spawn is None:
        return None
    if study.spawn.checkpoints:
        return given.chapter(study, tables)
    features, stitched, walked = (lines.dated(tables(of), tables("forks")) for of in ("features", "stitching", "lines"))
    return Chapter(
        idea=claims.IDEA,
        title="Layerwise linear feature connectivity",
        question=QUESTION,
        findings=_findings(study, tables),
        claims=claims.claims(study, tables),
        pictures=pictures(study, features, tables("layers"), stitched, walked)
        + laws_figures.pictures(study, features, tables("layers")),
        numbers=[
            _conditions(study, features),
            *laws.numbers(lines.plain(study, features)),
            _union(features, walked),
            *([_stitched(stitched)] if stitched else []),
        ],
        headline=_headline(study, features, stitched, lines.moments(tables("forks"))[-1]["k"]),
    )


def _findings(study: Study, tables: Tables) -> list[str]:
    """Of pairs on which a claim rests its verdict; what is contradicted first."""
    rows, cuts = lines.plain(study, tables("features")), lines.plain(study, tables("stitching"))
    merged, repaired = lines.of_repair(rows, False), lines.repairs(study)
    claim_of = {claim.id: claim for claim in claims.claims(study, tables)}
    judged, others = [], []
    for method, label in lines.methods(rows).items():
        found = {on: lines.independent(lines.of_repair(rows, on), method) for on in REPAIRED}
        who = f"independent networks, {label if method == UNALIGNED else f'aligned by {label}'}"
        said = _bends(who, found)
        own = [claim_of.get(f"{claims.IDEA}.matched.{method}{which}") for which in said]
        judged += [(claim, each) for claim, each in zip(own, said.values(), strict=True) if claim]
        others += [f"{each}." for claim, each in zip(own, said.values(), strict=True) if not claim]
    forks = lines.moments(tables("forks"))
    for fork in forks:
        found = {on: lines.spawned(lines.of_repair(rows, on), fork["k"]) for on in REPAIRED}
        said = _bends(f"networks that part after {moment(fork)}", found)
        if fork is forks[-1]:
            judged += [(claim_of[f"{claims.IDEA}.parted{which}"], each) for which, each in said.items()]
        else:
            others += [f"{each}." for each in said.values()]

    last = forks[-1]["k"]
    pairs = {"parted": lines.spawned(merged, last), "bare": lines.independent(merged, UNALIGNED)}
    stitched = {"parted": lines.spawned(cuts, last), "bare": lines.independent(cuts, UNALIGNED)}
    union = {who: percent([row["union"] for row in own]) for who, own in pairs.items()}
    cost = {who: percent([row["excess"] for row in own]) for who, own in stitched.items() if own}
    spread = {
        name: [_number([row["condition"][name] for row in own]) for own in pairs.values()]
        for name in pairs["parted"][0]["condition"]
    }
    distances = "; ".join(f"{name} {a} and {b}" for name, (a, b) in spread.items())
    return [
        *in_order(judged),
        *others,
        f"Stitching costs at its worst cut {cost['parted']} of the test set between networks that part after "
        f"{lines.after(last)}, {cost['bare']} between independent networks that are not aligned."
        if cost
        else f"{given.UNCUT[0].upper()}{given.UNCUT[1:]}.",
        f"At the worst alpha the merged network's test error, less the share of images on which at least one end errs, "
        f"is {union['parted']} between networks that part after {lines.after(last)} and {union['bare']} between "
        "independent ones; the union bound asks for 0 or less.",
        *_after_matching(rows, cuts, repaired),
        "Distances behind LLFC, mean over layers, of networks that part after "
        f"{lines.after(last)} and of independent networks: {distances}. How near activations are to additive tells "
        "the two apart only as far as their ends differ, so no claim rests on it.",
        _together(lines.of_recipe(tables("features")), tables("lines")),
        *laws.finding(lines.dated(rows, tables("forks"))),
    ]


def _after_matching(rows: Rows, cuts: Rows, repaired: bool) -> list[str]:
    """The same two figures of pairs that are aligned; nothing where none are."""
    said = []
    for method, label in lines.methods(rows).items():
        if method != UNALIGNED:
            own = lines.independent(lines.of_repair(rows, repaired), method)
            union = percent([row["union"] for row in own])
            cost = [row["excess"] for row in lines.independent(cuts, method)]
            said.append(f"{union}{f' and {percent(cost)}' if cost else ''} ({label})")
    what = f"that excess ({REPAIRED[repaired]}){' and the cost of stitching' if cuts else ''}"
    return [f"After matching, {what} {'are' if cuts else 'is'} {'; '.join(said)}."] if said else []


def _bends(who: str, found: Mapping[bool, Rows]) -> dict[str, str]:
    """How the names of the claims end -> what is said of each; found: by REPAIR."""
    ratios = {
        on: [statistics.finite(row["bend"], f"bend of {row['pair']}") for row in own] for on, own in found.items()
    }
    inside = {on: [claims.hidden(row) for row in own] for on, own in found.items()}
    said = {
        "": f"LLFC between {who}: at the worst layer the merged features lie {_number(ratios[False])} times as far "
        f"from the interpolated ones as the two networks' features from each other, {_number(ratios[True])} times with "
        "REPAIR"
    }
    if None not in inside[False]:
        said[".hidden"] = (
            f"LLFC at the hidden layers between {who}: before the last layer, halfway, merged features lie at most "
            f"{_number(inside[False])} times as far from the interpolated ones as the networks' from each other; "
            f"{_number(inside[True])} times with REPAIR"
        )
    return said


def _number(values: list[float]) -> str:
    error = statistics.standard_error(values)
    return f"{statistics.mean(values):.3g}" + ("" if error is None else f" ± {error:.2g}") + f" (n = {len(values)})"


def _together(features: Rows, walked: Rows) -> str:
    barriers = {_key(row): height for row, height in zip(walked, lines.heights(walked), strict=True)}
    both = [(row["bend"] > claims.BENT_AT_MOST, barriers[_key(row)]) for row in features]
    apart = [bent for bent, height in both if height > STABLE_AT_MOST]
    joined = [bent for bent, height in both if height <= STABLE_AT_MOST]
    return (
        f"That ratio does not tell mode connectivity everywhere: it is at most {claims.BENT_AT_MOST:g} on "
        f"{apart.count(False)} of {len(apart)} lines with a barrier in test error above {100 * STABLE_AT_MOST:g} %, "
        f"and above that on {joined.count(True)} of {len(joined)} without (all widths, weight decays and methods; "
        "lines share networks)."
        if False in apart or True in joined
        else f"That ratio and mode connectivity go together on all {len(both)} lines (which share networks)."
    )


def _headline(study: Study, features: Rows, stitched: Rows, last: int | str) -> dict[str, float | None]:
    rows = lines.of_repair(lines.plain(study, features), False)
    own, bare = lines.spawned(rows, last), lines.independent(rows, UNALIGNED)
    cuts = lines.spawned(lines.plain(study, stitched), last)
    return {
        "llfc_ratio_last_k": statistics.mean([row["bend"] for row in own]),
        "llfc_ratio_unaligned": statistics.mean([row["bend"] for row in bare]),
    } | ({"stitching_cost_last_k": statistics.mean([row["excess"] for row in cuts])} if cuts else {})


def _conditions(study: Study, features: Rows) -> Numbers:
    rows = lines.plain(study, features)
    merged = lines.of_repair(rows, False)
    found = [
        [lines.parted(row), *_condition(*(lines.spawned(of, row["k"]) for of in (merged, rows)))]
        for row in lines.each_k(rows)
    ]
    for method, label in lines.methods(rows).items():
        both = [row for on in REPAIRED for row in lines.independent(lines.of_repair(rows, on), method)]
        found += [[label, *_condition(lines.of_repair(both, False), both)]]
    names = ("weak additivity", "commutativity", "weights", "inputs")
    return Numbers(
        name="conditions",
        title="LLFC, its conditions and their factors",
        meaning="The ratio that LLFC is judged by at its worst layer, and the distances behind it, "
        "|x - y|² / (|x| |y|), means over layers. Not aligned is before matching, the methods are after it; means over "
        "pairs that share no network.",
        columns=("networks", "pairs", "ratio as merged", "ratio with REPAIR", *names),
        rows=found,
    )


def _condition(merged: Rows, both: Rows) -> list[float | None]:
    ratios = [statistics.mean([row["bend"] for row in both if row["repaired"] == on]) for on in REPAIRED]
    values = [[row["condition"][name] for row in merged if name in row["condition"]] for name in FACTORS]
    return [len(merged), *ratios, *(statistics.mean(own) if own else None for own in values)]


def _union(rows: Rows, walked: Rows) -> Numbers:
    """A row for every way of making a pair, every width and weight decay."""
    whole = {_key(row): row["instability"]["test_error"] - 1 + statistics.mean(row["ends"]) for row in walked}
    found = []
    for first, own in _kinds(rows):
        cells = []
        for repaired in REPAIRED:
            chosen = lines.of_repair(own, repaired)
            cells += [statistics.mean([row["errors"][name] for row in chosen]) for name in ("either", "merged")]
            cells += [statistics.mean([row["union"] for row in chosen])]
            cells += [statistics.mean([whole[_key(row)] for row in chosen])]
        found.append([*first, len(lines.of_repair(own, False)), *cells])
    names = "an end errs", "merged network", "excess over an end", "excess over the ends' sum"
    return Numbers(
        name="union",
        title="The union bound",
        meaning="Shares of test images on which at least one end errs, and the merged network at its worst alpha, and "
        "what the second exceeds the first by; then what the worst error on the whole line exceeds the sum of its "
        "ends' by, on the whole test set. Neither excess is above 0 where logits interpolate linearly; means over "
        "pairs that share no network.",
        columns=(
            *("width", "weight decay", "networks", "pairs"),
            *(f"{name}, {how}" for how in REPAIRED.values() for name in names),
        ),
        rows=found,
    )


def _key(row: Mapping) -> tuple:
    return row["pair"], row["method"], row["repaired"]


def _kinds(rows: Rows) -> Iterator[tuple[list, list]]:
    """Every way of making a pair, every width and weight decay: how it is called, and its pairs that share none."""
    for (width, decay, name), group in lines.grouped(rows).items():
        yield [width, decay, name], lines.disjoint(group)


def _stitched(rows: Rows) -> Numbers:
    """A row for every way of making a pair, every width and weight decay."""
    found = []
    for first, own in _kinds(rows):
        line = [*first, len(own)]
        line += [statistics.mean([row["ends"][end] for row in own]) for end in range(2)]
        for order in ("a_below_b", "b_below_a"):
            line += [statistics.mean([row[order][over] for row in own]) for over in ("least", "mean", "most")]
        found.append(line)
    cuts = [f"{order}, {over}" for order in ("A below B", "B below A") for over in ("least", "mean", "most")]
    return Numbers(
        name="stitched",
        title="What stitching costs",
        meaning="Test error of two networks A and B, and of the lower layers of one below the upper layers of the "
        "other: the least, the mean and the most over all cuts; means over pairs that share no network.",
        columns=("width", "weight decay", "networks", "pairs", "A", "B", *cuts),
        rows=found,
    )
