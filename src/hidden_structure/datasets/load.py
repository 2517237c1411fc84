"""From a study's data section to the data set."""

import os
from pathlib import Path

from hidden_structure.datasets import cifar, digits, folder, idx
from hidden_structure.datasets.dataset import Dataset
from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError


def load(data: params.Data) -> Dataset:
    """Read (and, for a source with data.folder null, perhaps download) the data set.

    Raises InputError, in one line with the key or file and the remedy, for whatever is wrong with settings or files.
    """
    _refuse_what_has_no_effect(data)
    try:
        return _load(data)
    except OSError as error:  # of permissions, a disk that is full, a device that fails: each message names its file
        raise InputError(f"data.source {data.source} cannot be read ({error}): see to that file or folder") from error


def _load(data: params.Data) -> Dataset:
    root = None if data.folder is None else Path(os.path.expanduser(data.folder))
    if root is not None and not root.is_dir():
        download = "" if data.source == "folder" else ", or set it to null to download them"
        raise InputError(
            f"data.folder {data.folder} is not a folder: correct it, or put the files of {data.source} there{download}"
        )
    if data.source == "digits":
        return digits.load(data.test_fraction, data.seed)
    if data.source == "mnist" or data.source == "fashion-mnist":
        return idx.load(data.source, root)
    if data.source == "cifar10" or data.source == "cifar100":
        return cifar.load(data.source, root)
    if root is None:
        raise InputError("data.folder is null: source folder needs the folder that holds the images")
    table = None if data.superclasses is None else Path(os.path.expanduser(data.superclasses))
    return folder.load(root, data.size, data.test_fraction, data.seed, table)


def _refuse_what_has_no_effect(data: params.Data) -> None:
    """A setting silently passed over would make the reader of params.yaml believe in it."""
    useless = [] if data.source == "folder" else ["size", "superclasses"]
    for key in [*useless, "folder"] if data.source == "digits" else useless:
        if getattr(data, key) is not None:
            raise InputError(f"data.{key} has no meaning with data.source {data.source}: set it to null")
