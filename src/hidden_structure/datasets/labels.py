"""Merging fine classes into coarse ones, and what labels say: class counts and bits a sample.

Coarse supervision of a C-class data set is a map from its C fine classes to K coarse ones (Yang, Steinhardt and Hu,
"Are Neurons Actually Collapsed?", ICML 2023, with K = 5 on CIFAR-10).
"""

import difflib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.seeding import numpy_generator, seed_of


@dataclass(frozen=True, eq=False)
class Merge:
    """coarse_of: int64 (C,), each fine class's coarse one; coarse_names: K distinct names, none without a class."""

    coarse_of: np.ndarray
    coarse_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not np.array_equal(np.unique(self.coarse_of), np.arange(len(self.coarse_names))):
            raise ValueError(f"coarse_of must use each of 0..{len(self.coarse_names) - 1}")
        if len(set(self.coarse_names)) != len(self.coarse_names):
            raise InputError(
                f"merge: two of the coarse names {_listed(self.coarse_names)} are the same: name them by merge.groups"
            )


def merge_name(settings: params.Merge) -> str:
    """What tells a way of merging from others of the same data; groups by their number and a hash of their content."""
    if settings.method == "groups":
        groups = settings.groups or {}
        return f"groups-{len(groups)}-{seed_of(json.dumps(list(groups.items()))):08x}"
    classes = [] if settings.classes is None else [str(settings.classes)]
    return "-".join([settings.method, *classes, *([str(settings.seed)] if settings.method == "random" else [])])


def merge(settings: params.Merge, class_names: Sequence[str], tables: Mapping[str, Merge]) -> Merge:
    """The merge that a study asks for.

    modulo: coarse = fine mod classes (our reading of Yang et al.). groups: the map in settings. superclass, semantic:
    the data's own table of that name. random: groups of a random partition whose sizes differ by at most one.

    Raises InputError naming the key where the merge is impossible for this data.
    """
    method = settings.method
    if settings.groups is not None and method != "groups":
        raise InputError(f"merge.groups has no meaning with merge.method {method}: set it to null, or method to groups")
    if method in ("modulo", "random"):
        rank = np.arange(len(class_names))
        if method == "random":
            rank = numpy_generator("merge", settings.seed).permutation(rank)
        coarse_of = rank % _wanted_classes(settings, len(class_names))
        return Merge(coarse_of, joined_names(coarse_of, class_names))
    merged = _given(settings, class_names, tables)
    if settings.classes not in (None, len(merged.coarse_names)):
        raise InputError(
            f"merge.classes is {settings.classes}, but merge.method {method} gives {len(merged.coarse_names)}:"
            " set it to that, or to null"
        )
    return merged


def tables(data: Mapping[str, np.ndarray]) -> dict[str, Merge]:
    """The data's own tables of merges, of its arrays as prepare-data writes them."""
    return {
        name: Merge(data[f"{name}_of"], tuple(data[f"{name}_names"].tolist()))
        for name in ("superclass", "semantic")
        if f"{name}_of" in data
    }


def _wanted_classes(settings: params.Merge, fine_classes: int) -> int:
    if settings.classes is None:
        raise InputError(f"merge.classes is null: merge.method {settings.method} needs a number, 2 to {fine_classes}")
    if settings.classes > fine_classes:
        raise InputError(
            f"merge.classes is {settings.classes}, but the data has {fine_classes} classes: ask for 2 to {fine_classes}"
        )
    return settings.classes


def _given(settings: params.Merge, class_names: Sequence[str], tables: Mapping[str, Merge]) -> Merge:
    if settings.method == "groups":
        if settings.groups is None:
            raise InputError("merge.groups is null: merge.method groups needs coarse names, each with its class names")
        return from_groups(settings.groups, class_names, "merge.groups")
    if settings.method not in tables:
        remedy = "set data.superclasses (of source folder)" if settings.method == "superclass" else "write merge.groups"
        raise InputError(
            f"merge.method {settings.method} needs a {settings.method} table, which this data has not: {remedy},"
            " or merge by modulo or random"
        )
    return tables[settings.method]


def from_groups(groups: Mapping[str, Sequence[str]], class_names: Sequence[str], where: str) -> Merge:
    """The merge in which coarse class k has the classes of the k-th group.

    Raises InputError beginning with `where`, the key or file that holds the groups, unless there are at least two,
    none is empty, and every class is in exactly one. Names that Unicode holds for one text are one.
    """
    class_names = [unicodedata.normalize("NFC", name) for name in class_names]
    group_of: dict[str, str] = {}
    for group, members in groups.items():
        if not members:
            raise InputError(f"{where}: {group!r} has no class: give it one, or remove it")
        for name in (unicodedata.normalize("NFC", member) for member in members):
            if name not in class_names:
                close = difflib.get_close_matches(name, class_names, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"the classes are {_listed(class_names)}"
                raise InputError(f"{where}: {group!r} holds the unknown class {name!r}: {hint}")
            if name in group_of:
                raise InputError(f"{where}: class {name!r} is in {group_of[name]!r} and {group!r}: keep it in one")
            group_of[name] = group
    if missing := [name for name in class_names if name not in group_of]:
        raise InputError(f"{where}: in no group: {_listed(missing)}: put every class into one")
    if len(groups) < 2:
        raise InputError(f"{where}: one group leaves nothing to learn: make at least two")
    number = {group: k for k, group in enumerate(groups)}
    return Merge(np.array([number[group_of[name]] for name in class_names], dtype=np.int64), tuple(groups))


def joined_names(coarse_of: np.ndarray, class_names: Sequence[str]) -> tuple[str, ...]:
    """A name for each coarse class, from its members: "airplane+dog"; of more than four members the first three."""
    names = []
    for k in range(int(coarse_of.max()) + 1):
        members = [class_names[c] for c in np.flatnonzero(coarse_of == k)]
        if len(members) > 4:
            members[3:] = [f"{len(members) - 3} more"]
        names.append("+".join(members))
    return tuple(names)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def class_counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """int64 (classes,): the samples of each class among labels int64 (N,)."""
    return np.bincount(labels, minlength=classes)


def bits_per_sample(counts: np.ndarray) -> float:
    """Entropy in bits of a label drawn from classes with these counts: what one label tells of one sample."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum() + 0.0)


def describe(names: Sequence[str], train_labels: np.ndarray, test_labels: np.ndarray) -> dict:
    """For JSON: the number of classes, the training labels' entropy in bits, and both splits' counts by class name."""
    train, test = (class_counts(labels, len(names)) for labels in (train_labels, test_labels))
    return {
        "classes": len(names),
        "bits_per_sample": bits_per_sample(train),
        "train_counts": dict(zip(names, train.tolist(), strict=True)),
        "test_counts": dict(zip(names, test.tolist(), strict=True)),
    }
