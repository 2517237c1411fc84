"""The coarse network over a grid of recipes: what came of each."""

from collections.abc import Callable
from typing import Any

from hidden_structure.frame.params import Study

QUANTITIES = {  # column -> name in the results; None where training failed
    "train_accuracy": "train_accuracy",
    "test_accuracy": "test_accuracy",
    "nc1": "nc1",
    "accuracy": "probe_accuracy",
    "ceiling": "oracle_accuracy",
    "agreement": "agreement",
}
BESIDE = ("gap", "gap_model", "wrong", "wrong_model")  # results of earlier versions have none


def tabulate(study: Study, results: Callable[[str], Any]) -> dict[str, list[dict]]:
    """`sweep`: one row a network (`lr`, `weight_decay`, `seed`): accuracies on coarse labels, NC1 within coarse
    classes, the gap of logits and the probability of a wrong class beside those of the unconstrained features model,
    and on the original classes the `accuracy` of a linear layer on recovered labels and its `ceiling` on true
    ones; `error` is why what is missing could not be measured. Empty where the study sweeps no grid."""
    rows = [
        {name: row[name] for name in ("lr", "weight_decay", "seed")}
        | {column: row[name] for column, name in QUANTITIES.items()}
        | {name: row[name] for name in BESIDE if name in row}
        | {"error": row["error"]}
        for row in results("sweep") or ()
    ]
    return {"sweep": rows} if rows else {}
