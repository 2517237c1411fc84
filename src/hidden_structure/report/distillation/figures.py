"""The figures on students of a teacher that knows few classes: metrics in, a Figure out."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from hidden_structure.report.distillation.measure import NAMES, interval, methods
from hidden_structure.report.plotting import COLOURS, COLUMN, MARKERS, PAGE, new_figure, styled
from hidden_structure.report.summary import Measured, mean_and_spread

SECTION = {  # figure of the page -> title, how to read it, how it was made
    "students": (
        "Students of a teacher of few classes",
        "Left: further right, more of the test set gets its right class; dots are means, with a bar of one standard "
        "deviation to either side, and the rings above them single seeds. Right: how far each method lies from vanilla "
        "distillation (KD) with the same seed. Bars are 95 % intervals of the mean; one seed has none. They say "
        "how far another seed of the student would scatter, for this teacher, these pieces and this test set; and of "
        "nine comparisons one that misses the dashed line by chance is no rarity.",
        "All students are one network, trained by one recipe; of one seed they see the same batches, and those with as "
        "many outputs start alike. What differs is what the teacher tells them of each image. The methods below FitNet "
        "split each class into pieces, and the student's probabilities of the pieces of a class are summed. Intervals: "
        "Student's t over the differences of the seeds.",
    ),
    "subclasses": (
        "How many pieces?",
        "To the right each class is split into more pieces. A line above KD says that pieces help; a level one says "
        "that their number matters little. With few held-out images, small differences mean nothing.",
        "Accuracy on held-out training images of students of the first seed: those by which S was chosen. "
        "Hyper-parameters are chosen one after the other, so the other two are not equally well tuned for every S; of "
        "those that were tried the best is shown. Marks are moved sideways a little where they would hide each other.",
    ),
    "inheritance": (
        "What the pieces mean, and what the student keeps",
        "Left: how far the pieces that were taught agree with the original classes (1: they are the same, 0: by "
        "chance); hollow where classes are left whole. Right: how well the original classes can be told "
        "in the student's own features, which were never asked for. Dashed: KD. A method whose mark lies right of "
        "that line on both sides has taught fine structure, and the student has kept it.",
        "Left: adjusted mutual information with the original training labels inside each class, on average; of soft "
        "pieces the likeliest. Right: share of training samples that clusters of the student's penultimate features, "
        "inside each class and as many as it has original classes, give their original class (PCA, k-means, best "
        "naming); rings are seeds, bars one standard deviation.",
    ),
}

GREY = "#555555"
SHARES = (0, 0.25, 0.5, 0.75, 1)
WHOLE = ("alone", "kd", "fitnet")  # methods that leave classes whole
STYLE = {  # of methods over the number of pieces: colour, line
    "subclass": (COLOURS[3], "-"),
    "random": (GREY, "-"),
    "random-projections": (COLOURS[4], "-"),
    "kmeans": (COLOURS[5], "-"),
    "tsne-kmeans": (COLOURS[2], "-"),
    "lelp": (COLOURS[1], "-"),
    "kd": (COLOURS[6], "--"),
    "oracle": (COLOURS[0], ":"),
}


def draw(found: Mapping, measured: Measured) -> dict[str, Figure]:
    """The figures of SECTION by name; "subclasses" only where two numbers of pieces or more were tried.

    Args:
        found: the distillation metrics; measured: of distill_summary.
    """
    figures = {"students": students(measured), "inheritance": inheritance(measured)}
    if len({row["subclasses"] for row in found["tried"]} - {None}) > 1:
        figures["subclasses"] = subclasses(found["tried"])
    return figures


@styled
def students(measured: Measured) -> Figure:
    """Test accuracy by method, and the paired difference to KD with its interval."""
    run = methods(measured)
    figure = new_figure(PAGE, 1.15 + 0.27 * len(run))
    left, right = figure.subplots(1, 2, sharey=True)
    for line, method in enumerate(run):
        _seeds(left, line, measured[f"distill.{method}.accuracy"])
        if method != "kd":
            gains = 100 * np.array(measured[f"distill.{method}.gain"])
            mean, ends = fmean(gains), interval(gains)
            reach = ends[1] - mean if ends else 0.0
            _rings(right, line, gains)
            right.errorbar(mean, line, xerr=reach or None, fmt="o", color=COLOURS[0], markersize=4, capsize=2)
    dashed = {"linewidth": 0.8, "zorder": 1}
    teacher, kd = (mean_and_spread(measured[f"distill.{name}.accuracy"])[0] for name in ("teacher", "kd"))
    left.axvline(teacher, color=COLOURS[1], linestyle="-.", label="teacher", **dashed)
    left.axvline(kd, color=GREY, linestyle="--", label="distillation (KD)", **dashed)
    right.axvline(0, color=GREY, linestyle="--", **dashed)
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.margins(x=0.08)
    left.set_xlabel("test accuracy")
    right.set_xlabel("difference to KD (percentage points)")
    _named(left, right, run)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@styled
def subclasses(tried: Sequence[Mapping]) -> Figure:
    """Held-out accuracy against the number of pieces; rows of what was tried."""
    numbers = sorted({row["subclasses"] for row in tried} - {None})
    split = [name for name in STYLE if any(row["method"] == name and row["subclasses"] is not None for row in tried)]
    figure = new_figure(COLUMN * 1.5, 3.2)
    axes = figure.add_subplot()
    step = min(b / a for a, b in pairwise(numbers)) ** 0.05  # between two marks of one S
    for place, method in enumerate(split):
        colour, line = STYLE[method]
        own = [row for row in tried if row["method"] == method]
        best = {number: _best([row for row in own if row["subclasses"] == number]) for number in numbers}
        known = [number for number in numbers if best[number] is not None]
        sideways = step ** (place - (len(split) - 1) / 2)
        axes.plot(
            [number * sideways for number in known],
            [best[number] for number in known],
            line,
            color=colour,
            marker=MARKERS[place],
            markersize=4,
            label=NAMES[method],
        )
    for method in ("kd", "oracle"):
        colour, line = STYLE[method]
        level = _best([row for row in tried if row["method"] == method])
        if level is not None:
            axes.axhline(level, color=colour, linestyle=line, linewidth=1, zorder=0, label=NAMES[method])
    axes.set_xscale("log")
    axes.set_xticks(numbers, [str(number) for number in numbers])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="pieces of each class, S", ylabel="accuracy on held-out images")
    axes.grid(axis="y", linewidth=0.4)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@styled
def inheritance(measured: Measured) -> Figure:
    """Meaning of the taught pieces beside the recovery from the student's own features, by method."""
    run = methods(measured)
    figure = new_figure(PAGE, 0.85 + 0.27 * len(run))
    left, right = figure.subplots(1, 2, sharey=True)
    for line, method in enumerate(run):
        face = "white" if method in WHOLE else COLOURS[2]
        own = measured[f"distill.{method}.pieces"]
        left.plot(own, [line] * len(own), "D", color=COLOURS[2], markerfacecolor=face, markersize=4, clip_on=False)
        _seeds(right, line, measured[f"distill.{method}.recovery"])
    for axes, quantity in ((left, "pieces"), (right, "recovery")):
        level = mean_and_spread(measured[f"distill.kd.{quantity}"])[0]
        axes.axvline(level, color=GREY, linestyle="--", linewidth=0.8, zorder=1)
        axes.set_xlim(0, 1.02)
        axes.set_xticks(SHARES, [f"{share:g}" for share in SHARES])
    left.set_xlabel("taught pieces: mutual information (adjusted)")
    right.set_xlabel("student's own features: original class recovered")
    _named(left, right, run)
    return figure


def _named(left: Axes, right: Axes, run: Sequence[str]) -> None:
    left.set_yticks(range(len(run)), [NAMES[method] for method in run])
    left.set_ylim(len(run) - 0.5, -0.7)
    right.tick_params(axis="y", length=0)
    for axes in (left, right):
        axes.grid(axis="x", linewidth=0.4, color="#DDDDDD")
        axes.set_axisbelow(True)


def _seeds(axes: Axes, line: int, values: Sequence[float]) -> None:
    """Each seed, and their mean with a bar of one spread to either side."""
    mean, spread = mean_and_spread(values)
    _rings(axes, line, values)
    axes.errorbar(mean, line, xerr=spread, fmt="o", color=COLOURS[0], markersize=4, capsize=2)


def _rings(axes: Axes, line: int, values: Sequence[float]) -> None:
    """A ring a seed above the line, each higher than the next, so that equal ones do not hide; of one seed none."""
    if len(values) > 1:
        heights = line - np.linspace(0.42, 0.18, len(values))
        axes.plot(values, heights, "o", color=COLOURS[5], markerfacecolor="none", markersize=3, markeredgewidth=0.8)


def _best(rows: Sequence[Mapping]) -> float | None:
    return max((row["accuracy"] for row in rows), default=None)
