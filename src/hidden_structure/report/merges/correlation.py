"""Does likeness decide how well merged classes are recovered? A rank correlation whose unit is a merge's network.

The super-classes of one network share its luck, so they are no replications: the interval comes from leaving out one
merge with all its networks after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import permutation_test, rankdata, spearmanr

from hidden_structure.report.statistics import pseudovalues
from hidden_structure.seeding import numpy_generator

FEWEST = 10  # super-classes of different classes: of fewer a rank correlation says nothing
RESAMPLES = 9999


@dataclass(frozen=True)
class RankCorrelation:
    rho: float  # Spearman's, over all super-classes
    merges: tuple[str, ...]
    pseudovalues: tuple[float, ...]  # one a merge, of mean rho; their t-interval is the jackknife's (Tukey 1958)
    superclasses: int  # of different classes
    p: float  # of as low a correlation, if likeness were dealt out at random


def rank_correlation(
    likeness: Sequence[float], score: Sequence[float], merges: Sequence[str], members: Sequence[Sequence[int]]
) -> RankCorrelation | None:
    """Of likeness with score; each argument holds one value a super-class.

    The permutation test deals likeness out to different sets of classes: what was merged the same way in two merges is
    one point there, with its mean score. Sets that share a part of their classes count as different.

    Args:
        merges: the merge that the super-class is of; members: its classes.

    None where there are fewer than ten different super-classes or than two merges, or all agree in one of the two, with
    or without one of the merges.
    """
    x, y, own = np.asarray(likeness, float), np.asarray(score, float), np.array(merges)
    names, sets = sorted(set(merges)), [tuple(sorted(one)) for one in members]
    parts = [np.ones(len(x), bool), *(own != name for name in names)]
    if len(set(sets)) < FEWEST or len(names) < 2 or not all(np.ptp(x[part]) and np.ptp(y[part]) for part in parts):
        return None
    rho, *without = (float(spearmanr(x[part], y[part]).statistic) for part in parts)
    return RankCorrelation(rho, tuple(names), pseudovalues(rho, without), len(set(sets)), _p(x, y, sets))


def _p(x: np.ndarray, y: np.ndarray, sets: Sequence[tuple[int, ...]]) -> float:
    places = [[index for index, one in enumerate(sets) if one == wanted] for wanted in dict.fromkeys(sets)]
    a, b = (_standard(np.array([column[own].mean() for own in places])) for column in (x, y))
    found = permutation_test(
        (a,),
        lambda a, axis: (a * b).mean(axis),
        permutation_type="pairings",
        alternative="less",
        n_resamples=RESAMPLES,
        rng=numpy_generator("rank correlation"),
    )
    return float(found.pvalue)


def _standard(values: np.ndarray) -> np.ndarray:
    """Ranks of mean 0 and standard deviation 1: their mean product is Spearman's rho."""
    ranks = rankdata(values)
    return (ranks - ranks.mean()) / max(ranks.std(), np.finfo(float).tiny)
