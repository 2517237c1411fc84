"""Coarse labels that say nothing of the images: a network can only memorise them.

A network can be trained to zero error on labels at random (Zhang, Bengio, Hardt, Recht, Vinyals, ICLR 2017). If its
features told the merged classes apart as well, these would be kept by whatever fits the images, and not because coarse
labels are learnt.
"""

from pathlib import Path

import numpy as np

from hidden_structure.frame import params
from hidden_structure.merges.variants import Variant, train
from hidden_structure.seeding import numpy_generator
from hidden_structure.training.inputs import read

NAME = "memorised"


def shuffled(labels: np.ndarray, seed: int) -> np.ndarray:
    """The labels (N,), dealt out anew among all samples; each class keeps its number of them."""
    return numpy_generator("shuffled labels", seed).permutation(labels)


def train_memorised(
    seed: int, network: params.Network, recipe: params.Train, hardware: params.Hardware, folder: Path
) -> dict:
    """The row of one network: its accuracy on the shuffled labels that it learnt, and on the true coarse labels of the
    test set, of which it knows nothing. Its features after the last epoch are in the folder, of the stage."""
    inputs = read(hardware, "coarse")
    labels = {"train": shuffled(inputs.labels["train"], seed), "test": inputs.labels["test"]}
    variant = Variant(NAME, seed, network, recipe, labels, len(inputs.labels["names"]), "memorised.train")
    (row,) = train(variant, inputs, folder, [recipe.epochs])
    return row
