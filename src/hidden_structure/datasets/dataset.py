"""What every source ends in: a data set in memory, its classes and their tables, and the arrays to store."""

from dataclasses import dataclass

import numpy as np

from hidden_structure.datasets.labels import Merge, class_counts
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.given import Normalise
from hidden_structure.seeding import numpy_generator


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images uint8 (N, H, W, channels) with 1 or 3 channels, labels int64 (N,) in 0..C-1, and the C classes' names.

    superclass and semantic are the source's tables for merging, where it has them.

    Raises InputError if the splits differ in shape, a label is out of range, or a class has no image in either split.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    superclass: Merge | None = None
    semantic: Merge | None = None

    def __post_init__(self) -> None:
        _check_classes(self.class_names)
        splits = (("training", self.train_images, self.train_labels), ("test", self.test_images, self.test_labels))
        for split, images, labels in splits:
            _check_split(split, images, labels, self.class_names)
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            shapes = [" x ".join(map(str, images.shape[1:])) for _, images, _ in splits]
            raise InputError(f"training images are {shapes[0]} but test images {shapes[1]}: both must have one shape")

    def arrays(self, normalise: Normalise | None = None) -> dict[str, np.ndarray]:
        """The arrays to store; mean and std are float64 (channels,), of training pixels scaled to [0, 1] unless given.

        Raises InputError if as many are given as the images have no channels.
        """
        mean, std = channel_statistics(self.train_images) if normalise is None else self._given(normalise)
        arrays = {
            "train_images": self.train_images,
            "train_labels": self.train_labels,
            "test_images": self.test_images,
            "test_labels": self.test_labels,
            "class_names": np.array(self.class_names),
            "mean": mean,
            "std": std,
        }
        for name, table in (("superclass", self.superclass), ("semantic", self.semantic)):
            if table is not None:
                arrays |= {f"{name}_of": table.coarse_of, f"{name}_names": np.array(table.coarse_names)}
        return arrays

    def _given(self, normalise: Normalise) -> list[np.ndarray]:
        channels, found = self.train_images.shape[3], []
        for name, values in (("mean", normalise.mean), ("std", normalise.std)):
            if len(values) not in (1, channels):
                kind = "grey" if channels == 1 else "in colour"
                raise InputError(
                    f"data.normalise.{name}: {len(values)} numbers, but images are {kind}: give {channels}"
                )
            found.append(np.broadcast_to(np.array(values, np.float64), channels).copy())
        return found


def _check_classes(class_names: tuple[str, ...]) -> None:
    if len(class_names) < 2:
        raise InputError(f"the data has one class only, {''.join(class_names)!r}: it needs at least two")
    if len(set(class_names)) != len(class_names):
        raise InputError(f"two classes share a name among {', '.join(class_names)}: rename one")


def _check_split(split: str, images: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise InputError(
            f"{split} images must be uint8 (N, H, W, 1 or 3) and not empty, got {images.dtype} {images.shape}"
        )
    if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
        raise InputError(f"{split} labels must be int64, one for each of {len(images)} images, got {labels.shape}")
    if labels.min() < 0 or labels.max() >= len(class_names):
        raise InputError(
            f"{split} labels lie in {labels.min()}..{labels.max()}, but there are {len(class_names)} classes"
        )
    absent = np.flatnonzero(class_counts(labels, len(class_names)) == 0)
    if len(absent):
        raise InputError(f"class {class_names[absent[0]]!r} has no {split} image: add some, or remove the class")


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, float64 (channels,), of pixels uint8 (N, H, W, channels) scaled to [0, 1].

    Taken from exact histograms, so the order of the images does not enter. A standard deviation of 0 is replaced by
    1, because pixels are divided by it.
    """
    values = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images.shape[3]):
        histogram = np.zeros(256, dtype=np.int64)
        for start in range(0, len(images), 1024):  # bincount widens its input to int64: a part at a time
            histogram += np.bincount(images[start : start + 1024, ..., channel].ravel(), minlength=256)
        share = histogram / histogram.sum()
        means.append(share @ values)
        stds.append(np.sqrt(share @ (values - means[-1]) ** 2) if np.count_nonzero(histogram) > 1 else 1.0)
    return np.array(means), np.array(stds)


def stratified_split(labels: np.ndarray, test_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of a training and a test set, each sorted, with the same share of every class in the test set.

    Both sets get at least one sample of every class that has two; a class with one leaves the test set without it.
    """
    test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        size = min(max(round(len(members) * test_fraction), 1), len(members) - 1)
        test[numpy_generator("split", seed, int(label)).permutation(members)[:size]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)
