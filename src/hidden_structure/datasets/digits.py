"""scikit-learn's digits: 1,797 images of 8 x 8 grey pixels, inside the package, so that they need no network.

Half of the UCI "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998); it has no test set.
"""

import numpy as np

from hidden_structure.datasets.dataset import Dataset, stratified_split
from hidden_structure.datasets.labels import from_groups

CLASS_NAMES = tuple("0123456789")

# Pairs of digits written alike. This grouping is our own reading, not taken from any publication.
LOOK_ALIKES = {
    "0+8": ["0", "8"],
    "1+7": ["1", "7"],
    "2+3": ["2", "3"],
    "4+9": ["4", "9"],
    "5+6": ["5", "6"],
}


def load(test_fraction: float, seed: int) -> Dataset:
    """Images uint8 (N, 8, 8, 1): the original grey levels 0..16 scaled to 0..255; a share of every class held out."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images[..., np.newaxis] * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    train, test = stratified_split(labels, test_fraction, seed)
    semantic = from_groups(LOOK_ALIKES, CLASS_NAMES, "digits.LOOK_ALIKES")
    return Dataset(images[train], labels[train], images[test], labels[test], CLASS_NAMES, semantic=semantic)
