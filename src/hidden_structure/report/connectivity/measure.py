"""What the connectivity study measured: barriers on lines between networks, one value a pair, their mean and spread.

Quantities are named as those of summary.py; `_repaired` at the end of a name means that the merged networks'
statistics were restored (REPAIR, Jordan et al. 2023) at every point of the line.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from hidden_structure.connectivity.spawning import Pair, cells, pairs
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Study
from hidden_structure.report.summary import Measured, mean_and_spread

REPAIRED = {False: "", True: "_repaired"}  # what the name of a quantity ends with
HEIGHTS = {  # name in the summary -> which height in the metrics, of which quantity along the line
    "barrier": ("barrier", "test_error"),
    "instability": ("instability", "test_error"),
    "loss_barrier": ("barrier", "test_loss"),
}


def methods(study: Study) -> list[str]:
    """Ways of aligning two independent networks, first of all none."""
    return ["none", *study.permute.methods]


def spawned_pairs(study: Study, k: int) -> list[Pair]:
    return [pair for pair in pairs(study) if pair.k == k]


def independent_pairs(study: Study) -> list[Pair]:
    """Those of the plain cell: width 1 and the recipe's own weight decay."""
    return [pair for pair in pairs(study) if pair.k is None and pair.cell.name == cells(study)[0].name]


def measure(rows: Iterable[Mapping], study: Study) -> Measured:
    """Every quantity of the plain cell's lines, one value a pair, in the order of spawned_pairs or independent_pairs.

    `spawn.<height>.k<k>` of the pairs that part after k epochs and `permute.<method>.<height>` of independent pairs,
    for the heights of HEIGHTS (independent pairs: the barriers); `permute.<method>.midpoint` is the test accuracy at
    the alpha nearest to 1/2. Heights of errors are fractions of the test set, those of losses nats.

    Args:
        rows: of the interpolation metrics.

    Raises InputError if a pair has no row for a quantity, or holds no finite number there.
    """
    found = keyed(rows)

    def heights(own: Sequence[Pair], method: str, name: str, repaired: bool) -> list[float]:
        kind, of = HEIGHTS[name]
        lines = [find(found, pair, method, repaired) for pair in own]
        return [finite(row.get(kind, {}).get(of), f"{kind} of the {of}", row) for row in lines]

    measured: Measured = {}
    for k in study.spawn.epochs:
        for name in HEIGHTS:
            for repaired, ending in REPAIRED.items():
                values = heights(spawned_pairs(study, k), "none", name, repaired)
                measured[f"spawn.{name}.k{k}{ending}"] = values
    own = independent_pairs(study)
    for method in methods(study):
        for repaired, ending in REPAIRED.items():
            for name in ("barrier", "loss_barrier"):
                measured[f"permute.{method}.{name}{ending}"] = heights(own, method, name, repaired)
            lines = [find(found, pair, method, repaired) for pair in own]
            values = [row["test_accuracy"][nearest_to_half(row["alphas"])] for row in lines]
            values = [
                finite(value, "test accuracy at the midpoint", row) for value, row in zip(values, lines, strict=True)
            ]
            measured[f"permute.{method}.midpoint{ending}"] = values
    return measured


def accuracies(rows: Iterable[Mapping]) -> list[dict]:
    """How good the networks are: {width, weight_decay, name, seeds} and means over seeds, each beside its `_spread`.

    rows: of the spawning metrics. Raises InputError at a value that is not finite.
    """
    columns = ("train_accuracy", "test_accuracy", "test_loss")
    return means(rows, ("width", "weight_decay", "name"), columns, "seeds")


def objectives(rows: Iterable[Mapping]) -> list[dict]:
    """What aligning gained: {width, weight_decay, method, objective, pairs} and means over pairs, beside `_spread`.

    The method's own objective and that of weight matching, before and after.

    rows: of the permutation metrics. Raises InputError at a value that is not finite.
    """
    columns = ("before", "after", "weights_before", "weights_after")
    return means(rows, ("width", "weight_decay", "method", "objective"), columns, "pairs")


def means(rows: Iterable[Mapping], by: Sequence[str], columns: Sequence[str], count: str) -> list[dict]:
    """The columns' means over rows that agree in `by`, each beside its `_spread`; `count` names their number.

    Raises InputError at a value that is not finite.
    """
    groups: dict[tuple, list[Mapping]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    found = []
    for key, own in groups.items():
        mean: dict = dict(zip(by, key, strict=True)) | {count: len(own)}
        for name in columns:
            mean[name], mean[f"{name}_spread"] = mean_and_spread([finite(row.get(name), name, row) for row in own])
        found.append(mean)
    return found


def key(row: Mapping) -> tuple:
    """What tells one line, or one stitching, from all others: a stitched network is never repaired."""
    return row["k"], row["width"], row["weight_decay"], *row["seeds"], row["method"], row.get("repaired")


def keyed(rows: Iterable[Mapping]) -> dict[tuple, Mapping]:
    return {key(row): row for row in rows}


def find(found: Mapping[tuple, Mapping], pair: Pair, method: str, repaired: bool | None = None) -> Mapping:
    """The pair's row among keyed ones; repaired: None where the metrics do not distinguish.

    Raises InputError if there is none.
    """
    cell, seeds = pair.cell, (pair.a[0], pair.b[0])
    wanted = (pair.k, cell.width, cell.train.weight_decay, *seeds, method, repaired)
    if wanted not in found:
        kind = "the independent pair" if pair.k is None else f"the pair spawned after epoch {pair.k}"
        ending = {None: "", True: ", repaired", False: ", not repaired"}[repaired]
        raise InputError(
            f"the metrics hold nothing on {kind} of seeds {seeds[0]} and {seeds[1]}, method {method}{ending}: "
            "run `dvc repro` to measure it"
        )
    return found[wanted]


def nearest_to_half(alphas: Sequence[float]) -> int:
    """Where in the list the alpha nearest to 1/2 stands."""
    return min(range(len(alphas)), key=lambda index: abs(alphas[index] - 0.5))


def finite(value: float | None, what: str, row: Mapping) -> float:
    """The value. Raises InputError, which names it and the row, if it is missing or not finite."""
    if value is None or not math.isfinite(value):
        of = ", ".join(f"{name} {row[name]}" for name in ("name", "method", "k", "seeds", "seed") if name in row)
        raise InputError(f"{what} ({of}) is {value}, not a number: delete the metrics and run `dvc repro`")
    return value
