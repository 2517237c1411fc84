"""The figures on the unconstrained features model: rows of tables in, a Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from hidden_structure.report.curves import logarithmic
from hidden_structure.report.plotting import COLOURS, MARKERS, PAGE, epochs_axis, new_figure

CASES = {  # (loss, bias) -> title of its panel
    ("cross-entropy", False): "cross-entropy",
    ("cross-entropy", True): "cross-entropy, bias",
    ("mse", False): "squared error",
    ("mse", True): "squared error, bias",
}
MEASURES = {  # column -> label, line
    "nc1": ("NC1, within-class variability", "-"),
    "nc2": ("NC2, angles of rows, from their optimum", "--"),
    "nc3": ("NC3, self-duality, from its optimum", ":"),
}
GROUPS = {"majority": (COLOURS[0], MARKERS[0]), "minority": (COLOURS[1], MARKERS[1])}
REFERENCE = {"color": "#777777", "linewidth": 0.8}
LEAST = 1e-12  # of the axis: below lies what rounding leaves, and tables hold nothing less


def descent(rows: Sequence[Mapping], optimum: Mapping[tuple[str, bool], str]) -> Figure:
    """A panel a case, a line a measure and random start; optimum: case -> what its optimum is."""
    cases = [case for case in CASES if any((row["loss"], row["bias"]) == case for row in rows)]
    figure = new_figure(PAGE, 0.38 * PAGE)
    panels = figure.subplots(1, len(cases), sharex=True, sharey=True, squeeze=False)[0]
    last = max(row["step"][-1] for row in rows)
    for axes, case in zip(panels, cases, strict=True):
        for place, (measure, (label, line)) in enumerate(MEASURES.items()):
            for row in rows:
                if (row["loss"], row["bias"]) == case:
                    own = {"color": COLOURS[place], "linewidth": 0.9, "label": label if row["start"] == 0 else None}
                    axes.plot(row["step"], row[measure], line, **own)
        epochs_axis(axes, last)
        axes.set(yscale="log", ylim=(LEAST / 3, 30), title=f"{CASES[case]}:\n{optimum[case]}", xlabel="step")
    panels[0].set_ylabel("distance from the optimum")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def minority(weighed: Mapping[str, Sequence[Mapping]], classes: int) -> Figure:
    """Cosines and norms of the last layer's rows against the imbalance ratio.

    weighed: what holds the norms -> rows like those of the table `imbalance`, a row of panels each.
    """
    figure = new_figure(PAGE, (0.08 + 0.29 * len(weighed)) * PAGE)
    grid = figure.subplots(len(weighed), 2, squeeze=False)
    for (cosines, norms), (title, rows) in zip(grid, weighed.items(), strict=True):
        rows = sorted(rows, key=lambda row: row["ratio"])
        ratios = [row["ratio"] for row in rows]
        for axes, quantity in ((cosines, "cosine"), (norms, "norm")):
            for name, (colour, marker) in GROUPS.items():
                values = [row.get(name, {}).get(quantity) for row in rows]
                values = [np.nan if value is None else value for value in values]
                axes.plot(ratios, values, "-", color=colour, marker=marker, label=name)
            if (threshold := rows[0]["merging_ratio"]) is not None:
                axes.axvline(threshold, linestyle=(0, (5, 3)), label="threshold (theory)", **REFERENCE)
            axes.set(xscale="log", title=title if len(weighed) > 1 else "")
            axes.set_xlabel("samples of a class, majority / minority")  # each row has ratios of its own
            logarithmic(axes, "x")
        simplex = "simplex: \N{MINUS SIGN}1/(C\N{MINUS SIGN}1)"
        cosines.axhline(-1 / (classes - 1), linestyle=":", label=simplex, **REFERENCE)
        cosines.set(ylim=(-1.05, 1.05), ylabel="cosine of two rows")
        norms.set(ylim=(0, None), ylabel="norm of a row")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
