"""Begin a study of a folder of images: look at it, and choose a network and a recipe that give a first report soon."""

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from hidden_structure.cli import foreseen
from hidden_structure.datasets.folder import Tree, check_tested, scan
from hidden_structure.datasets.images import opened, turn_upright
from hidden_structure.frame import paths, studies, yaml_files
from hidden_structure.frame.artifacts import write_text
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Study
from hidden_structure.recovery.clustering import TSNE_SAMPLES

LARGEST = 32  # pixels a side of a first report: twice as many take four times as long
SMALL = 16  # pixels a side below which a convolutional network has nothing to look at
MLP_SEEN, RESNET_SEEN = 400_000, 30_000  # images that a network trains on in two minutes or so on two cores
EPOCHS = (10, 60)  # at least, so that it learns; at most, by when it has
TEST_FRACTION = 0.2
STE_BATCH = 128  # images, by default, of a step that matches units
OPTIONS = {"size": "--size", "folder": "--data"}  # which became keys of data
MODULO_OF_MANY = 20  # classes from which five, not two, are merged into one, as CIFAR-100's are


@dataclass(frozen=True)
class Found:
    """What a folder holds: numbers of images, and the side that they are resized to (None: as they are)."""

    tree: Tree
    train: int
    test: int
    fewest: int  # training images of a class
    sizes: tuple[tuple[int, int], ...]  # (width, height) of all that occur, the smallest first
    size: int | None

    @property
    def side(self) -> int:
        return self.size or min(self.sizes[0])


def begin(name: str, data: str, classes: int | None = None, size: int | None = None) -> str:
    """Write studies/<name>.yaml, with a comment on every key, for the images in the folder data; what to do next.

    classes: how many coarse classes to merge into (None: half of them, a fifth of 20 or more). size: side in pixels
    that images are resized to (None: at most 32).

    Raises InputError if the name is no study's or taken, the folder's images cannot be a study's, or there are no
    studies here.
    """
    file = studies.STUDIES / f"{name}.yaml"
    studies.check_name(name)
    if file.exists():
        raise InputError(f"{file} exists: choose another name, or remove it first")
    if not studies.STUDIES.is_dir():
        raise InputError(f"there is no folder {studies.STUDIES} here: go to the repository's root")
    folder = _as_read_later(data)
    found = look(Path(os.path.expanduser(folder)), size)
    fine = len(found.tree.class_names)
    coarse = max(2, fine // (5 if fine >= MODULO_OF_MANY else 2)) if classes is None else classes
    if not 2 <= coarse <= fine:
        raise InputError(f"--classes {classes}: {folder} has {fine} classes: ask for 2 to {fine}")
    text = describe(name, folder, found, coarse)
    write_text(file, text)
    try:
        studies.read(file)
        write_text(file, text + further(file, found, coarse))
    except InputError as error:
        file.unlink()
        told = str(error).removeprefix(f"{file}: ")  # which is no more
        raise InputError(re.sub(r"^data\.(size|folder)(?!\w)", lambda key: OPTIONS[key[1]], told)) from error
    return (
        f"{file}: {fine} classes, {found.train} training and {found.test} test images.\n"
        f"Next: `make reproduce STUDY={name}`, about {minutes(found)} minutes on two cores; the report is"
        f" {paths.REPORT / 'report.html'}, until `make publish` keeps it in {paths.report(name)}"
    )


def _as_read_later(data: str) -> str:
    """The folder as data.folder names it, where a tilde in front is the user's home."""
    if not data:
        raise InputError("--data is empty: name a folder")
    folder = str(Path(data))
    return f"./{folder}" if folder.startswith("~") and not data.startswith("~") else folder


def look(folder: Path, size: int | None) -> Found:
    """Raises InputError, naming the file, if the folder is none of images by class, or one cannot be opened."""
    if not folder.is_dir():
        raise InputError(f"--data {folder} is not a folder: correct it")
    tree = scan(folder, TEST_FRACTION, 0)
    check_tested(tree)
    sizes = tuple(sorted(_sizes([*tree.train_files, *tree.test_files]), key=min))
    if size is None and (len(sizes) > 1 or max(sizes[0]) > LARGEST):
        size = LARGEST
    counts = np.bincount(tree.train_labels)
    return Found(tree, len(tree.train_labels), len(tree.test_labels), int(counts.min()), sizes, size)


def _sizes(files: Sequence[Path]) -> set[tuple[int, int]]:
    """(width, height) of every image as it will be read; by the header alone if it is large, and will be resized."""
    found = set()
    with warnings.catch_warnings(action="ignore"):  # of malformed metadata
        for file in files:
            with opened(file) as image:
                if max(image.size) <= LARGEST:
                    turn_upright(image)
                found.add(image.size)
    return found


def epochs(found: Found) -> int:
    seen = MLP_SEEN if found.side < SMALL else RESNET_SEEN * (LARGEST / found.side) ** 2
    return int(np.clip(round(seen / found.train), *EPOCHS))


def batch_size(found: Found) -> int:
    """The largest power of two, 128 at most, that gives an epoch some thirty steps; 8 at least."""
    return int(min(128, max(8, 2 ** np.floor(np.log2(max(found.train / 30, 8)))), found.train))


def minutes(found: Found) -> int:
    """Of both networks, and of what is measured of them."""
    seen = MLP_SEEN if found.side < SMALL else RESNET_SEEN * (LARGEST / found.side) ** 2
    return max(3, round(2 + 4 * epochs(found) * found.train / seen))


def describe(name: str, folder: str, found: Found, coarse: int) -> str:
    """The file of the study."""
    fine, batch, trained = len(found.tree.class_names), batch_size(found), epochs(found)
    listed = ", ".join(found.tree.class_names[:6]) + (", ..." if fine > 6 else "")
    (width, height), many = found.sizes[0], len(found.sizes) > 1
    shape = f"of {width} x {height} pixels" + (f" and {len(found.sizes) - 1} other sizes" if many else "")
    held_out = "its own test set" if found.tree.divided else f"{TEST_FRACTION:.0%} held out for testing"
    if found.side < SMALL:
        network = "  name: mlp  # of convolutions there is little to gain below 16 pixels\n  depth: 3\n  width: 256\n"
    else:
        network = (
            "  name: resnet\n"
            "  depth: 8  # the smallest, for a first report; then 20\n"
            "  width: 16  # channels of the first stage, as published\n"
        )
    merged = f"{fine} into {coarse}: class k becomes k mod {coarse}" if coarse < fine else "too few to merge any"
    smallest = np.bincount(found.tree.train_labels % coarse).min()  # of the coarse classes
    reducers = "pca" if found.train > 20_000 or smallest < TSNE_SAMPLES else "tsne, pca"
    perplexity = min(30.0, max(1.0, float(found.fewest // 3)))
    return f"""\
# yaml-language-server: $schema=../params.schema.json
# {fine} classes ({listed}), {found.train} training and {found.test} test images {shape}, {held_out}.
# What is not said here has the default of src/hidden_structure/frame/defaults.yaml, which says what each key means.
study: {name}
seeds: [0]  # one, for a first report; [0, 1, 2] for a result, since a spread needs three
data:
  source: folder
  folder: {_quoted(folder)}
  size: {"null  # as they are" if found.size is None else f"{found.size}  # pixels a side; 64 take four times as long"}
  test_fraction: {TEST_FRACTION}  # {"without effect: there is a test set" if found.tree.divided else "held out"}
merge:
  method: modulo  # or groups, with `groups: {{coarse name: [class, class], ...}}`
  classes: {coarse}  # {merged}
network:
{network}\
train:
  epochs: {trained}  # about {minutes(found)} minutes for a first report on two cores; 200 to see classes collapse
  batch_size: {batch}  # of {found.train} images: {-(-found.train // batch)} steps an epoch
  lr: {0.2 * batch / 128:g}  # 0.2 for batches of 128, in proportion
  crop: {found.side // 8 if found.side >= SMALL else 0}  # pixels that an image may be shifted by
  flip: {"true" if found.side >= SMALL else "false"}  # false where left and right matter, as in letters
  snapshots: {min(10, trained + 1)}  # epochs that are measured, log-spaced
cluster:
  reducers: [{reducers}]  # t-SNE is slow for many images, and no use for less than {TSNE_SAMPLES} a coarse class
  perplexity: {perplexity}  # of t-SNE; a third of a class's {found.fewest} images at most
"""


def further(file: Path, found: Found, coarse: int) -> str:
    """Parts that the study in the file may have, as comments; of one that is impossible with these images, why."""
    short, lines = yaml_files.read(file), []
    for name, (sections, meaning) in _parts(found, coarse).items():
        own = YAML(typ="safe", pure=True).load("\n".join(sections))
        told = foreseen.impossible(Study.model_validate(studies.complete(short | own)), found.tree)
        if told:
            lines.append(f"# (no {name} of these images, since {told[0]})\n")
        else:
            lines += [f"# {section}  # {said}\n" for section, said in zip(sections, meaning, strict=True)]
    return "\n# Further parts, once the first report is there; each has its defaults where it is `{}`:\n" + "".join(
        lines
    )


def _parts(found: Found, coarse: int) -> dict[str, tuple[list[str], list[str]]]:
    """Name -> the sections of a part, with numbers that these images allow, and what to say of each."""
    largest = min(100, max(2, found.fewest // 10))  # so that ten images of a class are left, as far as there are
    ratios = sorted({1, round(largest**0.5), largest})
    few = f"{{ratios: {ratios}, least: {min(10, max(1, found.fewest // largest))}}}"
    smallest = int(0.7 * np.bincount(found.tree.train_labels % coarse).min())  # some are held out besides
    pieces = [count for count in (5, 2, 10) if count <= smallest] or [2]
    subclasses = "" if len(pieces) == 3 else f", subclasses: {pieces}"
    parts = {
        "merges": (
            f"{{kinds: [{{method: modulo, classes: {coarse}}}, {{method: random, classes: {coarse}}}]}}",
            "other merges",
        ),
        "memorised": ("{}", "a control of recovery: networks that memorise shuffled labels"),
        "split": ("{}", "classes split at random: does training keep together what belongs together?"),
        "imbalance": (
            "{}" if largest == 100 else few,
            f"classes with few images: do they become one? {3 * len(ratios)} more networks",
        ),
        "finetune": (
            "{seeds: [0]}",
            "finetuned on halves of the classes: do features add up as weights do? five more a seed",
        ),
        "distill": (
            f"{{teachers: [0]{subclasses}}}",
            "students of the coarse network, by all methods; three teachers for a result",
        ),
        "spawn": ("{}", "linear mode connectivity, matching of units, layerwise linearity: a dozen more networks"),
        "unconstrained": ("{}", "the unconstrained features model: no data, two minutes"),
    }
    whole = {name: ([f"{name}: {own}"], [meaning]) for name, (own, meaning) in parts.items()}
    if found.train < STE_BATCH:
        sections, meaning = whole["spawn"]
        sections.append(f"permute: {{ste: {{batch_size: {found.train}}}}}")
        meaning.append(f"goes with spawn: there are only {found.train} images to match units by")
    return whole


def _quoted(text: str) -> str:
    """As YAML reads it again, whatever it holds."""
    return studies.dump({"": text}).partition(": ")[2].rstrip("\n")
