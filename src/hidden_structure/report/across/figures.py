"""The figures across studies: measurements in, a Figure out."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hidden_structure.report.across.barriers import KINDS, Line
from hidden_structure.report.across.structure import ENDED, FOLLOWED, RECIPE, Network, of_kind
from hidden_structure.report.connectivity.claims import STABLE_AT_MOST
from hidden_structure.report.curves import logarithmic
from hidden_structure.report.linearity.claims import BENT_AT_MOST
from hidden_structure.report.plotting import COLOURS, MARKERS, PAGE, new_figure, plain

GREY = "#555555"
COLUMNS = 3
FACES = {"pca": "filled", "raw": "filled", "tsne": "hollow"}
REDUCER = {"pca": "clusters by PCA", "raw": "clusters without reduction", "tsne": "clusters by t-SNE"}
SIZE = {FOLLOWED: 5, ENDED: 5, RECIPE: 3}


def structure(made: Sequence[Network]) -> Figure:
    """Of what is inside super-classes what clusters find, a linear layer reads and separates, against NC1."""
    figure = new_figure(PAGE, 0.44 * PAGE)
    found, read, apart = figure.subplots(1, 3, sharex=True)
    looks = _looks([network.study for network in made])
    for network in made:
        look = looks[network.study]
        for how, values in network.found.items():
            _way(found, network, values, look, FACES[how])
        _way(read, network, network.read, look)
        _way(apart, network, network.apart, look)
    for axes, label in (
        (found, "agreement above chance"),
        (read, "linear layer above a guess"),
        (apart, "variance between hidden classes"),
    ):
        axes.set(xlabel="NC1", ylabel=f"{label} (share)")
        axes.grid(axis="y", linewidth=0.4, color="#DDDDDD")
        axes.set_ylim(min(0, axes.get_ylim()[0]), 1.02)
    logarithmic(found, "x")  # which all share
    found.invert_xaxis()
    handles = [_mark(plain(study, 30), *look) for study, look in looks.items()]
    ways = dict.fromkeys(how for network in made for how in network.found)
    handles += [_mark(REDUCER[how], GREY, "o", FACES[how]) for how in ways]
    if any(of_kind(made, FOLLOWED)):
        handles.append(Line2D([], [], color=GREY, linewidth=0.9, label="one network over training"))
    if any(of_kind(made, RECIPE)):
        handles.append(_mark("a cell of a grid of recipes", GREY, "o", "filled", SIZE[RECIPE]))
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=4)
    return figure


def _way(axes: Axes, network: Network, values: Sequence[float], look: tuple[str, str], face: str = "filled") -> None:
    """The network's way through training, and its end as a mark."""
    colour, marker = look
    nc1 = network.nc1[len(network.nc1) - len(values) :]
    if len(values) > 1:
        axes.plot(nc1, values, "-", color=colour, linewidth=0.9, alpha=0.7, label=f"{network.study}, {network.name}")
    if values:
        style = {"marker": marker, "color": colour, "markersize": SIZE[network.kind], "linestyle": ""}
        style["zorder"] = 4 if network.kind == FOLLOWED else 3  # not under a grid of recipes
        style["markerfacecolor"] = colour if face == "filled" else "white"
        axes.plot(nc1[-1:], values[-1:], label=f"{network.study}, {network.name}, end", **style)


def barriers(lines: Sequence[Line]) -> Figure:
    """Bend against barrier, a mark a line between two networks, a panel a study."""
    studies = list(dict.fromkeys(line.study for line in lines))
    columns = min(COLUMNS, len(studies))
    height = -(-len(studies) // columns)
    figure = new_figure(PAGE, (0.12 + 0.33 * height) * PAGE)
    grid = figure.subplots(height, columns, sharex=True, sharey=True, squeeze=False)
    looks = dict(zip(KINDS, zip((COLOURS[4], COLOURS[0], COLOURS[6]), MARKERS, strict=False), strict=True))
    for axes, study in zip(grid.flat, studies, strict=False):
        for kind, (colour, marker) in looks.items():
            for repaired in (False, True):
                own = [line for line in lines if (line.kind, line.study, line.repaired) == (kind, study, repaired)]
                if own:
                    style = {
                        "marker": marker,
                        "markersize": 3.5,
                        "alpha": 0.75,
                        "linestyle": "",
                        "markeredgewidth": 0.8,
                    }
                    axes.plot(
                        [line.barrier for line in own],
                        [line.bend for line in own],
                        color=colour,
                        markerfacecolor="none" if repaired else colour,
                        label=f"{study}, {kind}" + (", repaired" if repaired else ""),
                        clip_on=False,
                        **style,
                    )
        axes.axhline(BENT_AT_MOST, color=GREY, linewidth=0.8, linestyle=":")
        axes.axvline(STABLE_AT_MOST, color=GREY, linewidth=0.8, linestyle=":")
        axes.set_title(plain(study, 30))
    first = grid[0, 0]
    first.set_xscale("symlog", linthresh=STABLE_AT_MOST / 4, linscale=0.6)
    ticks = [tick for tick in (0, 0.005, 0.02, 0.1, 0.3, 1) if tick <= 2 * max(line.barrier for line in lines)]
    first.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    first.set_xticks([], minor=True)
    first.set_xlim(left=0)
    logarithmic(first)
    for axes in list(grid.flat)[len(studies) :]:
        axes.remove()
    for column, axes in enumerate(grid[-1]):
        lowest = axes if len(studies) > (height - 1) * columns + column else grid[-2, column]
        lowest.set_xlabel("barrier in test error")
        lowest.tick_params(labelbottom=True)
    for axes in grid[:, 0]:
        axes.set_ylabel("bend at the worst layer")
    handles = [_mark(kind, *look) for kind, look in looks.items()]
    handles += [_mark("as merged", GREY, "D"), _mark("with REPAIR", GREY, "D", "hollow")]
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=3)
    return figure


def _looks(studies: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    """A colour and a marker each, which may come round where there are many."""
    names = list(dict.fromkeys(studies))
    return {name: (COLOURS[n % len(COLOURS)], MARKERS[n % len(MARKERS)]) for n, name in enumerate(names)}


def _mark(name: str, colour: str, marker: str, face: str = "filled", size: float = 5) -> Line2D:
    look = {"marker": marker, "markersize": size, "markerfacecolor": colour if face == "filled" else "white"}
    return Line2D([], [], linestyle="", color=colour, label=name, **look)
