"""Made-up results of the study's own networks, whose classes are recovered as the source says, and their tables."""

from collections.abc import Mapping

import numpy as np
import synthetic_results as synthetic

from hidden_structure.frame import params
from hidden_structure.tables import collapse, merges, recovery, split, sweep

SEEDS = [0, 1, 2]
STUDY = params.load().model_copy(update={"seeds": SEEDS})
IDEAS = collapse, recovery, merges, split, sweep
LRS, DECAYS = [0.1, 0.01, 0.001], [0.005, 0.0]


def results(classes: int = 10, coarse: int = 5, names: list[str] | None = None, seeds: list[int] = SEEDS) -> dict:
    """Of every stage that the four chapters read."""
    names = names or [f"class {index}" for index in range(classes)]
    coarse_of = [index % coarse for index in range(classes)]
    merged = ["+".join(names[index::coarse]) for index in range(coarse)]
    found = {f"train-{supervision}": synthetic.training(supervision, seeds) for supervision in ("fine", "coarse")}
    for rows in found.values():
        for row in rows:
            if row["epoch"] == synthetic.EPOCHS[-1]:
                row["train_accuracy"] = 1.0
    return found | {
        "labels": synthetic.labels(coarse_of, names, merged),
        "collapse": synthetic.collapse({"fine": classes, "coarse": coarse}, seeds),
        "cluster": _clusters(synthetic.cluster(coarse_of, names, merged, seeds)),
        "memorised": [{"seed": seed, "train_accuracy": 0.999, "test_accuracy": 1 / coarse} for seed in seeds],
        "follow-recovery": [_followed(seed, epoch) for seed in seeds for epoch in synthetic.EPOCHS],
        "split": [_snapshot(seed, *numbers) for seed in seeds for numbers in _SNAPSHOTS],
        "sweep": [_recipe(lr, decay, seed) for lr in LRS for decay in DECAYS for seed in seeds],
    }


def tables(found: Mapping, study: params.Study = STUDY):
    made: dict[str, list[dict]] = {}
    for idea in IDEAS:
        made |= idea.tabulate(study, found.get)
    return lambda name: made.get(name, [])


def _clusters(cluster: dict) -> dict:
    """The same numbers a little further from chance, so that the trained features are as good as the source says."""
    for row in cluster["rows"]:
        if row["source"] == "coarse" and row["reducer"] == synthetic.REDUCERS[0]:
            row["probe_accuracy"] = 0.926 + 0.001 * row["seed"]
    return cluster


def _followed(seed: int, epoch: int) -> dict:
    """Found soon, and kept."""
    level = 1 - np.exp(-epoch / 5)
    scores = {"agreement": 0.55 + 0.4 * level, "recovered": 0.5 + 0.42 * level, "labels": 0.6 + 0.33 * level}
    apart = {"explained": 0.05 + 0.5 * level, "spread": 0.5 - 0.4 * level}
    return {"seed": seed, "epoch": epoch, "reducer": "pca"} | {
        name: value + 0.001 * seed for name, value in (scores | apart).items()
    }


_SNAPSHOTS = (  # epoch, training accuracy, agreement, accuracy of a linear layer
    (0, 0.1, 0.5, 0.6),
    (5, 0.7, 0.95, 0.94),
    (100, 0.99, 0.97, 0.94),
)


def _snapshot(seed: int, epoch: int, train: float, agreement: float, probe: float) -> dict:
    others = dict.fromkeys(("ari", "nmi", "purity", "parts_distance", "own_part", "class_accuracy"), 0.6)
    own = {"name": "split", "seed": seed, "epoch": epoch, "train_accuracy": train, "guess_accuracy": 0.5}
    scores = {"nearest_accuracy": 0.9, "agreement": agreement + 0.001 * seed, "probe_accuracy": probe + 0.001 * seed}
    return own | others | scores


def _recipe(lr: float, decay: float, seed: int) -> dict:
    scores = {"train_accuracy": 1.0, "test_accuracy": 0.95, "nc1": 0.1 * lr * (seed + 1), "agreement": 0.95}
    own = {"lr": lr, "weight_decay": decay, "seed": seed}
    own |= {"gap": 8.0 + lr, "gap_model": 9.0, "wrong": 2e-3 + decay, "wrong_model": 3e-3 * lr + decay}
    return own | scores | {"probe_accuracy": 0.9, "oracle_accuracy": 0.94, "error": None}
