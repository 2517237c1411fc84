"""The figure on what is inside the classes of a given network: rows of the table in, a Figure out."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from hidden_structure.report.plotting import COLOURS, PAGE, new_figure, plain

LOOKS = {"given": (COLOURS[1], "o"), "pixels": (COLOURS[0], "s"), "untrained": (COLOURS[2], "D")}
CLASSES = 40  # drawn at most, those that fall apart the most


def inside(rows: Sequence[Mapping]) -> Figure:
    """Separation of the clusters inside each class, of a network and of the controls; rows of one network."""
    own = {(row["source"], row["class"]): row["separation"] for row in rows}
    labels = {row["source"]: row["label"] for row in rows}
    names = [row["class"] for row in rows if row["source"] == "given"]
    names = sorted(names, key=lambda name: -(own["given", name] if own["given", name] is not None else -1))[:CLASSES]
    figure = new_figure(0.9 * PAGE, PAGE * (0.16 + 0.036 * len(names)))
    axes = figure.add_subplot()
    for index, (source, (colour, marker)) in enumerate(LOOKS.items()):
        places = [place + (index - 1) * 0.25 for place in range(len(names))]
        values = [own[source, name] for name in names]
        axes.plot(values, places, linestyle="", color=colour, marker=marker, label=labels[source])
    axes.set_yticks(range(len(names)), [plain(name, 28) for name in names])
    axes.set(ylim=(len(names) - 0.4, -0.6), xlabel="mean silhouette of the clusters inside a class")
    axes.grid(axis="x", linewidth=0.4)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
