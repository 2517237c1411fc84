"""Titles, labels and legends that fit whatever width and size of text report.style asks for."""

import re
import textwrap
from collections.abc import Iterator

from matplotlib.figure import Figure
from matplotlib.text import Text

from hidden_structure.report.plotting import MATHEMATICS

ROW = 0.8  # of a row of panels an upright label may have: a further line of it makes panels, and so titles, narrower


def fit(figure: Figure) -> None:
    """Break titles and labels of axes that are longer than their panel, and a legend below that is wider than all.

    What is one line at one width and size of text need not be at another. A label of two lines leaves its panel less
    room, so it is done again, if need be.
    """
    whole: dict[Text, str] = {}
    for _ in range(4):
        figure.get_layout_engine().execute(figure)
        before = {text: text.get_text() for text, *_ in _titles_and_labels(figure)}
        for text, room, length in _titles_and_labels(figure):
            if length > room:
                text.set_text(_broken(whole.setdefault(text, before[text]), before[text], room / length))
        if before == {text: text.get_text() for text in before}:
            break
    for legend in figure.legends:
        share = legend.get_window_extent().width / figure.bbox.width
        if share > 1:
            labels = [text.get_text() for text in legend.texts]
            columns = max(1, int(min(legend._ncols, len(labels)) / share))
            legend.remove()
            figure.legend(legend.legend_handles, labels, loc="outside lower center", ncols=columns)


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


def _even(line: str, most: int) -> list[str]:
    """As few lines as do, each as short as these few allow."""
    few = textwrap.wrap(line, most, break_long_words=False)
    shorter = (textwrap.wrap(line, width, break_long_words=False) for width in range(1, most))
    return next((lines for lines in shorter if len(lines) <= len(few)), few)
