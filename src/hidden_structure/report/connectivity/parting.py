"""The figures of instability and barrier against k, at which networks parted: as steps, and as a share of training."""

from collections.abc import Callable, Collection, Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Picture
from hidden_structure.report.connectivity import lines
from hidden_structure.report.connectivity.claims import STABLE_AT_MOST
from hidden_structure.report.connectivity.lines import REPAIRED, UNALIGNED, Rows
from hidden_structure.report.connectivity.series import GREY, SPAWNED
from hidden_structure.report.plotting import COLOURS, MARKERS, PAGE, new_figure
from hidden_structure.report.statistics import interval, mean

LINES = {False: "-", True: "--"}  # as merged, with REPAIR
APART = 0.13  # of an axis, between two of its labels
HOW = (
    "A network is trained for k steps, copied, and both go on with their own order and augmentation of the samples. As "
    "merged: all weights and statistics interpolated; with REPAIR: statistics of the merged network restored at every "
    f"point. Steps are linear up to the first k above 0, the instability up to {100 * STABLE_AT_MOST:g} points; both "
    "are logarithmic from there on."
)


def pictures(study: Study, every: Rows, forks: Rows, unlearnt: Collection[str] = ()) -> list[Picture]:
    """every: the dated lines of all widths and recipes; unlearnt: those recipes whose networks have not learnt."""
    found = [
        Picture(
            "spawning",
            "Networks that part after k steps",
            "Left how far the test error on the straight line between two such networks exceeds the mean of its ends "
            "(the instability), right how far the test loss rises above the straight line between its ends (the "
            "barrier), against k as steps (below) and as a share of training (above). Small marks are pairs, lines "
            "their means with 95 % intervals over trunks, which the panels may cut. Below the dashes a pair counts as "
            "stable, its two networks in one basin; the dots show independent networks, which share nothing.",
            HOW,
            partial(spawning, lines.plain(study, every), lines.moments(forks)),
        )
    ]
    if len(lines.recipes(forks)) > 1:
        found.append(
            Picture(
                "onset",
                "Networks that part after k steps, by recipe",
                "How far the test error on the straight line between two such networks exceeds the mean of its ends, "
                "as merged, against k as steps (left) and as a share of training (right). The onset of stability is "
                "where a recipe falls below the dashes for good: it lies between two k, not at a mark. Small marks are "
                "pairs, lines their means with 95 % intervals over trunks, which the panels may cut.",
                HOW,
                partial(by_recipe, lines.of_repair(every, False), forks, unlearnt),
            )
        )
    return found


def spawning(rows: Rows, forks: Rows) -> Figure:
    """Instability in test error and barrier in test loss against k; forks: those of the study's own recipe."""
    figure = new_figure(PAGE, PAGE * 0.44)
    panels = figure.subplots(1, 2)
    contents = (("instability", "test_error", 100), ("barrier", "test_loss", 1))
    steps = [fork["steps"] for fork in forks]
    for axes, (height, of, scale) in zip(panels, contents, strict=True):
        highest = 0.0
        for repaired, line in LINES.items():
            drawn, face = lines.of_repair(rows, repaired), "white" if repaired else SPAWNED
            found = [[scale * v for v in lines.heights(lines.spawned(drawn, k["k"]), height, of)] for k in forks]
            look = {"color": SPAWNED, "marker": "o", "markerfacecolor": face, "linestyle": line}
            _means(axes, steps, found, "_" if repaired else "|", label=f"parted, {REPAIRED[repaired]}", **look)
            bare = mean([scale * v for v in lines.heights(lines.independent(drawn, UNALIGNED), height, of)])
            dots = (0, (1, 4)) if repaired else (0, (1, 1.5))
            axes.axhline(bare, color="black", linestyle=dots, label=f"independent, {REPAIRED[repaired]}")
            highest = max(highest, bare, *map(max, found))
        _k_axis(axes, steps, "{:,}".format)
        above = axes.twiny()
        _k_axis(above, steps, lambda step: f"{100 * _share(forks, step):.2g}")
        above.spines["top"].set_visible(True)
        above.set_xlabel("k, % of training")
        axes.set_xlabel("k, steps")
        if height == "instability":
            _stable(axes)
            _height_axis(axes, highest, 100 * STABLE_AT_MOST, "instability in test error (points)")
        else:
            _height_axis(axes, highest, 0.1, "barrier in test loss (nats)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def by_recipe(rows: Rows, forks: Rows, unlearnt: Collection[str] = ()) -> Figure:
    """Instability in test error of every recipe against k; rows: as merged, of all recipes.

    unlearnt: recipes that the legend says have not learnt, for networks at chance share a basin by default.
    """
    figure = new_figure(PAGE, PAGE * 0.46)
    panels = figure.subplots(1, 2, sharey=True)
    recipes, highest = lines.recipes(forks), STABLE_AT_MOST
    for axes, (name, scale) in zip(panels, (("steps", 1), ("share", 100)), strict=True):
        for place, recipe in enumerate(recipes):
            own, moments = lines.of_recipe(rows, recipe), lines.moments(forks, recipe)
            found = [lines.heights(lines.spawned(own, fork["k"]), "instability") for fork in moments]
            highest = max(highest, *map(max, found))
            look = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
            label = recipe.replace("_", " ") or "the study's own recipe"
            label += ": not learnt" if recipe in unlearnt else ""
            points = [[100 * value for value in values] for values in found]
            _means(axes, [scale * fork[name] for fork in moments], points, "_", label=label, **look)
        places = sorted({scale * fork[name] for fork in forks})
        _k_axis(axes, places, "{:,}".format if name == "steps" else "{:.2g}".format)
        axes.set_xlabel("k, steps" if name == "steps" else "k, % of training")
        _stable(axes)
    _height_axis(panels[0], 100 * highest, 100 * STABLE_AT_MOST, "instability in test error (points)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _means(axes: Axes, places: Sequence[float], found: Sequence[Sequence[float]], mark: str, **look: object) -> None:
    """Means with 95 % intervals, where there are several pairs, and a mark a pair."""
    middle, ends = list(map(mean, found)), [interval(values) for values in found]
    reach = [end[1] - value if end else 0.0 for end, value in zip(ends, middle, strict=True)]
    axes.errorbar(places, middle, yerr=reach if any(reach) else None, elinewidth=0.7, capsize=1.5, **look)
    for place, values in zip(places, found, strict=True):
        axes.plot([place] * len(values), values, mark, color=look["color"], markersize=6, alpha=0.6, zorder=1)


def _stable(axes: Axes) -> None:
    style = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (5, 3)), "zorder": 0}
    axes.axhline(100 * STABLE_AT_MOST, label=f"stable below {100 * STABLE_AT_MOST:g}", **style)


def _height_axis(axes: Axes, highest: float, linear_to: float, label: str) -> None:
    """Linear to where it hardly counts, logarithmic above."""
    axes.set_yscale("symlog", linthresh=linear_to, linscale=0.6)
    steps = [step * linear_to * 10.0**power for power in range(4) for step in (1, 2.5, 5)]
    axes.yaxis.set_major_locator(FixedLocator([0, linear_to / 2, *steps]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0, 1.3 * max(highest, linear_to))
    axes.set_ylabel(label)


def _share(forks: Rows, steps: int) -> float:
    return next(fork["share"] for fork in forks if fork["steps"] == steps)


def _k_axis(axes: Axes, places: Sequence[float], written: Callable[[float], str]) -> None:
    """Linear to the first k above 0 and logarithmic from there on; a tick a k, and a label where there is room, which
    the first and the last have."""
    if later := [place for place in places if place]:
        axes.set_xscale("symlog", linthresh=min(later), linscale=0.35)
        axes.set_xlim(-0.25 * min(later), max(later) * 1.5)
    low, high = axes.transAxes.inverted(), axes.transData
    at = [low.transform(high.transform((place, 1)))[0] for place in places]
    kept, last = [0], len(places) - 1
    for index in range(1, len(places)):
        if at[index] - at[kept[-1]] >= APART and (index == last or at[last] - at[index] >= APART):
            kept.append(index)
    kept += [last] if last not in kept else []
    axes.set_xticks([places[index] for index in kept], [written(places[index]) for index in kept])
    axes.set_xticks(places, minor=True)
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
