"""Curves over training: a mark wherever something was measured, a band of one standard error, an axis of epochs."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from hidden_structure.report.plotting import written
from hidden_structure.report.statistics import over_training

AS_MODELLED = {"color": "#555555", "linewidth": 0.8, "linestyle": "--", "label": "as the model says"}
QUANTITIES = {"gap": "excess of the right logit", "wrong": "probability of a wrong class"}
Curves = Sequence[tuple[Sequence[int], Sequence[float]]]  # epochs and values of one replication each


def curve(axes: Axes, curves: Curves, colour: str, log: bool = False, **style: object) -> None:
    """The mean over replications with its band; log: whether the axis is logarithmic. style: of the line."""
    epochs, mean, low, high = over_training(curves, log)
    axes.plot(epochs, mean, color=colour, **style)
    axes.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)


def log_epochs(axes: Axes, last: int) -> None:
    """A logarithmic axis from epoch 1 to the last, with the initialisation, epoch 0, a short step to its left."""
    axes.set_xscale("symlog", linthresh=1, linscale=0.25)
    powers = [10**power for power in range(len(str(last)))]
    ticks = [0, *(tick for tick in powers if tick * 2 <= last), last]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(0, last)


def linear_epochs(axes: Axes, last: int) -> None:
    """A linear axis from epoch 0 to the last one, which has a tick of its own."""
    step = next(step for power in range(9) for step in (10**power, 2 * 10**power, 5 * 10**power) if last / step <= 5)
    ticks = [*(tick for tick in range(0, last, step) if last - tick > step / 2), last]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlim(0, last)


def logarithmic(axes: Axes, name: str = "y") -> None:
    """A logarithmic axis of values with plain numbers: decades, and steps between them where it spans less than two; of
    many decades every second one or third, so that along y there are at most five and along x, which has less room,
    three."""
    axes.set(**{f"{name}scale": "log"})
    axis = getattr(axes, f"{name}axis")
    low, high = sorted(axis.get_view_interval())
    decades = np.floor(np.log10(high)) - np.ceil(np.log10(low)) + 1
    every = max(1, math.ceil(decades / {"x": 3, "y": 5}[name]))
    fine, some, decade = (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,)
    steps = fine if high / low < 10 else some if high / low < 100 else decade

    def within(steps: Sequence[float]) -> list[float]:
        powers = range(-15, 15, every)
        return [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]

    ticks = within(steps)
    if name == "x" and len(within(some)) > 1 and steps is fine:
        ticks = within(some)
    axis.set_ticks(ticks, [written(tick) for tick in ticks])
    axis.set_minor_locator(NullLocator())


def beside(axes: Axes, model: np.ndarray, network: np.ndarray) -> None:
    """Two logarithmic axes of the same quantity, as a model says and as networks do, and where both are one.

    What is not above 0 has no place there.
    """
    shown = [value for values in (model, network) for value in np.ravel(values) if value > 0] or [1.0]
    ends = min(shown) / 1.5, max(shown) * 1.5
    axes.plot(ends, ends, **AS_MODELLED)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="model", ylabel="network")
    for name in "xy":
        logarithmic(axes, name)


def down_to_none(axes: Axes, one: float) -> None:
    """A logarithmic axis for shares, linear below the share `one` that a single case is, where any is as low.

    So 0 is on the axis where it is needed: by a line, or by the band around it.
    """
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
    if axes.dataLim.y0 >= one:
        logarithmic(axes)
        return
    axes.set_yscale("symlog", linthresh=one, linscale=0.3)
    decades = [10.0**power for power in range(-9, 1) if one * 1.5 <= 10.0**power <= 1.3 * values.max()]
    axes.set_yticks([0, *decades], ["0", *map(written, decades)])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(-one / 3, values.max() * 1.3)
