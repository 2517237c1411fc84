"""Solve the unconstrained features model from random starts and from saddles, balanced and imbalanced."""

from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.progress import track
from hidden_structure.frame.sections import Section, Unconstrained
from hidden_structure.seeding import torch_generator
from hidden_structure.unconstrained.minority import groups, imbalanced, merging_ratio
from hidden_structure.unconstrained.model import (
    LOSSES,
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


class Reads(Section):
    unconstrained: Unconstrained | None


@one_line_errors
@alone("solve-unconstrained")
def main() -> None:
    study = params.load(reads=Reads)
    settings = study.unconstrained
    if settings is None:
        artifacts.write_json(paths.results("unconstrained"), None)
        return

    def problem(classes: int, loss: str, bias: bool) -> Problem:
        decays = settings.weight_decay, settings.feature_decay, settings.bias_decay
        return Problem((settings.per_class,) * classes, settings.dimension, loss, bias, *decays)

    def solved(own: Problem, start: int) -> dict:
        solution = solve(own, random_start(own, torch_generator("unconstrained", "start", start)))
        compared = compare(own, solution.point)
        return {"start": start, "optimum": compared, "trajectory": over_trajectory(own, solution)}

    def escaped(own: Problem) -> list[dict]:
        """From every saddle, perturbed, to the minimum."""
        rows = []
        for name, point in saddles(own, torch_generator("unconstrained", "saddle")).items():
            end = solve(own, perturbed(own, point, torch_generator("unconstrained", "perturbation"))).point
            eigenvalue = least_eigenvalue(own, point, torch_generator("unconstrained", "eigenvalue"))
            row = {"saddle": name, "objective": objective(own, point).item()}
            row |= {"gradient_norm": gradient_norm(own, point), "least_eigenvalue": eigenvalue}
            rows.append(row | {"escaped": objective(own, end).item(), "minimum": closed_form(own).objective})
        return rows

    def weighed(ratio: int) -> dict:
        own = imbalanced(problem(settings.classes, "cross-entropy", False), ratio)
        start = random_start(own, torch_generator("unconstrained", "imbalanced", ratio))
        return {"ratio": ratio} | groups(own, solve(own, start).point)

    cases = [(loss, bias) for loss in LOSSES for bias in (False, True)]
    solutions, saddle_rows = [], []
    for loss, bias in track(cases, "unconstrained features"):
        own, case = problem(settings.classes, loss, bias), {"loss": loss, "bias": bias}
        solutions += [case | solved(own, start) for start in range(settings.starts)]
        saddle_rows += [case | row for row in escaped(own)]
    imbalance = [weighed(ratio) for ratio in track(settings.ratios, "unconstrained features, imbalanced")]
    merging = merging_ratio(problem(settings.classes, "cross-entropy", False))

    found = {"solutions": solutions, "saddles": saddle_rows, "imbalance": imbalance, "merging_ratio": merging}
    artifacts.write_json(paths.results("unconstrained"), found)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
