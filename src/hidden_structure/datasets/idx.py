"""MNIST and Fashion-MNIST, in the IDX format of LeCun, Cortes and Burges: big-endian integers, then bytes."""

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from hidden_structure.datasets import digits, download
from hidden_structure.datasets.dataset import Dataset
from hidden_structure.datasets.labels import from_groups
from hidden_structure.frame import paths
from hidden_structure.frame.errors import InputError

Source = Literal["mnist", "fashion-mnist"]

FASHION_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)

# Pairs of garments of like outline. This grouping is our own reading, not taken from any publication.
LOOK_ALIKES = {
    "T-shirt/top+Shirt": ["T-shirt/top", "Shirt"],
    "Trouser+Dress": ["Trouser", "Dress"],
    "Pullover+Coat": ["Pullover", "Coat"],
    "Sandal+Sneaker": ["Sandal", "Sneaker"],
    "Bag+Ankle boot": ["Bag", "Ankle boot"],
}

UNSIGNED_BYTES = 0x0800  # the magic number's type; its last byte counts the dimensions
LARGEST = 2**32  # bytes: more than any file of this kind holds, so a header that asks for more is damaged


def load(source: Source, folder: Path | None) -> Dataset:
    """Images uint8 (N, H, W, 1) from the four files in folder, gzipped or not, or from torchvision's download."""
    if folder is None:
        folder = _download(source)
    arrays = []
    for split in ("train", "t10k"):
        image_file, label_file = (_find(folder, f"{split}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
        images, labels = read(image_file, dimensions=3), read(label_file, dimensions=1)
        if len(images) != len(labels):
            raise InputError(
                f"{label_file} has {len(labels)} labels, but {image_file.name} {len(images)} images: fetch both again"
            )
        if labels.max() >= 10:
            raise InputError(
                f"{label_file} holds the label {labels.max()}: {source} has classes 0 to 9, fetch it again"
            )
        arrays += [images[..., np.newaxis], labels.astype(np.int64)]
    names, groups = (
        (FASHION_NAMES, LOOK_ALIKES) if source == "fashion-mnist" else (digits.CLASS_NAMES, digits.LOOK_ALIKES)
    )
    try:
        return Dataset(*arrays, names, semantic=from_groups(groups, names, "LOOK_ALIKES"))
    except InputError as error:
        raise InputError(f"the four files in {folder} are not those of {source} ({error}): fetch them again") from error


def _download(source: Source) -> Path:
    from torchvision.datasets import MNIST, FashionMNIST

    published = FashionMNIST if source == "fashion-mnist" else MNIST
    folder = paths.DOWNLOADS / source
    for name, md5 in published.resources:
        download.fetch([mirror + name for mirror in published.mirrors], folder, md5, source)
    return folder


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise InputError(f"{folder / name} is missing, gzipped (.gz) or not: put the four IDX files there")


def read(path: Path, dimensions: int) -> np.ndarray:
    """The uint8 array of an IDX file with that many dimensions, gunzipped if its name ends in .gz.

    Raises InputError naming the file if it is not of that kind, or its length differs from what its header says.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _parse(file, path, dimensions)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}): fetch it again") from error


def _parse(file: BinaryIO, path: Path, dimensions: int) -> np.ndarray:
    header = np.frombuffer(file.read(4 * (1 + dimensions)), dtype=np.uint8)
    if len(header) < 4 * (1 + dimensions):
        raise InputError(f"{path} is truncated: it ends inside its header, fetch it again")
    magic, *shape = (int.from_bytes(word.tobytes(), "big") for word in header.reshape(-1, 4))
    if magic != UNSIGNED_BYTES + dimensions:
        raise InputError(
            f"{path} is no IDX file of {dimensions}-dimensional bytes: its magic number is {magic:#010x}, not"
            f" {UNSIGNED_BYTES + dimensions:#010x}, fetch it again"
        )
    if not 0 < math.prod(shape) <= LARGEST:
        raise InputError(f"{path} says that its shape is {shape}, which cannot be: fetch it again")
    array = np.empty(shape, dtype=np.uint8)
    rest = memoryview(array).cast("B")
    while len(rest):
        done = file.readinto(rest)
        if not done:
            raise InputError(f"{path} is truncated: {len(rest)} of its {array.size} bytes are missing, fetch it again")
        rest = rest[done:]
    if file.read(1):
        raise InputError(f"{path} is longer than its header says: fetch it again")
    return array
