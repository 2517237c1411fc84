"""Classes split at random: what the networks memorised of the parts, and how their features group."""

from collections.abc import Callable
from typing import Any

from hidden_structure.frame.params import Study

QUANTITIES = (  # of merges.split.measure, and the training accuracy on the split labels
    *("train_accuracy", "own_part", "agreement", "ari", "parts_distance"),
    *("nearest_accuracy", "class_accuracy", "probe_accuracy"),
)


def tabulate(study: Study, results: Callable[[str], Any]) -> dict[str, list[dict]]:
    """`split`: one row a network (`seed`) with lists over `epochs`, 0 the initialisation; `guess_accuracy` is the
    training accuracy of who knows each class and nothing of the parts. Empty where no class was split."""
    rows = sorted(results("split") or (), key=lambda row: (row["seed"], row["epoch"]))
    if not rows:
        return {}
    found = []
    for seed in dict.fromkeys(row["seed"] for row in rows):
        own = [row for row in rows if row["seed"] == seed]
        lists = {name: [row[name] for row in own] for name in ("epoch", *QUANTITIES)}
        found.append({"seed": seed, "guess_accuracy": own[0]["guess_accuracy"], "epochs": lists.pop("epoch")} | lists)
    return {"split": found}
