"""What is measured of the unconstrained features model, each by itself: its minima, its saddles, and imbalance."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from hidden_structure.collapse.metrics import measure
from hidden_structure.frame.errors import about
from hidden_structure.seeding import torch_generator
from hidden_structure.unconstrained import peeled
from hidden_structure.unconstrained.minority import groups, imbalanced
from hidden_structure.unconstrained.model import (
    Problem,
    Solution,
    closed_form,
    compare,
    gradient_norm,
    least_eigenvalue,
    objective,
    perturbed,
    random_start,
    saddles,
    solve,
)

BESIDE = 0.8, 1.25  # of the ratio from which on the minority is one: near, and as far as its cosine shows


@about("unconstrained")
def solved(problem: Problem, start: int) -> dict:
    """From a random start of that number: the point of the end beside the closed form, and the way there.

    Raises InputError as `solve`, `compare` and `over_trajectory` do.
    """
    solution = solve(problem, random_start(problem, torch_generator("unconstrained", "start", start)))
    compared = compare(problem, solution.point)
    return {"start": start, "optimum": compared, "trajectory": over_trajectory(problem, solution)}


def over_trajectory(problem: Problem, solution: Solution) -> list[dict[str, float]]:
    """A row a step: {step, objective, gradient_norm} and the fields of collapse.Collapse.

    Raises InputError if a row of the weight or a centred class mean is zero and has no angle.
    """
    return [
        {"step": step, "objective": objective(problem, point).item(), "gradient_norm": gradient_norm(problem, point)}
        | asdict(measure(point.features, problem.labels, point.weight, point.bias))
        for step, point in solution.trajectory
    ]


@about("unconstrained")
def escaped(problem: Problem) -> list[dict]:
    """A row a saddle: how it curves, and where the descent from beside it ends."""
    rows = []
    for name, point in saddles(problem, torch_generator("unconstrained", "saddle")).items():
        end = solve(problem, perturbed(problem, point, torch_generator("unconstrained", "perturbation"))).point
        eigenvalue = least_eigenvalue(problem, point, torch_generator("unconstrained", "eigenvalue"))
        row = {"saddle": name, "objective": objective(problem, point).item()}
        row |= {"gradient_norm": gradient_norm(problem, point), "least_eigenvalue": eigenvalue}
        rows.append(row | {"escaped": objective(problem, end).item(), "minimum": closed_form(problem).objective})
    return rows


@about("unconstrained")
def weighed(problem: Problem, ratio: int) -> dict:
    """Of a balanced problem, with that many times the samples in the classes of the majority."""
    own = imbalanced(problem, ratio)
    start = random_start(own, torch_generator("unconstrained", "imbalanced", ratio))
    return {"ratio": ratio} | groups(own, solve(own, start).point)


def ratios_under_bounds(threshold: float | None, ratios: Sequence[int]) -> list[float]:
    """Those that are asked for, and one on each side of where the minority merges under bounds, if it does."""
    beside = [] if threshold is None else [float(f"{threshold * factor:.3g}") for factor in BESIDE]
    return sorted({*map(float, ratios), *beside})


def solved_under_bounds(problem: Problem, start: int) -> dict:
    """From a random start under bounds on norms, those of a balanced problem's minimum: where it ends beside the closed
    form, and beside the minimum of the penalised problem, which is the same."""
    own = peeled.peel(problem)
    point = peeled.solve(own, random_start(problem, torch_generator("unconstrained", "bounds", start)))
    found, expected = peeled.gaps(own, point), peeled.gap(own)
    gap = {"found": found.mean().item(), "closed_form": expected}
    gap |= {"difference": (found - expected).abs().max().item() / expected}
    return {"start": start, "optimum": compare(peeled.penalised(own), point) | {"gap": gap}}


def weighed_under_bounds(problem: Problem, ratio: float) -> dict:
    """As `weighed`, with the norms bounded by those of the balanced problem's minimum."""
    own = peeled.imbalanced(peeled.peel(problem), ratio)
    alike = replace(problem, counts=own.counts)
    point = peeled.solve(own, random_start(alike, torch_generator("unconstrained", "imbalanced bounds", str(ratio))))
    return {"ratio": ratio} | groups(alike, point)
