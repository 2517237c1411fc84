"""Networks of which some classes have few images, and what the unconstrained features model says of them."""

from collections.abc import Callable
from typing import Any

from hidden_structure.frame.params import Study


def tabulate(study: Study, results: Callable[[str], Any]) -> dict[str, list[dict]]:
    """Table -> rows; none where the study has no such networks.

    `minorities`: one a network (`ratio`, `seed`), `trained` or not, with the `images` of its training set and its
    `epochs`: NC1, test accuracy, and by group, `majority` and `minority`, accuracies, and cosines and norms of the last
    layer's rows and of class means; `model` is the mean cosine of the minority's rows in the unconstrained features
    model of these norms, under bounds or under decay.
    `foretold`: one a ratio: the same of the balanced networks' norms, with the `threshold` from which on it is 1.
    """
    found = results("imbalance")
    if not found:
        return {}
    quantities = ("nc1", "test_accuracy", "majority", "minority", "model")
    return {
        "minorities": [
            {name: row[name] for name in ("ratio", "seed")}
            | {"trained": row["epoch"] > 0, "images": row["images"], "epochs": row["epoch"]}
            | {name: row[name] for name in quantities}
            for row in found["networks"]
        ],
        "foretold": [row | {"threshold": found["thresholds"]} for row in found["line"]],
    }
