"""Which folders of a tree are its training and its test set, whatever common spelling they have."""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from hidden_structure.frame.errors import InputError

SPELLINGS = {  # in any case, as Roboflow, Keras, Kaggle and torchvision have them
    "training": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("val", "valid", "validation"),
}
SPLIT_OF = {name: split for split, names in SPELLINGS.items() for name in names}


def find_splits(folder: Path, entries: Sequence[Path]) -> tuple[Path, Path] | None:
    """The folders of training and of test images among the entries of folder, or None where classes lie there alone.

    Validation images serve as test images where there are no others, and are left out, with a line that says so, where
    there are. Files beside the splits, such as a README, are passed over.

    Raises InputError if one split is there twice, the training or the test set is missing, or other folders lie beside
    them: those might be classes, or the split a class.
    """
    splits, others = defaultdict(list), []
    for entry in filter(Path.is_dir, entries):
        split = SPLIT_OF.get(entry.name.casefold())
        (splits[split] if split else others).append(entry)
    if not splits:
        return None
    for split, found in splits.items():
        if len(found) > 1:
            names = " and ".join(f"{entry.name}/" for entry in found)
            raise InputError(f"{folder} has two folders of {split} images, {names}: move all into one of them")
    (first,) = next(iter(splits.values()))
    if others:
        raise InputError(
            f"{folder} has {first.name}/, which is a split, beside {others[0].name}/, which is not: move the classes"
            f" into train/ and test/ (inside them a class may be called {first.name}), or {others[0].name}/ out of it"
        )
    if "training" not in splits:
        raise InputError(
            f"{folder} has {first.name}/ but no train/: name the folder of training images so, or, if"
            f" {first.name} is a class, put the classes into train/ and test/"
        )
    held_out = splits.get("test") or splits.get("validation")
    if held_out is None:
        raise InputError(f"{folder} has {first.name}/ but neither test/ nor val/: add one, with the same classes")
    if "test" in splits and "validation" in splits:
        left_out = splits["validation"][0]
        print(
            f"{left_out} is left out: {held_out[0].name}/ is the test set, and nothing is chosen by validation images"
        )
    return splits["training"][0], held_out[0]


def class_name(folder: Path) -> str:
    """In Unicode's composed form (NFC): of one accent Linux's files mostly have one spelling, and macOS' another."""
    return unicodedata.normalize("NFC", folder.name)


def spelt(name: str) -> str:
    """Quoted, with escapes beside what is not ASCII, so that no two names look the same."""
    return repr(name) if name.isascii() else f"{name!r} ({name!a})"
