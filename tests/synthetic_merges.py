"""Made-up but plausible results of merges, in the form that their stage writes them."""

import numpy as np

from hidden_structure.datasets.labels import bits_per_sample, joined_names
from hidden_structure.merges.likeness import above_chance

MERGES = {  # name -> method, coarse classes
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
    return {"fine_bits": float(np.log2(len(names))), "rows": rows}


def _row(name: str, method: str, classes: int, seed: int, names: list[str], slope: float, draw) -> dict:
    coarse_of = np.arange(len(names)) % classes
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
