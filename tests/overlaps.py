"""What a reader of a figure could not read: texts that overlap or leave the figure, legends over data."""

import itertools
from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from hidden_structure.report import arranging, plotting

SMALLEST = 6.0  # points
TOUCHING = 1.0  # points by which boxes of texts, which are higher than what is written, may overlap
Found = tuple[str, Bbox]


def faults(figure: Figure) -> list[str]:
    """One line each."""
    figure.draw_without_rendering()
    point = figure.dpi / 72
    found = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    own = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    legends = [("legend", legend.get_window_extent()) for legend in (*figure.legends, *own)]
    said = [f"{text.get_text()!r} is small" for text in texts(figure) if text.get_fontsize() < SMALLEST]
    said += [
        f"{name!r} leaves the figure" for name, box in (*found, *legends) if not _inside(figure, box.padded(-point))
    ]
    for (name, box), (other, its) in itertools.combinations([*found, *legends], 2):
        if box.padded(-TOUCHING * point / 2).overlaps(its.padded(-TOUCHING * point / 2)):
            said.append(f"{name!r} and {other!r} overlap")
    for axes in plotting.panels(figure):
        width, height = axes.get_window_extent().size / arranging.em(figure)
        if min(width, height) < 5:
            said.append(f"a panel is {width:.1f} by {height:.1f} times the size of its text")
        for legend in (*figure.legends, *own):
            if any(legend.get_window_extent().contains(*place) for place in _places(axes)):
                said.append(f"a legend hides data of {axes.get_title()!r}")
    return said


def texts(figure: Figure) -> list[Text]:
    """All that are drawn, but those of legends."""
    shown = list(_of_axes(figure))
    shown += [text for text in figure.get_children() if isinstance(text, Text) and not isinstance(text, Legend)]
    return [text for text in shown if text.get_visible() and text.get_text().strip()]


def _of_axes(figure: Figure) -> Iterator[Text]:
    for axes in figure.axes:
        if axes.get_visible():
            yield from (child for child in axes.get_children() if isinstance(child, Text))
            for axis in (axes.xaxis, axes.yaxis):
                if axis.get_visible() and axes.axison:
                    yield from (axis.label, *arranging.labels(axis))


def _inside(figure: Figure, box: Bbox) -> bool:
    return box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height


def _places(axes: Axes) -> Iterator[tuple[float, float]]:
    """Of what is drawn as lines or marks, in pixels."""
    for line in axes.lines:
        if line.get_transform().contains_branch(axes.transData):
            points = np.column_stack([np.asarray(line.get_data(orig=False)[way], float) for way in (0, 1)])
            yield from map(tuple, line.get_transform().transform(points))
