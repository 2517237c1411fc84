"""The claims on layerwise linear feature connectivity (LLFC) and stitching, rows of the form of those of claims.py.

`seeds` lists the trunks of spawned pairs, the two seeds of each independent pair, or all seeds where lines of both
kinds count.
"""

from statistics import stdev

from hidden_structure.connectivity.spawning import cells
from hidden_structure.frame.params import Study
from hidden_structure.report.connectivity.claims import row
from hidden_structure.report.connectivity.measure import independent_pairs, spawned_pairs
from hidden_structure.report.linearity.measure import groups
from hidden_structure.report.plotting import METHODS
from hidden_structure.report.summary import Measured, mean_and_spread, rounded

ZHOU = "Zhou, Yang, Yang, Yan, Hu 2023"

# Zhou et al. show curves and no threshold: we ask that merged features be nearer to the interpolated ones, by an order
# of magnitude, than where nothing is shared.
LLFC_SHARE = 0.1
# At a cosine of 0.9 or less two features do not point the same way.
LLFC_FAILS_FROM = 0.1
# The premise of the lemma on test error, which the paper states for exact LLFC.
LLFC_HOLDS_AT_MOST = 0.05
# A condition of LLFC must be met much better, not merely better, where LLFC holds.
CONDITION_SHARE = 0.5
# As much of the test set as the authors' ResNet-20 loses at its worst cut, rounded up.
STITCHED_AT_MOST = 0.05

# Test error of the worse end, and at the worst cut, of two stitched networks that share their first epochs:
# (dataset, name, depth, width, norm) -> two fractions.
PUBLISHED = {("cifar10", "resnet", 20, 16, "batch"): (0.0869, 0.1335)}

HOW = {"": "as merged", "_repaired": "with REPAIR"}
LLFC = "layerwise linear feature connectivity (LLFC)"
DISSIMILARITY = "1 - cos of merged with interpolated features, halfway and at the median layer, is"
ADDITIVITY = "the distance of activations of the mean input from mean activations, on average over layers, is"
COMMUTATIVITY = "the distance of W_A H_A + W_B H_B from W_A H_B + W_B H_A, on average over layers, is"


def table(study: Study, measured: Measured) -> list[dict]:
    """One row a claim: {id, claim, source, published, measured, spread, seeds, holds}.

    Spawned pairs are those of the last k, aligned ones those of the first method. Where there is no method, or no
    layer that a condition speaks of, there is no claim on it.
    """
    last, methods = max(study.spawn.epochs), study.permute.methods[:1]
    spawned, parted = f"spawned.k{last}", f"two networks that part after epoch {last}"
    unaligned = "independent networks, not aligned"
    trunks = [pair.a[0] for pair in spawned_pairs(study, last)]
    pairs = [f"{pair.a[0]}-{pair.b[0]}" for pair in independent_pairs(study)]

    def mean(quantity: str) -> float:
        return mean_and_spread(measured[quantity])[0]

    def compared(name: str, quantity: str, sentence: str, share: float, reference: str, what: str, seeds: list) -> dict:
        """At most the reference's mean times the share, or at least that if the share is above 1."""
        bound = rounded(share * mean(reference))
        holds = mean(quantity) >= bound if share > 1 else mean(quantity) <= bound
        sentence += f" {bound:g} or {'more' if share > 1 else 'less'}, which is {what} times {share:g}."
        return row(name, measured[quantity], sentence, ZHOU, None, seeds, holds)

    rows = []
    for ending, how in HOW.items():
        dot = ending.replace("_", ".")
        reference = LLFC_SHARE, f"llfc.none{ending}", f"llfc.unaligned{dot}"
        sentence = f"Between {parted}, {how}, {LLFC} holds: {DISSIMILARITY}"
        rows.append(compared(f"llfc.spawned{dot}", f"llfc.{spawned}{ending}", sentence, *reference, trunks))
        for method in methods:
            sentence = (
                f"Between independent networks, aligned by {METHODS[method]}, {how}, {LLFC} holds: {DISSIMILARITY}"
            )
            rows.append(compared(f"llfc.permuted{dot}", f"llfc.{method}{ending}", sentence, *reference, pairs))
        sentence = (
            f"Negative control: between {unaligned}, {how}, {LLFC} fails: {DISSIMILARITY} {LLFC_FAILS_FROM} or more."
        )
        quantity = f"llfc.none{ending}"
        holds = mean(quantity) >= LLFC_FAILS_FROM
        rows.append(row(f"llfc.unaligned{dot}", measured[quantity], sentence, ZHOU, None, pairs, holds))

    if "additivity.none" in measured:
        sentence = f"Between {parted} activations are nearly additive: {ADDITIVITY}"
        reference = CONDITION_SHARE, "additivity.none", f"the mean between {unaligned},"
        rows.append(compared("llfc.additivity", f"additivity.{spawned}", sentence, *reference, trunks))
    before = "llfc.commutativity.before"
    sentence = f"Negative control: between {unaligned}, layers do not commute: {COMMUTATIVITY}"
    reference = 1 / CONDITION_SHARE, f"commutativity.{spawned}", f"the mean between {parted},"
    rows.append(compared(before, "commutativity.none", sentence, *reference, pairs))
    for method in methods:
        sentence = f"Between independent networks, aligned by {METHODS[method]}, layers nearly commute: {COMMUTATIVITY}"
        reference = CONDITION_SHARE, "commutativity.none", before
        rows.append(compared("llfc.commutativity.after", f"commutativity.{method}", sentence, *reference, pairs))
    rows.append(_bound(study, measured))

    sentence = (
        f"Stitching {parted}, the lower layers of one below the upper layers of the other, costs little: at the worst "
        f"cut test error exceeds that of the worse of the two by {STITCHED_AT_MOST} or less."
    )
    quantity = f"stitch.{spawned}"
    holds = mean(quantity) <= STITCHED_AT_MOST
    rows.append(row("stitch.spawned", measured[quantity], sentence, ZHOU, _published(study), trunks, holds))
    return rows


def _bound(study: Study, measured: Measured) -> dict:
    """The lemma on the test error of merged networks, over every line of the plain cell. Without a line that meets its
    premise it counts as not holding, and measured is None."""
    lines = [f"{group}{ending}" for group in groups(study) for ending in HOW]
    outputs, ratios = (
        [value for line in lines for value in measured[f"{quantity}.{line}"]]
        for quantity in ("output_dissimilarity", "error_ratio")
    )
    own = [ratio for output, ratio in zip(outputs, ratios, strict=True) if output <= LLFC_HOLDS_AT_MOST]
    sentence = (
        f"Where LLFC holds at the output, 1 - cos of merged with interpolated outputs being {LLFC_HOLDS_AT_MOST} or "
        f"less at every alpha (on {len(own)} of {len(ratios)} lines), the largest ratio of test error to twice that of "
        "the worse end is 1 or less."
    )
    largest = rounded(max(own)) if own else None
    numbers = {"published": None, "measured": largest, "spread": rounded(stdev(own)) if len(own) > 1 else None}
    holds = largest is not None and largest <= 1
    numbers |= {"seeds": study.spawn.seeds, "holds": holds}
    return {"id": "llfc.bound", "claim": sentence, "source": ZHOU} | numbers


def _published(study: Study) -> float | None:
    network = cells(study)[0].network
    found = PUBLISHED.get((study.data.source, network.name, network.depth, network.width, network.norm))
    return rounded(found[1] - found[0]) if found else None
