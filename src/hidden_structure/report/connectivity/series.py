"""Which lines a figure draws as one series, and how that series looks in every figure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from hidden_structure.permutation.methods import METHODS
from hidden_structure.report.connectivity.lines import UNALIGNED, Rows, each_k, methods
from hidden_structure.report.plotting import COLOURS, MARKERS, band
from hidden_structure.report.statistics import finite

SPAWNED = COLOURS[4]
GREY = "#555555"
OF_K = MARKERS[5:] + "dp"  # by the k after which networks part
MOST = len(OF_K)  # k in a figure of curves
HOLLOW = {"markersize": 4.5, "markeredgewidth": 0.6}  # smaller or thicker, the edges of a cross would fill it
FILLED = {"markersize": 4}  # beside them
BANDS = (  # what captions say of `draw`
    "Lines are means over pairs, bands one standard deviation to either side, on a logarithmic axis both of the "
    "logarithm."
)
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


def over_pairs(rows: Rows, values: Callable, floor: float | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over rows at every place of their lists of values, and the ends of a band of one standard deviation (0 with
    one pair) to either side.

    floor: of a logarithmic axis; None: the axis is not. There mean and deviation are of the logarithms, for a band that
    reaches for 0 would be as long as the axis happens to be. What is less counts as the floor; where no pair is above
    it, or one has no logarithm, there is a gap.

    Raises InputError if a value is not finite.
    """
    points = np.array([[finite(value, "a value of the tables") for value in values(row)] for row in rows], dtype=float)
    if floor is not None:
        points = np.where((points > floor).any(axis=0), points.clip(floor), np.nan)
        points = np.log(np.where(points > 0, points, np.nan))
    middle = points.mean(axis=0)
    spread = points.std(axis=0, ddof=1) if len(points) > 1 else np.zeros_like(middle)
    found = middle, middle - spread, middle + spread
    return found if floor is None else tuple(map(np.exp, found))


def draw(
    axes: Axes, series: Series, places: Sequence[float], values: Callable, every: int = 1, floor: float | None = None
) -> None:
    """The mean over the series' pairs with a band; values: row -> one value a place; floor: as of `over_pairs`."""
    found = over_pairs(series.rows, values, floor)
    style = {"marker": series.marker, "markevery": every}
    band(axes, (np.asarray(places), *found), series.colour, series.line, series.label, **style)
