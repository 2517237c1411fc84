"""What the study measured of layerwise linear feature connectivity (LLFC) and of stitching, one value a pair.

Zhou, Yang, Yang, Yan, Hu 2023, "Going Beyond Linear Mode Connectivity: The Layerwise Linear Feature Connectivity".
Quantities end in the pairs that they speak of: `spawned.k<k>`, or the method that aligned independent networks.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median

from hidden_structure.connectivity.spawning import Pair
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Study
from hidden_structure.report.connectivity.measure import (
    REPAIRED,
    find,
    finite,
    independent_pairs,
    key,
    keyed,
    means,
    methods,
    nearest_to_half,
    spawned_pairs,
)
from hidden_structure.report.summary import Measured

OF_THE_ENDS = {  # quantity -> what the layers' metrics call it, how it is taken over layers
    "end_dissimilarity": ("baseline", median),
    "additivity": ("additivity", fmean),
    "commutativity": ("commutativity", fmean),
    "weight_distance": ("weights", fmean),
    "input_distance": ("inputs", fmean),
}
DIRECTIONS = {"a_below_b": "A below B", "b_below_a": "B below A"}  # of stitching
OVER_CUTS = {"least": min, "mean": fmean, "most": max}  # of the error of stitched networks
# Of a larger end error no greater than this, less than one image of any test set, nothing remains: 0 of 0 is then 0,
# and anything of 0 far more than 1.
LEAST_ERROR = 1e-6


def groups(study: Study) -> dict[str, tuple[list[Pair], str]]:
    """Name of a group of the plain cell's pairs -> the pairs, and the method that aligned them."""
    spawned = {f"spawned.k{k}": (spawned_pairs(study, k), "none") for k in study.spawn.epochs}
    return spawned | {method: (independent_pairs(study), method) for method in methods(study)}


def measure(rows: Iterable[Mapping], stitched: Iterable[Mapping], study: Study) -> Measured:
    """Every quantity of the plain cell's pairs, one value a pair in the order of `groups`.

    Of the merged networks, and with `_repaired` at the end of those with REPAIR:
    `llfc.<group>`: 1 - cos of the merged network's features with the interpolated ones at the alpha nearest to 1/2,
    mean over samples, median over layers; `output_dissimilarity.<group>`: the same of the last layer at its worst
    alpha; `error_ratio.<group>`: at its worst alpha the merged network's test error, over twice the larger end error.

    Of the two ends: `end_dissimilarity.<group>`, 1 - cos of their features, median over layers; means over layers of
    `additivity` (at the alpha nearest to 1/2), `commutativity`, `weight_distance` and `input_distance`, left out
    where no layer of the network has it; `stitch.<group>`: the highest test error of all stitched networks less the
    larger end error.

    Args:
        rows: of the linearity metrics; stitched: of the stitching metrics.

    Raises InputError if a pair has no row for a quantity, or holds no finite number there.
    """
    layerwise, cuts = keyed(rows), keyed(stitched)
    measured: Measured = {}
    for group, (pairs, method) in groups(study).items():
        for repaired, ending in REPAIRED.items():
            lines = [find(layerwise, pair, method, repaired) for pair in pairs]
            measured[f"llfc.{group}{ending}"] = [median(over_layers(row, "dissimilarity").values()) for row in lines]
            measured[f"output_dissimilarity.{group}{ending}"] = [_at_the_output(row) for row in lines]
            measured[f"error_ratio.{group}{ending}"] = [_error_ratio(row) for row in lines]
        lines = [find(layerwise, pair, method, False) for pair in pairs]
        for quantity, (name, over) in OF_THE_ENDS.items():
            values = [over_layers(row, name).values() for row in lines]
            if all(values):
                measured[f"{quantity}.{group}"] = [over(own) for own in values]
        measured[f"stitch.{group}"] = [_excess(find(cuts, pair, method)) for pair in pairs]
    return measured


def over_layers(row: Mapping, name: str) -> dict[int, float]:
    """Place of the layer in the order of execution -> its value, of the layers that have one.

    The mean over samples, at the alpha nearest to 1/2 where there is one for each alpha.

    Raises InputError at a value that is not finite.
    """
    half = nearest_to_half(row["alphas"])
    found = {}
    for place, layer in enumerate(row["layers"]):
        if name in layer:
            value = layer[name][half] if isinstance(layer[name], list) else layer[name]
            value = value["mean"] if isinstance(value, Mapping) else value
            found[place] = finite(value, f"{name} at layer {layer['name']}", row)
    return found


def stitching(stitched: Iterable[Mapping]) -> list[dict]:
    """Test errors by {width, weight_decay, k, method, pairs}, means over pairs, each beside its `_spread`.

    `error_a` and `error_b` of the ends; for each of DIRECTIONS the least, mean and largest over cuts
    (`a_below_b_least`, `_mean`, `_most`). k is None for independent networks.

    Raises InputError at a value that is not finite.
    """
    rows = []
    for row in stitched:
        errors = {direction: _errors(row, direction) for direction in DIRECTIONS}
        over = {f"{direction}_{name}": of(own) for direction, own in errors.items() for name, of in OVER_CUTS.items()}
        rows.append(row | over)
    columns = ("error_a", "error_b", *(f"{direction}_{name}" for direction in DIRECTIONS for name in OVER_CUTS))
    return means(rows, ("width", "weight_decay", "k", "method"), columns, "pairs")


def barriers(rows: Iterable[Mapping], lines: Iterable[Mapping]) -> list[dict]:
    """LLFC and mode connectivity of every line of every cell: {k, method, repaired, dissimilarity, barrier}.

    dissimilarity: mean over layers, otherwise as in `llfc` above; barrier: of the test error.

    Args:
        rows: of the linearity metrics; lines: of the interpolation metrics.

    Raises InputError if a line was not interpolated, or a value is not finite.
    """
    interpolated, found = keyed(lines), []
    for row in rows:
        line = interpolated.get(key(row))
        if line is None:
            seeds = " and ".join(map(str, row["seeds"]))
            raise InputError(f"the metrics hold no line for seeds {seeds}, method {row['method']}: run `dvc repro`")
        barrier = finite(line["barrier"]["test_error"], "barrier of the test_error", line)
        dissimilarity = fmean(over_layers(row, "dissimilarity").values())
        own = {name: row[name] for name in ("k", "method", "repaired")}
        found.append(own | {"dissimilarity": dissimilarity, "barrier": barrier})
    return found


def _at_the_output(row: Mapping) -> float:
    last = row["layers"][-1]
    return max(finite(stats["mean"], f"dissimilarity at layer {last['name']}", row) for stats in last["dissimilarity"])


def _error_ratio(row: Mapping) -> float:
    error = row["test_error"]
    merged = max(finite(value, "test error of the merged network", row) for value in error["merged"])
    return merged / (2 * max(*(finite(error[end], f"test error of {end}", row) for end in "ab"), LEAST_ERROR))


def _errors(row: Mapping, direction: str) -> Sequence[float]:
    return [finite(value, f"stitched test error, {DIRECTIONS[direction]},", row) for value in row[direction]]


def _excess(row: Mapping) -> float:
    worst = max(value for direction in DIRECTIONS for value in _errors(row, direction))
    return worst - max(finite(row[end], end, row) for end in ("error_a", "error_b"))
