"""How high a loss or an error rises on the line between two networks."""

from collections.abc import Sequence

import numpy as np

from hidden_structure.connectivity.line import Line
from hidden_structure.frame.arrays import array_of, check_finite
from hidden_structure.frame.errors import InputError


def barrier(alphas: Sequence[float], values: Sequence[float]) -> float:
    """max over alpha of values(alpha) - ((1 - alpha) values(0) + alpha values(1)); never below 0, for the ends count.

    alphas: rising, from 0 to 1; values: of a loss or an error, one each.

    Raises InputError if they are not so, or a value is not finite.
    """
    along, heights = _walked(alphas, values)
    return float(np.max(heights - (heights[0] + along * (heights[-1] - heights[0]))))


def instability(alphas: Sequence[float], values: Sequence[float]) -> float:
    """max over alpha of values(alpha), less the mean of the two ends (Frankle et al. 2020, section 2).

    Raises InputError as `barrier` does.
    """
    _, heights = _walked(alphas, values)
    return float(heights.max() - (heights[0] + heights[-1]) / 2)


def _walked(alphas: Sequence[float], values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    along, heights = (array_of(*given).astype(np.float64) for given in (("alphas", alphas), ("values", values)))
    if along.ndim != 1 or along.shape != heights.shape:
        raise InputError(f"alphas and values must be as many, got {along.shape} and {heights.shape}")
    if len(along) < 2 or along[0] != 0 or along[-1] != 1 or not (np.diff(along) > 0).all():
        raise InputError(
            "alphas must rise from 0 to 1, both ends among them: a barrier is above the line between these"
        )
    check_finite("values", heights)
    return along, heights


def heights(line: Line) -> dict[str, dict[str, float]]:
    """{"barrier": ..., "instability": ...} of all that a line measured, as "<split>_loss" and "<split>_error"."""
    found: dict[str, dict[str, float]] = {"barrier": {}, "instability": {}}
    for name, values in line.items():
        if name not in ("alphas", "temperature"):
            error = name.endswith("_accuracy")
            along = line["alphas"], [1 - value for value in values] if error else values
            for height in (barrier, instability):
                found[height.__name__][name.replace("_accuracy", "_error")] = height(*along)
    return found
