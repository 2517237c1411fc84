"""The figure on means of several networks: rows of tables in, a Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hidden_structure.report.averages.claims import MATCHINGS, accuracies, by_reference, of_count
from hidden_structure.report.curves import logarithmic
from hidden_structure.report.plotting import COLOURS, MARKERS, PAGE, new_figure
from hidden_structure.report.statistics import interval, mean

PANELS = (  # title, quantity, with REPAIR, unit
    ("As merged", "test_accuracy", False, "test accuracy (fraction)"),
    ("With REPAIR", "test_accuracy", True, ""),
    ("With REPAIR", "test_loss", True, "test loss (nats)"),
)
APART = 0.16  # of the distance of two counts, between points of different matchings


def against_count(averages: Sequence[Mapping], averaged: Sequence[Mapping]) -> Figure:
    """Accuracy and loss against how many networks are averaged; rows of the tables of those names, of one width."""
    figure = new_figure(PAGE, 0.5 * PAGE)
    counts = sorted({len(row["seeds"]) for row in averaged})
    panels = figure.subplots(1, len(PANELS))
    for axes, (title, quantity, repaired, unit) in zip(panels, PANELS, strict=True):
        for series, how in enumerate(MATCHINGS):
            for place, count in enumerate(counts):
                sets = of_count(averaged, count)
                at, label = place + APART * (series - 1), MATCHINGS[how] if place == 0 else None
                values = accuracies(averages, sets, how, repaired, quantity)
                _point(axes, at, values, series, label, quantity == "test_loss")
                if how == "pairwise":
                    each = [value for own in by_reference(averages, sets, how, repaired, quantity) for value in own]
                    label = "in pairs, to each" if place == 0 else None
                    axes.plot([at] * len(each), each, "_", markersize=7, color="#555555", label=label, zorder=1)
        _compared_with(axes, averaged, counts, quantity)
        axes.set(title=title, xlabel="networks in a mean", ylabel=unit)
        axes.set_xticks(range(len(counts)), [str(count) for count in counts])
        axes.set_xlim(-0.5, len(counts) - 0.5)
        axes.grid(axis="y", linewidth=0.4)
        if quantity == "test_loss":
            shown = [y for line in axes.lines if line.get_marker() != "None" for y in line.get_ydata()]
            axes.set(yscale="log", ylim=(min(shown) / 1.5, max(shown) * 1.5))
            logarithmic(axes, "y")
        else:
            axes.set_ylim(0, 1.02)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _point(axes: Axes, at: float, values: Sequence[float], series: int, label: str | None, log: bool) -> None:
    """The mean over sets with its 95 % interval, where there are several.

    log: on a logarithmic axis, where both are of the logarithms: else an interval that holds 0 has no end there.
    """
    values = np.log(values).tolist() if log else values
    middle = mean(values)
    found = np.array([middle, *(interval(values) or (middle, middle))])
    middle, low, high = np.exp(found) if log else found
    look = {"fmt": MARKERS[series], "color": COLOURS[series], "label": label, "elinewidth": 0.8}
    axes.errorbar(at, middle, yerr=[[middle - low], [high - middle]] if len(values) > 1 else None, **look)


def _compared_with(axes: Axes, averaged: Sequence[Mapping], counts: Sequence[int], quantity: str) -> None:
    """The ensemble of each count, and the mean of the networks themselves."""
    ensembles = [mean([row["ensembles"]["probabilities"][quantity] for row in of_count(averaged, n)]) for n in counts]
    networks = [mean([mean(row[quantity]) for row in of_count(averaged, count)]) for count in counts]
    axes.plot(ensembles, ":", color="black", marker="x", label="ensemble of them")
    axes.plot(networks, "--", color="#777777", label="one of them, on average")
