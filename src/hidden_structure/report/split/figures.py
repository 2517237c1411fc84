"""The figure on classes split at random: rows of the split metrics in, a Figure out."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from hidden_structure.report.plotting import COLOURS, MARKERS, PAGE, band, epochs_axis, new_figure
from hidden_structure.report.summary import over_training

SECTION = {  # figure of the page -> title, how to read it, how it was made
    "split": (
        "Classes split at random",
        "The labels tell apart what no image does. Left: at the dotted line the network knows the classes and guesses "
        "the part; above it, it memorises. Middle: whether clusters of the features agree with the true classes (1: "
        "they do), and how far apart the parts of a class lie (0: they coincide; 1: as far as two classes). Right: "
        "what is left of the classes on the test set, beside the network that was trained on them (dotted).",
        "A network trained on the split labels only; epoch 0 is untrained. Clusters: k-means on the penultimate "
        "training features, as many as classes. Distances: between means of features, of parts of one class over "
        "those of classes. Nearest to own part: training samples, among the parts of their class. Bands are one "
        "standard deviation over seeds to either side.",
    )
}

PANELS = {  # title -> column of the metrics -> name
    "on the split labels (training)": {"train_accuracy": "training accuracy", "own_part": "nearest to own part"},
    "features (training)": {
        "agreement": "agreement of clusters with classes",
        "ari": "adjusted Rand index",
        "parts_distance": "distance of parts / of classes",
    },
    "on the true classes (test)": {
        "probe_accuracy": "linear layer, true classes",
        "class_accuracy": "class of the network's own label",
        "nearest_accuracy": "nearest class mean",
    },
}


def draw(rows: Sequence[Mapping], fine_accuracy: float) -> dict[str, Figure]:
    """The figure by its name; none if there are no rows.

    fine_accuracy: on the test set, of the network trained on the classes themselves.
    """
    return {"split": over_epochs(rows, fine_accuracy)} if rows else {}


def over_epochs(rows: Sequence[Mapping], fine_accuracy: float) -> Figure:
    """Memorisation, grouping and what it is worth, against the epoch."""
    figure = new_figure(PAGE, 2.9)
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (title, columns) in zip(panels, PANELS.items(), strict=True):
        for index, (column, name) in enumerate(columns.items()):
            style = {"marker": MARKERS[index], "label": name}
            band(axes, over_training(rows, column), COLOURS[index], ("-", "--", "-.")[index], **style)
        epochs_axis(axes, max(row["epoch"] for row in rows))
        axes.set(title=title, xlabel="epoch")
        axes.grid(axis="y", linewidth=0.4)
    highest = max(line.get_ydata().max() for axes in panels for line in axes.lines)
    panels[0].set_ylim(-0.03, max(1.0, highest) + 0.03)
    reference = {"color": "black", "linewidth": 0.8, "linestyle": ":"}
    guess = over_training(rows, "guess_accuracy")[1].mean()
    panels[0].axhline(guess, label="knows the class, guesses the part", **reference)
    panels[-1].axhline(fine_accuracy, label="network trained on the classes", **reference)
    for axes in panels:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
    return figure
