"""The figure of LLFC beside LEWC: rows of the tables in, a Figure out."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Picture
from hidden_structure.report.connectivity import lines, series
from hidden_structure.report.connectivity.figures import plain_ticks
from hidden_structure.report.connectivity.lines import REPAIRED, Rows
from hidden_structure.report.connectivity.series import GREY, Series
from hidden_structure.report.linearity import laws
from hidden_structure.report.linearity.figures import FLOOR, blocks_axis
from hidden_structure.report.plotting import PAGE, logarithmic_axis, new_figure

LOOKS = {"linear": series.FILLED, "exponential": series.HOLLOW | {"markerfacecolor": "white"}}


def pictures(study: Study, features: Rows, layers: Rows) -> list[Picture]:
    """None where LEWC was not measured."""
    plain = lines.plain(study, features)
    if not laws.measured(plain):
        return []
    return [
        Picture(
            "laws",
            "Which mean of the ends the merged features are",
            "Above how far the features of merged networks point away from the linear interpolation of the two "
            "networks' own (LLFC, filled marks) and from their exponentially weighted sum (LEWC, hollow marks). Below "
            "the first over the second: under the dashes LLFC is nearer to the truth, above them LEWC.",
            "Test images; 1 - cos averaged over images and over all alphas other than 1/2, where both laws are one. "
            "LEWC weights the ends by (1 - alpha)^l and alpha^l, l being how many layers with weights lie on the "
            "longest path up to the layer; layers where that is 1, and both laws are one, are left out. "
            f"{series.BANDS} Above there are no bands. What is below 1e-6, where float32 cannot tell features from "
            "parallel ones, counts as 1e-6.",
            partial(fitted, series.few(plain), layers),
        )
    ]


def fitted(drawn: Sequence[Series], layers: Rows) -> Figure:
    """1 - cos with either law, and their ratio, at every layer behind the first weights."""
    figure = new_figure(PAGE, PAGE * 0.66)
    grid = figure.subplots(2, 2, sharex=True, sharey="row")
    kept = [index for index, layer in enumerate(layers) if layer["depth"] > 1]
    places = np.array([layers[index]["layer"] for index in kept])
    every = max(1, len(places) // 10)
    for (top, bottom), repaired in zip(grid.T, REPAIRED, strict=True):
        for one in drawn:
            rows = lines.of_repair(one.rows, repaired)
            own = {law: np.array([row["layers"][law] for row in rows])[:, kept].clip(FLOOR) for law in laws.LAWS}
            for law, look in LOOKS.items():
                top.plot(places, np.exp(np.log(own[law]).mean(0)), markevery=every, **one.style, **look)
            ratios = np.log(own["linear"] / own["exponential"])
            middle, spread = ratios.mean(0), ratios.std(0, ddof=1) if len(rows) > 1 else np.zeros(len(kept))
            bottom.plot(places, np.exp(middle), label=one.label, markevery=every, **one.style)
            band = np.exp(middle - spread), np.exp(middle + spread)
            bottom.fill_between(places, *band, color=one.colour, alpha=0.2, linewidth=0)
        top.set_title(REPAIRED[repaired])
        bottom.axhline(1, color=GREY, linewidth=0.8, linestyle=(0, (5, 3)), zorder=0)
        blocks_axis(bottom, layers)
    for row, label in zip(grid, ("1 - cos(merged, law)", "LLFC's over LEWC's"), strict=True):
        logarithmic_axis(*row)
        plain_ticks(row[0])
        row[0].set_ylabel(label)
    handles, labels = grid[1, 0].get_legend_handles_labels()
    for law, look in {"filled: LLFC": LOOKS["linear"], "hollow: LEWC": LOOKS["exponential"]}.items():
        handles.append(Line2D([], [], linestyle="", marker="o", color=GREY, label=law, **look))
        labels.append(law)
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure
