"""Networks of which some classes have few training images: do these classes' rows of the last layer become one?

Fang, He, Long, Su, "Exploring deep neural networks via layer-peeled model: minority collapse in imbalanced training",
PNAS 2021. Of C classes the first are the majority. All networks of a seed begin alike, the images of a larger ratio are
among those of a smaller one, and all learn for about as many steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from hidden_structure.collapse import metrics
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.merges.price import as_many_steps
from hidden_structure.merges.variants import Variant, features_file, train
from hidden_structure.seeding import numpy_generator
from hidden_structure.training.inputs import read
from hidden_structure.unconstrained.bridge import head_decay
from hidden_structure.unconstrained.bridge_minority import Norms, line, minority_cosine, norms, thresholds
from hidden_structure.unconstrained.model import cosines
from hidden_structure.unconstrained.two_groups import TwoGroups

SECTION = "imbalance.train"
LINE = 16  # ratios at which theory is asked


def majority_of(settings: params.Imbalance, classes: int) -> int:
    """Classes of the majority. Raises InputError if either group has fewer than two, which have no angle."""
    majority = classes // 2 if settings.classes is None else settings.classes
    if not 2 <= majority <= classes - 2:
        raise InputError(
            f"imbalance.classes: {majority} of {classes} classes leave a group with less than two, which have no angle"
        )
    return majority


def draw(labels: np.ndarray, majority: int, ratio: int, least: int, generator: np.random.Generator) -> np.ndarray:
    """The samples int64, in rising order, that stay when later classes keep one in `ratio` of theirs, at random.

    Args:
        labels: int64 (N,). majority: classes that keep all.

    Raises InputError if a class keeps fewer than `least`.
    """
    kept = [np.flatnonzero(labels < majority)]
    for label in range(majority, int(labels.max()) + 1):
        own = generator.permutation(np.flatnonzero(labels == label))
        number = round(len(own) / ratio)
        if number < least:
            raise InputError(
                f"imbalance.ratios: {ratio} leaves class {label} {number} of its {len(own)} training images, and"
                f" imbalance.least is {least}: lower one of them"
            )
        kept.append(own[:number])
    return np.sort(np.concatenate(kept))


def train_ratio(
    ratio: int,
    seed: int,
    settings: params.Imbalance,
    network: params.Network,
    hardware: params.Hardware,
    folder: Path,
) -> list[dict]:
    """Two rows, of the network before training and at the end: what `measure` says, and ratio, seed, images, epoch."""
    inputs, recipe = read(hardware), settings.train
    fine, names = inputs.labels["train"], inputs.labels["names"]
    majority = majority_of(settings, len(names))
    samples = draw(fine, majority, ratio, settings.least, numpy_generator("imbalance", seed))
    longer = as_many_steps(recipe, len(fine), len(samples), SECTION)
    labels = {"train": fine[samples], "test": inputs.labels["test"]}
    variant = Variant(f"imbalance-{ratio}", seed, network, longer, labels, len(names), SECTION, samples)
    rows = []
    for row in train(variant, inputs, folder, [0, longer.epochs]):
        tensors = artifacts.read_tensors(features_file(folder, variant.name, seed, row["epoch"]), paths.FEATURES)
        found = measure(tensors, samples, labels, majority, recipe)
        rows.append({"ratio": ratio, "seed": seed, "images": len(samples), "epoch": row["epoch"]} | found)
    return rows


def measure(
    tensors: Mapping[str, Tensor],
    samples: np.ndarray,
    labels: Mapping[str, np.ndarray],
    majority: int,
    recipe: params.Train,
) -> dict:
    """Of the images that were learnt, all classes weighing the same, however many images they have.

    nc1: as in collapse.metrics. test_accuracy: mean over all classes. norms: bridge_minority.Norms. Of each group,
    "majority" and "minority": train_accuracy and test_accuracy; of the last layer's rows, and of the class means less
    their mean, cosine_rows and cosine_means, means over the group's pairs, norm_rows and norm_means. model: the mean
    cosine of the minority's rows that bridge_minority tells of these norms.

    Args:
        tensors: "train" (N, d) and "test" (M, d) penultimate features, the last layer's "weight" (C, d) and maybe
            "bias" (C,).
        samples: int64 (n,), which training images were learnt.
        labels: "train" int64 (n,) and "test" (M,).

    Raises InputError if the features are not finite, or have died.
    """
    features = {"train": tensors["train"][torch.from_numpy(samples)].double(), "test": tensors["test"].double()}
    targets = {split: torch.from_numpy(labels[split]) for split in features}
    weight, bias = tensors["weight"].double(), tensors.get("bias")
    learnt, counts = (features["train"], targets["train"]), targets["train"].bincount(minlength=len(weight)).double()
    nc1 = metrics.measure(*learnt, weight, bias).nc1
    means = torch.zeros_like(weight).index_add_(0, targets["train"], features["train"]) / counts[:, None]
    vectors = {"rows": weight, "means": means - means.mean(0)}
    offset = 0 if bias is None else bias.double()
    right = {split: (own @ weight.T + offset).argmax(1) == targets[split] for split, own in features.items()}

    groups = {"majority": torch.arange(majority), "minority": torch.arange(majority, len(weight))}
    found: dict = {"nc1": nc1, "test_accuracy": _accuracy(right["test"], targets["test"], torch.arange(len(weight)))}
    for name, classes in groups.items():
        found[name] = {f"{split}_accuracy": _accuracy(right[split], targets[split], classes) for split in right}
        for which, own in vectors.items():
            found[name] |= {f"cosine_{which}": cosines(own[classes]).mean().item()}
            found[name] |= {f"norm_{which}": own[classes].norm(dim=1).mean().item()}
    decay = head_decay(recipe)
    given = norms(*learnt, weight, decay, None if bias is None else decay * recipe.decay_vectors)
    sizes = TwoGroups(majority, len(weight) - majority, *(counts[own].mean().item() for own in groups.values()))
    return found | {"norms": asdict(given), "model": minority_cosine(sizes, given)}


def foretold(rows: Sequence[Mapping], labels: np.ndarray, majority: int, ratios: Sequence[int]) -> dict:
    """What the norms of the balanced networks alone say of imbalanced ones.

    line: a row a ratio, from 1 to ten times the largest. thresholds: the ratios from which on the minority's rows are
    one, None where there is none.

    Args:
        rows: of `train_ratio`. labels: int64 (N,), of all training images.
    """
    ends = [row["norms"] for row in rows if row["ratio"] == 1 and row["epoch"]]
    alike = {name: ends[0][name] for name in ("weight_decay", "bias_decay")}
    measured = ("row_energy", "feature_energy", "feature_decay")
    given = Norms(**{name: fmean(end[name] for end in ends) for name in measured}, **alike)
    counts = np.bincount(labels)
    own = majority, len(counts) - majority, float(counts[:majority].mean()), given
    asked = [float(f"{ratio:.4g}") for ratio in np.geomspace(1, 10 * max(ratios), LINE)]
    return {"line": line(*own, asked), "thresholds": thresholds(*own)}


def _accuracy(right: Tensor, labels: Tensor, classes: Tensor) -> float:
    """Mean over these classes of a class's."""
    return fmean(right[labels == label].double().mean().item() for label in classes)
