"""Made-up but plausible results of merges, in the form that their stage writes them."""

import numpy as np

from hidden_structure.datasets.labels import bits_per_sample, describe, joined_names
from hidden_structure.merges.likeness import above_chance

MERGES = {  # name -> method, coarse classes; of groups the sizes stand in the name: "groups-1-3-6"
    "modulo-5": ("modulo", 5),
    "semantic": ("semantic", 5),
    "random-5-0": ("random", 5),
    "random-5-1": ("random", 5),
    "modulo-2": ("modulo", 2),
    "modulo-7": ("modulo", 7),
}


def result(seeds: list[int], merges: dict = MERGES, fine_names: list[str] | None = None, slope: float = -0.4) -> dict:
    """Ten classes, or as many as are named; agreement changes with likeness by that slope."""
    names = fine_names or [f"class {index}" for index in range(10)]
    rows = [
        _row(name, *merges[name], seed, names, slope, np.random.default_rng([seed, place]))
        for place, name in enumerate(merges)
        for seed in seeds
    ]
    return {"rows": rows}


def results(seeds: list[int], merges: dict = MERGES, **others) -> dict:
    """Of every stage that the tables are made of; the study's own merge is modulo 5, its controls poor."""
    found, names = result(seeds, merges, **others), [f"class {index}" for index in range(10)]
    coarse_of = np.arange(10) % 5
    coarse = joined_names(coarse_of, names)
    draw = np.random.default_rng(0)
    distances = draw.uniform(3, 9, (10, 10))
    distances = (distances + distances.T) / 2
    np.fill_diagonal(distances, 2.0)
    return {
        "merges": found,
        "train-merges": [
            {"name": row["name"], "seed": row["seed"], "epoch": 3, "train_accuracy": 1.0, "test_accuracy": 0.97}
            | {
                "bought": {
                    "samples": 500,
                    "epochs": 4,
                    "train_accuracy": 1.0,
                    "test_accuracy": 0.5 + 0.001 * row["seed"],
                }
            }
            for row in found["rows"]
        ],
        "train-fine": [
            {"seed": seed, "epoch": epoch, "test_accuracy": accuracy}
            for seed in (0, 1)
            for epoch, accuracy in ((1, 0.4), (3, 0.9))
        ],
        "labels": {
            "fine": describe(names, np.arange(100) % 10, np.arange(20) % 10),
            "coarse": describe(coarse, np.arange(100) % 5, np.arange(20) % 5),
            "coarse_of": {name: coarse[index % 5] for index, name in enumerate(names)},
        },
        "cluster": {
            "rows": [
                {
                    "seed": seed,
                    "source": source,
                    "reducer": reducer,
                    "agreement": 0.5,
                    "probe_accuracy": 0.5 + 0.01 * seed,
                }
                for seed in (0, 1)
                for source in ("coarse", "pixels", "untrained")
                for reducer in ("tsne", "pca")
            ],
            "class_distances": {"names": names, "matrix": distances.tolist()},
        },
    }


def _row(name: str, method: str, classes: int, seed: int, names: list[str], slope: float, draw) -> dict:
    coarse_of = np.arange(len(names)) % classes
    if method == "groups":
        coarse_of = np.repeat(np.arange(classes), [int(size) for size in name.split("-")[1:]])
    elif method != "modulo":
        coarse_of = np.random.default_rng(len(name) + int(name[-1]) if method == "random" else 9).permutation(coarse_of)
    superclasses = {}
    for group, superclass in enumerate(joined_names(coarse_of, names)):
        members = [names[member] for member in np.flatnonzero(coarse_of == group)]
        size, alike = len(members), (group + 0.3) / classes * (0.6 if method == "random" else 1)
        agreement = 0.95 + slope * alike * (1 - 1 / size) - 0.01 * draw.random()
        own = {"agreement": agreement, "nmi": agreement, "ari": agreement, "purity": agreement}
        own |= {"clusters": size, "samples": 100, "members": members}
        own["estimated"] = {"silhouette": max(2, size), "gap": size + int(draw.random() > 0.7)}
        if size > 1:
            own["score"] = above_chance(agreement, size)
            own["similarity"] = {"pixels": 0.5 - alike, "features": alike, "confusion": 10 ** (3 * alike - 4)}
        superclasses[superclass] = own
    mean = float(np.mean([own["agreement"] for own in superclasses.values()]))
    numbers = {"agreement": mean, "nmi": mean, "ari": mean, "purity": mean, "probe_accuracy": mean - 0.02}
    row = {"name": name, "method": method, "classes": classes, "seed": seed}
    row |= {"bits": bits_per_sample(np.bincount(coarse_of)), "oracle_accuracy": 0.93}
    return row | numbers | {"superclasses": superclasses}
