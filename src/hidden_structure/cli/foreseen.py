"""What can be refused before images are read, which of a large folder takes minutes: a study without its pixels."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hidden_structure.checks import problems
from hidden_structure.datasets.dataset import Dataset
from hidden_structure.datasets.folder import Tree, check_tested, scan
from hidden_structure.datasets.images import decode
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.given import Normalise
from hidden_structure.frame.params import Data, Study


def tree_of(data: Data) -> Tree | None:
    """Names and labels, as they will be read; None of a source other than a folder, which is read in seconds.

    Raises InputError as `scan` and `check_tested` do.
    """
    if data.source != "folder":
        return None
    tree = scan(Path(data.folder), data.test_fraction, data.seed)
    check_tested(tree)
    return tree


def impossible(study: Study, tree: Tree) -> list[str]:
    """What `problems` tells of these images, as far as the first of them shows their shape.

    Whether a grey one has others in colour beside it is not known yet, so what colour would mend is not told.
    """
    told = [_problems(study, standing_in) for standing_in in _standing_in(tree, study.data.size)]
    return told[0] if all(told) and told else []


def _problems(study: Study, images: Dataset) -> list[str]:
    try:
        arrays = images.arrays(study.data.normalise or Normalise(mean=[0], std=[1]))
    except InputError as error:
        return [str(error)]
    return problems(study, arrays)


def _standing_in(tree: Tree, size: int | None) -> Iterator[Dataset]:
    """Black images in the place of those of the tree, with as many channels as they may have, the likeliest first; none
    where the first cannot be read, which reading tells, with all others like it."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of malformed metadata
            height, width, channels = decode(tree.train_files[0], size)[0].shape
    except InputError:
        return
    for count in (1, 3) if channels == 1 else (3,):
        train, test = (
            np.broadcast_to(np.uint8(0), (len(labels), height, width, count))
            for labels in (tree.train_labels, tree.test_labels)
        )
        yield Dataset(train, tree.train_labels, test, tree.test_labels, tree.class_names)
