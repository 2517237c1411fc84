"""Made-up results of networks of which some classes have few images: they come together as the model says."""

import copy
import functools

import numpy as np

from hidden_structure.unconstrained.bridge_minority import Norms, line, minority_cosine, thresholds
from hidden_structure.unconstrained.two_groups import TwoGroups

CLASSES, MAJORITY, LARGE = 10, 5, 1000.0
RATIOS = (1, 10, 100)
GIVEN = Norms(row_energy=2.0, feature_energy=9.0, feature_decay=1e-5, weight_decay=5e-3, bias_decay=None)


OWN = MAJORITY, CLASSES - MAJORITY, LARGE, GIVEN


def result(seeds: tuple[int, ...] = (0, 1, 2)) -> dict:
    networks = [_network(ratio, seed, epoch) for ratio in RATIOS for seed in seeds for epoch in (0, 20)]
    return {"networks": networks} | copy.deepcopy(_foretold())


@functools.cache
def _foretold() -> dict:
    return {"line": line(*OWN, [1.0, 10.0, 100.0, 500.0]), "thresholds": thresholds(*OWN)}


@functools.cache
def _model(ratio: int) -> dict:
    return minority_cosine(TwoGroups(MAJORITY, CLASSES - MAJORITY, LARGE, LARGE / ratio), GIVEN)


def _network(ratio: int, seed: int, epoch: int) -> dict:
    cosine = _model(ratio)["decay"] + 0.01 * seed * (ratio > 1) if epoch else 0.01 * (seed - 1)
    minority = _group(cosine, 0.95 - 0.2 * np.log10(ratio), 1 / (1 + np.log10(ratio)))
    majority = _group(-1 / 9 - 0.02 * np.log10(ratio) if epoch else 0.0, 0.95, 1.0)
    accuracy = (minority["test_accuracy"] + majority["test_accuracy"]) / 2
    images = 500 + 500 // ratio
    found = {"ratio": ratio, "seed": seed, "images": images, "epoch": epoch, "nc1": 0.5, "test_accuracy": accuracy}
    return found | {"majority": majority, "minority": minority, "model": dict(_model(ratio))}


def _group(cosine: float, accuracy: float, norm: float) -> dict:
    cosines = {"cosine_rows": float(cosine), "cosine_means": float(cosine)}
    return {"train_accuracy": 1.0, "test_accuracy": float(accuracy), "norm_rows": norm, "norm_means": norm} | cosines
