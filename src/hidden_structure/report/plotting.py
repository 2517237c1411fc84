"""How the report's figures look and are written: sizes, fonts, colours, curves with bands, deterministic files.

Everything is drawn and saved inside `style`, which alone sets matplotlib's settings, and takes them back. Colours are
those that colour-blind readers tell apart (Okabe, Ito 2008). Nothing draws through pyplot, so no state is global.
"""

import difflib
import functools
import itertools
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.style import Style
from hidden_structure.report.latex import escape
from hidden_structure.report.words import true_minus

PAGE, COLUMN = 7.0, 3.4  # widths of figures in inches of a page 7 wide; `new_figure` scales them to report.style.width
DRAWN_FOR = 5.5 / 8  # inches of width per point of text that heights and parts of a page are chosen for
SHARP = 600  # least dots per inch of an image inside a PDF
FAMILIES = {"serif": ["STIXGeneral", "DejaVu Sans"], "sans-serif": ["DejaVu Sans"]}  # which matplotlib itself brings
FALLBACKS = (  # for glyphs that these lack, most of them Chinese, Japanese and Korean: in this order
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR", "Source Han Sans"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "IPAexGothic", "IPAGothic", "NanumGothic"),
    *("Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic"),
    *("Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai", "Arial Unicode MS"),
)
LOOK = {  # which a user's file may change
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
KEPT = {  # which it may not
    "axes.titlesize": "medium",
    "axes.labelsize": "medium",
    "xtick.labelsize": "medium",
    "ytick.labelsize": "medium",
    "legend.fontsize": "small",
    "figure.constrained_layout.use": True,
    "figure.autolayout": False,
    "axes.unicode_minus": True,
    "text.usetex": False,  # class names are no LaTeX
    "pdf.fonttype": 42,  # outlines instead of bitmaps, editable text
    "pdf.use14corefonts": False,
    "pgf.rcfonts": False,  # the document's
    "svg.fonttype": "path",
    "svg.hashsalt": "hidden-structure",
}
MATHEMATICS = r"((?<!\\)\$.*?(?<!\\)\$)"  # of a text
WINDOWS = (
    *("backend", "interactive", "toolbar", "timezone", "webagg", "tk.", "docstring", "date.epoch", "keymap"),
    *("savefig.directory", "figure.max_open_warning", "figure.raise_window"),
)
DATES = {  # and versions, which would make the bytes differ from run to run
    ".pdf": {"metadata": {"CreationDate": None, "Creator": None, "Producer": None}},
    ".png": {"metadata": {"Software": None}},
    ".svg": {"metadata": {"Date": None, "Creator": None}},
    ".pgf": {},
}

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX*<>"


def plain(name: str, length: int = 18) -> str:
    """A class name as one short line that matplotlib takes for neither mathematics nor a hidden legend entry.

    Characters of which no font has a glyph are shown as their code points: "U+732B.72AC" rather than two boxes.
    """
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)
    runs = itertools.groupby(text, key=lambda character: ord(character) in _glyphs())
    text = "".join("".join(run) if drawn else "U+" + ".".join(f"{ord(c):04X}" for c in run) for drawn, run in runs)
    text = text if len(text) <= length else text[: length - 1] + "…"
    return (" " + text if text.startswith("_") else text).replace("$", r"\$")


def _glyphs() -> frozenset[int]:
    """The code points that the fonts in use have glyphs of."""
    return _glyphs_of(tuple(rcParams["font.family"]))


@functools.cache
def _glyphs_of(family: Sequence[str]) -> frozenset[int]:
    return frozenset().union(*(get_font(findfont(FontProperties(family=[name]))).get_charmap() for name in family))


def without_glyph(names: Iterable[str]) -> str:
    """The characters of these names that no installed font of the family can draw, each once, in order."""
    return "".join(sorted({c for name in names for c in name if c.isprintable() and ord(c) not in _glyphs()}))


@contextmanager
def style(settings: Style) -> Iterator[None]:
    """Draw and save inside of this as the settings say, whatever a user's own matplotlibrc says.

    Raises InputError, which names the key, if a font or LaTeX is missing or the settings' own file is not usable.
    """
    if "pgf" in settings.formats and not shutil.which(latex := rcParams["pgf.texsystem"]):
        raise InputError(
            f"report.style.formats: pgf is written with {latex}, which is not installed: install it, or take pdf"
        )
    chosen = {
        "font.family": _family(settings.font),
        "font.size": settings.size,
        "mathtext.fontset": "stix" if settings.font == "serif" else "dejavusans",
        "figure.figsize": (settings.width, settings.width / 2),
        "savefig.dpi": settings.dpi,
    }
    with matplotlib.style.context(["default", LOOK | _own(settings.mplstyle) | KEPT | chosen]):
        yield


def _family(font: str) -> list[str]:
    """Names of fonts: a glyph comes from the first that has it, so that more fonts change no other text."""
    installed = sorted(fontManager.get_font_names())
    if font not in (*FAMILIES, *installed):
        alike = difflib.get_close_matches(font, [*FAMILIES, *installed], 3)
        hint = f"did you mean {' or '.join(alike)}?" if alike else "take serif or sans-serif, or install it"
        raise InputError(f"report.style.font: there is no font {font}: {hint}")
    family = FAMILIES.get(font, [font, "DejaVu Sans"])
    return list(dict.fromkeys([*family, *(name for name in FALLBACKS if name in installed)]))


def _own(file: str | None) -> Mapping[str, Any]:
    """The settings of a style file, less those that are of windows and not of figures."""
    if file is None:
        return {}
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
        entries = [line.partition(":") for line in lines if line.partition("#")[0].strip()]
        if unknown := [key for key, colon, _ in entries if not colon or key.strip() not in rcParams]:
            raise ValueError(f"there is no setting {unknown[0].strip()}")
        found = matplotlib.rc_params_from_file(file, fail_on_error=True, use_default_template=False)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"report.style.mplstyle: {file} is no style file of matplotlib's: {reason}") from error
    return {key: value for key, value in found.items() if not key.startswith(WINDOWS)}


def save(figure: Figure, path: Path, dpi: float | None = None) -> bytes:
    """Write the figure as the path's suffix says, without a date or version; return the file's bytes.

    dpi: None: what the style says.

    Hyphens before numbers are written as minus signs, and in pgf, which is LaTeX, names as they are. The folder is one
    that nobody reads yet: a pgf file may need others beside it, so it cannot be moved into place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    dpi = rcParams["savefig.dpi"] if dpi is None else dpi
    dpi = figure.dpi if dpi == "figure" else dpi
    with _worded(figure, _as_latex if path.suffix == ".pgf" else true_minus):
        dots = dpi if path.suffix == ".png" else max(dpi, SHARP)
        figure.savefig(path, dpi=dots, **DATES[path.suffix])
    if path.suffix == ".pgf":  # so that a document need not define it
        path.write_text("\\providecommand{\\mathdefault}[1]{#1}\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    figure.set_layout_engine("none")  # laid out once: all formats show the same, and the next takes less time
    return path.read_bytes()


def _as_latex(text: str) -> str:
    """Mathematics stays what it is. A dollar becomes a word, since matplotlib would take the backslash from it."""
    parts = re.split(MATHEMATICS, true_minus(text))
    parts[::2] = [escape(part.replace(r"\$", "$")).replace(r"\$", r"\textdollar{}") for part in parts[::2]]
    return "".join(parts)


@contextmanager
def _worded(figure: Figure, change: Callable[[str], str]) -> Iterator[None]:
    """Every text of the figure changed, those of ticks that were given as words among them."""
    texts = [(text, text.get_text()) for text in figure.findobj(Text)]
    axes = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    ticks = [(axis, axis.get_major_formatter()) for axis in axes]
    ticks = [(axis, old) for axis, old in ticks if isinstance(old, (FuncFormatter, FixedFormatter))]
    for text, old in texts:
        text.set_text(change(old))
    for axis, old in ticks:
        axis.set_major_formatter(FuncFormatter(lambda value, place, old=old: change(old(value, place))))
    try:
        yield
    finally:
        for text, old in texts:
            text.set_text(old)
        for axis, old in ticks:
            axis.set_major_formatter(old)


def new_figure(width: float, height: float) -> Figure:
    """A figure of that size in inches of a page `PAGE` wide, as large as it is on the page of report.style.width.

    A narrow page with text as large as on a wide one leaves that text its height, and a part of a page its width, up to
    all of the page.
    """
    page = rcParams["figure.figsize"][0]
    scale = max(page, DRAWN_FOR * rcParams["font.size"]) / PAGE
    figure = Figure(figsize=(min(page, scale * width), scale * height))
    FigureCanvasAgg(figure)
    return figure


def narrow() -> bool:
    """Whether a page has much less width for its text than figures are drawn for."""
    return rcParams["figure.figsize"][0] < 0.8 * DRAWN_FOR * rcParams["font.size"]


def panels(figure: Figure) -> list[Axes]:
    """The axes that show data: no colour bars, and none that only makes room for a legend."""
    shown = (axes for axes in figure.axes if axes.get_label() != "<colorbar>")
    return [axes for axes in shown if axes.has_data() and axes.get_visible()]


def letters(count: int) -> list[str]:
    """(a), (b), ..., (z), (aa), ... for that many panels."""
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    doubled = ("".join(pair) for pair in itertools.product(alphabet, repeat=2))
    return [f"({letter})" for letter in itertools.islice(itertools.chain(alphabet, doubled), count)]


def add_letters(figure: Figure) -> None:
    """Put (a), (b), ... before the titles of a figure's panels, in the order in which they were made, if several."""
    shown = panels(figure)
    for axes, letter in zip(shown, letters(len(shown)), strict=True):
        if len(shown) > 1:
            if axes.get_title():
                axes.title.set_text(f"{letter} {axes.get_title()}")
            else:
                axes.set_title(f"{letter} {axes.get_title('left')}".strip(), loc="left")


def band(
    axes: Axes, curve: tuple[np.ndarray, ...], colour: str, line: str, label: str | None = None, **style: object
) -> None:
    """A line in a band; curve: epochs (or alphas, or layers), the line, and the ends of the band."""
    epochs, mean, low, high = curve
    axes.plot(epochs, mean, line, color=colour, label=label, **style)
    axes.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)


def logarithmic_axis(*panels: Axes, floor: float = 0.0) -> None:
    """One logarithmic axis over the range of the panels' lines above the floor."""
    values = np.concatenate([np.empty(0), *(line.get_ydata() for axes in panels for line in axes.lines)])
    values = values[values > floor]
    if not len(values):  # a scale without a value could not be drawn
        return
    for axes in panels:
        axes.set_yscale("log")
        axes.set_ylim(values.min() / 2, values.max() * 2)


def written(value: float) -> str:
    """A tick's number: 0.001, but 10 to the power of -5 rather than 1e-05."""
    mantissa, power, exponent = f"{value:g}".partition("e")
    if not power:
        return mantissa
    factor = "" if mantissa == "1" else rf"{mantissa}\times"
    return rf"$\mathdefault{{{factor}10^{{{int(exponent)}}}}}$"


def epochs_axis(axes: Axes, last: int) -> None:
    """A logarithmic axis from epoch 0 to the last one."""
    axes.set_xscale("symlog", linthresh=1, linscale=0.4)
    ticks = [0, *(10**power for power in range(len(str(last))))]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(0, last)
