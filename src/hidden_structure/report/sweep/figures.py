"""The figure on the grid of recipes: rows of the sweep metrics in, a Figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hidden_structure.report.plotting import PAGE, new_figure
from hidden_structure.report.summary import mean_and_spread

SECTION = {  # figure of the page -> title, how to read it, how it was made
    "sweep": (
        "Fine structure over learning rate and weight decay",
        "Each square is one recipe. Where NC1 is low (dark), the features of a coarse class lie close to one point. "
        "Where recovered accuracy and agreement are low too, collapse has destroyed the fine structure; where they are "
        "high (bright), it has not. In a hatched square the network diverged, or its features died.",
        "The study's network, trained on coarse labels only. NC1 is of the training features within coarse classes. "
        "Recovered accuracy: a linear layer, trained on the labels that clustering recovers (the first reducer), "
        "tested on the original ones; agreement: of recovered with original labels in the training set. Small numbers "
        "are one standard deviation over seeds.",
    )
}

PANELS = {
    "nc1": "NC1 within coarse classes",
    "test_accuracy": "test accuracy on coarse labels",
    "probe_accuracy": "test accuracy, recovered labels",
    "agreement": "agreement of recovered labels",
}
SHARES = Normalize(0, 1)  # the same for all three, so that a small difference looks small


def draw(rows: Sequence[Mapping]) -> dict[str, Figure]:
    """The figure by its name; none if there are no rows."""
    return {"sweep": heat_maps(rows)} if rows else {}


def heat_maps(rows: Sequence[Mapping]) -> Figure:
    """NC1, accuracies and agreement of every cell, means over the seeds where they could be measured."""
    lrs, decays = (sorted({row[key] for row in rows}, reverse=True) for key in ("lr", "weight_decay"))
    cells = {(x, y): [] for y in range(len(lrs)) for x in range(len(decays))}
    for row in rows:
        cells[decays.index(row["weight_decay"]), lrs.index(row["lr"])].append(row)
    figure = new_figure(PAGE, 1.2 + 2 * (0.45 + 0.42 * len(lrs)))
    for axes, (column, title) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
        means = np.full((len(lrs), len(decays)), np.nan)
        for (x, y), own in cells.items():
            if found := _measured(own, column):
                means[y, x] = np.mean(found)
        norm = _decades(means) if column == "nc1" else SHARES
        image = axes.imshow(np.ma.masked_invalid(means), cmap="cividis", norm=norm, aspect="auto")
        figure.colorbar(image, ax=axes, shrink=0.9)
        axes.set(title=title, xlabel="weight decay", ylabel="learning rate")
        axes.set_xticks(range(len(decays)), [f"{decay:g}" for decay in decays])
        axes.set_yticks(range(len(lrs)), [f"{lr:g}" for lr in lrs])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        for place, own in cells.items():
            if own:  # a list of rows may lack a cell
                _label(axes, place, own, column, norm)
    return figure


def _measured(rows: Sequence[Mapping], column: str) -> list[float]:
    return [row[column] for row in rows if row[column] is not None]


def _label(axes: Axes, place: tuple[int, int], rows: Sequence[Mapping], column: str, norm: Normalize) -> None:
    """The mean in the square, and its spread, or how many seeds it is of; hatched where there is none."""
    x, y = place
    values = _measured(rows, column)
    if not values:
        square = (x - 0.5, y - 0.5), 1, 1
        axes.add_patch(Rectangle(*square, facecolor="#DDDDDD", edgecolor="#777777", hatch="////", linewidth=0))
        backdrop = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        said = "no result" if _measured(rows, "train_accuracy") else "diverged"
        axes.text(x, y, said, ha="center", va="center", fontsize=7, bbox=backdrop)
        return
    mean, spread = mean_and_spread(values)
    style = {"ha": "center", "color": "white" if norm(mean) < 0.5 else "black"}
    below = f"± {spread:.2g}" if spread is not None else ""
    if len(values) < len(rows):
        below = f"{len(values)} of {len(rows)} seeds"
    axes.text(x, y, f"{mean:.3g}" if column == "nc1" else f"{mean:.3f}", va="bottom" if below else "center", **style)
    if below:
        axes.text(x, y, below, va="top", fontsize=6.5, **style)


def _decades(means: np.ndarray) -> LogNorm:
    """From the power of ten below all values to the one above."""
    values = means[np.isfinite(means) & (means > 0)]
    low, high = (values.min(), values.max()) if len(values) else (0.1, 1.0)
    lowest = np.floor(np.log10(low))
    return LogNorm(10**lowest, 10 ** max(lowest + 1, np.ceil(np.log10(high))))
