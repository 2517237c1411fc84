"""The figures of the report, one function a figure: plain rows and arrays in, a matplotlib Figure out.

Bands and bars are one sample standard deviation over seeds, to either side of the mean.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from hidden_structure.frame.errors import InputError
from hidden_structure.report.plotting import (
    COLOURS,
    COLUMN,
    MARKERS,
    PAGE,
    REDUCERS,
    band,
    epochs_axis,
    logarithmic_axis,
    new_figure,
    plain,
    styled,
)
from hidden_structure.report.summary import Measured, mean_and_spread, over_training

SUPERVISION = {"fine": COLOURS[0], "coarse": COLOURS[1]}
SOURCES = {"coarse": "trained features", "pixels": "pixels", "untrained": "untrained features"}
PANELS = 20  # maps at most: more would be illegible
ENTRIES = 10  # of one map's legend
LABELS = 45  # along one side of the matrix


@styled
def learning_curves(training: Mapping[str, Sequence[Mapping]]) -> Figure:
    """Accuracy and loss against the epoch; training: supervision -> rows of the training metrics."""
    figure = new_figure(PAGE, 2.3)
    for axes, quantity, label in zip(
        figure.subplots(1, 2), ("accuracy", "loss"), ("accuracy", "cross-entropy (nats)"), strict=True
    ):
        for supervision, rows in training.items():
            for split, line in (("train", "-"), ("test", "--")):
                name = f"{supervision} labels, {split}"
                band(axes, over_training(rows, f"{split}_{quantity}"), SUPERVISION[supervision], line, name)
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    logarithmic_axis(axes)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


@styled
def collapse(rows: Sequence[Mapping]) -> Figure:
    """NC1 to NC4 against the epoch, fine and coarse network; rows of the collapse metrics."""
    figure = new_figure(PAGE, 3.6)
    panels = {
        "NC1: within-class variability": ["nc1"],
        "NC2: spread of norms / mean norm": ["nc2_norms_means", "nc2_norms_rows"],
        "NC2: mean |cos + 1/(C-1)|": ["nc2_angle_means", "nc2_angle_rows"],
        "NC2: std of cosines": ["nc2_equiangular_means", "nc2_equiangular_rows"],
        "NC3: distance from self-duality": ["nc3"],
        "NC4: nearest mean disagrees": ["nc4"],
    }
    grid = figure.subplots(2, 3, sharex=True)
    for axes, (title, columns) in zip(grid.flat, panels.items(), strict=True):
        for supervision in _supervisions(rows):
            own = [row for row in rows if row["supervision"] == supervision]
            for column, line in zip(columns, "-:", strict=False):
                band(axes, over_training(own, column), SUPERVISION[supervision], line)
        axes.set_title(title)
        if columns == ["nc1"]:
            logarithmic_axis(axes)
        else:
            axes.set_ylim(bottom=0)
        epochs_axis(axes, max(row["epoch"] for row in rows))
    for axes in grid[1]:
        axes.set_xlabel("epoch")
    handles = _keys(rows)
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=4)
    return figure


@styled
def angles(rows: Sequence[Mapping], classes: Mapping[str, int]) -> Figure:
    """Mean cosine between class means, and between the last layer's rows, against its limit -1/(C-1).

    classes: supervision -> number of classes.
    """
    figure = new_figure(COLUMN, 2.7)
    axes = figure.add_subplot()
    for supervision in _supervisions(rows):
        own, colour = [row for row in rows if row["supervision"] == supervision], SUPERVISION[supervision]
        band(axes, over_training(own, "nc2_cosine_means"), colour, "-")
        band(axes, over_training(own, "nc2_cosine_rows"), colour, ":")
        axes.axhline(-1 / (classes[supervision] - 1), **_limit(supervision))
    epochs_axis(axes, max(row["epoch"] for row in rows))
    axes.set(xlabel="epoch", ylabel="mean cosine of two classes")
    handles = _keys(rows)
    for supervision in _supervisions(rows):
        limit = f"-1/({classes[supervision]}-1) = {-1 / (classes[supervision] - 1):.3f}"
        handles.append(Line2D([], [], label=limit, **_limit(supervision)))
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=2)
    return figure


@styled
def maps(
    positions: np.ndarray,
    fine: np.ndarray,
    coarse_of: np.ndarray,
    fine_names: Sequence[str],
    coarse_names: Sequence[str],
    points: int,
    generator: np.random.Generator,
) -> Figure:
    """The two-dimensional map of each super-class, a colour and marker for every original class in it.

    Args:
        positions: floats (N, 2); only positions inside one super-class compare.
        fine: int (N,), original labels; coarse_of: int (C,), the super-class of each.
        points: samples a super-class at most, drawn by the generator.

    Of more than 20 super-classes the first 20 are drawn.
    """
    shown = min(len(coarse_names), PANELS)
    columns = min(shown, 4 if shown > 6 else 3)
    lines = -(-shown // columns)
    members = [np.flatnonzero(coarse_of == coarse) for coarse in range(shown)]
    entries = min(max(map(len, members)), ENTRIES)
    figure = new_figure(PAGE, lines * (PAGE / columns * 0.8 + 0.3 + 0.13 * -(-entries // 2)))
    for coarse, axes in enumerate(figure.subplots(lines, columns, squeeze=False).flat):
        axes.set(xticks=[], yticks=[])
        if coarse >= shown:
            axes.set_axis_off()
            continue
        samples = np.flatnonzero(coarse_of[fine] == coarse)
        samples = generator.permutation(samples)[:points]
        handles = []
        for index, member in enumerate(members[coarse]):
            colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index // len(COLOURS) % len(MARKERS)]
            own = positions[samples[fine[samples] == member]]
            axes.scatter(*own.T, s=3, c=colour, marker=marker, linewidths=0, alpha=0.7, rasterized=True)
            label = plain(fine_names[member], 13)
            handles.append(Line2D([], [], linestyle="", color=colour, marker=marker, label=label))
        axes.set_title(plain(coarse_names[coarse], 26))
        axes.spines[["top", "right"]].set_visible(True)
        if len(handles) > ENTRIES:
            rest = Line2D([], [], linestyle="", label=f"… {len(handles) - ENTRIES + 1} more")
            handles = [*handles[: ENTRIES - 1], rest]
        axes.legend(
            handles,
            [handle.get_label() for handle in handles],
            loc="upper center",
            bbox_to_anchor=(0.5, 0),
            ncols=2,
            fontsize=6.5,
            handlelength=0.8,
            handletextpad=0.3,
            columnspacing=0.6,
            borderaxespad=0.2,
        )
    return figure


@styled
def distances(matrix: Sequence, names: Sequence[str], coarse_of: np.ndarray, coarse_names: Sequence[str]) -> Figure:
    """Mean squared distance between the features of two original classes, super-classes side by side and boxed.

    matrix: floats (C, C); names: its C classes; coarse_of: int (C,).

    Raises InputError if a distance is not finite.
    """
    matrix = np.asarray(matrix, dtype=float)
    if not np.isfinite(matrix).all():
        raise InputError(
            "the class distances hold a value that is not a number: delete the metrics and run `dvc repro`"
        )
    order, classes = np.argsort(coarse_of, kind="stable"), len(names)
    size = COLUMN + 0.9 if classes <= 12 else PAGE
    figure = new_figure(size, size * 0.86)
    axes = figure.add_subplot()
    ordered = matrix[np.ix_(order, order)]
    image = axes.imshow(ordered, cmap="cividis", vmin=0)
    figure.colorbar(image, ax=axes, label="mean squared distance", shrink=0.8)
    boxes = [np.flatnonzero(coarse_of[order] == coarse) for coarse in range(len(coarse_names))]
    if classes <= LABELS:
        places, labels = list(range(classes)), [plain(names[fine]) for fine in order]
    else:  # the super-classes have the room that single classes lack; every second one, or third, if need be
        places = [inside.mean() for inside in boxes]
        labels = [plain(name) for name in coarse_names]
    step = -(-len(places) // LABELS)
    font = 8 if classes <= 12 else 6.5
    axes.set_xticks(places[::step], labels[::step], rotation=90, fontsize=font)
    axes.set_yticks(places[::step], labels[::step], fontsize=font)
    axes.tick_params(length=0, pad=2)
    axes.spines[:].set_visible(False)
    for inside in boxes:
        corner, width = inside[0] - 0.5, len(inside)
        axes.add_patch(
            Rectangle((corner, corner), width, width, fill=False, edgecolor="#D55E00", clip_on=False, linewidth=1.2)
        )
    if classes <= 12:
        middle = image.norm.vmax / 2
        for (row, column), value in np.ndenumerate(ordered):
            colour = "black" if value > middle else "white"
            text = f"{value:.0f}" if 100 <= value < 1e5 else f"{value:.2g}".replace("e-0", "e-")
            axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color=colour)
    return figure


@styled
def recovery(measured: Measured, reducers: Sequence[str], fine_classes: int, coarse_classes: int) -> Figure:
    """Test accuracy on the original classes: trained on them, recovered, and the controls; a dot is one seed."""
    bars = {
        "network trained on the original labels": ("fine.test_accuracy", COLOURS[0]),
        "linear layer, true labels": ("recovery.oracle_accuracy", COLOURS[5]),
        **{f"recovered: {REDUCERS[name]}": (f"reducer.{name}.accuracy", COLOURS[1]) for name in reducers},
        "control: pixels": ("control.pixels.accuracy", COLOURS[6]),
        "control: untrained network": ("control.untrained.accuracy", COLOURS[6]),
    }
    figure = new_figure(COLUMN * 1.5, 0.9 + 0.24 * len(bars))
    axes = figure.add_subplot()
    for line, (quantity, colour) in enumerate(bars.values()):
        mean, spread = mean_and_spread(measured[quantity])
        axes.barh(
            line, mean, xerr=spread, color=colour, alpha=0.35, height=0.7, error_kw={"linewidth": 1, "capsize": 2}
        )
        axes.plot(measured[quantity], [line] * len(measured[quantity]), "o", color=colour, clip_on=False)
        axes.text(1.02, line, f"{mean:.3f}" + (f" ± {spread:.3f}" if spread is not None else ""), va="center")
    for value, name, style in (
        (1 / fine_classes, "chance", ":"),
        (coarse_classes / fine_classes, "guess inside the super-class", "--"),
    ):
        axes.axvline(value, color="#555555", linewidth=0.8, linestyle=style, label=name)
    axes.set_yticks(range(len(bars)), list(bars))
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel=f"test accuracy on {fine_classes} classes")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@styled
def agreement(rows: Sequence[Mapping], reducer: str, coarse_names: Sequence[str]) -> Figure:
    """Share of training samples whose recovered label is right, for each super-class and source.

    rows: of the clustering metrics; reducer: the one that is shown.
    """
    figure = new_figure(COLUMN * 1.5, 1.0 + 0.2 * len(coarse_names))
    axes = figure.add_subplot()
    rows = [row for row in rows if row["reducer"] == reducer]
    for index, (source, label) in enumerate(SOURCES.items()):
        own = [row["superclasses"] for row in rows if row["source"] == source]
        values = [mean_and_spread([scores[name]["agreement"] for scores in own]) for name in coarse_names]
        axes.errorbar(
            [mean for mean, _ in values],
            np.arange(len(values)) + (index - 1) * 0.2,
            xerr=[spread or 0.0 for _, spread in values],
            color=(COLOURS[1], COLOURS[0], COLOURS[6])[index],
            fmt=MARKERS[index],
            label=label,
        )
    chance = [1 / rows[0]["superclasses"][name]["clusters"] for name in coarse_names]
    axes.plot(chance, range(len(chance)), linestyle="", marker="|", markersize=9, color="#555555", label="chance")
    axes.set_yticks(range(len(coarse_names)), [plain(name, 28) for name in coarse_names])
    axes.set(xlim=(0, 1.02), ylim=(len(coarse_names) - 0.5, -0.5), xlabel="share of training samples labelled right")
    axes.grid(axis="x", linewidth=0.4)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _supervisions(rows: Sequence[Mapping]) -> list[str]:
    present = {row["supervision"] for row in rows}
    return [supervision for supervision in SUPERVISION if supervision in present]


def _limit(supervision: str) -> dict:
    return {"color": "black", "linewidth": 0.8, "zorder": 3, "dashes": {"fine": (6, 2), "coarse": (2, 2)}[supervision]}


def _keys(rows: Sequence[Mapping]) -> list[Line2D]:
    return [
        Line2D([], [], color=SUPERVISION[supervision], linestyle=line, label=f"{supervision}, {what}")
        for supervision in _supervisions(rows)
        for line, what in (("-", "class means"), (":", "last layer's rows"))
    ]
