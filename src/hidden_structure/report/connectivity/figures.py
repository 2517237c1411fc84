"""The figures on mode connectivity: rows of the tables in, a Figure out."""

import math
from collections.abc import Collection, Sequence
from fractions import Fraction
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Picture
from hidden_structure.report.connectivity import lines, parting, series
from hidden_structure.report.connectivity.lines import REPAIRED, UNALIGNED, Rows
from hidden_structure.report.plotting import COLUMN, PAGE, logarithmic_axis, new_figure, written
from hidden_structure.report.statistics import interval, mean

LINEAR_TO = 0.01  # of a barrier in test error: below, its logarithm would be that of a few images
DECADES = 10  # from this ratio of largest to smallest on, losses are drawn on a logarithmic scale


def pictures(study: Study, every: Rows, forks: Rows, plane_rows: Rows, unlearnt: Collection[str] = ()) -> list[Picture]:
    """Those that the rows suffice for; every: the dated lines of all widths and recipes, unlearnt: those recipes whose
    networks have not learnt the task."""
    plain = lines.plain(study, every)
    spawned = any(row["k"] is not None for row in plain)
    kinds = (
        "The three kinds of pair are told apart by colour and mark; those with a k are networks that parted after k "
        "steps, a share of training. "
    )
    found = [
        *parting.pictures(study, every, forks, unlearnt),
        Picture(
            "lines",
            "On the line between two networks",
            "Test loss and accuracy on the straight line between two networks; a flat line means one basin. "
            f"{kinds if spawned else ''}REPAIR is given to all of them alike.",
            f"{series.BANDS} The units of the second network are permuted towards the first, which leaves what it "
            "computes as it was.",
            partial(between, series.few(plain)),
        ),
    ][0 if forks else 1 :]
    if plane_rows:
        found.append(
            Picture(
                "plane",
                "The plane through three networks",
                "Training loss on the plane through a network A, an independent B, and B with its units permuted "
                "towards A. Alignment has worked where no ridge parts A from the permuted B. The fill of the three "
                "marks is the loss of the networks themselves, which lie between the points of the grid.",
                "The first pair of the plain recipe and the first method of the parameters; each cell is one network, "
                "distances are Euclidean distances of the parameters. Where the networks have BatchNorm, its "
                "statistics are recomputed at every point.",
                partial(plane, plane_rows, "networks" if study.spawn.checkpoints else "seeds"),
            )
        )
    wide = [row for row in every if row["k"] is None]
    if len({(row["width"], row["weight_decay"]) for row in wide}) > 1:
        repaired = lines.repairs(study)
        methods = [method for method in lines.methods(wide) if method != UNALIGNED]
        by_activations = [method for method in ("correlations", "activations", "joint") if method in methods]
        chosen = [UNALIGNED, *dict.fromkeys(methods[:1] + (by_activations or methods[-1:])[:1])]
        found.append(
            Picture(
                "widths",
                "Barriers against width",
                "How far the test error rises above the straight line between its ends, against the width of the "
                "networks. Small marks are pairs, lines their means, bars 95 % intervals, which the panels may cut. "
                f"The axis is linear below {LINEAR_TO:g} and logarithmic above.",
                f"Independent networks, {REPAIRED[repaired]}, of every width and weight decay of the parameters.",
                partial(barrier_against_width, wide, chosen, [repaired]),
            )
        )
    if len(series.everything(plain)) > 3:
        found.append(
            Picture(
                "lines-all",
                "On the line between two networks, every method and k",
                "As the figure of three of them; each kind of pair on a scale of its own.",
                "As there.",
                partial(between, series.everything(plain)),
            )
        )
    if any(picture.name == "widths" for picture in found) and len(methods) > 1:
        found.append(
            Picture(
                "widths-all",
                "Barriers against width, every method",
                "As the figure of three of them; above as merged, below with REPAIR.",
                "As there.",
                partial(barrier_against_width, wide, [UNALIGNED, *methods], list(REPAIRED)),
            )
        )
    return found


def between(drawn: Sequence[series.Series]) -> Figure:
    """Test loss and accuracy along the lines, a curve a series; left as merged, right with REPAIR.

    Of more than three series independent networks, left, and those that parted, which rise so much less that they would
    lie on one another, have panels and scales of their own.
    """
    kinds = [[one for one in drawn if (one.rows[0]["k"] is not None) == parted] for parted in (False, True)]
    kinds = [kind for kind in kinds if kind] if len(drawn) > 3 else [drawn]
    columns = [(kind, repaired) for kind in kinds for repaired in REPAIRED]
    figure = new_figure(PAGE, PAGE * 0.62)
    grid = figure.subplots(2, len(columns), sharex=True, squeeze=False)
    for (kind, repaired), (loss, accuracy) in zip(columns, grid.T, strict=True):
        for axes, quantity in ((loss, "test_loss"), (accuracy, "test_accuracy")):
            for one in kind:
                own = series.Series(one.label, one.colour, one.marker, one.line, lines.of_repair(one.rows, repaired))
                alphas = own.rows[0]["alphas"]
                floor = 0.0 if quantity == "test_loss" else None
                series.draw(axes, own, alphas, lambda row, name=quantity: row[name], -(-len(alphas) // 9), floor)
        who = "" if len(kinds) == 1 else "parted, " if kind[0].rows[0]["k"] is not None else "independent, "
        loss.set_title(who + REPAIRED[repaired])
        way = "from network A (0) to B (1)" if len(kinds) == 1 else "A (0) to B (1)"
        accuracy.set(xlabel=rf"$\alpha$, {way}", xlim=(-0.02, 1.02))
    for losses, accuracies in (grid[:, place : place + 2] for place in range(0, len(columns), 2)):
        for row in (losses, accuracies):
            row[1].sharey(row[0])
            row[1].tick_params(labelleft=False)
        logarithmic_axis(*losses)
        plain_ticks(losses[0])
    grid[0, 0].set_ylabel("test cross-entropy (nats)")
    grid[1, 0].set_ylabel("test accuracy (fraction)")
    handles = [handle for kind in range(len(kinds)) for handle in grid[1, 2 * kind].get_legend_handles_labels()[0]]
    figure.legend(handles, [one.get_label() for one in handles], loc="outside lower center", ncols=min(3, len(drawn)))
    return figure


def barrier_against_width(rows: Rows, methods: Sequence[str], repairs: Sequence[bool]) -> Figure:
    """Barrier in test error of independent networks against their width: a column a weight decay, a row a repair."""
    decays = sorted({row["weight_decay"] for row in rows})
    figure = new_figure(PAGE, PAGE * (0.1 + 0.3 * len(repairs)))
    grid = figure.subplots(len(repairs), len(decays), sharex=True, sharey=True, squeeze=False)
    drawn = [row for row in rows if row["method"] in methods and row["repaired"] in repairs]
    every = lines.heights(drawn)
    for line, repaired in zip(grid, repairs, strict=True):
        for axes, decay in zip(line, decays, strict=True):
            own = [row for row in rows if row["weight_decay"] == decay and row["repaired"] == repaired]
            widths = sorted({row["width"] for row in own})
            shown = [one for one in series.independent(own) if one.rows[0]["method"] in methods]
            for index, one in enumerate(shown):
                heights = [lines.heights([row for row in one.rows if row["width"] == width]) for width in widths]
                kept = [(width, values) for width, values in zip(widths, heights, strict=True) if values]
                beside = 2 ** (0.07 * (index - (len(shown) - 1) / 2))  # or what coincides would hide
                places, middles = [beside * width for width, _ in kept], [mean(values) for _, values in kept]
                axes.plot(places, middles, label=one.label, zorder=2, **one.style)
                for place, middle, (_, values) in zip(places, middles, kept, strict=True):
                    axes.plot([place] * len(values), values, ".", color=one.colour, markersize=3, alpha=0.6)
                    if bounds := interval(values):
                        reach = [[middle - bounds[0]], [bounds[1] - middle]]
                        axes.errorbar(place, middle, yerr=reach, fmt="none", ecolor=one.colour, elinewidth=0.9)
            axes.set_title(f"weight decay {decay:g}" + (f", {REPAIRED[repaired]}" if len(repairs) > 1 else ""))
            axes.set_xscale("log", base=2)
            axes.set_xticks(widths, [_multiple(width) for width in widths])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xlim(widths[0] / 1.4, widths[-1] * 1.4)
        error_axis(line[0])  # down to 0, where many an interval ends
        line[0].set_ylim(0, 1.3 * max(LINEAR_TO, *every))
        line[0].set_ylabel("barrier in test error")
    for axes in grid[-1]:
        axes.set_xlabel("multiple of the network's width")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def error_axis(axes: Axes) -> None:
    """A vertical axis of barriers in test error: linear to LINEAR_TO, logarithmic above, each tick written out."""
    axes.set_yscale("symlog", linthresh=LINEAR_TO, linscale=0.6)
    axes.yaxis.set_major_locator(FixedLocator([0, LINEAR_TO, 0.03, 0.1, 0.3, 1]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def plain_ticks(axes: Axes) -> None:
    """Ticks of an axis that is logarithmic at 1, 2 and 5 times a power of ten (1 and 3 over decades), written out."""
    if axes.get_yscale() != "log":  # where nothing is above 0
        return
    low, high = axes.get_ylim()
    steps = (1, 2, 5) if high < 30 * low else (1, 3) if high < 1e3 * low else (1,)
    axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def plane(rows: Rows, ends: str = "seeds") -> Figure:
    """Training loss on the plane through A, B and the permuted B, a cell a network; the three filled with their own.

    ends: what the numbers of A and B are.

    Raises InputError if a loss is not finite.
    """
    first = rows[0]
    loss = np.asarray([row["train_loss"] for row in rows], dtype=float)
    networks = {"A": first["a"], "B": first["b"], "permuted B": first["permuted"]}
    own = np.array([place[2] for place in networks.values()], dtype=float)
    if not (np.isfinite(loss).all() and np.isfinite(own).all()):
        raise InputError("the plane holds a loss that is not a number: delete the tables and run `dvc repro`")
    x, y = first["x"], [row["y"] for row in rows]
    low, high = min(loss.min(), own.min()), max(loss.max(), own.max())
    high = max(high, low + 1e-9)
    steep = high > DECADES * low > 0
    figure = new_figure(COLUMN * 1.45, COLUMN * 1.2)
    figure.set_layout_engine("compressed")  # else the colour bar is higher than cells that are square
    axes = figure.add_subplot()
    scale = {"norm": "log"} if steep else {}
    cells = axes.pcolormesh(x, y, loss, shading="nearest", cmap="cividis", clim=(low, high), rasterized=False, **scale)
    bar = figure.colorbar(cells, ax=axes, label="training cross-entropy (nats)")
    locator = LogLocator(subs=(1, 2, 5)) if steep else MaxNLocator(6)
    ticks = [tick for tick in locator.tick_values(low, high) if low <= tick <= high]
    step = max(1, -(-len(ticks) // 8))
    bar.set_ticks(ticks[::step], labels=[f"{tick:g}" for tick in ticks[::step]])
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    bar.ax.minorticks_off()
    centre = np.mean([place[:2] for place in networks.values()], axis=0)
    for (name, (left, up, height)), marker in zip(networks.items(), "os^", strict=True):
        look = {"cmap": "cividis", "norm": cells.norm, "edgecolors": "white", "linewidth": 1.2}
        axes.scatter(left, up, s=45, c=[height], marker=marker, **look)
        side = 1 if left <= np.mean([x[0], x[-1]]) else -1
        axes.annotate(
            f"{name}: {height:.2g}",
            (left, up),
            xytext=(7 * side, 7 if up > centre[1] else -7),
            textcoords="offset points",
            ha="left" if side == 1 else "right",
            va="bottom" if up > centre[1] else "top",
            bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
        )
    how = first["label"] + (", with REPAIR" if first["repaired"] else "")
    axes.set_title(f"{ends} {first['seeds'][0]} and {first['seeds'][1]}, {how}")
    axes.set(xlabel="along A to B (L2 distance of weights)", ylabel="across (L2 distance of weights)", aspect="equal")
    return figure


def _multiple(width: float) -> str:
    fraction = Fraction(width).limit_denominator(64)
    return f"{width:g}" if not math.isclose(fraction, width) or fraction.denominator == 1 else str(fraction)
