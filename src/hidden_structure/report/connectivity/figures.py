"""The figures on mode connectivity, one function a figure: rows of the interpolation metrics in, a Figure out.

Bands and bars are one sample standard deviation over pairs of networks, to either side of the mean.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from hidden_structure.frame.errors import InputError
from hidden_structure.report.connectivity.claims import STABLE_BELOW
from hidden_structure.report.plotting import (
    COLOURS,
    COLUMN,
    MARKERS,
    METHODS,
    PAGE,
    band,
    logarithmic_axis,
    new_figure,
    styled,
)
from hidden_structure.report.summary import mean_and_spread

SECTION = {  # figure of the page -> title, how to read it, how it was made
    "spawning": (
        "Networks that part after k epochs",
        "Left how far the test error on the straight line between two such networks exceeds the mean of its ends, "
        "right how far the test loss rises above the straight line between its ends. Dots are pairs, lines means; "
        "below the dashes a pair counts as stable, its two networks in one basin.",
        "A network is trained for k epochs, copied, and both go on with their own order and augmentation of the "
        "samples. As merged: all weights and statistics interpolated; with REPAIR: statistics of the merged network "
        "restored at every point.",
    ),
    "lines": (
        "Between independent networks",
        "Test loss and accuracy on the straight line between two networks that share nothing but the recipe; lines "
        "are means over pairs, bands one standard deviation to either side. A flat line means one basin. REPAIR is on "
        "both sides of the comparison: what it does without any alignment is the black line on the right.",
        "The units of the second network are permuted towards the first by each method, which leaves what it computes "
        "as it was. The dashed line joins networks that parted after the largest k.",
    ),
    "widths": (
        "Barriers against width",
        "How far the test error rises above the straight line between its ends; dots are means over pairs, bars one "
        "standard deviation, dots side by side belong to one width.",
        "Independent networks of every width and weight decay of the parameters, aligned like those above.",
    ),
    "plane": (
        "The plane through three networks",
        "Training loss on the plane through a network A, an independent B, and B with its units permuted towards A. "
        "Distances are Euclidean distances of the parameters. Alignment has worked where A and the permuted B share "
        "one basin.",
        "The first pair of the plain recipe and the first method of the parameters. Where the networks have "
        "BatchNorm, its statistics are recomputed at every point.",
    ),
}

LOOK = {  # method -> colour, marker
    method: (colour, MARKERS[index])
    for index, (method, colour) in enumerate(zip(METHODS, (COLOURS[6], *COLOURS[:4]), strict=True))
}
REPAIRED = {False: "as merged", True: "with REPAIR"}
LINES = {False: "-", True: "--"}
SPAWNED = COLOURS[4]
DECADES = 10  # from this ratio of largest to smallest on, losses are drawn on a logarithmic scale


def draw(rows: Sequence[Mapping], on_plane: Mapping | None) -> dict[str, Figure]:
    """The figures of SECTION by name: `widths` only where there is more than one cell, `plane` where there is a plane.

    Args:
        rows: of the interpolation metrics; on_plane: the plane's metrics.
    """
    drawn = {"spawning": barrier_against_k(rows), "lines": along_the_line(rows)}
    if len(of_plain_cell(rows)) < len(rows):
        drawn["widths"] = barrier_against_width(rows)
    return drawn if on_plane is None else drawn | {"plane": plane(on_plane)}


@styled
def barrier_against_k(rows: Sequence[Mapping]) -> Figure:
    """Instability in test error, and barrier in test loss, of spawned pairs against the epoch k at which they part."""
    spawned = [row for row in rows if row["kind"] == "spawned"]
    epochs = sorted({row["k"] for row in spawned})
    figure = new_figure(PAGE, 2.6)
    panels = figure.subplots(1, 2)
    for axes, (kind, quantity, label) in zip(
        panels,
        (("instability", "test_error", "instability in test error"), ("barrier", "test_loss", "barrier in test loss")),
        strict=True,
    ):
        for repaired, line in LINES.items():
            colour, marker = COLOURS[repaired], MARKERS[repaired]
            values = [
                [row[kind][quantity] for row in spawned if (row["k"], row["repaired"]) == (k, repaired)] for k in epochs
            ]
            places = np.arange(len(epochs)) + (0.12 if repaired else -0.12)
            for place, own in zip(places, values, strict=True):
                axes.plot([place] * len(own), own, marker, color=colour, markersize=4, alpha=0.6, markeredgewidth=0)
            means = [mean_and_spread(own)[0] for own in values]
            axes.plot(places, means, line, color=colour, linewidth=0.9, label=f"{REPAIRED[repaired]}, mean")
        axes.set_xticks(range(len(epochs)), [str(k) for k in epochs])
        axes.set(xlim=(-0.5, len(epochs) - 0.5), xlabel="k, epochs trained before parting", ylabel=label)
    name = f"stable below {STABLE_BELOW}"
    panels[0].axhline(STABLE_BELOW, color="#555555", linewidth=0.8, linestyle=(0, (5, 3)), label=name)
    for axes in panels:
        axes.set_ylim(0, max(axes.get_ylim()[1], 1e-3))  # a flat line at 0 is 0, not rounding errors
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@styled
def along_the_line(rows: Sequence[Mapping]) -> Figure:
    """Test loss and accuracy between independent networks of the plain cell, a line a method; left as merged, right
    with REPAIR. For comparison, between networks that parted after the largest k."""
    spawned = [row for row in rows if row["kind"] == "spawned"]
    latest = max(row["k"] for row in spawned)
    independent = [row for row in of_plain_cell(rows) if row["kind"] == "independent"]
    figure = new_figure(PAGE, 4.4)
    grid = figure.subplots(2, 2, sharex=True, sharey="row")
    for column, repaired in enumerate(REPAIRED):
        for axes, quantity in zip(grid[:, column], ("test_loss", "test_accuracy"), strict=True):
            for index, method in enumerate(methods(rows)):
                own = [row for row in independent if (row["method"], row["repaired"]) == (method, repaired)]
                colour, marker = LOOK[method]
                places = {"marker": marker, "markevery": (index, 5)}  # staggered: lines may lie on one another
                band(axes, _mean_line(own, quantity), colour, "-", METHODS[method], **places)
            own = [row for row in spawned if (row["k"], row["repaired"]) == (latest, repaired)]
            band(axes, _mean_line(own, quantity), SPAWNED, "--", f"spawned at k = {latest}")
        grid[0, column].set_title(REPAIRED[repaired])
        grid[1, column].set(xlabel=r"$\alpha$, from network A (0) to B (1)", xlim=(0, 1))
    losses = np.concatenate([line.get_ydata() for axes in grid[0] for line in axes.lines])
    if losses.max() > DECADES * losses.min() > 0:
        logarithmic_axis(*grid[0])
    grid[0, 0].set_ylabel("test cross-entropy (nats)")
    grid[1, 0].set_ylabel("test accuracy")
    figure.legend(*grid[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@styled
def barrier_against_width(rows: Sequence[Mapping]) -> Figure:
    """Barrier in test error of independent networks against their width, a line a method, a panel a weight decay."""
    rows = [row for row in rows if row["kind"] == "independent"]
    decays = sorted({row["weight_decay"] for row in rows})
    figure = new_figure(PAGE if len(decays) > 1 else COLUMN * 1.3, 2.9 if len(decays) <= 3 else 2.3)
    for axes, decay in zip(figure.subplots(1, len(decays), sharey=True, squeeze=False)[0], decays, strict=True):
        own = [row for row in rows if row["weight_decay"] == decay]
        widths = sorted({row["width"] for row in own})
        for index, method in enumerate(methods(rows)):
            for repaired, line in LINES.items():
                _against_width(axes, own, method, repaired, line, 2 ** (0.06 * (index - 2)))
        axes.set_xscale("log", base=2)
        axes.set_xticks(widths, [_multiple(width) for width in widths])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlim=(widths[0] / 1.4, widths[-1] * 1.4), ylim=(0, None), xlabel="multiple of the network's width")
        if len(decays) > 1:
            axes.set_title(f"weight decay {decay:g}")
    figure.axes[0].set_ylabel("barrier in test error")
    handles = [
        Line2D([], [], color=LOOK[method][0], marker=LOOK[method][1], label=METHODS[method]) for method in methods(rows)
    ] + [Line2D([], [], color="#555555", linestyle=line, label=REPAIRED[repaired]) for repaired, line in LINES.items()]
    figure.legend(
        handles, [line.get_label() for line in handles], loc="outside lower center", ncols=4 if len(decays) > 1 else 2
    )
    return figure


@styled
def plane(plane: Mapping) -> Figure:
    """Training loss on the plane through A, B and the permuted B.

    Raises InputError if a loss is not finite.
    """
    loss = np.asarray(plane["train_loss"], dtype=float)
    if not np.isfinite(loss).all():
        raise InputError("the plane holds a loss that is not a number: delete the metrics and run `dvc repro`")
    figure = new_figure(COLUMN * 1.35, COLUMN * 1.2)
    axes = figure.add_subplot()
    steep = loss.max() > DECADES * loss.min() > 0
    low, high = loss.min(), max(loss.max(), loss.min() + 1e-9)  # contours need two levels that differ
    levels = np.geomspace(low, high, 15) if steep else np.linspace(low, high, 15)
    levels[-1] *= 1 + 1e-9  # the highest loss itself belongs to the last level
    norm = {"norm": "log"} if steep else {}
    filled = axes.contourf(plane["x"], plane["y"], loss, levels=levels, cmap="cividis", **norm)
    bar = figure.colorbar(filled, ax=axes, label="training cross-entropy (nats)", shrink=0.9)
    locator = LogLocator(subs=(1, 2, 5)) if steep else MaxNLocator(6)
    ticks = [tick for tick in locator.tick_values(low, high) if low <= tick <= high]
    step = -(-len(ticks) // 8)
    bar.set_ticks(ticks[::step], labels=[f"{tick:g}" for tick in ticks[::step]])
    bar.ax.minorticks_off()
    outline = [withStroke(linewidth=2, foreground="black")]
    centre = np.mean(plane["networks"], axis=0)
    middle = np.mean([plane["x"][0], plane["x"][-1]])
    for (x, y), name, marker in zip(plane["networks"], ("A", "B", "permuted B"), "os^", strict=True):
        axes.plot(x, y, marker, color="white", markeredgecolor="black", markersize=6, linestyle="")
        axes.annotate(
            name,
            (x, y),
            xytext=(6 if x <= middle else -6, 6 if y > centre[1] else -6),  # away from the others, inwards
            textcoords="offset points",
            ha="left" if x <= middle else "right",
            va="bottom" if y > centre[1] else "top",
            color="white",
            path_effects=outline,
        )
    how = METHODS[plane["method"]] + (", with REPAIR" if plane["repaired"] else "")
    axes.set_title(f"seeds {plane['seeds'][0]} and {plane['seeds'][1]}, {how}")
    axes.set(xlabel="distance along A to B", ylabel="distance across", aspect="equal")
    return figure


def of_plain_cell(rows: Sequence[Mapping]) -> list[Mapping]:
    """Those of width 1 and the recipe's own weight decay, the only ones with spawned pairs."""
    plain = next((row["width"], row["weight_decay"]) for row in rows if row["kind"] == "spawned")
    return [row for row in rows if (row["width"], row["weight_decay"]) == plain]


def methods(rows: Sequence[Mapping]) -> list[str]:
    """Of aligning, those that the rows know, in the order of METHODS."""
    present = {row["method"] for row in rows}
    return [method for method in METHODS if method in present]


def over_pairs(curves: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread over pairs at every point of their curves (spread 0 with one pair)."""
    points = [mean_and_spread(values) for values in zip(*curves, strict=True)]
    means, spreads = ([0.0 if value is None else value for value in column] for column in zip(*points, strict=True))
    return np.array(means), np.array(spreads)


def _mean_line(rows: Sequence[Mapping], quantity: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.array(rows[0]["alphas"]), *over_pairs([row[quantity] for row in rows])


def _against_width(axes: Axes, rows: Sequence[Mapping], method: str, repaired: bool, line: str, shift: float) -> None:
    own: dict[float, list[float]] = {}
    for row in rows:
        if (row["method"], row["repaired"]) == (method, repaired):
            own.setdefault(row["width"], []).append(row["barrier"]["test_error"])
    widths = sorted(own)
    values = [mean_and_spread(own[width]) for width in widths]
    colour, marker = LOOK[method]
    axes.errorbar(
        [width * shift for width in widths],  # beside one another: bars of methods would hide each other
        [mean for mean, _ in values],
        yerr=[spread or 0.0 for _, spread in values],
        color=colour,
        marker=marker,
        linestyle=line,
        markerfacecolor="white" if repaired else colour,
        elinewidth=0.8,
    )


def _multiple(width: float) -> str:
    fraction = Fraction(width).limit_denominator(64)
    return f"{width:g}" if not math.isclose(fraction, width) or fraction.denominator == 1 else str(fraction)
