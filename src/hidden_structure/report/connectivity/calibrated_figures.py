"""The figures on lines with a fitted temperature: rows of the tables in, a Figure out."""

from collections.abc import Sequence
from functools import partial
from textwrap import fill

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Picture
from hidden_structure.report.connectivity import lines, series
from hidden_structure.report.connectivity.calibrated import heights
from hidden_structure.report.connectivity.figures import plain_ticks
from hidden_structure.report.connectivity.lines import REPAIRED, Rows
from hidden_structure.report.connectivity.series import GREY
from hidden_structure.report.plotting import COLOURS, PAGE, logarithmic_axis, new_figure
from hidden_structure.report.statistics import mean

LABEL = 10  # characters on a line below a column
LINEAR_TO = 0.01  # nats: what is below is of no account
TICKS = (0, LINEAR_TO, 0.03, 0.1, 0.3, 1, 3, 10, 30)
TREATMENTS = {  # label -> REPAIR, fitted, marker, colour
    "as merged": (False, False, "o", COLOURS[-1]),
    "as merged, temperature fitted": (False, True, "s", COLOURS[1]),
    "with REPAIR": (True, False, "D", COLOURS[0]),
    "with REPAIR, temperature fitted": (True, True, "^", COLOURS[2]),
}


def pictures(study: Study, every: Rows) -> list[Picture]:
    """None where temperatures were not fitted. every: the lines of all widths and weight decays."""
    if not lines.calibrated(every):
        return []
    plain = lines.plain(study, every)
    return [
        Picture(
            "loss-barriers",
            "What REPAIR, a permutation and a temperature make of the barrier in loss",
            "How far the test loss rises above the straight line between its ends, for every way of making a pair: a "
            "column of marks is one way, the marks are what is done to the networks on the line. What the temperature "
            "takes away was want of confidence; what is left to the methods, beside the networks that are not aligned, "
            f"is what permutations are needed for. Linear up to {LINEAR_TO:g} nats, logarithmic above.",
            "Means over all pairs, which dashes of the same colour are. Where it is fitted, the temperature of the "
            "softmax is the best for training images, at every point of the line and at its ends.",
            partial(loss_barriers, series.everything(plain)),
        ),
        Picture(
            "temperature",
            "On the line between two networks, the temperature fitted",
            "Above the test loss as in the figure of the lines, but at the temperature that suits the training images "
            "best at each point; below that temperature. Below 1 the network is less sure than it might be.",
            series.BANDS,
            partial(along, series.few(plain)),
        ),
    ]


def loss_barriers(drawn: Sequence[series.Series]) -> Figure:
    """Barrier in test loss, a column a series and a mark a treatment."""
    figure = new_figure(PAGE, PAGE * 0.5)
    axes = figure.add_subplot()
    for index, (label, (repaired, fitted, marker, colour)) in enumerate(TREATMENTS.items()):
        for column, one in enumerate(drawn):
            own = lines.of_repair(one.rows, repaired)
            values = heights(own) if fitted else lines.heights(own, of="test_loss")
            place = column + 0.17 * (index - (len(TREATMENTS) - 1) / 2)
            axes.plot([place] * len(values), values, "_", color=colour, markersize=5, alpha=0.6, clip_on=False)
            axes.plot(place, mean(values), marker, color=colour, label=None if column else label, clip_on=False)
    axes.set_xticks(
        range(len(drawn)),
        [fill(one.label.replace(" %", "\N{NO-BREAK SPACE}%"), LABEL, break_long_words=False) for one in drawn],
    )
    axes.tick_params(axis="x", labelsize="small", length=0)
    for column in range(len(drawn) - 1):
        axes.axvline(column + 0.5, color="#dddddd", linewidth=0.6, zorder=0)
    axes.set_xlim(-0.5, len(drawn) - 0.5)
    axes.set_yscale("symlog", linthresh=LINEAR_TO, linscale=0.6)
    axes.yaxis.set_major_locator(FixedLocator(TICKS))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0, None)
    axes.set_ylabel("barrier in test loss (nats)")
    handles = [
        Line2D([], [], linestyle="", marker=marker, color=colour, label=label)
        for label, (_, _, marker, colour) in TREATMENTS.items()
    ]
    figure.legend(handles, list(TREATMENTS), loc="outside lower center", ncols=2)
    return figure


def along(drawn: Sequence[series.Series]) -> Figure:
    """Test loss at the fitted temperature, and that temperature; left as merged, right with REPAIR."""
    figure = new_figure(PAGE, PAGE * 0.62)
    grid = figure.subplots(2, 2, sharex=True, sharey="row")
    for column, repaired in enumerate(REPAIRED):
        for axes, name in zip(grid[:, column], ("test_calibrated_loss", "temperature"), strict=True):
            for one in drawn:
                own = series.Series(one.label, one.colour, one.marker, one.line, lines.of_repair(one.rows, repaired))
                alphas = own.rows[0]["alphas"]
                series.draw(axes, own, alphas, lambda row, name=name: row[name], -(-len(alphas) // 9), floor=0.0)
        grid[0, column].set_title(REPAIRED[repaired])
        grid[1, column].axhline(1, color=GREY, linewidth=0.8, linestyle=(0, (5, 3)), zorder=0)
        grid[1, column].set(xlabel=r"$\alpha$, from network A (0) to B (1)", xlim=(-0.02, 1.02))
    for row, label in zip(grid, ("test cross-entropy (nats)", "fitted temperature"), strict=True):
        logarithmic_axis(*row)
        plain_ticks(row[0])
        row[0].set_ylabel(label)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=min(3, len(drawn)))
    return figure
