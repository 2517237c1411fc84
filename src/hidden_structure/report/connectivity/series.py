"""Which lines a figure draws as one series, and how that series looks in every figure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from hidden_structure.permutation.methods import METHODS
from hidden_structure.report.connectivity.lines import UNALIGNED, Rows, each_k, methods
from hidden_structure.report.plotting import COLOURS, MARKERS, band
from hidden_structure.report.statistics import mean, standard_deviation

SPAWNED = COLOURS[4]
GREY = "#555555"
OF_K = MARKERS[5:] + "dp"  # by the k after which networks part
MOST = len(OF_K)  # k in a figure of curves
ORDER = (UNALIGNED, *METHODS)
LOOKS = tuple(
    zip((COLOURS[-1], *COLOURS[:4], COLOURS[5]), MARKERS[:5] + "h", strict=True)
)  # none is of spawned networks


@dataclass(frozen=True, eq=False)
class Series:
    label: str
    colour: str | tuple[float, ...]
    marker: str
    line: str
    rows: Rows

    @property
    def style(self) -> dict:
        return {"color": self.colour, "marker": self.marker, "linestyle": self.line}


def label(row: Mapping) -> str:
    """Of the pairs of a dated row, short enough for a title: "k = 50 (3.1 %)", in steps."""
    return f"k = {row['steps']:,} ({100 * row['share']:.2g} %)" if row["k"] else "k = 0"


def spawned(rows: Rows) -> list[Series]:
    """One a k of dated rows, the first k first; the darker, the earlier the networks part. Of many k a few, the first
    and the last among them."""
    moments = each_k(rows)
    if len(moments) > MOST:
        moments = [moments[round(index * (len(moments) - 1) / (MOST - 1))] for index in range(MOST)]
    found = []
    for index, moment in enumerate(moments):
        share = 1 - 0.65 * (len(moments) - 1 - index) / max(len(moments) - 1, 1)
        colour = tuple(share * part for part in to_rgb(SPAWNED))
        own = [row for row in rows if row["k"] == moment["k"]]
        found.append(Series(label(moment), colour, OF_K[index], "--", own))
    return found


def independent(rows: Rows) -> list[Series]:
    """One a way of aligning, the unaligned first."""
    found = []
    for method, label in methods(rows).items():
        colour, marker = LOOKS[ORDER.index(method)]
        own = [row for row in rows if row["k"] is None and row["method"] == method]
        found.append(Series(label, colour, marker, "-", own))
    return found


def few(rows: Rows) -> list[Series]:
    """The three that answer the question: not aligned, aligned by the first method, and parted after the last k, or
    where none parted aligned by the second."""
    parted = spawned(rows)[-1:]
    return independent(rows)[: 3 - len(parted)] + parted


def everything(rows: Rows) -> list[Series]:
    return independent(rows) + spawned(rows)


def over_pairs(rows: Rows, values: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (0 with one pair) over rows at every place of their lists of values."""
    points = list(zip(*(values(row) for row in rows), strict=True))
    return np.array([mean(point) for point in points]), np.array([standard_deviation(point) or 0.0 for point in points])


def draw(axes: Axes, series: Series, places: Sequence[float], values: Callable, every: int = 1) -> None:
    """The mean over the series' pairs with a band; values: row -> one value a place."""
    middle, spread = over_pairs(series.rows, values)
    style = {"marker": series.marker, "markevery": every}
    band(axes, (np.asarray(places), middle, spread), series.colour, series.line, series.label, **style)
