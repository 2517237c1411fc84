"""The figures on other merges of the labels, and on which merged classes lie close: metrics in, a Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import squareform

from hidden_structure.frame.errors import InputError
from hidden_structure.merges.likeness import RankCorrelation, separation
from hidden_structure.recovery.count import MOST
from hidden_structure.report.merges.measure import COUNTS, by_name, correlations, counts, superclasses
from hidden_structure.report.plotting import COLOURS, COLUMN, MARKERS, PAGE, new_figure, plain, styled
from hidden_structure.report.summary import mean_and_spread

SECTION = {  # figure of the page -> title, how to read it, how it was made
    "semantics": (
        "Are unrelated classes easier to recover?",
        "Each mark is a super-class of one merge: to the right its classes are more alike, upwards more of its samples "
        "get their original class back (0: no more than chance, 1: all). If unrelated classes are easier, the marks "
        "fall to the right, and the rank correlation in the title is negative beyond chance when its interval lies "
        "below 0. Hollow marks are of merges into another number of classes, and not part of the correlation.",
        "Upwards: share of training samples whose recovered label is right, from chance, one in the number of classes, "
        "to 1; means over seeds. Likeness in pixels and features: 1 less the distance of class means over the mean "
        "distance of all pairs of classes; confusion: mean probability that the fine network gives one class on test "
        "images of the other. Mean over pairs of the super-class. Bootstrap over super-classes, 95 %.",
    ),
    "supervision": (
        "Supervision spent, accuracy kept",
        "To the right labels say more about each sample; upwards the test accuracy on the original classes. What lies "
        "above the dashed line was not in the labels: it was found by clustering. Hollow marks are merges at random or "
        "of related classes.",
        "Entropy of the merged training labels; linear layers on the features of the network trained on them, with "
        "labels recovered by the first reducer of the parameters, and with the true labels; means over seeds, bars one "
        "standard deviation to either side. Dashed: the right coarse label, and a guess among its classes.",
    ),
    "cluster-count": (
        "How many classes were merged?",
        "A cell holds the super-classes with as many merged classes (row) in which the method finds as many clusters "
        "(column); where the boxes are, it is right. One class is a super-class that was not merged with any: the "
        "silhouette can never find that.",
        f"The points that k-means also clusters, at most 2,000 of a super-class, and 1 to {MOST} clusters of k-means. "
        "Gap statistic with ten uniform references along the principal components and the rule of one standard error.",
    ),
    "neighbours": (
        "Which merged classes lie close",
        "In each super-class the two nearest classes, or groups of them, are joined first: the further left the "
        "bracket that joins two classes, the closer they lie. Left of 1 they lie closer than their samples scatter.",
        "The coarse network of the study; distance of two classes' mean training features over the root mean square "
        "distance of their samples from them, mean squares over seeds; groups by the mean distance of their classes.",
    ),
}

METHOD = {  # of merging -> name, colour, marker
    "modulo": ("modulo", COLOURS[0], MARKERS[0]),
    "random": ("random", COLOURS[2], MARKERS[2]),
    "semantic": ("related classes", COLOURS[1], MARKERS[1]),
    "superclass": ("super-classes of the data", COLOURS[1], MARKERS[4]),
    "groups": ("groups of the parameters", COLOURS[3], MARKERS[3]),
}
LIKENESS = {"pixels": "class means in pixels", "features": "class means in features", "confusion": "confusion"}
CURVES = {  # measured of a merge -> name, colour, line
    "oracle": ("linear layer, true labels", COLOURS[5], "--"),
    "accuracy": ("linear layer, recovered labels", COLOURS[1], "-"),
}
ESTIMATES = {"gap": "gap statistic", "silhouette": "silhouette"}
GREY = "#555555"
PANELS, LEAVES = 20, 40  # super-classes drawn at most, and classes of one


def draw(
    result: Mapping, measured: Mapping, distances: Mapping, coarse_of: np.ndarray, coarse_names: Sequence[str]
) -> dict[str, Figure]:
    """The figures of SECTION by name; without merges only "neighbours", if the study merges two classes at all.

    Args:
        result: of the merges stage; measured: of merges_summary, and the fine network's accuracy.
        distances: the class distances of the clustering metrics; coarse_of, coarse_names: the study's own merge.

    Raises InputError if a value is not finite.
    """
    rows, figures = result["rows"], {}
    if rows:
        points = superclasses(rows)
        if points:
            figures["semantics"] = semantics(points, len(coarse_names))
        figures["supervision"] = supervision(result, measured, len(coarse_of))
        figures["cluster-count"] = cluster_count(rows)
    if len(coarse_names) < len(coarse_of):
        figures["neighbours"] = neighbours(distances["matrix"], distances["names"], coarse_of, coarse_names)
    return figures


@styled
def semantics(points: Sequence[Mapping], classes: int) -> Figure:
    """Score of super-classes against their three similarities.

    points: of merges_summary.superclasses; classes: of the merges whose correlation stands in the title.
    """
    figure = new_figure(PAGE, 3.0)
    panels = figure.subplots(1, len(LIKENESS), sharey=True)
    found = correlations(points, classes)
    for axes, (similarity, label) in zip(panels, LIKENESS.items(), strict=True):
        for point in points:
            _, colour, marker = METHOD[point["method"]]
            look = {"marker": marker, "color": colour, "markersize": 4, "alpha": 0.8}
            look["markerfacecolor"] = colour if point["classes"] == classes else "none"
            axes.plot(point[similarity], point["score"], linestyle="", **look)
        axes.set(xlabel=f"likeness: {label}", ylim=(min(0, *(point["score"] for point in points)), 1.04))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        if similarity == "confusion":
            axes.set_xscale("log")
        axes.set_title(_in_words(found[similarity]))
    panels[0].set_ylabel("agreement above chance")
    present = dict.fromkeys(point["method"] for point in points)
    handles = [_mark(*METHOD[method]) for method in METHOD if method in present]
    if {point["classes"] for point in points} != {classes}:
        handles.append(_mark(f"not into {classes} classes", GREY, "o", "none"))
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=5)
    return figure


@styled
def supervision(result: Mapping, measured: Mapping, classes: int) -> Figure:
    """Accuracy on the original classes against bits a sample; classes: the number of original ones."""
    figure = new_figure(COLUMN * 1.5, 3.4)
    axes = figure.add_subplot()
    fine, spread = mean_and_spread(measured["fine.test_accuracy"])
    merges = {name: own[0] for name, own in by_name(result["rows"]).items()}
    modulo = sorted((row for row in merges.values() if row["method"] == "modulo"), key=lambda row: row["bits"])
    others = [row for row in merges.values() if row["method"] != "modulo"]
    for quantity, (_, colour, line) in CURVES.items():
        _means(axes, modulo, measured, quantity, color=colour, linestyle=line, marker="o")
        for row in others:
            look = {"linestyle": "none", "marker": METHOD[row["method"]][2], "markerfacecolor": "none"}
            _means(axes, [row], measured, quantity, color=colour, **look)
    axes.errorbar(result["fine_bits"], fine, yerr=spread or 0, fmt="*", color=COLOURS[0], markersize=9, zorder=3)
    axes.axhline(fine, color=COLOURS[0], linewidth=0.8, linestyle=":")
    levels = np.arange(1, classes + 1)
    axes.plot(result["fine_bits"] * np.log(levels) / np.log(classes), levels / classes, "--", color=GREY, linewidth=0.8)
    axes.set(xlim=(0, None), ylim=(0, 1.02), xlabel="bits of label information a sample")
    axes.set_ylabel(f"test accuracy on {classes} classes")
    handles = [
        Line2D([], [], color=COLOURS[0], marker="*", markersize=8, linestyle=":", label="fine network"),
        *(Line2D([], [], color=c, linestyle=line, marker="o", label=name) for name, c, line in CURVES.values()),
        Line2D([], [], color=GREY, linestyle="--", linewidth=0.8, label="coarse label and a guess"),
        *(_mark(METHOD[row["method"]][0], GREY, METHOD[row["method"]][2], "none") for row in others),
    ]
    named = {handle.get_label(): handle for handle in handles}  # of several random merges one
    figure.legend(named.values(), named, loc="outside lower center", ncols=2)
    return figure


@styled
def cluster_count(rows: Sequence[Mapping]) -> Figure:
    """How often each number of clusters was found, for each true number; a panel a method."""
    figure = new_figure(PAGE, 2.6)
    every = {method: counts(rows, method, least=1) for method in COUNTS}
    true = sorted({number for number, _ in next(iter(every.values()))})
    most = max(found for pairs in every.values() for _, found in pairs)
    for axes, (method, pairs) in zip(figure.subplots(1, len(COUNTS)), every.items(), strict=True):
        cells = np.zeros((len(true), most), int)
        for number, found in pairs:
            cells[true.index(number), found - 1] += 1
        share = cells / cells.sum(1, keepdims=True)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (line, column), number in np.ndenumerate(cells):
            if number:
                colour = "white" if share[line, column] > 0.6 else "black"
                axes.text(column, line, str(number), ha="center", va="center", color=colour)
        for line, number in enumerate(true):
            if number <= most:
                x, y = number - 1.5, line - 0.5
                axes.plot([x, x + 1, x + 1, x, x], [y, y, y + 1, y + 1, y], color=COLOURS[1], clip_on=False)
        merged = [(number, found) for number, found in pairs if number > 1]
        right = sum(number == found for number, found in merged)
        axes.set_title(f"{ESTIMATES[method]}: right for {right} of {len(merged)} of two or more classes")
        axes.set_yticks(range(len(true)), true)
        axes.set_xticks(range(most), range(1, most + 1))
        axes.set(xlabel="clusters found", ylabel="classes merged")
        axes.tick_params(length=0)
    return figure


@styled
def neighbours(matrix: Sequence, names: Sequence[str], coarse_of: np.ndarray, coarse_names: Sequence[str]) -> Figure:
    """A tree of the classes of each super-class of two or more, the first 20 of them.

    matrix: floats (C, C), mean squared distances of samples, as collapse.class_distances gives them.
    """
    matrix = np.asarray(matrix, dtype=float)
    if not np.isfinite(matrix).all():
        raise InputError("the class distances hold a value that is no number: delete the metrics and run `dvc repro`")
    apart = separation(matrix)
    members = [(name, np.flatnonzero(coarse_of == coarse)[:LEAVES]) for coarse, name in enumerate(coarse_names)]
    shown = [(name, own) for name, own in members if len(own) > 1][:PANELS]
    columns = min(len(shown), 4 if len(shown) > 6 else 3)
    lines = -(-len(shown) // columns)
    figure = new_figure(PAGE, 0.4 + lines * (0.35 + 0.15 * max(len(own) for _, own in shown)))
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True)
    for axes, (title, own) in zip(grid.flat, shown, strict=False):
        _tree(axes, apart[np.ix_(own, own)], [plain(names[index], 14) for index in own])
        axes.set_title(plain(title, 24), loc="right")  # the names of the classes leave room to the left
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    for column in range(columns):
        last = grid[(len(shown) - 1 - column) // columns, column]
        last.tick_params(labelbottom=True)
        last.set_xlabel("distance / scatter")
    grid[0, 0].set_xlim(0, 1.05 * max(apart[np.ix_(own, own)].max() for _, own in shown))
    return figure


def _in_words(found: RankCorrelation | None) -> str:
    if found is None:
        return "too few that differ\nfor a rank correlation"
    interval = f"95 % interval {found.low:.2f} to {found.high:.2f}"
    return f"rank correlation {found.rho:.2f} over {found.superclasses},\n{interval}"


def _tree(axes: Axes, apart: np.ndarray, names: Sequence[str]) -> None:
    tree = dendrogram(linkage(squareform(apart, checks=False), "average"), no_plot=True)
    for heights, places in zip(tree["dcoord"], tree["icoord"], strict=True):
        axes.plot(heights, places, color=COLOURS[0], linewidth=1, clip_on=False)
    axes.axvline(1, color=GREY, linewidth=0.6, linestyle=":")
    axes.set_yticks(5 + 10 * np.arange(len(names)), [names[leaf] for leaf in tree["leaves"]], fontsize=6.5)
    axes.set_ylim(10 * len(names), 0)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _means(axes: Axes, rows: Sequence[Mapping], measured: Mapping, quantity: str, **style: object) -> None:
    values = [mean_and_spread(measured[f"merges.{row['name']}.{quantity}"]) for row in rows]
    means, spreads = [mean for mean, _ in values], [spread or 0.0 for _, spread in values]
    axes.errorbar([row["bits"] for row in rows], means, yerr=spreads, markersize=4, elinewidth=0.8, **style)


def _mark(name: str, colour: str, marker: str, face: str | None = None) -> Line2D:
    face = face or colour
    return Line2D([], [], linestyle="", marker=marker, markersize=4, color=colour, markerfacecolor=face, label=name)
