"""The figures on layerwise linear feature connectivity (LLFC) and stitching: rows of the metrics in, a Figure out.

Bands are one sample standard deviation over pairs of networks, to either side of the mean. Layers stand in the order
of their execution.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from scipy.stats import spearmanr

from hidden_structure.report.connectivity.figures import (
    LINES,
    LOOK,
    REPAIRED,
    SPAWNED,
    methods,
    of_plain_cell,
    over_pairs,
)
from hidden_structure.report.linearity.measure import DIRECTIONS, barriers, over_layers
from hidden_structure.report.plotting import (
    MARKERS,
    METHODS,
    PAGE,
    band,
    layers_axis,
    logarithmic_axis,
    new_figure,
    styled,
)
from hidden_structure.report.summary import mean_and_spread

SECTION = {  # figure of the page -> title, how to read it, how it was made
    "linearity": (
        "Features of merged networks, layer by layer",
        "Above how far the features of the network halfway between two others point away from the mean of the two "
        "networks' own features (0: the same direction), below how long they are against that mean (1: as long). LLFC "
        "holds where the upper curve lies far below that of networks that are not aligned. Curves that leave the "
        "panel at its foot fall below 1e-6, where float32 cannot tell them from 0.",
        "Test images; for each, 1 - cos and the projection's coefficient at the alpha nearest to 1/2, averaged over "
        "images; lines are means over pairs, bands one standard deviation to either side. As merged: running "
        "statistics interpolated like the weights; with REPAIR: restored.",
    ),
    "conditions": (
        "The two conditions of LLFC",
        "Weak additivity: interpolating before or after an activation comes to the same. Commutativity: it makes no "
        "difference which network's weights read which network's features; for that it is enough that the weights "
        "agree, or the features. The lower the better; not aligned is before matching, the methods are after it.",
        "dist(x, y) = |x - y|² / (|x| |y|), averaged over test images (of weights: once a layer), additivity at the "
        "alpha nearest to 1/2; W are the weights of a linear layer or convolution, H its inputs, those of B permuted. "
        "Bands are one standard deviation over pairs to either side; values below 1e-6 lie below the panel's foot, as "
        "those of a first layer, which both networks feed with the same images.",
    ),
    "together": (
        "Linear features and linear connectivity",
        "Each mark is a line between two networks of the study: to the right the features of the merged network leave "
        "the interpolated ones, upwards the test error rises above the straight line between its ends (to 0.01 on a "
        "linear scale). Hollow marks are with REPAIR. A rank correlation of 1 means that the one always grows with "
        "the other.",
        "Every pair, width, weight decay and method; 1 - cos at the alpha nearest to 1/2, averaged over test images "
        "and over layers.",
    ),
    "stitching": (
        "Stitched networks",
        "Test error of the lower layers of one network, up to the named one, below the upper layers of another, "
        "without anything in between. The nearer to the dotted line, the test error of the networks themselves, the "
        "more the two compute alike up to there. The two panels have scales of their own.",
        "Means over pairs; every layer keeps the statistics of its own network. Independent networks as they "
        "are, and with the units of the second permuted towards the first by the first method of the parameters.",
    ),
}

FLOOR = 1e-6  # 1 - cos of float32 features is known to about 1e-7, so that nothing below this tells anything
CONDITIONS = {  # of the metrics -> title of the panel
    "additivity": "weak additivity of activations",
    "commutativity": "commutativity",
    "weights": r"weights: dist($W_A$, $W_B$)",
    "inputs": r"inputs: dist($H_A$, $H_B$)",
}
LINEAR_TO = 0.01  # of a barrier in test error: below, its logarithm would be that of a few images
BARRIERS = (0, LINEAR_TO, 0.03, 0.1, 0.3, 1)  # on the axis
GREY = "#555555"

Compared = dict[str, tuple[dict, list[Mapping]]]  # label -> colour and marker, rows


def draw(rows: Sequence[Mapping], stitched: Sequence[Mapping], lines: Sequence[Mapping]) -> dict[str, Figure]:
    """The figures of SECTION by name.

    Args:
        rows: of the linearity metrics; stitched: of the stitching metrics; lines: of the interpolation metrics.

    Raises InputError if a value is not finite, or a row of the linearity metrics has no line.
    """
    return {
        "linearity": linearity(rows),
        "conditions": conditions(rows),
        "together": together(rows, lines),
        "stitching": stitching(stitched),
    }


@styled
def linearity(rows: Sequence[Mapping]) -> Figure:
    """1 - cos of merged with interpolated features, and the coefficient, at every layer; a line for every k and method;
    left as merged, right with REPAIR."""
    rows = of_plain_cell(rows)
    figure = new_figure(PAGE, 4.9)
    grid = figure.subplots(2, 2, sharex=True, sharey="row")
    for column, (repaired, title) in enumerate(REPAIRED.items()):
        own = [row for row in rows if row["repaired"] == repaired]
        for axes, name in zip(grid[:, column], ("dissimilarity", "coefficient"), strict=True):
            _against_layers(axes, _spawned(own) | _independent(own), name)
        grid[0, column].set_title(title)
        grid[1, column].axhline(1, color=GREY, linewidth=0.8, linestyle=(0, (5, 3)), zorder=0)
    logarithmic_axis(*grid[0], floor=FLOOR)
    grid[0, 0].set_ylabel("1 - cos(merged, interpolated)")
    grid[1, 0].set_ylabel("coefficient")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


@styled
def conditions(rows: Sequence[Mapping]) -> Figure:
    """The two conditions of LLFC, and the factors of the second, at every layer that has them; of spawned pairs those
    of the largest k."""
    rows = [row for row in of_plain_cell(rows) if not row["repaired"]]
    latest, spawned = list(_spawned(rows).items())[-1]
    figure = new_figure(PAGE, 4.9)
    grid = figure.subplots(2, 2, sharex=True)
    for axes, (name, title) in zip(grid.flat, CONDITIONS.items(), strict=True):
        _against_layers(axes, {latest: spawned} | _independent(rows), name)
        logarithmic_axis(axes, floor=FLOOR)
        axes.set_title(title)
    for axes in grid[:, 0]:
        axes.set_ylabel("distance")
    figure.legend(*grid[0, 1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@styled
def together(rows: Sequence[Mapping], lines: Sequence[Mapping]) -> Figure:
    """Barrier in test error against 1 - cos of merged with interpolated features, a mark for each line."""
    figure = new_figure(PAGE * 0.75, 3.6)
    axes = figure.add_subplot()
    handles, everything = [], []
    for label, (look, own) in (_spawned(rows) | _independent(rows)).items():
        points = barriers(own, lines)
        for point in points:
            face = "none" if point["repaired"] else look["color"]
            place = max(point["dissimilarity"], FLOOR), point["barrier"]
            axes.plot(*place, linestyle="", markerfacecolor=face, markersize=4, clip_on=False, **look)
        handles.append(Line2D([], [], linestyle="", label=label, **look))
        everything += points
    for repaired, label in REPAIRED.items():
        face = "none" if repaired else GREY
        handles.append(Line2D([], [], linestyle="", marker="o", color=GREY, markerfacecolor=face, label=label))
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=LINEAR_TO, linscale=0.5)
    axes.set_yticks(BARRIERS, [f"{barrier:g}" for barrier in BARRIERS])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0, max(1.2 * max(point["barrier"] for point in everything), LINEAR_TO))
    axes.set(xlabel="1 - cos(merged, interpolated), mean over layers", ylabel="barrier in test error")
    axes.set_title(_rank_correlation(everything))
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=3)
    return figure


@styled
def stitching(stitched: Sequence[Mapping]) -> Figure:
    """Test error of stitched networks against the cut; left spawned pairs of every k, right independent networks, as
    they are and aligned by the first method of the rows."""
    rows = of_plain_cell(stitched)
    independent = _independent(rows)
    used = list(dict.fromkeys(METHODS[row["method"]] for row in rows if row["kind"] == "independent"))[:2]
    figure = new_figure(PAGE, 3.2)
    panels = figure.subplots(1, 2)
    contents = _spawned(rows), {label: independent[label] for label in used}
    handles = []
    for axes, compared in zip(panels, contents, strict=True):
        for index, (label, (look, own)) in enumerate(compared.items()):
            for direction, line in zip(DIRECTIONS, LINES.values(), strict=True):
                mean, _ = over_pairs([row[direction] for row in own])
                axes.plot(mean, line, markevery=_every(len(mean), index), **look)
            handles.append(Line2D([], [], label=label, **look))
        ends = [row[end] for _, own in compared.values() for row in own for end in ("error_a", "error_b")]
        axes.axhline(mean_and_spread(ends)[0], color=GREY, linewidth=1, linestyle=":", zorder=0)
        layers_axis(axes, rows[0]["layers"])
        axes.set_xlabel("last layer of the lower part")
    panels[0].set(ylabel="test error", title="networks that part after k epochs")
    panels[1].set_title("independent networks")
    for direction, line in zip(DIRECTIONS.values(), LINES.values(), strict=True):
        handles.append(Line2D([], [], color=GREY, linestyle=line, label=direction))
    handles.append(Line2D([], [], color=GREY, linewidth=1, linestyle=":", label="the networks themselves"))
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=4)
    return figure


def _spawned(rows: Sequence[Mapping]) -> Compared:
    """Spawned pairs, k by k; the darker, the earlier they part."""
    epochs = sorted({row["k"] for row in rows if row["kind"] == "spawned"})
    found: Compared = {}
    for index, k in enumerate(epochs):
        share = 1 - 0.65 * (len(epochs) - 1 - index) / max(len(epochs) - 1, 1)
        look = {"color": tuple(share * part for part in to_rgb(SPAWNED)), "marker": MARKERS[5 + index % 5]}
        found[f"spawned at k = {k}"] = look, [row for row in rows if row["k"] == k]
    return found


def _independent(rows: Sequence[Mapping]) -> Compared:
    """Independent pairs, method by method."""
    rows = [row for row in rows if row["kind"] == "independent"]
    looks = {method: dict(zip(("color", "marker"), LOOK[method], strict=True)) for method in methods(rows)}
    return {METHODS[method]: (look, [row for row in rows if row["method"] == method]) for method, look in looks.items()}


def _against_layers(axes: Axes, compared: Compared, name: str) -> None:
    for index, (label, (look, rows)) in enumerate(compared.items()):
        profiles = [over_layers(row, name) for row in rows]
        places = list(profiles[0])
        if places:
            mean, spread = over_pairs([list(profile.values()) for profile in profiles])
            style = {"marker": look["marker"], "markevery": _every(len(places), index)}
            curve = np.array(places), np.maximum(mean, FLOOR), spread
            band(axes, curve, look["color"], "-" if rows[0]["k"] is None else "--", label, **style)
    layers_axis(axes, [layer["name"] for layer in rows[0]["layers"]])


def _every(points: int, index: int) -> tuple[int, int]:
    """Which points of the curve of that index bear its mark: staggered, for curves may lie on one another."""
    step = max(3, points // 6)
    return index % step, step


def _rank_correlation(points: Sequence[Mapping]) -> str:
    columns = [[point[name] for point in points] for name in ("dissimilarity", "barrier")]
    if any(len(set(column)) < 2 for column in columns):
        return f"{len(points)} lines, too few that differ for a rank correlation"
    return f"Spearman's rank correlation {spearmanr(*columns).statistic:.2f} over {len(points)} lines"
