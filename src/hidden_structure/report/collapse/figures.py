"""The figures on training and neural collapse: rows of the tables `training` and `collapse` in, a Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hidden_structure.report.collapse.claims import BOUNDS, excess, of
from hidden_structure.report.curves import (
    AS_MODELLED,
    QUANTITIES,
    Curves,
    beside,
    curve,
    down_to_none,
    linear_epochs,
    log_epochs,
    logarithmic,
)
from hidden_structure.report.plotting import COLOURS, COLUMN, PAGE, new_figure

SUPERVISION = {"fine": (COLOURS[0], "o"), "coarse": (COLOURS[1], "s")}  # colour and marker
DASHES = {"fine": "-", "coarse": (0, (4, 1.2))}  # of lines without marks
LINES = {"-": "class means", ":": "last layer's rows"}
MEANS, ROWS = {"linestyle": "-"}, {"linestyle": ":", "markerfacecolor": "white"}


def learning_curves(training: Sequence[Mapping], samples: int) -> Figure:
    """Error and cross-entropy against the epoch; samples: images of the smaller of both sets, whose share is the least
    that shows."""
    figure = new_figure(PAGE, 0.46 * PAGE)
    panels = figure.subplots(1, 2)
    last = max(row["epochs"][-1] for row in training)
    for supervision, (colour, marker) in SUPERVISION.items():
        networks = of(training, supervision)
        for axes, name in zip(panels, ("accuracy", "loss"), strict=True):
            train = [(row["epochs"], _shown(row["train"][name], name)) for row in networks]
            test = [(row["snapshots"], _shown(row["test"][name], name)) for row in networks]
            line = DASHES[supervision]
            curve(axes, train, colour, name == "loss", linestyle=line, label=f"{supervision} labels, training")
            style = {"linestyle": ":", "marker": marker, "label": f"{supervision} labels, test"}
            curve(axes, test, colour, name == "loss", **style, clip_on=False, zorder=3)
    for axes, label in zip(panels, ("error (fraction)", "cross-entropy (nats)"), strict=True):
        linear_epochs(axes, last)
        axes.set(xlabel="epoch", ylabel=label)
        axes.grid(axis="y", linewidth=0.4)
    down_to_none(panels[0], 1 / samples)
    logarithmic(panels[1])
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def collapse(rows: Sequence[Mapping], samples: int) -> Figure:
    """NC1 to NC4 against the epoch, with the bounds of the claims; samples: training images.

    Of two classes what is so from the beginning is not drawn.
    """
    figure = new_figure(PAGE, 0.72 * PAGE)
    grid = figure.subplots(2, 3, sharex=True)
    last = max(row["epochs"][-1] for row in rows)
    for supervision, (colour, marker) in SUPERVISION.items():
        networks = of(rows, supervision)
        for axes, (name, columns, _) in zip(grid.flat, PANELS.values(), strict=True):
            if name == "simplex" and networks[0]["classes"] == 2:
                continue
            for column, line in zip(columns, (MEANS, ROWS), strict=False):
                what = LINES[line["linestyle"]] if len(columns) > 1 else ""
                style = line | {"marker": marker, "clip_on": False, "zorder": 3, "label": _name(supervision, what)}
                curve(axes, _over_epochs(networks, column), colour, name != "nc4", **style)
    for axes, (title, (name, _, label)) in zip(grid.flat, PANELS.items(), strict=True):
        axes.axhline(BOUNDS[name][0], color="#555555", linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        axes.set_title(title)
        axes.set_ylabel(label)
        axes.grid(axis="y", linewidth=0.4)
        if name == "nc4":
            down_to_none(axes, 1 / samples)
        else:
            logarithmic(axes)
        log_epochs(axes, last)
    for axes in grid[1]:
        axes.set_xlabel("epoch")
    bound = Line2D([], [], color="#555555", linewidth=0.8, linestyle=(0, (1, 2)), label="bound at the end")
    handles = [*_keys(), bound]
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=3)
    return figure


def angles(rows: Sequence[Mapping]) -> Figure:
    """Cosines of two classes, mean and standard deviation over pairs, and their limit; a panel a supervision.

    Supervisions with two classes, whose centred means are always opposite, have no panel.
    """
    shown = [name for name in SUPERVISION if of(rows, name)[0]["classes"] > 2]
    figure = new_figure(PAGE if len(shown) > 1 else COLUMN, 0.46 * PAGE)
    last = max(row["epochs"][-1] for row in rows)
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, supervision in zip(panels, shown, strict=True):
        networks, (colour, marker) = of(rows, supervision), SUPERVISION[supervision]
        epochs = networks[0]["epochs"]
        for kind, line, shade, form in (("means", MEANS, colour, marker), ("rows", ROWS, "#777777", "D")):
            mean, spread = (np.mean([row[name][kind] for row in networks], axis=0) for name in ("cosine", "spread"))
            axes.plot(epochs, mean, color=shade, marker=form, label=LINES[line["linestyle"]], **line)
            axes.fill_between(epochs, mean - spread, mean + spread, color=shade, alpha=0.15, linewidth=0)
        limit = -1 / (networks[0]["classes"] - 1)
        axes.axhline(limit, color="black", linewidth=0.8, dashes=(4, 2), label="angle of a simplex")
        minus = f"\N{MINUS SIGN}1/{networks[0]['classes'] - 1}"
        axes.set(title=f"{networks[0]['classes']} {supervision} labels: limit {minus}", xlabel="epoch")
        axes.grid(axis="y", linewidth=0.4)
        log_epochs(axes, last)
    panels[0].set_ylabel("cosine of two classes")
    handles = [*(axes.lines[0] for axes in panels), *panels[0].lines[1:]]
    names = [f"{name}, class means" for name in shown] + [line.get_label() for line in panels[0].lines[1:]]
    figure.legend(handles, names, loc="outside lower center", ncols=4)
    return figure


def model(rows: Sequence[Mapping]) -> Figure:
    """What networks do against what the unconstrained features model says; a line a network, from its first epoch on.

    What is not above 0 has no place on these axes.
    """
    figure = new_figure(PAGE, 0.46 * PAGE)
    for axes, (column, label) in zip(figure.subplots(1, 2), QUANTITIES.items(), strict=True):
        ways = [np.array([row[column][whose][1:] for row in rows]) for whose in ("model", "network")]
        for row, x, y in zip(rows, *ways, strict=True):
            colour, marker = SUPERVISION[row["supervision"]]
            axes.plot(x, y, color=colour, linestyle=DASHES[row["supervision"]], linewidth=0.7, alpha=0.6)
            axes.plot(x[-1:], y[-1:], color=colour, marker=marker, linestyle="", zorder=3)
        beside(axes, *ways)
        axes.set_title(label)
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle=DASHES[supervision], label=f"{supervision} labels")
        for supervision, (colour, marker) in SUPERVISION.items()
    ]
    handles.append(Line2D([], [], **AS_MODELLED))
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=3)
    return figure


PANELS = {  # title -> property of the claims, columns or what makes them, unit
    "NC1": ("nc1", ["nc1"], "within / between"),
    "NC2: norms": ("simplex", ["norms.means", "norms.rows"], "std / mean"),
    "NC2: angles": ("simplex", ["angle.means", "angle.rows"], "|cos + 1/(C \N{MINUS SIGN} 1)|"),
    "NC2: excess": ("simplex", [excess], "excess cosine"),
    "NC3": ("nc3", ["nc3"], "distance"),
    "NC4": ("nc4", ["nc4"], "disagreement"),
}


def _over_epochs(networks: Sequence[Mapping], column: object) -> Curves:
    def values(row: Mapping) -> Sequence[float]:
        if callable(column):
            return column(row)
        name, _, of_what = str(column).partition(".")
        return row[name][of_what] if of_what else row[name]

    return [(row["epochs"], values(row)) for row in networks]


def _shown(values: Sequence[float], name: str) -> Sequence[float]:
    return [1 - value for value in values] if name == "accuracy" else values


def _name(supervision: str, what: str) -> str:
    return f"{supervision}, {what}" if what else supervision


def _keys() -> list[Line2D]:
    return [
        Line2D([], [], color=colour, marker=marker, label=_name(supervision, LINES[line["linestyle"]]), **line)
        for supervision, (colour, marker) in SUPERVISION.items()
        for line in (MEANS, ROWS)
    ]
