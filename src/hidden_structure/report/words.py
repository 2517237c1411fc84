"""The main results in words, and numbers beside their spreads as text.

`numbers` are groups of metrics.json, which hold a name beside its `_spread` (None with one seed).
"""

from collections.abc import Mapping

from hidden_structure.frame.params import Study
from hidden_structure.report.distillation.measure import NAMES
from hidden_structure.report.plotting import METHODS, REDUCERS


def in_words(study: Study, summary: Mapping, labels: Mapping) -> list[str]:
    """The main results, one paragraph of plain text each."""
    fine, coarse, recovery = summary["fine"], summary["coarse"], summary["recovery"]
    bits, control = summary["labels"], summary["control"]
    count = {supervision: labels[supervision]["classes"] for supervision in ("fine", "coarse")}
    seeds = len(study.seeds)
    over = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed, so without a spread"
    reducer = REDUCERS[study.cluster.reducers[0]]
    return [
        f"Trained on the {count['fine']} original labels, the network classifies {percent(fine, 'test_accuracy')} of "
        f"the test set correctly. Trained on only {count['coarse']} coarse labels, which cost "
        f"{bits['coarse_bits']:.3g} instead of {bits['fine_bits']:.3g} bits a sample, it gives "
        f"{percent(coarse, 'test_accuracy')} of the test set the right coarse label ({over}).",
        f"NC1, the variability within the classes a network was trained on, ends at {value(fine, 'nc1')} for fine and "
        f"{value(coarse, 'nc1')} for coarse labels. The class means meet at a mean cosine of {value(fine, 'angle')} "
        f"(limit {-1 / (count['fine'] - 1):.4g}) and {value(coarse, 'angle')} "
        f"(limit {-1 / (count['coarse'] - 1):.4g}); single pairs differ from the limit by "
        f"{value(fine, 'angle_deviation')} and {value(coarse, 'angle_deviation')} on average.",
        f"The coarse network never saw an original label. Clustering its features inside each super-class ({reducer}) "
        f"gives {percent(recovery, 'agreement')} of the training samples their original label back. A linear layer "
        f"trained on these recovered labels classifies {percent(recovery, 'accuracy')} of the test set into the "
        f"{count['fine']} original classes, {_points(recovery)} than the network that was trained on them; "
        f"with the true labels the same layer reaches {percent(recovery, 'oracle_accuracy')}.",
        f"Controls: with labels that clustering recovers from the pixels the layer reaches "
        f"{percent(control['pixels'], 'accuracy')}, with labels from the untrained network's features "
        f"{percent(control['untrained'], 'accuracy')}.",
        *([_connected(study, summary), _linear(study, summary)] if "spawn" in summary else []),
        *([_distilled(summary["distill"])] if "distill" in summary else []),
    ]


def _connected(study: Study, summary: Mapping) -> str:
    instability, permute = summary["spawn"]["instability"], summary["permute"]
    parted = ", ".join(f"{percent(instability, f'k{k}')} for k = {k}" for k in study.spawn.epochs)
    aligned = "; ".join(
        f"{percent(permute[method], 'barrier')} ({METHODS[method]}; with REPAIR "
        f"{percent(permute[method], 'barrier_repaired')})"
        for method in ("none", *study.permute.methods)
    )
    return (
        "Mode connectivity: between two networks that part after k epochs, the test error (in % of the test set) on "
        f"the straight line exceeds the mean of its ends, at its highest and on average over pairs, by {parted}. "
        f"Between independent networks it rises above the straight line between its ends by {aligned}."
    )


def _linear(study: Study, summary: Mapping) -> str:
    llfc, stitched, last = summary["llfc"], summary["stitch"], f"k{max(study.spawn.epochs)}"
    own = {f"networks that part after epoch {last[1:]}": (llfc["spawned"], stitched["spawned"], last)}
    own |= {f"independent networks, {METHODS['none']}": (llfc, stitched, "none")}
    own |= {f"after {METHODS[method]}": (llfc, stitched, method) for method in study.permute.methods}
    features = "; ".join(
        f"{value(numbers, name)} ({who}; with REPAIR {value(numbers, f'{name}_repaired')})"
        for who, (numbers, _, name) in own.items()
    )
    costs = "; ".join(f"{percent(numbers, name)} ({who})" for who, (_, numbers, name) in own.items())
    return (
        "Layerwise linear feature connectivity: halfway between two networks, 1 - cos of the merged network's features "
        f"with the mean of the two networks' own is, at the median layer and on average over pairs, {features}. "
        "Stitching: with the lower layers of one network below the upper layers of the other, test error exceeds that "
        f"of the worse of the two, at the worst cut and on average over pairs, by {costs}."
    )


def _distilled(students: Mapping) -> str:
    run = {NAMES[method]: students[method] for method in NAMES if method in students}
    reached = "; ".join(f"{who} {percent(numbers, 'accuracy')}" for who, numbers in run.items())
    kept = "; ".join(f"{who} {percent(numbers, 'recovery')}" for who, numbers in run.items())
    lelp = students.get("lelp")
    gained = f" LELP less KD with the same seed: {percent(lelp, 'gain')} of the test set." if lelp else ""
    return (
        f"Distillation: a teacher of few classes gives {percent(students['teacher'], 'accuracy')} of the test set the "
        f"right one. Its students do so for: {reached}.{gained} Clusters of a student's own features inside each class "
        f"give so many training samples their original class back: {kept}."
    )


def value(numbers: Mapping, name: str) -> str:
    spread = numbers[f"{name}_spread"]
    return f"{numbers[name]:.3g}" + ("" if spread is None else f" ± {spread:.2g}")


def percent(numbers: Mapping, name: str) -> str:
    spread = numbers[f"{name}_spread"]
    return f"{100 * numbers[name]:.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}") + " %"


def _points(recovery: Mapping) -> str:
    gap = 100 * recovery["gap"]
    return f"{abs(gap):.1f} percentage points {'less' if gap >= 0 else 'more'}"
