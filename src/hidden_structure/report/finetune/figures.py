"""The figures on networks of two tasks: rows of tables in, a Figure out."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hidden_structure.report.connectivity.figures import plain_ticks
from hidden_structure.report.connectivity.series import GREY, Series, draw, over_pairs
from hidden_structure.report.finetune.pairs import KINDS, REPAIRED, TASKS, Rows, of, repairs
from hidden_structure.report.linearity.figures import FLOOR, blocks_axis
from hidden_structure.report.plotting import COLOURS, MARKERS, PAGE, logarithmic_axis, new_figure
from hidden_structure.report.statistics import mean

LOOKS = {
    "finetuned": (COLOURS[0], MARKERS[0], "-"),
    "same": (COLOURS[4], MARKERS[1], "--"),
    "independent": (COLOURS[6], MARKERS[3], ":"),
}
PLACES = {"first": (COLOURS[2], MARKERS[2]), "second": (COLOURS[3], MARKERS[4]), "both": LOOKS["finetuned"][:2]}
DECIDED = {"all": "among all classes", "within": "within the image's task"}


def layers(crossed: Rows, named: Rows) -> Figure:
    """1 - cos of merged with interpolated features at every layer, beside that of the ends; named: the layers."""
    panels = [False, True] if repairs(crossed) else [False]
    figure = new_figure(PAGE, PAGE * 0.5)
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    places = [layer["layer"] for layer in named]
    for axes, repaired in zip(grid, panels, strict=True):
        for kind in KINDS:
            rows = of(crossed, kind, repaired)
            one = Series(KINDS[kind], *LOOKS[kind], rows)
            draw(axes, one, places, lambda row: row["layers"]["dissimilarity"], floor=FLOOR)
            ends, *_ = over_pairs(rows, lambda row: row["layers"]["ends"], FLOOR)
            axes.plot(places, ends, one.line, color=one.colour, linewidth=0.6, zorder=1)
        if len(panels) > 1:
            axes.set_title(REPAIRED[repaired])
        blocks_axis(axes, named)
    logarithmic_axis(*grid, floor=FLOOR)
    plain_ticks(grid[0])
    grid[0].set_ylabel("1 - cos(merged, mean of the ends)")
    handles, _ = grid[0].get_legend_handles_labels()
    handles.append(Line2D([], [], color=GREY, linewidth=0.6, label="thin: the two ends"))
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=4)
    return figure


def accuracies(sums: Rows, networks: Rows) -> Figure:
    """Test accuracy against the coefficient that both task vectors are multiplied by, with BatchNorm reset if any."""
    repaired = repairs(sums)
    figure = new_figure(PAGE, PAGE * 0.42)
    grid = figure.subplots(1, len(DECIDED), sharey=True)
    for axes, (decided, words) in zip(grid, DECIDED.items(), strict=True):
        for place, (colour, marker) in PLACES.items():
            name = "finetuned: both tasks" if place == "both" else f"finetuned: {place} task"
            rows = of(sums, "finetuned", repaired)
            _draw(axes, Series(name, colour, marker, "-", rows), place, decided)
            if place in TASKS:
                own = [row for row in networks if (row["begins"], row["task"]) == ("pretrained", place)]
                level = mean([row["accuracy"][place][decided] for row in own])
                axes.axhline(level, color=colour, linewidth=0.8, linestyle="-.", zorder=0)
        for kind in ("same", "independent"):
            _draw(axes, Series(f"{KINDS[kind]}: both", *LOOKS[kind], of(sums, kind, repaired)), "both", decided)
        axes.set(title=words, xlabel=r"coefficient $\lambda$ of both task vectors")
    grid[0].set_ylim(bottom=0)
    grid[0].set_ylabel("test accuracy (fraction)")
    handles, _ = grid[0].get_legend_handles_labels()
    handles.append(Line2D([], [], color=GREY, linewidth=0.8, linestyle="-.", label="the network of that task itself"))
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=3)
    return figure


def _draw(axes: Axes, one: Series, place: str, decided: str) -> None:
    coefficients = one.rows[0]["coefficients"]
    order = sorted(range(len(coefficients)), key=coefficients.__getitem__)
    draw(axes, one, sorted(coefficients), lambda row: [row["accuracy"][place][decided][index] for index in order])
