"""The tables of networks finetuned on two tasks: the networks, the lines between them, their task vectors' sums."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hidden_structure.frame.params import Study
from hidden_structure.tables.connectivity import nearest_to_half
from hidden_structure.tables.linearity import bend, in_order, laws

KINDS = ("all", "within")


def tabulate(study: Study, results: Callable[[str], Any]) -> dict[str, list[dict]]:
    """Table -> rows; none where the study has no such networks.

    `tasks`: one a class, with its task.
    `finetuned`: one a network, by what it `begins` as, its `task` and `seed`: the `classes` of its task, `images`,
    `epochs`, and its accuracies on test images of the first task, of the second and of both, among `all` classes and
    `within` those of the image's task.
    `finetuned_layers`: the layers in order of execution.
    `crossed`: one a pair by `kind` and `seed`, as merged and `repaired` (BatchNorm reset): `bend`, at the worst layer
    and alpha, and its `output` layer's, `laws` (all as in the table `features`); over layers `ends` and, at the alpha
    nearest to 1/2, `dissimilarity`; lists over `alphas` of accuracies.
    `sums`: likewise, lists over `coefficients` of accuracies, and where it was measured the `bend` at each of
    `bent_at`, which are the coefficients but 0 and 1/2.
    """
    found = results("finetune")
    if not found:
        return {}
    return {
        "tasks": [{"task": task, "class": name} for task, own in found["tasks"].items() for name in own],
        "finetuned": found["networks"],
        "finetuned_layers": in_order(found["pairs"][0]["layers"]),
        "crossed": [_line(row) for row in found["pairs"]],
        "sums": [_sums(row) for row in found["pairs"]],
    }


def _pair(row: Mapping) -> dict:
    return {name: row[name] for name in ("kind", "seed", "repaired")}


def _line(row: Mapping) -> dict:
    layers, half = row["layers"], nearest_to_half(row["alphas"])
    found = _pair(row) | {"bend": max(map(bend, layers)), "output": bend(layers[-1])}
    if told := laws(layers, row["alphas"]):
        found["laws"] = told
    found["layers"] = {
        "ends": [layer["baseline"]["mean"] for layer in layers],
        "dissimilarity": [layer["dissimilarity"][half]["mean"] for layer in layers],
    }
    found["alphas"] = [point["alpha"] for point in row["line"]]
    return found | {"accuracy": _accuracies(row["line"])}


def _sums(row: Mapping) -> dict:
    found = _pair(row) | {"coefficients": [one["coefficient"] for one in row["sums"]]}
    if measured := [one for one in row["sums"] if "layers" in one]:
        found["bent_at"] = [one["coefficient"] for one in measured]
        found["bend"] = [max(map(bend, one["layers"])) for one in measured]
    return found | {"accuracy": _accuracies(row["sums"])}


def _accuracies(points: Sequence[Mapping]) -> dict[str, dict[str, list[float]]]:
    return {
        place: {kind: [point["accuracy"][place][kind] for point in points] for kind in KINDS}
        for place in points[0]["accuracy"]
    }
