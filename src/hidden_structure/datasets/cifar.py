"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): from a class-per-folder tree, or from the published binary files.

The binary version is plain bytes; the better known "python version" is a pickle, which could run anything.
"""

import gzip
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from hidden_structure.datasets import download, folder
from hidden_structure.datasets.dataset import Dataset
from hidden_structure.datasets.labels import from_groups
from hidden_structure.frame import paths
from hidden_structure.frame.errors import InputError

Source = Literal["cifar10", "cifar100"]

ADDRESS = "https://www.cs.toronto.edu/~kriz/"
ARCHIVES = {
    "cifar10": ("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
    "cifar100": ("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
}
MEMBERS = {
    "cifar10": (
        [f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)],
        ["cifar-10-batches-bin/test_batch.bin"],
    ),
    "cifar100": (["cifar-100-binary/train.bin"], ["cifar-100-binary/test.bin"]),
}
LABEL_BYTES = {"cifar10": 1, "cifar100": 2}  # of a record, before the pixels; CIFAR-100's are coarse, fine
LARGEST = 50_000 * 3074  # bytes, of CIFAR-100's training file: a small archive may unfold into any amount of memory

# Pairs of classes of like meaning. This grouping is our own reading, not taken from any publication.
CIFAR10_SEMANTIC = {
    "airplane+ship": ["airplane", "ship"],
    "automobile+truck": ["automobile", "truck"],
    "bird+frog": ["bird", "frog"],
    "cat+dog": ["cat", "dog"],
    "deer+horse": ["deer", "horse"],
}

# The data set's own 20 super-classes, in the order of its coarse labels.
CIFAR100_SUPERCLASSES = {
    "aquatic_mammals": ["beaver", "dolphin", "otter", "seal", "whale"],
    "fish": ["aquarium_fish", "flatfish", "ray", "shark", "trout"],
    "flowers": ["orchid", "poppy", "rose", "sunflower", "tulip"],
    "food_containers": ["bottle", "bowl", "can", "cup", "plate"],
    "fruit_and_vegetables": ["apple", "mushroom", "orange", "pear", "sweet_pepper"],
    "household_electrical_devices": ["clock", "keyboard", "lamp", "telephone", "television"],
    "household_furniture": ["bed", "chair", "couch", "table", "wardrobe"],
    "insects": ["bee", "beetle", "butterfly", "caterpillar", "cockroach"],
    "large_carnivores": ["bear", "leopard", "lion", "tiger", "wolf"],
    "large_man-made_outdoor_things": ["bridge", "castle", "house", "road", "skyscraper"],
    "large_natural_outdoor_scenes": ["cloud", "forest", "mountain", "plain", "sea"],
    "large_omnivores_and_herbivores": ["camel", "cattle", "chimpanzee", "elephant", "kangaroo"],
    "medium_mammals": ["fox", "porcupine", "possum", "raccoon", "skunk"],
    "non-insect_invertebrates": ["crab", "lobster", "snail", "spider", "worm"],
    "people": ["baby", "boy", "girl", "man", "woman"],
    "reptiles": ["crocodile", "dinosaur", "lizard", "snake", "turtle"],
    "small_mammals": ["hamster", "mouse", "rabbit", "shrew", "squirrel"],
    "trees": ["maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"],
    "vehicles_1": ["bicycle", "bus", "motorcycle", "pickup_truck", "train"],
    "vehicles_2": ["lawn_mower", "rocket", "streetcar", "tank", "tractor"],
}

TABLES = {"cifar10": CIFAR10_SEMANTIC, "cifar100": CIFAR100_SUPERCLASSES}


def class_names(source: Source) -> tuple[str, ...]:
    """In alphabetical order, which is that of the data sets' own labels."""
    return tuple(sorted(name for members in TABLES[source].values() for name in members))


def load(source: Source, root: Path | None) -> Dataset:
    """Images uint8 (N, 32, 32, 3) from root/{train,test}/<class>/*, or from the download if root is None."""
    dataset = _from_binary(source) if root is None else _from_tree(source, root)
    table = from_groups(TABLES[source], dataset.class_names, "cifar.TABLES")
    return replace(dataset, semantic=table, superclass=table if source == "cifar100" else None)


def _from_tree(source: Source, root: Path) -> Dataset:
    tree = folder.scan(root, test_fraction=0.5, seed=0)
    if not tree.divided:
        raise InputError(f"data.folder {root} needs train/ and test/, each with a folder of images for every class")
    for name in sorted(set(tree.class_names) ^ set(class_names(source))):
        problem = "lacks the class" if name in class_names(source) else "has the unknown class"
        raise InputError(f"data.folder {root} {problem} {name!r}: it must have those of {source}, or use source folder")
    dataset = folder.read(tree, size=None)
    if dataset.train_images.shape[1:] != (32, 32, 3):
        shape = " x ".join(map(str, dataset.train_images.shape[1:]))
        raise InputError(f"data.folder {root} has images of {shape}, not of 32 x 32 x 3: use source folder for them")
    return dataset


def _from_binary(source: Source) -> Dataset:
    name, md5 = ARCHIVES[source]
    file = download.fetch([ADDRESS + name], paths.DOWNLOADS, md5, source)
    try:
        with gzip.open(file) as stream:
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                contents = _contents(archive, [member for split in MEMBERS[source] for member in split])
            while stream.read(2**20):  # to the end, where the checksum is, which tarfile does not look at
                pass
        splits = [_records(contents, members, source) for members in MEMBERS[source]]
        return Dataset(*splits[0], *splits[1], class_names(source))
    except MemoryError:
        raise
    except Exception as error:  # tarfile and gzip raise a dozen types; each means the same to the user
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{file} is not the archive that was published ({reason}): delete it, and it is fetched anew, or set"
            " data.folder to a tree of the images"
        ) from error


def _contents(archive: tarfile.TarFile, wanted: list[str]) -> dict[str, bytes]:
    """The bytes of these members, which are read in memory and never written to disk; others are passed over.

    Only a plain file is what it says: a link may lead to another member, a sparse file unfold into any size.
    """
    contents: dict[str, bytes] = {}
    for member in archive:
        if member.name not in wanted:
            continue
        if member.name in contents:
            raise InputError(f"it holds {member.name} twice")
        if not member.isreg() or member.issparse():
            raise InputError(f"{member.name} in it is not a plain file")
        if member.size > LARGEST:
            raise InputError(f"{member.name} in it has {member.size} bytes, more than any published file")
        contents[member.name] = archive.extractfile(member).read()
    if missing := [name for name in wanted if name not in contents]:
        raise InputError(f"it lacks {missing[0]}")
    return contents


def _records(contents: Mapping[str, bytes], members: list[str], source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 32, 32, 3) and fine labels int64 (N,); a record is its labels, then 32 x 32 red, green, blue."""
    label_bytes, classes = LABEL_BYTES[source], len(class_names(source))
    record = label_bytes + 3072
    for member in members:
        content = contents[member]
        if not content or len(content) % record:
            raise InputError(f"{member} in it has {len(content)} bytes, no multiple of a record's {record}")
        if (label := max(content[label_bytes - 1 :: record])) >= classes:
            raise InputError(f"{member} in it holds the label {label}, but {source} has classes 0 to {classes - 1}")
    records = np.frombuffer(b"".join(contents[member] for member in members), dtype=np.uint8).reshape(-1, record)
    images = records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, label_bytes - 1].astype(np.int64)
