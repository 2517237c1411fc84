"""The figures on layerwise linear feature connectivity (LLFC) and stitching: rows of the tables in, a Figure out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Picture
from hidden_structure.report.connectivity import lines, series
from hidden_structure.report.connectivity.claims import STABLE_AT_MOST
from hidden_structure.report.connectivity.figures import LINEAR_TO, error_axis, plain_ticks
from hidden_structure.report.connectivity.lines import REPAIRED, Rows
from hidden_structure.report.connectivity.series import GREY, Series
from hidden_structure.report.linearity.claims import BENT_AT_MOST, FLOOR
from hidden_structure.report.plotting import PAGE, logarithmic_axis, new_figure
from hidden_structure.report.statistics import mean

CONDITIONS = {  # column -> title of the panel, which layers have it
    "additivity": ("weak additivity", "activation"),
    "commutativity": ("commutativity", "weighted"),
    "weights": (r"its factor, weights: dist($W_A$, $W_B$)", "weighted"),
    "inputs": (r"its factor, inputs: dist($H_A$, $H_B$)", "weighted"),
}
TITLE = 24  # letters of a panel's title in a line: four panels stand side by side
BLOCKS = 12  # at most so many are numbered on an axis
BELOW = (
    "What is below 1e-6, where float32 cannot tell features from parallel ones, counts as 1e-6; where all pairs are, "
    "nothing is drawn."
)


def pictures(study: Study, features: Rows, layers: Rows, stitched: Rows, walked: Rows) -> list[Picture]:
    """features, stitched and walked (the lines), dated: of every width and recipe; layers: of the plain network."""
    plain, cuts = lines.plain(study, features), lines.plain(study, stitched)
    repaired = lines.repairs(study)
    found = [
        Picture(
            "linearity",
            "Features of merged networks, layer by layer",
            "Above how far the features of the network halfway between two others point away from the mean of the two "
            "networks' own features (0: the same direction); the thin lines of the same colour are how far the two "
            "networks' features point away from each other. LLFC holds where a line runs below its thin one. Below how "
            "long the merged features are along that mean, as a multiple of its length (1: as long).",
            "Test images; for each, 1 - cos and the coefficient <merged, mean> / |mean|² at the alpha nearest to 1/2, "
            f"averaged over images. {series.BANDS} Layers stand in order of execution, numbers are of blocks. {BELOW}",
            partial(linearity, series.few(plain), layers),
        ),
        Picture(
            "conditions",
            "The two conditions of LLFC, and what the second comes from",
            "Weak additivity: interpolating before or after an activation comes to the same. Commutativity: it makes "
            "no difference which network's weights read which network's features; for that it is enough that the "
            "weights agree, or the features, which the lower panels show. The lower the better.",
            "dist(x, y) = |x - y|² / (|x| |y|), a number without unit, averaged over test images (of weights: once a "
            "layer), additivity at the alpha nearest to 1/2; W are the weights of a linear layer or convolution, H its "
            f"inputs, those of B permuted. {series.BANDS} A first layer sees the same images in both networks: its "
            f"inputs are at no distance, and nothing is drawn. {BELOW}",
            partial(conditions, series.few(plain), layers),
        ),
        Picture(
            "together",
            "Linear features and linear connectivity",
            "Each mark is a line between two networks: to the right of the upright dashes the merged features lie "
            "further from the interpolated ones than a fifth of what lies between the two networks', above the level "
            "ones the test error has a barrier. LLFC and mode connectivity go together if no mark lies upper left or "
            "lower right. Hollow marks are with REPAIR.",
            "Every pair, width, weight decay and method; the ratio at its worst layer and alpha; barriers on an axis "
            f"that is linear to {LINEAR_TO:g}.",
            partial(together, lines.of_recipe(features), walked),
        ),
    ]
    if cuts:
        cut = Picture(
            "stitching",
            "Stitched networks",
            "Test error of the lower layers of one network, up to a cut, below the upper layers of another, without "
            "anything in between. The nearer to the dots, the test error of the networks themselves, the more the two "
            "compute alike up to there. Each panel has a scale of its own.",
            "Means over pairs and over both orders, bands one standard deviation to either side; every layer keeps the "
            "statistics of its own network. The units of the second network are permuted towards the first.",
            partial(stitching, series.few(cuts), layers),
        )
        found.append(cut)
    other = "As the figure of three of them."
    if len(series.everything(plain)) > 3:
        every = series.everything(plain)
        how = f"As there, {REPAIRED[repaired]}."
        found += [
            Picture(
                "linearity-all",
                "Features of merged networks, every method and k",
                other,
                how,
                partial(panels, every, layers, "dissimilarity", repaired),
            ),
            Picture(
                "commutativity-all",
                "Commutativity, every method and k",
                other,
                "As there.",
                partial(panels, every, layers, "commutativity", False),
            ),
        ]
    if cuts and len(series.everything(plain)) > 3:
        drawn = partial(stitching, series.everything(cuts), layers)
        found.append(Picture("stitching-all", "Stitched networks, every method and k", other, "As there.", drawn))
    return found


def linearity(drawn: Sequence[Series], layers: Rows) -> Figure:
    """1 - cos of merged with interpolated features beside that of the ends, and the coefficient, at every layer."""
    figure = new_figure(PAGE, PAGE * 0.66)
    grid = figure.subplots(2, 2, sharex=True, sharey="row")
    places = [layer["layer"] for layer in layers]
    for column, repaired in enumerate(REPAIRED):
        top, bottom = grid[:, column]
        for one in drawn:
            own = _of(one, repaired)
            _against_layers(top, own, places, "dissimilarity")
            ends, *_ = series.over_pairs(own.rows, lambda row: row["layers"]["ends"], FLOOR)
            top.plot(places, ends, color=own.colour, linewidth=0.6, zorder=1)
            _against_layers(bottom, own, places, "coefficient", floor=None)
        top.set_title(REPAIRED[repaired])
        bottom.axhline(1, color=GREY, linewidth=0.8, linestyle=(0, (5, 3)), zorder=0)
        blocks_axis(bottom, layers)
    logarithmic_axis(*grid[0], floor=FLOOR)
    plain_ticks(grid[0, 0])
    grid[0, 0].set_ylabel("1 - cos(merged, mean of the ends)")
    grid[1, 0].set_ylabel("coefficient (1: full length)")
    handles, labels = grid[1, 0].get_legend_handles_labels()
    handles.append(Line2D([], [], color=GREY, linewidth=0.6, label="thin: the two ends"))
    figure.legend(handles, [*labels, handles[-1].get_label()], loc="outside lower center", ncols=4)
    return figure


def conditions(drawn: Sequence[Series], layers: Rows) -> Figure:
    """The two conditions of LLFC, and the factors of the second, at the layers that have them."""
    figure = new_figure(PAGE, PAGE * 0.66)
    grid = figure.subplots(2, 2, sharey=True)
    for axes, (name, (title, kind)) in zip(grid.flat, CONDITIONS.items(), strict=True):
        places = [layer["layer"] for layer in layers if layer[kind]]
        for one in drawn:
            own = _of(one, False)
            if name in own.rows[0]["layers"]:
                _against_layers(axes, own, places, name)
        axes.set_title(title)
        blocks_axis(axes, layers)
    logarithmic_axis(*grid.flat, floor=FLOOR)
    plain_ticks(grid[0, 0])
    for axes in grid[:, 0]:
        axes.set_ylabel("dist (no unit)")
    figure.legend(*grid[0, 1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def panels(drawn: Sequence[Series], layers: Rows, name: str, repaired: bool) -> Figure:
    """One quantity of every series, each in a panel of its own, before the others in grey."""
    columns = min(4, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = new_figure(PAGE, PAGE * (0.06 + 0.25 * rows))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    kind = CONDITIONS[name][1] if name in CONDITIONS else None
    places = [layer["layer"] for layer in layers if kind is None or layer[kind]]
    own = [_of(one, repaired) for one in drawn]
    for axes, one in zip(grid.flat, own, strict=False):
        for other in own:
            if other is not one:
                middle, *_ = series.over_pairs(other.rows, lambda row: row["layers"][name], FLOOR)
                axes.plot(places, middle, color="#cccccc", linewidth=0.7, zorder=0)
        _against_layers(axes, one, places, name)
        if not np.isfinite(axes.lines[-1].get_ydata()).any():
            words = {"color": GREY, "fontsize": "small", "ha": "center", "transform": axes.transAxes}
            axes.text(0.5, 0.05, "below 1e-6 throughout", **words)
        axes.set_title(fill(one.label, TITLE), fontsize="small")
        blocks_axis(axes, layers, BLOCKS // 2)
        axes.set_xlabel("")
    for place in range(len(own), grid.size):
        grid.flat[place].set_visible(False)
        grid.flat[place - columns].tick_params(labelbottom=True)  # of the panel above it, which is now the lowest
    figure.supxlabel("block of layers, in order of execution", fontsize="medium")
    logarithmic_axis(*list(grid.flat)[: len(own)], floor=FLOOR)
    plain_ticks(grid[0, 0])
    for line in grid:
        line[0].set_ylabel("1 - cos" if name == "dissimilarity" else "dist (no unit)")
    return figure


def together(features: Rows, walked: Rows) -> Figure:
    """Barrier in test error against the ratio that LLFC is judged by, a mark a line."""
    barriers = {_key(row): height for row, height in zip(walked, lines.heights(walked), strict=True)}
    figure = new_figure(PAGE, PAGE * 0.48)
    axes = figure.add_subplot()
    handles = []
    for one in series.everything(features):
        for repaired in REPAIRED:
            own = [row for row in one.rows if row["repaired"] == repaired]
            look = series.HOLLOW | {"markerfacecolor": "none"} if repaired else series.FILLED
            places = [row["bend"] for row in own], [barriers[_key(row)] for row in own]
            axes.plot(*places, one.marker, color=one.colour, clip_on=False, **look)
        handles.append(Line2D([], [], linestyle="", marker=one.marker, color=one.colour, label=one.label))
    if any(row["bend"] > 0 for row in features):  # of networks that are the same nothing bends
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    error_axis(axes)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, BENT_AT_MOST) / 1.3, max(high, BENT_AT_MOST) * 1.3)
    axes.set_ylim(-0.001, 1.2 * max(LINEAR_TO, *barriers.values()))
    dashes = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (5, 3)), "zorder": 0}
    axes.axvline(BENT_AT_MOST, **dashes)
    axes.axhline(STABLE_AT_MOST, **dashes)
    axes.axhspan(-0.001, LINEAR_TO, color="#eeeeee", linewidth=0, zorder=-1)
    place = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "center"}
    axes.text(0.99, LINEAR_TO / 2, "linear scale", color=GREY, fontsize="small", **place)
    axes.set(
        xlabel="1 - cos(merged, interpolated) over 1 - cos(ends), at the worst layer", ylabel="barrier in test error"
    )
    hollow = series.HOLLOW | {"markerfacecolor": "none", "linestyle": "", "label": "with REPAIR"}
    handles.append(Line2D([], [], marker="o", color=GREY, **hollow))
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside right center")
    return figure


def stitching(drawn: Sequence[Series], layers: Rows) -> Figure:
    """Test error after every cut: left networks that parted, right independent ones, each on a scale from 0: on one
    those that parted, of which the errors hardly rise, would lie on one another."""
    figure = new_figure(PAGE, PAGE * 0.38)
    titles = {True: "networks that part after k", False: "independent networks"}
    kinds = [parted for parted in titles if any((one.rows[0]["k"] is not None) == parted for one in drawn)]
    grid = figure.subplots(1, len(kinds), squeeze=False)[0]
    for axes, parted in zip(grid, kinds, strict=True):
        own = [one for one in drawn if (one.rows[0]["k"] is not None) == parted]
        for one in own:
            both = [{"error": row["cuts"][order]} for row in one.rows for order in ("a_below_b", "b_below_a")]
            places = one.rows[0]["cuts"]["layer"]
            series.draw(axes, replace(one, rows=both), places, lambda row: row["error"], _every(places))
        ends = [error for one in own for row in one.rows for error in row["ends"]]
        axes.axhline(mean(ends), color=GREY, linewidth=1, linestyle=":", zorder=0)
        if len(kinds) > 1:
            axes.set_title(titles[parted])
        blocks_axis(axes, layers)
        axes.set(xlabel="block of the last layer of the lower part", ylabel="test error (fraction)")
        axes.set_ylim(0, min(1.0, 1.1 * axes.dataLim.y1))
    handles = [handle for axes in grid for handle in axes.get_legend_handles_labels()[0]]
    handles.append(Line2D([], [], color=GREY, linewidth=1, linestyle=":", label="the networks themselves"))
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=3)
    return figure


def blocks_axis(axes: Axes, layers: Rows, most: int = BLOCKS) -> None:
    """Layers in order of execution; numbers name blocks, at most so many and not too close, at their first layer."""
    first: dict[int, int] = {}
    for layer in layers:
        first.setdefault(layer["block"], layer["layer"])
    step = -(-len(first) // most)
    near, named = len(layers) / (1.5 * most), {}
    for block, layer in list(first.items())[::step]:
        if not named or layer - max(named.values()) >= near:
            named[block] = layer
    axes.set_xticks(list(named.values()), [str(block) for block in named])
    axes.set_xticks(list(first.values()), minor=True)
    axes.set_xlim(layers[0]["layer"] - 0.5, layers[-1]["layer"] + 0.5)
    axes.set_xlabel("block of layers, in order of execution")


def _of(one: Series, repaired: bool) -> Series:
    return replace(one, rows=lines.of_repair(one.rows, repaired))


def _against_layers(axes: Axes, one: Series, places: Sequence[int], name: str, floor: float | None = FLOOR) -> None:
    def values(row: Mapping) -> Sequence[float]:
        return row["layers"][name]

    series.draw(axes, one, places, values, _every(places), floor)


def _every(places: Sequence[int]) -> int:
    return max(1, len(places) // 10)


def _key(row: Mapping) -> tuple:
    return row["pair"], row["method"], row["repaired"]
