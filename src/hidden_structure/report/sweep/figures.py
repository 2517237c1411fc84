"""The figure on the grid of recipes: rows of the table `sweep` in, a Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from hidden_structure.report.curves import AS_MODELLED, QUANTITIES, beside
from hidden_structure.report.plotting import MARKERS, PAGE, new_figure
from hidden_structure.report.statistics import mean, standard_error

PANELS = {  # column of the table -> title
    "nc1": "NC1 within coarse classes",
    "test_accuracy": "test accuracy, coarse labels",
    "accuracy": "test accuracy, recovered labels",
    "agreement": "agreement of recovered labels",
}
SHARES = Normalize(0, 1)  # the same for all three, so that a small difference looks small


def heat_maps(rows: Sequence[Mapping]) -> Figure:
    """NC1, accuracies and agreement of every recipe, means over the seeds where they could be measured."""
    lrs, decays = (sorted({row[key] for row in rows}, reverse=True) for key in ("lr", "weight_decay"))
    cells: dict[tuple[int, int], list[Mapping]] = {}
    for row in rows:  # a list of rows may lack a cell
        cells.setdefault((decays.index(row["weight_decay"]), lrs.index(row["lr"])), []).append(row)
    figure = new_figure(PAGE, PAGE * (0.17 + 2 * (0.065 + 0.062 * len(lrs))))
    grid = figure.subplots(2, 2, sharex=True, sharey=True)
    for axes, (column, title) in zip(grid.flat, PANELS.items(), strict=True):
        means = np.full((len(lrs), len(decays)), np.nan)
        for (x, y), own in cells.items():
            if values := _measured(own, column):
                means[y, x] = mean(values)
        norm = _decades(means) if column == "nc1" else SHARES
        image = axes.imshow(np.ma.masked_invalid(means), cmap="cividis", norm=norm, aspect="auto")
        unit = "NC1" if column == "nc1" else "fraction"
        figure.colorbar(image, ax=axes, shrink=0.9, label=unit)
        axes.set_title(title)
        axes.set_xticks(range(len(decays)), [f"{decay:g}" for decay in decays])
        axes.set_yticks(range(len(lrs)), [f"{lr:g}" for lr in lrs])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        for place, own in cells.items():
            _label(axes, place, own, column, norm)
    for axes in grid[-1]:
        axes.set_xlabel("weight decay")
    for axes in grid[:, 0]:
        axes.set_ylabel("learning rate")
    return figure


def model(rows: Sequence[Mapping]) -> Figure:
    """What networks do at the end against what the unconstrained features model says of them."""
    shown = [row for row in rows if row.get("wrong") and row["wrong_model"] and row["gap"] > 0]
    lrs, decays = (sorted({row[key] for row in shown}) for key in ("lr", "weight_decay"))
    colours = dict(zip(decays, colormaps["cividis"](np.linspace(0, 0.95, len(decays))), strict=True))
    figure = new_figure(PAGE, 0.46 * PAGE)
    for axes, (column, label) in zip(figure.subplots(1, 2), QUANTITIES.items(), strict=True):
        for row in shown:
            marker = MARKERS[lrs.index(row["lr"]) % len(MARKERS)]
            axes.plot(row[f"{column}_model"], row[column], marker=marker, color=colours[row["weight_decay"]])
        beside(axes, *(np.array([row[name] for row in shown]) for name in (f"{column}_model", column)))
        axes.set_title(label)
    own = {"linestyle": "", "marker": "o"}
    handles = [Line2D([], [], color=colours[decay], label=f"weight decay {decay:g}", **own) for decay in decays]
    handles += [
        Line2D([], [], color="#555555", linestyle="", marker=marker, label=f"learning rate {lr:g}")
        for lr, marker in zip(lrs, MARKERS, strict=False)
    ]
    handles.append(Line2D([], [], **AS_MODELLED))
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=4)
    return figure


def _measured(rows: Sequence[Mapping], column: str) -> list[float]:
    return [row[column] for row in rows if row[column] is not None]


def _label(axes: Axes, place: tuple[int, int], rows: Sequence[Mapping], column: str, norm: Normalize) -> None:
    """The mean in the square, and its standard error, or how many seeds it is of; hatched where there is none."""
    x, y = place
    values = _measured(rows, column)
    if not values:
        square = (x - 0.5, y - 0.5), 1, 1
        axes.add_patch(Rectangle(*square, facecolor="#DDDDDD", edgecolor="#777777", hatch="////", linewidth=0))
        backdrop = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        said = "no result" if _measured(rows, "train_accuracy") else "diverged"
        axes.text(x, y, said, ha="center", va="center", fontsize="small", bbox=backdrop)
        return
    middle, error = mean(values), standard_error(values)
    style = {"ha": "center", "color": "white" if norm(middle) < 0.5 else "black"}
    below = f"± {error:.2g}" if error is not None else ""
    if len(values) < len(rows):
        below = f"{len(values)} of {len(rows)} seeds"
    text = f"{middle:.3g}" if column == "nc1" else f"{middle:.3f}"
    axes.text(x, y, text, va="bottom" if below else "center", **style)
    if below:
        axes.text(x, y, below, va="top", fontsize="small", **style)


def _decades(means: np.ndarray) -> LogNorm:
    """From the power of ten below all values to the one above."""
    values = means[np.isfinite(means) & (means > 0)]
    low, high = (values.min(), values.max()) if len(values) else (0.1, 1.0)
    lowest = np.floor(np.log10(low))
    return LogNorm(10**lowest, 10 ** max(lowest + 1, np.ceil(np.log10(high))))
