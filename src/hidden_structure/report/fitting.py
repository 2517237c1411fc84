"""Titles, labels and legends that fit whatever width and size of text report.style asks for."""

import re
import textwrap
from collections.abc import Iterator

from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator

from hidden_structure.report.arranging import WORDS, arrange, em, heighten, labels, touching
from hidden_structure.report.plotting import MATHEMATICS

BESIDE = 0.4  # of the figure's width that a legend beside panels may have
GAP = 0.3  # times the size of text, between numbers along an axis
ROW = 0.8  # of a row of panels an upright label may have: a further line of it makes panels, and so titles, narrower


def fit(figure: Figure) -> None:
    """Arrange panels, break titles and labels of axes that are longer than their panel, names of ticks that are wider
    than the figure has room for, and a legend below that is wider than all; and make the figure as high as that takes.

    What is one line at one width and size of text need not be at another. A label of two lines leaves its panel less
    room, so it is done again, if need be.
    """
    _fit_legends(figure)
    arrange(figure)
    _break_names(figure)
    whole: dict[Text, str] = {}
    for _ in range(4):
        figure.get_layout_engine().execute(figure)
        before = {text: text.get_text() for text, *_ in _titles_and_labels(figure)}
        for text, room, length in _titles_and_labels(figure):
            if length > room:
                text.set_text(_broken(whole.setdefault(text, before[text]), before[text], room / length))
        if before == {text: text.get_text() for text in before}:
            break
    heighten(figure)
    _thin_ticks(figure)


def _fit_legends(figure: Figure) -> None:
    """In fewer columns if wider than the figure, and below it rather than beside panels that it leaves little room."""
    for legend in list(figure.legends):
        beside, texts = legend._outside_loc == "right", [text.get_text() for text in legend.texts]
        columns = len(texts) if beside else min(legend._ncols, len(texts)) - 1
        if legend.get_window_extent().width <= (BESIDE if beside else 1) * figure.bbox.width or not columns:
            continue
        drawn = [axes.get_legend_handles_labels() for axes in figure.axes]
        whole = {text: handle for handles, names in drawn for text, handle in zip(names, handles, strict=True)}
        handles = [  # of error bars a legend gives the bar alone
            whole.get(text, handle) if isinstance(handle, LineCollection) else handle
            for text, handle in zip(texts, legend.legend_handles, strict=True)
        ]
        legend.remove()
        for fewer in range(columns, 0, -1):
            below = figure.legend(handles, texts, loc="outside lower center", ncols=fewer)
            if fewer == 1 or below.get_window_extent().width <= figure.bbox.width:
                break
            below.remove()


def _break_names(figure: Figure) -> None:
    """Of places along upright axes, and along level ones, where those that are still too long are turned."""
    for axes in figure.axes:
        for axis, most in ((axes.yaxis, WORDS * figure.bbox.width), (axes.xaxis, None)):
            texts = labels(axis)
            if not isinstance(axis.get_major_locator(), FixedLocator) or all(map(_number, texts)):
                continue
            if most is not None:
                share = most / max(text.get_window_extent().width for text in texts)
                names = [text.get_text() for text in axis.get_majorticklabels()]
                longest = max(len(text.get_text()) for text in texts)
                if share < 1:
                    names = [_at_underscores(name, int(share * longest)) for name in names]
                    axis.set_ticks(axis.get_majorticklocs(), names)
            elif touching(texts):
                axis.set_tick_params(labelrotation=90)


def _thin_ticks(figure: Figure) -> None:
    """Leave out numbers along level axes that would touch; the first and the last stay."""
    for axes in figure.axes:
        texts, gap = labels(axes.xaxis), GAP * em(figure)
        if touching(texts, gap) and all(map(_number, texts)):
            kept = [texts[0]]
            for text in texts[1:-1]:
                if not touching([kept[-1], text], gap) and not touching([text, texts[-1]], gap):
                    kept.append(text)
            kept.append(texts[-1])
            axes.set_xticks([text.get_position()[0] for text in kept], [text.get_text() for text in kept])


def _number(text: Text) -> bool:
    return bool(re.fullmatch(r"[-\N{MINUS SIGN}]?[\d,.]+(e[-+]?\d+)?|.*mathdefault.*", text.get_text()))


def _titles_and_labels(figure: Figure) -> Iterator[tuple[Text, float, float]]:
    """Each with the room that it has and its length, in pixels."""
    for axes in figure.axes:
        box, titles = axes.get_window_extent(), {axes.get_title(place) for place in ("left", "center", "right")} - {""}
        texts = [text for text in axes.get_children() if isinstance(text, Text) and text.get_text() in titles]
        for text in (*texts, axes.xaxis.label):
            yield text, box.width, text.get_window_extent().width
        specification, whole = axes.get_subplotspec(), figure.bbox.height
        row = whole / (specification.get_gridspec().nrows if specification else 1)
        middle = (box.y0 + box.y1) / 2
        room = max(box.height, min(ROW * row, 2 * middle, 2 * (whole - middle)))
        yield axes.yaxis.label, room, axes.yaxis.label.get_window_extent().height


def _broken(text: str, shown: str, share: float) -> str:
    """The text in lines of that share of the longest one shown at most, and about the same length.

    It is broken neither in mathematics nor after a panel's letter.
    """
    whole = rf"^\([a-z]{{1,2}}\) |{MATHEMATICS}"
    lines = re.sub(whole, lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text).split("\n")
    most = max(1, int(max(map(len, shown.split("\n"))) * share))
    broken = [part for line in lines for part in _even(line, most)]
    return "\n".join(broken).replace("\N{NO-BREAK SPACE}", " ")


def _at_underscores(name: str, most: int) -> str:
    """The name in lines, broken behind underscores, too, which class names have for spaces."""
    return "\n".join(_even(name.replace("_", "_\0 "), most)).replace("\0 ", "").replace("\0", "")


def _even(line: str, most: int) -> list[str]:
    """As few lines as do, each as short as these few allow."""
    few = textwrap.wrap(line, most, break_long_words=False)
    shorter = (textwrap.wrap(line, width, break_long_words=False) for width in range(1, most))
    return next((lines for lines in shorter if len(lines) <= len(few)), few)
