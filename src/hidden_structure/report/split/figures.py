"""The figure on classes split at random: rows of the table `split` in, a Figure out."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from hidden_structure.report.curves import curve, log_epochs
from hidden_structure.report.plotting import COLOURS, MARKERS, PAGE, new_figure
from hidden_structure.report.statistics import mean

PANELS = {  # title -> unit, column of the table -> name; a colour and marker for each
    "Split labels": (
        "training samples (fraction)",
        {"train_accuracy": "accuracy on split labels", "own_part": "nearest to the mean of its own part"},
    ),
    "Features": (
        "agreement, index, ratio",
        {
            "agreement": "agreement of clusters with classes",
            "ari": "adjusted Rand index of the same",
            "parts_distance": "distance of parts / of classes",
        },
    ),
    "True classes": (
        "test samples (fraction)",
        {"probe_accuracy": "linear layer on true classes", "class_accuracy": "class of the network's label"},
    ),
}


def over_epochs(rows: Sequence[Mapping], whole: Sequence[float]) -> Figure:
    """Memorisation, grouping and what it is worth, against the epoch.

    whole: test accuracies of the networks trained on the classes themselves.
    """
    figure = new_figure(PAGE, 0.5 * PAGE)
    styles = iter(zip(COLOURS, MARKERS, strict=False))
    handles = []
    panels = figure.subplots(1, len(PANELS))
    for axes, (title, (unit, columns)) in zip(panels, PANELS.items(), strict=True):
        for column, name in columns.items():
            colour, marker = next(styles)
            curves = [(row["epochs"], row[column]) for row in rows]
            curve(axes, curves, colour, marker=marker, label=name, clip_on=False, zorder=3)
        log_epochs(axes, max(row["epochs"][-1] for row in rows))
        axes.set(title=title, xlabel="epoch", ylabel=unit)
        axes.grid(axis="y", linewidth=0.4)
        axes.set_ylim(0, max(1.02, *(max(line.get_ydata()) * 1.02 for line in axes.lines)))
        handles += axes.get_legend_handles_labels()[0]
    references = {  # one dash pattern each
        "guess at the part": (panels[0], mean([row["guess_accuracy"] for row in rows]), (0, (1, 2))),
        "network trained on the classes": (panels[-1], mean(whole), (0, (4, 2))),
    }
    for name, (axes, level, dashes) in references.items():
        handles.append(axes.axhline(level, color="#555555", linewidth=0.8, linestyle=dashes, label=name))
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=2)
    return figure
