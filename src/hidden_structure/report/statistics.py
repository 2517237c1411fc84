"""What a few replications say about a mean: its standard error and its interval.

The unit of replication is a trained network, or a pair of networks that shares none with another pair.
"""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

import numpy as np

from hidden_structure.frame.errors import InputError

CONFIDENCE = 0.95
ROUNDING = 1e-6  # of tables: an accuracy has six digits
Interval = tuple[float, float]


def rounded(value: float) -> float:
    """To the 6 significant digits that files and tables give."""
    return float(f"{value:.6g}")


def finite(value: float | None, what: str) -> float:
    """The value. Raises InputError, which says what it is of, if it is missing or not finite."""
    if value is None or not math.isfinite(value):
        raise InputError(f"{what} is {value}, not a number: the tables are damaged: delete them and run `dvc repro`")
    return value


def mean(values: Sequence[float]) -> float:
    """Of one replication or more. Raises InputError if a value is not finite."""
    return fmean(finite(value, "a value of the tables") for value in values)


def standard_deviation(values: Sequence[float]) -> float | None:
    """Of the sample (n - 1); None with one replication."""
    return stdev(values) if len(values) > 1 else None


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean; None with one replication."""
    spread = standard_deviation(values)
    return None if spread is None else spread / math.sqrt(len(values))


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """The two-sided confidence interval of the mean (Student's t, n - 1 degrees of freedom); None with one value."""
    error = standard_error(values)
    if error is None:
        return None
    from scipy.stats import t

    reach = float(t.ppf((1 + confidence) / 2, len(values) - 1)) * error
    middle = mean(values)
    return middle - reach, middle + reach


def p_value(values: Sequence[float], bound: float) -> float | None:
    """Two-sided, of Student's t-test of the mean against the bound; None of one value, and where values do not vary
    but for the rounding of the tables that they come from."""
    error = standard_error(values)
    if error is None or error <= ROUNDING * max(1.0, *map(abs, values)):
        return None
    from scipy.stats import t

    return float(2 * t.sf(abs(mean(values) - bound) / error, len(values) - 1))


def pseudovalues(of_all: float, without: Sequence[float]) -> tuple[float, ...]:
    """One a unit, of mean `of_all`; their t-interval is the jackknife's of a statistic that is no mean (Tukey 1958).

    of_all: the statistic over all units; without: the same with one unit left out, each in its turn. Of a single unit
    nothing can be left out: it gives of_all.
    """
    count = len(without)
    if count < 2:
        return (of_all,)
    middle = mean(without)
    return tuple(of_all + (count - 1) * (middle - less) for less in without)


def differences(of: Sequence[float], to: Sequence[float]) -> list[float]:
    """Paired: both in the order of the seeds that they share. Raises ValueError if they differ in number."""
    return [one - other for one, other in zip(of, to, strict=True)]


def over_training(
    curves: Sequence[tuple[Sequence[int], Sequence[float]]], logarithmic: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Epochs, the mean at each, and the ends of a band of one standard error to either side of it.

    The band has no width where a single curve was measured. On logarithmic axes mean and standard error are of the
    logarithm, so that the band does not reach for 0, and what is not above 0 is left out.

    Args:
        curves: epochs and values of one replication each.

    Raises InputError at a value that is not finite.
    """
    values: dict[int, list[float]] = {}
    for epochs, measured in curves:
        for epoch, value in zip(epochs, measured, strict=True):
            value = finite(value, f"a value at epoch {epoch}")
            if not logarithmic or value > 0:
                values.setdefault(epoch, []).append(math.log(value) if logarithmic else value)
    ordered = sorted(values)
    means = np.array([fmean(values[epoch]) for epoch in ordered])
    errors = np.array([standard_error(values[epoch]) or 0.0 for epoch in ordered])
    bands = means, means - errors, means + errors
    return np.array(ordered), *(map(np.exp, bands) if logarithmic else bands)
