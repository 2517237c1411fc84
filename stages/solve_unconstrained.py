"""Solve the unconstrained features model from random starts and from saddles, balanced and imbalanced."""

from hidden_structure.frame import artifacts, command, params, paths, tasks
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.machine import computing
from hidden_structure.frame.section import Section, only
from hidden_structure.frame.sections import Hardware, Tasks, Unconstrained
from hidden_structure.frame.workplace import workplace
from hidden_structure.unconstrained import minority, peeled
from hidden_structure.unconstrained.experiments import (
    escaped,
    ratios_under_bounds,
    solved,
    solved_under_bounds,
    weighed,
    weighed_under_bounds,
)
from hidden_structure.unconstrained.model import LOSSES, Problem


class Reads(Section):
    hardware: only(Hardware, "threads")
    tasks: Tasks
    unconstrained: Unconstrained | None


@one_line_errors
@alone("solve-unconstrained")
def main() -> None:
    study = params.load(reads=Reads)
    settings = study.unconstrained
    if settings is None:
        artifacts.write_json(paths.results("unconstrained"), None)
        return

    def problem(loss: str, bias: bool) -> Problem:
        decays = settings.weight_decay, settings.feature_decay, settings.bias_decay
        return Problem((settings.per_class,) * settings.classes, settings.dimension, loss, bias, *decays)

    cases = {f"{loss}{', bias' if bias else ''}": (loss, bias) for loss in LOSSES for bias in (False, True)}
    starts = [(name, start) for name in cases for start in range(settings.starts)]
    plain = problem("cross-entropy", False)
    with workplace("solve-unconstrained", study.model_dump(exclude={"tasks"}) | computing("cpu"), ()) as folder:
        processors = Hardware(device="cpu", precision="float32", threads=study.hardware.threads)
        own = folder, study.tasks, processors
        named: dict = {f"{name}, start {start}": (problem(*cases[name]), start) for name, start in starts}
        solutions = tasks.run("solve-unconstrained", solved, named, *own)
        named = {f"{name}, saddles": (problem(*case),) for name, case in cases.items()}
        saddles = tasks.run("solve-unconstrained, saddles", escaped, named, *own)
        named = {f"ratio {ratio}": (plain, ratio) for ratio in sorted(settings.ratios, reverse=True)}  # long ones first
        weights = tasks.run("solve-unconstrained, imbalanced", weighed, named, *own)
        named = {f"bounds, start {start}": (plain, start) for start in range(settings.starts)}
        bounded = tasks.run("solve-unconstrained, bounds", solved_under_bounds, named, *own)
        threshold = peeled.merging_ratio(peeled.peel(plain))
        ratios = ratios_under_bounds(threshold, settings.ratios)
        named = {f"bounds, ratio {ratio:g}": (plain, ratio) for ratio in ratios}
        apart = tasks.run("solve-unconstrained, bounds, imbalanced", weighed_under_bounds, named, *own)

        told = {name: {"loss": loss, "bias": bias} for name, (loss, bias) in cases.items()}
        found = {
            "solutions": [told[name] | solutions[f"{name}, start {start}"] for name, start in starts],
            "saddles": [told[name] | row for name in cases for row in saddles[f"{name}, saddles"]],
            "imbalance": [weights[f"ratio {ratio}"] for ratio in settings.ratios],
            "merging_ratio": minority.merging_ratio(plain),
            "bounds": {
                "solutions": list(bounded.values()),
                "imbalance": list(apart.values()),
                "merging_ratio": threshold,
            },
        }
        artifacts.write_json(paths.results("unconstrained"), found)


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
