"""Minority collapse: with enough imbalance the rows of all small classes of the unconstrained features model are one.

Fang, He, Long, Su, "Exploring deep neural networks via layer-peeled model: minority collapse in imbalanced training",
PNAS 2021. The classes of the first half (rounded down) are the majority.
"""

from dataclasses import replace

from hidden_structure.unconstrained.model import Point, Problem, cosines, decay_scale

ZERO_BELOW = 1e-6  # norm of a row that counts as zero: that of others is of the order of one


def imbalanced(problem: Problem, ratio: int) -> Problem:
    """The balanced problem with that many times the samples in every class of the majority."""
    majority = problem.classes // 2
    counts = (ratio * count if index < majority else count for index, count in enumerate(problem.counts))
    return replace(problem, counts=tuple(counts))


def merging_ratio(problem: Problem) -> float:
    """The ratio from which on the minority's rows are one, if the balanced problem is made imbalanced.

    Where they are one, take the gradient of a minority sample's loss with respect to its outputs along a direction v of
    class space that sums to zero over the minority and is zero elsewhere: it is -v_y/N, whatever the outputs are.
    Such directions stay out of the minimum, which is convex in Z, as long as the gradient's singular value there,
    sqrt(n)/N, is at most sqrt(lambda_W lambda_H). With N = n (majority x ratio + minority) that is a bound on the
    ratio. (Hong, Ling 2023 give the threshold for two groups of classes under cross-entropy.)
    """
    majority = problem.classes // 2
    return (1 / decay_scale(problem) - (problem.classes - majority)) / majority


def groups(problem: Problem, point: Point) -> dict[str, float | None]:
    """{majority_norm, majority_cosine, minority_norm, minority_cosine}: means over rows, and over pairs of rows of one
    group; the cosine is None where a row is zero, or alone."""
    majority, found = problem.classes // 2, {}
    for name, rows in (("majority", point.weight[:majority]), ("minority", point.weight[majority:])):
        norms = rows.norm(dim=1)
        angle = len(rows) > 1 and norms.min() >= ZERO_BELOW
        found[f"{name}_norm"] = norms.mean().item()
        found[f"{name}_cosine"] = cosines(rows).mean().item() if angle else None
    return found
