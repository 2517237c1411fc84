"""Results of the unconstrained features model in the form that their stage writes them: small, but solved."""

import functools

from hidden_structure.seeding import torch_generator
from hidden_structure.unconstrained.experiments import over_trajectory, solved_under_bounds
from hidden_structure.unconstrained.model import LOSSES, Problem, compare, random_start, solve

IMBALANCE = [  # ratio, cosine of the minority; the threshold is 20
    *((1, -0.33), (5, 0.1), (15, 0.7), (19, 0.98)),
    *((21, 1.0), (35, 1 - 1e-9), (100, None)),
]


@functools.cache
def solved(loss: str, bias: bool, start: int, bias_decay: float = 1e-2) -> dict:
    problem = Problem((4,) * 4, 5, loss, bias, 5e-3, 5e-3, bias_decay)
    solution = solve(problem, random_start(problem, torch_generator("start", start)))
    found = {"optimum": compare(problem, solution.point), "trajectory": over_trajectory(problem, solution)}
    return {"loss": loss, "bias": bias, "start": start} | found


def result(starts: int = 2) -> dict:
    cases = [(loss, bias) for loss in LOSSES for bias in (False, True)]
    saddle = {"gradient_norm": 0.0, "least_eigenvalue": -0.1, "objective": 0.5, "escaped": 0.2, "minimum": 0.2}
    return {
        "solutions": [solved(*case, start) for case in cases for start in range(starts)],
        "saddles": [{"loss": loss, "bias": bias, "saddle": "zero"} | saddle for loss, bias in cases],
        "imbalance": [_ratio(*one) for one in IMBALANCE],
        "merging_ratio": 20.0,
        "bounds": bounds(starts),
    }


@functools.cache
def _bounded(start: int) -> dict:
    return solved_under_bounds(Problem((4,) * 4, 5, "cross-entropy", False, 5e-3, 5e-3), start)


def bounds(starts: int = 2) -> dict:
    """Norms bounded; there the threshold is 200."""
    imbalance = [_ratio(10 * ratio, cosine) for ratio, cosine in IMBALANCE]
    return {"solutions": [_bounded(start) for start in range(starts)], "imbalance": imbalance, "merging_ratio": 200.0}


def _ratio(ratio: int, cosine: float | None) -> dict:
    majority = {"majority_norm": 3.0 + ratio, "majority_cosine": -0.4}
    return {"ratio": ratio} | majority | {"minority_norm": 2.0, "minority_cosine": cosine}
