"""What is measured of the unconstrained features model, each by itself: its minima, its saddles, and imbalance."""

from hidden_structure.seeding import torch_generator
from hidden_structure.unconstrained.minority import groups, imbalanced
from hidden_structure.unconstrained.model import (
    Problem,
    closed_form,
    compare,
    gradient_norm,
    least_eigenvalue,
    objective,
    over_trajectory,
    perturbed,
    random_start,
    saddles,
    solve,
)


def solved(problem: Problem, start: int) -> dict:
    """From a random start of that number: the point of the end beside the closed form, and the way there.

    Raises InputError as `solve`, `compare` and `over_trajectory` do.
    """
    solution = solve(problem, random_start(problem, torch_generator("unconstrained", "start", start)))
    compared = compare(problem, solution.point)
    return {"start": start, "optimum": compared, "trajectory": over_trajectory(problem, solution)}


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


def weighed(problem: Problem, ratio: int) -> dict:
    """Of a balanced problem, with that many times the samples in the classes of the majority."""
    own = imbalanced(problem, ratio)
    start = random_start(own, torch_generator("unconstrained", "imbalanced", ratio))
    return {"ratio": ratio} | groups(own, solve(own, start).point)
