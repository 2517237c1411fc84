"""The figures on the unconstrained features model: the rows and arrays of its metrics in, a Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from hidden_structure.frame.errors import InputError
from hidden_structure.report.plotting import COLOURS, MARKERS, PAGE, epochs_axis, new_figure, styled

SECTION = {  # figure of the page -> title, how to read it, how it was made
    "simplex": (
        "Free features turn into a simplex",
        "One panel a step of the descent. The features of each of three classes end in one point (NC1), the points lie "
        "at 120 degrees from one another (NC2), and the rows of the last layer point at them (NC3).",
        "The unconstrained features model: no network and no data, the features themselves are what is optimised, "
        "together with the last layer, under cross-entropy and weight decay on both, from a random start. Drawn is the "
        "plane that the final rows span; rows are scaled so that they end where the features do.",
    ),
    "descent": (
        "Collapse of free features",
        "A line for every random start. The three measures fall to 0, as far as float64 reaches, where the optimum is "
        "a simplex. That of the mean squared error without bias is an orthogonal frame: its rows meet at right angles, "
        "and are not centred as the class means of NC3 are, so both measures stop above 0.",
        "The unconstrained features model under each loss, with and without bias, by L-BFGS and a last step or two of "
        "Newton's method. The measures are defined as in the figure of neural collapse over training.",
    ),
    "minority": (
        "Minority collapse",
        "Left the mean cosine of two rows of the last layer, right the mean norm of a row, against how many times as "
        "many samples a class of the majority has. From the dashed line on the rows of the minority are one, says the "
        "theory: the layer cannot tell these classes apart. A cosine is missing where rows are zero.",
        "The unconstrained features model under cross-entropy without bias; the majority is half of the classes.",
    ),
}

PANELS = 6
ARRIVED = 0.05  # share of the longest way that is left when features look as at the end
CASES = {  # (loss, bias) -> name, colour, line
    ("cross-entropy", False): ("cross-entropy", COLOURS[0], "-"),
    ("cross-entropy", True): ("cross-entropy, bias", COLOURS[5], "--"),
    ("mse", False): ("mean squared error", COLOURS[1], "-"),
    ("mse", True): ("mean squared error, bias", COLOURS[4], "--"),
}
MEASURES = {
    "nc1": "NC1: within-class variability",
    "nc2_angle_rows": "NC2: mean |cos + 1/(C-1)| of rows",
    "nc3": "NC3: distance from self-duality",
}
GROUPS = {"majority": (COLOURS[0], MARKERS[0]), "minority": (COLOURS[1], MARKERS[1])}
REFERENCE = {"color": "#777777", "linewidth": 0.8}
LEAST = 1e-16  # of the measures' axes: below lies what rounding leaves


@styled
def simplex(plane: Mapping[str, np.ndarray]) -> Figure:
    """Features, class means and rows of three classes at six steps; plane: what unconstrained.in_plane gives.

    Raises InputError if a position is not finite.
    """
    steps, labels, features, rows = (plane[name] for name in ("steps", "labels", "features", "rows"))
    if not (np.isfinite(features).all() and np.isfinite(rows).all()):
        raise InputError("the unconstrained features are no numbers: delete artifacts/unconstrained.npz, `dvc repro`")
    distances = np.linalg.norm(features - features[-1], axis=2).max(1)
    moving = int((distances > ARRIVED * distances[0]).sum())  # what comes after looks like the end
    shown = [*np.linspace(0, moving, PANELS - 1).round().astype(int), len(steps) - 1]
    figure = new_figure(PAGE, 4.9)
    reach = 1.1 * max(np.abs(features[shown]).max(), np.abs(rows[shown]).max())
    for axes, index in zip(figure.subplots(2, PANELS // 2, sharex=True, sharey=True).flat, shown, strict=True):
        for label, (colour, marker) in enumerate(zip(COLOURS[:3], MARKERS, strict=False)):
            own, end = features[index, labels == label], rows[-1, label]
            axes.plot(*np.outer(end, (0, 2 * reach / np.linalg.norm(end))), ":", **REFERENCE)
            axes.plot(*own.T, marker, color=colour, alpha=0.5, markeredgewidth=0)
            arrow = {"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", rows[index, label], (0, 0), arrowprops=arrow)
            axes.plot(*own.mean(0), "X", color=colour, markersize=6, markeredgecolor="black", markeredgewidth=0.6)
        axes.set_title("start" if index == 0 else f"step {steps[index]}" + (", the end" if index == shown[-1] else ""))
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axes.locator_params(nbins=5)
        axes.spines[["top", "right"]].set_visible(True)
    grey = {"linestyle": "", "color": "#555555"}
    handles = [
        Line2D([], [], marker="o", alpha=0.5, label="feature (marker and colour: class)", **grey),
        Line2D([], [], marker="X", markersize=6, markeredgecolor="black", label="class mean", **grey),
        Line2D([], [], marker=r"$\rightarrow$", markersize=9, label="row of the last layer, scaled", **grey),
        Line2D([], [], linestyle=":", **REFERENCE, label="direction in which it ends"),
    ]
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=4)
    return figure


@styled
def descent(rows: Sequence[Mapping]) -> Figure:
    """NC1 to NC3 over the descent, a line a random start; rows: the metrics' solutions."""
    figure = new_figure(PAGE, 2.7)
    panels = figure.subplots(1, len(MEASURES), sharex=True)
    last = max(row["trajectory"][-1]["step"] for row in rows)
    for axes, (measure, title) in zip(panels, MEASURES.items(), strict=True):
        for (loss, bias), (name, colour, line) in CASES.items():
            for row in rows:
                if (row["loss"], row["bias"]) == (loss, bias):
                    steps, values = zip(*((one["step"], one[measure]) for one in row["trajectory"]), strict=True)
                    label = name if row["start"] == 0 else None
                    axes.plot(steps, np.maximum(values, LEAST), line, color=colour, linewidth=0.9, label=label)
        epochs_axis(axes, last)
        axes.set(yscale="log", ylim=(LEAST, 30), title=title, xlabel="step")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


@styled
def minority(rows: Sequence[Mapping], merging_ratio: float, classes: int) -> Figure:
    """Cosines and norms of the last layer's rows against the imbalance ratio; rows: the metrics' imbalance.

    merging_ratio: the ratio from which on the minority's rows are one.
    """
    figure = new_figure(PAGE, 2.6)
    panels = figure.subplots(1, 2)
    rows = sorted(rows, key=lambda row: row["ratio"])
    ratios = [row["ratio"] for row in rows]
    for axes, quantity in zip(panels, ("cosine", "norm"), strict=True):
        for name, (colour, marker) in GROUPS.items():
            values = [row[f"{name}_{quantity}"] for row in rows]
            values = [np.nan if value is None else value for value in values]
            axes.plot(ratios, values, "-", color=colour, marker=marker, label=name)
        axes.axvline(merging_ratio, linestyle=(0, (5, 3)), label="minority merges (theory)", **REFERENCE)
        axes.set(xscale="log", xlabel="samples in a majority class / in a minority class")
        axes.set_xticks(ratios, [f"{ratio:g}" for ratio in ratios])
        axes.xaxis.set_minor_locator(NullLocator())
    panels[0].axhline(-1 / (classes - 1), linestyle=":", label="simplex: -1/(C-1)", **REFERENCE)
    panels[0].set(ylim=(-1.05, 1.05), ylabel="mean cosine of two rows")
    panels[1].set(ylim=(0, None), ylabel="mean norm of a row")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
