"""What the study measured: for each quantity one value a seed, and its mean and spread over seeds.

A quantity is named `group.name` (`fine.nc1`, `reducer.tsne.accuracy`); metrics.json nests the groups, so that
`dvc metrics diff` between two branches is a short list of numbers.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev

import numpy as np

from hidden_structure.frame.errors import InputError

Measured = dict[str, list[float]]  # quantity -> its value for every seed, in the order of the seeds

CONTROLS = ("pixels", "untrained")  # what is clustered instead of the trained network's features
COLLAPSE = {  # name in the summary -> name in the collapse metrics
    "nc1": "nc1",
    "nc2_norms": "nc2_norms_means",
    "angle": "nc2_cosine_means",
    "angle_deviation": "nc2_angle_means",
    "nc3": "nc3",
    "nc4": "nc4",
}
SCORES = {"accuracy": "probe_accuracy", "agreement": "agreement", "nmi": "nmi", "ari": "ari", "purity": "purity"}


def rounded(value: float) -> float:
    """To the 6 significant digits that files and tables give."""
    return float(f"{value:.6g}")


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation over seeds, rounded; the spread of a single seed is None.

    Raises InputError if a value is not finite.
    """
    for value in values:
        _finite(value, "a value of the metrics")
    return rounded(fmean(values)), rounded(stdev(values)) if len(values) > 1 else None


def measure(
    training: Mapping[str, Sequence[Mapping]],
    collapse: Sequence[Mapping],
    cluster: Mapping,
    seeds: Sequence[int],
    reducers: Sequence[str],
) -> Measured:
    """Every quantity of the finished networks, one value a seed.

    Args:
        training: supervision (fine, coarse) -> rows of the training metrics.
        collapse: rows of the collapse metrics.
        cluster: the clustering metrics, {"rows": [...], "oracle": [...]}.
        reducers: of the clustering; the first is the one that `recovery.accuracy` and the controls speak of.

    Raises InputError if a seed has no row for a quantity, or holds no finite number there.
    """

    def at_the_end(rows: Iterable[Mapping], supervision: str, column: str) -> list[float]:
        return _each_seed(sorted(rows, key=lambda row: row["epoch"]), column, seeds, f"the {supervision} network")

    measured: Measured = {}
    for supervision, rows in training.items():
        for column in ("test_accuracy", "train_accuracy"):
            measured[f"{supervision}.{column}"] = at_the_end(rows, supervision, column)
        own = [row for row in collapse if row["supervision"] == supervision]
        for name, column in COLLAPSE.items():
            measured[f"{supervision}.{name}"] = at_the_end(own, supervision, column)

    def scores(source: str, reducer: str) -> Measured:
        rows = [row for row in cluster["rows"] if (row["source"], row["reducer"]) == (source, reducer)]
        return {name: _each_seed(rows, column, seeds, f"{source}, {reducer}") for name, column in SCORES.items()}

    measured |= {f"recovery.{name}": values for name, values in scores("coarse", reducers[0]).items()}
    pairs = zip(measured["fine.test_accuracy"], measured["recovery.accuracy"], strict=True)
    measured["recovery.gap"] = [fine - recovered for fine, recovered in pairs]
    measured["recovery.oracle_accuracy"] = _each_seed(cluster["oracle"], "probe_accuracy", seeds, "the oracle")
    for source in CONTROLS:
        own = scores(source, reducers[0])
        measured |= {f"control.{source}.{name}": own[name] for name in ("accuracy", "agreement")}
    for reducer in reducers:
        own = scores("coarse", reducer)
        measured |= {f"reducer.{reducer}.{name}": own[name] for name in ("accuracy", "agreement")}
    return measured


def summarise(measured: Measured, labels: Mapping) -> dict:
    """The content of metrics.json: nested groups of means, each beside its `_spread` (None with one seed).

    Args:
        labels: the label metrics; the bits a sample of both supervisions are what the labels cost.
    """
    summary: dict = {}
    for quantity, values in measured.items():
        *groups, name = quantity.split(".")
        place = summary
        for group in groups:
            place = place.setdefault(group, {})
        place[name], place[f"{name}_spread"] = mean_and_spread(values)
    bits = {f"{s}_bits": _finite(labels[s]["bits_per_sample"], f"bits of the {s} labels") for s in ("fine", "coarse")}
    return summary | {"labels": {name: rounded(value) for name, value in bits.items()}}


def over_training(rows: Iterable[Mapping], column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Epochs, and the column's mean and spread over seeds at each (spread 0 with one seed), where it was measured.

    Raises InputError at a value that is not finite.
    """
    values: dict[int, list[float]] = {}
    for row in rows:
        if row.get(column) is not None:
            value = _finite(row[column], f"{column} of seed {row['seed']} at epoch {row['epoch']}")
            values.setdefault(row["epoch"], []).append(value)
    epochs = sorted(values)
    means = [fmean(values[epoch]) for epoch in epochs]
    spreads = [stdev(values[epoch]) if len(values[epoch]) > 1 else 0.0 for epoch in epochs]
    return np.array(epochs), np.array(means), np.array(spreads)


def _each_seed(rows: Iterable[Mapping], column: str, seeds: Sequence[int], what: str) -> list[float]:
    """The column in each seed's last row."""
    last = {row["seed"]: row for row in rows}
    for seed in seeds:
        if seed not in last:
            raise InputError(f"the metrics hold nothing on {what} for seed {seed}: run `dvc repro` to measure it")
    return [_finite(last[seed].get(column), f"{column} of {what}, seed {seed},") for seed in seeds]


def _finite(value: float | None, what: str) -> float:
    if value is None or not math.isfinite(value):
        raise InputError(f"{what} is {value}, not a number: the metrics are damaged: delete them and run `dvc repro`")
    return value
