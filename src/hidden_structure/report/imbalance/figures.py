"""The figure on minority collapse in networks: rows of tables in, a Figure out."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hidden_structure.report.curves import logarithmic
from hidden_structure.report.imbalance.claims import at, told
from hidden_structure.report.plotting import COLOURS, MARKERS, PAGE, new_figure
from hidden_structure.report.statistics import interval, mean

GROUPS = {"majority": (COLOURS[0], MARKERS[0], 0.95), "minority": (COLOURS[1], MARKERS[1], 1.05)}  # and place
UNTRAINED = {"color": "#555555", "marker": "x", "linestyle": "", "label": "untrained"}
MODEL = {"bounds": ("norms", "-", "_"), "decay": ("decay", "--", "+")}  # form -> what is given, line, marker
FEW = 4  # ratios, of which each has its tick
REFERENCE = {"color": "#777777", "linewidth": 0.8}
PANELS = {  # column -> title, unit
    "cosine_rows": ("Rows of the last layer", "mean cosine of two"),
    "cosine_means": ("Class means", ""),
    "test_accuracy": ("Test set", "accuracy (fraction)"),
}


def over_ratios(rows: Sequence[Mapping], foretold: Sequence[Mapping], classes: int) -> Figure:
    """Cosines and accuracies against the ratio; rows, foretold: of the tables `minorities` and `foretold`."""
    figure = new_figure(PAGE, 0.5 * PAGE)
    panels = dict(zip(PANELS, figure.subplots(1, len(PANELS)), strict=True))
    for column, axes in panels.items():
        for group in GROUPS:
            _points(axes, rows, group, column)
        title, unit = PANELS[column]
        axes.set(title=title, xlabel="ratio of images", ylabel=unit, xscale="log")
        axes.grid(axis="y", linewidth=0.4)
    cosines = panels["cosine_rows"]
    ratios = sorted({row["ratio"] for row in rows})
    untrained = [mean([row["minority"]["cosine_rows"] for row in at(rows, ratio, trained=False)]) for ratio in ratios]
    cosines.plot(ratios, untrained, **UNTRAINED)
    _theory(cosines, rows, foretold)
    both = (panels["cosine_rows"], panels["cosine_means"])
    lowest = min(axes.dataLim.y0 for axes in both)  # of intervals, too
    simplex = "simplex: \N{MINUS SIGN}1/(C\N{MINUS SIGN}1)"
    for axes in both:
        axes.axhline(-1 / (classes - 1), linestyle=":", label=simplex, **REFERENCE)
        axes.set_ylim(lowest - 0.05, 1.05)
    panels["test_accuracy"].set_ylim(0, 1.05)
    for axes in panels.values():
        logarithmic(axes, "x")
        if len(ratios) <= FEW:
            axes.set_xticks(ratios, [f"{ratio:g}" for ratio in ratios])
    figure.legend(*cosines.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _points(axes: Axes, rows: Sequence[Mapping], group: str, column: str) -> None:
    """Means over the networks of a ratio with the 95 % interval, where there are several."""
    colour, marker, place = GROUPS[group]
    for index, ratio in enumerate(sorted({row["ratio"] for row in rows})):
        values = [row[group][column] for row in at(rows, ratio)]
        middle, ends = mean(values), interval(values)
        label = group if index == 0 else None
        reach = ends[1] - middle if ends else None
        axes.errorbar(place * ratio, middle, yerr=reach, fmt=marker, color=colour, elinewidth=0.8, label=label)


def _theory(axes: Axes, rows: Sequence[Mapping], foretold: Sequence[Mapping]) -> None:
    """A line a form for the minority, of the balanced networks, and where it reaches 1, if in sight; and marks of each
    ratio's own networks."""
    last = foretold[-1]["ratio"]
    for form, (name, line, marker) in MODEL.items():
        said = [(row["ratio"], row[form]) for row in foretold if row.get(form) is not None]
        if said:
            axes.plot(*zip(*said, strict=True), line, color="black", linewidth=0.9, label=f"model, balanced {name}")
        own = [(row["ratio"], row["model"][form]) for row in rows if row["trained"] and told(row, form)]
        if own:
            label = f"model, own {name}"
            axes.plot(*zip(*own, strict=True), marker, color="black", markersize=7, markeredgewidth=1.1, label=label)
        threshold = foretold[0].get("threshold", {}).get(form)
        if said and threshold is not None and threshold <= last:
            axes.axvline(threshold, linestyle=line, **REFERENCE)
