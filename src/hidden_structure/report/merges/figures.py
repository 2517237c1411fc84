"""The figures on other merges of the labels, and on which merged classes lie close: rows of tables in, a Figure out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from hidden_structure.report.merges.measured import ESTIMATES, networks
from hidden_structure.report.plotting import COLOURS, MARKERS, PAGE, narrow, new_figure, plain
from hidden_structure.report.statistics import standard_deviation

STYLE = {  # method of merging -> name, colour, marker
    "modulo": ("modulo", COLOURS[0], MARKERS[0]),
    "random": ("random", COLOURS[2], MARKERS[2]),
    "semantic": ("related classes", COLOURS[1], MARKERS[1]),
    "superclass": ("super-classes of the data", COLOURS[3], MARKERS[4]),
    "groups": ("groups of the parameters", COLOURS[4], MARKERS[3]),
}
LIKENESS = {"pixels": "in pixels", "features": "in the fine network's features", "confusion": "by its confusion"}
GREY = "#555555"
LINES = 24  # super-classes whose classes' distances are drawn at most


def semantics(merged: Sequence[Mapping], classes: int) -> Figure:
    """Score of super-classes against their three likenesses; classes: of the merges whose marks are filled."""
    points = [row for row in merged if row["score"] is not None]
    figure = new_figure(PAGE, 0.42 * PAGE)
    panels = figure.subplots(1, len(LIKENESS), sharey=True)
    for axes, (likeness, label) in zip(panels, LIKENESS.items(), strict=True):
        for point in points:
            _, colour, marker = STYLE[point["method"]]
            face = colour if point["classes"] == classes else "none"
            look = {"marker": marker, "color": colour, "markersize": 4, "alpha": 0.65, "clip_on": False}
            axes.plot(point["likeness"][likeness], point["score"], linestyle="", markerfacecolor=face, **look)
        axes.set(xlabel=f"likeness {label}", ylim=(min(0, *(point["score"] for point in points)), 1))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="y", linewidth=0.4, color="#DDDDDD")
        if likeness == "confusion":
            axes.set_xscale("log")
            axes.set_xlabel("likeness by its confusion (probability)")
    panels[0].set_ylabel("agreement, from chance (0) to all (1)")
    present = {point["method"] for point in points}
    handles = [_mark(*look) for method, look in STYLE.items() if method in present]
    if any(point["classes"] != classes for point in points):
        handles.append(_mark(f"not into {classes} classes", GREY, "o", "none"))
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=5)
    return figure


def supervision(merges: Sequence[Mapping], classes: int) -> Figure:
    """A line a merge, from fewest bits to most: accuracy on the original classes; classes: how many those are."""
    lines = [*networks(merges).values(), *_groups(merges, "control"), *_groups(merges, "none")]
    lines.sort(key=lambda rows: (round(rows[0]["bits"], 2), rows[0]["method"] == "control", rows[0]["label"]))
    original = fmean(row["accuracy"] for row in merges if row["method"] == "none")
    figure = new_figure(PAGE, 0.9 + 0.2 * len(lines))
    axes = figure.add_subplot()
    for place, rows in enumerate(lines):
        colour = {"none": COLOURS[0], "control": GREY}.get(rows[0]["method"], COLOURS[1])
        if rows[0]["method"] != "none":
            axes.plot(rows[0]["classes"] / classes, place, "|", color=GREY, markersize=8, markeredgewidth=1.4)
        if "ceiling" in rows[0] and rows[0]["ceiling"] is not None:
            _mean(axes, place, [row["ceiling"] for row in rows], "D", COLOURS[5], "none")
        if bought := [row["bought"]["accuracy"] for row in rows if row.get("bought")]:
            _mean(axes, place, bought, "x", COLOURS[3], COLOURS[3])
        _mean(axes, place, [row["accuracy"] for row in rows], "s" if colour == GREY else "o", colour, colour)
    axes.axvline(original, color=COLOURS[0], linewidth=0.8, linestyle=":")
    named = [f"{rows[0]['label']} · {rows[0]['bits']:.2f} bits" for rows in lines]
    axes.set_yticks(range(len(lines)), named)
    axes.set(xlim=(0, 1.02), ylim=(len(lines) - 0.5, -0.5), xlabel=f"test accuracy on {classes} classes")
    axes.grid(axis="x", linewidth=0.4, color="#DDDDDD")
    axes.set_axisbelow(True)
    handles = [
        Line2D([], [], color=GREY, marker="|", markersize=8, linestyle="", label="right label and a guess"),
        _mark("linear layer, recovered labels", COLOURS[1], "o"),
        _mark("linear layer, true labels", COLOURS[5], "D", "none"),
        _mark("control", GREY, "s"),
        _mark("network on original labels", COLOURS[0], "o"),
    ]
    if any(row.get("bought") for row in merges):
        handles.append(_mark("original labels for the same bits", COLOURS[3], "x"))
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=3)
    return figure


def cluster_count(merged: Sequence[Mapping]) -> Figure:
    """How often each number of clusters was found, for each true number; a panel a method, one colour scale."""
    counts = {method: _counts(merged, method) for method in ESTIMATES}
    true = sorted({len(row["members"]) for row in merged})
    most = max(max(found for _, found in own) for own in counts.values())
    largest = max(max(own.values()) for own in counts.values())
    figure = new_figure(PAGE, 1.3 + 0.26 * len(true))
    panels = figure.subplots(1, len(ESTIMATES), sharey=True)
    for axes, (method, own) in zip(panels, counts.items(), strict=True):
        table = np.array([[own[clusters, found] for found in range(1, most + 1)] for clusters in true], dtype=float)
        edges = np.arange(most + 1) + 0.5, np.arange(len(true) + 1) - 0.5
        shades = axes.pcolormesh(*edges, np.where(table > 0, table, np.nan), cmap="Blues", norm=LogNorm(0.5, largest))
        for (row, column), count in np.ndenumerate(table):
            right = column + 1 == true[row]
            if count:
                look = {"color": "white" if count > largest / 3 else "black", "weight": "bold" if right else "normal"}
                axes.text(column + 1, row, f"{count:g}", ha="center", va="center", fontsize="small", **look)
            if right:
                corner = (column + 0.5, row - 0.5)
                axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=COLOURS[1], linewidth=1.2))
        axes.set(title=ESTIMATES[method][0], xlabel="clusters found", xticks=range(1, most + 1))
        axes.set_yticks(range(len(true)), [f"{clusters}" for clusters in true])
        axes.set_ylim(len(true) - 0.4, -0.6)
    panels[0].set_ylabel("classes merged")
    bar = figure.colorbar(shades, ax=panels, label="super-classes", fraction=0.04, pad=0.02)
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= largest]
    bar.set_ticks(ticks, labels=[str(tick) for tick in ticks])
    bar.minorticks_off()
    return figure


def neighbours(rows: Sequence[Mapping]) -> Figure:
    """A line a super-class, a stroke for every pair of its classes; the closest first, at most LINES of them."""
    shown = sorted(rows, key=lambda row: row["separations"][0])[:LINES]
    between = "\n" if narrow() else " "  # of the nearest two
    figure = new_figure(PAGE, 0.6 + (0.19 if between == " " else 0.38) * len(shown))
    axes = figure.add_subplot()
    for place, row in enumerate(shown):
        few = len(row["separations"]) <= 45
        look = {"color": COLOURS[0], "alpha": 0.8 if few else 0.15, "linestyle": "", "markersize": 4 if few else 6}
        axes.plot(row["separations"], [place] * len(row["separations"]), marker="o" if few else "|", **look)
        if row["classes"] > 2:
            ends = (plain(row["nearest"][end], 16) for end in "ab")
            axes.annotate(
                f" \N{EN DASH}{between}".join(ends),
                (1.0, place),
                (4, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                va="center",
                fontsize="small",
            )
    if any(row["classes"] > 2 for row in shown):
        axes.annotate(
            "nearest two",
            (1.0, -1),
            (4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize="small",
            color=GREY,
        )
    axes.axvline(1, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(shown)), [plain(row["superclass"], 34) for row in shown])
    reach = max(row["separations"][-1] for row in shown)
    axes.set(ylim=(len(shown) - 0.4, -0.6), xlim=(0, 1.04 * max(reach, 1)))
    axes.set_xlabel("distance of two classes' means / scatter of their samples (ratio)")
    axes.grid(axis="x", linewidth=0.4, color="#DDDDDD")
    axes.set_axisbelow(True)
    return figure


def _groups(merges: Sequence[Mapping], method: str) -> list[list[Mapping]]:
    rows = [row for row in merges if row["method"] == method]
    return [[row for row in rows if row["name"] == name] for name in dict.fromkeys(row["name"] for row in rows)]


def _mean(axes: Axes, place: int, values: Sequence[float], marker: str, colour: str, face: str) -> None:
    look = {"marker": marker, "color": colour, "markerfacecolor": face, "markersize": 4.5, "elinewidth": 0.8}
    axes.errorbar(fmean(values), place, xerr=standard_deviation(values), linestyle="", zorder=3, **look)


def _counts(merged: Sequence[Mapping], method: str) -> Counter:
    return Counter((len(row["members"]), found) for row in merged for found in row["estimated"][method])


def _mark(name: str, colour: str, marker: str, face: str | None = None) -> Line2D:
    face = face or colour
    return Line2D([], [], linestyle="", marker=marker, markersize=4.5, color=colour, markerfacecolor=face, label=name)
