"""The points that a figure shows, read off the figure itself: what is published beside it cannot differ from it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import (
    Collection,
    FillBetweenPolyCollection,
    LineCollection,
    PathCollection,
    PolyCollection,
    QuadMesh,
)
from matplotlib.colors import same_color
from matplotlib.container import BarContainer, Container, ErrorbarContainer
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch

from hidden_structure.report.plotting import letters, panels

COLUMNS = ("panel", "series", "x", "y", "low", "high", "x_low", "x_high", "value", "x_name", "y_name")
NUMBER = re.compile(r"[-\N{MINUS SIGN}]?[\d,]*\.?\d+ ?%?|(.*mathdefault.*)")  # matplotlib's formatters write the latter
Row = dict[str, Any]


@dataclass(frozen=True)
class Band:
    series: str
    colour: tuple[float, ...]
    rows: list[Row]


def data_of(figure: Figure) -> list[Row]:
    """One row a point, in the units of its axes, with those of `COLUMNS` that some point of the figure has.

    panel: its letter and title; series: the artist's name in the legend. y has low and high where a band or an error
    bar is around it, x has x_low and x_high. value: what a colour stands for, in images, maps and contours. x_name and
    y_name: what the axis calls the place, where it calls it by words. Lines of constant x or y have the one alone.
    Text, arrows and frames are no data.
    """
    shown = panels(figure)
    rows = [
        {"panel": f"{letter} {_title(axes)}".strip(), **row}
        for axes, letter in zip(shown, letters(len(shown)), strict=True)
        for row in _named(axes, _points(axes))
    ]
    used = [column for column in COLUMNS if any(row.get(column) not in (None, "") for row in rows)]
    return [{column: row.get(column) for column in used} for row in rows]


def _title(axes: Axes) -> str:
    """What tells a panel from the others, without its letter."""
    titles = (re.sub(r"^\([a-z]{1,2}\) ?", "", axes.get_title(place)) for place in ("center", "left", "right"))
    return _one_line(next(filter(None, titles), axes.get_ylabel()))


def _one_line(text: str) -> str:
    """As it was before it was broken to fit."""
    return " ".join(re.sub(r"(?<=[-_])\n", "", text).split())


def _points(axes: Axes) -> Iterator[Row]:
    """Rows of all artists; bands that belong to no line come last."""
    container_of = {part: container for container in axes.containers for part in _parts(container)}
    bands = [_band(artist) for artist in axes.collections if isinstance(artist, FillBetweenPolyCollection)]
    told: set[int] = set()
    taken: set[int] = set()
    for artist in filter(Artist.get_visible, axes.get_children()):
        if container := container_of.get(artist):
            if id(container) not in told:
                told.add(id(container))
                yield from _bars(container) if isinstance(container, BarContainer) else _error_bars(container)
        elif isinstance(artist, Line2D):
            yield from _line(artist, axes, bands, taken)
        elif isinstance(artist, Collection) and not isinstance(artist, FillBetweenPolyCollection):
            yield from _collection(artist, axes)
        elif isinstance(artist, AxesImage):
            yield from _image(artist)
        elif isinstance(artist, StepPatch):
            values, edges, _ = artist.get_data()
            for x, y in _finite((edges[:-1] + edges[1:]) / 2, values):
                yield {"series": _label(artist), "x": x, "y": y}
    for index, band in enumerate(bands):
        if index not in taken:
            yield from band.rows


def _parts(container: Container | None) -> list[Artist]:
    """The artists that a container stands for; those of a bar's error bars, too."""
    if isinstance(container, BarContainer):
        return [*container.patches, *_parts(container.errorbar)]
    if isinstance(container, ErrorbarContainer):
        line, caps, bars = container.lines
        return [*([line] if line else []), *caps, *bars]
    return []


def _label(artist: Artist | Container) -> str:
    label = str(artist.get_label() or "")
    return "" if label.startswith("_") else label.strip()


def _line(line: Line2D, axes: Axes, bands: Sequence[Band], taken: set[int]) -> Iterator[Row]:
    """A band of its colour, or else any, over the same x and around it is the line's."""
    in_x, in_y = line.get_transform().contains_branch_seperately(axes.transData)
    xs, ys = line.get_xdata(orig=False), line.get_ydata(orig=False)
    if in_x != in_y:
        yield {"series": _label(line)} | ({"x": float(xs[0])} if in_x else {"y": float(ys[0])})
    if not (in_x and in_y):
        return
    points = list(_finite(xs, ys))

    def around(rows: Sequence[Row]) -> bool:
        same = len(points) > 1 and [row["x"] for row in rows] == [x for x, _ in points]
        return same and all(row["low"] <= y <= row["high"] for row, (_, y) in zip(rows, points, strict=True))

    found = [index for index, band in enumerate(bands) if index not in taken and around(band.rows)]
    found.sort(key=lambda index: not same_color(bands[index].colour, line.get_color()))
    taken |= {*found[:1]}
    for place, (x, y) in enumerate(points):
        limits = {name: bands[found[0]].rows[place][name] for name in ("low", "high")} if found else {}
        yield {"series": _label(line) or (bands[found[0]].series if found else ""), "x": x, "y": y} | limits


def _band(band: FillBetweenPolyCollection) -> Band:
    """Each polygon runs along one curve and back along the other."""
    rows: list[Row] = []
    for path in band.get_paths():
        corners = path.vertices[: len(path.vertices) // 2 * 2]  # without the one that closes it
        half = len(corners) // 2
        for (x, a), (_, b) in zip(corners[1:half], corners[half + 1 :][::-1], strict=True):
            rows.append({"series": _label(band), "x": float(x), "low": float(min(a, b)), "high": float(max(a, b))})
    return Band(_label(band), tuple(band.get_facecolor()[0][:3]), rows)


def _bars(container: BarContainer) -> Iterator[Row]:
    lengthwise = container.orientation == "horizontal"
    limits = _limits(container.errorbar, len(container.patches)) if container.errorbar else repeat({})
    for bar, limit in zip(container.patches, limits, strict=False):
        x, y, width, height = bar.get_x(), bar.get_y(), bar.get_width(), bar.get_height()
        place = (x + width, y + height / 2) if lengthwise else (x + width / 2, y + height)
        if np.isfinite(place).all():
            yield {"series": _label(container), "x": float(place[0]), "y": float(place[1])} | limit


def _error_bars(container: ErrorbarContainer) -> Iterator[Row]:
    line, _, bars = container.lines
    if line:
        points = list(zip(line.get_xdata(orig=False), line.get_ydata(orig=False), strict=True))
    else:
        points = [()] * len(bars[0].get_segments())
    for point, limits in zip(points, _limits(container, len(points)), strict=True):
        if np.isfinite(np.asarray(point, dtype=float)).all():
            named = {name: float(value) for name, value in zip("xy", point, strict=False)}
            yield {"series": _label(container)} | limits | named


def _limits(errors: ErrorbarContainer, count: int) -> list[Row]:
    """Of each point; the place of the bar, too, which its mark has as well."""
    limits: list[Row] = [{} for _ in range(count)]
    directions = [name for name, has in (("x", errors.has_xerr), ("y", errors.has_yerr)) if has]
    for direction, collection in zip(directions, errors.lines[2], strict=True):
        along, names = (0, ("x_low", "x_high")) if direction == "x" else (1, ("low", "high"))
        for limit, segment in zip(limits, collection.get_segments(), strict=True):
            if len(segment) == 2 and np.isfinite(segment).all():
                limit |= dict(zip(names, sorted(map(float, segment[:, along])), strict=True))
                limit["y" if direction == "x" else "x"] = float(segment[0, 1 - along])
    return limits


def _collection(collection: Collection, axes: Axes) -> Iterator[Row]:
    series = _label(collection)
    if isinstance(collection, QuadMesh):
        corners = np.asarray(collection.get_coordinates())
        middles = (corners[:-1, :-1] + corners[1:, :-1] + corners[:-1, 1:] + corners[1:, 1:]) / 4
        values = np.ma.filled(np.ma.asarray(collection.get_array(), dtype=float), np.nan)
        if values.size != middles[..., 0].size:  # shaded between the corners: they are the points
            middles = corners
        for x, y, value in _finite(middles[..., 0].ravel(), middles[..., 1].ravel(), values.ravel()):
            yield {"series": series, "x": x, "y": y, "value": value}
    elif isinstance(collection, ContourSet):
        filled = collection.filled
        for index, path in enumerate(collection.get_paths()):
            value = float(collection.levels[index])
            for x, y in _finite(path.vertices[:, 0], path.vertices[:, 1]):
                yield {"series": series or ("at least" if filled else "contour"), "x": x, "y": y, "value": value}
    elif isinstance(collection, PathCollection):
        colours = collection.get_array()
        columns = [*np.ma.asarray(collection.get_offsets()).T, *([] if colours is None else [colours])]
        for x, y, *value in _finite(*columns):
            yield {"series": series, "x": x, "y": y} | ({"value": value[0]} if value else {})
    elif isinstance(collection, (LineCollection, PolyCollection)) and collection.get_transform().contains_branch(
        axes.transData
    ):
        for path in collection.get_paths():
            for x, y in _finite(path.vertices[:, 0], path.vertices[:, 1]):
                yield {"series": series, "x": x, "y": y}


def _image(image: AxesImage) -> Iterator[Row]:
    values = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
    if values.ndim != 2:  # colours, which stand for nothing
        return
    left, right, bottom, top = image.get_extent()
    lines, columns = values.shape
    down = image.origin == "upper"
    for line in range(lines):
        share = (line + 0.5) / lines
        y = top + (bottom - top) * share if down else bottom + (top - bottom) * share
        for column in range(columns):
            value = float(values[line, column])
            if np.isfinite(value):
                x = left + (right - left) * (column + 0.5) / columns
                yield {"series": _label(image), "x": float(x), "y": float(y), "value": value}


def _finite(*columns: Any) -> Iterator[tuple[float, ...]]:
    """Points all of whose numbers are finite: others are not drawn."""
    numbers = [np.ma.filled(np.ma.asarray(column, dtype=float), np.nan) for column in columns]
    for point in zip(*(np.atleast_1d(column).tolist() for column in numbers), strict=True):
        if np.isfinite(point).all():
            yield point


def _named(axes: Axes, rows: Iterable[Row]) -> Iterator[Row]:
    """With the words by which an axis calls a place; points of three places or more may stand beside their tick."""
    names = {name: _words(axis) for name, axis in (("x", axes.xaxis), ("y", axes.yaxis))}
    for row in rows:
        named = {}
        for name, words in names.items():
            place = row.get(name)
            if words and place is not None and abs(place - round(place)) < (0.5 if len(words) > 2 else 1e-9):
                named[f"{name}_name"] = words.get(round(place))
        yield row | named


def _words(axis: Axis) -> Mapping[int, str]:
    """Place -> what its tick says, of ticks at whole numbers that say words."""
    ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=False)  # without words where it is shared
    texts = {place: _one_line(label.get_text()) for place, label in ticks}
    words = {round(place): text for place, text in texts.items() if text and place == round(place)}
    return {} if all(_says(text, place) for place, text in words.items()) else words


def _says(text: str, place: int) -> bool:
    """Whether a tick's text is but the number, or the per cent, of its place."""
    if not (found := NUMBER.fullmatch(text)):
        return False
    number = text.replace("\N{MINUS SIGN}", "-").replace(",", "").rstrip(" %")
    return found.group(1) is not None or float(number) == (100 * place if text.endswith("%") else place)
