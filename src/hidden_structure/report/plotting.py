"""How the report's figures look and are written: sizes, colours, curves with bands, deterministic files.

Sized for print (columns of 3.4 inches, pages of 7), in colours that colour-blind readers tell apart (Okabe, Ito 2008).
Nothing draws through pyplot, so no state is global.
"""

import functools
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager, get_font

from hidden_structure.frame.artifacts import write_atomically

FALLBACKS = (  # for glyphs that matplotlib's own font lacks, most of them Chinese, Japanese and Korean: in this order
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR", "Source Han Sans"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "IPAexGothic", "IPAGothic", "NanumGothic"),
    *("Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic"),
    *("Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai", "Arial Unicode MS"),
)
FAMILY = ["DejaVu Sans", *(name for name in FALLBACKS if name in fontManager.get_font_names())]
COLUMN, PAGE = 3.4, 7.0  # widths in inches
STYLE = {
    "font.family": FAMILY,  # a glyph comes from the first that has it, so that more fonts change no other text
    "font.size": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,  # outlines instead of bitmaps, editable text
}
styled = matplotlib.style.context(["default", STYLE])  # a user's own matplotlibrc changes no figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX*<>"
REDUCERS = {"tsne": "t-SNE + k-means", "pca": "PCA + k-means", "raw": "k-means alone"}
METHODS = {  # of aligning two networks
    "none": "not aligned",
    "weights": "weight matching",
    "activations": "activation matching",
    "correlations": "correlation matching",
    "ste": "straight-through estimator",
}


def plain(name: str, length: int = 18) -> str:
    """A class name as one short line that matplotlib takes for neither mathematics nor a hidden legend entry.

    Characters of which no font has a glyph are shown as their code points: "U+732B.72AC" rather than two boxes.
    """
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)
    runs = itertools.groupby(text, key=lambda character: ord(character) in _glyphs())
    text = "".join("".join(run) if drawn else "U+" + ".".join(f"{ord(c):04X}" for c in run) for drawn, run in runs)
    text = text if len(text) <= length else text[: length - 1] + "…"
    return (" " + text if text.startswith("_") else text).replace("$", r"\$")


@functools.cache
def _glyphs() -> frozenset[int]:
    """The code points that the family has glyphs of."""
    return frozenset().union(*(get_font(findfont(name)).get_charmap() for name in FAMILY))


def without_glyph(names: Iterable[str]) -> str:
    """The characters of these names that no installed font of the family can draw, each once, in order."""
    return "".join(sorted({c for name in names for c in name if c.isprintable() and ord(c) not in _glyphs()}))


@styled
def save(figure: Figure, path: Path) -> bytes:
    """Write the figure as PDF or PNG, by the path's suffix, without a date or version; return the file's bytes."""
    changing = {".pdf": ("CreationDate", "Creator", "Producer"), ".png": ("Software",)}[path.suffix]
    metadata = dict.fromkeys(changing)
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=200, metadata=metadata))
    return path.read_bytes()


def new_figure(width: float, height: float) -> Figure:
    """A figure of that size in inches."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def band(
    axes: Axes, curve: tuple[np.ndarray, ...], colour: str, line: str, label: str | None = None, **style: object
) -> None:
    """A line at the mean and a band of one spread to either side; curve: epochs (or alphas), mean, spread."""
    epochs, mean, spread = curve
    axes.plot(epochs, mean, line, color=colour, label=label, **style)
    axes.fill_between(epochs, mean - spread, mean + spread, color=colour, alpha=0.2, linewidth=0)


def logarithmic_axis(*panels: Axes, floor: float = 0.0) -> None:
    """One logarithmic axis over the range of the panels' lines above the floor: a band may reach 0, which has no
    logarithm."""
    values = np.concatenate([np.empty(0), *(line.get_ydata() for axes in panels for line in axes.lines)])
    values = values[values > floor]
    for axes in panels:
        axes.set_yscale("log")
        if len(values):
            axes.set_ylim(values.min() / 2, values.max() * 2)


def layers_axis(axes: Axes, names: Sequence[str], most: int = 12) -> None:
    """An axis over layers 0, 1, ... in order of execution; of more than `most` only some are named, as is the last."""
    named = range(len(names) - 1, -1, len(names) // -most)
    axes.set_xticks(
        named, [plain(names[index], 24) for index in named], rotation=45, ha="right", rotation_mode="anchor"
    )
    axes.set_xticks(range(len(names)), minor=True)
    axes.tick_params(axis="x", which="major", labelsize=6)
    axes.tick_params(axis="x", which="minor", length=1)
    axes.set_xlim(-0.5, len(names) - 0.5)


def epochs_axis(axes: Axes, last: int) -> None:
    """A logarithmic axis from epoch 0 to the last one."""
    axes.set_xscale("symlog", linthresh=1, linscale=0.4)
    ticks = [0, *(10**power for power in range(len(str(last))))]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(0, last)
