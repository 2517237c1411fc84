"""Panels that are neither too narrow nor too low for their text, whatever width and size of it a style asks for."""

import itertools
from collections.abc import Mapping, Sequence

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.text import Text

from hidden_structure.report.plotting import panels

NARROW, LOW = 6.0, 8.0  # times the size of text: panels are not narrower or lower
WORDS = 0.35  # of the figure's width that names along an upright axis may have
Place = tuple[int, int]  # row and column


def arrange(figure: Figure) -> None:
    """Put panels that are too narrow into fewer columns, each half as many as there were, and make the figure taller
    for them."""
    while (columns := _columns(figure)) > 1 and _crowded(figure):
        _rearranged(figure, -(-columns // 2))


def heighten(figure: Figure) -> None:
    """Make the figure taller until no panel is too low for its text, and names along upright axes do not touch."""
    for _ in range(3):
        figure.get_layout_engine().execute(figure)
        rows = max((axes.get_subplotspec().get_gridspec().nrows for axes in _placed(figure)), default=1)
        missing = max((_missing(axes) for axes in _placed(figure)), default=0.0)
        if missing <= 0:
            break
        width, height = figure.get_size_inches()
        figure.set_size_inches(width, height + rows * missing / figure.dpi)


def labels(axis: Axis) -> list[Text]:
    """Of major ticks, those that are drawn, in the order of their places."""
    if not axis.get_visible():
        return []
    along, (low, high) = "xy".index(axis.axis_name), sorted(axis.get_view_interval())
    shown = [label for label in axis.get_majorticklabels() if label.get_visible() and label.get_text()]
    found = [(label.get_position()[along], label) for label in shown]
    return [label for place, label in sorted(found, key=lambda one: one[0]) if low <= place <= high]


def touching(texts: Sequence[Text], gap: float = 0.0) -> bool:
    """Whether some text and the next one overlap, or are less than so many pixels from it."""
    boxes = [text.get_window_extent().padded(gap / 2) for text in texts]
    return any(one.overlaps(other) for one, other in itertools.pairwise(boxes))


def em(figure: Figure) -> float:
    """The size of text in pixels."""
    return rcParams["font.size"] * figure.dpi / 72


def _placed(figure: Figure) -> list[Axes]:
    return [axes for axes in panels(figure) if axes.get_subplotspec()]


def _place(axes: Axes) -> Place:
    specification = axes.get_subplotspec()
    return specification.rowspan.start, specification.colspan.start


def _columns(figure: Figure) -> int:
    return len({column for _, column in map(_place, _placed(figure))})


def _crowded(figure: Figure) -> bool:
    """Whether a panel is too narrow for itself or for the words in it."""
    figure.get_layout_engine().execute(figure)
    for axes in _placed(figure):
        inside = [text for text in axes.texts if text.get_ha() == "center" and text.get_transform() == axes.transData]
        if axes.get_window_extent().width < NARROW * em(figure) or touching(inside):
            return True
    return False


def _rearranged(figure: Figure, columns: int) -> None:
    """In rows of that many, in the order in which they were; what panels shared is told at the new edges."""
    order = sorted({_place(axes) for axes in _placed(figure)})
    for axes in [axes for axes in figure.axes if axes.get_subplotspec() and _place(axes) not in order]:
        axes.remove()  # it made room for others
    before = {axes: _place(axes) for axes in figure.axes if axes.get_subplotspec()}  # with further axes of a panel
    after = {axes: divmod(order.index(place), columns) for axes, place in before.items()}
    names = {axes: _names(axes, before) for axes in before}
    rows, old = -(-len(order) // columns), 1 + max(row for row, _ in order)
    width, height = figure.get_size_inches()
    below = sum(legend.get_window_extent().height for legend in figure.legends) / figure.dpi
    figure.set_size_inches(width, below + (height - below) * rows / old)
    grid = GridSpec(rows, columns, figure=figure)
    for axes, place in after.items():
        axes.set_subplotspec(grid[place])
    for axes, (row, column) in after.items():
        for name, next_place in (("x", (row + 1, column)), ("y", (row, column - 1))):
            outer = {other: names[other][name] for other, place in after.items() if place == next_place}
            _tell(axes, name, names[axes][name], outer)


def _names(axes: Axes, places: Mapping[Axes, Place]) -> dict[str, str]:
    """What the panel's axes are called, be it only at the edge: of those that share them, or of its row."""
    row, column = places[axes]
    below = [other for other, place in places.items() if place[1] == column and _share(axes, other, "x")]
    beside = [other for other, place in places.items() if place[0] == row]
    return {
        "x": next(filter(None, (other.get_xlabel() for other in (axes, *below))), ""),
        "y": next(filter(None, (other.get_ylabel() for other in (axes, *beside))), ""),
    }


def _share(axes: Axes, other: Axes, name: str) -> bool:
    return getattr(axes, f"get_shared_{name}_axes")().joined(axes, other)


def _tell(axes: Axes, name: str, called: str, outer: Mapping[Axes, str]) -> None:
    """Ticks and name of an axis, but where the next panels to the edge tell them; outer: these, and their names."""
    told = any(_share(axes, other, name) for other in outer)
    if any(_share(axes, other, name) for other in axes.figure.axes if other is not axes):
        axes.tick_params(axis=name, **{{"x": "labelbottom", "y": "labelleft"}[name]: not told})
    alike = not getattr(axes, f"get_{name}label")() and called in outer.values()
    getattr(axes, f"set_{name}label")("" if told or alike else called)


def _missing(axes: Axes) -> float:
    """Pixels of height."""
    if axes.get_aspect() != "auto":  # the width says how high it is
        return 0.0
    height = axes.get_window_extent().height
    boxes = [label.get_window_extent() for label in labels(axes.yaxis)]
    boxes.sort(key=lambda box: box.y0)
    apart = [(high.y0 + high.y1 - low.y0 - low.y1) / 2 for low, high in itertools.pairwise(boxes)]
    needed = [(high.height + low.height) / 2 for low, high in itertools.pairwise(boxes)]
    stretch = max((min(3.0, need / max(has, 1.0)) for need, has in zip(needed, apart, strict=True)), default=1.0)
    return max(LOW * em(axes.figure), stretch * height) - height
