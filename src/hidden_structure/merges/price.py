"""What coarse labels cost in original ones: as many of these as say the same number of bits.

Labels of merged classes, and the naming of the clusters found in them, are weighed in bits; for the same bits one may
have the original labels of a part of the samples, and train a network on that part alone.
"""

import math

import numpy as np

from hidden_structure.datasets.labels import bits_per_sample, class_counts
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Train


def affordable(fine: np.ndarray, coarse_of: np.ndarray) -> int:
    """As many samples' original labels as say what all coarse labels and the names of their clusters do.

    A coarse label says the entropy of the coarse classes; to name k clusters inside a super-class takes log2 k! bits.

    Args:
        fine: int64 (N,) in 0..C-1, of the training samples. coarse_of: int64 (C,).
    """
    sizes = np.bincount(coarse_of)
    coarse = bits_per_sample(class_counts(coarse_of[fine], len(sizes)))
    naming = sum(math.lgamma(size + 1) for size in sizes) / math.log(2)
    whole = bits_per_sample(class_counts(fine, len(coarse_of)))
    return min(len(fine), int((len(fine) * coarse + naming) / whole + 1e-9)) if whole else len(fine)


def draw(fine: np.ndarray, samples: int, generator: np.random.Generator) -> np.ndarray:
    """So many samples int64, in rising order, at random but for that every class gives the same share of its own, and
    one at least while there are enough."""
    order = generator.permutation(len(fine))
    labels = fine[order]
    rank = np.empty(len(fine))
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        rank[own] = np.arange(len(own)) / len(own)
    return np.sort(order[np.argsort(rank, kind="stable")[:samples]])


def as_many_steps(recipe: Train, whole: int, part: int, section: str) -> Train:
    """The recipe, over as many epochs of a part of the samples as take about the steps that it takes over all of them.

    Incomplete batches are no steps. section: where in params.yaml the recipe stands.

    Raises InputError if the part is smaller than a batch.
    """
    if part < recipe.batch_size:
        raise InputError(
            f"{section}.batch_size: {recipe.batch_size} is more than the {part} images of a part: lower it"
        )
    steps = recipe.epochs * (whole // recipe.batch_size)
    epochs = max(recipe.epochs, round(steps / (part // recipe.batch_size)))
    clean = round(recipe.clean * epochs / recipe.epochs)
    return recipe.model_copy(update={"epochs": epochs, "clean": clean})
