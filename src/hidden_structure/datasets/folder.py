"""A user's own images: a folder with a folder of images for each class.

Either train/<class>/* and test/<class>/* (in the spellings of `splits`, or val/ for test/), or <class>/* alone, of
which a share is held out.
"""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from hidden_structure.datasets.dataset import Dataset, stratified_split
from hidden_structure.datasets.images import read_images
from hidden_structure.datasets.labels import Merge, from_groups
from hidden_structure.datasets.splits import class_name, find_splits, spelt
from hidden_structure.frame import yaml_files
from hidden_structure.frame.errors import InputError

NAMED = 3  # classes at most, of several
IGNORED = ("Thumbs.db", "desktop.ini", "__MACOSX")  # what file managers leave behind, besides hidden files


@dataclass(frozen=True, eq=False)
class Tree:
    """The image files of both splits in order of class and name, and their labels int64.

    divided: whether the folder has a test set of its own.
    """

    class_names: tuple[str, ...]
    train_files: list[Path]
    train_labels: np.ndarray
    test_files: list[Path]
    test_labels: np.ndarray
    divided: bool


def load(folder: Path, size: int | None, test_fraction: float, seed: int, superclasses: Path | None) -> Dataset:
    """Images uint8 (N, H, W, channels) of the tree, resized to size x size; with the table of super-classes if given.

    Raises InputError naming the file or folder that is wrong.
    """
    tree = scan(folder, test_fraction, seed)
    check_tested(tree)
    table = None if superclasses is None else read_superclasses(superclasses, tree.class_names)
    return replace(read(tree, size), superclass=table)


def read(tree: Tree, size: int | None) -> Dataset:
    """The images of the tree. Where some classes are grey and others in colour, or images are there twice that should
    not, a line says so."""
    images = read_images(tree.train_files + tree.test_files, size)
    labels = np.concatenate([tree.train_labels, tree.test_labels])
    if images.shape[3] > 1 and (grey := _grey_classes(images, labels)):
        names = ", ".join(tree.class_names[label] for label in grey[:NAMED]) + (", ..." if len(grey) > NAMED else "")
        print(f"all images of {names} are grey, those of other classes in colour: which alone tells them apart")
    for told in twins(images, tree):
        print(told)
    count = len(tree.train_files)
    return Dataset(images[:count], tree.train_labels, images[count:], tree.test_labels, tree.class_names)


def twins(images: np.ndarray, tree: Tree) -> Iterator[str]:
    """What to say of images with the same pixels: those that are in both splits, and those that are in two classes.

    images: of both splits, the training images first.
    """
    files, count = tree.train_files + tree.test_files, len(tree.train_files)
    labels = np.concatenate([tree.train_labels, tree.test_labels])
    first: dict[bytes, int] = {}
    digests = (blake2b(pixels, digest_size=16).digest() for pixels in images.reshape(len(images), -1))
    pairs = [(first.setdefault(digest, index), index) for index, digest in enumerate(digests)]
    if seen := [(test, train) for train, test in pairs if train < count <= test]:
        which = " and ".join(str(files[index]) for index in seen[0])
        told = f"test images that are training images, too: {len(seen)} of {len(tree.test_files)}, such as {which}"
        yield f"{told}; accuracies count them"
    if unclear := {one: other for one, other in reversed(pairs) if labels[one] != labels[other]}:
        which = " and ".join(str(files[index]) for index in min(unclear.items()))
        yield f"images that are in several classes: {len(unclear)}, such as {which}"


def _grey_classes(images: np.ndarray, labels: np.ndarray) -> list[int]:
    """The classes without an image in colour; one that is found ends the search in its class."""
    return [
        int(label)
        for label in np.unique(labels)
        if all((images[place] == images[place, ..., :1]).all() for place in np.flatnonzero(labels == label))
    ]


def scan(folder: Path, test_fraction: float, seed: int) -> Tree:
    """The tree's files and labels; classes are numbered in the order of the names that the folders of training images
    have in the file system, as torchvision's ImageFolder does. No image is opened.

    Raises InputError if a class is empty, there is only one, the splits' classes differ, or an entry is not what its
    place asks for. Links are followed inside the folder only.
    """
    root = folder.resolve()
    splits = find_splits(folder, _entries(folder, root))
    if splits is None:
        classes = _class_files(folder, root)
        names, files, labels = tuple(classes), *_flatten(classes)
        train, test = stratified_split(labels, test_fraction, seed)
        return Tree(names, [files[i] for i in train], labels[train], [files[i] for i in test], labels[test], False)
    found = [_class_files(split, root) for split in splits]
    for here, there, where, elsewhere in ((*found, *splits), (*found[::-1], *splits[::-1])):
        if lacking := sorted(here.keys() - there.keys()):
            close = difflib.get_close_matches(lacking[0], there.keys() - here.keys(), n=1)
            like = f", which has {spelt(close[0])}," if close else ""
            raise InputError(
                f"class {spelt(lacking[0])} is in {where} but not in {elsewhere}{like}: both must have the same classes"
            )
    tested = {name: found[1][name] for name in found[0]}  # may be spelt otherwise, and so in another order
    return Tree(tuple(found[0]), *_flatten(found[0]), *_flatten(tested), True)


def check_tested(tree: Tree) -> None:
    """Raises InputError if a class has one image, so that none is held out."""
    if alone := sorted(set(tree.train_labels.tolist()) - set(tree.test_labels.tolist())):
        name = tree.class_names[alone[0]]
        raise InputError(f"class {name!r} has no test image, for it has one in all: add some, or remove the class")


def _flatten(classes: Mapping[str, list[Path]]) -> tuple[list[Path], np.ndarray]:
    files = [file for members in classes.values() for file in members]
    return files, np.repeat(np.arange(len(classes)), [len(members) for members in classes.values()])


def _class_files(folder: Path, root: Path) -> dict[str, list[Path]]:
    """Class name -> its files, both in the order of the names that they have in the file system."""
    folders: dict[str, Path] = {}
    entries = _entries(folder, root)
    if entries and not any(entry.is_dir() for entry in entries):
        place = folder / "<class>" / entries[0].name
        raise InputError(f"{folder} has no folders of classes: put every image into one, as {place}")
    for entry in entries:
        if not entry.is_dir():
            raise InputError(f"{entry} lies beside the folders of classes: move it into one, or out of {folder}")
        if not entry.name.isprintable():
            raise InputError(f"{str(entry)!r} cannot name a class: rename the folder in printable characters")
        name = class_name(entry)
        if name in folders:
            twins = " and ".join(spelt(twin.name) for twin in (folders[name], entry))
            raise InputError(
                f"{folder} has two folders for the class {name!r}, spelt {twins}, which is the same text in Unicode:"
                " move the images of one into the other, or rename it"
            )
        folders[name] = entry
    if len(folders) < 2:
        raise InputError(f"{folder} has folders of images for {len(folders)} classes, it needs two or more: add them")
    return {name: _files(entry, root) for name, entry in folders.items()}


def _files(folder: Path, root: Path) -> list[Path]:
    files = _entries(folder, root)
    for file in files:
        if not file.is_file():
            raise InputError(f"{file} is not a file: a class's folder may hold nothing but images")
    if not files:
        raise InputError(f"{folder} holds no image: add some, or remove the folder")
    return files


def _entries(folder: Path, root: Path) -> list[Path]:
    """What lies in the folder, by name, without hidden files; a link that leads out of root, or nowhere, is refused."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.startswith(".") or entry.name in IGNORED:
                    continue
                if entry.is_symlink():
                    _check_link(Path(entry.path), root)
                found.append(Path(entry.path))
    except OSError as error:
        raise InputError(
            f"{folder} cannot be listed ({error.strerror}): correct the folder or its permissions"
        ) from error
    return found


def _check_link(link: Path, root: Path) -> None:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop, before Python 3.13
        raise InputError(f"{link} is a broken link: remove it") from error
    if not target.is_relative_to(root):
        raise InputError(f"{link} is a link that leads out of {root}: copy what it points to, or remove it")


def read_superclasses(table: Path, class_names: tuple[str, ...]) -> Merge:
    """The merge in a YAML table of super-class name -> list of class names.

    Raises InputError naming the table if it is missing, malformed, or not every class is in exactly one super-class.
    """
    return from_groups(groups_in(table, "data.superclasses"), class_names, f"data.superclasses {table}")


def groups_in(table: Path, where: str) -> dict[str, list[str]]:
    """The YAML table of super-class name -> list of class names.

    where: the key or option that names the table. Raises InputError, beginning with it, if it is missing or malformed.
    """
    try:
        groups = yaml_files.read(table)
    except InputError as error:
        raise InputError(f"{where} {error}") from error
    if not isinstance(groups, dict) or not all(
        isinstance(group, str) and isinstance(members, list) and all(isinstance(name, str) for name in members)
        for group, members in groups.items()
    ):
        raise InputError(f"{where} {table} must map names to lists of class names: quote names that are numbers")
    return groups
