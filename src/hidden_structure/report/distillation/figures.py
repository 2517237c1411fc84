"""The figures on students of a teacher that knows few classes: rows of tables in, a Figure out."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from hidden_structure.report.distillation.replications import by_teacher, of_method
from hidden_structure.report.plotting import COLOURS, MARKERS, PAGE, new_figure
from hidden_structure.report.statistics import differences, interval, standard_deviation

GREY = "#555555"


def students(teachers: Sequence[Mapping], methods: Sequence[Mapping], rows: Sequence[Mapping]) -> Figure:
    """Training and test accuracy by method, and the paired difference to KD with its interval."""
    trains, tests = (of_method(rows, lambda row, split=split: row["accuracy"][split]) for split in ("train", "test"))
    figure = new_figure(PAGE, 1.15 + 0.25 * len(methods))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 3))
    dashed, replication = {"linewidth": 0.8, "zorder": 1}, "teacher" if by_teacher(rows) else "student"
    for line, method in enumerate(row["method"] for row in methods):
        _mean(left, line - 0.15, trains[method], "s", COLOURS[5], "none")
        _mean(left, line + 0.15, tests[method], "o", COLOURS[0])
        gains = 100 * np.array(differences(tests[method], tests["kd"]))
        ends = interval(gains)
        reach = None if ends is None or method == "kd" else (ends[1] - ends[0]) / 2
        look = {"color": COLOURS[0], "markersize": 4, "capsize": 2}
        right.errorbar(fmean(gains), line, xerr=reach, fmt="o", markerfacecolor=_face(method), **look)
        if method != "kd" and len(gains) > 1:
            right.plot(gains, [line - 0.28] * len(gains), "|", color=COLOURS[5], markersize=5)
    left.axvline(fmean(row["test_accuracy"] for row in teachers), color=COLOURS[1], linestyle="-.", **dashed)
    right.axvline(0, color=GREY, linestyle="--", **dashed)
    left.set_xlim(1 / teachers[0]["classes"], 1.0)
    right.margins(x=0.08)
    left.set_xlabel("accuracy, from chance to 1")
    right.set_xlabel("test accuracy less KD (percentage points)")
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(5))
    _named(left, right, methods)
    handles = [
        _mark("test", "o", COLOURS[0]),
        _mark("training", "s", COLOURS[5], "none"),
        Line2D([], [], color=COLOURS[1], linestyle="-.", linewidth=0.8, label="teacher, test"),
        Line2D([], [], color=COLOURS[5], marker="|", linestyle="", label=f"one {replication} less KD"),
        _mark("KD, the reference", "o", COLOURS[0], "white"),
    ]
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=5)
    return figure


def pieces(methods: Sequence[Mapping], tried: Sequence[Mapping], held_out: int) -> Figure:
    """Held-out accuracy by method and number of pieces, the best of what was tried; held_out: images."""
    split = [row for row in methods if any(r["method"] == row["method"] and r["subclasses"] for r in tried)]
    numbers = sorted({row["subclasses"] for row in tried} - {None})
    figure = new_figure(PAGE, 0.95 + 0.25 * len(split))
    axes = figure.add_subplot()
    for place, number in enumerate(numbers):
        best = {row["method"]: _best(tried, row["method"], number) for row in split}
        lines = [line for line, row in enumerate(split) if best[row["method"]] is not None]
        look = {"color": COLOURS[place % 6], "marker": MARKERS[place % len(MARKERS)], "markerfacecolor": "none"}
        axes.plot(
            [best[split[line]["method"]] for line in lines], lines, linestyle="", **look, label=f"{number} pieces"
        )
    for method, line in (("kd", "--"), ("oracle", ":")):
        if (level := _best(tried, method, None)) is not None:
            label = next(row["label"] for row in methods if row["method"] == method)
            axes.axvline(level, color=GREY, linestyle=line, linewidth=0.9, zorder=1, label=label)
            if method == "kd":
                error = np.sqrt(max(level * (1 - level), 0) / held_out)
                own = {"color": GREY, "alpha": 0.12, "linewidth": 0, "zorder": 0}
                axes.axvspan(level - error, level + error, **own, label="one standard error of its images")
    axes.set_yticks(range(len(split)), [row["label"] for row in split])
    axes.set(ylim=(len(split) - 0.5, -0.5), xlabel=f"accuracy on {held_out} held-out images, best of what was tried")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def inheritance(methods: Sequence[Mapping], rows: Sequence[Mapping]) -> Figure:
    """Meaning of the taught pieces beside the recovery from the student's own features, by method."""
    kept = of_method(rows, lambda row: row["recovery"])
    told = of_method(rows, lambda row: row["probe"]) if "probe" in rows[0] else {}
    figure = new_figure(PAGE, 1.1 + 0.25 * len(methods))
    left, right = figure.subplots(1, 2, sharey=True)
    for line, row in enumerate(methods):
        own = {"color": COLOURS[2], "markerfacecolor": COLOURS[2] if _splits(row) else "white", "markersize": 4}
        left.plot(row["information"], line, "D", clip_on=False, **own)
        _mean(right, line, kept[row["method"]], "o", COLOURS[0])
        if told:
            _mean(right, line, told[row["method"]], "s", COLOURS[1], "none")
    right.axvline(fmean(kept["kd"]), color=GREY, linestyle="--", linewidth=0.8, zorder=1)
    for axes in (left, right):
        axes.set_xlim(0, 1)
        axes.set_xticks((0, 0.25, 0.5, 0.75, 1), ["0", "0.25", "0.5", "0.75", "1"])
    left.set_xlabel("taught pieces: adjusted mutual information")
    right.set_xlabel("student's features: share of original classes told")
    _named(left, right, methods)
    handles = [
        _mark("pieces, with the original classes", "D", COLOURS[2]),
        _mark("classes left whole", "D", COLOURS[2], "white"),
        _mark("by clusters, training images", "o", COLOURS[0]),
        *([_mark("by a linear layer, test images", "s", COLOURS[1], "none")] if told else []),
        Line2D([], [], color=GREY, linestyle="--", linewidth=0.8, label="KD, by clusters"),
    ]
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=3)
    return figure


def gaps(methods: Sequence[Mapping], lengths: Mapping[int, Sequence[Mapping]]) -> Figure:
    """Gain over KD against what is left of the gap between training and test, by method; where students were trained
    for several numbers of epochs besides against these.

    lengths: epochs -> rows of students; the first those of the recipe.
    """
    (own, *_), taught = lengths.values(), [row for row in methods if row["method"] != "kd"]
    figure = new_figure(PAGE, 3.6)
    first, *further = np.atleast_1d(figure.subplots(1, 1 if len(lengths) == 1 else 2, sharey=True))
    gap, test = (of_method(own, quantity) for quantity in (_gap, _test))
    whole = 100 * fmean(gap["kd"])
    closed = np.array([min(100 * fmean(values) for values in gap.values()), whole])
    first.plot(closed, whole - closed, ":", color=GREY, linewidth=1, zorder=1, label="all of it a closed gap")
    for place, row in enumerate(taught):
        gains = 100 * np.array(differences(test[row["method"]], test["kd"]))
        first.plot(100 * fmean(gap[row["method"]]), fmean(gains), **_look(place), linestyle="", label=row["label"])
    first.axvline(whole, color=GREY, linestyle="--", linewidth=0.8, zorder=1, label="KD")
    first.set_xlabel("training less test accuracy of the method's students (percentage points)")
    first.set_ylabel("test accuracy less KD (percentage points)")
    first.yaxis.set_major_locator(MaxNLocator(6))
    for axes in further:
        epochs = sorted(lengths)
        for place, row in enumerate(taught):
            tests = [of_method(lengths[one], _test) for one in epochs]
            gains = [100 * fmean(differences(each[row["method"]], each["kd"])) for each in tests]
            axes.plot(epochs, gains, **_look(place), linestyle="-", linewidth=0.8)
        axes.set_xscale("log")
        axes.set_xticks(epochs, [str(one) for one in epochs])
        axes.minorticks_off()
        axes.set_xlabel("epochs of the students' training")
    for axes in (first, *further):
        axes.axhline(0, color=GREY, linestyle="--", linewidth=0.8, zorder=1)
        axes.grid(linewidth=0.4, color="#DDDDDD")
        axes.set_axisbelow(True)
        axes.margins(x=0.08, y=0.1)
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def _gap(row: Mapping) -> float:
    return row["accuracy"]["train"] - row["accuracy"]["test"]


def _test(row: Mapping) -> float:
    return row["accuracy"]["test"]


def _look(place: int) -> dict:
    """Colour and marker by which a dozen methods are told apart."""
    colour, filled = COLOURS[place % len(COLOURS)], place < len(COLOURS)
    face = colour if filled else "white"
    return {"color": colour, "marker": MARKERS[place % len(MARKERS)], "markerfacecolor": face, "markersize": 5}


def _splits(row: Mapping) -> bool:
    """Whether the method splits classes: hyper-parameters say how many pieces, but of oracles, which know."""
    return row["subclasses"] is not None or row["method"].startswith("oracle")


def _face(method: str) -> str:
    return "white" if method == "kd" else COLOURS[0]


def _named(left: Axes, right: Axes, methods: Sequence[Mapping]) -> None:
    left.set_yticks(range(len(methods)), [row["label"] for row in methods])
    left.set_ylim(len(methods) - 0.5, -0.6)
    right.tick_params(axis="y", length=0)
    for axes in (left, right):
        axes.grid(axis="x", linewidth=0.4, color="#DDDDDD")
        axes.set_axisbelow(True)


def _mean(axes: Axes, line: int, values: Sequence[float], marker: str, colour: str, face: str | None = None) -> None:
    """The mean with a bar of one standard deviation to either side, none with one value."""
    look = {"color": colour, "markerfacecolor": face or colour, "markersize": 4, "clip_on": False}
    axes.errorbar(fmean(values), line, xerr=standard_deviation(values), fmt=marker, zorder=3, elinewidth=0.9, **look)


def _best(rows: Sequence[Mapping], method: str, number: int | None) -> float | None:
    own = (row for row in rows if (row["method"], row["subclasses"]) == (method, number))
    return max((row["accuracy"] for row in own), default=None)


def _mark(name: str, marker: str, colour: str, face: str | None = None) -> Line2D:
    return Line2D(
        [], [], linestyle="", marker=marker, markersize=4, color=colour, markerfacecolor=face or colour, label=name
    )
