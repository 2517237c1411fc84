"""The figures on recovered classes: rows of tables and the arrays of the map in, a Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from hidden_structure.report.curves import logarithmic
from hidden_structure.report.plotting import COLOURS, MARKERS, PAGE, new_figure, plain
from hidden_structure.report.statistics import mean, standard_error

PANELS = 20  # maps at most: more would be illegible
ENTRIES = 10  # of one map's legend
LABELS = 45  # along one side of the matrix, if there is room
NUMBERED = 12  # classes up to which the matrix has its numbers in it, if there is room
DIGITS = 2.2  # times the size of text, the width of a cell that holds a number
CELLS = 0.7  # of the width of its figure, that of the matrix
GREY = "#555555"
REDUCER = {"tsne": "t-SNE + k-means", "pca": "PCA + k-means", "raw": "k-means"}
SOURCES = {
    "coarse": (COLOURS[1], "o"),
    "pixels": (COLOURS[0], "s"),
    "untrained": (COLOURS[2], "D"),
    "memorised": (COLOURS[5], "v"),
}
REFERENCE = {"fine": (COLOURS[3], "P"), "labels": (COLOURS[4], "^")}


def maps(samples: Sequence[Mapping], classes: Sequence[Mapping], method: str) -> Figure:
    """The two-dimensional map of each super-class, a colour and marker for every original class.

    Args:
        samples: rows of the table `map`.
        classes: rows of the table `classes`.
        method: what made the map, "t-SNE".

    Of more than 20 super-classes the first 20 are drawn.
    """
    arrays = {name: np.array([row[name] for row in samples]) for name in ("x", "y", "fine", "coarse")}
    shown = np.unique(arrays["coarse"])[:PANELS]
    columns = _columns(len(shown))
    lines = -(-len(shown) // columns)
    members = [np.unique(arrays["fine"][arrays["coarse"] == coarse]) for coarse in shown]
    legend = [-(-min(len(own), ENTRIES) // (2 if columns < 4 else 1)) for own in members]
    figure = new_figure(PAGE, lines * (PAGE / columns * 1.05 + 0.026 * PAGE * (max(legend) + 2.5)))
    panels = figure.subplots(lines, columns, squeeze=False)
    styles = iter([(COLOURS[n % len(COLOURS)], MARKERS[n // len(COLOURS) % len(MARKERS)]) for n in range(len(classes))])
    for axes, own in zip(panels.flat, members, strict=False):
        own_styles = [next(styles) for _ in own]
        names = [plain(classes[member]["class"], 13) for member in own]
        for member, name, (colour, marker) in zip(own, names, own_styles, strict=True):
            inside = [arrays[axis][arrays["fine"] == member] for axis in ("x", "y")]
            dots = {"s": 3, "c": colour, "marker": marker, "linewidths": 0, "alpha": 0.7, "rasterized": True}
            axes.scatter(*inside, label=name, **dots)
        axes.set(xticks=[], yticks=[])
        axes.spines[["top", "right"]].set_visible(True)
        axes.set_title(plain(classes[own[0]]["superclass"], 80 // columns), fontsize="small")
        _legend(axes, names, own_styles, 2 if columns < 4 else 1)
    for axes in list(panels.flat)[len(shown) :]:
        axes.remove()
    figure.supylabel(f"{method} 2", fontsize="medium")
    figure.supxlabel(f"{method} 1", fontsize="medium")
    return figure


def distances(rows: Sequence[Mapping], classes: Sequence[Mapping]) -> Figure:
    """Mean squared distance between the features of two original classes, super-classes side by side and boxed.

    rows, classes: of the tables of these names. The unit is the mean over pairs of classes of different super-classes.
    """
    merged = {row["class"]: row["superclass"] for row in classes}
    names = list(dict.fromkeys(merged.values()))
    of = np.array([names.index(merged[row["class"]]) for row in rows])
    matrix = np.array([row["distances"] for row in rows], dtype=float)
    unit = matrix[of[:, None] != of].mean()
    order = np.argsort(of, kind="stable")
    ordered = matrix[np.ix_(order, order)] / unit
    size = 0.66 * PAGE if len(rows) <= NUMBERED else PAGE
    figure = new_figure(size, size * 0.86)
    figure.set_layout_engine("compressed")  # else there is room for labels beside cells that need not be square
    axes = figure.add_subplot()
    image = axes.imshow(ordered, cmap="cividis", vmin=0)
    figure.colorbar(image, ax=axes, label="mean squared distance (relative)", shrink=0.8)
    boxes = [np.flatnonzero(of[order] == index) for index in range(len(names))]
    if len(rows) <= LABELS:
        places, labels = list(range(len(rows))), [plain(rows[index]["class"]) for index in order]
    else:  # the super-classes have the room that single classes lack; every second one, or third, if need be
        places, labels = [inside.mean() for inside in boxes], [plain(name) for name in names]
    line = 1.2 * rcParams["font.size"]
    step = -(-len(places) // min(LABELS, int(72 * CELLS * figure.get_size_inches()[0] / line)))
    axes.set_xticks(places[::step], labels[::step], rotation=90, fontsize="small")
    axes.set_yticks(places[::step], labels[::step], fontsize="small")
    axes.tick_params(length=0, pad=4)
    axes.spines[:].set_visible(False)
    for inside in boxes:
        corner, width = inside[0] - 0.5, len(inside)
        box = {"fill": False, "edgecolor": COLOURS[1], "clip_on": False, "linewidth": 1.2}
        axes.add_patch(Rectangle((corner, corner), width, width, **box))
    cell = 72 * CELLS * figure.get_size_inches()[0] / len(rows)  # in points
    if len(rows) <= NUMBERED and cell >= DIGITS * rcParams["font.size"]:
        for (line, column), value in np.ndenumerate(ordered):
            colour = "black" if value > image.norm.vmax / 2 else "white"
            axes.text(column, line, f"{value:.2f}", ha="center", va="center", fontsize="small", color=colour)
    return figure


def recovery(bars: Sequence[tuple[str, str, Sequence[float]]], classes: int, guess: float) -> Figure:
    """Test accuracy on the original classes, a line each: its mean with its standard error, and every seed.

    Args:
        bars: (words, source, values), the source a key of SOURCES or of REFERENCE.
        guess: accuracy of who knows the super-class and guesses inside it.
    """
    figure = new_figure(PAGE, PAGE * (0.15 + 0.042 * len(bars)))
    axes = figure.add_subplot()
    for line, (_, source, values) in enumerate(bars):
        colour, marker = (SOURCES | REFERENCE)[source]
        _spread(axes, line, values, colour, marker, "mean")
        if len(values) > 1:
            axes.plot(values, [line + 0.25] * len(values), "|", color=colour, markersize=4, label="seeds")
        error = standard_error(values)
        text = f"{mean(values):.3f}" + ("" if error is None else f" ± {error:.3f}")
        axes.text(1.02, line, text, va="center", transform=axes.get_yaxis_transform(), fontsize="small")
    axes.set_yticks(range(len(bars)), [words for words, _, _ in bars])
    axes.set(ylim=(len(bars) - 0.5, -0.5), xlabel=f"test accuracy on {classes} classes (fraction)")
    _around(axes, [value for _, _, values in bars for value in values], [guess])
    level = axes.axvline(guess, color=GREY, linewidth=0.8, linestyle="--", label="guess inside the super-class")
    axes.grid(axis="x", linewidth=0.4)
    if _inside(axes, guess):
        figure.legend([level], [level.get_label()], loc="outside lower center")
    return figure


def agreement(rows: Sequence[Mapping]) -> Figure:
    """Share of training samples whose recovered label is right, for each super-class and source of clusters.

    rows: of the table `superclasses`.
    """
    trained = sorted((row for row in rows if row["source"] == "coarse"), key=lambda row: -mean(row["agreement"]))
    names = [row["superclass"] for row in trained]
    figure = new_figure(0.9 * PAGE, PAGE * (0.2 + 0.06 * len(names)))
    axes = figure.add_subplot()
    labels = {row["source"]: row["label"] for row in rows}
    for index, (source, label) in enumerate(labels.items()):
        own = {row["superclass"]: row for row in rows if row["source"] == source}
        offset = 0.25 * (index - 1) if len(labels) == 3 else 0.2 * (index - 1.5)
        for line, name in enumerate(names):
            _spread(axes, line + offset, own[name]["agreement"], *SOURCES[source], label)
    chance = [next(row["chance"] for row in rows if row["superclass"] == name) for name in names]
    _around(axes, [value for row in rows for value in row["agreement"]], chance)
    axes.plot(chance, range(len(chance)), linestyle="", marker="|", markersize=9, color=GREY, label="shuffled labels")
    axes.set_yticks(range(len(names)), [plain(name, 28) for name in names])
    axes.set(ylim=(len(names) - 0.4, -0.6), xlabel="training samples whose recovered label is right (fraction)")
    axes.grid(axis="x", linewidth=0.4)
    handles = [
        Line2D([], [], linestyle="", color=SOURCES[source][0], marker=SOURCES[source][1], label=label)
        for source, label in labels.items()
    ]
    if any(_inside(axes, level) for level in chance):
        handles.append(Line2D([], [], linestyle="", color=GREY, marker="|", markersize=9, label="shuffled labels"))
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=2)
    return figure


def following(rows: Sequence[Mapping], chance: float, guess: float) -> Figure:
    """Clusters, linear layers and separation of the merged classes against NC1; rows: of the table `following`."""
    figure = new_figure(PAGE, 0.46 * PAGE)
    found, read, apart = figure.subplots(1, 3)
    nc1 = np.array([row["nc1"] for row in rows])
    for axes, columns in (
        (found, {"agreement": ("clusters", COLOURS[1], "o")}),
        (
            read,
            {
                "labels": ("linear layer, true labels", COLOURS[4], "^"),
                "recovered": ("linear layer, recovered labels", COLOURS[5], "v"),
            },
        ),
        (
            apart,
            {
                "explained": ("between classes, over all inside super-classes", COLOURS[2], "D"),
                "spread": ("between classes, over between super-classes", COLOURS[3], "P"),
            },
        ),
    ):
        for name, style in columns.items():
            _against(axes, nc1, np.array([row[name] for row in rows]), *style, log=axes is apart)
        logarithmic(axes, "x")
        axes.invert_xaxis()
        axes.set_xlabel("NC1")
        axes.grid(axis="y", linewidth=0.4)
    found.axhline(chance, color=GREY, linewidth=0.8, label="shuffled labels")
    read.axhline(guess, color=GREY, linewidth=0.8, linestyle="--", label="guess")
    logarithmic(apart)
    for axes, label in ((found, "agreement"), (read, "test accuracy"), (apart, "variance")):
        axes.set_ylabel(f"{label} (fraction)")
    handles = [handle for axes in (found, read, apart) for handle in axes.get_legend_handles_labels()[0]]
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=3)
    return figure


def _against(
    axes: Axes, nc1: np.ndarray, values: np.ndarray, words: str, colour: str, marker: str, log: bool = False
) -> None:
    """Means over networks (n, epochs), of NC1 geometric ones, with one standard error; the first epoch's mark is
    hollow.

    log: on a logarithmic axis, where mean and error are of the logarithms: else bars reach for 0.
    """
    values = np.log(values) if log else values
    reach = values.std(0, ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.zeros(values.shape[1])
    bars = np.array([values.mean(0), values.mean(0) - reach, values.mean(0) + reach])
    x, (y, low, high) = np.exp(np.log(nc1).mean(0)), np.exp(bars) if log else bars
    error = [y - low, high - y] if len(values) > 1 else None
    faces = ["white", *[colour] * (len(x) - 1)]
    axes.errorbar(x, y, yerr=error, color=colour, linewidth=1, elinewidth=0.8, capsize=1.5)
    axes.scatter(x, y, s=14, marker=marker, c=faces, edgecolors=colour, zorder=3, linewidths=0.8)
    axes.plot([], [], color=colour, marker=marker, label=words)


def _columns(panels: int) -> int:
    """Of a grid with the fewest empty places; the most columns of those."""
    if panels <= 5:
        return panels
    return min((4, 3), key=lambda columns: -panels % columns)


def _legend(axes: Axes, names: Sequence[str], styles: Sequence[tuple[str, str]], columns: int) -> None:
    handles = [
        Line2D([], [], linestyle="", color=colour, marker=marker, label=name)
        for name, (colour, marker) in zip(names, styles, strict=True)
    ]
    if len(handles) > ENTRIES:
        rest = Line2D([], [], linestyle="", label=f"… {len(handles) - ENTRIES + 1} more")
        handles = [*handles[: ENTRIES - 1], rest]
    axes.legend(
        handles,
        [handle.get_label() for handle in handles],
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        ncols=columns,
        handlelength=0.8,
        handletextpad=0.3,
        columnspacing=0.6,
        borderaxespad=0.2,
    )


def _spread(axes: Axes, line: float, values: Sequence[float], colour: str, marker: str, label: str) -> None:
    error = standard_error(values)
    style = {"color": colour, "marker": marker, "linestyle": "", "capsize": 2, "elinewidth": 1, "clip_on": False}
    axes.errorbar(mean(values), line, xerr=error, label=label, **style)


def _around(axes: Axes, values: Sequence[float], levels: Sequence[float]) -> None:
    """Limits that hold all values, and the levels where these are near enough not to leave half the axis empty."""
    low, high = min(values), max(values)
    near = [level for level in levels if low - level <= high - low]
    low = min(low, *near, low)
    margin = 0.06 * max(high - low, 0.02)
    axes.set_xlim(max(0.0, low - margin), min(1.0, high + margin))


def _inside(axes: Axes, value: float) -> bool:
    low, high = axes.get_xlim()
    return low <= value <= high
