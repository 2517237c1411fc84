"""The chapter on layerwise linear feature connectivity of networks that are given: what was measured of every pair."""

from collections.abc import Mapping

from hidden_structure.frame.params import Study
from hidden_structure.report import statistics
from hidden_structure.report.chapter import Chapter, Numbers, Tables
from hidden_structure.report.connectivity import lines
from hidden_structure.report.connectivity.given import files, over_pairs
from hidden_structure.report.connectivity.lines import REPAIRED, UNALIGNED, Rows
from hidden_structure.report.linearity import claims
from hidden_structure.report.linearity.figures import pictures

QUESTION = (
    "Halfway between two of the given networks, are the features of every layer the mean of the two networks' own "
    "(layerwise linear feature connectivity, LLFC), and do the lower layers of one serve the upper layers of the other?"
)

UNCUT = "nothing is stitched, for the networks have no activation after which to cut them"


def chapter(study: Study, tables: Tables) -> Chapter:
    """From the tables of tables/linearity.py, and the lines."""
    features, stitched, walked = tables("features"), tables("stitching"), tables("lines")
    bare = [row["bend"] for row in lines.of_repair(features, False) if row["method"] == UNALIGNED]
    cost = [row["excess"] for row in stitched if row["method"] == UNALIGNED]
    headline = {"llfc_ratio_unaligned": statistics.mean(bare)}
    headline |= {"stitching_cost_unaligned": statistics.mean(cost)} if cost else {}
    return Chapter(
        idea=claims.IDEA,
        title="Layerwise linear feature connectivity of the given networks",
        question=QUESTION,
        findings=[_finding(features, stitched, *method) for method in lines.methods(features).items()],
        claims=[],
        pictures=pictures(study, features, tables("layers"), stitched, walked),
        numbers=[_pairs(features, stitched, files(tables("given")))],
        headline=headline,
    )


def _finding(features: Rows, stitched: Rows, method: str, label: str) -> str:
    bends = {on: [row["bend"] for row in lines.of_repair(features, on) if row["method"] == method] for on in REPAIRED}
    holds = {on: sum(value <= claims.BENT_AT_MOST for value in values) for on, values in bends.items()}
    cost = [row["excess"] for row in stitched if row["method"] == method]
    cuts = f"stitching costs at its worst cut {over_pairs(cost)} of the test set" if cost else UNCUT
    said = {on: over_pairs(values, lambda value: f"{value:.3g}", "") for on, values in bends.items()}
    who = label if method == UNALIGNED else f"aligned by {label}"
    return (
        f"Networks {who}: at the worst layer the merged features lie {said[False]} times as far from the interpolated "
        f"ones as the two networks' features from each other, {said[True]} times with REPAIR (asked for: at most "
        f"{claims.BENT_AT_MOST:g}, which {holds[False]} of {len(bends[False])} pairs reach as merged and {holds[True]} "
        f"with REPAIR); {cuts}."
    )


def _pairs(features: Rows, stitched: Rows, named: Mapping[int, str]) -> Numbers:
    def of(rows: Rows, like: Mapping) -> Mapping:
        return next(row for row in rows if (row["pair"], row["method"]) == (like["pair"], like["method"]))

    found = []
    for merged in lines.of_repair(features, False):
        repaired = of(lines.of_repair(features, True), merged)
        line = [*(named[place] for place in merged["seeds"]), merged["label"], merged["bend"], repaired["bend"]]
        line += [merged["commutation"], merged["union"]]
        cut = of(stitched, merged) if stitched else None
        line += [*cut["ends"], cut["a_below_b"]["most"], cut["b_below_a"]["most"]] if cut else [None] * 4
        found.append(line)
    return Numbers(
        name="given-features",
        title="Features on the lines, and stitching",
        meaning="Ratio: 1 - cos of merged with interpolated features over 1 - cos of the two networks' own, at the "
        "worst layer and alpha. Commutation: distance between the sides of commutativity over the smaller of its "
        "factors', at the worst layer. Union: error of the merged network less the share of images on which A or B "
        "errs. Then test errors of the two, and of the lower layers of one below the upper ones of the other, at the "
        "worst cut.",
        columns=(
            *("A", "B", "units", "ratio as merged", "ratio with REPAIR", "commutation", "union"),
            *("error of A", "error of B", "A below B", "B below A"),
        ),
        rows=found,
    )
