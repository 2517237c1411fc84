"""Means of several independent networks, and what they are compared with."""

from collections.abc import Callable
from typing import Any

from hidden_structure.frame.params import Study


def tabulate(study: Study, results: Callable[[str], Any]) -> dict[str, list[dict]]:
    """Table -> rows; none where the study averages no networks.

    `averages`: one a mean of a set of networks (`seeds`) of a `width`: how they were `matching`, to which `reference`
    where in pairs, `repaired` or not, the `objective` that matching together maximises, test loss and accuracy.
    `averaged`: one a set: lists of test loss and accuracy of its networks, those of their `ensembles`, by mean
    `probabilities` and mean `logits`; `guess`, the accuracy of naming the commonest class; `lost_in_cycles`, the share
    of units that come back elsewhere round three networks matched in pairs.
    """
    found = results("average")
    if not found:
        return {}
    counts = results("labels")["fine"]["test_counts"].values()
    guess, scores = max(counts) / sum(counts), ("test_loss", "test_accuracy")
    columns = ("matching", "reference", "repaired", "objective", *scores)

    def of(row: dict) -> dict:
        return {name: row[name] for name in ("width", "seeds")}

    return {
        "averages": [of(row) | {name: mean[name] for name in columns} for row in found for mean in row["means"]],
        "averaged": [
            of(row)
            | {name: [network[name] for network in row["networks"]] for name in scores}
            | {"ensembles": row["ensembles"], "guess": guess, "lost_in_cycles": row["lost_in_cycles"]}
            for row in found
        ],
    }
